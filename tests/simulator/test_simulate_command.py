import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

import sonnen_agent
from sonnen_agent.commands import simulate
from sonnen_agent.errors import StartError

PACKAGES = Path(sonnen_agent.__file__).parents[1]


@contextlib.contextmanager
def started(options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    program = (
        "import datetime, sys\n"
        "from sonnen_agent.commands.simulate import run\n"
        f"sys.exit(run(**(dict(port=0, generation='sb10', seed=1, speed=1.0, start=None, token=None) | {options})))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(PACKAGES)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline()
        finally:
            process.kill()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_serves_and_ends_well_on_a_signal(stop: signal.Signals) -> None:
    with started("dict(generation='evo')") as (process, line):
        found = re.fullmatch(r"simulating a sonnen battery \(evo\) at (http://127\.0\.0\.1:\d+)\n", line)
        assert found is not None
        with urllib3.PoolManager(retries=False, timeout=10) as manager:
            assert json.loads(manager.request("GET", f"{found[1]}/api/v2/status").data)["Sac1"] is None
            # A reader that keeps its connection must not keep the simulator.
            process.send_signal(stop)
            assert process.communicate(timeout=30) == ("", "")
        assert process.returncode == 0


def test_it_ends_well_in_the_middle_of_a_request() -> None:
    with (
        started("{}") as (process, line),
        socket.create_connection(("127.0.0.1", int(line.rsplit(":", 1)[1])), timeout=30) as connection,
    ):
        connection.sendall(b"GET /api/v2/status HTTP/1.1\r\n")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


@pytest.mark.parametrize(
    ("start", "shown"),
    [
        ("datetime.datetime(2024, 7, 1, 12, 0)", "2024-07-01 12:00"),
        ("datetime.datetime(2024, 7, 1, 12, 0, tzinfo=datetime.UTC)", "2024-07-01 14:00"),
    ],
    ids=["naive", "aware"],
)
def test_a_start_without_a_zone_is_the_local_time_of_the_battery(start: str, shown: str) -> None:
    with (
        started(f"dict(start={start}, speed=1e-6)") as (_, line),
        urllib3.PoolManager(retries=False, timeout=10) as manager,
    ):
        status = json.loads(manager.request("GET", f"{line.split()[-1]}/api/v2/status").data)
        assert status["Timestamp"].startswith(shown)


def test_the_token_is_asked_for() -> None:
    with started("dict(token='right')") as (_, line), urllib3.PoolManager(retries=False, timeout=10) as manager:
        url = f"{line.split()[-1]}/api/v2/battery"
        assert manager.request("GET", url, headers={"Auth-Token": "wrong"}).status == 401
        assert manager.request("GET", url, headers={"Auth-Token": "right"}).status == 200


def test_a_port_in_use_is_refused_and_leaves_the_signals_as_they_were() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with started("{}") as (_, line):
        port = int(line.rsplit(":", 1)[1])
        with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use; choose"):
            simulate.run(port=port, generation="sb10", seed=1, speed=1.0, start=None, token=None)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
