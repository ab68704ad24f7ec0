import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import unit_environment

from sonnen_agent.reading import Reading, Status
from sonnen_agent.systemd import Notifier, reading_words, status_line


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """Return the socket of a service manager, bound to `notify` in the temporary folder."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(5)
        manager.bind(str(tmp_path / "notify"))
        yield manager


def test_the_manager_hears_each_message_as_one_datagram(systemd: socket.socket) -> None:
    notifier = Notifier(systemd.getsockname())
    notifier.ready("home: 1 W solar")
    notifier.alive("home: 2 W solar")
    notifier.status("Hangs: home")
    notifier.stopping()

    assert [systemd.recv(4096).decode() for _ in range(4)] == [
        "READY=1\nWATCHDOG=1\nSTATUS=home: 1 W solar",
        "WATCHDOG=1\nSTATUS=home: 2 W solar",
        "STATUS=Hangs: home",
        "STOPPING=1\nWATCHDOG=1\nSTATUS=Saving the counters",
    ]


def test_a_reload_says_when_it_began(systemd: socket.socket) -> None:
    Notifier(systemd.getsockname()).reloading()
    said = dict(line.split("=", 1) for line in systemd.recv(4096).decode().splitlines())
    assert said["RELOADING"] == "1"
    assert int(said["MONOTONIC_USEC"]) > 0


def test_an_abstract_socket_is_found() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(5)
        manager.bind("")  # the kernel chooses an abstract name
        Notifier("@" + manager.getsockname()[1:].decode()).alive("")
        assert manager.recv(4096) == b"WATCHDOG=1\nSTATUS="


def test_a_line_end_in_a_name_cannot_say_anything_else(systemd: socket.socket) -> None:
    Notifier(systemd.getsockname()).alive("a\nREADY=1: not read yet")
    assert systemd.recv(4096) == b"WATCHDOG=1\nSTATUS=a READY=1: not read yet"


@pytest.mark.parametrize("address", [None, "/nowhere/notify", "/" + "n" * 300, ""])
def test_nobody_to_hear_it_is_no_error(address: str | None) -> None:
    Notifier(address).ready("home: not read yet")


def words(status: Status) -> str:
    reading = Reading(status=status, generation="v2", unix_seconds=0, monotonic_seconds=0)
    return reading_words(reading, asked=True)


def test_the_line_tells_the_sun_the_charge_and_the_last_push() -> None:
    status = Status(production_watts=3214.4, usable_state_of_charge_percent=41, state_of_charge_percent=47)
    line = status_line({"home": words(status)}, {"pushed": 2.3})
    assert line == "home: 3 214 W solar, 41 %; pushed 2 s ago"


def test_what_a_battery_does_not_say_is_left_out() -> None:
    batteries = {
        "a": words(Status(state_of_charge_percent=47)),
        "b": words(Status(production_watts=0)),
        "c": words(Status()),
        "d": reading_words(None, asked=True),
        "e": reading_words(None, asked=False),
    }
    assert status_line(batteries, {}) == "a: 47 %; b: 0 W solar; c: readable; d: not readable; e: not read yet"


def test_an_outage_is_told_in_the_unit_it_is_thought_of() -> None:
    assert status_line({}, {"pushed": None, "written": 119.0}) == "nothing pushed yet; written 119 s ago"
    assert status_line({}, {"pushed": 600.0}) == "pushed 10 min ago"
    assert status_line({}, {"pushed": 36_000.0}) == "pushed 10 h ago"


def test_a_clock_that_is_not_set_is_told() -> None:
    line = status_line({"home": words(Status(production_watts=0))}, {"pushed": 2.0}, clock_is_set=False)
    assert line == "home: 0 W solar; pushed 2 s ago; the clock is not set yet"


def test_the_c_library_knows_what_the_unit_sets_of_memory() -> None:
    # It ignores a name that it does not know, without a word.
    loader = next(iter([*Path("/lib64").glob("ld-linux*.so*"), *Path("/lib").glob("ld-linux*.so*")]))
    environment = unit_environment()
    listed = subprocess.run([loader, "--list-tunables"], env=environment, capture_output=True, text=True, check=True)
    known = {line.partition(":")[0] for line in listed.stdout.splitlines()}
    wanted = dict(assignment.split("=") for assignment in environment["GLIBC_TUNABLES"].split(":"))
    assert wanted == {"glibc.malloc.tcache_count": "0"}
    assert wanted.keys() <= known
    assert "glibc.malloc.arena_max: 0x1 " in listed.stdout


def test_a_zone_is_found_without_loading_how_python_was_built() -> None:
    program = "import sys, zoneinfo; print(zoneinfo.ZoneInfo('Europe/Berlin'), *sys.modules)"
    command = [sys.executable, "-c", program]
    zone, *modules = subprocess.run(
        command, env=unit_environment(), capture_output=True, text=True, check=True
    ).stdout.split()
    assert zone == "Europe/Berlin"
    assert [module for module in modules if module.startswith("_sysconfigdata")] == []
