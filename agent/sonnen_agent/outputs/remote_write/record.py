"""The format of a spool's segment: a header, then checksummed records, in bytes. No I/O here.

    header   magic (8), version (u16), boot (16), CRC-32 of these (u32)
    record   length of the payload (u32), CRC-32 of kind and payload (u32), kind (u8), payload

    LAYOUT   number (u16), then deflated: each series as length (u32) and bytes
    OFFSET   Unix time minus monotonic time in milliseconds (i64); the last one of a boot is the best
    BEAT     number of the layout (u16), monotonic milliseconds (i64), then deflated: the values, XORed
             with those of the beat before that has the same layout
    SUMMARY  what `Summary` says; the last record of a segment that was closed in order

All numbers are little-endian. A segment needs no other one. Most values repeat from beat to beat, so
that a beat of a hundred series takes some 60 bytes, and is still a record of its own: a kill between
two writes loses none that was written.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from sonnen_agent.outputs.remote_write.beat import VALUE_BYTES, Beat

BOOT_BYTES = 16
LAYOUT, OFFSET, BEAT, SUMMARY = 1, 2, 3, 4

_MAGIC = b"SNSPOOL\x00"
_VERSION = 1
_HEADER = struct.Struct(f"<8sH{BOOT_BYTES}s")
_CHECK = struct.Struct("<I")
HEADER_BYTES = _HEADER.size + _CHECK.size

_FRAME = struct.Struct("<IIB")
FRAME_BYTES = _FRAME.size
_LARGEST_PAYLOAD = 1 << 20
_LARGEST_PLAIN = 1 << 22

_LAYOUT = struct.Struct("<H")
_SERIES = struct.Struct("<I")
_OFFSET = struct.Struct("<q")
_BEAT = struct.Struct("<Hq")
_SUMMARY = struct.Struct("<QQqq")
SUMMARY_RECORD_BYTES = FRAME_BYTES + _SUMMARY.size
_NO_OFFSET = -(1 << 63)
_MOST_LAYOUTS = 128

_WINDOW_BITS = -12
"""A small window: a beat is small, and setting up a large one takes longer than using it."""


class ForeignFileError(Exception):
    """Not a segment that this version can read; the text says why."""


class BlankFileError(Exception):
    """A segment that never got its header: a power cut came first."""


class TornRecordError(Exception):
    """From here on, a segment cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is in a segment."""

    size: int
    """Bytes before the summary."""
    samples: int
    first_monotonic_ms: int
    offset_ms: int | None
    """The last one known, Unix time minus monotonic time in milliseconds."""


def header(boot: bytes) -> bytes:
    """Return the header of a segment; `boot` tells between which times the monotonic clock ran through."""
    fields = _HEADER.pack(_MAGIC, _VERSION, boot)
    return fields + _CHECK.pack(zlib.crc32(fields))


def boot_of(data: bytes) -> bytes:
    """Return the boot that a segment's first bytes tell of, or raise ForeignFileError or BlankFileError."""
    data = data[:HEADER_BYTES]
    if not data.strip(b"\0") or (len(data) < HEADER_BYTES and _MAGIC.startswith(data[: len(_MAGIC)])):
        raise BlankFileError
    if not data.startswith(_MAGIC):
        raise ForeignFileError("not written by sonnen-agent")
    _, version, boot = _HEADER.unpack_from(data)
    if version != _VERSION and zlib.crc32(data[: _HEADER.size]) == _CHECK.unpack_from(data, _HEADER.size)[0]:
        raise ForeignFileError(f"format {version} of another version of sonnen-agent; this one reads {_VERSION}")
    if header(boot) != data:
        raise ForeignFileError("its header is damaged")
    return bytes(boot)


def frame(kind: int, payload: bytes) -> bytes:
    """Return a record."""
    return _FRAME.pack(len(payload), zlib.crc32(payload, zlib.crc32(bytes((kind,)))), kind) + payload


def frame_length(head: bytes) -> int:
    """Return how long the payload after these FRAME_BYTES is, or raise TornRecordError."""
    if len(head) < FRAME_BYTES:
        raise TornRecordError
    length: int = _FRAME.unpack(head)[0]
    if length > _LARGEST_PAYLOAD:
        raise TornRecordError
    return length


def frame_kind(head: bytes, payload: bytes) -> int:
    """Return the kind of a record, or raise TornRecordError unless all of it is as it was written."""
    kind: int = _FRAME.unpack(head)[2]
    if frame(kind, payload) != head + payload:
        raise TornRecordError
    return kind


