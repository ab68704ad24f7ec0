import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from sonnen_agent.battery import BatteryOptions
from sonnen_agent.config.load import Config, load_config
from sonnen_agent.destination import Destination, Secret
from sonnen_agent.outputs import pull, pushgateway, remote_write

SMALLEST = "batteries: [{name: home, url: http://192.168.1.20}] and pushgateway: {url: http://gateway.example:9091}"
BATTERIES = "batteries: [{name: home, url: http://192.168.1.20}]\n"
PUSHGATEWAY = "pushgateway: {url: http://gateway.example:9091}\n"

Load = Callable[[str], Config]
Problems = Callable[[str], list[str]]


def secret_file(path: Path, text: str = "hunter2\n") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def destination(config: Config, output: str) -> Destination:
    options = config.outputs[output]
    assert isinstance(options, pushgateway.Options | remote_write.Options)
    return options.destination


def test_the_smallest_config_has_every_default(load: Load) -> None:
    assert load(BATTERIES + PUSHGATEWAY) == Config(
        interval_seconds=5,
        timezone=None,
        state_directory=Path("/var/lib/sonnen-agent"),
        tariffs=None,
        batteries=(
            BatteryOptions(name="home", destination=Destination(url="http://192.168.1.20"), token=None, labels={}),
        ),
        outputs={
            "pushgateway": pushgateway.Options(
                destination=Destination(
                    url="http://gateway.example:9091",
                    username=None,
                    password=None,
                    bearer_token=None,
                    ca_file=None,
                ),
                job="sonnen",
                on_stop="counters",
                compression="gzip",
            )
        },
        relays=(),
    )


