"""What doctor says of a battery, of this machine, and of a Grafana."""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from box import Box
from faulty_simulator import FaultySimulator
from programs import free_port
from pytest_httpserver import HTTPServer
from sample_groups import BARN, HOME, battery_group, shared_meter, surroundings
from status_fields import RAW_STATUS
from werkzeug import Request, Response

from sonnen_agent.cli import main
from sonnen_agent.clock import WallClock
from sonnen_agent.commands.doctor import machine
from sonnen_agent.commands.doctor.battery import _timed
from sonnen_agent.commands.doctor.finding import RELEASE, Redaction
from sonnen_agent.commands.doctor.grafana import DASHBOARDS
from sonnen_agent.commands.doctor.machine import _wear, check_clock, check_unit
from sonnen_agent.commands.doctor.receivers import _of_two
from sonnen_agent.outputs import Retain, pull
from sonnen_agent.reading import Status
from sonnen_agent.state.store import StateStore

Found = dict[str, tuple[str, str, str]]
"""By check: status, what was seen, the fix."""
Doctor = Callable[..., Found]

METERS = [
    {"channel": 1, "deviceid": 4, "direction": "production", "error": 0, "w_total": 2000, "v_l1_n": 230},
    {"channel": 2, "deviceid": 4, "direction": "consumption", "error": 0, "w_total": 900, "v_l1_n": 230},
]
POWERS = ("Production_W", "Pac_total_W", "Consumption_W", "GridFeedIn_W")


@pytest.fixture
def box(box: Box) -> Box:
    box.answers = {"/api/v2/status": RAW_STATUS, "/api/v2/powermeter": METERS}
    return box


@pytest.fixture
def doctor(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Doctor:
    """Return what runs the command with a config and gives its findings; the exit code has to fit them."""

    def run(config: str, *options: str) -> Found:
        file = tmp_path / "config.yml"
        file.write_text(f"state_directory: {tmp_path}/state\n{config}")
        code = main(["doctor", "--config", str(file), "--json", *options])
        found = {one["check"]: (one["status"], one["seen"], one["fix"]) for one in json.loads(capfd.readouterr().out)}
        assert code == any(status == "fail" for status, _, _ in found.values())
        return found

    return run


def battery(port: int, token: Path | None = None) -> str:
    with_token = "" if token is None else f", token_file: {token}"
    one = f"{{name: home, url: 'http://127.0.0.1:{port}'{with_token}}}"
    return f"batteries: [{one}]\npull: {{listen: '127.0.0.1:9'}}\n"


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "home.token"
    file.touch(mode=0o600)
    file.write_text("a-made-up-token")
    return file


def test_of_a_healthy_battery_everything_is_ok(doctor: Doctor, token: Path) -> None:
    with FaultySimulator(token=token.read_text()) as simulator:
        found = doctor(battery(simulator.port, token))

    about = {check: status for check, (status, _, _) in found.items() if check.startswith("battery")}
    assert set(about.values()) == {"ok"}
    assert len(about) == 11
    assert found["battery home"][1].startswith(f"v2 on port {simulator.port} answers in ")


def test_where_nothing_answers_what_depends_on_it_is_skipped(doctor: Doctor) -> None:
    found = doctor(battery(9))

    assert found["battery home"][0] == "fail"
    assert found["battery home"][1].startswith("nothing answers: ")
    for part in ("token", "balance", "meters", "faults", "clock"):
        assert found[f"battery home {part}"] == ("skipped", "it cannot be read", "")


def test_an_address_that_answers_but_is_no_battery_is_called_that(doctor: Doctor, box: Box) -> None:
    box.answers = {"/api/v2/status": "<html>a router</html>"}
    status, seen, fix = doctor(battery(box.port))["battery home"]

    assert (status, "something answers, but it is no battery" in seen) == ("fail", True)
    assert "url" in fix


def test_a_status_that_is_refused_is_told_as_the_battery_answers(doctor: Doctor, box: Box) -> None:
    box.answers = {"/api/v2/status": 401}
    status, seen, _ = doctor(battery(box.port))["battery home"]

    assert (status, "401" in seen) == ("fail", True)


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (401, "fail", "it is wrong, or the read API is off"),
        (404, "fail", "nothing that needs it is there: the read API is off"),
        (500, "skipped", "no endpoint that needs it has answered"),
    ],
)
def test_a_token_that_opens_nothing_is_named(
    doctor: Doctor, box: Box, token: Path, answer: int, status: str, words: str
) -> None:
    for endpoint in ("powermeter", "latestdata", "battery", "inverter", "configurations"):
        box.answers[f"/api/v2/{endpoint}"] = answer
    found = doctor(battery(box.port, token))

    assert found["battery home token"][0] == status
    assert words in found["battery home token"][1]
    assert found["battery home latestdata"][0] == ("fail" if answer == 500 else "skipped")