def offset_record(offset_ms: int) -> bytes:
    """Return the record of an offset."""
    return frame(OFFSET, _OFFSET.pack(offset_ms))


def offset_in(payload: bytes) -> int:
    """Return the offset in a record's payload."""
    try:
        offset_ms: int = _OFFSET.unpack(payload)[0]
    except struct.error as error:
        raise TornRecordError from error
    return offset_ms


def summary_record(summary: Summary) -> bytes:
    """Return the record of a summary."""
    offset_ms = _NO_OFFSET if summary.offset_ms is None else summary.offset_ms
    return frame(SUMMARY, _SUMMARY.pack(summary.size, summary.samples, summary.first_monotonic_ms, offset_ms))


def summary_in(payload: bytes) -> Summary:
    """Return the summary in a record's payload."""
    try:
        size, samples, first_monotonic_ms, offset_ms = _SUMMARY.unpack(payload)
    except struct.error as error:
        raise TornRecordError from error
    return Summary(
        size=size,
        samples=samples,
        first_monotonic_ms=first_monotonic_ms,
        offset_ms=None if offset_ms == _NO_OFFSET else offset_ms,
    )


class Packer:
    """Turns the beats of one segment into records."""

    def __init__(self) -> None:
        self._layouts: dict[tuple[bytes, ...], int] = {}
        self._before: dict[int, bytes] = {}

    @property
    def full(self) -> bool:
        """Whether it remembers so much that a new segment should begin."""
        return len(self._layouts) >= _MOST_LAYOUTS

    def pack(self, beat: Beat) -> bytes:
        """Return a beat as a record, after one with its layout when that is new."""
        number = self._layouts.get(beat.series)
        records = b""
        if number is None:
            number = self._layouts[beat.series] = len(self._layouts)
            listing = b"".join(_SERIES.pack(len(series)) + series for series in beat.series)
            records = frame(LAYOUT, _LAYOUT.pack(number) + _deflate(listing))
        changes = _xor(beat.values, self._before.get(number))
        self._before[number] = beat.values
        return records + frame(BEAT, _BEAT.pack(number, beat.monotonic_ms) + _deflate(changes))


class Unpacker:
    """Turns the records of one segment into beats; they have to come in the order they were written."""

    def __init__(self) -> None:
        self._layouts: dict[int, tuple[bytes, ...]] = {}
        self._before: dict[int, bytes] = {}

    def unpack(self, payload: bytes) -> Beat:
        """Return the beat in a record's payload, or raise TornRecordError."""
        number, monotonic_ms = self._beat_head(payload)
        series = self._layouts[number]
        values = _xor(_inflate(payload[_BEAT.size :]), self._before.get(number))
        if len(values) != VALUE_BYTES * len(series):
            raise TornRecordError
        self._before[number] = values
        return Beat(monotonic_ms=monotonic_ms, series=series, values=values)

    def measure(self, payload: bytes) -> tuple[int, int]:
        """Return only the time, in monotonic milliseconds, and the number of samples of a beat."""
        number, monotonic_ms = self._beat_head(payload)
        return monotonic_ms, len(self._layouts[number])

    def learn(self, payload: bytes) -> None:
        """Take note of a layout."""
        if len(payload) < _LAYOUT.size:
            raise TornRecordError
        number = _LAYOUT.unpack_from(payload)[0]
        self._layouts[number] = tuple(_listed(_inflate(payload[_LAYOUT.size :])))

    def _beat_head(self, payload: bytes) -> tuple[int, int]:
        if len(payload) < _BEAT.size:
            raise TornRecordError
        number, monotonic_ms = _BEAT.unpack_from(payload)
        if number not in self._layouts:
            raise TornRecordError
        return number, monotonic_ms


def _listed(listing: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(listing):
        if len(listing) - at < _SERIES.size:
            raise TornRecordError
        length = _SERIES.unpack_from(listing, at)[0]
        at += _SERIES.size
        yield listing[at : at + length]
        at += length


def _xor(values: bytes, before: bytes | None) -> bytes:
    if before is None or len(before) != len(values):
        return values
    both = int.from_bytes(values, "little") ^ int.from_bytes(before, "little")
    return both.to_bytes(len(values), "little")


def _deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(6, zlib.DEFLATED, _WINDOW_BITS, 5)
    return deflater.compress(data) + deflater.flush()


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj(_WINDOW_BITS)
    try:
        plain = inflater.decompress(data, _LARGEST_PLAIN)
    except zlib.error as error:
        raise TornRecordError from error
    if not inflater.eof:
        raise TornRecordError
    return plain
