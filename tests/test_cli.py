import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from sonnen_agent import __version__
from sonnen_agent.cli import DEFAULT_CONFIG

AGENT = Path(sys.executable).with_name("sonnen-agent")
STATUS = {
    "Apparent_output": 1210,
    "BackupBuffer": "10",
    "Consumption_W": 900,
    "Fac": 50.01,
    "GridFeedIn_W": 300,
    "OperatingMode": "2",
    "Pac_total_W": -800,
    "Production_W": 2000,
    "RSOC": 61,
    "SystemStatus": "OnGrid",
    "Timestamp": "2024-06-20 12:00:00",
    "USOC": 58,
    "Uac": 231,
    "Ubat": 212,
}
METER = {"direction": "production", "deviceid": 4, "channel": 1, "error": 0, "v_l1_n": 231.2, "w_l1": 2000.5}
CONFIG = """\
batteries:
  - {{name: home, url: "{url}", token_file: home.token, labels: {{host: sonnen-a}}}}
pushgateway: {{url: "http://127.0.0.1:9"}}
"""


def environment(changes: dict[str, str]) -> dict[str, str]:
    # What a test environment may set about Python's output hides what a user would see.
    output = ("PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONUTF8", "CREDENTIALS_DIRECTORY", "SONNEN_AGENT_CONFIG")
    return {**{name: value for name, value in os.environ.items() if name not in output}, **changes}


def agent(*arguments: str | Path, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [AGENT, *arguments],
        capture_output=True,
        env=environment(changes),
        encoding="utf-8",
        timeout=60,
        check=False,
    )


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        token = tmp_path / "home.token"
        token.write_text("t0ken\n")
        token.chmod(0o600)
        file = tmp_path / "config.yml"
        file.write_text(text)
        return file

    return write


@pytest.fixture
def battery(httpserver: HTTPServer) -> HTTPServer:
    """Return a battery that knows its status and its meters."""
    httpserver.expect_request("/api/v2/status").respond_with_json(STATUS)
    httpserver.expect_request("/api/v2/powermeter").respond_with_json([METER])
    httpserver.expect_request(re.compile("/.*")).respond_with_data(status=404)
    return httpserver


