"""One agent per state directory: two would count into the same file in turns."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from sonnen_agent.errors import StartError


class FolderLock:
    """Held from construction until the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        """Take the lock, or raise StartError when another process has it; OSError when the folder is not writable."""
        file = folder / "lock"
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._descriptor)
            raise StartError(
                f"{folder} is in use by another sonnen-agent (process {owner}); "
                "stop that one, or give this one a state_directory of its own"
            ) from error
        with suppress(OSError):  # on a full disk the lock holds all the same, it only does not say whose it is
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let others have it."""
        os.close(self._descriptor)
