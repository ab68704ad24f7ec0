"""Whether the agent grows: many batteries at a short beat, all with random faults, watched from outside.

The batteries are simulated ones with the fault switches of the tests, the receiver of remote write is a real
VictoriaMetrics. The gateway is one that looks at every push: a real one shows only the latest. At the end both tell
whether anything came twice or not at all.
usage: scripts/bench soak [--minutes N] [--batteries N] [--interval N] [--seed N]
"""

import argparse
import gzip
import json
import platform
import random
import re
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import unquote

from faulty_simulator import FaultySimulator
from programs import HOST, wait_until
from servers import Agent, VictoriaMetrics
from simulator_faults import ENDPOINTS, FAULT_NAMES

from sonnen_agent.components import REPORT_SECONDS

WARM_SECONDS = 20
"""Without faults, so that every part has been in use once."""
SLOPE_LIMIT = 2.0
"""MiB an hour, in the second half."""
TOKEN = "a-made-up-token"  # noqa: S105 - of no real battery
_BATTERY = re.compile(r"/metrics/job/sonnen/instance/([^/]+)")
_READ_AT, _COUNTED = "sonnen_last_reading_timestamp_seconds", "sonnen_observed_seconds_total"
_VALUE = re.compile(rf"^(sonnen_online|{_READ_AT}|{_COUNTED}) (.+)$", re.MULTILINE)
_MISSED = re.compile(r'^sonnen_agent_missed_beats_total\{battery="([^"]+)"\} (.+)$', re.MULTILINE)
_WAITING = re.compile(r"^sonnen_agent_spool_samples\{.*\} (.+)$", re.MULTILINE)


class Gateway(ThreadingHTTPServer):
    """Takes pushes as a Pushgateway does, and remembers of each what tells whether one came twice or fell."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Pushes)
        self.url = f"http://{HOST}:{self.server_port}"
        self.pushes: Counter[str] = Counter()
        self.missed: dict[str, int] = {}
        self.waiting = 0.0
        self.twice = self.fallen = 0
        self._newest: dict[str, dict[str, float]] = defaultdict(dict)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def take(self, path: str, page: str) -> None:
        """Look at a push; there is only one at a time."""
        if (battery := _BATTERY.fullmatch(path)) is None:
            self.missed = {name: int(float(count)) for name, count in _MISSED.findall(page)}
            self.waiting = sum(map(float, _WAITING.findall(page)))
            return
        name = unquote(battery[1])
        values = {metric: float(value) for metric, value in _VALUE.findall(page)}
        before = self._newest[name]
        self.twice += values["sonnen_online"] == 1 and values[_READ_AT] == before.get(_READ_AT)
        self.fallen += values.get(_COUNTED, 0) < before.get(_COUNTED, 0)
        self._newest[name] = values
        self.pushes[name] += 1

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of an agent that hangs up at its end."""


class _Pushes(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Gateway

    def do_GET(self) -> None:
        self._answer(b'{"status":"success","data":[]}')

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        self.server.take(self.path, body.decode())
        self._answer(b"")

    def do_DELETE(self) -> None:
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Receiver(VictoriaMetrics):
    """A receiver that tells all it has."""

    def samples(self) -> Iterator[tuple[dict[str, str], list[int]]]:
        """Yield the labels of each series that it has, and the times of its samples in milliseconds."""
        for line in self.request("/api/v1/export", **{"match[]": '{__name__!=""}'}).splitlines():
            series = json.loads(line)
            yield series["metric"], series["timestamps"]


class Faults:
    """Plays faults until it is stopped: each battery gets one every half a minute, for up to ten seconds."""

    def __init__(self, batteries: list[FaultySimulator], seed: int) -> None:
        self._batteries = batteries
        self._random = random.Random(seed)  # noqa: S311 - the same faults with the same seed
        self._ends: dict[FaultySimulator, float] = {}
        self._over = threading.Event()
        self.played: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._play)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _play(self) -> None:
        while not self._over.wait(1):
            now = time.monotonic()
            for battery in self._batteries:
                if now >= self._ends.get(battery, 0):
                    battery.clear_faults()
                    if self._random.random() < 1 / 30:
                        self._spoil(battery, now)
        for battery in self._batteries:
            battery.clear_faults()

    def _spoil(self, battery: FaultySimulator, now: float) -> None:
        fault = self._random.choice(FAULT_NAMES)
        battery.set_fault(fault, self._random.choice((None, *ENDPOINTS)))
        self.played[fault] += 1
        self._ends[battery] = now + self._random.uniform(1, 10)


def memory_mebibytes(pid: int) -> float:
    """Return the resident memory of a process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) / 1024


def processor_seconds(pid: int) -> float:
    """Return user and system time of all threads that live."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def count_of(pid: int, what: str) -> int:
    """Return how many entries a process has in a folder of /proc: `task` are its threads, `fd` its open files."""
    return len(list(Path(f"/proc/{pid}/{what}").iterdir()))


def slope_per_hour(points: list[tuple[float, float]]) -> float:
    """Return how much a value rises in an hour, by the least squares of (seconds, value)."""
    return statistics.linear_regression(*zip(*points, strict=True)).slope * 3600


class Verdict:
    """Prints the lines of the result, and remembers whether one is not as it must be."""

    def __init__(self) -> None:
        self.failed = False

    def line(self, name: str, figure: object, *, right: bool) -> None:
        """Print a figure."""
        self.failed |= not right
        print(f"{name:<66}{figure!s:>14}{'' if right else '  wrong'}", flush=True)


