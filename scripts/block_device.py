"""A disk of its own, to count what reaches the card: ext4 on a loop device, as on a Raspberry Pi's, in a file.

What a process writes and what the card gets are different things: a few hundred bytes that are synced are a block of
data and several of the journal, and later those of the inode and of the directory.
"""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

_SECTOR_BYTES = 512
"""Of /sys/block/*/stat, whatever the device's own are (kernel.org, Documentation/block/stat.rst)."""


class BlockDeviceError(Exception):
    """No such device can be made here; the text says why."""


class BlockDevice:
    """A mounted file system in a file, from the `with` to its end. Only root can make one."""

    def __init__(self, folder: Path, *, mebibytes: int = 512) -> None:
        """Prepare one whose file lies in a folder; the file takes only what is written to it."""
        self._image = folder / "card.img"
        self._mebibytes = mebibytes
        self._device = ""
        self.path = folder / "card"

    def __enter__(self) -> Self:
        with self._image.open("wb") as image:
            image.truncate(self._mebibytes << 20)
        self._device = _run("losetup", "--find", "--show", str(self._image))
        try:
            # Else the kernel fills tables in the background, for minutes, which would be counted. On a small disk the
            # blocks would be of 1 KiB, and everything would seem to cost a third of what it does on a card.
            now = "lazy_itable_init=0,lazy_journal_init=0"
            _run("mkfs.ext4", "-q", "-b", "4096", "-E", now, self._device)
            self.path.mkdir()
            _run("mount", "-o", "noatime", self._device, str(self.path))
        except BlockDeviceError:
            _run("losetup", "--detach", self._device)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _run("umount", str(self.path))
        _run("losetup", "--detach", self._device)
        self._image.unlink()

    def settle(self) -> None:
        """Write all that waits: as the kernel does within half a minute, which a fast simulation has not."""
        _run("sync", "--file-system", str(self.path))

    def written_bytes(self) -> int:
        """Return how much has been written to the device, without what still waits for that."""
        fields = Path("/sys/block", Path(self._device).name, "stat").read_text().split()
        return int(fields[6]) * _SECTOR_BYTES


@contextmanager
def card(folder: Path) -> Iterator[tuple[Path, Callable[[int], int], str]]:
    """Give a directory, how to ask for the bytes that a process has written there, and where these are counted."""
    with ExitStack() as stack:
        try:
            device = stack.enter_context(BlockDevice(folder))
        except BlockDeviceError as error:
            print(f"No block device of its own ({error}): what is written is what the kernel's /proc/PID/io says.")
            device = None
        if device is None:
            yield folder, _written_by, "without what the file system adds"
        else:
            yield device.path, lambda _: device.written_bytes(), "at the block device, ext4"


def _written_by(pid: int) -> int:
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own words
    except FileNotFoundError as error:
        raise BlockDeviceError(f"{command[0]} is not on this machine") from error
    except subprocess.CalledProcessError as error:
        raise BlockDeviceError(f"{command[0]}: {error.stderr.strip()}") from error
    return done.stdout.strip()
