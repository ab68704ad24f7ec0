"""Networks of a test's own: namespaces of the kernel with a cable between them, which can be cut.

A socket stays in the namespace in which it was made, whoever uses it. So servers and clients of one process, in
different networks, can speak with each other over a cable between two of them.
"""

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

_CLONE_NEWNET = 0x40000000
_ESTABLISHED = "01"
_AT_REST = (_ESTABLISHED, "06", "0A")
"""In use, TIME_WAIT, and waiting for others."""
_Result = TypeVar("_Result")
_libc = ctypes.CDLL(None, use_errno=True)


class Network:
    """A network namespace; it has its own loopback, addresses and routes."""

    def __init__(self) -> None:
        self._file = _in_a_thread(_new_namespace)
        self.run("ip", "link", "set", "lo", "up")

    @property
    def path(self) -> str:
        """Where others find it, as long as this process has it."""
        return f"/proc/{os.getpid()}/fd/{self._file}"

    def inside(self, act: Callable[[], _Result]) -> _Result:
        """Return what `act` returns, which is called in this network."""

        def moved() -> _Result:
            _check(_libc.setns(self._file, _CLONE_NEWNET))
            return act()

        return _in_a_thread(moved)

    def command(self, *words: str) -> list[str]:
        """Return a command that does the same in this network."""
        return ["nsenter", f"--net={self.path}", "--", *words]

    def run(self, *words: str) -> None:
        """Run a command in this network, and wait for its end."""
        subprocess.run(self.command(*words), check=True, capture_output=True)

    def unfinished(self) -> int:
        """Return how many TCP connections the kernel still has to send something for that nobody has any more."""
        return sum(state not in _AT_REST for state, _ in self._connections())

    def unsent(self) -> bool:
        """Return whether a TCP connection has sent, or is to send, what the other side has not confirmed."""
        return any(state == _ESTABLISHED and int(queues.partition(":")[0], 16) for state, queues in self._connections())

    def _connections(self) -> list[list[str]]:
        lines = self.inside(lambda: Path("/proc/thread-self/net/tcp").read_text()).splitlines()[1:]
        return [line.split()[3:5] for line in lines]

    def close(self) -> None:
        os.close(self._file)


@contextmanager
def networks(count: int) -> Iterator[list[Network]]:
    """Return so many networks without a cable between them; skip the test where nobody may make any."""
    if os.geteuid() != 0:
        pytest.skip("only root can make networks")
    made: list[Network] = []
    try:
        made += (Network() for _ in range(count))
        yield made
    finally:
        for network in made:
            network.close()


@contextmanager
def cable() -> Iterator[tuple[Network, Network]]:
    """Return two networks with a cable between them: 10.77.0.1 and fd77::1 here, 10.77.0.2 and fd77::2 there."""
    with networks(2) as (here, there):
        here.run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan0", "netns", there.path)
        for network, number in ((here, 1), (there, 2)):
            network.run("ip", "address", "add", f"10.77.0.{number}/24", "dev", "lan0")
            network.run("ip", "address", "add", f"fd77::{number}/64", "dev", "lan0", "nodad")
            network.run("ip", "address", "add", f"fe80::{number}/64", "dev", "lan0", "nodad")
            network.run("ip", "link", "set", "lan0", "up")
        yield here, there


def _in_a_thread(act: Callable[[], _Result]) -> _Result:
    # A thread that ends with the call takes its namespace along.
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(act).result()


def _new_namespace() -> int:
    _check(_libc.unshare(_CLONE_NEWNET))
    return os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