@pytest.fixture
def nobody() -> Iterator[str]:
    """Return a URL where nobody listens, and nobody else can begin to."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def groups(page: str) -> dict[str, str]:
    """Return the page of each group in the output of `once`, by the labels of the group."""
    before, *rest = re.split(r"^# group (.*)\n", page, flags=re.MULTILINE)
    assert not before
    return dict(zip(rest[::2], rest[1::2], strict=True))


def series(page: str) -> list[str]:
    return [line for line in page.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("program", [[AGENT], [sys.executable, "-m", "sonnen_agent"]])
def test_the_version_is_that_of_the_package(program: list[str | Path]) -> None:
    ended = subprocess.run([*program, "--version"], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"sonnen-agent {__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["once", "--help"], ["check", "--help"]])
def test_help_is_no_error(arguments: list[str]) -> None:
    ended = agent(*arguments)
    assert ended.returncode == 0
    assert ended.stdout.startswith("usage: sonnen-agent")
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["walk"], "invalid choice: 'walk'"),
        (["run", "--config"], "argument --config: expected one argument"),
        (["check", "--config"], "argument --config: expected one argument"),
        (["check", "--config", "x", "--token", "hunter2"], "unrecognized arguments: --token"),
        (["simulate", "--port", "65536"], "argument --port: should be a port from 0 to 65535, got '65536'"),
        (["simulate", "--port", "-1"], "argument --port: should be a port from 0 to 65535, got '-1'"),
        (["simulate", "--speed", "0"], "argument --speed: should be a number from above 0 to 100000, got '0'"),
        (["simulate", "--speed", "-1"], "argument --speed: should be a number from above 0 to 100000, got '-1'"),
        (["simulate", "--speed", "inf"], "argument --speed: should be a number from above 0 to 100000, got 'inf'"),
        (["simulate", "--speed", "nan"], "argument --speed: should be a number from above 0 to 100000, got 'nan'"),
        (["simulate", "--generation", "eco9"], "argument --generation: invalid choice: 'eco9'"),
        (["simulate", "--start", "noon"], "argument --start: should be like 2026-06-21T06:00, got 'noon'"),
        (["simulate", "--start", "9999-12-31"], "argument --start: should be like 2026-06-21T06:00, got '9999-12-31'"),
    ],
)
def test_a_usage_error_exits_2_with_the_reason(arguments: list[str], complaint: str) -> None:
    ended = agent(*arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("usage: sonnen-agent")
    assert complaint in ended.stderr


def test_check_says_that_a_good_config_is_good_and_asks_nobody(
    battery: HTTPServer, write_config: Callable[[str], Path]
) -> None:
    url = battery.url_for("")
    file = write_config(
        f"batteries: [{{name: home, url: '{url}'}}, {{name: garage, url: '{url}'}}]\n"
        f"pushgateway: {{url: '{url}'}}\npull: {{listen: '127.0.0.1:9422'}}\ninterval_seconds: 2.5\n"
        "timezone: America/Lima\n"
    )
    ended = agent("check", "--config", file)
    assert ended.returncode == 0
    assert ended.stdout == (
        f"{file}: good: every 2.5 s from home, garage, pushing to {url} and serving /metrics on 127.0.0.1 port 9422; "
        "days end at midnight in America/Lima\n"
    )
    assert ended.stderr == ""
    assert battery.log == []


def test_check_names_the_receiver_that_is_the_only_sink(write_config: Callable[[str], Path]) -> None:
    url = "https://prometheus.example/api/v1/write"
    file = write_config(f"batteries: [{{name: home, url: 'http://192.168.1.20'}}]\nremote_write: {{url: '{url}'}}\n")
    said = agent("check", "--config", file).stdout
    assert said.startswith(f"{file}: good: every 5 s from home, writing to {url}; days end at midnight in ")
    assert said.endswith(", the zone of this machine\n")


def test_check_names_the_relays_and_asks_none_of_them(battery: HTTPServer, write_config: Callable[[str], Path]) -> None:
    url = battery.url_for("/metrics")
    file = write_config(CONFIG.format(url=url) + f"relay: [{{url: '{url}', job: node}}]\n")
    ended = agent("check", "--config", file)
    assert f" and relaying {url} as node; " in ended.stdout
    assert ended.returncode == 0
    assert battery.log == []


@pytest.mark.parametrize("command", ["check", "run", "once"])
def test_a_bad_config_exits_78_with_every_problem_on_a_line(command: str, write_config: Callable[[str], Path]) -> None:
    file = write_config("interval: 5\nbatteries: [{name: home}]\npushgateway: {url: http://a, password: hunter2}\n")
    ended = agent(command, "--config", file)
    assert ended.returncode == 78
    assert ended.stdout == ""
    assert [line.split(": ")[:2] for line in sorted(ended.stderr.splitlines())] == [
        [str(file), "batteries[0].url"],
        [str(file), "interval"],
        [str(file), "pushgateway.password"],
    ]
    assert "hunter2" not in ended.stderr


@pytest.mark.parametrize(
    "text", ["", "\t", "- a", "a", "a: {", "a: 2023-02-30", "\x00", pytest.param("[" * 5000, id="[[[…")]
)
def test_a_file_that_is_no_config_exits_78_without_a_traceback(text: str, write_config: Callable[[str], Path]) -> None:
    file = write_config(text)
    ended = agent("check", "--config", file)
    assert ended.stderr.startswith(f"{file}: ")
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 78


def test_a_config_that_is_not_there_exits_78(tmp_path: Path) -> None:
    ended = agent("run", "--config", tmp_path / "none.yml")
    assert ended.returncode == 78
    assert ended.stderr == (
        f"{tmp_path / 'none.yml'}: cannot be read: No such file or directory; "
        "name the config with --config FILE or in $SONNEN_AGENT_CONFIG\n"
    )


@pytest.mark.skipif(DEFAULT_CONFIG.exists(), reason="this machine has a config")
@pytest.mark.parametrize("command", ["run", "once", "check", "ledger"])
def test_without_a_config_anywhere_the_place_where_it_would_be_is_named(command: str) -> None:
    ended = agent(command, SONNEN_AGENT_CONFIG="")
    assert ended.returncode == 78
    assert ended.stderr == (
        f"{DEFAULT_CONFIG}: cannot be read: No such file or directory; "
        "name the config with --config FILE or in $SONNEN_AGENT_CONFIG\n"
    )


def test_the_environment_names_the_config_and_an_option_another(
    tmp_path: Path, write_config: Callable[[str], Path]
) -> None:
    file = write_config("batteries: [{name: home, url: http://192.168.1.20}]\npushgateway: {url: http://a}\n")
    assert agent("check", SONNEN_AGENT_CONFIG=str(file)).stdout.startswith(f"{file}: good: ")
    assert agent("check", "--config", tmp_path / "none.yml", SONNEN_AGENT_CONFIG=str(file)).returncode == 78
    # `run` without an option comes as far as the config.
    file.write_text("batteries: []")
    assert agent("run", SONNEN_AGENT_CONFIG=str(file)).stderr.startswith(f"{file}: batteries: is missing")


def test_discover_tells_of_a_config_of_the_environment_that_it_cannot_use(write_config: Callable[[str], Path]) -> None:
    ended = agent("discover", "--network", "127.255.255.0/32", SONNEN_AGENT_CONFIG=str(write_config("batteries: []")))
    assert ended.stderr.startswith("WARNING the config is not looked at: batteries: is missing")


def test_secrets_beside_the_config_are_found_by_every_command_but_run(
    tmp_path: Path, write_config: Callable[[str], Path]
) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/pushgateway-password").write_text("hunter2")
    file = write_config(
        "batteries: [{name: home, url: http://192.168.1.20}]\npushgateway: {url: http://a, username: pi}\n"
    )
    assert agent("check", "--config", file).returncode == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "config.yml").symlink_to(file)
    assert agent("check", "--config", elsewhere / "config.yml").returncode == 0
    problem = f"{file}: pushgateway.password_file: is missing; a user name and a password file go together\n"
    assert agent("run", "--config", file).stderr == problem


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every folder")
def test_secrets_that_this_user_cannot_read_are_told(tmp_path: Path, write_config: Callable[[str], Path]) -> None:
    (tmp_path / "secrets").mkdir(mode=0o000)
    ended = agent("check", "--config", write_config(CONFIG.format(url="http://192.168.1.20")))
    assert ended.returncode == 0
    assert ended.stderr == (
        f"WARNING the secrets in {tmp_path / 'secrets'} are left out: this user cannot read them; run this with sudo\n"
    )


def test_credentials_are_found_where_systemd_says(tmp_path: Path, write_config: Callable[[str], Path]) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials/pushgateway-password").write_text("hunter2")
    file = write_config(
        "batteries: [{name: home, url: http://192.168.1.20}]\npushgateway: {url: http://a, username: pi}\n"
    )
    assert agent("check", "--config", file, CREDENTIALS_DIRECTORY=str(tmp_path / "credentials")).returncode == 0
    without = agent("check", "--config", file)
    assert without.returncode == 78
    assert without.stderr == (
        f"{file}: pushgateway.password_file: is missing; a user name and a password file go together\n"
    )


def test_once_prints_what_would_be_pushed_of_a_battery_that_answers(
    battery: HTTPServer, write_config: Callable[[str], Path]
) -> None:
    ended = agent("once", "--config", write_config(CONFIG.format(url=battery.url_for(""))))
    assert ended.returncode == 0
    host = socket.gethostname()
    pages = groups(ended.stdout)
    assert list(pages) == ['job="sonnen" instance="home"', f'job="sonnen_agent" instance="{host}"']
    measured, told = (series(page) for page in pages.values())
    assert {
        'sonnen_online{host="sonnen-a"} 1.0',
        'sonnen_endpoint_up{endpoint="status",host="sonnen-a"} 1.0',
        'sonnen_endpoint_up{endpoint="powermeter",host="sonnen-a"} 1.0',
        'sonnen_endpoint_up{endpoint="inverter",host="sonnen-a"} 0.0',
        'sonnen_production_watts{host="sonnen-a"} 2000.0',
        'sonnen_discharge_watts{host="sonnen-a"} -800.0',
        'sonnen_meter_watts{direction="production",host="sonnen-a",meter="4_1",phase="1"} 2000.5',
        'sonnen_power_balance_watts{host="sonnen-a"} 0.0',
    } <= set(measured)
    assert 'sonnen_agent_reads_total{battery="home",endpoint="status",outcome="ok"} 1.0' in told
    assert "t0ken" not in ended.stdout + ended.stderr


def test_once_reads_every_endpoint(battery: HTTPServer, write_config: Callable[[str], Path]) -> None:
    agent("once", "--config", write_config(CONFIG.format(url=battery.url_for(""))))
    asked = {request.path for request, _ in battery.log}
    endpoints = ("status", "powermeter", "inverter", "battery", "latestdata", "configurations")
    assert {f"/api/v2/{endpoint}" for endpoint in endpoints} <= asked


def test_once_shows_of_a_battery_that_does_not_answer_only_that(
    nobody: str, write_config: Callable[[str], Path]
) -> None:
    ended = agent("once", "--config", write_config(CONFIG.format(url=nobody)))
    assert ended.returncode == 1
    page = groups(ended.stdout)['job="sonnen" instance="home"']
    assert series(page) == [
        'sonnen_online{host="sonnen-a"} 0.0',
        'sonnen_endpoint_up{endpoint="status",host="sonnen-a"} 0.0',
    ]
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"WARNING home: not readable (refused): {nobody}/api/v2/status: cannot connect: ")


def test_once_shows_all_batteries_and_exits_1_when_one_does_not_answer(
    battery: HTTPServer, nobody: str, write_config: Callable[[str], Path]
) -> None:
    ended = agent(
        "once",
        "--config",
        write_config(
            f"batteries: [{{name: shed, url: '{nobody}'}}, {{name: home, url: '{battery.url_for('')}'}}]\n"
            "pushgateway: {url: http://127.0.0.1:9, job: house}\n"
        ),
    )
    assert ended.returncode == 1
    pages = groups(ended.stdout)
    assert list(pages)[:2] == ['job="house" instance="shed"', 'job="house" instance="home"']
    assert "sonnen_online 0.0" in series(pages['job="house" instance="shed"'])
    assert "sonnen_online 1.0" in series(pages['job="house" instance="home"'])


def test_once_prints_relayed_pages_too_and_its_exit_code_is_about_batteries(
    battery: HTTPServer, nobody: str, write_config: Callable[[str], Path]
) -> None:
    page = '# TYPE reads counter\nreads{disk="a b"} 7\n'
    battery.clear()
    battery.expect_request("/metrics").respond_with_data(page.replace("7\n", "7 1700000000000\r\n"))
    battery.expect_request("/api/v2/status").respond_with_json(STATUS)
    battery.expect_request(re.compile("/.*")).respond_with_data(status=404)
    ended = agent(
        "once",
        "--config",
        write_config(
            CONFIG.format(url=battery.url_for(""))
            + f"relay: [{{url: {battery.url_for('/metrics')}, job: disks}}, {{url: {nobody}/metrics, job: node}}]\n"
        ),
    )
    assert ended.returncode == 0
    pages = groups(ended.stdout)
    host = socket.gethostname()
    assert pages[f'job="disks" instance="{host}"'] == page
    assert pages[f'job="node" instance="{host}"'] == ""
    told = series(pages[f'job="sonnen_agent" instance="{host}"'])
    assert {'sonnen_agent_relay_up{relay="disks"} 1.0', 'sonnen_agent_relay_up{relay="node"} 0.0'} <= set(told)
    (line,) = (line for line in ended.stderr.splitlines() if line.startswith("WARNING relay"))
    assert line.startswith(f"WARNING relay node: not readable (refused): {nobody}/metrics: cannot connect: ")


def test_once_pushes_nothing(battery: HTTPServer, write_config: Callable[[str], Path]) -> None:
    url = battery.url_for("")
    file = write_config(f"batteries: [{{name: home, url: '{url}'}}]\npushgateway: {{url: '{url}'}}\n")
    assert agent("once", "--config", file).returncode == 0
    assert {request.method for request, _ in battery.log} == {"GET"}


def test_once_prints_utf_8_whatever_the_terminal_speaks(nobody: str, write_config: Callable[[str], Path]) -> None:
    file = write_config(f"""
