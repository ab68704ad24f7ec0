"""Remote write against the real receivers, with an outage before each: beats of the past wait in the spool."""

import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from decoding import value_bytes
from groups import battery_group
from programs import HOST, MissingProgramError, find_program, free_port, wait_until
from servers import Server

from sonnen_agent.destination import Destination
from sonnen_agent.outputs import Retain, Surroundings
from sonnen_agent.outputs.remote_write import Options
from sonnen_agent.outputs.remote_write.client import RemoteWriteClient
from sonnen_agent.outputs.remote_write.output import RemoteWriteOutput
from sonnen_agent.outputs.remote_write.wire import series_of
from sonnen_agent.scheduler import ProgressWatch

pytestmark = pytest.mark.system

BEAT_SECONDS = 5
PATH = "/api/v1/write"
_PAUSE_SECONDS = 30
"""Between the last beat of the past and the present; longer than the output waits before it tries again."""


class Database(Server):
    """Prometheus or VictoriaMetrics, as far as they are alike."""

    ready_path = "/-/ready"

    def query(self, expression: str, result: str = "value") -> dict[str, list[tuple[float, float]]]:
        """Return an answer by `instance`; the times of the samples are in seconds."""
        answer = json.loads(self.request("/api/v1/query", query=expression))["data"]["result"]
        return {
            series["metric"].get("instance", ""): [
                (float(when), float(value))
                for when, value in (series[result] if result == "values" else [series[result]])
            ]
            for series in answer
        }

    def samples(self, name: str) -> list[tuple[float, float]]:
        """Return all samples of a series of the battery `home`, without its end."""
        found = self.query(f'{name}{{instance="home"}}[30h]', "values").get("home", [])
        return [sample for sample in found if not math.isnan(sample[1])]


def prometheus(folder: Path, port: int, window: str | None) -> Database:
    config = folder / "prometheus.yml"
    config.write_text(f"storage: {{tsdb: {{out_of_order_time_window: {window}}}}}\n" if window else "{}\n")
    try:
        program = find_program("prometheus")
    except MissingProgramError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
    return Database(
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={HOST}:{port}",
        "--web.enable-remote-write-receiver",
        port=port,
        log_file=folder / "prometheus.log",
    )


def victoria_metrics(folder: Path, port: int) -> Database:
    try:
        program = find_program("victoria-metrics")
    except MissingProgramError:
        pytest.skip("victoria-metrics is not on this machine: apt-get install victoria-metrics")
    return Database(
        program,
        f"-storageDataPath={folder / 'victoria'}",
        f"-httpListenAddr={HOST}:{port}",
        "-search.latencyOffset=0s",
        port=port,
        log_file=folder / "victoria.log",
    )


class Past:
    """An output whose beats may be of the past; time is what the machine says once it is `live`."""

    def __init__(self, folder: Path, port: int, *, past_beats: int) -> None:
        self._offset = time.time() - time.monotonic()
        self._fixed: float | None = time.monotonic() - past_beats * BEAT_SECONDS - _PAUSE_SECONDS
        self.sent = 0
        self.output = RemoteWriteOutput(
            Options(
                destination=Destination(url=f"http://{HOST}:{port}{PATH}"),
                external_labels={"site": "home"},
                spool_max_bytes=1 << 24,
            ),
            Surroundings(
                interval_seconds=BEAT_SECONDS,
                state_directory=folder,
                record=lambda *_: None,
                clock=lambda: self._now() + self._offset,
            ),
            monotonic=self._now,
        )
        for _ in range(past_beats):
            self._fixed += BEAT_SECONDS
            self.put()
            self.output.turn(0)

    def put(self) -> None:
        """Put a beat of now; its production counts the beats, from 1."""
        self.sent += 1
        watts = {"production": float(self.sent), "consumption": 2.0, "charge": 0.0, "discharge": 3.0}
        self.output.put(battery_group(at=self._now(), watts=watts))

    @contextmanager
    def live(self) -> Iterator[None]:
        """Let the output's thread run, from a beat of now on; at the end of the block it has ended."""
        self._fixed = None
        self.put()
        thread = threading.Thread(target=self.output.run, args=(ProgressWatch(),))
        thread.start()
        try:
            yield
        finally:
            self.output.stop(Retain())
            thread.join(30)
            assert not thread.is_alive()

    def wait_until_empty(self) -> None:
        wait_until(lambda: self.output.waiting().samples == 0, "the end of the backlog", seconds=60)

    def _now(self) -> float:
        return time.monotonic() if self._fixed is None else self._fixed


def counted(number: int) -> list[float]:
    return [float(beat) for beat in range(1, number + 1)]


