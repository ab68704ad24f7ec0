"""A durable queue of beats: a directory of append-only segments, bounded, the oldest dropped first.

Written to only while beats cannot be sent: each at once, so that it survives `kill -9` in the kernel's
cache, and once a minute through to the card, so that a power cut costs a minute (EDGE 5.2). A segment
goes when all of it was delivered. What was delivered of the oldest one is remembered in memory only: a
process that was killed sends up to one segment again, which receivers take for what it is, duplicates.

A beat has the time of the monotonic clock, and gets its Unix time when it is read: by the offset known
then if it is of the present boot, so that a clock that was put right later puts it right, too; by the
last offset that was written during an earlier boot. A beat of an earlier boot that never knew the time
cannot be placed, and is dropped and counted.
"""

import errno
import fcntl
import logging
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from sonnen_agent.outputs.remote_write.beat import Beat
from sonnen_agent.outputs.remote_write.queue import Batch
from sonnen_agent.outputs.remote_write.record import BlankFileError, ForeignFileError, TornRecordError
from sonnen_agent.outputs.remote_write.segment import Segment, SegmentReader, SegmentWriter, inspect, truncate

_NAME = re.compile(r"(\d{12})\.spool")
_NUMBERED = re.compile(r"(\d{12})\.spool(\.bad.*)?")
_SEGMENT_BYTES = 128 * 1024
_SMALLEST_SEGMENT_BYTES = 4 * 1024
_SEGMENTS = 8
"""At least, so that the bound drops no more than an eighth at once."""
_SYNC_SECONDS = 60
_AHEAD_MS = 10 * 60 * 1000
"""A sample later than that from now was stamped by a wrong clock; Prometheus takes none either (EDGE 4.3)."""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)

_log = logging.getLogger(__name__)