def test_a_missing_token_is_named_with_the_place_for_it(doctor: Doctor, box: Box) -> None:
    found = doctor(battery(box.port))

    assert found["battery home token"][0] == "warn"
    assert "secrets/token-home" in found["battery home token"][2]
    assert found["battery home latestdata"] == ("skipped", "there is none without a token", "")


def test_an_api_without_a_login_needs_no_token(doctor: Doctor, token: Path) -> None:
    with FaultySimulator(generation="eco6") as simulator:
        found = doctor(battery(simulator.port, token))

    assert found["battery home token"][:2] == ("ok", "there is one; eco6 asks for none")


def test_an_endpoint_that_hangs_fails_alone(doctor: Doctor, token: Path) -> None:
    with FaultySimulator(token=token.read_text()) as simulator:
        simulator.set_fault("timeout", "latestdata")
        found = doctor(battery(simulator.port, token))

    assert found["battery home latestdata"][0] == "fail"
    assert "no answer in time" in found["battery home latestdata"][1]
    assert found["battery home powermeter"][0] == "ok"


def test_an_endpoint_that_a_firmware_does_not_have_is_no_failure(doctor: Doctor, box: Box, token: Path) -> None:
    found = doctor(battery(box.port, token))

    assert found["battery home battery"] == ("skipped", "this firmware does not have it", "")


def test_an_answer_that_takes_half_a_beat_is_told() -> None:
    assert _timed("battery home", "v2", 2.6, 5).status == "warn"
    assert _timed("battery home", "v2", 2.4, 5).status == "ok"


@pytest.mark.parametrize(
    ("powers", "words"),
    [
        ((-3000, 0, 1000, 2000), "twice the production"),
        ((3000, 1000, 1000, 1000), "twice the discharge"),
        ((2000, 0, 3000, 1000), "twice the feed-in"),
        ((0, 0, 900, 2100), "clamp of the production missing?"),
        ((3000, 500, 900, 700), "is a clamp missing, or on another phase?"),
    ],
)
def test_a_balance_that_is_off_names_the_clamp(doctor: Doctor, box: Box, powers: tuple[float, ...], words: str) -> None:
    box.answers["/api/v2/status"] = RAW_STATUS | dict(zip(POWERS, powers, strict=True))
    status, seen, fix = doctor(battery(box.port))["battery home balance"]

    assert status == "fail"
    assert words in f"{seen}; {fix}"


def test_a_balance_is_not_judged_where_it_cannot_be(doctor: Doctor, box: Box) -> None:
    def told(**changes: object) -> tuple[str, str]:
        box.answers["/api/v2/status"] = RAW_STATUS | changes
        return doctor(battery(box.port))["battery home balance"][:2]

    assert told(Production_W=None) == ("warn", "not reported: production")
    assert told(SystemStatus="OffGrid", Consumption_W=0)[0] == "skipped"
    assert (
        told(**{key: 0 for key, value in RAW_STATUS.items() if type(value) in (int, float)})[1]
        == "it is starting, all that it measures is 0"
    )


