"""What the service's sandbox denies, and whether an agent outside of it has asked for that."""

import functools
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from programs import find_program

_UNIT = Path(__file__).parents[2] / "systemd/sonnen-agent.service"
_NO_CALL = re.compile(r"\d+ +\?\?\?\( <detached \.\.\.>")
"""What strace may leave of a process that was killed between two calls."""
_END_SECONDS = 5.0
"""What strace is given to end after the last process that it watches."""


def watch_denied_calls(trace: Path) -> list[str]:
    """Return the words to put before a command: the file gets a line for each system call that the unit would deny.

    The command keeps its process id, and runs as fast as without: the kernel stops it at these calls only. It may start
    others. Raises MissingProgramError where strace or systemd is missing.
    """
    return [
        str(find_program("strace")),
        "--daemonize",
        "--follow-forks",
        "--seccomp-bpf",
        "--quiet=all",
        "--signal=none",
        f"--trace={denied_calls()}",
        "--output-append-mode",
        f"--output={trace}",
    ]


def denied(trace: Path) -> list[str]:
    """Return the lines of the denied calls in the file, once nobody writes to it any more."""
    deadline = time.monotonic() + _END_SECONDS
    while left := watching(trace):
        if time.monotonic() > deadline:
            # Now and then strace stops, for good, with what it watched: nobody else would end it.
            for process in left:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        time.sleep(0.05)
    return [line for line in trace.read_text().splitlines() if not _NO_CALL.fullmatch(line)]


def watching(trace: Path) -> list[int]:
    """Return the processes that write to the file."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        # Processes end while one looks at them.
        with suppress(OSError):
            if f"--output={trace}" in command.read_bytes().decode(errors="replace").split("\0"):
                found.append(int(command.parent.name))
    return found


@functools.cache
def denied_calls() -> str:
    """Return the system calls that the unit's SystemCallFilter leaves out, each with `?`, as strace may not know it."""
    allowed: set[str] = set()
    for words in re.findall(r"^SystemCallFilter=(.*)$", _UNIT.read_text(), re.MULTILINE):
        calls = {call for word in words.lstrip("~").split() for call in _calls(word)}
        allowed = allowed - calls if words.startswith("~") else allowed | calls
    assert allowed, f"{_UNIT} has no SystemCallFilter"
    return ",".join(f"?{call}" for call in sorted(set(_calls("@known")) - allowed))


def _calls(word: str) -> Iterator[str]:
    """Return the system calls that a word of a filter stands for."""
    if not word.startswith("@"):
        yield word
        return
    listed = subprocess.run(
        [find_program("systemd-analyze"), "syscall-filter", "--no-pager", word],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    for line in listed.splitlines()[1:]:
        if (name := line.strip()) and not name.startswith("#"):
            yield from _calls(name)
