"""What waits, on its way out: oldest first, in bounded batches, at a bounded rate.

A batch is at most 5000 samples. After each request it rests as long as the request took, and goes no
faster than 100,000 samples a second: at least half of the processor and of the link are left to the
beats, and no receiver is overrun. After a failure a batch is one beat, and grows again with success.
"""

import logging
from collections.abc import Callable

from sonnen_agent.outputs.remote_write.courier import Courier
from sonnen_agent.outputs.remote_write.parcel import Parcel
from sonnen_agent.outputs.remote_write.queue import Batch, BeatQueue
from sonnen_agent.outputs.remote_write.receiver import Verdict
from sonnen_agent.outputs.remote_write.refusals import Refusals

_BATCH_SAMPLES = 5000
_GROWTH = 4
_SAMPLES_PER_SECOND = 100_000
_SHORT_SAMPLES = 20_000
"""Eleven minutes of one battery at 5 s: that goes out before the present does, and within a beat."""
_FIRST_PAUSE_SECONDS = 2
_LONGEST_PAUSE_SECONDS = 60
_POISONED = 10
"""Failures with the status 500 at one and the same beat, some minutes in all, while the present is taken."""

_log = logging.getLogger(__name__)


class Backlog:
    """Drains a queue."""

    def __init__(
        self, queue: BeatQueue, courier: Courier, refusals: Refusals, *, monotonic: Callable[[], float]
    ) -> None:
        self.queue = queue
        self._courier = courier
        self._refusals = refusals
        self._monotonic = monotonic
        self._parcel: Parcel | None = None
        self._batch: Batch | None = None
        self._batch_samples = 1 if queue.samples else _BATCH_SAMPLES
        self._failures = 0
        """In a row while the present is taken; of them with the status 500:"""
        self._errors = 0
        self._late = 0
        self._in_order = True
        self.next_at = float("-inf")
        """When the next request may go out, in seconds of the monotonic clock."""

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return self.queue.samples == 0

    def comes_first(self) -> bool:
        """Return whether what waits is so little that the present goes last, in order.

        A Prometheus that takes no samples out of order loses nothing then. Once the present has gone
        out of turn there is no order to keep until all of the backlog is gone.
        """
        if self.empty:
            self._in_order = True
        elif self.queue.samples > _SHORT_SAMPLES:
            self._in_order = False
        return self._in_order and not self.empty

    def send(self, now_unix_ms: int, *, present_is_taken: bool) -> Verdict | None:
        """Send one request with the oldest samples, and return what became of it; None when there are none."""
        if self._parcel is None or self._parcel.done:
            self._batch = self.queue.peek(self._batch_samples, now_unix_ms)
            if self._batch is None:
                self.next_at = self._monotonic() + _FIRST_PAUSE_SECONDS
                return None
            self._parcel = Parcel(self._batch.samples(), self._refusals.note)
        begin = self._monotonic()
        count = len(self._parcel.next())
        verdict = self._courier.carry(self._parcel, errors_are_refusals=present_is_taken and self._errors >= _POISONED)
        took = self._monotonic() - begin
        if verdict.kind == "later":
            self._failed(verdict, present_is_taken=present_is_taken)
        else:
            self.next_at = begin + max(2 * took, count / _SAMPLES_PER_SECOND)
            if self._parcel.done:
                self._delivered()
        return verdict

    def _failed(self, verdict: Verdict, *, present_is_taken: bool) -> None:
        # What of it was stored is sent again; that does no harm, and the next attempt may be smaller.
        self._parcel = None
        self._batch_samples = 1
        self.next_at = self._monotonic() + verdict.wait_seconds
        if not present_is_taken:
            return
        self._failures += 1
        self._errors += verdict.status == 500
        pause = min(_FIRST_PAUSE_SECONDS << min(self._failures, 8), _LONGEST_PAUSE_SECONDS)
        self.next_at = self._monotonic() + max(pause, verdict.wait_seconds)
        level = logging.WARNING if self._failures == 1 else logging.DEBUG
        _log.log(level, "%d samples from before have to wait: %s", self.queue.samples, verdict.words)

    def _delivered(self) -> None:
        if self._batch is not None:
            count = sum(len(beat) for beat, _ in self._batch.beats)
            self._late += count
            self._batch_samples = min(max(self._batch_samples, count) * _GROWTH, _BATCH_SAMPLES)
            self.queue.advance(self._batch)
        self._parcel = self._batch = None
        self._failures = self._errors = 0
        if self.empty:
            _log.info("nothing waits any more: %d samples were sent late", self._late)
            self._late = 0