@pytest.mark.parametrize(
    ("meters", "status", "words"),
    [
        (METERS[:1], "warn", "none for the consumption"),
        ([METERS[0] | {"error": 2}, METERS[1]], "fail", "production 4_1 has error 2"),
        ([METERS[0] | {"error": 3}, METERS[1]], "warn", "production 4_1 has error 3, no clamps"),
        ([METERS[0] | {"w_total": -1500}, METERS[1]], "fail", "production 4_1 shows -1500 W"),
    ],
)
def test_meters_that_are_missing_broken_or_turned_are_named(
    doctor: Doctor, box: Box, token: Path, meters: list[object], status: str, words: str
) -> None:
    box.answers["/api/v2/powermeter"] = meters
    found = doctor(battery(box.port, token))["battery home meters"]

    assert (found[0], words in found[1]) == (status, True)


def test_the_part_that_a_battery_reports_at_fault_is_named(doctor: Doctor, box: Box, token: Path) -> None:
    told = doctor(battery(box.port, token))["battery home faults"]
    assert told[0] == "ok"

    box.answers["/api/v2/status"] = RAW_STATUS | dict.fromkeys(("Uac", "Fac", "Ubat"), 0)
    box.answers["/api/v2/latestdata"] = {"ic_status": {"statebms": "error", "statecorecontrolmodule": "ongrid"}}
    status, seen, fix = doctor(battery(box.port, token))["battery home faults"]
    assert (status, seen) == ("fail", "bms: error; inverter: its volts and hertz are 0")
    assert "call the service" in fix


def test_of_a_battery_that_starts_no_fault_is_told(doctor: Doctor, box: Box, token: Path) -> None:
    box.answers["/api/v2/latestdata"] = {"ic_status": {"statebms": "not ready", "statecorecontrolmodule": "init"}}
    assert "battery home faults" not in doctor(battery(box.port, token))


def test_a_battery_whose_clock_is_wrong_is_told(doctor: Doctor, token: Path) -> None:
    with FaultySimulator(token=token.read_text()) as simulator:
        simulator.set_fault("clock_jump")
        assert doctor(battery(simulator.port, token))["battery home clock"][0] == "warn"


@pytest.mark.parametrize(
    ("pushes", "two"),
    [
        ((0, 5), False),
        ((0, 2, 7), False),  # one that has just started
        ((0, 5, 10), False),
        ((0, 2, 5), True),
        ((0, 3.5, 5.6), True),
        ((0, 5, 7.5, 10), True),
    ],
)
def test_pushes_of_two_agents_are_told_from_those_of_one(pushes: tuple[float, ...], two: bool) -> None:
    assert _of_two(pushes, 5) == two


def pull_config(port: int) -> str:
    batteries = ", ".join(f"{{name: {name}, url: 'http://127.0.0.1:9'}}" for name in ("home", "barn"))
    return f"batteries: [{batteries}]\npull: {{listen: '0.0.0.0:{port}'}}\n"


def test_a_pull_page_says_how_many_batteries_have_numbers(doctor: Doctor) -> None:
    options = pull.Options(host="127.0.0.1", port=0)
    output = options.open(surroundings({key: shared_meter() for key in (HOME, BARN)}))
    url = f"http://127.0.0.1:{output.port}/metrics"
    try:
        assert doctor(pull_config(output.port))["pull"][:2] == ("warn", f"{url} has numbers of 0 of 2 batteries")
        output.put(battery_group(HOME, Status(production_watts=1)))
        # The page shows it as offline: its thread hangs.
        output.put(battery_group(BARN, Status(production_watts=1), age_seconds=60))
        status, seen, fix = doctor(pull_config(output.port))["pull"]
        assert (status, seen) == ("warn", f"{url} has numbers of 1 of 2 batteries")
        assert "systemctl status" in fix
        output.put(battery_group(BARN, Status(production_watts=1)))
        assert doctor(pull_config(output.port))["pull"] == ("ok", f"{url} has numbers of 2 of 2 batteries", "")
    finally:
        output.stop(Retain())


