"""The sink's own thread: the present goes out, what cannot go out waits, what waits goes out in between.

put ─▶ Inbox ─▶ SeriesBook ─▶ Beat ─┬─▶ Parcel ─▶ Courier ─▶ Receiver
                                    └─▶ Spool ─▶ Backlog ─▶ Parcel ┘
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sonnen_agent.metrics.groups import Grouping
from sonnen_agent.outputs.access import Access, Record
from sonnen_agent.outputs.remote_write.backlog import Backlog
from sonnen_agent.outputs.remote_write.beat import Beat, beats_of, samples_of
from sonnen_agent.outputs.remote_write.courier import Courier
from sonnen_agent.outputs.remote_write.inbox import Inbox
from sonnen_agent.outputs.remote_write.link import Link
from sonnen_agent.outputs.remote_write.parcel import Parcel
from sonnen_agent.outputs.remote_write.queue import BeatQueue, MemoryQueue
from sonnen_agent.outputs.remote_write.receiver import Receiver, Verdict
from sonnen_agent.outputs.remote_write.refusals import Refusals
from sonnen_agent.outputs.remote_write.series import SeriesBook
from sonnen_agent.outputs.remote_write.spool import Spool
from sonnen_agent.outputs.remote_write.stamps import Clock, Stamps, boot_id
from sonnen_agent.scheduler import ProgressWatch
from sonnen_agent.snapshot import AgentReport, Snapshot, SpoolState

_MOST_ITEMS = 64
_MEMORY_BYTES = 2 * 1024 * 1024
"""What waits without a spool: about an hour of one battery at 5 s."""
_PRESENT_SHARE = 0.5
"""Of an interval, for finding the bad samples of the present; what is undecided then waits in the spool."""
_LONGEST_PRESENT_SECONDS = 5
_ASK_SECONDS = 60
"""So often a receiver is asked for its time while ours and its differ."""

_log = logging.getLogger(__name__)


class RemoteWrite:
    """One receiver. `run` is the body of its thread; `put`, `close` and `spool_state` are for the others."""

    def __init__(  # noqa: PLR0913 - what the config says, one for one, and what the wiring knows
        self,
        access: Access,
        *,
        headers: Mapping[str, str],
        spool_directory: Path | None,
        spool_max_bytes: int,
        grouping: Grouping,
        external_labels: Mapping[str, str],
        interval_seconds: float,
        timeout_seconds: float,
        record: Record,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the spool; without a directory, or when it cannot be used, a little waits in memory.

        `clock` returns Unix time in seconds, or None while it is not known; see `stamps`.
        """
        self._monotonic = monotonic
        self._pulse = ProgressWatch(monotonic)
        self._interval_seconds = interval_seconds
        self._present_seconds = min(_PRESENT_SHARE * interval_seconds, _LONGEST_PRESENT_SECONDS)
        self._inbox = Inbox(_MOST_ITEMS, monotonic)
        self._book = SeriesBook(grouping, external_labels, interval_seconds)
        self._stamps = Stamps(clock, monotonic)
        self._refusals = Refusals(monotonic)
        receiver = Receiver(access, headers, timeout_seconds=timeout_seconds, record=record)
        self._courier = Courier(receiver, self._stamps)
        queue = _open_queue(spool_directory, spool_max_bytes, monotonic)
        self._backlog = Backlog(queue, self._courier, self._refusals, monotonic=monotonic)
        place = str(spool_directory) if isinstance(queue, Spool) else "memory"
        self._link = Link(interval_seconds, monotonic, place)
        self._lost_before = 0
        self._beat_samples = 0
        self._next_question = float("-inf")
        self._waiting_for_clock = False
        self._state = SpoolState()
        self._publish()

    def put(self, item: Snapshot | AgentReport) -> None:
        """Leave what is to be sent; never waits."""
        self._inbox.put(item)

    def run(self, pulse: ProgressWatch) -> None:
        """Send until `close`, then end all series and keep what could not be sent."""
        self._pulse = pulse
        while not self._inbox.closed:
            self.turn(self._pause_seconds())
        self._finish()

    def turn(self, wait_seconds: float) -> None:
        """Wait so long for something new, and send it; or without anything new, the next of what waits."""
        beats = self._take(wait_seconds)
        if beats:
            self._send_present(beats)
        elif not self._backlog.empty and self._monotonic() >= max(self._backlog.next_at, self._link.idle_at):
            offset_ms = self._offset_ms()
            if offset_ms is not None:
                self._send_backlog(offset_ms)
        self._publish()

    def close(self) -> None:
        """Let `run` come to its end: the request under way and one more, each within its time-out."""
        self._inbox.close()

    def spool_state(self) -> SpoolState:
        """Return what waits; may be called from any thread."""
        return self._state

    def _pause_seconds(self) -> float:
        if self._backlog.empty or self._stamps.offset_ms() is None:
            return self._interval_seconds
        due = max(self._backlog.next_at, self._link.idle_at)
        return min(max(due - self._monotonic(), 0.0), self._interval_seconds)

    def _take(self, wait_seconds: float) -> Sequence[Beat]:
        with self._pulse.rest():
            arrivals = self._inbox.take(wait_seconds)
        beats = [self._book.beat(item, taken) for item, taken in arrivals]
        if beats:
            self._beat_samples = max(map(len, beats))
        lost = self._inbox.take_lost()
        if lost:
            _log.warning("the card or the receiver was too slow: %d beats are lost", lost)
            self._lost_before += lost * self._beat_samples
        return [*beats, *self._book.end_silent(self._monotonic())]

    def _send_present(self, beats: Sequence[Beat]) -> None:
        """Send beats now if they can be sent, in their turn, and otherwise keep them."""
        offset_ms = self._offset_ms() if self._monotonic() >= self._link.open_at else None
        likely_ms = self._stamps.likely_ms
        if likely_ms is not None:
            self._backlog.queue.note_offset(likely_ms)
        if offset_ms is None:
            self._backlog.queue.append(beats)
        elif self._backlog.comes_first():
            self._backlog.queue.append(beats)
            self._catch_up(offset_ms)
        else:
            self._deliver(beats, offset_ms)

    def _catch_up(self, offset_ms: int) -> None:
        deadline = self._monotonic() + self._present_seconds
        while self._backlog.comes_first() and self._monotonic() < deadline:
            verdict = self._send_backlog(offset_ms)
            if verdict is None or verdict.kind == "later":
                return

    def _deliver(self, beats: Sequence[Beat], offset_ms: int) -> None:
        samples = [sample for beat in beats for sample in samples_of(beat, offset_ms)]
        parcel = Parcel(samples, self._refusals.note_present, self._refusals.apart())
        began = self._monotonic()
        while not parcel.done:
            verdict = self._courier.carry(parcel)
            if verdict.kind == "later" or parcel.done or self._monotonic() - began > self._present_seconds:
                self._link.attempted(verdict, began, self._backlog.queue.samples)
                break
        self._backlog.queue.append(beats_of(parcel.left(), offset_ms))

    def _send_backlog(self, offset_ms: int) -> Verdict | None:
        """Send one request with what waits; it shows whether the link is up unless the present does."""
        self._backlog.queue.note_offset(offset_ms)
        leads = self._backlog.comes_first() or not self._link.up
        began = self._monotonic()
        verdict = self._backlog.send(self._stamps.now_ms + offset_ms, present_is_taken=not leads)
        if leads and verdict is not None:
            self._link.attempted(verdict, began, self._backlog.queue.samples)
        return verdict

    def _offset_ms(self) -> int | None:
        """Return the offset to send with, or None while the time is unknown; ask for the receiver's if need be."""
        offset_ms = self._stamps.offset_ms()
        began = self._monotonic()
        if (
            offset_ms is None
            and self._stamps.likely_ms is not None
            and (not self._stamps.asked or began >= self._next_question)
        ):
            self._next_question = began + _ASK_SECONDS
            verdict = self._courier.ask()
            if verdict.status is None:
                self._link.attempted(verdict, began, self._backlog.queue.samples)
                return None
            offset_ms = self._stamps.offset_ms()
        self._tell_clock(known=offset_ms is not None)
        return offset_ms

    def _tell_clock(self, *, known: bool) -> None:
        if known and self._waiting_for_clock:
            _log.info("the clock is right now; samples are sent with the times they were taken at")
        elif not known and not self._waiting_for_clock:
            ahead = self._stamps.disagreement_seconds
            if ahead is None:
                _log.info("samples wait until the clock is set")
            else:
                _log.warning(
                    "samples wait: this machine's clock is %.0f s %s the receiver's; set the one that is wrong",
                    abs(ahead),
                    "ahead of" if ahead > 0 else "behind",
                )
        self._waiting_for_clock = not known

    def _finish(self) -> None:
        """Send the end of all series, in one request, or keep it for the next process to tell."""
        beats = [*self._take(0), *self._book.end_all(self._monotonic())]
        self._present_seconds = 0.0
        if self._link.up and self._stamps.offset_ms() is not None:
            self._send_present(beats)
        else:
            self._backlog.queue.append(beats)
        self._backlog.queue.close()
        self._courier.close()
        self._publish()

    def _publish(self) -> None:
        queue = self._backlog.queue
        oldest_ms = queue.oldest_unix_ms
        self._state = SpoolState(
            samples=queue.samples,
            bytes=queue.size,
            oldest_timestamp_seconds=None if oldest_ms is None else oldest_ms / 1000,
            dropped_samples=queue.dropped_samples + self._lost_before,
            rejected_samples=self._refusals.samples,
        )


def _open_queue(directory: Path | None, max_bytes: int, monotonic: Callable[[], float]) -> BeatQueue:
    if directory is not None:
        try:
            return Spool(directory, max_bytes, boot=boot_id(), monotonic=monotonic)
        except BlockingIOError:
            _log.warning("%s is in use by another process; in an outage samples wait in memory only", directory)
        except OSError as error:
            _log.warning("%s cannot be used: %s; in an outage samples wait in memory only", directory, error.strerror)
    return MemoryQueue(min(max_bytes, _MEMORY_BYTES))
