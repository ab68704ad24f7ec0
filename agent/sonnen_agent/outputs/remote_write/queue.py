"""A durable queue of frames: files that are appended to, read from their start and removed when they were delivered.

Written to only while samples cannot be sent: each beat at once to the runtime directory, so that it survives
`kill -9`, and once a minute to the card, so that a power cut costs a minute (docs/facts.md 5.2); every five
minutes another file begins. The frames of the oldest file are held in memory, and what was delivered of them is known
there alone: after a kill it is sent again, which receivers take for what it is, duplicates.

A frame has the time of the monotonic clock, and gets its Unix time when it is sent: by the offset known then if
it is of the present boot, so that a clock that was put right later puts it right, too; by the last offset that was
written during an earlier boot. Without one it cannot be placed, and is dropped and counted.
"""

import contextlib
import errno
import logging
import uuid
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

from sonnen_agent.changes import ChangeLog
from sonnen_agent.errors import counted
from sonnen_agent.files import read_regular
from sonnen_agent.outputs.remote_write.queue_file import END_BYTES, QueueFile, write
from sonnen_agent.outputs.remote_write.wire import Frame

_FEWEST_FILES = 8
"""So that the bound drops no more than an eighth at once."""
_AHEAD_MS = 10 * 60 * 1000
"""A sample later than that from now was stamped by a wrong clock; Prometheus takes none either (docs/facts.md 4.3)."""

_log = logging.getLogger(__name__)