def test_a_pull_page_that_is_not_there_and_a_port_that_another_has_are_told_apart(
    doctor: Doctor, httpserver: HTTPServer
) -> None:
    status, seen, fix = doctor(pull_config(free_port()))["pull"]
    assert (status, "refused" in seen, fix) == ("fail", True, "sudo systemctl start sonnen-agent")

    status, seen, fix = doctor(pull_config(httpserver.port))["pull"]
    assert (status, "answered 500" in seen) == ("fail", True)
    assert f"'sport = {httpserver.port}'" in fix
    httpserver.expect_request("/metrics").respond_with_data("node_load1 0.5\n")
    status, seen, fix = doctor(pull_config(httpserver.port))["pull"]
    assert (status, seen.endswith("/metrics is another program's page")) == ("fail", True)
    assert f"'sport = {httpserver.port}'" in fix


def test_remote_write_without_its_library_is_told(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sonnen_agent.outputs.remote_write.client", None)
    found = doctor(f"{battery(9)}remote_write: {{url: 'http://127.0.0.1:9/api/v1/write'}}\n")

    assert found["remote write"] == ("skipped", "python-snappy is missing", "")


def test_of_a_wrong_config_every_problem_is_a_line_and_the_rest_is_looked_at(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], box: Box
) -> None:
    file = tmp_path / "config.yml"
    file.write_text(
        f"interval_secs: 3\nstate_directory: {tmp_path}\n"
        f"batteries: [{{name: home, url: 'http://127.0.0.1:{box.port}'}}, {{name: two}}]\n"
        "pushgateway: {url: gateway}\n"
    )
    assert main(["doctor", "--config", str(file)]) == 1
    lines = capfd.readouterr().out.splitlines()

    assert sum(line.startswith("fail    config: ") for line in lines) == 3
    assert any(line.startswith("ok      battery home: ") for line in lines)
    assert "skipped batteries: the config has to say where they are" in lines
    assert "skipped pushgateway: the config has to say where it is" in lines


@pytest.mark.parametrize("text", [None, "", "]["])
def test_without_a_config_it_still_looks_at_the_machine(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str | None
) -> None:
    file = tmp_path / "config.yml"
    if text is not None:
        file.write_text(text)
    assert main(["doctor", "--config", str(file)]) == 1
    printed, complaints = capfd.readouterr()

    assert printed.startswith("fail    config: ")
    assert "clock: " in printed
    assert "skipped pushgateway: the config names none" in printed
    assert complaints == ""


def test_a_config_that_no_path_leads_to_is_a_line_and_no_more(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "loop.yml").symlink_to("loop.yml")
    for file, words in ((tmp_path / "loop.yml", "Too many levels"), (tmp_path / ("x" * 300) / "c.yml", "too long")):
        assert main(["doctor", "--config", str(file), "--prometheus", "nowhere"]) == 1
        printed, complaints = capfd.readouterr()
        assert words in printed.partition("\n")[0]
        assert "skipped pushgateway: the config names none" in printed
        assert complaints == ""