def test_a_small_config_brings_nothing_into_memory_that_it_does_not_use(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_text(BATTERIES + PUSHGATEWAY)
    program = (
        "import sys; from pathlib import Path; from sonnen_agent.commands import run\n"
        "from sonnen_agent.config.load import load_config; load_config(Path(sys.argv[1]), None); print(*sys.modules)"
    )
    command = [sys.executable, "-c", program, str(file)]
    modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    unused = {"config.tariffs", "energy.tariffs", "relay", "outputs.remote_write", "outputs.pull", "commands.check"}
    assert {f"sonnen_agent.{name}" for name in unused}.isdisjoint(modules)


def test_every_key_arrives_where_it_belongs(load: Load, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    secret_file(tmp_path / "garage.token", "t0ken\n")
    secret_file(tmp_path / "gateway.password")
    config = load("""
interval_seconds: 2.5
batteries:
  - {name: home, url: "http://192.168.1.20:8080"}
  - name: Küche ☀
    url: https://[fd00::20]/proxied
    token_file: garage.token
    labels: {host: sonnen-a, sn: Psb12345}
pushgateway:
  url: https://gateway.example:9091/some/prefix
  job: house
  username: pi
  password_file: gateway.password
  ca_file: ca.pem
  on_stop: keep
  compression: none
pull: {listen: "[::1]:9422"}
""")
    assert config == Config(
        interval_seconds=2.5,
        batteries=(
            BatteryOptions(name="home", destination=Destination(url="http://192.168.1.20:8080")),
            BatteryOptions(
                name="Küche ☀",
                destination=Destination(url="https://[fd00::20]/proxied"),
                token=Secret("t0ken"),
                labels={"host": "sonnen-a", "sn": "Psb12345"},
            ),
        ),
        outputs={
            "pushgateway": pushgateway.Options(
                destination=Destination(
                    url="https://gateway.example:9091/some/prefix",
                    username="pi",
                    password=Secret("hunter2"),
                    ca_file=tmp_path / "ca.pem",
                ),
                job="house",
                on_stop="keep",
                compression="none",
            ),
            "pull": pull.Options(host="::1", port=9422),
        },
    )
    assert config.job == "house"


def test_a_key_without_a_value_is_as_good_as_none(load: Load) -> None:
    config = load(
        "interval_seconds:\nbatteries: [{name: home, url: http://192.168.1.20, token_file: null, labels: }]\n"
        "pushgateway: {url: http://gateway.example:9091, job: , bearer_token_file: null, ca_file: null, on_stop: }\n"
        "pull: null\n"
    )
    assert config == load(BATTERIES + PUSHGATEWAY)


def test_the_pull_page_alone_is_sink_enough(load: Load) -> None:
    config = load(BATTERIES + "pull: {listen: 127.0.0.1:9422}\n")
    assert config.outputs == {"pull": pull.Options(host="127.0.0.1", port=9422)}
    assert config.job == "sonnen"


def test_a_config_from_windows_is_read_alike(load: Load) -> None:
    assert load("\ufeff" + (BATTERIES + PUSHGATEWAY).replace("\n", "\r\n")) == load(BATTERIES + PUSHGATEWAY)


def test_an_agent_is_called_as_its_config_says_else_like_its_host(load: Load) -> None:
    assert load(BATTERIES + PUSHGATEWAY).name == socket.gethostname()
    relay = "relay: [{url: http://127.0.0.1:9100/metrics, job: node}]\n"
    config = load(f"name: pi-cottage\n{BATTERIES}{PUSHGATEWAY}{relay}")
    assert {(key.job, key.instance) for key in config.group_keys()} == {
        ("sonnen", "home"),
        ("sonnen_agent", "pi-cottage"),
        ("node", "pi-cottage"),
    }


def test_remote_write_keeps_the_query_of_its_url(load: Load) -> None:
    url = "http://database.example:8428/api/v1/write?extra_label=site%3Dhome&db=solar"
    assert destination(load(f"{BATTERIES}remote_write: {{url: '{url}'}}\n"), "remote_write").url == url


@pytest.mark.parametrize("key", ["p", "PASSWORD", "token", "access_token", "api-key", "X-Amz-Signature"])
def test_a_secret_in_a_query_is_refused_without_being_shown(problems: Problems, key: str) -> None:
    (problem,) = problems(f"{BATTERIES}remote_write: {{url: 'http://a.example/write?db=solar&{key}=hunter2'}}\n")
    assert problem == (
        "remote_write.url: holds a secret behind the ? (not shown here); remove it, and log in with username and "
        "password_file, or with bearer_token_file"
    )


def test_a_gateway_and_a_battery_have_no_query(problems: Problems) -> None:
    assert problems("batteries: [{name: home, url: 'http://a?b=c'}]\npushgateway: {url: 'http://a?b=c'}\n") == [
        f"{key}.url: should end after the host, the port or a path; remove the ? or # and what follows"
        for key in ("batteries[0]", "pushgateway")
    ]


def test_a_relative_path_is_relative_to_the_config_file_wherever_the_agent_runs(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret_file(tmp_path / "secrets/home.token", "t0ken")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    config = load(
        "batteries: [{name: home, url: http://192.168.1.20, token_file: secrets/home.token}]\n" + PUSHGATEWAY,
    )
    assert config.batteries[0].token == Secret("t0ken")


def test_an_absolute_path_stays_as_it_is(load: Load, tmp_path: Path) -> None:
    token = secret_file(tmp_path / "secrets/home.token", "t0ken")
    config = load(f"batteries: [{{name: home, url: http://192.168.1.20, token_file: {token}}}]\n{PUSHGATEWAY}")
    assert config.batteries[0].token == Secret("t0ken")


def test_systemd_credentials_are_found_by_their_names(load: Load, tmp_path: Path) -> None:
    secret_file(tmp_path / "credentials/token-home", "t0ken\n")
    secret_file(tmp_path / "credentials/token-garage", "t1ken\n")
    secret_file(tmp_path / "credentials/pushgateway-password")
    config = load("""
batteries:
  - {name: home, url: http://192.168.1.20}
  - {name: garage, url: http://192.168.1.21}
  - {name: garden, url: http://192.168.1.22}
pushgateway: {url: http://gateway.example:9091, username: pi}
""")
    assert [battery.token for battery in config.batteries] == [Secret("t0ken"), Secret("t1ken"), None]
    assert destination(config, "pushgateway").password == Secret("hunter2")


def test_the_files_of_a_folder_that_the_unit_loads_are_credentials_too(load: Load, tmp_path: Path) -> None:
    # systemd puts the credential's name and an underscore before the name of each file of a folder.
    secret_file(tmp_path / "credentials/secrets_token-home", "t0ken\n")
    secret_file(tmp_path / "credentials/secrets_pushgateway-bearer-token", "b3arer\n")
    config = load(f"batteries: [{{name: home, url: http://192.168.1.20}}]\n{PUSHGATEWAY}")
    assert config.batteries[0].token == Secret("t0ken")
    assert destination(config, "pushgateway").bearer_token == Secret("b3arer")


@pytest.mark.parametrize(
    ("login", "username", "password", "bearer_token"),
    [
        ("username: pi", "pi", Secret("hunter2"), None),
        ("", None, None, Secret("b3arer")),
    ],
)
def test_of_the_credentials_for_two_ways_to_log_in_that_of_the_config_counts(
    load: Load, tmp_path: Path, login: str, username: str | None, password: Secret | None, bearer_token: Secret | None
) -> None:
    # One is left over from before.
    for name in ("pushgateway", "remote-write"):
        secret_file(tmp_path / f"credentials/secrets_{name}-password", "hunter2\n")
        secret_file(tmp_path / f"credentials/secrets_{name}-bearer-token", "b3arer\n")

    config = load(
        f"{BATTERIES}pushgateway: {{url: http://gateway.example, {login}}}\n"
        f"remote_write: {{url: http://prometheus.example/api/v1/write, {login}}}\n"
    )

    for name in ("pushgateway", "remote_write"):
        way = destination(config, name)
        assert (way.username, way.password, way.bearer_token) == (username, password, bearer_token)


def test_a_file_that_the_config_names_goes_before_a_credential(load: Load, tmp_path: Path) -> None:
    secret_file(tmp_path / "credentials/token-home", "from-systemd")
    secret_file(tmp_path / "home.token", "from-the-file")
    config = load("batteries: [{name: home, url: http://192.168.1.20, token_file: home.token}]\n" + PUSHGATEWAY)
    assert config.batteries[0].token == Secret("from-the-file")


def test_a_battery_whose_name_is_no_file_name_has_no_credential(load: Load, tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    secret_file(tmp_path / "credentials/token-home/west")
    config = load("batteries: [{name: home/west, url: http://192.168.1.20}]\n" + PUSHGATEWAY)
    assert config.batteries[0].token is None


def test_a_name_too_long_for_a_file_has_no_credential(load: Load, tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    config = load(f"batteries: [{{name: {'n' * 300}, url: http://192.168.1.20}}]\n{PUSHGATEWAY}")
    assert config.batteries[0].token is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", f"is empty; the smallest config is {SMALLEST}"),
        ("# only a comment\n", f"is empty; the smallest config is {SMALLEST}"),
        ("- batteries\n", f"should be a mapping of keys, got a list; write {SMALLEST}"),
        (
            "batteries:\n\t- name: home\n",
            r"line 2, column 1: found character '\t' that cannot start any token; indent with spaces, not with tabs",
        ),
        ("batteries: [\n", "line 2, column 1: expected the node content, but found '<stream end>'"),
        ("interval_seconds: 5: 6\n", "line 1, column 20: mapping values are not allowed here"),
        (
            BATTERIES + PUSHGATEWAY + "batteries: []\n",
            "line 3, column 1: the key 'batteries' stands twice; keep one of the two",
        ),
        (
            BATTERIES + "pushgateway:\n  url: http://a.example\n  job: sonnen\n  url: http://b.example\n",
            "line 5, column 3: the key 'url' stands twice; keep one of the two",
        ),
    ],
)
def test_a_file_that_is_not_a_yaml_mapping_is_refused_with_the_place(
    problems: Problems, text: str, problem: str
) -> None:
    assert problems(text) == [problem]


def test_a_battery_that_may_take_longer_than_its_beat_is_named_with_what_fits(problems: Problems) -> None:
    slow = "batteries: [{name: home, url: http://192.168.1.20, timeout_seconds: 6}]\n"

    assert problems(slow + PUSHGATEWAY) == [
        "batteries[0].timeout_seconds: should be at most 4.5, which an interval_seconds of 5 leaves, got 6"
    ]


@pytest.mark.parametrize("value", ["0x_", "!!int five", "!!bool maybe", "!!timestamp soon"])
def test_a_value_that_yaml_cannot_make_sense_of_is_refused_with_the_place(problems: Problems, value: str) -> None:
    (problem,) = problems(f"interval_seconds: {value}\n{BATTERIES}{PUSHGATEWAY}")
    assert problem.startswith("line 1, column 19: ")


def test_objects_of_python_are_refused(problems: Problems, tmp_path: Path) -> None:
    (problem,) = problems(f"batteries: !!python/object/apply:os.mkdir [{tmp_path / 'made'}]\n")
    assert problem.startswith("line 1, column 12: ")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("interval_seconds: often", "interval_seconds: should be a number from 1 to 3600, got 'often'"),
        ("interval_seconds: '5'", "interval_seconds: should be a number from 1 to 3600, got '5'"),
        ("interval_seconds: true", "interval_seconds: should be a number from 1 to 3600, got True"),
        ("interval_seconds: 0", "interval_seconds: should be a number from 1 to 3600, got 0"),
        ("interval_seconds: 0.9", "interval_seconds: should be a number from 1 to 3600, got 0.9"),
        ("interval_seconds: -5", "interval_seconds: should be a number from 1 to 3600, got -5"),
        ("interval_seconds: 3601", "interval_seconds: should be a number from 1 to 3600, got 3601"),
        ("interval_seconds: .nan", "interval_seconds: should be a number from 1 to 3600, got nan"),
        ("interval_seconds: .inf", "interval_seconds: should be a number from 1 to 3600, got inf"),
        ("interval_seconds: [5]", "interval_seconds: should be a number from 1 to 3600, got a list"),
        ("intervall_seconds: 5", "intervall_seconds: unknown key; did you mean 'interval_seconds'? known here are "),
        ("interval: 5", "interval: unknown key; did you mean 'interval_seconds'? known here are "),
        ("xyz: 5", "xyz: unknown key; known here are interval_seconds, timezone, state_directory, batteries, "),
        ("name: 7", "name: should be text, got 7; put it into quotes"),
        ("7: 5", "7: unknown key; known here are interval_seconds, timezone, state_directory, batteries, "),
        (
            "state_directory: ~/kept",
            "state_directory: should be written out from / on, as ~ is only a shell's, got '~/kept'",
        ),
        ("pull: 9422", "pull: should be a mapping of keys, got 9422"),
        ("pull: {}", "pull.listen: is missing; write for example listen: 127.0.0.1:9422"),
        ("pull: {listen: 9422}", "pull.listen: should be text, got 9422"),
        *(
            (
                f"pull: {{listen: '{address}'}}",
                f"pull.listen: should be an address and a port, such as 127.0.0.1:9422, got '{address}'",
            )
            for address in ("127.0.0.1", "127.0.0.1:", ":9422", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:-1", "a:b")
        ),
    ],
)
def test_a_bad_value_at_the_top_is_named_with_the_fix(problems: Problems, text: str, expected: str) -> None:
    (problem,) = problems(f"{BATTERIES}{PUSHGATEWAY}{text}\n")
    assert problem.startswith(expected)


@pytest.mark.parametrize("seconds", ["1", "3600", "59.5"])
def test_every_interval_from_a_second_to_an_hour_is_fine(load: Load, seconds: str) -> None:
    assert load(f"{BATTERIES}{PUSHGATEWAY}interval_seconds: {seconds}\n").interval_seconds == float(seconds)


@pytest.mark.parametrize(
    ("battery", "expected"),
    [
        ("{url: http://a}", "name: is missing; write for example name: home"),
        ("{name: , url: http://a}", "name: is missing; write for example name: home"),
        ("{name: 1, url: http://a}", "name: should be text, got 1; put it into quotes"),
        ("{name: '  ', url: http://a}", "name: should be printable text, got '  '"),
        (r'{name: "a\nb", url: http://a}', r"name: should be printable text, got 'a\nb'"),
        ("{name: home}", "url: is missing; write for example url: http://192.168.1.20"),
        ("{name: home, url: 20}", "url: should be text, got 20; put it into quotes"),
        ("{name: home, ulr: a, url: http://a}", "ulr: unknown key; did you mean 'url'? known here are name, url, "),
        ("{name: home, url: http://a, labels: host}", "labels: should be a mapping of keys, got 'host'"),
        (
            "{name: home, url: http://a, labels: {sn: 12345}}",
            "labels.sn: should be text, got 12345; put it into quotes",
        ),
        ("{name: home, url: http://a, labels: {sn: true}}", "labels.sn: should be text, got True; put it into quotes"),
        ("{name: home, url: http://a, labels: {sn: 1.5}}", "labels.sn: should be text, got 1.5; put it into quotes"),
        ("{name: home, url: http://a, labels: {sn: [a]}}", "labels.sn: should be text, got a list; put it into quotes"),
        ("{name: home, url: http://a, labels: {sn: ''}}", "labels.sn: should be printable text, got ''"),
        (
            "{name: home, url: http://a, labels: {serial-number: x}}",
            "labels.serial-number: is no label name; use letters, digits and underscores",
        ),
        (
            "{name: home, url: http://a, labels: {__name__: x}}",
            "labels.__name__: is no label name; use letters, digits and underscores",
        ),
        (
            "{name: home, url: http://a, labels: {größe: x}}",
            "labels.größe: is no label name; use letters, digits and underscores",
        ),
        *(
            (
                f"{{name: home, url: http://a, labels: {{{label}: x}}}}",
                f"labels.{label}: is a label that the agent sets itself; choose another name",
            )
            for label in ("job", "instance", "phase", "meter", "endpoint", "from", "generation")
        ),
    ],
)
def test_a_bad_key_of_a_battery_is_named_with_its_place_and_the_fix(
    problems: Problems, battery: str, expected: str
) -> None:
    (problem,) = problems(
        f"batteries:\n  - {{name: other, url: http://192.168.1.20}}\n  - {battery}\n{PUSHGATEWAY}",
    )
    assert problem.startswith(f"batteries[1].{expected}")


@pytest.mark.parametrize("label", ["1", "on", "null"])
def test_a_label_name_that_is_no_text_is_refused_with_the_fix(problems: Problems, label: str) -> None:
    (problem,) = problems(f"batteries: [{{name: home, url: http://a, labels: {{{label}: x}}}}]\n{PUSHGATEWAY}")
    assert problem.startswith("batteries[0].labels.")
    assert "unknown key" not in problem
    assert "put it into quotes" in problem


def test_a_label_without_a_value_is_refused(problems: Problems) -> None:
    # What a forgotten space behind a colon makes of a label.
    (problem,) = problems("batteries: [{name: home, url: http://a, labels: {sn:Psb12345}}]\n" + PUSHGATEWAY)
    assert problem.startswith("batteries[0].labels.sn:Psb12345: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", f"batteries: is missing; the smallest config is {SMALLEST}"),
        ("batteries:", f"batteries: is missing; the smallest config is {SMALLEST}"),
        ("batteries: []", f"batteries: is missing; the smallest config is {SMALLEST}"),
        ("batteries: {name: home}", "batteries: should be a list; start each entry with '- '"),
        ("batteries: home", "batteries: should be a list; start each entry with '- '"),
        ("batteries: [http://192.168.1.20]", "batteries[0]: should be a mapping of keys, got 'http://192.168.1.20'"),
        ("batteries: [null]", "batteries[0]: should be a mapping of keys, got None"),
    ],
)
def test_a_config_without_a_proper_battery_is_refused(problems: Problems, text: str, expected: str) -> None:
    assert problems(f"{PUSHGATEWAY}{text}\n") == [expected]


