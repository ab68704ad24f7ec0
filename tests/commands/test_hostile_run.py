"""A running agent whose log nobody reads, or whose config becomes something that is none."""

import fcntl
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from programs import free_port, wait_until
from pytest_httpserver import HTTPServer

_LEAST_PIPE_BYTES = 4096


@pytest.fixture
def battery(httpserver: HTTPServer) -> HTTPServer:
    """Return a battery that knows its status alone, and is asked for it every second."""
    status = {"Consumption_W": 900, "GridFeedIn_W": 300, "Pac_total_W": -800, "Production_W": 2000, "USOC": 58}
    httpserver.expect_request("/api/v1/status").respond_with_json(status)
    return httpserver


@pytest.fixture
def config(tmp_path: Path, battery: HTTPServer) -> Path:
    file = tmp_path / "config.yml"
    file.write_text(f"""\
interval_seconds: 1
batteries: [{{name: home, url: "{battery.url_for("")}"}}]
pull: {{listen: "127.0.0.1:{free_port()}"}}
state_directory: state
""")
    return file


@contextmanager
def running(config: Path, stderr: int, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "sonnen_agent", "run", "--config", str(config), *arguments]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_log_that_nobody_reads_stops_nothing_and_tells_later_what_was_dropped(
    config: Path, battery: HTTPServer
) -> None:
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, _LEAST_PIPE_BYTES)
    full = fcntl.fcntl(theirs, fcntl.F_GETPIPE_SZ)
    os.write(theirs, b"x" * full)
    with running(config, theirs, "--verbose") as process, os.fdopen(ours, "rb") as log:
        os.close(theirs)
        wait_until(lambda: len(battery.log) > 8, "beats that go on")
        log.read(full)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        told = log.read()

    assert b"lines before this one were dropped: nobody read them)\n" in told


def test_a_log_whose_reader_is_gone_stops_nothing(config: Path, battery: HTTPServer) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with running(config, theirs) as process:
        os.close(theirs)
        wait_until(lambda: len(battery.log) > 5, "beats that go on")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_a_config_that_is_none_any_more_holds_up_neither_the_beats_nor_a_stop(
    config: Path, battery: HTTPServer, tmp_path: Path, kind: str
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as stderr, running(config, stderr.fileno()) as process:
        wait_until(lambda: len(battery.log) > 5, "beats")
        config.unlink()
        if kind == "fifo":
            os.mkfifo(config)
            writer = os.open(config, os.O_RDWR)
        else:
            config.symlink_to("/dev/zero")
            writer = os.open("/dev/null", os.O_RDONLY)
        process.send_signal(signal.SIGHUP)
        before = len(battery.log)
        wait_until(lambda: len(battery.log) > before + 3, "beats that go on")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        os.close(writer)

    assert "the config stays as it was: cannot be read: " in log.read_text()


def test_a_reload_with_many_mistakes_is_one_line_of_a_thousand_characters(
    config: Path, battery: HTTPServer, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as stderr, running(config, stderr.fileno()) as process:
        wait_until(lambda: len(battery.log) > 5, "beats")
        lines = len(log.read_text().splitlines())
        config.write_text("".join(f'"key{number}\\e[2J\\nERROR forged": 1\n' for number in range(100)))
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "stays as it was" in log.read_text(), "the refusal")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0

    line, stopping = log.read_text().splitlines()[lines:]
    assert line.isprintable()
    assert len(line) == 1000
    assert stopping == "INFO stopping"


def test_no_text_of_others_is_more_than_one_printable_line(tmp_path: Path) -> None:
    # In a process of its own, whose stderr is nobody else's.
    script = tmp_path / "script.py"
    script.write_text("""\
import logging
from sonnen_agent.cli import _LogHandler
logging.basicConfig(handlers=[_LogHandler()])
for evil in ("\\x1b[2J", "one\\nERROR two", "\\0", "x" * 200_000, "\\ud800", "\\u2028", "\\u202e", "\\U0001f50b" * 999):
    logging.warning("it said %s", evil)
try:
    raise ValueError("one\\r\\x1b[2J" + "y" * 5000)
except ValueError:
    logging.exception("crashed")
""")
    done = subprocess.run([sys.executable, script], capture_output=True, check=True, timeout=60)
    lines = done.stderr.decode().split("\n")[:-1]

    assert sum(line.startswith(logging.getLevelName(logging.WARNING)) for line in lines) == 8
    assert all(line.isprintable() and len(line) <= 1000 for line in lines)
    assert lines[1] == r"WARNING it said one\nERROR two"
    assert lines[8] == "ERROR crashed"
