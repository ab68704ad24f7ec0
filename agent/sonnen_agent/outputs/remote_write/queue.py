"""A durable queue of frames: files that are appended to, read from their start and removed when they were delivered.

Written to only while samples cannot be sent: each frame at once, so that it survives `kill -9` in the
kernel's cache, once a minute through to the card, so that a power cut costs a minute (docs/facts.md 5.2), and
every five minutes another file begins. The frames of the oldest file are held in memory: what is written
while the link is down is not read back for each attempt. What was delivered of that file is remembered in
memory only: after a kill it is sent again, which receivers take for what it is, duplicates.

A frame has the time of the monotonic clock, and gets its Unix time when it is sent: by the offset known
then if it is of the present boot, so that a clock that was put right later puts it right, too; by the
last offset that was written during an earlier boot. A frame of an earlier boot that never knew the time
cannot be placed, and is dropped and counted.
"""

import errno
import fcntl
import logging
import os
import re
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from sonnen_agent.changes import ChangeLog
from sonnen_agent.outputs.remote_write.queue_file import (
    BOOT_BYTES,
    END_BYTES,
    BlankFileError,
    ForeignFileError,
    QueueFile,
)
from sonnen_agent.outputs.remote_write.wire import Frame

_NAME = re.compile(r"(\d{12})\.queue")
_LARGEST_FILE_BYTES = 256 * 1024
_FILES = 8
"""At least, so that the bound drops no more than an eighth at once."""
_FILE_SECONDS = 300
_SYNC_SECONDS = 60
_AHEAD_MS = 10 * 60 * 1000
"""A sample later than that from now was stamped by a wrong clock; Prometheus takes none either (docs/facts.md 4.3)."""
_MEMORY_BYTES = 2 * 1024 * 1024
"""What waits without a directory: about a day of one battery at 5 s."""
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)

_log = logging.getLogger(__name__)


