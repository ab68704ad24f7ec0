"""Sends frames: the present in its turn, what cannot be sent into the queue, and what waits there in between.

A short backlog goes out before the present, so that nothing is out of order. Before a longer one the
present goes first, then what waits, oldest first, between the beats, in batches of at most 5000 samples.
After each request it rests as long as the request took, and goes no faster than 100,000 samples a second: at
least half of the processor and of the link are left to the beats, and no receiver is overrun. After a failure
a batch is one frame, and grows again with success.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from sonnen_agent.changes import ChangeLog
from sonnen_agent.outputs.remote_write.batch import Batch
from sonnen_agent.outputs.remote_write.client import RemoteWriteClient, WriteResult
from sonnen_agent.outputs.remote_write.clock_offset import ClockOffset
from sonnen_agent.outputs.remote_write.connection_state import ConnectionState, RejectedSamples
from sonnen_agent.outputs.remote_write.queue import Queue
from sonnen_agent.outputs.remote_write.wire import Frame, Sample, frames_of

_PRESENT_SHARE = 0.5
"""Of an interval, for finding the bad samples of the present; what is undecided then waits in the queue."""
_LONGEST_PRESENT_SECONDS = 5
_ASK_SECONDS = 60
"""So often a receiver is asked for its time while ours and its differ."""
_BATCH_SAMPLES = 5000
_GROWTH = 4
_SAMPLES_PER_SECOND = 100_000
_SHORT_SAMPLES = 20_000
"""Eleven minutes of one battery at 5 s: that goes out before the present does, and within a beat."""
_FIRST_PAUSE_SECONDS = 2
_LONGEST_PAUSE_SECONDS = 60
_POISONED = 10
"""Failures with the status 500 at one and the same frame, some minutes in all, while the present is taken."""

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
        self._connection = ConnectionState(interval_seconds, monotonic, queue.place)
        self._changes = ChangeLog(_log)
        self.rejected = RejectedSamples(monotonic)
        self._takes_empty = False
        """Whether the receiver ever took a request without samples: who did has no reason to reject one later."""
        self._next_question = float("-inf")
        self._batch: Batch | None = None
        self._frames: Sequence[Frame] = ()
        self._batch_samples = 1 if queue.samples else _BATCH_SAMPLES
        self._failures = 0
        """In a row while the present is taken; of them with the status 500:"""
        self._errors = 0
        self._late_samples = 0
        self._in_order = True
        self._next_at = float("-inf")
        """When the next request with what waits may go out, in seconds of the monotonic clock."""

    def pause_seconds(self) -> float | None:
        """Return how long to wait for the next frames before what waits is to be sent; None if nothing is."""
        if not self._queue.samples or self._clock_offset.offset_ms() is None:
            return None
        return max(self._next_at - self._monotonic(), self._connection.idle_at - self._monotonic(), 0.0)

    def send(self, frames: Sequence[Frame]) -> None:
        """Send frames now if they can be sent, in their turn, and otherwise keep them."""
        offset_ms = self._offset_ms() if self._monotonic() >= self._connection.open_at else None
        if self._clock_offset.likely_ms is not None:
            self._queue.note_offset(self._clock_offset.likely_ms)
        deadline = self._monotonic() + self._present_seconds
        while offset_ms is not None and self._backlog_comes_first() and self._monotonic() < deadline:
            result = self._send_oldest(offset_ms)
            if result is None or result.kind == "later":
                break
        if offset_ms is None or self._backlog_comes_first():
            self._queue.append(frames)
        else:
            self._send_present(frames, offset_ms, deadline)

    def send_waiting(self) -> None:
        """Send one request with the oldest of what waits, if it is time."""
        if self._queue.samples and self._monotonic() >= max(self._next_at, self._connection.idle_at):
            offset_ms = self._offset_ms()
            if offset_ms is not None:
                self._send_oldest(offset_ms)

    def finish(self, frames: Sequence[Frame]) -> None:
        """Send the last frames in one request, or keep them for the next process; then close everything."""
        self._present_seconds = 0.0
        if self._connection.up and self._clock_offset.offset_ms() is not None:
            self.send(frames)
        else:
            self._queue.append(frames)
        self._queue.close()
        self._client.close()

    def _backlog_comes_first(self) -> bool:
        """Return whether what waits is so little that the present goes last, in order.

        A Prometheus that takes no samples out of order loses nothing then. Once the present has gone
        out of turn there is no order to keep until all of the backlog is gone.
        """
        if not self._queue.samples:
            self._in_order = True
        elif self._queue.samples > _SHORT_SAMPLES:
            self._in_order = False
        return self._in_order and self._queue.samples > 0

    def _send_present(self, frames: Sequence[Frame], offset_ms: int, deadline: float) -> None:
        samples = [sample for frame in frames for sample in frame.samples(offset_ms)]
        batch = Batch(samples, self.rejected.note_present, self.rejected.apart())
        began = self._monotonic()
        while not batch.done:
            result = self._send_next(batch)
            if result.kind == "later" or batch.done or self._monotonic() > deadline:
                self._connection.attempted(result, began, self._queue.samples)
                break
        self._queue.append(frames_of(batch.left(), offset_ms))

    def _send_oldest(self, offset_ms: int) -> WriteResult | None:
        """Send one request with the oldest samples, and return what became of it; None when there are none.

        It shows whether the link is up, unless the present does.
        """
        self._queue.note_offset(offset_ms)
        leads = self._backlog_comes_first() or not self._connection.up
        began = self._monotonic()
        if self._batch is None:
            found = self._queue.peek(self._batch_samples, self._clock_offset.now_ms + offset_ms)
            if found is None:
                self._next_at = began + _FIRST_PAUSE_SECONDS
                return None
            self._frames, frames_offset_ms = found
            samples = [sample for frame in self._frames for sample in frame.samples(frames_offset_ms)]
            self._batch = Batch(samples, self.rejected.note)
        count = len(self._batch.next)
        result = self._send_next(self._batch, errors_are_rejections=not leads and self._errors >= _POISONED)
        if leads:
            self._connection.attempted(result, began, self._queue.samples)
        if result.kind == "later":
            self._failed(result, present_is_taken=not leads)
        else:
            took = self._monotonic() - began
            self._next_at = began + max(2 * took, count / _SAMPLES_PER_SECOND)
            if self._batch.done:
                self._delivered()
        return result

    def _failed(self, result: WriteResult, *, present_is_taken: bool) -> None:
        # What of it was stored is sent again; that does no harm, and the next attempt may be smaller.
        self._batch = None
        self._batch_samples = 1
        self._next_at = self._monotonic() + result.wait_seconds
        if not present_is_taken:
            return
        self._failures += 1
        self._errors += result.status == 500
        pause = min(_FIRST_PAUSE_SECONDS << min(self._failures, 8), _LONGEST_PAUSE_SECONDS)
        self._next_at = self._monotonic() + max(pause, result.wait_seconds)
        message = "%d samples from before have to wait: %s"
        self._changes.trouble("backlog", "waits", message, self._queue.samples, result.words)

    def _delivered(self) -> None:
        count = sum(map(len, self._frames))
        self._late_samples += count
        self._batch_samples = min(max(self._batch_samples, count) * _GROWTH, _BATCH_SAMPLES)
        self._queue.advance(self._frames)
        self._batch = None
        self._failures = self._errors = 0
        self._changes.over("backlog")
        if not self._queue.samples:
            _log.info("nothing waits any more: %d samples were sent late", self._late_samples)
            self._late_samples = 0

    def _send_next(self, batch: Batch, *, errors_are_rejections: bool = False) -> WriteResult:
        """Send the next piece of a batch, and return what became of it.

        When all of it is rejected, piece after piece, and then even a request without samples is, the
        samples are not at fault, and are kept: a proxy may answer 400 to everything.
        """
        result = self._write(batch.next)
        if errors_are_rejections and result.status == 500:
            result = replace(result, kind="rejected", outcome="rejected")
        batch.tell(result)
        if result.kind == "rejected" and batch.hopeless and not batch.done:
            if self._takes_empty and self._write(()).kind != "written":
                return replace(result, kind="later", words=f"{result.words} (and the same to an empty request)")
            batch.give_up()
        return result

    def _write(self, samples: Sequence[Sample]) -> WriteResult:
        result = self._client.write(samples)
        if result.status is not None:
            self._clock_offset.heard(result.date)
        return result

    def _offset_ms(self) -> int | None:
        """Return the offset to send with, or None while the time is unknown; ask for the receiver's if need be."""
        offset = self._clock_offset
        offset_ms = offset.offset_ms()
        began = self._monotonic()
        must_ask = not offset.asked or began >= self._next_question
        if offset_ms is None and offset.likely_ms is not None and must_ask:
            self._next_question = began + _ASK_SECONDS
            result = self._write(())
            self._takes_empty = self._takes_empty or result.kind == "written"
            if result.status is None:
                self._connection.attempted(result, began, self._queue.samples)
                return None
            offset_ms = offset.offset_ms()
        self._tell_clock(known=offset_ms is not None)
        return offset_ms

    def _tell_clock(self, *, known: bool) -> None:
        ahead = self._clock_offset.disagreement_seconds
        if known:
            message = "the clock is right now; samples are sent with the times they were taken at"
            self._changes.over("clock", message)
        elif ahead is None:
            self._changes.trouble("clock", "waits", "samples wait until the clock is set", level=logging.INFO)
        else:
            self._changes.trouble(
                "clock",
                "waits",
                "samples wait: this machine's clock is %.0f s %s the receiver's; set the one that is wrong",
                abs(ahead),
                "ahead of" if ahead > 0 else "behind",
            )