batteries: [{{name: 'Küche "☀"', url: '{nobody}'}}]
pushgateway: {{url: http://127.0.0.1:9}}
""")
    ended = agent("once", "--config", file, PYTHONIOENCODING="ascii")
    assert "Traceback" not in ended.stderr
    assert r'# group job="sonnen" instance="Küche \"☀\""' in ended.stdout.splitlines()


@pytest.mark.parametrize("command", ["check", "doctor"])
def test_a_letter_that_the_terminal_does_not_speak_is_a_question_mark(
    command: str, nobody: str, write_config: Callable[[str], Path]
) -> None:
    file = write_config(f"batteries: [{{name: 'Küche', url: '{nobody}'}}]\npushgateway: {{url: '{nobody}'}}\n")
    ended = agent(command, "--config", file, PYTHONIOENCODING="ascii")
    assert "Traceback" not in ended.stderr
    assert "K?che" in ended.stdout


@pytest.mark.parametrize(("command", "code"), [(["once"], 1), (["ledger", "--format", "openmetrics"], 0)])
def test_a_command_whose_output_is_closed_has_nobody_to_talk_to(
    command: list[str], code: int, nobody: str, write_config: Callable[[str], Path]
) -> None:
    file = write_config(CONFIG.format(url=nobody))
    shell = ["sh", "-c", 'exec "$@" >&-', "sh", str(AGENT), *command, "--config", str(file)]
    ended = subprocess.run(shell, stderr=subprocess.PIPE, text=True, timeout=60, check=False, env=environment({}))
    assert "Traceback" not in ended.stderr
    assert ended.returncode == code


def test_ctrl_c_does_not_let_once_wait_for_a_battery_that_hangs(write_config: Callable[[str], Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        file = write_config(CONFIG.format(url=f"http://127.0.0.1:{silent.getsockname()[1]}"))
        with subprocess.Popen([AGENT, "once", "--config", file], stderr=subprocess.PIPE, text=True) as reading:
            asked, _ = silent.accept()
            with asked:
                reading.send_signal(signal.SIGINT)
                _, complaints = reading.communicate(timeout=60)
    assert (reading.returncode, complaints) == (-signal.SIGINT, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["check"], ["once"]])
def test_output_that_nobody_reads_any_more_is_no_error_to_talk_about(
    arguments: list[str], unbuffered: str, nobody: str, write_config: Callable[[str], Path]
) -> None:
    if arguments[0] in {"check", "once"}:
        arguments = [*arguments, "--config", str(write_config(CONFIG.format(url=nobody)))]
    reader, writer = os.pipe()
    # As `head -1` does after its line.
    os.close(reader)
    ended = subprocess.run(
        [AGENT, *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        env=environment({"PYTHONUNBUFFERED": unbuffered}),
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert [line for line in ended.stderr.splitlines() if not line.startswith("WARNING home: not readable")] == []
    assert ended.returncode in {0, 1}


def test_a_pull_port_that_is_taken_exits_1_with_the_reason(nobody: str, write_config: Callable[[str], Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        file = write_config(f"batteries: [{{name: home, url: '{nobody}'}}]\npull: {{listen: '{address}'}}\n")
        ended = agent("run", "--config", file)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"sonnen-agent: pull.listen: cannot listen on {address}: Address already in use")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_ends_with_0_when_it_is_told_to(
    number: signal.Signals, nobody: str, write_config: Callable[[str], Path]
) -> None:
    file = write_config(f"""
batteries: [{{name: home, url: '{nobody}'}}]
pushgateway: {{url: '{nobody}', on_stop: keep}}
""")
    with subprocess.Popen(
        [AGENT, "run", "--config", file],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment({}),
        text=True,
    ) as running:
        assert running.stderr is not None
        first = running.stderr.readline()
        running.send_signal(number)
        output, rest = running.communicate(timeout=60)
    started = f"INFO sonnen-agent {__version__}: every 5 s from home, pushing to {nobody}; days end at midnight in "
    assert first.startswith(started)
    assert running.returncode == 0
    assert output == ""
    assert "Traceback" not in rest
