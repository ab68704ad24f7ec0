"""Sends frames: the present in its turn, what cannot be sent into the queue, and what waits there in between.

A short backlog goes out before the present, so that nothing is out of order. Before a longer one the present goes
first, then what waits, oldest first, between the beats. After each request of that it rests as long as the request
took, and goes no faster than 100,000 samples a second: at least half of the processor and of the link are left to the
beats, and no receiver is overrun. After a failure a batch is one frame, and grows again with success. What fails, the
link or only what waits, is tried once per beat.
"""

import logging
from collections.abc import Callable, Sequence

from sonnen_agent.changes import ChangeLog
from sonnen_agent.errors import counted
from sonnen_agent.outputs.remote_write.batch import Batch
from sonnen_agent.outputs.remote_write.client import RemoteWriteClient, WriteError
from sonnen_agent.outputs.remote_write.clock_offset import ClockOffset
from sonnen_agent.outputs.remote_write.queue import Queue
from sonnen_agent.outputs.remote_write.wire import Frame, Sample, Series, series_name

_PRESENT_SHARE = 0.5
"""Of an interval, for finding the bad samples of the present; what is undecided then waits in the queue."""
_LONGEST_PRESENT_SECONDS = 5
_LONGEST_RETRY_SECONDS = 30
"""With a long interval, a dead link is tried that often."""
_ASK_SECONDS = 60
"""So often a receiver is asked for its time while ours and its differ."""
_BATCH_SAMPLES = 5000
_GROWTH = 4
_SAMPLES_PER_SECOND = 100_000
_SHORT_SAMPLES = 20_000
"""Eleven minutes of one battery at 5 s: that goes out before the present does, and within a beat."""
_APART_SECONDS = 60
_QUIET_SECONDS = 3600
"""After as long, a rejection is news again."""

_log = logging.getLogger(__name__)


