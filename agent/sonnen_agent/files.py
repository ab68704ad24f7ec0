"""Files, opened without waiting and read up to a bound: in their place may be a FIFO, a link or a device."""

import errno
import os
import select
import stat
import time
from pathlib import Path

_PIPE_SECONDS = 5.0
"""For all that comes out of a pipe: who waits for it does not hear of a stop meanwhile."""


def open_regular(path: Path, flags: int, *, follow: bool = False, pipe: bool = False) -> int:
    """Return the descriptor of a regular file, its owner's alone if this makes it, or raise OSError.

    A link is followed where the file is not ours; a pipe, such as a shell's `<(…)`, will do where that is said.
    """
    links = 0 if follow else os.O_NOFOLLOW
    descriptor = os.open(path, flags | links | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or (pipe and stat.S_ISFIFO(mode)):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is no regular file", str(path))


def read_regular(path: Path, most_bytes: int, *, follow: bool = False, pipe: bool = False) -> bytes:
    """Return the content of such a file, or raise OSError, as where it is larger."""
    content = bytearray()
    end = time.monotonic() + _PIPE_SECONDS
    with os.fdopen(open_regular(path, os.O_RDONLY, follow=follow, pipe=pipe), "rb", buffering=0) as stream:
        while (piece := stream.read(most_bytes + 1 - len(content))) != b"":
            content += piece or b""
            if len(content) > most_bytes:
                raise OSError(errno.EFBIG, f"it is larger than {most_bytes} bytes", str(path))
            if piece is None and not select.select([stream], [], [], max(end - time.monotonic(), 0))[0]:
                raise OSError(errno.ETIMEDOUT, f"what writes it does not end within {_PIPE_SECONDS:g} s", str(path))
    return bytes(content)
