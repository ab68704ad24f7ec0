"""One file of the queue: self-contained, appended to while it is open, removed as a whole when it was delivered.

It is a gzip stream of lines, flushed behind each, so that a kill loses none that was written; `zcat` shows them:

    CRC-32 of all lines up to and with this one, in hexadecimal; a blank; and as JSON
    [number of the list of series, that list if it is new, monotonic ms, offset ms if it is known, values]

The values are the 8 bytes of each double, in hexadecimal. The file's name tells its number, how many samples are
in it (0 while it is open), and the boot within which its monotonic times can be compared.
"""

import contextlib
import errno
import json
import os
import re
import zlib
from pathlib import Path

from sonnen_agent.files import open_regular, read_regular
from sonnen_agent.outputs.remote_write.wire import Frame, Series

END_BYTES = 32
"""What closing a file adds at most."""
_NAME = re.compile(r"(\d{12})-(\d{1,9})-([0-9a-f]{32})\.gz")
_GZIP = 16 + zlib.MAX_WBITS
_FLUSHED = b"\0\0\xff\xff"
"""The end of what was flushed."""
_MOST_MS = 300 * 1000
_SYNC_MS = 60 * 1000
_MOST_BYTES = 256 * 1024
_MOST_LINES_BYTES = 4 * 1024 * 1024
"""A larger file is closed: the oldest one is held in memory."""
_LARGEST_BYTES = 2 * _MOST_LINES_BYTES
"""Of what is read, and of what it holds: no file of ours is as large."""


class QueueFile:
    """A file of the queue. What is added is in memory until `save`."""

    def __init__(self, directory: Path, live_directory: Path | None, number: int, boot: str) -> None:
        """Begin a new file; in the live directory, which is no card, is what a kill must not lose before a sync."""
        self.path = directory / f"{number:012}-0-{boot}.gz"
        self.boot = boot
        self.size = self.samples = 0
        """Bytes, and the samples that were not delivered yet."""
        self.offset_ms: int | None = None
        """Unix time minus monotonic time in milliseconds, the last one that was known."""
        self._live = None if live_directory is None else live_directory / self.path.name
        self._content = bytearray()
        """Of an open file."""
        self._now_ms = self._full_ms = self._sync_ms = self._check = self._lines_bytes = self._added_samples = 0
        self._lists: dict[tuple[Series, ...], int] = {}
        self._deflater = zlib.compressobj(6, zlib.DEFLATED, _GZIP)

    @classmethod
    def adopt(cls, path: Path) -> "QueueFile | None":
        """Return a file of an earlier process, None where the name is not that of one; or raise OSError."""
        name = _NAME.fullmatch(path.name)
        if name is None or path.is_symlink() or not path.is_file():
            return None
        file = cls(path.parent, None, int(name[1]), name[3])
        file.path = path
        file._forget_how()
        file.size = path.stat().st_size
        file.samples = int(name[2]) or sum(map(len, file.read()))
        return file

    def full(self, most_bytes: int, now_ms: int) -> bool:
        """Return whether another file should begin: this one is large or old."""
        large = self.size >= min(most_bytes, _MOST_BYTES) or self._lines_bytes >= _MOST_LINES_BYTES
        return large or now_ms >= self._full_ms

    def add(self, frame: Frame) -> None:
        """Add a frame at the end of an open file."""
        new = None if frame.series in self._lists else frame.series
        number = self._lists.setdefault(frame.series, len(self._lists))
        line = json.dumps([number, new, frame.monotonic_ms, self.offset_ms, frame.values.hex()]).encode()
        self._now_ms = frame.monotonic_ms
        if not self._content:
            self._full_ms, self._sync_ms = self._now_ms + _MOST_MS, self._now_ms + _SYNC_MS
        self._check = zlib.crc32(line, self._check)
        self._lines_bytes += len(line)
        self._added_samples += len(frame)
        self.samples += len(frame)
        self._content += self._deflater.compress(b"%08x %s\n" % (self._check, line))
        self._content += self._deflater.flush(zlib.Z_SYNC_FLUSH)
        self.size = len(self._content)

    def read(self) -> list[Frame]:
        """Return its frames as far as they are as they were written, or raise OSError."""
        content = self._content or read_regular(self.path, _LARGEST_BYTES)
        inflater = zlib.decompressobj(_GZIP)
        lines = bytearray()
        with contextlib.suppress(zlib.error):
            for piece in content.split(_FLUSHED):
                lines += inflater.decompress(piece + _FLUSHED, _LARGEST_BYTES)
                if len(lines) > _LARGEST_BYTES:
                    break
        lists: list[tuple[Series, ...]] = []
        frames = []
        check, self.offset_ms = 0, None
        for line in lines.split(b"\n")[:-1]:
            check = zlib.crc32(line[9:], check)
            if line[:9] != b"%08x " % check:
                break
            try:
                number, new, monotonic_ms, offset_ms, values = json.loads(line[9:])
                lists += [tuple(tuple((str(name), str(value)) for name, value in one) for one in new)] if new else []
                frame = Frame(monotonic_ms=monotonic_ms, series=lists[number], values=bytes.fromhex(values))
            except (ValueError, TypeError, LookupError, RecursionError):  # of another release
                break
            if not (_is_time(monotonic_ms) and _is_time(offset_ms or 0) and len(frame.values) == 8 * len(frame)):
                break
            frames.append(frame)
            self.offset_ms = offset_ms
        return frames

    def save(self) -> None:
        """Let what was added survive the end of this process, and once a minute a power cut; or raise OSError."""
        sync = self._now_ms >= self._sync_ms
        if self._live is not None:
            write(self._live, self._content, sync=False)
        if self._live is None or sync:
            write(self.path, self._content, sync=sync)
        if sync:
            self._sync_ms = self._now_ms + _SYNC_MS

    def close(self) -> None:
        """Finish the file, and let all of it survive a power cut; or raise OSError."""
        self._content += self._deflater.flush()
        write(self.path, self._content, sync=False)
        # Before it is synced, so that the name goes to the card along with the content.
        self.path = self.path.rename(self.path.with_name(self.path.name.replace("-0-", f"-{self._added_samples}-")))
        write(self.path, self._content, sync=True)
        if self._live is not None:
            self._live.unlink(missing_ok=True)
        self.size = len(self._content)
        self._content.clear()
        self._forget_how()

    def _forget_how(self) -> None:
        """Do without what only an open file needs, which is a quarter of a MiB."""
        self._lists.clear()
        del self._deflater

    def remove(self) -> None:
        """Remove it with all that is in it, or raise OSError."""
        for path in (self.path, self._live):
            if path is not None and path.exists():
                path.unlink()


def _is_time(value: object) -> bool:
    return isinstance(value, int) and abs(value) < 1 << 53


def write(path: Path, content: bytes | bytearray, *, sync: bool) -> None:
    """Append what a file does not have yet of a content, or raise OSError; the next call goes on from there."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.parent.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path.parent))
    fd = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        at = os.fstat(fd).st_size
        while at < len(content):
            at += os.write(fd, memoryview(content)[at:])
        if sync:
            os.fdatasync(fd)
    finally:
        os.close(fd)
