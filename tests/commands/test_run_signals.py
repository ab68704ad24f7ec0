"""Signals as a real process gets them: from a window that is closed, and from an impatient supervisor."""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from programs import free_port, wait_until

from sonnen_agent.state.store import peek


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a config that needs no server, with a battery that is not there."""
    file = tmp_path / "config.yml"
    file.write_text(f"""\
batteries: [{{name: home, url: "http://127.0.0.1:{free_port()}"}}]
pull: {{listen: "127.0.0.1:{free_port()}"}}
state_directory: state
""")
    return file


def started(
    config: Path,
    log: Path,
    *,
    stdin: int = subprocess.DEVNULL,
    before: Callable[[], None] | None = None,
    said: str = "not readable",
) -> int:
    """Start an agent in a session of its own, and return its process id once it has said that."""
    command = [sys.executable, "-m", "sonnen_agent", "run", "--config", str(config)]
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stdin=stdin, stderr=stderr, start_new_session=True, preexec_fn=before)  # noqa: PLW1509 - one thread
    wait_until(lambda: said in log.read_text(), "a first beat")
    # Else its end would be told as that of a forgotten child.
    process.returncode = 0
    return process.pid


def exit_code(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def test_an_agent_whose_window_is_closed_stops_in_order(config: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()

    def take_the_terminal() -> None:
        os.close(os.open(os.ttyname(theirs), os.O_RDWR))  # the first that a session opens is its own

    pid = started(config, tmp_path / "log", stdin=theirs, before=take_the_terminal)
    os.close(theirs)
    os.close(ours)

    assert exit_code(pid) == 0
    log = (tmp_path / "log").read_text()
    assert "stopping" in log
    assert "taking over the config" not in log
    stored = peek(tmp_path / "state")
    assert stored is not None
    assert stored.clean


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_second_request_to_end_leaves_an_orderly_stop_alone(
    config: Path, tmp_path: Path, first: signal.Signals
) -> None:
    pid = started(config, tmp_path / "log")
    os.kill(pid, first)
    wait_until(lambda: "stopping" in (tmp_path / "log").read_text(), "the beginning of the stop", pause_seconds=0.01)
    for number in (signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
        time.sleep(0.01)

    assert exit_code(pid) == 0
    stored = peek(tmp_path / "state")
    assert stored is not None
    assert stored.clean


def test_a_config_that_turns_bad_during_a_reload_is_tried_again_by_the_service_manager(
    config: Path, tmp_path: Path
) -> None:
    pid = started(config, tmp_path / "log")
    good = config.read_text()
    os.kill(pid, signal.SIGHUP)
    wait_until(lambda: "taking over" in (tmp_path / "log").read_text(), "the reload", pause_seconds=0.001)
    config.write_text(good + "unknown: key\n")

    # Exit code 78 would end the restarts.
    assert exit_code(pid) == 1
    assert "unknown: unknown key" in (tmp_path / "log").read_text()


def test_a_process_that_stood_still_goes_on(config: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # As long as no battery has answered or failed, it looks for signals every twentieth of a second.
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        config.write_text(re.sub('http:[^"]*', url, config.read_text()) + "interval_seconds: 60\n")
        pid = started(config, tmp_path / "log", said="every 60 s from home")
        for _ in range(20):
            os.kill(pid, signal.SIGSTOP)
            _, status = os.waitpid(pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            time.sleep(0.06)
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.02)

        assert "stopping" not in (tmp_path / "log").read_text()
        os.kill(pid, signal.SIGTERM)
        assert exit_code(pid) == 0
