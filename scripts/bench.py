"""What a day without a link costs: spool, memory and time to catch up, with a simulated house.

Every beat of a day, of a battery and of the agent itself, goes into the spool while nothing listens.
Then a receiver is started, and the backlog drains while the beats go on. usage: scripts/bench [-h]
"""

import argparse
import json
import logging
import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar, cast

from block_device import BlockDevice, Folder, card
from programs import HOST, find_program, free_port
from prometheus_client import CollectorRegistry, ProcessCollector
from servers import Server, VictoriaMetrics

from sonnen_agent.battery import parsers
from sonnen_agent.battery.variants import SLOW_ENDPOINTS
from sonnen_agent.destination import Destination
from sonnen_agent.details import Configuration, Inverter, Meter, Pack, System
from sonnen_agent.errors import Outcome
from sonnen_agent.group import SHOWN_BEATS, Group, GroupKey
from sonnen_agent.metrics.agent import agent_families
from sonnen_agent.metrics.battery import battery_families
from sonnen_agent.metrics.exposition import Known
from sonnen_agent.outputs import Retain, Surroundings
from sonnen_agent.outputs.remote_write import Options
from sonnen_agent.outputs.remote_write.output import RemoteWriteOutput
from sonnen_agent.reading import Reading
from sonnen_agent.scheduler import ProgressWatch
from sonnen_agent.simulator.battery import SimulatedBattery, simulated_clock
from sonnen_agent.simulator.generations import generation_named
from sonnen_agent.telemetry import AgentInfo, Telemetry

Answer = TypeVar("Answer")

INTERVAL_SECONDS = 5
REPORT_SECONDS = 15
DAY_BEATS = 86_400 // INTERVAL_SECONDS
WARM_BEATS = 200
START = datetime(2026, 6, 20, 22, 0, tzinfo=UTC)


class Time:
    """The monotonic clock, which a day can be taken out of."""

    def __init__(self) -> None:
        self._fixed: float | None = None
        self._offset = time.time() - time.monotonic()

    def set(self, monotonic_seconds: float | None) -> None:
        self._fixed = monotonic_seconds

    def monotonic(self) -> float:
        return time.monotonic() if self._fixed is None else self._fixed

    def unix(self) -> float:
        return self.monotonic() + self._offset


class House:
    """A simulated sonnenBatterie 10, read without a network, and the agent that reads it."""

    def __init__(self, clock: Time) -> None:
        self._clock = clock
        self._begin = clock.monotonic()
        self._battery = SimulatedBattery(
            generation=generation_named("sb10"),
            seed=1,
            clock=simulated_clock(START, 1, clock.monotonic),
            token=None,
        )
        self._details: dict[str, object] = {}
        self._due: dict[str, float] = {}
        self._known = Known()
        self._process = ProcessCollector(registry=CollectorRegistry())
        self._about = AgentInfo(build={("1.0", "0", platform.python_version()): 1}, start_unix_seconds=self._begin)
        self.telemetry = Telemetry(("home",))

    def beat(self) -> Iterator[Group]:
        now = self._clock.monotonic()
        status = self._ask("/api/v2/status", parsers.parse_status)
        self.telemetry.record_read("home", "status", "ok", 0.012)
        for endpoint, slow in SLOW_ENDPOINTS.items():
            if now >= self._due.get(endpoint, float("-inf")):
                self._due[endpoint] = now + slow.period_seconds
                self._details[endpoint] = self._ask(f"/api/v2/{endpoint}", slow.parse)
                self.telemetry.record_read("home", endpoint, "ok", 0.018)
        self.telemetry.record_send("pushgateway", "ok", 0.009, 2113)
        reading = Reading(
            status=status,
            unix_seconds=self._clock.unix(),
            monotonic_seconds=now,
            generation="v2",
            meters=cast("tuple[Meter, ...]", self._details["powermeter"]),
            inverter=cast("Inverter", self._details["inverter"]),
            pack=cast("Pack", self._details["battery"]),
            system=cast("System", self._details["latestdata"]),
            configuration=cast("Configuration", self._details["configurations"]),
        )
        yield Group(
            key=GroupKey(job="sonnen", instance="home"),
            families=battery_families(
                reading=reading,
                states=None,
                endpoints=dict.fromkeys(("status", *SLOW_ENDPOINTS), True),
                last_reading_unix_seconds=reading.unix_seconds,
                labels={},
                known=self._known,
            ),
            taken_monotonic_seconds=now,
            shown_seconds=SHOWN_BEATS * INTERVAL_SECONDS,
        )
        if now >= self._due.get("report", float("-inf")):
            self._due["report"] = now + REPORT_SECONDS
            yield Group(
                key=GroupKey(job="sonnen_agent", instance="pi"),
                families=agent_families(self._about, self.telemetry.counts(), {}, self._process.collect()),
                taken_monotonic_seconds=now,
                shown_seconds=SHOWN_BEATS * REPORT_SECONDS,
            )

    def _ask(self, path: str, parse: Callable[[object], Answer]) -> Answer:
        return parse(json.loads(self._battery.answer(path, "token").payload))


class Database(Server):
    """A Prometheus that is written to."""

    ready_path = "/-/ready"