def test_ctrl_c_ends_the_walk_and_the_second_one_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        file = tmp_path / "config.yml"
        file.write_text(f"state_directory: {tmp_path}/state\n{battery(silent.getsockname()[1])}")
        command = [sys.executable, "-m", "sonnen_agent", "doctor", "--config", str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as walking:
            assert walking.stdout is not None
            assert walking.stderr is not None
            walking.stdout.readline()
            walking.send_signal(signal.SIGINT)
            first = walking.stderr.readline()
            walking.send_signal(signal.SIGINT)
            _, rest = walking.communicate(timeout=60)
    assert first == "ending what is under way; Ctrl-C once more ends it at once\n"
    assert (walking.returncode, rest) == (-signal.SIGINT, "")


def test_a_clock_that_is_not_set_is_told(tmp_path: Path) -> None:
    (early,) = check_clock(WallClock(unix=lambda: 1000.0, timesync=tmp_path / "none"))
    (late,) = check_clock(WallClock(timesync=tmp_path / "none"))

    assert (early.status, late.status) == ("fail", "ok")


def test_a_state_directory_that_is_not_there_yet_is_no_failure(doctor: Doctor) -> None:
    found = doctor(battery(9))

    assert found["state directory"][0] == "warn"
    assert found["card"][0] == "skipped"


def test_a_state_directory_says_what_it_holds(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    assert doctor(battery(9))["counters"] == ("skipped", "none are kept yet", "")
    (tmp_path / "state/counters.json").write_text("torn")
    assert doctor(battery(9))["counters"][0] == "fail"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ("size=4k", "fail", "No space left on device"),
        ("size=1m,ro", "fail", "Read-only file system"),
        ("size=1m", "warn", "is in memory (tmpfs)"),
    ],
)
def test_a_full_a_read_only_and_a_forgetful_disk_are_named(
    tmp_path: Path, options: str, status: str, words: str
) -> None:
    folder, config = tmp_path / "state", tmp_path / "config.yml"
    folder.mkdir()
    config.write_text(f"state_directory: {folder}\n{battery(9)}")
    fill = f"head -c 4096 /dev/zero > {folder}/rest; " if "4k" in options else ""
    doctor = f"exec {sys.executable} -m sonnen_agent doctor --json --config {config}"
    command = f"mount -t tmpfs -o {options} none {folder} && {fill} {doctor}"
    ended = subprocess.run(["unshare", "--mount", "sh", "-c", command], capture_output=True, text=True, check=False)
    found = {one["check"]: one for one in json.loads(ended.stdout)}["state directory"]

    assert (found["status"], words in found["seen"]) == (status, True)


def test_little_room_and_a_directory_of_another_user_are_told(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").mkdir()
    monkeypatch.setattr(machine, "_LITTLE_ROOM_BYTES", 1 << 62)
    monkeypatch.setattr(machine, "file_system", lambda _: "ext4")
    status, seen, fix = doctor(battery(9))["state directory"]
    assert (status, seen.endswith(" MiB are free"), fix) == ("warn", True, "make room there")

    def refuse(**_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)  # root may write everywhere
    status, seen, fix = doctor(battery(9))["state directory"]
    assert (status, seen.endswith(": Permission denied"), fix) == ("warn", True, "run doctor with sudo")


def test_counters_that_a_running_agent_does_not_save_are_told(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "state"
    store = StateStore(folder)
    store.keep({"home": shared_meter(5.0)}, None)
    store.close()
    with subprocess.Popen(["sonnen-agent", "60"], executable=shutil.which("sleep")) as agent:
        try:
            (folder / "lock").write_text(str(agent.pid))
            found = doctor(battery(9))
            assert found["counters"][0] == "ok"
            assert found["counters"][1].startswith("of 1 battery, saved ")
            monkeypatch.setattr(machine, "_OLD_SECONDS", -1)
            status, seen, fix = doctor(battery(9))["counters"]
        finally:
            agent.kill()
    assert (status, seen.endswith(" ago, though an agent runs")) == ("warn", True)
    assert "journalctl" in fix


def test_what_the_agent_has_written_is_told_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    (nobody,), (this,), (gone,) = _wear(None), _wear(os.getpid()), _wear(1 << 30)
    monkeypatch.setattr(machine, "_MUCH_MIB_A_DAY", -1)
    (much,) = _wear(os.getpid())

    assert nobody.status == "skipped"
    assert this.seen.startswith("the agent wrote ")
    assert (gone.status, gone.seen.startswith("what the agent has written cannot be seen: ")) == ("skipped", True)
    assert (much.status, "it wears a card" in much.fix) == ("warn", True)


def test_secrets_that_this_user_may_not_read_are_told(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secrets").mkdir()
    monkeypatch.setattr(os, "access", lambda _, mode, **__: mode == os.F_OK)  # root may read everything
    status, seen, fix = doctor(battery(9))["secrets"]
    assert (status, "cannot be read by this user" in seen, fix) == ("warn", True, "run doctor with sudo")


RUNNING = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "Result": "success",
    "NRestarts": "0",
    "UnitFileState": "enabled",
    "WatchdogUSec": "1min",
    "NeedDaemonReload": "no",
    "StatusText": "home: 1 W solar",
}


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({}, "ok", "active (running): home: 1 W solar"),
        ({"LoadState": "not-found"}, "skipped", "there is none called sonnen-agent: not-found"),
        (
            {"ActiveState": "failed", "SubState": "failed", "Result": "exit-code"},
            "fail",
            "failed (failed), exit-code; last: 2026-11-29T10:00:00+0000 Main process exited, code=killed",
        ),
        ({"NRestarts": "3"}, "warn", "restarts: 3; last: 2026-11-29T10:00:00+0000 Main process exited"),
        ({"UnitFileState": "disabled"}, "warn", "it is disabled: not started at boot"),
        ({"WatchdogUSec": "infinity"}, "warn", "it has no watchdog"),
        ({"NeedDaemonReload": "yes"}, "warn", "its file was changed and is not in force yet"),
    ],
)
def test_the_unit_tells_how_it_is(  # with programs that print what systemd's do
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], status: str, words: str
) -> None:
    shown = "\n".join(f"{key}={value}" for key, value in (RUNNING | changes).items())
    line = "2026-11-29T10:00:00+0000 pi systemd[1]: sonnen-agent.service: Main process exited, code=killed"
    for name, text in (("systemctl", shown), ("journalctl", line)):
        (tmp_path / name).write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    found = list(check_unit(tmp_path))

    assert (found[-1].status, words in found[-1].seen) == (status, True)


