"""The agent as a service: installed as systemd/README.md says, on a machine that boots Debian."""

import errno
import json
import re
import shutil
import subprocess
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from machines import Machine
from passages import Passage
from programs import ServerError, wait_until
from prometheus_client.parser import text_string_to_metric_families
from servers import Prometheus, Simulator
from units import Unit

pytestmark = pytest.mark.system

_REPOSITORY = Path(__file__).parents[3]
_USERNAME, _PASSWORD = "pi", "a-made-up-password"
_PASSWORD_BCRYPT = "$2b$04$VLXbfKjsiB23wwVxR6wnfeODdqBminXfcch7hZ.Ito6S1nxKJ3UH6"
_CONFIG = "/etc/sonnen-agent/config.yml"
_DROP_IN = "/run/systemd/system/sonnen-agent.service.d/test.conf"


class Gateway:
    """Debian's Pushgateway on the central machine, which asks for a password."""

    def __init__(self, machine: Machine) -> None:
        machine.run("apt-get update && apt-get install --no-install-recommends -y prometheus-pushgateway", seconds=300)
        machine.write("/etc/prometheus/pushgateway-web.yml", f"basic_auth_users: {{{_USERNAME}: {_PASSWORD_BCRYPT}}}\n")
        flag = "--web.config.file=/etc/prometheus/pushgateway-web.yml"
        machine.write("/etc/default/prometheus-pushgateway", f'ARGS="{flag}"\n')
        machine.run("systemctl restart prometheus-pushgateway")
        self.address = machine.address
        self.port = 9091
        wait_until(lambda: self.values("go_info") != {}, "an answer of the Pushgateway")

    def values(self, pattern: str) -> dict[str, float]:
        """Return the series whose names match, as they would stand on the page."""
        credentials = b64encode(f"{_USERNAME}:{_PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"http://{self.address}:{self.port}/metrics", headers={"Authorization": f"Basic {credentials}"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=5) as response:
                page = response.read().decode()
        except OSError:
            return {}
        return {
            f"{sample.name}{json.dumps(sample.labels, sort_keys=True)}": sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if re.fullmatch(pattern, sample.name)
        }

    def value(self, name: str) -> float:
        """Return the value of the one series with this name; NaN when there is none."""
        return next(iter(self.values(name).values()), float("nan"))

    def pushed_at(self) -> float:
        return max(self.values("push_time_seconds").values(), default=0)


@dataclass(kw_only=True)
class Service:
    """The installed agent, and what is around it."""

    pi: Machine
    unit: Unit
    gateway: Gateway
    battery: Simulator
    to_battery: Passage
    to_gateway: Passage

    def config(self, more: str = "") -> str:
        return f"""\
interval_seconds: 1
batteries:
  - {{name: home, url: "{self.to_battery.url}"}}
pushgateway:
  url: {self.to_gateway.url}
  username: {_USERNAME}
{more}"""

    def restore(self) -> None:
        """Make it again what it was when it was installed, and running."""
        changed = self.pi.run(f"cat {_CONFIG}").stdout != self.config()
        if changed or self.pi.run(f"test -e {_DROP_IN}", check=False).returncode == 0:
            self.pi.run(f"rm -rf {Path(_DROP_IN).parent}; systemctl daemon-reload; systemctl stop sonnen-agent")
            self.pi.write(_CONFIG, self.config())
        self.pi.run("systemctl start sonnen-agent")

    def counters(self) -> dict[str, float]:
        return self.gateway.values("sonnen_(?!agent_).*_total")

    def wait_for_push(self) -> None:
        """Return when the gateway has values that were read after this was called."""
        before = self.gateway.value("sonnen_observed_seconds_total")
        wait_until(lambda: self.gateway.value("sonnen_observed_seconds_total") > before + 1, "a push")


@pytest.fixture(scope="module")
def service(pi: Machine, central: Machine, machine_folder: Path) -> Iterator[Service]:
    with ExitStack() as running:
        # What is read changes all the time, and the counters run fast enough to see each step back.
        battery = running.enter_context(Simulator(machine_folder, options=["--start=2026-06-21T11:00:00"]))
        gateway = Gateway(central)
        service = Service(
            pi=pi,
            unit=Unit(pi, "sonnen-agent.service"),
            gateway=gateway,
            battery=battery,
            to_battery=pi.reach("127.0.0.1", battery.port),
            to_gateway=pi.reach(gateway.address, gateway.port),
        )
        _install(service, machine_folder / "clone")
        yield service


def _install(service: Service, clone: Path) -> None:
    """Follow systemd/README.md to the letter."""
    kept = subprocess.run(
        ["git", "-C", _REPOSITORY, "ls-files", "-z", "agent", "systemd", "*.cfg", "*.toml", "README.md", "LICENSE"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    for name in kept.split("\0")[:-1]:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_REPOSITORY / name, clone / name)
    service.pi.copy(clone, "/root/clone")
    # Every user has got these lists already.
    service.pi.run("apt-get update", seconds=300)
    commands = readme_commands()
    assert len(commands) >= 5
    for command in commands[:5]:
        if command == "sudo systemctl enable --now sonnen-agent":
            service.pi.write(_CONFIG, service.config())
            service.pi.write("/etc/sonnen-agent/secrets/token-home", f"{service.battery.token}\n", mode="0600")
            service.pi.write("/etc/sonnen-agent/secrets/pushgateway-password", f"{_PASSWORD}\n", mode="0600")
        service.pi.run(f"cd /root/clone && {command.replace('apt install', 'apt-get install -y')}", seconds=300)


def readme_commands() -> list[str]:
    readme = (_REPOSITORY / "systemd/README.md").read_text()
    return re.findall(r"^\$ (sudo .*)$", readme, re.MULTILINE)


def readme_row(what: str) -> str:
    """Return the command that the table has for it."""
    (command,) = re.findall(rf"^\| {what} \| `(.*?)`", (_REPOSITORY / "systemd/README.md").read_text(), re.MULTILINE)
    assert isinstance(command, str)
    return command


@pytest.fixture
def unit(service: Service) -> Iterator[Unit]:
    """Return the running service, with the config it was installed with."""
    cursor = service.unit.cursor()
    yield service.unit
    # pytest shows it where the test has failed.
    print("\n".join(service.unit.journal(after=cursor)))  # noqa: T201 # for pytest
    service.restore()


def test_it_is_ready_and_says_how_it_is(service: Service, unit: Unit) -> None:
    assert unit.show("ActiveState") == "active"
    assert unit.show("UnitFileState") == "enabled"
    service.wait_for_push()
    wait_until(
        lambda: (
            re.search(
                r"Status: \"home: [\d ]+ W solar, \d+ %; pushed \d s ago\"",
                service.pi.run("systemctl status sonnen-agent").stdout,
            )
            is not None
        ),
        "the status of a working agent",
    )


def test_its_values_arrive_at_the_gateway(service: Service, unit: Unit) -> None:
    assert service.gateway.value("sonnen_online") == 1
    assert service.gateway.value("sonnen_production_watts") > 0
    assert unit.restarts == 0


def test_its_libraries_are_those_of_debian(service: Service) -> None:
    found = service.pi.run(
        "/opt/sonnen-agent/bin/python -c 'import prometheus_client, urllib3, yaml;"
        "print(*(module.__file__ for module in (prometheus_client, urllib3, yaml)))'"
    ).stdout.split()
    assert [path.startswith("/usr/lib/python3/dist-packages/") for path in found] == [True] * 3
    assert "BEGIN CERTIFICATE" in service.pi.run("head -1 /etc/ssl/certs/ca-certificates.crt").stdout


def test_a_killed_agent_is_back_within_seconds_with_its_counters(service: Service, unit: Unit) -> None:
    service.wait_for_push()
    before, pid, restarts = service.counters(), unit.main_pid, unit.restarts
    assert before["sonnen_observed_seconds_total" + json.dumps(labels_of(service), sort_keys=True)] > 0
    service.pi.run("systemctl kill --signal=SIGKILL sonnen-agent")
    unit.wait_for_restart(pid, seconds=30)
    check_counters_go_on(service, before)
    assert unit.restarts == restarts + 1


def labels_of(service: Service) -> dict[str, str]:
    series = next(iter(service.gateway.values("sonnen_observed_seconds_total")))
    labels: dict[str, str] = json.loads(series[series.index("{") :])
    return labels


def check_counters_go_on(service: Service, before: dict[str, float]) -> None:
    """Watch the gateway for some pushes: no counter is ever below what it was."""
    seen = before
    wait_until(lambda: service.gateway.pushed_at() > time.time() - 2, "a push")
    for _ in range(10):
        now = service.counters()
        assert [name for name, value in now.items() if value < seen.get(name, 0)] == []
        assert before.keys() <= now.keys()
        seen = now
        time.sleep(0.5)
    assert seen != before


def test_a_hung_agent_is_ended_by_the_watchdog_and_started_again(service: Service, unit: Unit) -> None:
    assert unit.show("WatchdogUSec") == "1min"
    service.pi.write(_DROP_IN, "[Service]\nWatchdogSec=12s\n")
    service.pi.run("systemctl daemon-reload && systemctl restart sonnen-agent")
    service.wait_for_push()
    before, pid, cursor = service.counters(), unit.main_pid, unit.cursor()
    service.pi.run("systemctl kill --signal=SIGSTOP sonnen-agent")
    unit.wait_for_restart(pid)
    assert any("Watchdog timeout" in line for line in unit.journal(after=cursor))
    check_counters_go_on(service, before)


def test_it_is_back_after_a_reboot_by_itself(service: Service, unit: Unit) -> None:
    service.wait_for_push()
    before = service.counters()
    service.pi.reboot()
    unit.wait_for("ActiveState", "active")
    check_counters_go_on(service, before)


def test_it_starts_on_a_machine_without_network(service: Service, unit: Unit) -> None:
    try:
        service.pi.reboot(plugged=False)
        unit.wait_for("ActiveState", "active")
        unit.wait_for("StatusText", "home: not readable; nothing pushed yet")
        assert unit.restarts == 0
    finally:
        service.pi.reboot()
    service.wait_for_push()


def test_a_battery_that_is_gone_is_no_reason_to_restart_or_to_flood_the_journal(service: Service, unit: Unit) -> None:
    service.wait_for_push()
    pid, restarts, cursor, port = unit.main_pid, unit.restarts, unit.cursor(), service.to_battery.port
    service.to_battery.close()
    wait_until(lambda: service.gateway.value("sonnen_online") == 0, "sonnen_online 0")
    # A line for each of these beats would be twenty.
    time.sleep(20)
    service.to_battery = service.pi.reach("127.0.0.1", service.battery.port, at=port)
    wait_until(lambda: service.gateway.value("sonnen_online") == 1, "sonnen_online 1")
    assert (unit.main_pid, unit.restarts) == (pid, restarts)
    assert 2 <= len(unit.journal(after=cursor)) <= 6


def test_a_hangup_with_a_wrong_config_leaves_it_running_and_says_why(service: Service, unit: Unit) -> None:
    pid, cursor = unit.main_pid, unit.cursor()
    service.pi.write(_CONFIG, service.config().replace("interval_seconds: 1", "interval_seconds: often"))
    service.pi.run("systemctl kill --kill-who=main --signal=SIGHUP sonnen-agent")
    unit.wait_for_journal("interval_seconds: should be", after=cursor)
    service.wait_for_push()
    assert unit.main_pid == pid


def test_a_reload_refuses_a_wrong_config_with_the_reason(service: Service, unit: Unit) -> None:
    pid, cursor = unit.main_pid, unit.cursor()
    service.pi.write(_CONFIG, service.config().replace("interval_seconds: 1", "interval_seconds: often"))
    assert service.pi.run("systemctl reload sonnen-agent", check=False).returncode != 0
    assert any("interval_seconds: should be" in line for line in unit.journal(after=cursor))
    service.wait_for_push()
    assert unit.main_pid == pid
    assert unit.show("ActiveState") == "active"


def test_a_reload_takes_over_a_good_config_without_a_restart(service: Service, unit: Unit) -> None:
    pid, before = unit.main_pid, service.counters()
    service.pi.write(_CONFIG, service.config().replace("{name: home,", "{name: home, labels: {host: sonnen-a},"))
    service.pi.run("systemctl reload sonnen-agent")
    wait_until(
        lambda: any('"host": "sonnen-a"' in series for series in service.gateway.values("sonnen_online")),
        "the new label",
    )
    assert unit.main_pid == pid
    assert len(service.counters()) >= len(before)


def test_a_wrong_config_at_the_start_is_told_once_and_not_tried_again(service: Service, unit: Unit) -> None:
    service.pi.run("systemctl stop sonnen-agent")
    service.pi.write(_CONFIG, "batteries: []\n")
    service.pi.write(_DROP_IN, "[Service]\nRestartSec=1s\n")
    service.pi.run("systemctl daemon-reload")
    cursor = unit.cursor()
    assert service.pi.run("systemctl start sonnen-agent", check=False).returncode != 0
    unit.wait_for("ActiveState", "failed")
    # Three times as long as it would wait for another start.
    time.sleep(3)
    assert unit.show("ActiveState") == "failed"
    assert unit.show("ExecMainStatus") == "78"
    assert unit.restarts == 0
    assert sum("batteries: is missing" in line for line in unit.journal(after=cursor)) == 1


@pytest.mark.parametrize(
    ("missing", "status"),
    [
        ("/opt/sonnen-agent", "203"),
        ("/etc/sonnen-agent/secrets", "243"),
        # As after an upgrade of Debian, whose new Python looks in another folder.
        ("/opt/sonnen-agent/lib", "1"),
    ],
)
def test_what_ends_it_before_its_first_line_is_tried_again_until_it_is_mended(
    service: Service, unit: Unit, missing: str, status: str
) -> None:
    service.pi.run(f"systemctl stop sonnen-agent && mv {missing} {missing}.away")
    service.pi.write(_DROP_IN, "[Service]\nRestartSec=100ms\n")
    service.pi.run("systemctl daemon-reload")
    try:
        assert service.pi.run("systemctl start sonnen-agent", check=False).returncode != 0
        # systemd's own limit would be five starts in ten seconds.
        wait_until(lambda: unit.restarts > 6, "one start after another")
        unit.wait_for("ExecMainStatus", status)
    finally:
        service.pi.run(f"mv {missing}.away {missing}")
    unit.wait_for("ActiveState", "active")


def test_crashes_in_a_row_never_end_the_restarts(service: Service, unit: Unit) -> None:
    assert unit.show("RestartUSec") == "10s"
    assert unit.show("StartLimitIntervalUSec") == "0"
    service.pi.write(_DROP_IN, "[Service]\nRestartSec=100ms\n")
    service.pi.run("systemctl daemon-reload")
    for _ in range(7):
        pid = unit.main_pid
        service.pi.run("systemctl kill --signal=SIGKILL sonnen-agent")
        unit.wait_for_process(other_than=pid)
    unit.wait_for("ActiveState", "active")
    service.wait_for_push()


def test_its_secrets_are_seen_by_nobody_else(service: Service, unit: Unit) -> None:
    secrets = (service.battery.token, _PASSWORD)
    service.wait_for_push()
    for text in (
        service.pi.run("systemctl show sonnen-agent").stdout,
        service.pi.run("systemctl status sonnen-agent").stdout,
        service.pi.run("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null", check=False).stdout,
        service.pi.run("journalctl --output=export").stdout,
    ):
        assert "sonnen-agent" in text
        assert [secret for secret in secrets if secret in text] == []
    as_other = "runuser -u nobody -- grep -rsF -e '{}' -e '{}' {} /proc/{}/"
    places = "/etc/sonnen-agent /run /var/lib /opt/sonnen-agent /tmp /var/tmp"
    found = service.pi.run(as_other.format(*secrets, places, unit.main_pid), check=False)
    assert found.stdout == ""
    # The same search finds them as root: what it does not find above was there to be found.
    assert service.pi.run(f"grep -rlF -e '{secrets[0]}' -e '{secrets[1]}' /etc/sonnen-agent").stdout.count("\n") == 2


def test_systemd_has_nothing_to_say_about_the_unit_file(service: Service) -> None:
    verified = service.pi.run("systemd-analyze verify /etc/systemd/system/sonnen-agent.service")
    assert verified.stdout + verified.stderr == ""


def test_its_exposure_is_at_most_1_1(service: Service) -> None:
    service.pi.run("systemd-analyze security --threshold=11 sonnen-agent.service")


def test_it_never_makes_a_system_call_that_is_denied(service: Service, unit: Unit, machine_folder: Path) -> None:
    """Whatever it can do, where a denied call would be the end of it."""
    packages = "prometheus-node-exporter python3-snappy"
    service.pi.run(f"apt-get install --no-install-recommends -y {packages}", seconds=300)
    service.pi.write(_DROP_IN, "[Service]\nSystemCallErrorNumber=kill\n")
    flags = ["--web.enable-remote-write-receiver"]
    with Prometheus(machine_folder, scrape=[], flags=flags) as prometheus:
        to_prometheus = service.pi.reach("127.0.0.1", prometheus.port)
        to_prometheus.close()
        more = f"""\
remote_write: {{url: "{to_prometheus.url}/api/v1/write"}}
pull: {{listen: "127.0.0.1:9422"}}
relay: [{{url: "http://127.0.0.1:9100/metrics", job: node, interval_seconds: 1}}]
tariffs: {{currency: EUR, import: [{{name: day, price: 0.31}}]}}
timezone: Europe/Berlin
"""
        service.pi.write(_CONFIG, service.config(more))
        service.pi.run("systemctl daemon-reload && systemctl restart sonnen-agent")
        assert unit.show("SystemCallErrorNumber") != str(errno.EPERM)
        pid = unit.main_pid
        wait_until(lambda: service.gateway.value("sonnen_agent_spool_samples") > 0, "samples that wait on disk")
        to_prometheus = service.pi.reach("127.0.0.1", prometheus.port, at=to_prometheus.port)
        prometheus.wait_for("sonnen_online == 1")
        page = service.pi.run(
            "python3 -c 'import urllib.request as r; print(r.urlopen(\"http://127.0.0.1:9422/metrics\").read().decode())'"
        ).stdout
        assert "sonnen_online" in page
        wait_until(lambda: service.gateway.value("node_load1") >= 0, "the Pi's own metrics")
        service.pi.run("systemctl reload sonnen-agent")
        service.wait_for_push()
        assert unit.main_pid == pid
        service.pi.run("systemctl stop sonnen-agent")
        assert unit.show("Result") == "success"
        to_prometheus.close()


def test_what_would_be_pushed_can_be_seen(service: Service, unit: Unit) -> None:
    service.wait_for_push()
    page = service.pi.run(readme_row("see what would be pushed")).stdout
    assert '# group job="sonnen" instance="home"' in page
    assert re.search(r"^sonnen_online\S* 1\.0$", page, re.MULTILINE)
    assert unit.show("ActiveState") == "active"


def test_an_upgrade_goes_on_with_the_counters(service: Service, unit: Unit) -> None:
    service.wait_for_push()
    before, pid = service.counters(), unit.main_pid
    (install,) = (command for command in readme_commands() if "/pip install" in command)
    service.pi.run(f"cd /root/clone && {install} --force-reinstall && systemctl restart sonnen-agent")
    assert unit.main_pid != pid
    check_counters_go_on(service, before)


def test_in_all_of_this_it_was_denied_nothing(service: Service) -> None:
    journal = service.unit.journal()
    assert len(journal) > 50
    denied = re.compile("Permission denied|Operation not permitted|Read-only file system")
    assert [line for line in journal if denied.search(line)] == []
    # The only tracebacks are those of the test that takes the agent's own code away.
    without_code = sum(line == "ModuleNotFoundError: No module named 'sonnen_agent'" for line in journal)
    assert sum(line.startswith("Traceback") for line in journal) == without_code


def test_it_can_be_removed_with_nothing_left_but_its_counters(service: Service) -> None:
    """The last of this file: nothing works after it."""
    service.pi.run(readme_row("remove it"))
    service.pi.run("systemctl daemon-reload")
    left = service.pi.run(
        "find / -xdev -path /root -prune -o -path /proc -prune -o -name '*sonnen*' -print -prune"
    ).stdout.split()
    assert sorted(left) == ["/var/lib/private/sonnen-agent", "/var/lib/sonnen-agent"]
    # systemd forgets its own link to the runtime directory, which is gone: it leads nowhere.
    assert service.pi.run("find /run /tmp -name '*sonnen*' -not -type l").stdout == ""
    with pytest.raises(ServerError):
        service.pi.run("systemctl cat sonnen-agent")
