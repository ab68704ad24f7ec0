import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sonnen_agent.notify import Notifier


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
    notifier.wait_for("Waiting 20 s", 50)
    notifier.stopping()

    assert [systemd.recv(4096).decode() for _ in range(5)] == [
        "READY=1\nSTATUS=home: 1 W solar",
        "WATCHDOG=1\nSTATUS=home: 2 W solar",
        "STATUS=Hangs: home",
        "EXTEND_TIMEOUT_USEC=50000000\nSTATUS=Waiting 20 s",
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