def test_two_batteries_of_one_name_are_refused(problems: Problems) -> None:
    assert problems(
        "batteries: [{name: home, url: http://a}, {name: garage, url: http://b}, {name: home, url: http://c}]\n"
        + PUSHGATEWAY
    ) == ["batteries[2].name: 'home' is the name of another battery, too; rename one"]


def test_a_config_without_a_sink_is_refused(problems: Problems) -> None:
    (problem,) = problems(BATTERIES)
    assert (
        problem == f"pushgateway: is missing, and so are remote_write and pull: say where the readings go; {SMALLEST}"
    )


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("on_stop: delet", "on_stop: should be counters or delete or keep, got 'delet'"),
        ("on_stop: off", "on_stop: should be counters or delete or keep, got False"),
        ("compression: zstd", "compression: should be gzip or none, got 'zstd'"),
        ("compression: false", "compression: should be gzip or none, got False"),
        ("job: 7", "job: should be text, got 7; put it into quotes"),
        ("job: ''", "job: should be printable text, got ''"),
        ("onstop: keep", "onstop: unknown key; did you mean 'on_stop'? known here are url, username, "),
        ("username: pi", "password_file: is missing; a user name and a password file go together"),
        ("password_file: good", "username: is missing; a user name and a password file go together"),
        ("username: 7, password_file: good", "username: should be text, got 7; put it into quotes"),
        (
            "username: pi, password_file: good, bearer_token_file: good",
            "bearer_token_file: and username exclude each other; keep one way to log in",
        ),
        (
            "ca_file: none.pem",
            "ca_file: cannot use '{folder}/none.pem': No such file or directory; name a file in PEM form",
        ),
        ("ca_file: .", "ca_file: cannot use '{folder}': it is no regular file; name a file in PEM form"),
        ("ca_file: good", "ca_file: cannot use '{folder}/good': it holds no certificate in PEM form"),
    ],
)
def test_a_bad_key_of_the_gateway_is_named_with_the_fix(
    problems: Problems, tmp_path: Path, keys: str, expected: str
) -> None:
    secret_file(tmp_path / "good")
    (problem,) = problems(f"{BATTERIES}pushgateway: {{url: http://gateway.example:9091, {keys}}}\n")
    assert problem.startswith(f"pushgateway.{expected.format(folder=tmp_path)}")