def soak(folder: Path, options: argparse.Namespace) -> bool:
    """Run it, print what was seen, and return whether all was right."""
    with ExitStack() as stack:
        runtime = stack.enter_context(tempfile.TemporaryDirectory(prefix="sonnen-soak-", dir="/dev/shm"))
        names = [f"battery-{number:02}" for number in range(1, options.batteries + 1)]
        batteries = [stack.enter_context(FaultySimulator(seed=seed, token=TOKEN)) for seed, _ in enumerate(names)]
        gateway, receiver = Gateway(), stack.enter_context(Receiver(folder))
        config = folder / "agent.yml"
        token_file = folder / "token"
        token_file.write_text(TOKEN)
        token_file.chmod(0o600)
        listed = [
            {"name": name, "url": battery.url, "token_file": "token"}
            for name, battery in zip(names, batteries, strict=True)
        ]
        # JSON is YAML, too.
        config.write_text(
            json.dumps(
                {
                    "interval_seconds": options.interval,
                    "batteries": listed,
                    "pushgateway": {"url": gateway.url},
                    "remote_write": {"url": f"{receiver.url}/api/v1/write"},
                }
            )
        )
        agent = stack.enter_context(Agent(config, environment={"RUNTIME_DIRECTORY": runtime}))
        time.sleep(WARM_SECONDS)
        verdict = Verdict()
        with Faults(batteries, options.seed) as faults:
            watch(agent, options.minutes, verdict)
        print(", ".join(f"{name} {times}" for name, times in sorted(faults.played.items())))
        compare(agent, gateway, receiver, options.interval, verdict)
        verdict.line("exit code", agent.stop(), right=agent.exit_code == 0)
        gateway.shutdown()
        return not verdict.failed


def watch(agent: Agent, minutes: int, verdict: Verdict) -> None:
    """Print how large the agent is, minute by minute, and judge it."""
    pid = agent.pid
    begin = time.monotonic()
    memory: list[tuple[float, float]] = []
    threads: list[int] = []
    files: list[int] = []
    spent = processor_seconds(pid)
    print(f"{'minute':>6}{'RSS, MiB':>10}{'threads':>9}{'files':>7}{'processor, ms/s':>17}", flush=True)
    for minute in range(1, minutes + 1):
        seen = []
        before = time.monotonic()
        while time.monotonic() < begin + minute * 60:
            time.sleep(5)
            agent.check_running()
            seen.append(memory_mebibytes(pid))
            memory.append((time.monotonic() - begin, seen[-1]))
        threads.append(count_of(pid, "task"))
        files.append(count_of(pid, "fd"))
        now_spent = processor_seconds(pid)
        rate = (now_spent - spent) / (time.monotonic() - before) * 1000
        spent = now_spent
        print(f"{minute:6}{statistics.fmean(seen):10.2f}{threads[-1]:9}{files[-1]:7}{rate:17.1f}", flush=True)
    half = len(threads) // 2
    slope = slope_per_hour(memory[len(memory) // 2 :])
    verdict.line("RSS in the second half, MiB an hour", f"{slope:.2f}", right=slope <= SLOPE_LIMIT)
    verdict.line("threads, at most, first and second half", _halves(threads), right=_flat(threads, half))
    verdict.line("open files, at most, first and second half", _halves(files), right=_flat(files, half))


def _halves(counts: list[int]) -> str:
    half = len(counts) // 2
    return f"{max(counts[:half] or counts)} {max(counts[half:])}"


def _flat(counts: list[int], half: int) -> bool:
    return max(counts[half:]) <= max(counts[:half] or counts)


def compare(agent: Agent, gateway: Gateway, receiver: Receiver, interval: int, verdict: Verdict) -> None:
    """Judge what has arrived, once all is well again and the queue is empty."""
    time.sleep(2 * REPORT_SECONDS)  # the agent tells of the beats it missed in its own group
    wait_until(lambda: gateway.waiting == 0, "an empty queue")
    pushes = gateway.pushes.total()
    figures = f"{pushes} {gateway.twice}"
    verdict.line("pushes of batteries, and of those with a reading twice", figures, right=not gateway.twice)
    verdict.line("counters that fell from one push to the next", gateway.fallen, right=not gateway.fallen)
    samples, repeated, beats, expected = 0, 0, 0, 0
    for labels, times in receiver.samples():
        samples += len(times)
        repeated += len(times) - len(set(times))
        if labels["__name__"] == "sonnen_online":
            beats += len(times)
            since_first = round((times[-1] - times[0]) / 1000 / interval) + 1
            expected += since_first - gateway.missed.get(labels["instance"], 0)
    verdict.line("samples in the receiver, and of those twice", f"{samples} {repeated}", right=not repeated)
    verdict.line("beats in the receiver, and how many there were", f"{beats} {expected}", right=beats == expected)
    verdict.line("tracebacks in the log", agent.log.count("Traceback"), right="Traceback" not in agent.log)
    print(f"lines in the log: {len(agent.log.splitlines())}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench soak", description=__doc__)
    parser.add_argument("--minutes", type=int, default=20, help="how long (default: 20)")
    parser.add_argument("--batteries", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--interval", type=int, default=1, help="the beat in seconds (default: 1)")
    parser.add_argument("--seed", type=int, default=1, help="of the faults (default: 1)")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {options.batteries} batteries, a beat every {options.interval} s")
    with tempfile.TemporaryDirectory(prefix="sonnen-soak-") as folder:
        if not soak(Path(folder), options):
            sys.exit(1)


if __name__ == "__main__":
    main()