def test_without_systemd_there_is_no_unit(tmp_path: Path) -> None:
    (found,) = check_unit(tmp_path / "none")
    assert found.status == "skipped"


def test_what_is_printed_can_go_into_a_bug_report() -> None:
    redaction = Redaction(["s3cret-token", "Psb12345"], {"sonnen.fritz.box": "<battery home>"})
    text = redaction.text(
        "http://sonnen.fritz.box:80/api: s3cret-token Psb12345 SN123456 4711081 10.0.0.7 fe80::12:34ff mail m@x.org "
        "AA:BB:CC:00:11:22 http://nas.local:9091/x at 127.0.0.1:9091, 5.0.0.1-rc"
    )

    assert text == (
        "http://<battery home>:80/api: *** *** <serial> <serial> <address> <address> mail <mail> "
        "<mac> http://<host>:9091/x at 127.0.0.1:9091, <address>-rc"
    )


def test_a_password_on_the_command_line_is_refused_and_not_shown(doctor: Doctor) -> None:
    found = doctor(battery(9), "--prometheus", "http://max:hunter22@prometheus.example")

    assert found["prometheus"][0] == "fail"
    assert "hunter22" not in json.dumps(found)


def test_a_url_that_is_none_names_an_example(doctor: Doctor) -> None:
    found = doctor(battery(9), "--prometheus", "nowhere", "--grafana", "nowhere")

    for name, example in (("prometheus", "http://prometheus.example:9090"), ("grafana", "http://grafana.example:3000")):
        words = f"--{name}.url: should be a URL with a host, such as {example}, got 'nowhere'"
        assert found[name] == ("fail", words, "")


@pytest.fixture
def grafana(httpserver: HTTPServer) -> dict[str, Any]:
    """Return what a stand-in answers, by path, in the shapes of Grafana 11; a number is a status."""
    answers: dict[str, Any] = {
        "/api/health": {"database": "ok", "version": "11.2.0"},
        "/api/datasources": [{"uid": "p", "name": "Sonnen", "type": "prometheus"}],
        "/api/datasources/uid/p/health": {"status": "OK", "message": "Successfully queried the Prometheus API."},
        "/api/search": [{"uid": f"sonnen-{name}", "tags": ["sonnen", f"sonnen-{RELEASE}"]} for name in DASHBOARDS],
    }

    def respond(request: Request) -> Response:
        answer = answers[request.path]
        return Response(status=answer) if isinstance(answer, int) else Response(json.dumps(answer))

    for path in answers:
        httpserver.expect_request(path).respond_with_handler(respond)
    return answers