def test_all_problems_of_a_file_are_told_at_once(problems: Problems, tmp_path: Path) -> None:
    found = problems("""
intervall_seconds: 10
interval_seconds: often
batteries:
  - {name: home, url: "http://"}
  - {name: home, url: http://192.168.1.21, token: hunter2, labels: {job: x, sn: 5}}
  - garage
pushgateway: {url: gateway.example, username: pi, password_file: none.password, on_stop: never, ca_file: none.pem}
pull: {listen: "9422"}
""")
    assert [problem.split(": ")[0] for problem in sorted(found)] == [
        "batteries[0].url",
        "batteries[1].labels.job",
        "batteries[1].labels.sn",
        "batteries[1].name",
        "batteries[1].token",
        "batteries[2]",
        "interval_seconds",
        "intervall_seconds",
        "pull.listen",
        "pushgateway.ca_file",
        "pushgateway.on_stop",
        "pushgateway.password_file",
        "pushgateway.url",
    ]
    assert f"pushgateway.password_file: cannot read '{tmp_path / 'none.password'}': " in "\n".join(found)
    assert "hunter2" not in "\n".join(found)


@pytest.mark.parametrize(
    ("key", "file_key", "text"),
    [
        (
            "batteries[0].token",
            "token_file",
            "batteries: [{name: home, url: http://a, token: hunter2}]\n" + PUSHGATEWAY,
        ),
        *(
            (f"pushgateway.{key}", f"{key}_file", f"{BATTERIES}pushgateway: {{url: http://a, {key}: hunter2}}\n")
            for key in ("password", "bearer_token")
        ),
    ],
)
def test_a_secret_inside_the_file_is_refused_with_the_way_out_and_never_shown(
    problems: Problems, key: str, file_key: str, text: str
) -> None:
    assert problems(text) == [
        (
            f"{key}: a secret does not belong into this file; "
            f"put it into a file of its own (chmod 600) and write {file_key}: with its path"
        )
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("hunter2\n", id="the-token-file-itself-given-as-the-config"),
        pytest.param("424242hunter2\n", id="the-same-beginning-with-digits"),
        pytest.param(BATTERIES + PUSHGATEWAY + "token: hunter2\n", id="at-the-top"),
        pytest.param(BATTERIES + "pushgateway: {url: http://a, passwort: hunter2}\n", id="misspelt-key"),
        pytest.param(BATTERIES + "pushgateway: {url: http://a, password: [hunter2]}\n", id="in-a-list"),
        pytest.param(BATTERIES + "pushgateway: {url: http://a, password: *hunter2 }\n", id="begins-like-an-alias"),
        pytest.param(BATTERIES + "pushgateway: {url: http://a, password: !hunter2 }\n", id="begins-like-a-tag"),
        pytest.param(BATTERIES + "pushgateway: {url: http://a, password: !hunter2!x }\n", id="begins-like-a-handle"),
        pytest.param(BATTERIES + "pushgateway: http://pi:hunter2@gateway.example\n", id="url-instead-of-keys"),
        pytest.param(PUSHGATEWAY + "batteries: [http://pi:hunter2@192.168.1.20]\n", id="url-instead-of-a-battery"),
        pytest.param(BATTERIES + "pushgateway: {url: http://a, password: '%hunter2}\n", id="quote-left-open"),
        pytest.param(BATTERIES + "pushgateway: {url: http://a, headers: {Auth: hunter2}}\n", id="in-a-header"),
        *(
            pytest.param(f"{BATTERIES}pushgateway: {{url: '{url}'}}\n", id=url)
            for url in (
                "http://pi:hunter2@gateway.example",
                "http://hunter2@gateway.example",
                "http://:hunter2@gateway.example",
                "pi:hunter2@gateway.example:9091",
                "http://pi:hunter2@gateway.example:99999",
                "http://pi:hunter2@[gateway.example",
                "http://pi:hunter2/2@gateway.example",
                "http://pi:hunter2#2@gateway.example",
                "ftp://pi:hunter2@gateway.example",
                "http://pi:hunter2@gateway.example\n\n",
                "http://gateway.example/?key=hunter2",
                "http://gateway.example/#hunter2",
            )
        ),
    ],
)
def test_no_message_shows_a_secret(problems: Problems, text: str) -> None:
    found = problems(text)
    assert found
    assert "hunter2" not in "\n".join(found)