class Spool:
    """Not for use by two threads at once, nor by two processes."""

    def __init__(self, directory: Path, max_bytes: int, *, boot: bytes, monotonic: Callable[[], float]) -> None:
        """Open it with what an earlier process has left, or raise OSError."""
        self._directory = directory
        self._max_bytes = max_bytes
        self._segment_bytes = max(_SMALLEST_SEGMENT_BYTES, min(max_bytes // _SEGMENTS, _SEGMENT_BYTES))
        self._boot = boot
        self._monotonic = monotonic
        self._segments: deque[Segment] = deque()
        self._writer: SegmentWriter | None = None
        self._reader: SegmentReader | None = None
        self._ahead: deque[Beat] = deque()
        """Read, but not delivered yet."""
        self._offsets: dict[bytes, int] = {}
        self._last_sync = float("-inf")
        self._failing = False
        self._told: set[str] = set()
        """Why samples were dropped since the spool was last empty."""
        self.dropped_samples = 0
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock: int | None = _lock(directory)
        self._next_number = 1
        self._adopt_all()

    @property
    def samples(self) -> int:
        """How many wait."""
        return sum(segment.samples for segment in self._segments)

    @property
    def size(self) -> int:
        """What the segments take, in bytes."""
        return sum(segment.size for segment in self._segments)

    @property
    def oldest_unix_ms(self) -> int | None:
        """When the oldest beat was, if that is known yet."""
        if not self._segments:
            return None
        head = self._segments[0]
        offset_ms = self._offsets.get(head.boot)
        first = self._ahead[0].monotonic_ms if self._ahead else head.first_monotonic_ms
        return None if offset_ms is None else first + offset_ms

    def append(self, beats: Iterable[Beat]) -> None:
        """Write beats of this boot; the oldest make room for them. One that cannot be written is counted as dropped."""
        for beat in beats:
            try:
                self._append(beat)
            except OSError as error:
                self.dropped_samples += len(beat)
                self._tell_failure(error)
            else:
                self._tell_success()
        self._sync_if_due()
        while self.size > self._max_bytes and len(self._segments) > 1:
            self._drop_oldest("the spool is full")

    def note_offset(self, offset_ms: int) -> None:
        """Take note of Unix time minus monotonic time in milliseconds, also for a process after this one."""
        self._offsets[self._boot] = offset_ms
        if self._writer is not None:
            try:
                self._writer.note_offset(offset_ms)
            except OSError as error:
                self._abandon_writer()
                self._tell_failure(error)

    def peek(self, most_samples: int, now_unix_ms: int) -> Batch | None:
        """Return the oldest beats that have a believable time, at least one, or None when there are none."""
        while self._segments:
            head = self._segments[0]
            self._read_ahead(head, most_samples)
            offset_ms = self._offsets.get(head.boot)
            if not self._ahead:
                self._remove_head()
            elif offset_ms is None:
                if head.boot == self._boot:
                    return None
                self._drop_oldest("the clock was not set before the power went, so that nobody knows when they were")
            elif self._ahead[0].monotonic_ms + offset_ms > now_unix_ms + _AHEAD_MS:
                self._drop_oldest("their time is still to come: the clock was wrong")
            else:
                chosen = tuple(self._oldest(most_samples))
                return Batch(beats=[(beat, offset_ms) for beat in chosen], origin=head)
        return None

    def advance(self, batch: Batch) -> None:
        """Forget the beats of a batch, and remove the segment with its last one."""
        if not self._segments or self._segments[0] is not batch.origin:
            return  # the bound has dropped them meanwhile
        head = self._segments[0]
        for beat, _ in batch.beats:
            self._ahead.popleft()
            head.samples -= len(beat)
        if head.samples == 0:
            self._remove_head()

    def close(self) -> None:
        """Let all that waits survive a power cut; closing twice does no harm."""
        if self._lock is not None:
            self._seal()
            self._forget_reading()
            os.close(self._lock)
            self._lock = None

    def _append(self, beat: Beat) -> None:
        try:
            self._write(beat)
        except OSError as error:
            if error.errno not in _NO_SPACE or len(self._segments) < 2:
                raise
            # The present is worth more than the oldest that is kept.
            self._drop_oldest("the disk is full")
            self._write(beat)

    def _write(self, beat: Beat) -> None:
        if self._writer is not None and self._writer.removed:
            self._forget(self._writer.segment)
        elif self._writer is not None and (self._writer.full or self._writer.segment.size >= self._segment_bytes):
            self._seal()
        try:
            if self._writer is None:
                self._writer = self._create()
                self._segments.append(self._writer.segment)
            self._writer.append(beat)
        except OSError:
            self._abandon_writer()
            raise

    def _sync_if_due(self) -> None:
        if self._writer is None or self._monotonic() - self._last_sync < _SYNC_SECONDS:
            return
        self._last_sync = self._monotonic()
        try:
            self._writer.sync()
        except OSError as error:
            self._abandon_writer()
            self._tell_failure(error)

    def _create(self) -> SegmentWriter:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._directory / f"{self._next_number:012}.spool"
        self._next_number += 1
        return SegmentWriter(path, self._boot, self._offsets.get(self._boot))

    def _seal(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except OSError as error:
                self._tell_failure(error)

    def _abandon_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.abandon()
            if writer.segment.samples == 0:
                self._forget(writer.segment)

    def _read_ahead(self, head: Segment, most_samples: int) -> None:
        """Have the beats of a batch in memory, if the oldest segment has them; with trouble, the rest is lost."""
        known = sum(map(len, self._ahead))
        wanted = min(most_samples, head.samples)
        problem = "is shorter than it was"
        try:
            if self._reader is None:
                self._reader = SegmentReader(head.path)
            while known < wanted and (beat := self._reader.read()) is not None:
                self._ahead.append(beat)
                known += len(beat)
        except TornRecordError:
            problem = "is damaged"
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
        if known < wanted:
            lost = head.samples - known
            _log.warning("%s %s: %d samples are lost", head.path, problem, lost)
            self.dropped_samples += lost
            head.samples = known
            if self._writer is not None and self._writer.segment is head:
                self._seal()

    def _oldest(self, most_samples: int) -> Iterator[Beat]:
        left = most_samples
        for number, beat in enumerate(self._ahead):
            if number > 0 and left < len(beat):
                return
            left -= len(beat)
            yield beat

    def _drop_oldest(self, why: str) -> None:
        lost = self._segments[0].samples
        level = logging.DEBUG if why in self._told else logging.WARNING
        _log.log(level, "%s: the oldest %d samples are dropped: %s", self._directory, lost, why)
        self._told.add(why)
        self.dropped_samples += lost
        self._remove_head()

    def _remove_head(self) -> None:
        self._forget(self._segments[0])

    def _forget(self, segment: Segment) -> None:
        """Remove a segment with all that is in it."""
        if self._writer is not None and self._writer.segment is segment:
            self._writer.abandon()
            self._writer = None
        if self._segments and self._segments[0] is segment:
            self._forget_reading()
        if segment in self._segments:
            self._segments.remove(segment)
        if not self._segments:
            self._told.clear()
        try:
            segment.path.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("%s cannot be removed: %s", segment.path, error.strerror)

    def _forget_reading(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._ahead.clear()

    def _adopt_all(self) -> None:
        for path in sorted(self._directory.iterdir()):
            numbered = _NUMBERED.fullmatch(path.name)
            if numbered is not None:
                self._next_number = max(self._next_number, int(numbered[1]) + 1)
            if _NAME.fullmatch(path.name) is not None:
                self._adopt(path)
        for segment in self._segments:
            if segment.offset_ms is not None:
                self._offsets[segment.boot] = segment.offset_ms
        if self.samples:
            _log.info("%s: %d samples wait from before", self._directory, self.samples)

    def _adopt(self, path: Path) -> None:
        try:
            segment = inspect(path)
            if segment.torn_bytes:
                _log.warning("%s: its last %d bytes are damaged and cut off", path, segment.torn_bytes)
                truncate(segment)
        except BlankFileError:
            _log.info("%s: removed; a power cut left nothing in it", path)
            path.unlink()
        except ForeignFileError as error:
            aside = _free_name(path)
            _log.warning("%s: %s; set aside as %s", path, error, aside.name)
            path.rename(aside)
        except OSError as error:
            _log.warning("%s cannot be read: %s; left alone", path, error.strerror)
        else:
            self._segments.append(segment)
            if segment.samples == 0:
                self._forget(segment)

    def _tell_failure(self, error: OSError) -> None:
        level = logging.DEBUG if self._failing else logging.WARNING
        _log.log(level, "%s cannot be written: %s; samples are lost", self._directory, error.strerror)
        self._failing = True

    def _tell_success(self) -> None:
        if self._failing:
            _log.info("%s can be written again", self._directory)
        self._failing = False


def _lock(directory: Path) -> int:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def _free_name(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.bad")
    number = 1
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.bad{number}")
    return aside