class Quiet(BaseHTTPRequestHandler):
    """A receiver that takes everything, tells no time, and keeps no connection."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response_only(204)
        self.end_headers()


def receivers(port: int, folder: Path) -> Iterator[tuple[str, str, Server, Callable[[Server], float]]]:
    """Yield name, path, server, and how to count the samples of sonnen_online in it."""
    config = folder / "prometheus.yml"
    config.write_text("storage: {tsdb: {out_of_order_time_window: 26h}}\n")
    yield (
        "Prometheus",
        "/api/v1/write",
        Database(
            find_program("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address={HOST}:{port}",
            "--web.enable-remote-write-receiver",
            port=port,
            log_file=folder / "prometheus.log",
        ),
        lambda server: count(server, "count_over_time(sonnen_online[26h])"),
    )
    yield (
        "VictoriaMetrics",
        "/api/v1/write",
        VictoriaMetrics(folder, port),
        lambda server: count(server, "count_over_time(sonnen_online[26h])"),
    )


def count(server: Server, expression: str) -> float:
    result = json.loads(server.request("/api/v1/query", query=expression))["data"]["result"]
    return float(result[0]["value"][1]) if result else 0


def memory_kib(field: str) -> int:
    """Return VmRSS or VmHWM of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def day_without_link(
    name: str, path: str, server: Server, counted: Callable[[Server], float], disk: BlockDevice | Folder
) -> None:
    clock = Time()
    real_start = time.monotonic()
    clock.set(real_start - (DAY_BEATS + WARM_BEATS) * INTERVAL_SECONDS)
    house = House(clock)
    sent_bytes = 0

    def record(_: str, outcome: Outcome, seconds: float, size: int) -> None:
        nonlocal sent_bytes
        house.telemetry.record_send("remote_write", outcome, seconds, size)
        sent_bytes += size

    state_directory = disk.path / name
    runtime = tempfile.TemporaryDirectory(dir="/dev/shm")
    output = RemoteWriteOutput(
        Options(destination=Destination(url=f"{server.url}{path}")),
        Surroundings(
            interval_seconds=INTERVAL_SECONDS,
            state_directory=state_directory,
            runtime_directory=Path(runtime.name),
            record=record,
            clock=clock.unix,
        ),
        monotonic=clock.monotonic,
    )

    def beat() -> None:
        for group in house.beat():
            output.put(group)

    def fast_beats(number: int) -> float:
        spent = 0.0
        for _ in range(number):
            clock.set(clock.monotonic() + INTERVAL_SECONDS)
            beat()
            begin = time.perf_counter()
            output.turn(0)
            spent += time.perf_counter() - begin
            disk.pass_time(INTERVAL_SECONDS)
        return spent / number * 1000

    with_receiver = ThreadingHTTPServer((HOST, server.port), Quiet)
    threading.Thread(target=with_receiver.serve_forever, daemon=True).start()
    warm = fast_beats(WARM_BEATS)
    with_receiver.shutdown()
    with_receiver.server_close()
    print(f"{name}: a beat takes {warm:.2f} ms and {sent_bytes / WARM_BEATS:.0f} bytes while the receiver is fine")
    steady = memory_kib("VmRSS")
    reset_peak()

    written = disk.written_bytes(os.getpid())
    cost = fast_beats(DAY_BEATS)
    written = disk.written_bytes(os.getpid()) - written
    state = output.waiting()
    files = list((state_directory / "spool").iterdir())
    blocks = sum(file.stat().st_blocks * 512 for file in files)
    print(
        f"{name}: the spool of a day without it: {state.samples} samples of {state.samples / DAY_BEATS:.1f} series, "
        f"{blocks / 2**20:.2f} MiB on disk in {len(files)} files, "
        f"{state.bytes / state.samples:.2f} bytes a sample, {cost:.2f} ms a beat"
    )
    print(f"{name}: {written / 2**20:.1f} MiB were written for that {disk.where}")
    print(f"{name}: memory grew by {(memory_kib('VmHWM') - steady) / 1024:.1f} MiB at most while it waited")

    clock.set(None)
    with server:
        reset_peak()
        sent_bytes = 0
        begin, processor = time.monotonic(), time.process_time()
        thread = threading.Thread(target=output.run, args=(ProgressWatch(),))
        thread.start()
        beats, worst_age, took = 0, 0.0, None
        while took is None or beats < 3:
            if time.monotonic() >= begin + beats * INTERVAL_SECONDS:
                beat()
                beats += 1
            time.sleep(0.25)
            newest = count(server, 'max(timestamp(sonnen_online{instance="home"}))')
            if newest and beats > 1:
                worst_age = max(worst_age, time.time() - newest)
            if took is None and not output.waiting().samples:
                took = time.monotonic() - begin
        spent = time.process_time() - processor
        print(
            f"{name}: drained in {took:.1f} s ({state.samples / took:.0f} samples/s), {spent:.1f} s of processor time, "
            f"{sent_bytes / 2**20:.1f} MiB sent; {beats} beats meanwhile, "
            f"the newest sample never older than {worst_age:.1f} s; "
            f"memory grew by {(memory_kib('VmHWM') - steady) / 1024:.1f} MiB at most"
        )
        output.stop(Retain())
        thread.join()
        runtime.cleanup()
        time.sleep(1.5)
        lost = output.waiting()
        print(
            f"{name}: has {counted(server):.0f} samples of sonnen_online of {DAY_BEATS + beats} and an end marker; "
            f"dropped {lost.dropped_samples}, refused {lost.rejected_samples}, waiting {lost.samples}"
        )


def main() -> None:
    argparse.ArgumentParser(prog="scripts/bench", description=__doc__).parse_args()
    logging.basicConfig(level=logging.INFO, format="  %(message)s")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="sonnen-bench-") as temporary:
        folder = Path(temporary)
        with card(folder) as disk:
            for name, path, server, counted in receivers(port, folder):
                day_without_link(name, path, server, counted, disk)


if __name__ == "__main__":
    main()
