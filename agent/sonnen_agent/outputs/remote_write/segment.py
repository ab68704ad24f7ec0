"""One segment of the spool: a file that is appended to, read from its start, and removed as a whole."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sonnen_agent.outputs.remote_write import record
from sonnen_agent.outputs.remote_write.beat import Beat
from sonnen_agent.outputs.remote_write.record import BlankFileError, Packer, Summary, TornRecordError, Unpacker


@dataclass(slots=True, kw_only=True)
class Segment:
    """What is known of a segment without reading it."""

    path: Path
    boot: bytes
    size: int = 0
    """Bytes."""
    samples: int = 0
    """Those that were not delivered yet."""
    first_monotonic_ms: int = 0
    offset_ms: int | None = None
    """Unix time minus monotonic time in milliseconds, the last one it tells."""
    torn_bytes: int = 0
    """What its end had too much when it was inspected."""


class SegmentWriter:
    """Appends to a new segment. After an OSError of `append`, `note_offset` or `sync` only `abandon` is of use."""

    def __init__(self, path: Path, boot: bytes, offset_ms: int | None) -> None:
        """Create the file, so that its name survives a power cut; raise OSError."""
        self.segment = Segment(path=path, boot=boot)
        self._packer = Packer()
        self._samples = 0
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._write(record.header(boot))
            if offset_ms is not None:
                self.note_offset(offset_ms)
            _sync_directory(path.parent)
        except OSError:
            self.abandon()
            path.unlink(missing_ok=True)
            raise

    @property
    def full(self) -> bool:
        """Whether a new segment should begin for reasons other than this one's size."""
        return self._packer.full

    @property
    def removed(self) -> bool:
        """Whether somebody has removed the file."""
        return os.fstat(self._fd).st_nlink == 0

    def append(self, beat: Beat) -> None:
        """Write a beat; from now on it survives the end of this process, but not yet a power cut."""
        self._write(self._packer.pack(beat))
        if self._samples == 0:
            self.segment.first_monotonic_ms = beat.monotonic_ms
        self._samples += len(beat)
        self.segment.samples += len(beat)

    def note_offset(self, offset_ms: int) -> None:
        """Write Unix time minus monotonic time in milliseconds, unless it is known already."""
        if offset_ms != self.segment.offset_ms:
            self._write(record.offset_record(offset_ms))
            self.segment.offset_ms = offset_ms

    def sync(self) -> None:
        """Let all that was written survive a power cut."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Finish the segment with a summary, and let all of it survive a power cut."""
        segment = self.segment
        summary = Summary(
            size=segment.size,
            samples=self._samples,
            first_monotonic_ms=segment.first_monotonic_ms,
            offset_ms=segment.offset_ms,
        )
        try:
            self._write(record.summary_record(summary))
            self.sync()
        finally:
            os.close(self._fd)

    def abandon(self) -> None:
        """Close the file as it is."""
        os.close(self._fd)

    def _write(self, data: bytes) -> None:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            # Half a record would hide nothing, but be a line in the log at the next start.
            os.ftruncate(self._fd, self.segment.size)
            raise
        self.segment.size += len(data)


class SegmentReader:
    """Reads the beats of a segment in order, also while it is being written."""

    def __init__(self, path: Path) -> None:
        """Open it, or raise OSError."""
        self._file = path.open("rb")
        self._file.seek(record.HEADER_BYTES)
        self._unpacker = Unpacker()

    def read(self) -> Beat | None:
        """Return the next beat, or None at the end; raise TornRecordError or OSError when there is no going on."""
        while (found := _read_record(self._file)) is not None:
            kind, payload = found
            if kind == record.LAYOUT:
                self._unpacker.learn(payload)
            elif kind == record.BEAT:
                return self._unpacker.unpack(payload)
        return None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def inspect(path: Path) -> Segment:
    """Return what is in a file, or raise ForeignFileError, BlankFileError or OSError."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        segment = Segment(path=path, boot=b"", size=size)
        file.seek(0)
        try:
            segment.boot = record.boot_of(file.read(record.HEADER_BYTES))
        except BlankFileError:
            if _only_zeros(file):
                raise
            raise record.ForeignFileError("it begins with zeros") from None
        summary = _summary_at_end(file, size)
        if summary is None:
            _scan(file, segment)
        else:
            segment.samples, segment.offset_ms = summary.samples, summary.offset_ms
            segment.first_monotonic_ms = summary.first_monotonic_ms
    return segment


def truncate(segment: Segment) -> None:
    """Cut off the end that cannot be read, or raise OSError."""
    os.truncate(segment.path, segment.size - segment.torn_bytes)
    segment.size -= segment.torn_bytes
    segment.torn_bytes = 0


def _summary_at_end(file: BinaryIO, size: int) -> Summary | None:
    begin = size - record.SUMMARY_RECORD_BYTES
    if begin < record.HEADER_BYTES:
        return None
    file.seek(begin)
    try:
        found = _read_record(file)
        if found is None or found[0] != record.SUMMARY:
            return None
        summary = record.summary_in(found[1])
    except TornRecordError:
        return None
    return summary if summary.size == begin else None


def _scan(file: BinaryIO, segment: Segment) -> None:
    """Find out what a segment holds that was not closed in order."""
    good = file.seek(record.HEADER_BYTES)
    unpacker = Unpacker()
    try:
        for kind, payload in _records(file):
            if kind == record.LAYOUT:
                unpacker.learn(payload)
            elif kind == record.OFFSET:
                segment.offset_ms = record.offset_in(payload)
            elif kind == record.BEAT:
                monotonic_ms, samples = unpacker.measure(payload)
                if segment.samples == 0:
                    segment.first_monotonic_ms = monotonic_ms
                segment.samples += samples
            good = file.tell()
    except TornRecordError:
        segment.torn_bytes = segment.size - good


def _records(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    while (found := _read_record(file)) is not None:
        yield found


def _read_record(file: BinaryIO) -> tuple[int, bytes] | None:
    """Return kind and payload of the next record, or None at the end; raise TornRecordError at rubbish."""
    head = file.read(record.FRAME_BYTES)
    if not head:
        return None
    payload = file.read(record.frame_length(head))
    return record.frame_kind(head, payload), payload


def _only_zeros(file: BinaryIO) -> bool:
    file.seek(record.HEADER_BYTES)
    return not any(chunk.strip(b"\0") for chunk in iter(lambda: file.read(1 << 16), b""))


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
