"""Files, opened without waiting and read up to a bound: in their place may be a FIFO, a link or a device."""

import errno
import os
import select
import stat
import time
from pathlib import Path

_PIPE_SECONDS = 5.0
"""For all that comes out of a pipe: whoever waits for it cannot be told to stop meanwhile."""


def open_regular(path: Path, flags: int) -> int:
    """Return the descriptor of a regular file, readable by its owner alone if this makes it; or raise OSError.

    A link is not followed: in a folder that we write to, nobody but us has a reason for one.
    """
    return _regular(path, os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600))


def read_bounded(path: Path, most_bytes: int, *, pipe: bool = False) -> bytes:
    """Return the content of a regular file, or raise OSError, as for one that is larger; links are followed.

    A `pipe` will do if its other end comes to an end within some seconds, as that of a shell's `<(…)` does.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not (pipe and stat.S_ISFIFO(os.fstat(descriptor).st_mode)):
        _regular(path, descriptor)
    return read_rest(path, descriptor, most_bytes)


def read_rest(path: Path, descriptor: int, most_bytes: int) -> bytes:
    """Return what is left to read of a descriptor, and close it; or raise OSError, as where that is too much."""
    content = bytearray()
    end = time.monotonic() + _PIPE_SECONDS
    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        while (piece := stream.read(most_bytes + 1 - len(content))) != b"":
            content += piece or b""
            if len(content) > most_bytes:
                raise OSError(errno.EFBIG, f"it is larger than {most_bytes} bytes", str(path))
            if piece is None and not ready.poll(max(end - time.monotonic(), 0) * 1000):
                raise OSError(errno.ETIMEDOUT, f"what writes it does not end within {_PIPE_SECONDS:g} s", str(path))
    return bytes(content)


def _regular(path: Path, descriptor: int) -> int:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return descriptor
