"""The agent as a service: how it comes back from crashes, hangs and reboots, and what it does without network."""

import json
import time

import pytest
from programs import wait_until
from services import CONFIG, DROP_IN, Service
from units import Unit

pytestmark = pytest.mark.system


def test_a_killed_agent_is_back_within_seconds_with_its_counters(service: Service, unit: Unit) -> None:
    service.wait_for_push()
    before, pid, restarts = service.counters(), unit.main_pid, unit.restarts
    assert before["sonnen_observed_seconds_total" + json.dumps(labels_of(service), sort_keys=True)] > 0
    service.pi.run("systemctl kill --signal=SIGKILL sonnen-agent")
    unit.wait_for_restart(pid, seconds=30)
    service.check_counters_go_on(before)
    assert unit.restarts == restarts + 1


def labels_of(service: Service) -> dict[str, str]:
    series = next(iter(service.gateway.values("sonnen_observed_seconds_total")))
    labels: dict[str, str] = json.loads(series[series.index("{") :])
    return labels


def test_a_hung_agent_is_ended_by_the_watchdog_and_started_again(service: Service, unit: Unit) -> None:
    assert unit.show("WatchdogUSec") == "1min"
    service.pi.write(DROP_IN, "[Service]\nWatchdogSec=12s\n")
    service.pi.run("systemctl daemon-reload && systemctl restart sonnen-agent")
    service.wait_for_push()
    before, pid, cursor = service.counters(), unit.main_pid, unit.cursor()
    service.pi.run("systemctl kill --signal=SIGSTOP sonnen-agent")
    unit.wait_for_restart(pid)
    assert any("Watchdog timeout" in line for line in unit.journal(after=cursor))
    service.check_counters_go_on(before)


def test_it_is_back_after_a_reboot_by_itself(service: Service, unit: Unit) -> None:
    service.wait_for_push()
    before = service.counters()
    service.pi.reboot()
    unit.wait_for("ActiveState", "active")
    service.check_counters_go_on(before)


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


def test_a_wrong_config_at_the_start_is_told_once_and_not_tried_again(service: Service, unit: Unit) -> None:
    service.pi.run("systemctl stop sonnen-agent")
    service.pi.write(CONFIG, "batteries: []\n")
    service.pi.write(DROP_IN, "[Service]\nRestartSec=1s\n")
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
    service.pi.write(DROP_IN, "[Service]\nRestartSec=100ms\n")
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
    service.pi.write(DROP_IN, "[Service]\nRestartSec=100ms\n")
    service.pi.run("systemctl daemon-reload")
    for _ in range(7):
        pid = unit.main_pid
        service.pi.run("systemctl kill --signal=SIGKILL sonnen-agent")
        unit.wait_for_process(other_than=pid)
    unit.wait_for("ActiveState", "active")
    service.wait_for_push()


def test_in_all_of_this_it_was_denied_nothing(service: Service) -> None:
    service.check_it_was_denied_nothing()