class Queue:
    """First in, first out, bounded; a frame that cannot be kept is counted. For one thread of one process."""

    def __init__(
        self, directory: Path, max_bytes: int, *, boot: str | None, live_directory: Path | None = None
    ) -> None:
        """Open it with what an earlier process has left; a directory that cannot be used is told, and tried again.

        The state directory, which it is in, belongs to one process. `boot` tells between which times the monotonic
        clock ran through, None where that is not known.
        """
        self.directory = directory
        """Where samples wait."""
        self.samples = self.size = 0
        """How many wait, and what they take in bytes."""
        self.dropped_samples = 0
        """Lost so far, most of them to the bound."""
        self._live_directory = live_directory
        self._max_bytes = max_bytes - END_BYTES
        self._boot = (boot or str(uuid.uuid4())).replace("-", "")
        self._files: deque[QueueFile] = deque()
        self._open: QueueFile | None = None
        self._ahead: deque[Frame] | None = None
        """What was not delivered yet of the oldest file, once it is needed."""
        self._offsets: dict[str, int | None] = {}
        self._next_number = 1
        self._changes = ChangeLog(_log)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._bring_back()
            self._adopt_all()
        except OSError as error:
            self._tell_failure(error)

    @property
    def oldest_unix_ms(self) -> int | None:
        """When the oldest frame was, if that is known yet."""
        ahead = self._head()
        offset_ms = self._offsets.get(self._files[0].boot) if ahead else None
        return None if offset_ms is None else ahead[0].monotonic_ms + offset_ms

    def append(self, frames: Iterable[Frame]) -> None:
        """Keep frames of this boot; the oldest make room for them."""
        for frame in frames:
            if self._open is not None and self._open.full(self._max_bytes // _FEWEST_FILES, frame.monotonic_ms):
                self.close()
            if self._open is None:
                self._open = QueueFile(self.directory, self._live_directory, self._next_number, self._boot)
                self._next_number += 1
                self._files.append(self._open)
            file, before = self._open, self._open.size
            file.offset_ms = self._offsets.get(self._boot)
            file.add(frame)
            self.size += file.size - before
            self.samples += len(frame)
            if file is self._files[0] and self._ahead is not None:
                self._ahead.append(frame)
            while self.size > self._max_bytes:
                self._drop_oldest("the spool is full")
        if self._open is not None:
            self._save(self._open)

    def note_offset(self, offset_ms: int) -> None:
        """Take note of Unix time minus monotonic time in milliseconds: it holds for all frames of this boot."""
        self._offsets[self._boot] = offset_ms

    def peek(self, most_samples: int, now_unix_ms: int) -> tuple[Sequence[Frame], int] | None:
        """Return the oldest frames that have a believable time, at least one, with their offset; None without any."""
        while ahead := self._head():
            boot = self._files[0].boot
            offset_ms = self._offsets.get(boot)
            if offset_ms is None:
                if boot == self._boot:
                    return None
                self._drop_oldest("the clock was not set before the power went, so that nobody knows when they were")
            elif ahead[0].monotonic_ms + offset_ms > now_unix_ms + _AHEAD_MS:
                self._drop_oldest("their time is still to come: the clock was wrong")
            else:
                frames: list[Frame] = []
                for frame in ahead:
                    most_samples -= len(frame)
                    if frames and most_samples < 0:
                        break
                    frames.append(frame)
                return frames, offset_ms
        return None

    def advance(self, frames: Sequence[Frame]) -> None:
        """Forget frames that `peek` has returned; of those that had to make room meanwhile, nothing is left."""
        if self._ahead and self._ahead[0] is frames[0]:
            for frame in frames:
                self._ahead.popleft()
                self._count(self._files[0], -len(frame))
            if not self._ahead:
                self._forget(self._files[0])

    def close(self) -> None:
        """Let all that waits survive a power cut; what is appended later begins another file."""
        file, self._open = self._open, None
        if file is not None:
            self.size -= file.size
            try:
                file.close()
            except OSError as error:
                self._tell_failure(error)
                self._forget(file)
            self.size += file.size

    def _save(self, file: QueueFile) -> None:
        """Write what is new; what cannot be written is tried again as long as the file is open."""
        if not self.directory.is_dir():
            self._forget_gone()
        try:
            file.save()
        except OSError as error:
            self._tell_failure(error)
            if error.errno in (errno.ENOSPC, errno.EDQUOT) and len(self._files) > 1:
                # The present is worth more than the oldest that is kept.
                self._drop_oldest("the disk is full")
        else:
            self._changes.over("disk", "%s can be written again", self.directory)

    def _head(self) -> deque[Frame]:
        """Return what was not delivered yet of the oldest file that has any; what cannot be read is lost."""
        while self._files and not self._ahead:
            head = self._files[0]
            if head is not self._open and not head.path.exists():
                self._forget_gone()
                continue
            self._ahead = deque()
            with contextlib.suppress(OSError):
                self._ahead.extend(head.read())
            lost = head.samples - sum(map(len, self._ahead))
            if lost:
                words = "%s cannot be read to its end: %s lost"
                self._changes.trouble("dropped", "torn", words, head.path, counted(lost, "sample is", "samples are"))
                self.dropped_samples += lost
                self._count(head, -lost)
            if not self._ahead:
                self._forget(head)
        return self._ahead or deque()

    def _forget_gone(self) -> None:
        """Count what somebody has taken away with its files, and tell it once for all of them."""
        gone = [file for file in self._files if file is not self._open and not file.path.exists()]
        if lost := sum(file.samples for file in gone):
            words = "%s: %s lost: somebody has removed their files"
            self._changes.trouble("dropped", "gone", words, self.directory, counted(lost, "sample is", "samples are"))
        for file in gone:
            self._forget(file)

    def _drop_oldest(self, why: str) -> None:
        oldest = counted(self._files[0].samples, "sample is", "samples are")
        self._changes.trouble("dropped", why, "%s: the oldest %s dropped: %s", self.directory, oldest, why)
        self._forget(self._files[0])

    def _count(self, file: QueueFile, samples: int) -> None:
        file.samples += samples
        self.samples += samples

    def _forget(self, file: QueueFile) -> None:
        """Remove a file; what is still in it is lost."""
        self.dropped_samples += file.samples
        self._count(file, -file.samples)
        self.size -= file.size
        if file is self._open:
            self._open = None
        if file is self._files[0]:
            self._ahead = None
        self._files.remove(file)
        if not self._files:
            self._changes.over("dropped")
        try:
            file.remove()
        except OSError as error:
            self._changes.trouble("removal", "fails", "%s cannot be removed: %s", file.path, error.strerror)

    def _tell_failure(self, error: OSError) -> None:
        message = "%s cannot be written: %s; samples wait in memory for at most five minutes"
        self._changes.trouble("disk", "disk", message, self.directory, error.strerror)

    def _bring_back(self) -> None:
        """Complete on the card what a process that was killed had not written there yet."""
        for path in self._live_directory.glob("*.gz") if self._live_directory else ():
            try:
                if not any(self.directory.glob(f"{path.name[:13]}[1-9]*.gz")):  # it was not closed
                    write(self.directory / path.name, read_regular(path, self._max_bytes), sync=False)
                path.unlink()
            except OSError as error:
                self._tell_failure(error)

    def _adopt_all(self) -> None:
        if earlier := len(list(self.directory.glob("*.spool"))):
            message = "%s: %s; that one sends what is there, or remove it"
            of_earlier = "(*.spool) of an earlier release"
            files = counted(earlier, f"file {of_earlier} stays", f"files {of_earlier} stay")
            _log.warning(message, self.directory, files)
        for path in sorted(self.directory.iterdir()):
            try:
                file = QueueFile.adopt(path)
            except OSError as error:
                _log.warning("%s cannot be read: %s; left alone", path, error.strerror)
                continue
            if file is not None:
                self._next_number = int(path.name[:12]) + 1
                self._files.append(file)
                self.size += file.size
                self.samples += file.samples
        for file in {file.boot: file for file in self._files}.values():
            with contextlib.suppress(OSError):
                file.read()  # the last file of a boot knows its offset best
            self._offsets[file.boot] = file.offset_ms
        for file in [file for file in self._files if not file.samples]:
            self._forget(file)
        while self.size > self._max_bytes:
            self._drop_oldest("the spool is full")
        if self.samples:
            _log.info("%s: %s from before", self.directory, counted(self.samples, "sample waits", "samples wait"))