@pytest.mark.usefixtures("grafana")
def test_a_grafana_with_everything_is_ok(doctor: Doctor, httpserver: HTTPServer) -> None:
    found = doctor(battery(9), "--grafana", httpserver.url_for(""))

    assert [found[f"grafana{part}"][0] for part in ("", " data source Sonnen", " dashboards")] == ["ok"] * 3


@pytest.mark.parametrize(
    ("path", "answer", "check", "status", "words"),
    [
        ("/api/health", 500, "grafana", "fail", "answered 500"),
        ("/api/health", [], "grafana", "ok", "does not tell its version"),
        ("/api/datasources", [], "grafana data source", "fail", "there is none of type Prometheus"),
        ("/api/datasources", 403, "grafana data source", "skipped", "it asks for a login"),
        ("/api/datasources/uid/p/health", 400, "grafana data source Sonnen", "fail", "answered 400"),
        (
            "/api/search",
            [{"uid": "sonnen-now", "tags": [f"sonnen-{RELEASE}"]}],
            "grafana dashboards",
            "warn",
            "not there: sonnen-battery, ",
        ),
        (
            "/api/search",
            [{"uid": f"sonnen-{name}", "tags": ["sonnen"]} for name in DASHBOARDS],
            "grafana dashboards",
            "warn",
            "of another release: sonnen-battery, ",
        ),
        ("/api/search", 401, "grafana dashboards", "fail", "it asks for a login"),
    ],
)
def test_what_a_grafana_lacks_is_named(
    doctor: Doctor,
    grafana: dict[str, Any],
    httpserver: HTTPServer,
    path: str,
    answer: object,
    check: str,
    status: str,
    words: str,
) -> None:
    grafana[path] = answer
    found = doctor(battery(9), "--grafana", httpserver.url_for(""))

    assert (found[check][0], words in found[check][1]) == (status, True)


@pytest.mark.parametrize(
    ("gap", "status", "words"),
    [
        (5, "ok", "a sample every 5 s"),
        (16, "warn", "charts lack detail"),
        (28, "fail", "the rules take what is older than 30 s for dead"),
        (None, "warn", "a single sample in three minutes"),
    ],
)
def test_a_scrape_that_is_too_slow_for_the_rules_is_named(  # which takes a real one minutes to show
    doctor: Doctor, httpserver: HTTPServer, gap: int | None, status: str, words: str
) -> None:
    values = [[0, "1"]] + ([] if gap is None else [[gap, "1"], [2 * gap, "1"]])
    answers: dict[str, object] = {
        "/api/v1/status/buildinfo": {"version": "2.42.0"},
        "/api/v1/query": {"result": [{"metric": {}, "values": values}]},
    }
    for path, data in answers.items():
        httpserver.expect_request(path).respond_with_json({"status": "success", "data": data})
    found = doctor(battery(9), "--prometheus", httpserver.url_for(""))["prometheus scrape home"]

    assert (found[0], words in found[1]) == (status, True)


def test_rules_and_dashboards_say_the_release_that_doctor_asks_for() -> None:
    repository = Path(__file__).parents[2]
    boards = {file.stem: json.loads(file.read_text()) for file in (repository / "grafana/dashboards").glob("*.json")}
    assert {f"sonnen-{name}" for name in DASHBOARDS} <= boards.keys()
    assert {tuple(board["tags"]) for board in boards.values()} == {("sonnen", f"sonnen-{RELEASE}")}
    for file in (repository / "prometheus/rules").glob("*.yml"):
        rules = [rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
        (loaded,) = [rule for rule in rules if rule.get("record", "").endswith(":loaded")]
        assert loaded["labels"] == {"release": RELEASE}