@pytest.mark.parametrize("kind", ["prometheus", "victoria-metrics"])
def test_hours_without_a_receiver_leave_no_gap_and_the_end_is_marked(
    kind: str, running: ExitStack, tmp_path: Path
) -> None:
    port = free_port()
    database = prometheus(tmp_path, port, "24h") if kind == "prometheus" else victoria_metrics(tmp_path, port)
    sender = Past(tmp_path, port, past_beats=4500)
    waiting = sender.output.waiting().samples
    running.enter_context(database)

    with sender.live():
        wait_until(lambda: bool(database.samples("sonnen_production_watts")), "the present in the database")
        sender.wait_until_empty()
        wait_until(lambda: len(database.samples("sonnen_production_watts")) == 4501, "all samples")

    assert waiting == 4500 * 5
    found = database.samples("sonnen_production_watts")
    assert [value for _, value in found] == counted(4501)
    steps = {round(later[0] - earlier[0], 2) for earlier, later in pairwise(found[:4500])}
    assert steps == {5.0}
    state = sender.output.waiting()
    assert (state.samples, state.dropped_samples, state.rejected_samples) == (0, 0, 0)
    wait_until(lambda: not database.query('sonnen_online{instance="home"}'), "the end of the series")


def test_prometheus_without_a_window_loses_nothing_of_a_short_outage(running: ExitStack, tmp_path: Path) -> None:
    port = free_port()
    sender = Past(tmp_path, port, past_beats=60)
    database = running.enter_context(prometheus(tmp_path, port, None))
    with sender.live():
        for _ in range(3):
            wait_until(
                lambda: len(database.samples("sonnen_production_watts")) == sender.sent, "the sample of the present"
            )
            sender.put()
    assert [value for _, value in database.samples("sonnen_production_watts")] == counted(64)
    assert sender.output.waiting().rejected_samples == 0


def test_prometheus_without_a_window_gets_the_present_and_ends_the_backlog(running: ExitStack, tmp_path: Path) -> None:
    port = free_port()
    sender = Past(tmp_path, port, past_beats=5000)
    waiting = sender.output.waiting().samples
    database = running.enter_context(prometheus(tmp_path, port, None))
    with sender.live():
        wait_until(lambda: bool(database.samples("sonnen_production_watts")), "the present in the database")
        sender.wait_until_empty()
    state = sender.output.waiting()
    assert 0 < state.rejected_samples <= waiting
    assert database.samples("sonnen_production_watts")[-1][1] == 5001


def test_what_is_older_than_the_window_is_dropped_and_the_rest_stored(running: ExitStack, tmp_path: Path) -> None:
    port = free_port()
    sender = Past(tmp_path, port, past_beats=5000)
    waiting = sender.output.waiting().samples
    database = running.enter_context(prometheus(tmp_path, port, "3h"))
    with sender.live():
        wait_until(lambda: bool(database.samples("sonnen_production_watts")), "the present in the database")
        sender.wait_until_empty()
    found = [value for _, value in database.samples("sonnen_production_watts")]
    assert found == counted(5001)[-len(found) :]
    # Prometheus takes at least what is in the window of 2160 beats.
    assert 2150 <= len(found) < 5001
    assert sender.output.waiting().rejected_samples == waiting * (5001 - len(found)) // 5000


@pytest.mark.parametrize("window", [None, "24h"])
def test_a_series_that_was_once_ahead_does_not_hold_up_the_others(
    window: str | None, running: ExitStack, tmp_path: Path
) -> None:
    port = free_port()
    sender = Past(tmp_path, port, past_beats=60)
    database = running.enter_context(prometheus(tmp_path, port, window))
    options = Options(destination=Destination(url=f"{database.url}{PATH}"))
    client = RemoteWriteClient(options, interval_seconds=5, record=lambda *_: None, heard=lambda _: None)
    ahead = {
        "__name__": "sonnen_consumption_watts",
        "instance": "home",
        "job": "sonnen",
        "site": "home",
    }
    later = round((time.time() + 1800) * 1000)
    assert client.write([(series_of(ahead), later, value_bytes(1))]) is None
    client.close()
    with sender.live():
        sender.wait_until_empty()
        wait_until(lambda: len(database.samples("sonnen_production_watts")) == 61, "the others")
    assert [value for _, value in database.samples("sonnen_production_watts")] == counted(61)
    # A window lets even that series go on.
    assert (sender.output.waiting().rejected_samples > 0) is (window is None)


def test_a_receiver_that_dies_and_comes_back_gets_everything(running: ExitStack, tmp_path: Path) -> None:
    port = free_port()
    database = running.enter_context(prometheus(tmp_path, port, "24h"))
    sender = Past(tmp_path, port, past_beats=0)

    def put_until(true: Callable[[], bool], what: str) -> None:
        def put_and_ask() -> bool:
            sender.put()
            return true()

        wait_until(put_and_ask, what)

    with sender.live():
        put_until(lambda: len(database.samples("sonnen_production_watts")) > 3, "the first samples")
        database.kill()
        put_until(lambda: sender.output.waiting().samples > 20, "an outage")
        database.start()
        put_until(lambda: sender.output.waiting().samples == 0, "the end of the backlog")
        wait_until(lambda: len(database.samples("sonnen_production_watts")) == sender.sent, "a sample of every beat")
    assert [value for _, value in database.samples("sonnen_production_watts")] == counted(sender.sent)
