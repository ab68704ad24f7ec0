"""What the service's sandbox denies, and whether an agent outside of it has asked for that."""

import functools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from programs import find_program

_UNIT = Path(__file__).parents[2] / "systemd/sonnen-agent.service"


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
