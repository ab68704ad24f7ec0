"""The agent as a service: what it says, takes over, keeps to itself, and leaves behind."""

import errno
import re
from pathlib import Path

import pytest
from programs import ServerError, wait_until
from servers import PASSWORD, Prometheus
from services import CLONE, CONFIG, DROP_IN, Service, readme_row, run_as_pi
from units import Unit

pytestmark = pytest.mark.system

_NEXT_VERSION = "99.0"
_CHANGE_VERSION = f"sed -i 's/^__version__ = .*/__version__ = \"{_NEXT_VERSION}\"/' agent/sonnen_agent/__init__.py"
_IN_A_COPY = "rm -rf ~/copy && cp -r . ~/copy && cd ~/copy"


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
    service.wait_for_push()
    assert service.gateway.value("sonnen_online") == 1
    assert service.gateway.value("sonnen_production_watts") > 0
    assert unit.restarts == 0


def test_its_libraries_are_those_of_debian(service: Service) -> None:
    assert service.pi.run(f"readlink /proc/{service.unit.main_pid}/exe").stdout.startswith("/usr/bin/python3.")
    mapped = service.pi.run(f"cat /proc/{service.unit.main_pid}/maps").stdout
    assert "/usr/lib/python3/dist-packages/yaml/" in mapped
    assert "BEGIN CERTIFICATE" in service.pi.run("head -1 /etc/ssl/certs/ca-certificates.crt").stdout


def test_a_hangup_with_a_wrong_config_leaves_it_running_and_says_why(service: Service, unit: Unit) -> None:
    pid, cursor = unit.main_pid, unit.cursor()
    service.pi.write(CONFIG, service.config().replace("interval_seconds: 1", "interval_seconds: often"))
    service.pi.run("systemctl kill --kill-who=main --signal=SIGHUP sonnen-agent")
    unit.wait_for_journal("interval_seconds: should be", after=cursor)
    service.wait_for_push()
    assert unit.main_pid == pid


def test_a_reload_refuses_a_wrong_config_with_the_reason(service: Service, unit: Unit) -> None:
    pid, cursor = unit.main_pid, unit.cursor()
    service.pi.write(CONFIG, service.config().replace("interval_seconds: 1", "interval_seconds: often"))
    assert service.pi.run("systemctl reload sonnen-agent", check=False).returncode != 0
    assert any("interval_seconds: should be" in line for line in unit.journal(after=cursor))
    service.wait_for_push()
    assert unit.main_pid == pid
    assert unit.show("ActiveState") == "active"


def test_a_reload_takes_over_a_good_config_without_a_restart(service: Service, unit: Unit) -> None:
    pid, before = unit.main_pid, service.counters()
    service.pi.write(CONFIG, service.config().replace("{name: home,", "{name: home, labels: {host: sonnen-a},"))
    service.pi.run("systemctl reload sonnen-agent")
    wait_until(
        lambda: any('"host": "sonnen-a"' in series for series in service.gateway.values("sonnen_online")),
        "the new label",
    )
    assert unit.main_pid == pid
    assert len(service.counters()) >= len(before)


def test_its_secrets_are_seen_by_nobody_else(service: Service, unit: Unit) -> None:
    secrets = (service.battery.token, PASSWORD)
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
    service.pi.write(DROP_IN, "[Service]\nSystemCallErrorNumber=kill\n")
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
        service.pi.write(CONFIG, service.config(more))
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
    run_as_pi(service.pi, f"{_CHANGE_VERSION} && {readme_row('upgrade')}")
    assert service.pi.run("sonnen-agent --version").stdout == f"sonnen-agent {_NEXT_VERSION}\n"
    assert unit.main_pid != pid
    service.check_counters_go_on(before)


def test_an_upgrade_that_does_not_get_ready_goes_back_by_itself(service: Service, unit: Unit) -> None:
    crash = "echo 'raise RuntimeError' > agent/sonnen_agent/commands/run.py"
    with pytest.raises(ServerError, match=rf"did not get ready \(.*\); {_NEXT_VERSION}-\w+ runs again"):
        run_as_pi(service.pi, f"{_IN_A_COPY} && {crash} && {readme_row('upgrade')}")
    assert unit.show("ActiveState") == "active"
    service.wait_for_push()


def test_an_upgrade_that_refuses_the_config_replaces_nothing(service: Service, unit: Unit) -> None:
    pid = unit.main_pid
    service.pi.write(CONFIG, service.config().replace("interval_seconds: 1", "interval_seconds: often"))
    with pytest.raises(ServerError, match="interval_seconds: should be"):
        run_as_pi(service.pi, f"{_IN_A_COPY} && echo >> agent/sonnen_agent/cli.py && {readme_row('upgrade')}")
    assert unit.main_pid == pid


def test_what_a_power_cut_has_left_of_the_program_is_replaced(service: Service, unit: Unit) -> None:
    service.pi.run(
        "truncate --size=100 /opt/sonnen-agent/bin/sonnen-agent; systemctl kill --signal=SIGKILL sonnen-agent"
    )
    run_as_pi(service.pi, readme_row("upgrade"))
    unit.wait_for("ActiveState", "active")
    service.wait_for_push()


def test_the_clone_of_the_user_has_nothing_of_root(service: Service) -> None:
    assert service.pi.run(f"find {CLONE} ! -user pi").stdout == ""


def test_in_all_of_this_it_was_denied_nothing(service: Service) -> None:
    service.check_it_was_denied_nothing()


def test_it_can_be_removed_with_nothing_left_but_its_counters(service: Service) -> None:
    """The last of this file: nothing works after it."""
    run_as_pi(service.pi, readme_row("remove it"))
    service.pi.run("systemctl daemon-reload")
    left = service.pi.run(
        "find / -xdev -path /home -prune -o -path /proc -prune -o -name '*sonnen*' -print -prune"
    ).stdout.split()
    assert sorted(left) == ["/var/lib/private/sonnen-agent", "/var/lib/sonnen-agent"]
    # systemd forgets its own link to the runtime directory, which is gone: it leads nowhere.
    assert service.pi.run("find /run /tmp -name '*sonnen*' -not -type l").stdout == ""
    with pytest.raises(ServerError):
        service.pi.run("systemctl cat sonnen-agent")
