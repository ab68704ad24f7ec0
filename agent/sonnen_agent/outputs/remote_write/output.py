"""The output's own thread: the present goes out, what cannot go out waits, what waits goes out in between.

put ─▶ BoundedQueue ─▶ StalenessTracker ─▶ Frame ─▶ Sender ─▶ Batch ─▶ RemoteWriteClient
                                                      └─▶ Queue (only in an outage)
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from sonnen_agent.clock import boot_id
from sonnen_agent.group import Group
from sonnen_agent.outputs import Retain, Surroundings, Waiting
from sonnen_agent.outputs.remote_write import Options
from sonnen_agent.outputs.remote_write.client import NAME, RemoteWriteClient
from sonnen_agent.outputs.remote_write.clock_offset import ClockOffset
from sonnen_agent.outputs.remote_write.queue import Queue
from sonnen_agent.outputs.remote_write.sender import Sender
from sonnen_agent.outputs.remote_write.staleness import StalenessTracker
from sonnen_agent.outputs.remote_write.wire import Frame
from sonnen_agent.scheduler import ProgressWatch, Threads

_FEWEST_GROUPS = 64
_GROUPS_PER_BATTERY = 16
"""All batteries put at one moment, and a request may take a beat or two."""

_log = logging.getLogger(__name__)


class RemoteWriteOutput:
    """One receiver. `run` is the body of its thread; the other methods are for the other threads."""

    name = NAME
    verb = "written"

    def __init__(
        self, options: Options, surroundings: Surroundings, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Open the spool; when it cannot be used, a little waits in memory."""
        self._monotonic = monotonic
        self._watch = ProgressWatch(monotonic)
        self._interval_seconds = surroundings.interval_seconds
        self._groups = BoundedQueue(max(_FEWEST_GROUPS, _GROUPS_PER_BATTERY * len(surroundings.meters)))
        self._tracker = StalenessTracker(options.external_labels)
        self._queue = _open_queue(surroundings, options.spool_max_bytes, monotonic)
        client = RemoteWriteClient(
            options.destination,
            options.headers,
            interval_seconds=surroundings.interval_seconds,
            record=surroundings.record,
        )
        self._sender = Sender(
            client,
            self._queue,
            ClockOffset(surroundings.clock, monotonic),
            interval_seconds=surroundings.interval_seconds,
            monotonic=monotonic,
        )
        self._retain = Retain()
        self._lost_samples = 0
        self._frame_samples = 0
        self._waiting = Waiting()
        self._publish()

    def start(self, threads: Threads) -> None:
        """Begin to send."""
        threads.start("remote write", self.run)

    def put(self, group: Group) -> None:
        """Leave what is to be sent; never waits. The pages of others go to a gateway alone."""
        if group.page is None:
            self._groups.put(group)

    def waiting(self) -> Waiting:
        """Return what waits."""
        return self._waiting

    def stop(self, retain: Retain) -> None:
        """Let `run` come to its end: the request under way and one more, each within its deadline."""
        self._retain = retain
        self._groups.close()

    def run(self, watch: ProgressWatch) -> None:
        """Send until `stop`, then end all series but those to retain, and keep what could not be sent."""
        self._watch = watch
        while not self._groups.closed:
            pause = self._sender.pause_seconds()
            self.turn(self._interval_seconds if pause is None else min(pause, self._interval_seconds))
        frames = self._take(0)
        self._sender.finish([*frames, *self._tracker.end_all(self._monotonic(), self._retain.groups)])
        self._publish()

    def turn(self, wait_seconds: float) -> None:
        """Wait so long for something new, and send it; or without anything new, the next of what waits."""
        frames = self._take(wait_seconds)
        if frames:
            self._sender.send(frames)
        else:
            self._sender.send_waiting()
        self._publish()

    def _take(self, wait_seconds: float) -> Sequence[Frame]:
        with self._watch.rest():
            groups, lost = self._groups.take(wait_seconds)
        frames = [self._tracker.frame(group) for group in groups]
        if frames:
            self._frame_samples = max(map(len, frames))
        if lost:
            _log.warning("the card or the receiver was too slow: %d beats are lost", lost)
            self._lost_samples += lost * self._frame_samples
        return [*frames, *self._tracker.end_silent(self._monotonic())]

    def _publish(self) -> None:
        queue = self._queue
        oldest_ms = queue.oldest_unix_ms
        self._waiting = Waiting(
            samples=queue.samples,
            bytes=queue.size,
            oldest_timestamp_seconds=None if oldest_ms is None else oldest_ms / 1000,
            dropped_samples=queue.dropped_samples + self._lost_samples,
            rejected_samples=self._sender.rejected.count,
        )


class BoundedQueue:
    """Holds groups until they are taken. Putting never waits; when it is full the oldest is lost."""

    def __init__(self, most: int) -> None:
        self._groups: deque[Group] = deque(maxlen=most)
        self._changed = threading.Condition()
        self._lost = 0
        self.closed = False
        """Whether no more is to be waited for."""

    def put(self, group: Group) -> None:
        """Leave a group; never waits."""
        with self._changed:
            self._lost += len(self._groups) == self._groups.maxlen
            self._groups.append(group)
            self._changed.notify()

    def take(self, timeout_seconds: float) -> tuple[Sequence[Group], int]:
        """Return all there is, and how many were lost; wait as long as there is nothing, it is open, and time is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._groups or self.closed, timeout_seconds)
            groups, lost = tuple(self._groups), self._lost
            self._groups.clear()
            self._lost = 0
            return groups, lost

    def close(self) -> None:
        """Let `take` wait no more."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()


def _open_queue(surroundings: Surroundings, max_bytes: int, monotonic: Callable[[], float]) -> Queue:
    boot = boot_id()
    directory, runtime = surroundings.state_directory / "spool", surroundings.runtime_directory
    live = None if runtime is None else runtime / "spool"
    try:
        return Queue(directory, max_bytes, boot=boot, monotonic=monotonic, live_directory=live)
    except BlockingIOError:
        _log.warning("%s is in use by another process; in an outage samples wait in memory only", directory)
    except OSError as error:
        _log.warning("%s cannot be used: %s; in an outage samples wait in memory only", directory, error.strerror)
    return Queue(None, max_bytes, boot=boot, monotonic=monotonic)
