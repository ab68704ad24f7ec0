"""What the agent takes beside others, in one run: a naive script for the same battery, and its libraries alone.

The agent and scripts/naive.py read one simulated battery, with all endpoints, and push to one Pushgateway, at the same
time and equally often. Then some starts, side by side with importing the libraries.
usage: scripts/bench peers [--seconds N] [--interval N] [--blocks N]
"""

import argparse
import compileall
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from block_device import CARD_BLOCK_BYTES, card
from programs import HOST, Program
from servers import Agent, Pushgateway, Simulator, unit_environment

SCRIPTS = Path(__file__).parent
PACKAGE = SCRIPTS.parent / "agent/sonnen_agent"
LIBRARIES = "import prometheus_client, urllib3, yaml"
WARM_SECONDS = 40
"""All endpoints have been asked, the gateway has told what it holds, and the disk has what the start has written."""
STARTS = 5
SMALL_LINES = 60
DAY_SECONDS = 86_400


class Forwarder:
    """A port in front of another that counts what passes, both ways: what TCP carries, without its own headers."""

    def __init__(self, port: int) -> None:
        self._to = (HOST, port)
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self.bytes = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(self._to)
            for one, other in ((client, server), (server, client)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):  # either side may hang up
            while some := one.recv(65_536):
                with self._lock:
                    self.bytes += len(some)
                other.sendall(some)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the table."""

    name: str
    agent: float
    peer: float | None
    limit: float | None
    """Of the ratio, or where there is no peer, of the agent's."""

    def __str__(self) -> str:
        value = self.agent if self.peer is None else self.agent / self.peer
        columns = (
            f"{self.name:<66}",
            f"{self.agent:10.1f}",
            " " * 10 if self.peer is None else f"{self.peer:10.1f}",
            " " * 8 if self.peer is None else f"{value:8.3f}",
            " " * 9 if self.limit is None else f"{self.limit:9.2f}",
            "  too much" if self.limit is not None and value > self.limit else "",
        )
        return "".join(columns)


class Python(Program):
    """A Python, the one that runs the agent, in the same environment, with something else to do."""

    def __init__(self, log_file: Path, *arguments: str | Path) -> None:
        super().__init__(sys.executable, *arguments, log_file=log_file, environment=unit_environment())


def memory_mebibytes(pid: int, field: str = "Rss") -> float:
    """Return the resident memory of a process, or another field of its smaps_rollup."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def processor_milliseconds(pid: int) -> float:
    """Return user and system time of all threads: what /proc/PID/stat has in hundredths, here by the nanosecond."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e6


def config_of(folder: Path, simulator: Simulator, gateway_port: int, interval_seconds: int) -> Path:
    """Return a config file with nothing in it but what has to be."""
    simulator.write_token(folder / "home.token")
    file = folder / "agent.yml"
    file.write_text(
        f"interval_seconds: {interval_seconds}\n"
        f"batteries: [{{name: home, url: '{simulator.url}', token_file: home.token}}]\n"
        f"pushgateway: {{url: 'http://{HOST}:{gateway_port}'}}\n"
    )
    return file


