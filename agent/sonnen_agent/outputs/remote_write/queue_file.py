"""One file of the queue: self-contained, appended to while it is open, removed as a whole when it was delivered.

It is a gzip stream of lines, flushed behind each, so that a kill loses none that was written; `zcat` shows them:

    CRC-32 of all lines up to and with this one, in hexadecimal; a blank; and as JSON
    [number of the list of series, that list if it is new, monotonic ms, offset ms if it is known, values]

The values are the 8 bytes of each double, in hexadecimal. The file's name tells its number, how many samples are
in it (0 while it is open), and the boot within which its monotonic times can be compared.
"""

import contextlib
import json
import os
import re
import zlib
from pathlib import Path

from sonnen_agent.outputs.remote_write.wire import Frame

END_BYTES = 32
"""What closing a file adds at most."""
NAME = re.compile(r"(\d{12})-(\d+)-([0-9a-f]{32})\.gz")
_GZIP = 16 + zlib.MAX_WBITS
_FLUSHED = b"\0\0\xff\xff"
"""The end of what was flushed."""
_MOST_SECONDS = 300
_MOST_BYTES = 256 * 1024
_MOST_LINES_BYTES = 4 * 1024 * 1024
"""A larger file is closed: the oldest one is held in memory."""


class _Copy:
    """What a file on disk has of a content that grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None
        self._size = 0

    def write(self, content: bytearray, *, sync: bool = False) -> None:
        """Append what is new, or raise OSError; the next call goes on from there."""
        if self._fd is not None and os.fstat(self._fd).st_nlink == 0:
            self.close()  # somebody has removed it: begin anew
        if self._fd is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            self._size = 0
        while self._size < len(content):
            self._size += os.write(self._fd, memoryview(content)[self._size :])
        if sync:
            os.fdatasync(self._fd)

    def close(self) -> None:
        """Write no more."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class QueueFile:
    """A file of the queue. What is added is in memory until `save`."""

    def __init__(self, directory: Path | None, live_directory: Path | None, number: int, boot: str) -> None:
        """Begin a new file; without a directory it stays in memory.

        In the live directory, which is no card, is what a kill must not lose before it is synced.
        """
        name = f"{number:012}-0-{boot}.gz"
        self._card = None if directory is None else _Copy(directory / name)
        self._live = None if directory is None or live_directory is None else _Copy(live_directory / name)
        self.boot = boot
        self.size = self.samples = 0
        """Bytes, and the samples that were not delivered yet."""
        self.offset_ms: int | None = None
        """Unix time minus monotonic time in milliseconds, the last one that was known."""
        self._content: bytearray | None = bytearray()
        """Of an open file, or of one in memory."""
        self._full_ms = 0
        self._check = self._lines_bytes = self._added_samples = 0
        self._lists: dict[tuple[bytes, ...], int] = {}
        self._deflater = zlib.compressobj(6, zlib.DEFLATED, _GZIP)

    @classmethod
    def adopt(cls, path: Path) -> "QueueFile | None":
        """Return a file of an earlier process, None where the name is not that of one; or raise OSError."""
        name = NAME.fullmatch(path.name)
        if name is None or not path.is_file():
            return None
        file = cls(path.parent, None, int(name[1]), name[3])
        file._card, file._content = _Copy(path), None
        file.size = path.stat().st_size
        file.samples = int(name[2]) or sum(map(len, file.read()))
        return file

    @property
    def path(self) -> Path | None:
        """Where it is on the card."""
        return None if self._card is None else self._card.path

    def full(self, most_bytes: int, now_ms: int) -> bool:
        """Return whether another file should begin: this one is large or old."""
        large = self.size >= min(most_bytes, _MOST_BYTES) or self._lines_bytes >= _MOST_LINES_BYTES
        return large or (self._added_samples > 0 and now_ms >= self._full_ms)

    def add(self, frame: Frame) -> None:
        """Add a frame at the end of an open file."""
        new = None if frame.series in self._lists else [series.decode("latin-1") for series in frame.series]
        number = self._lists.setdefault(frame.series, len(self._lists))
        line = json.dumps([number, new, frame.monotonic_ms, self.offset_ms, frame.values.hex()]).encode()
        if self._added_samples == 0:
            self._full_ms = frame.monotonic_ms + 1000 * _MOST_SECONDS
        self._check = zlib.crc32(line, self._check)
        self._lines_bytes += len(line)
        self._added_samples += len(frame)
        self.samples += len(frame)
        self._extend(self._deflater.compress(b"%08x %s\n" % (self._check, line)))
        self._extend(self._deflater.flush(zlib.Z_SYNC_FLUSH))

    def read(self) -> list[Frame]:
        """Return its frames as far as they are as they were written, or raise OSError."""
        content = self._content
        if content is None and self._card is not None:
            content = bytearray(self._card.path.read_bytes())
        inflater = zlib.decompressobj(_GZIP)
        lines = bytearray()
        with contextlib.suppress(zlib.error):
            for piece in (content or b"").split(_FLUSHED):
                lines += inflater.decompress(piece + _FLUSHED)
        lists: list[tuple[bytes, ...]] = []
        frames = []
        check, offset_ms = 0, None
        for line in lines.split(b"\n")[:-1]:
            check = zlib.crc32(line[9:], check)
            if line[:9] != b"%08x " % check:
                break
            number, new, monotonic_ms, offset_ms, values = json.loads(line[9:])
            if new is not None:
                lists.append(tuple(series.encode("latin-1") for series in new))
            frames.append(Frame(monotonic_ms=monotonic_ms, series=lists[number], values=bytes.fromhex(values)))
        if self._content is None:
            self.offset_ms = offset_ms
        return frames

    def save(self, *, sync: bool) -> None:
        """Let what was added survive the end of this process, with `sync` also a power cut; or raise OSError."""
        if self._content is not None and self._card is not None:
            if self._live is None or sync:
                self._card.write(self._content, sync=sync)
            if self._live is not None:
                self._live.write(self._content)

    def close(self) -> None:
        """Finish the file, and let all of it survive a power cut; or raise OSError."""
        self._extend(self._deflater.flush())
        if self._card is not None and self._content is not None:
            self._card.write(self._content, sync=True)
            self._abandon()
            closed = self._card.path.name.replace("-0-", f"-{self._added_samples}-")
            self._card.path = self._card.path.rename(self._card.path.with_name(closed))
            self._content = None

    def remove(self) -> None:
        """Remove it with all that is in it, or raise OSError."""
        self._abandon()
        if self._card is not None:
            self._card.path.unlink(missing_ok=True)

    def _extend(self, data: bytes) -> None:
        if self._content is not None:
            self._content += data
            self.size += len(data)

    def _abandon(self) -> None:
        if self._card is not None:
            self._card.close()
        if self._live is not None:
            self._live.close()
            self._live.path.unlink(missing_ok=True)
            self._live = None
