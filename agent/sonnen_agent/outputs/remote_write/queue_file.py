"""One file of the queue: self-contained, appended to while it is open, removed as a whole when it was delivered.

    header    magic (8), boot (16)
    records   one deflated stream, flushed behind each frame, so that a kill loses none that was written
    trailer   of a file that was closed in order: `_SUMMARY` and the CRC-32 of the header and it

    record    kind (u8), length of the payload (u32), CRC-32 of all records up to and with this one, payload
    LAYOUT    number (u16), then each series as length (u32) and bytes
    FRAME     `_FRAME_HEAD`, then the values, XORed with those of the frame before that has the same layout:
              most repeat from beat to beat

All numbers are little-endian.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from sonnen_agent.outputs.remote_write.wire import VALUE_BYTES, Frame

BOOT_BYTES = 16
MAGIC = b"SNQUEUE\x01"
HEADER_BYTES = len(MAGIC) + BOOT_BYTES
_RECORD = struct.Struct("<BII")
_LAYOUT, _FRAME = 1, 2
_LAYOUT_HEAD = struct.Struct("<H")
_FRAME_HEAD = struct.Struct("<Hqq")
"""Number of the layout, monotonic milliseconds, offset as it was known then."""
_SUMMARY = struct.Struct("<qqq")
"""Number of samples, monotonic milliseconds of the first frame, the last offset known."""
_NUMBER = struct.Struct("<I")
_TRAILER_BYTES = _SUMMARY.size + _NUMBER.size
END_BYTES = _TRAILER_BYTES + 16
"""What closing a file adds at most."""
_NO_OFFSET = -(1 << 63)
_MOST_PLAIN_BYTES = 1 << 20
"""A file that unpacks to more is closed: the oldest one is held in memory."""
_PIECE_BYTES = 4096


class ForeignFileError(Exception):
    """Not a file of the queue."""


class BlankFileError(Exception):
    """A file that never got its header: a power cut came first."""


class QueueFile:
    """A file, or without a path the same in memory. After an OSError of `write` only `abandon` is of use."""

    def __init__(self, path: Path | None, boot: bytes) -> None:
        self.path = path
        self.boot = boot
        self.size = 0
        """Bytes."""
        self.samples = 0
        """Those that were not delivered yet."""
        self.first_monotonic_ms = 0
        self.offset_ms: int | None = None
        """Unix time minus monotonic time in milliseconds, the last one that was known."""
        self._memory = bytearray()
        self._fd: int | None = None
        self._written_samples = 0
        self._check = self._plain = 0
        self._layouts: dict[tuple[bytes, ...], int] = {}
        self._before: dict[int, bytes] = {}
        self._named = False

    @classmethod
    def adopt(cls, path: Path) -> tuple["QueueFile", bool]:
        """Return a file of an earlier process, and whether its end is in order.

        Raise ForeignFileError, BlankFileError or OSError.
        """
        with path.open("rb") as content:
            header = content.read(HEADER_BYTES)
            size = content.seek(0, os.SEEK_END)
            content.seek(max(size - _TRAILER_BYTES, 0))
            trailer = content.read()
        if not header.strip(b"\0") or (len(header) < HEADER_BYTES and MAGIC.startswith(header[: len(MAGIC)])):
            raise BlankFileError
        if not header.startswith(MAGIC):
            raise ForeignFileError
        file = cls(path, header[len(MAGIC) :])
        file.size = size
        summary = trailer[: _SUMMARY.size]
        if size >= HEADER_BYTES + _TRAILER_BYTES and _NUMBER.pack(zlib.crc32(header + summary)) == trailer[len(summary) :]:
            file.samples, file.first_monotonic_ms, offset_ms = _SUMMARY.unpack(summary)
            file.offset_ms = None if offset_ms == _NO_OFFSET else offset_ms
            return file, True
        frames, whole = file.read()
        file.samples = sum(map(len, frames))
        file.first_monotonic_ms = frames[0].monotonic_ms if frames else 0
        return file, whole

    def read(self) -> tuple[list[Frame], bool]:
        """Return its frames as far as they are as they were written, and whether that is all; or raise OSError."""
        plain, whole = _inflated((self._memory if self.path is None else self.path.read_bytes())[HEADER_BYTES:])
        layouts: dict[int, tuple[bytes, ...]] = {}
        before: dict[int, bytes] = {}
        frames = []
        read = 0
        for kind, payload in _records(plain):
            read += _RECORD.size + len(payload)
            if kind == _LAYOUT:
                layouts[_LAYOUT_HEAD.unpack_from(payload)[0]] = tuple(_listed(payload[_LAYOUT_HEAD.size :]))
            elif kind == _FRAME:
                number, monotonic_ms, offset_ms = _FRAME_HEAD.unpack_from(payload)
                before[number] = values = _xor(payload[_FRAME_HEAD.size :], before.get(number))
                frames.append(Frame(monotonic_ms=monotonic_ms, series=layouts[number], values=values))
                self.offset_ms = self.offset_ms if offset_ms == _NO_OFFSET else offset_ms
        return frames, whole and read == len(plain)

    def create(self) -> None:
        """Open a new file to write to, or raise OSError."""
        self._deflater = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        if self.path is not None:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def full(self, now_ms: int, seconds: float, most_bytes: int) -> bool:
        """Return whether another file should begin: this one is old or large, or was removed by somebody."""
        removed = self._fd is not None and os.fstat(self._fd).st_nlink == 0
        old = self._written_samples > 0 and now_ms - self.first_monotonic_ms >= 1000 * seconds
        return old or removed or self._plain >= _MOST_PLAIN_BYTES or self.size >= most_bytes

    def pack(self, frame: Frame) -> bytes:
        """Return what `write` has to write for a frame; all that is packed has to be written."""
        packed = b"" if self._plain else MAGIC + self.boot
        number = self._layouts.get(frame.series)
        if number is None:
            number = self._layouts[frame.series] = len(self._layouts)
            listing = b"".join(_NUMBER.pack(len(series)) + series for series in frame.series)
            packed += self._deflated(_LAYOUT, _LAYOUT_HEAD.pack(number) + listing)
        offset_ms = _NO_OFFSET if self.offset_ms is None else self.offset_ms
        head = _FRAME_HEAD.pack(number, frame.monotonic_ms, offset_ms)
        packed += self._deflated(_FRAME, head + _xor(frame.values, self._before.get(number)))
        self._before[number] = frame.values
        return packed + self._deflater.flush(zlib.Z_SYNC_FLUSH)

    def write(self, packed: bytes, frame: Frame) -> None:
        """Write a frame; from now on it survives the end of this process, but not yet a power cut."""
        self._append(packed)
        if self._written_samples == 0:
            self.first_monotonic_ms = frame.monotonic_ms
        self._written_samples += len(frame)
        self.samples += len(frame)

    def sync(self) -> None:
        """Let all that was written survive a power cut, or raise OSError."""
        if self._fd is None or self.path is None:
            return
        os.fdatasync(self._fd)
        if not self._named:
            directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
            self._named = True

    def close(self) -> None:
        """Finish the file with a trailer, and let all of it survive a power cut; or raise OSError."""
        offset_ms = _NO_OFFSET if self.offset_ms is None else self.offset_ms
        summary = _SUMMARY.pack(self._written_samples, self.first_monotonic_ms, offset_ms)
        try:
            self._append(self._deflater.flush() + summary + _NUMBER.pack(zlib.crc32(MAGIC + self.boot + summary)))
            self.sync()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Write no more; that the end of the stream is missing does no harm."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def remove(self) -> None:
        """Remove the file, or raise OSError; one that is gone already is fine."""
        self.abandon()
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _deflated(self, kind: int, payload: bytes) -> bytes:
        self._check = zlib.crc32(payload, zlib.crc32(bytes((kind,)), self._check))
        record = _RECORD.pack(kind, len(payload), self._check) + payload
        self._plain += len(record)
        return self._deflater.compress(record)

    def _append(self, data: bytes) -> None:
        if self.path is None:
            self._memory += data
        elif self._fd is not None:
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(self._fd, rest) :]
            except OSError:
                os.ftruncate(self._fd, self.size)
                raise
        self.size += len(data)


def _inflated(data: bytes) -> tuple[bytes, bool]:
    """Return a deflated stream as far as it can be read, and whether nothing in it is wrong."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = bytearray()
    for at in range(0, len(data), _PIECE_BYTES):
        piece = data[at : at + _PIECE_BYTES]
        before = inflater.copy()
        try:
            plain += inflater.decompress(piece)
        except zlib.error:
            # Byte by byte: what is right before the damage is not lost.
            try:
                for byte in piece:
                    plain += before.decompress(bytes((byte,)))
            except zlib.error:
                return bytes(plain), False
    return bytes(plain), True


def _records(plain: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and payload of each record, up to the first that is not as it was written."""
    check = at = 0
    while len(plain) - at >= _RECORD.size:
        kind, length, expected = _RECORD.unpack_from(plain, at)
        payload = plain[at + _RECORD.size : at + _RECORD.size + length]
        check = zlib.crc32(payload, zlib.crc32(bytes((kind,)), check))
        if len(payload) < length or check != expected:
            return
        yield kind, payload
        at += _RECORD.size + length


def _listed(listing: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(listing):
        (length,) = _NUMBER.unpack_from(listing, at)
        at += _NUMBER.size + length
        yield listing[at - length : at]


def _xor(values: bytes, before: bytes | None) -> bytes:
    if before is None or len(before) != len(values):
        return values
    both = int.from_bytes(values, "little") ^ int.from_bytes(before, "little")
    return both.to_bytes(len(values), "little")
