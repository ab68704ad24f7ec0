"""The agent as a service: how it comes back from crashes, hangs and reboots, and what it does without network."""

import json
import re
import time

import pytest
from programs import wait_until
from services import CONFIG, DROP_IN, Service, readme_section
from units import Unit

pytestmark = pytest.mark.system

_STATE = "/var/lib/private/sonnen-agent"
_OWN_DROP_INS = "/etc/systemd/system/sonnen-agent.service.d"


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
        # As in the midst of an upgrade of Debian.
        ("/usr/lib/python3/dist-packages/yaml", "1"),
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


def test_counters_move_to_another_disk_and_without_it_the_agent_does_not_start(service: Service, unit: Unit) -> None:
    """With a folder in the disk's place: a container has none."""
    service.wait_for_push()
    before = service.counters()
    commands = "\n".join(readme_section("Counters on another disk"))
    for disk, folder in (
        ("mount /dev/sda1 /mnt", "mount --bind /root/disk /mnt"),
        ("UUID=1234-… ", "/root/disk "),
        (" ext4 noatime,nofail 0 2'", " none bind,nofail 0 0'"),
    ):
        assert disk in commands
        commands = commands.replace(disk, folder)
    try:
        service.pi.run(f"set -e; mkdir /root/disk; {commands}; touch /root/moved")
        service.check_counters_go_on(before)
        assert service.pi.run("find /root/disk -name 'counters*.json'").stdout

        # Where nothing can be.
        service.pi.run("sed -i 's|^/root/disk |/proc/disk |' /etc/fstab")
        service.pi.reboot()
        assert unit.show("ActiveState") == "inactive"
        assert any("failed with result 'dependency'" in line for line in unit.journal())
        assert service.pi.run(f"find {_STATE} -newer /root/moved").stdout == ""

        before = service.counters()
        service.pi.run("sed -i 's|^/proc/disk |/root/disk |' /etc/fstab; systemctl daemon-reload")
        service.pi.run("systemctl start sonnen-agent")
        service.check_counters_go_on(before)
    finally:
        service.pi.run(
            f"systemctl stop sonnen-agent; umount {_STATE}; cp -a /root/disk/. {_STATE}/; rm -r /root/disk;"
            f" sed -i '\\|{_STATE}|d' /etc/fstab; systemctl daemon-reload"
        )


def test_where_a_container_keeps_the_secrets_back_the_log_says_so_and_a_group_hands_them_over(
    service: Service, unit: Unit
) -> None:
    service.pi.run("systemctl stop sonnen-agent")
    # All that a container that may not mount gets of them.
    service.pi.write(DROP_IN, "[Service]\nLoadCredential=\n")
    service.pi.run("systemctl daemon-reload")
    cursor = unit.cursor()
    assert service.pi.run("systemctl start sonnen-agent", check=False).returncode != 0
    unit.wait_for_journal("systemd handed over no secret of /etc/sonnen-agent/secrets", after=cursor)
    unit.wait_for_journal("password_file: is missing", after=cursor)

    *group, drop_in = readme_section("In a container")
    if service.pi.release == "bookworm":  # which has no `systemctl edit --stdin`
        drop_in = re.sub(r"\| sudo systemctl edit --stdin (\S+)", rf"> {_OWN_DROP_INS}/override.conf", drop_in)
        drop_in = f"mkdir {_OWN_DROP_INS}; {drop_in}; systemctl daemon-reload"
    try:
        for command in (*group, drop_in):
            service.pi.run(command)
        named = service.config("  password_file: secrets/pushgateway-password\n")
        service.pi.write(CONFIG, named.replace("{name: home,", "{name: home, token_file: secrets/token-home,"))
        service.pi.run("systemctl restart sonnen-agent")
        service.wait_for_push()
        assert service.gateway.value("sonnen_battery_cycles_total") > 0  # which takes the token
    finally:
        service.pi.run(
            f"systemctl stop sonnen-agent; rm -r {_OWN_DROP_INS}; chmod -R u=rwX,go= /etc/sonnen-agent/secrets;"
            " chgrp -R root /etc/sonnen-agent/secrets; groupdel sonnen-secrets; systemctl daemon-reload"
        )


def test_in_all_of_this_it_was_denied_nothing(service: Service) -> None:
    service.check_it_was_denied_nothing()
