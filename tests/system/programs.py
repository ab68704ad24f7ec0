"""A program run for a test or the demo: a process of its own, with its log in a file, ended by its process id."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Self

HOST = "127.0.0.1"
PATIENCE_SECONDS = 60.0
"""What takes a moment is given this long: on a busy machine moments are long, and only a failure takes all of it."""
_UNPACKED = Path(__file__).parents[2] / ".cache/debian/usr/bin"


class ServerError(Exception):
    """A program did not do what the test or the demo needs; the message ends with its log."""


class MissingProgramError(ServerError):
    """A program is not on this machine; the message names the fix."""


def find_program(name: str) -> Path:
    """Return where a program is: beside this Python, on PATH, or where the scripts unpack Debian's packages."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), str(_UNPACKED)]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        raise MissingProgramError(f"{name} is not on this machine: run scripts/test, which gets it")
    return Path(found)


def free_port() -> int:
    """Return a port nobody listens on.

    Never one that the kernel hands out to outgoing connections: such a port may be gone before a server is up, and a
    client that knocks on it while its server is down can, rarely, end up connected to itself.
    """
    for _ in range(100):
        port = 20000 + secrets.randbelow(12000)
        with socket.socket() as probe:
            # A port that a stopped server's last connections still linger on is free enough.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        return port
    raise ServerError("no free port found on the loopback interface")


def wait_until(
    true: Callable[[], bool], what: str, *, seconds: float = PATIENCE_SECONDS, pause_seconds: float = 0.1
) -> None:
    """Ask until it is true, or raise ServerError: `what` did not happen."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise ServerError(f"{what} did not happen within {seconds:g} seconds")
        time.sleep(pause_seconds)


class Program:
    """A running program, ended by its process id at the end of the `with` block at the latest."""

    start_seconds = PATIENCE_SECONDS
    wrapper: ClassVar[list[str]] = []
    """The words before the command, of a program that becomes it with the same process id."""

    def __init__(self, *command: str | Path, log_file: Path, environment: Mapping[str, str] | None = None) -> None:
        self.command = [str(word) for word in command]
        self.log_file = log_file
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        if self.exit_code is None:
            self.stop()

    def start(self) -> None:
        """Start it, again if it was stopped, and return when it does its work."""
        with self.log_file.open("ab") as log:
            # In a session of its own, a Ctrl-C in the terminal reaches the demo alone, which then stops all in order.
            try:
                self._process = subprocess.Popen(
                    [*self.wrapper, *self.command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise ServerError(f"{self.command[0]} cannot be started: {error.strerror}") from error
        wait_until(self._is_ready, f"the start of {self.name}", seconds=self.start_seconds)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = 20) -> int:
        """Send the signal and return the exit code; whoever does not end in time is killed, and that is an error."""
        process = self._started()
        process.send_signal(number)
        # A frozen program would not hear of it.
        process.send_signal(signal.SIGCONT)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise ServerError(f"{self.name} ignored {number.name} for {seconds:g} s; its log:\n{self.log}") from error

    def kill(self) -> None:
        """End it as a crash or a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._started().send_signal(number)

    def pause(self) -> None:
        """Freeze it: its port stays open, but nobody answers."""
        self._started().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen program go on."""
        self._started().send_signal(signal.SIGCONT)

    @property
    def name(self) -> str:
        """The program's name, and its first argument if that is a command."""
        return " ".join([Path(self.command[0]).name, *[word for word in self.command[1:2] if not word.startswith("-")]])

    @property
    def pid(self) -> int:
        """The process id."""
        return self._started().pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._started().poll()

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return self.log_file.read_text(errors="replace")

    @property
    def log_tail(self) -> str:
        """The last of what it has printed, as much as a person wants to see of it."""
        return "\n".join(self.log.splitlines()[-20:]) or "(empty)"

    def check_running(self) -> None:
        """Raise ServerError with the end of its log if it has ended by itself."""
        if self.exit_code is not None:
            raise ServerError(f"{self.name} ended by itself with exit code {self.exit_code}; its log:\n{self.log_tail}")

    def wait_for_log(self, text: str, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Return when the log has the text in it."""
        try:
            wait_until(lambda: text in self.log, f"{text!r} in the log of {self.name}", seconds=seconds)
        except ServerError as error:
            raise ServerError(f"{error}; the log is:\n{self.log}") from error

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ServerError(f"{self.name} was never started")
        return self._process

    def _is_ready(self) -> bool:
        self.check_running()
        return self._answers()

    def _answers(self) -> bool:
        return True
