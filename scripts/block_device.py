"""A disk of its own, to count what reaches the card: ext4 on a loop device, as on a Raspberry Pi's, in a file.

What a process writes and what the card gets are different things: a few hundred bytes that are synced are a block of
data and several of the journal, and later those of the inode and of the directory.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

CARD_BLOCK_BYTES = 4096
"""What mkfs.ext4 makes of a small disk by itself has 1024, and seems to cost a third."""
_SECTOR_BYTES = 512
"""Of /sys/block/*/stat, whatever the device's own are (kernel.org, Documentation/block/stat.rst)."""
_COMMIT_SECONDS = 6
"""What has changed is in the journal by then: ext4's commit= is 5, and jbd2 rounds its timer up to a whole second."""
_WRITE_BACK_SECONDS = 30
"""What has changed is in its place by then: vm.dirty_expire_centisecs."""


class BlockDeviceError(Exception):
    """No such device can be made here; the text says why."""


class Folder:
    """A folder where no device of its own can be made: counted is what the kernel says that a process has written."""

    where = "without what the file system adds"

    def __init__(self, path: Path) -> None:
        self.path = path

    def written_bytes(self, pid: int) -> int:
        """Return how much a process has written."""
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))

    def pass_time(self, seconds: float) -> None:
        """Do nothing: what the kernel does meanwhile is not counted here."""


class BlockDevice:
    """A mounted file system in a file, from the `with` to its end. Only root can make one."""

    def __init__(self, folder: Path, *, block_bytes: int = CARD_BLOCK_BYTES, mebibytes: int = 512) -> None:
        """Prepare one whose file lies in a folder; the file takes only what is written to it."""
        self.path = folder / "card"
        self.where = f"to ext4 with blocks of {block_bytes} bytes"
        self._image = folder / "card.img"
        self._block_bytes = block_bytes
        self._mebibytes = mebibytes
        self._device = ""
        self._since_commit = self._since_write_back = 0.0
        self._committed: object = None

    def __enter__(self) -> Self:
        with self._image.open("wb") as image:
            image.truncate(self._mebibytes << 20)
        self._device = _run("losetup", "--find", "--show", str(self._image))
        try:
            # Else the kernel fills tables in the background, for minutes, which would be counted.
            now = "lazy_itable_init=0,lazy_journal_init=0"
            _run("mkfs.ext4", "-q", "-b", str(self._block_bytes), "-E", now, self._device)
            self.path.mkdir()
            _run("mount", "-o", "noatime", self._device, str(self.path))
        except BlockDeviceError:
            _run("losetup", "--detach", self._device)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Lazily: also when a program that did not end in time still has a file open.
        _run("umount", "--lazy", str(self.path))
        _run("losetup", "--detach", self._device)
        self._image.unlink()

    def written_bytes(self, _pid: int) -> int:
        """Return how much has been written to the device, by whomever, without what still waits for that."""
        fields = Path("/sys/block", Path(self._device).name, "stat").read_text().split()
        return int(fields[6]) * _SECTOR_BYTES

    def pass_time(self, seconds: float) -> None:
        """Do what the kernel does by itself in so many seconds, for a simulation that has not got them."""
        self._since_commit += seconds
        self._since_write_back += seconds
        if self._since_write_back >= _WRITE_BACK_SECONDS:
            self._since_commit = self._since_write_back = 0
            _run("sync", "--file-system", str(self.path))
        elif self._since_commit >= _COMMIT_SECONDS:
            self._since_commit = 0
            self._commit()

    def _commit(self) -> None:
        """Commit the journal if anything has changed; data for which there is no place yet goes on waiting."""
        files = [file.stat() for file in self.path.rglob("*")]
        changed = {(file.st_ino, file.st_size, file.st_mtime_ns) for file in files}
        if changed == self._committed:
            return
        # To sync an empty file takes the inodes of the others along, which are in the same block as its own.
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.utime(descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._committed = changed


@contextmanager
def card(folder: Path, *, block_bytes: int = CARD_BLOCK_BYTES) -> Iterator[BlockDevice | Folder]:
    """Give a folder on a disk of its own, or where that cannot be, the folder."""
    with ExitStack() as stack:
        try:
            disk: BlockDevice | Folder = stack.enter_context(BlockDevice(folder, block_bytes=block_bytes))
        except BlockDeviceError as error:
            print(f"No block device of its own ({error}): what is written is what the kernel's /proc/PID/io says.")
            disk = Folder(folder)
        yield disk


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own words
    except FileNotFoundError as error:
        raise BlockDeviceError(f"{command[0]} is not on this machine") from error
    except subprocess.CalledProcessError as error:
        raise BlockDeviceError(f"{command[0]}: {error.stderr.strip()}") from error
    return done.stdout.strip()