class Sender:
    """Between frames and a receiver, one request at a time."""

    def __init__(
        self,
        client: RemoteWriteClient,
        queue: Queue,
        clock_offset: ClockOffset,
        *,
        interval_seconds: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._client = client
        self._queue = queue
        self._clock_offset = clock_offset
        self._monotonic = monotonic
        self._present_seconds = min(_PRESENT_SHARE * interval_seconds, _LONGEST_PRESENT_SECONDS)
        self._retry_seconds = min(interval_seconds, _LONGEST_RETRY_SECONDS)
        self._changes = ChangeLog(_log)
        self.rejected_samples = 0
        """Dropped so far because the receiver rejected them."""
        self._told: dict[bool, float] = {}
        """When a rejection was last told, of samples that were too old and of others."""
        self._apart: dict[Series, float] = {}
        """The series that the receiver rejects, and until when they are kept apart from the others."""
        self._takes_empty = False
        """Whether the receiver ever took a request without samples: who did has no reason to reject one later."""
        self._up = True
        """Whether the last attempt got through."""
        self._retry_at = self._next_question = self._next_at = float("-inf")
        """When to send again at all, to ask for the receiver's time, and to send what waits."""
        self._batch: Batch | None = None
        self._frames: Sequence[Frame] = ()
        """Of the queue, those in the batch."""
        self._batch_samples = 1 if queue.samples else _BATCH_SAMPLES

    def pause_seconds(self) -> float:
        """Return how long to wait for the next frames before what waits is to be sent; infinite if nothing is."""
        if not self._queue.samples or self._clock_offset.offset_ms() is None:
            return float("inf")
        return max(self._next_at - self._monotonic(), 0.0)

    def send(self, frames: Sequence[Frame]) -> None:
        """Send frames now if they can be sent, in their turn, and otherwise keep them."""
        offset_ms = self._offset_ms() if self._monotonic() >= self._retry_at else None
        deadline = self._monotonic() + self._present_seconds
        while offset_ms is not None and self._backlog_comes_first() and self._monotonic() < deadline:
            if not self._send_oldest(offset_ms):
                break
        if offset_ms is None or self._backlog_comes_first():
            self._queue.append(frames)
            return
        began = self._monotonic()
        self._apart = {series: until for series, until in self._apart.items() if until > began}
        samples = [sample for frame in frames for sample in frame.samples(offset_ms)]
        batch = Batch(samples, self._drop_present, frozenset(self._apart))
        while batch.next:
            error = self._send_next(batch)
            if (error is not None and error.later) or not batch.next or self._monotonic() > deadline:
                self._attempted(error, began)
                break
        if batch.next:
            # What of it was stored is sent again; that does no harm.
            self._queue.append(frames)

    def send_waiting(self) -> None:
        """Send one request with the oldest of what waits, if it is time."""
        due = self._queue.samples and self._monotonic() >= self._next_at
        if due and (offset_ms := self._offset_ms()) is not None:
            self._send_oldest(offset_ms)

    def finish(self, frames: Sequence[Frame]) -> None:
        """Send the last frames in one request, or keep them for the next process; then close everything."""
        self._present_seconds = 0.0
        if self._up and self._clock_offset.offset_ms() is not None:
            self.send(frames)
        else:
            self._queue.append(frames)
        self._queue.close()
        self._client.close()

    def _backlog_comes_first(self) -> bool:
        """Return whether what waits is so little that the present goes last, in order.

        A Prometheus that takes no samples out of order loses nothing then.
        """
        return 0 < self._queue.samples <= _SHORT_SAMPLES

    def _send_oldest(self, offset_ms: int) -> bool:
        """Send one request with the oldest of what waits, and return whether another one may follow."""
        # It shows whether the link is up, unless the present does.
        leads = self._backlog_comes_first() or not self._up
        began = self._monotonic()
        if self._batch is None:
            found = self._queue.peek(self._batch_samples, self._clock_offset.now_ms + offset_ms)
            if found is None:
                self._next_at = began + self._retry_seconds
                return False
            self._frames, frames_offset_ms = found
            samples = [sample for frame in self._frames for sample in frame.samples(frames_offset_ms)]
            self._batch = Batch(samples, self._drop)
        count = len(self._batch.next)
        error = self._send_next(self._batch)
        if leads:
            self._attempted(error, began)
        if error is not None and error.later:
            # It begins anew, too, and smaller.
            self._batch = None
            self._batch_samples = 1
            self._next_at = self._time_to_retry(error, began)
            if not leads:
                waiting = counted(self._queue.samples, "sample from before has", "samples from before have")
                message = "%s to wait: %s"
                self._changes.trouble("backlog", "waits", message, waiting, error)
            return False
        self._next_at = began + max(2 * (self._monotonic() - began), count / _SAMPLES_PER_SECOND)
        if not self._batch.next:
            self._batch = None
            self._batch_samples = min(max(self._batch_samples, sum(map(len, self._frames))) * _GROWTH, _BATCH_SAMPLES)
            self._queue.advance(self._frames)
            if not self._queue.samples:
                self._changes.over("backlog", "nothing waits any more")
        return True

    def _send_next(self, batch: Batch) -> WriteError | None:
        """Send the next piece of a batch, and return why it was not stored.

        When a batch is rejected as a whole, and then even a request without samples is, the samples are
        not at fault, and are kept: a proxy may answer 400 to everything.
        """
        error = self._client.write(batch.next)
        doubtful = batch.whole and self._takes_empty
        if error is not None and not error.later and doubtful and self._client.write(()) is not None:
            words = f"{error} (and the same to an empty request)"
            error = WriteError("http_error", words, status=error.status, wait_seconds=error.wait_seconds)
        batch.tell(error)
        return error

    def _drop(self, samples: Sequence[Sample], error: WriteError) -> None:
        """Count samples that the receiver rejects, and tell the first time why, in its words."""
        self.rejected_samples += len(samples)
        now = self._monotonic()
        news = now - self._told.get(error.too_old, float("-inf")) >= _QUIET_SECONDS
        level = logging.WARNING if news else logging.DEBUG
        dropped = counted(len(samples), "sample is", "samples are")
        message = "%s dropped, the first of them of %s: %s"
        _log.log(level, message, dropped, series_name(samples[0][0]), error)
        self._told[error.too_old] = now

    def _drop_present(self, samples: Sequence[Sample], error: WriteError) -> None:
        """Drop them, and remember the series: what is rejected now will be rejected at the next beat."""
        self._drop(samples, error)
        if not error.too_old:
            self._apart.update(dict.fromkeys((sample[0] for sample in samples), self._monotonic() + _APART_SECONDS))

    def _attempted(self, error: WriteError | None, began: float) -> None:
        """Take note of an attempt that began then. What was rejected got through, but it is no success to tell."""
        self._up = error is None or not error.later
        if error is None:
            late = counted(self._queue.samples, "sample is", "samples are")
            self._changes.over("link", "remote write works again; %s sent late", late)
        elif error.later:
            self._retry_at = self._next_at = self._time_to_retry(error, began)
            kind = "away" if error.away else error.outcome
            message = "remote write fails, samples wait in %s: %s"
            self._changes.trouble("link", kind, message, self._queue.directory, error)

    def _time_to_retry(self, error: WriteError, began: float) -> float:
        return max(began + self._retry_seconds, self._monotonic() + error.wait_seconds)

    def _offset_ms(self) -> int | None:
        """Return the offset to send with, or None while the time is unknown; ask for the receiver's if need be."""
        offset = self._clock_offset
        offset_ms = offset.offset_ms()
        if offset.likely_ms is not None:
            self._queue.note_offset(offset.likely_ms)
        began = self._monotonic()
        if offset_ms is None and offset.likely_ms is not None and began >= self._next_question:
            error = self._client.write(())
            self._takes_empty = self._takes_empty or error is None
            if error is not None and error.status is None:
                self._attempted(error, began)
                return None
            self._next_question = began + _ASK_SECONDS
            offset_ms = offset.offset_ms()
        ahead = offset.disagreement_seconds
        if offset_ms is not None:
            self._changes.over("clock", "the clock is right now; samples are sent with the times they were taken at")
        elif ahead is None:
            self._changes.trouble("clock", "waits", "samples wait until the clock is set", level=logging.INFO)
        else:
            message = "samples wait: this machine's clock is %.0f s %s the receiver's; set the one that is wrong"
            self._changes.trouble("clock", "waits", message, abs(ahead), "ahead of" if ahead > 0 else "behind")
        return offset_ms