def test_a_user_name_in_a_url_is_refused_with_the_way_out(problems: Problems) -> None:
    assert problems(BATTERIES + "pushgateway: {url: 'http://pi:hunter2@gateway.example:9091'}\n") == [
        "pushgateway.url: holds a user name or password; write the URL without them and use a file of its own"
    ]


def test_a_loaded_config_does_not_show_its_secrets(load: Load, tmp_path: Path) -> None:
    secret_file(tmp_path / "secret")
    config = load(
        "batteries: [{name: home, url: http://a, token_file: secret}]\n"
        "pushgateway: {url: http://a, username: pi, password_file: secret}\n"
    )
    assert config.batteries[0].token is not None
    assert config.batteries[0].token.reveal() == "hunter2"
    assert "hunter2" not in repr(config)
    assert "hunter2" not in str(config)


def test_the_state_directory_is_systemds_unless_the_config_names_one(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_text(BATTERIES + PUSHGATEWAY)
    assert load_config(file, None, Path("/var/lib/private/x")).state_directory == Path("/var/lib/private/x")
    assert load_config(file, None).state_directory == Path("/var/lib/sonnen-agent")
    file.write_text(BATTERIES + PUSHGATEWAY + "state_directory: kept\n")
    assert load_config(file, None, Path("/var/lib/private/x")).state_directory == tmp_path / "kept"


def test_remote_write_is_read_with_what_it_takes(load: Load, tmp_path: Path) -> None:
    secret_file(tmp_path / "rw.password")
    config = load(
        "batteries: [{name: home, url: 'http://192.168.1.20'}]\n"
        "remote_write: {url: 'https://mimir.example/api/v1/push', username: pi, password_file: rw.password,\n"
        "  headers: {X-Scope-OrgID: home}, external_labels: {site: home}, spool_max_bytes: 1048576}\n"
    )
    assert config.outputs["remote_write"] == remote_write.Options(
        destination=Destination(
            url="https://mimir.example/api/v1/push",
            username="pi",
            password=Secret("hunter2"),
        ),
        headers={"X-Scope-OrgID": "home"},
        external_labels={"site": "home"},
        spool_max_bytes=1048576,
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("headers: {Authorization: x}", "remote_write.headers.Authorization: is a header that the agent sets itself"),
        ("headers: {'a b': x}", "remote_write.headers.a b: is no header name; use letters, digits and dashes"),
        ("external_labels: {job: x}", "remote_write.external_labels.job: is a label that the agent sets itself"),
        ("external_labels: {sink: x}", "remote_write.external_labels.sink: is a label that the agent sets itself"),
        ("spool_max_bytes: 5", "remote_write.spool_max_bytes: should be a number from 1048576 to 1099511627776, got 5"),
    ],
)
def test_bad_remote_write_is_named_with_the_fix(problems: Problems, text: str, problem: str) -> None:
    (found,) = problems(
        "batteries: [{name: home, url: 'http://192.168.1.20'}]\n"
        f"remote_write: {{url: 'http://prometheus.example/api/v1/write', {text}}}\n"
    )
    assert found.startswith(problem)