def side_by_side(folder: Path, seconds: int, interval_seconds: int, block_bytes: int) -> Iterator[Figure]:
    """Yield what the agent and the naive script take over the same stretch, and the libraries alone."""
    with ExitStack() as stack:
        # Memory, as the runtime directory of systemd is; the temporary folder may be on a disk.
        runtime = stack.enter_context(tempfile.TemporaryDirectory(prefix="sonnen-bench-", dir="/dev/shm"))
        simulator = stack.enter_context(Simulator(folder, options=["--generation=sb10"]))
        gateway = stack.enter_context(Pushgateway(folder))
        disk = stack.enter_context(card(folder, block_bytes=block_bytes))
        agents, naives = Forwarder(gateway.port), Forwarder(gateway.port)
        agent = stack.enter_context(
            Agent(
                config_of(folder, simulator, agents.port, interval_seconds),
                environment={"STATE_DIRECTORY": str(disk.path), "RUNTIME_DIRECTORY": runtime},
            )
        )
        naive = stack.enter_context(
            Python(
                folder / "naive.log",
                SCRIPTS / "naive.py",
                simulator.url,
                simulator.token,
                f"{HOST}:{naives.port}",
                str(interval_seconds),
            )
        )
        libraries = stack.enter_context(
            Python(folder / "libraries.log", "-c", f"{LIBRARIES}; from signal import pause; pause()")
        )
        time.sleep(WARM_SECONDS)

        def counts() -> tuple[float, ...]:
            processor = [processor_milliseconds(program.pid) for program in (agent, naive)]
            return (*processor, agents.bytes, naives.bytes, disk.written_bytes(agent.pid))

        before = counts()
        time.sleep(seconds)
        spent = [after - begin for after, begin in zip(counts(), before, strict=True)]
        beats = seconds / interval_seconds
        for program in (agent, naive, libraries):
            program.check_running()
        for field, limit in (("Rss", 1.10), ("Pss", None)):
            name = f"{field}, MiB; the peer has only imported the libraries"
            yield Figure(name, memory_mebibytes(agent.pid, field), memory_mebibytes(libraries.pid, field), limit)
        yield Figure("processor time per beat, ms", spent[0] / beats, spent[1] / beats, 0.60)
        yield Figure("bytes per beat to and from the gateway", spent[2] / beats, spent[3] / beats, 0.10)
        yield Figure(f"MiB written per day {disk.where}", spent[4] / 2**20 * DAY_SECONDS / seconds, None, 25)


def starts(folder: Path) -> Figure:
    """Return how long the agent takes until it is READY, and a Python until it has imported the libraries."""
    agents, libraries = [], []
    with Simulator(folder) as simulator, Pushgateway(folder) as gateway:
        config = config_of(folder, simulator, gateway.port, 5)
        for number in range(STARTS):
            libraries.append(import_seconds())
            agents.append(start_seconds(config, folder / f"start-{number}"))
    name = f"start to READY, ms; the peer imports the libraries ({STARTS} each)"
    return Figure(name, statistics.median(agents) * 1000, statistics.median(libraries) * 1000, 2)


def start_seconds(config: Path, state: Path) -> float:
    state.mkdir()
    address = state / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(30)
        begin = time.monotonic()
        with Agent(config, environment={"NOTIFY_SOCKET": str(address), "STATE_DIRECTORY": str(state)}):
            while b"READY=1" not in manager.recv(4096):
                pass
            return time.monotonic() - begin


def import_seconds() -> float:
    begin = time.monotonic()
    subprocess.run([sys.executable, "-c", LIBRARIES], check=True)  # noqa: S603 - Python
    return time.monotonic() - begin


def sizes() -> Iterator[str]:
    """Yield how large the package is, and its remote write."""
    lines = {file: len(file.read_text().splitlines()) for file in PACKAGE.rglob("*.py")}
    remote = {file: count for file, count in lines.items() if "remote_write" in file.relative_to(PACKAGE).as_posix()}
    small = sum(count < SMALL_LINES for file, count in lines.items() if file.name != "__init__.py")
    yield f"package: {sum(lines.values())} lines in {len(lines)} files, {small} modules under {SMALL_LINES}"
    yield f"remote write: {sum(remote.values())} lines in {len(remote)} files"


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench peers", description=__doc__)
    parser.add_argument(
        "--seconds",
        type=int,
        default=180,
        help="how long, in whole minutes: the state is saved once in each (default: 180)",
    )
    parser.add_argument("--interval", type=int, default=5, help="the beat in seconds (default: 5, as delivered)")
    parser.add_argument("--blocks", type=int, default=CARD_BLOCK_BYTES, help="of the card, in bytes (default: 4096)")
    options = parser.parse_args()
    # As pip does; an agent that has to compile itself at each start is another agent.
    compileall.compile_dir(PACKAGE, quiet=1)
    print(f"Python {platform.python_version()}, a beat every {options.interval} s, {options.seconds} s after a warm-up")
    print(f"{'':<66}{'agent':>10}{'peer':>10}{'ratio':>8}{'at most':>9}")
    with tempfile.TemporaryDirectory(prefix="sonnen-bench-") as temporary:
        for figure in side_by_side(Path(temporary), options.seconds, options.interval, options.blocks):
            print(figure)
        print(starts(Path(temporary)))
    for line in sizes():
        print(line)


if __name__ == "__main__":
    main()
