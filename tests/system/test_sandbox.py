"""The watch that the fixture `nothing_denied` keeps over the agents."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from programs import wait_until
from sandbox import denied, watch_denied_calls, watching

pytestmark = pytest.mark.system

_SET_AFFINITY = "import os; os.sched_setaffinity(0, os.sched_getaffinity(0))"


def test_a_denied_call_is_seen_also_in_a_program_that_was_started(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    asks = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_SET_AFFINITY!r}], check=True)"

    subprocess.run([*watch_denied_calls(trace), sys.executable, "-c", asks], check=True)

    (line,) = denied(trace)
    assert "sched_setaffinity(" in line


def test_an_allowed_call_is_not(tmp_path: Path) -> None:
    trace = tmp_path / "trace"

    subprocess.run([*watch_denied_calls(trace), sys.executable, "-c", "open('/dev/null').read()"], check=True)

    assert denied(trace) == []


def test_what_is_left_of_a_killed_process_is_no_denied_call(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text("6995 ???( <detached ...>\n6996 ptrace(PTRACE_TRACEME)          = 0\n")

    assert denied(trace) == ["6996 ptrace(PTRACE_TRACEME)          = 0"]


def test_a_strace_that_stops_for_good_is_ended(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.touch()
    with subprocess.Popen([*watch_denied_calls(trace), "sleep", "600"]) as watched:
        wait_until(lambda: len(watching(trace)) == 1 and comm(watched.pid) == "sleep", "a watched process")
        (strace,) = watching(trace)
        os.kill(strace, signal.SIGSTOP)
        watched.kill()
        assert denied(trace) == []
    assert watching(trace) == []


def comm(process: int) -> str:
    """Return what the process runs."""
    return Path(f"/proc/{process}/comm").read_text().strip()
