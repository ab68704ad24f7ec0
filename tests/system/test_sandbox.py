"""The watch that the fixture `nothing_denied` keeps over the agents."""

import subprocess
import sys
from pathlib import Path

import pytest
from programs import wait_until
from sandbox import watch_denied_calls

pytestmark = pytest.mark.system

_SET_AFFINITY = "import os; os.sched_setaffinity(0, os.sched_getaffinity(0))"


def test_a_denied_call_is_seen_also_in_a_program_that_was_started(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    asks = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_SET_AFFINITY!r}], check=True)"

    subprocess.run([*watch_denied_calls(trace), sys.executable, "-c", asks], check=True)

    wait_until(lambda: "sched_setaffinity(" in trace.read_text(), "a line in the trace")


def test_an_allowed_call_is_not(tmp_path: Path) -> None:
    trace = tmp_path / "trace"

    subprocess.run([*watch_denied_calls(trace), sys.executable, "-c", "open('/dev/null').read()"], check=True)

    assert trace.read_text() == ""