class Queue:
    """First in, first out, bounded, and never in the way: a frame that cannot be kept is counted.

    Not for use by two threads at once, nor by two processes.
    """

    def __init__(
        self, directory: Path | None, max_bytes: int, *, boot: str | None, monotonic: Callable[[], float]
    ) -> None:
        """Open it with what an earlier process has left, or raise OSError. Without a directory it ends with the process.

        `boot` tells between which times the monotonic clock ran through, None where that is not known.
        """
        self._directory = directory
        self._max_bytes = max_bytes if directory is not None else min(max_bytes, _MEMORY_BYTES)
        self._file_bytes = min(self._max_bytes // _FILES, _LARGEST_FILE_BYTES)
        self._boot = uuid.uuid4().bytes if boot is None else bytes.fromhex(boot.replace("-", "")).ljust(BOOT_BYTES)[:16]
        self._monotonic = monotonic
        self._files: deque[QueueFile] = deque()
        self._open: QueueFile | None = None
        self._ahead: deque[Frame] | None = None
        """What was not delivered yet of the oldest file, once it is needed."""
        self._offsets: dict[bytes, int] = {}
        self._last_sync = float("-inf")
        self._changes = ChangeLog(_log)
        self._next_number = 1
        self.dropped_samples = 0
        """Lost so far, most of them to the bound."""
        self._lock: int | None = None
        if directory is not None:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _lock(directory)
            self._adopt_all(directory)

    @property
    def place(self) -> str:
        """Where samples wait."""
        return "memory" if self._directory is None else str(self._directory)

    @property
    def samples(self) -> int:
        """How many wait."""
        return sum(file.samples for file in self._files)

    @property
    def size(self) -> int:
        """What they take, in bytes."""
        return sum(file.size for file in self._files)

    @property
    def oldest_unix_ms(self) -> int | None:
        """When the oldest frame was, if that is known yet."""
        if not self._files:
            return None
        head = self._files[0]
        offset_ms = self._offsets.get(head.boot)
        first = self._ahead[0].monotonic_ms if self._ahead else head.first_monotonic_ms
        return None if offset_ms is None else first + offset_ms

    def append(self, frames: Iterable[Frame]) -> None:
        """Keep frames of this boot; the oldest make room for them."""
        for frame in frames:
            try:
                self._append(frame)
            except OSError as error:
                self.dropped_samples += len(frame)
                self._tell_failure(error)
            else:
                self._changes.over("disk", "%s can be written again", self.place)
        if self._open is not None and self._monotonic() - self._last_sync >= _SYNC_SECONDS:
            self._last_sync = self._monotonic()
            try:
                self._open.sync()
            except OSError as error:
                self._abandon()
                self._tell_failure(error)

    def note_offset(self, offset_ms: int) -> None:
        """Take note of Unix time minus monotonic time in milliseconds: it holds for all frames of this boot."""
        self._offsets[self._boot] = offset_ms
        if self._open is not None:
            self._open.offset_ms = offset_ms

    def peek(self, most_samples: int, now_unix_ms: int) -> tuple[Sequence[Frame], int] | None:
        """Return the oldest frames that have a believable time, at least one, with their offset; None without any."""
        while self._files:
            head = self._files[0]
            if self._ahead is None:
                self._ahead = self._load(head)
            offset_ms = self._offsets.get(head.boot)
            if not self._ahead:
                self._remove_head()
            elif offset_ms is None:
                if head.boot == self._boot:
                    return None
                self._drop_head("the clock was not set before the power went, so that nobody knows when they were")
            elif self._ahead[0].monotonic_ms + offset_ms > now_unix_ms + _AHEAD_MS:
                self._drop_head("their time is still to come: the clock was wrong")
            else:
                frames: list[Frame] = []
                left = most_samples
                for frame in self._ahead:
                    left -= len(frame)
                    if frames and left < 0:
                        break
                    frames.append(frame)
                return frames, offset_ms
        return None

    def advance(self, frames: Sequence[Frame]) -> None:
        """Forget frames that `peek` has returned; of those that had to make room meanwhile, nothing is left."""
        if self._ahead and self._ahead[0] is frames[0]:
            head = self._files[0]
            for frame in frames:
                self._ahead.popleft()
                head.samples -= len(frame)
            if head.samples == 0:
                self._remove_head()

    def close(self) -> None:
        """Let all that waits survive a power cut; closing twice does no harm."""
        self._seal()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _append(self, frame: Frame) -> None:
        try:
            self._write(frame)
        except OSError as error:
            if error.errno not in _NO_SPACE or len(self._files) < 2:
                raise
            # The present is worth more than the oldest that is kept.
            self._drop_head("the disk is full")
            self._write(frame)

    def _write(self, frame: Frame) -> None:
        if self._open is not None and self._open.full(frame.monotonic_ms, _FILE_SECONDS, self._file_bytes):
            self._seal()
        file = self._open or self._create()
        packed = file.pack(frame)
        while self.size + len(packed) + END_BYTES > self._max_bytes and len(self._files) > 1:
            self._drop_head("the spool is full")
        if self.size + len(packed) + END_BYTES > self._max_bytes:
            self._abandon()
            raise OSError(errno.EFBIG, "a beat is larger than the spool")
        try:
            file.write(packed, frame)
        except OSError:
            self._abandon()
            raise
        if self._files[0] is file and self._ahead is not None:
            self._ahead.append(frame)

    def _create(self) -> QueueFile:
        path = None
        if self._directory is not None:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._directory / f"{self._next_number:012}.queue"
            self._next_number += 1
        file = QueueFile(path, self._boot)
        file.create()
        file.offset_ms = self._offsets.get(self._boot)
        if not self._files:
            self._ahead = deque()
        self._files.append(file)
        self._open = file
        return file

    def _seal(self) -> None:
        file, self._open = self._open, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                self._tell_failure(error)

    def _abandon(self) -> None:
        file, self._open = self._open, None
        if file is not None:
            file.abandon()
            if file.samples == 0:
                self._forget(file)

    def _load(self, head: QueueFile) -> deque[Frame]:
        """Return the frames of the oldest file; what cannot be read is lost."""
        problem = "is damaged"
        try:
            frames, _ = head.read()
        except OSError as error:
            frames, problem = [], f"cannot be read: {error.strerror}"
        lost = head.samples - sum(map(len, frames))
        if lost > 0:
            _log.warning("%s %s: %d samples are lost", head.path, problem, lost)
            self.dropped_samples += lost
            head.samples -= lost
            if head is self._open:
                self._seal()
        return deque(frames)

    def _drop_head(self, why: str) -> None:
        lost = self._files[0].samples
        self._changes.trouble(why, why, "%s: the oldest %d samples are dropped: %s", self.place, lost, why)
        self.dropped_samples += lost
        self._remove_head()

    def _remove_head(self) -> None:
        self._forget(self._files[0])

    def _forget(self, file: QueueFile) -> None:
        """Remove a file with all that is in it."""
        if file is self._open:
            self._open = None
        if file is self._files[0]:
            self._ahead = None
        self._files.remove(file)
        if not self._files:
            for why in self._changes.kinds() - {"disk"}:
                self._changes.over(why)
        try:
            file.remove()
        except OSError as error:
            _log.warning("%s cannot be removed: %s", file.path, error.strerror)

    def _adopt_all(self, directory: Path) -> None:
        earlier = sum(path.suffix == ".spool" for path in directory.iterdir())
        if earlier:
            _log.warning(
                "%s: %d files of an earlier release (*.spool) are left alone; that release can still send them", directory, earlier
            )
        for path in sorted(directory.iterdir()):
            name = _NAME.fullmatch(path.name)
            if name is not None:
                self._next_number = int(name[1]) + 1
                self._adopt(path)
        if self.samples:
            _log.info("%s: %d samples wait from before", directory, self.samples)

    def _adopt(self, path: Path) -> None:
        try:
            file, whole = QueueFile.adopt(path)
        except BlankFileError:
            _log.info("%s: removed; a power cut left nothing in it", path)
            path.unlink()
        except ForeignFileError:
            _log.warning("%s: not written by sonnen-agent; left alone", path)
        except OSError as error:
            _log.warning("%s cannot be read: %s; left alone", path, error.strerror)
        else:
            if not whole:
                _log.warning("%s: its end is damaged; %d samples before it wait", path, file.samples)
            if file.offset_ms is not None:
                self._offsets[file.boot] = file.offset_ms
            self._files.append(file)
            if file.samples == 0:
                self._forget(file)

    def _tell_failure(self, error: OSError) -> None:
        self._changes.trouble("disk", "disk", "%s cannot be written: %s; samples are lost", self.place, error.strerror)


def _lock(directory: Path) -> int:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd
