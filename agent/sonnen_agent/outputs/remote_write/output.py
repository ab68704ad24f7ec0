"""The output's own thread: the present goes out, what cannot go out waits, what waits goes out in between."""

import contextlib
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence

from sonnen_agent.clock import boot_id
from sonnen_agent.errors import counted
from sonnen_agent.group import Group
from sonnen_agent.outputs import Retain, Surroundings
from sonnen_agent.outputs.pace import Pace
from sonnen_agent.outputs.remote_write import Options
from sonnen_agent.outputs.remote_write.client import RemoteWriteClient
from sonnen_agent.outputs.remote_write.clock_offset import ClockOffset
from sonnen_agent.outputs.remote_write.queue import Queue
from sonnen_agent.outputs.remote_write.sender import Sender
from sonnen_agent.outputs.remote_write.wire import Frame, StalenessTracker
from sonnen_agent.scheduler import ProgressWatch, Threads
from sonnen_agent.telemetry import Waiting

_FEWEST_GROUPS = 64
_GROUPS_PER_BATTERY = 16
"""All batteries put at one moment, and a request may take a beat or two."""

_MOST_SAMPLES = 5000
"""Of several beats in one request; what is more goes out before its time."""

_log = logging.getLogger(__name__)


class RemoteWriteOutput:
    """One receiver. `run` is the body of its thread; the other methods are for the other threads."""

    verb: str | None = "written"

    def __init__(
        self, options: Options, surroundings: Surroundings, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._monotonic = monotonic
        self._watch = ProgressWatch(monotonic)
        self._interval_seconds = surroundings.interval_seconds
        self._pace = Pace.of(self._interval_seconds, options.interval_seconds)
        self._open: list[Frame] = []
        """Of the beats since the last request, those that go out with the next."""
        self._due = -math.inf
        """When that is, by the monotonic clock."""
        most = max(_FEWEST_GROUPS, _GROUPS_PER_BATTERY * len(surroundings.meters))
        self._groups: queue.Queue[Group | None] = queue.Queue(most)
        """What was put and not taken yet, None at the end."""
        self._tracker = StalenessTracker(options.external_labels)
        spool, runtime = surroundings.state_directory / "spool", surroundings.runtime_directory
        live = None if runtime is None else runtime / "spool"
        self._queue = Queue(spool, options.spool_max_bytes, boot=boot_id(), live_directory=live)
        offset = ClockOffset(surroundings.clock, monotonic)
        interval = self._pace.seconds
        client = RemoteWriteClient(options, interval_seconds=interval, record=surroundings.record, heard=offset.heard)
        self._sender = Sender(client, self._queue, offset, interval_seconds=interval, monotonic=monotonic)
        self._retain = Retain()
        self._stopping = False
        self._putting = threading.Lock()
        self._lost = 0
        self._waiting = Waiting()
        self._publish()

    def start(self, threads: Threads) -> None:
        """Begin to send."""
        threads.start("remote write", self.run, writes=True)

    def put(self, group: Group) -> None:
        """Leave what is to be sent; never waits. The pages of others go to a gateway alone."""
        if group.page is None:
            self._hand_over(group)

    def waiting(self) -> Waiting:
        """Return what waits."""
        return self._waiting

    def stop(self, retain: Retain) -> None:
        """Let `run` come to its end: the request under way and one more, each within its deadline."""
        self._retain = retain
        self._stopping = True
        self._hand_over(None)

    def run(self, watch: ProgressWatch) -> None:
        """Send until `stop`, then end all series but those to retain, and keep what could not be sent."""
        self._watch = watch
        while not self._stopping:
            self.turn(min(self._sender.pause_seconds(), self._interval_seconds))
        self._open += self._take(0)
        self._sender.finish([*self._open, *self._tracker.end_all(self._monotonic(), self._retain.unchanged)])
        self._publish()

    def turn(self, wait_seconds: float) -> None:
        """Wait so long for something new, and send it if it is time; or else the next of what waits."""
        frames = self._take(wait_seconds)
        self._open += frames
        now, samples = self._monotonic(), sum(map(len, self._open))
        if frames and (now >= self._due or samples >= _MOST_SAMPLES):
            self._due = now + self._pace.pause_seconds
            self._sender.send(self._open)
            self._open = []
        else:
            self._sender.send_waiting()
        self._publish()

    def _hand_over(self, group: Group | None) -> None:
        """Put at the end; when it is full the oldest is lost."""
        with self._putting:
            if self._groups.full():
                with contextlib.suppress(queue.Empty):
                    oldest = self._groups.get_nowait()
                    families = () if oldest is None else (*oldest.families, *oldest.certain_counters)
                    self._lost += sum(len(family.samples) for family in families)
            self._groups.put_nowait(group)

    def _take(self, wait_seconds: float) -> Sequence[Frame]:
        frames = []
        with contextlib.suppress(queue.Empty):
            with self._watch.rest():
                group = self._groups.get(timeout=wait_seconds)
            while True:
                if group is not None:
                    frames.append(self._tracker.frame(self._pace.told(group)))
                group = self._groups.get_nowait()
        with self._putting:
            lost, self._lost = self._lost, 0
        if lost:
            _log.warning("the card or the receiver was too slow: %s lost", counted(lost, "sample is", "samples are"))
            self._queue.dropped_samples += lost
        return [*frames, *self._tracker.end_silent(self._monotonic())]

    def _publish(self) -> None:
        oldest_ms = self._queue.oldest_unix_ms
        self._waiting = Waiting(
            samples=self._queue.samples,
            bytes=self._queue.size,
            oldest_timestamp_seconds=None if oldest_ms is None else oldest_ms / 1000,
            dropped_samples=self._queue.dropped_samples,
            rejected_samples=self._sender.rejected_samples,
        )
