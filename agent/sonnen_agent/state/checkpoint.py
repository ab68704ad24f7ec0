"""One small document on disk that a power cut cannot damage: two files, written in turns, in place.

Whatever happens to the one that is being written, the other is whole and a minute older. The first line says
whose a file is, its version, and the checksum of the rest; a serial number in the document says which is newer.
Nothing is created, renamed or grown in the steady state, so that a save costs the card the blocks of the document
and those in which the journal has the file's time (docs/facts.md 5.2). A full disk does not matter.
"""

import hashlib
import json
import logging
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from sonnen_agent.errors import AgentError
from sonnen_agent.files import open_regular, read_regular

_log = logging.getLogger(__name__)

_MAGIC = "sonnen-agent-state"
_VERSION = "1"
_LARGEST_BYTES = 4 << 20
_BLOCK_BYTES = 1024
"""The smallest that ext4 has."""

_State = TypeVar("_State")


class CheckpointError(AgentError):
    """A checkpoint file cannot be used; its text says why."""


class TornError(CheckpointError):
    """It was written by us and not to its end, as a power cut leaves it."""


def encode(document: Mapping[str, object], *, block_bytes: int = 1) -> bytes:
    """Return the file for a document, filled up with blanks to whole blocks."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    body += b" " * (-(len(_head(b"")) + len(body) + 1) % block_bytes) + b"\n"
    return _head(body) + body


def decode(content: bytes) -> dict[str, object]:
    """Return the document of a file, or raise CheckpointError."""
    first, _, body = content.partition(b"\n")
    words = first.decode("utf-8", "replace").split(" ")
    if not content.strip(b"\0\n "):
        raise TornError("it is empty or zero-filled, as after a power cut")
    if words[0] != _MAGIC or len(words) != 3:
        raise CheckpointError("it was not written by sonnen-agent")
    if words[1] != _VERSION:
        raise CheckpointError(f"it has format {words[1]!r} of another release, this one reads format {_VERSION}")
    if _head(body) != first + b"\n":
        raise TornError("its checksum is wrong: it is torn or was edited")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"it is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise CheckpointError("it holds no object")
    return document


def read(file: Path) -> dict[str, object]:
    """Return a file's document; raise OSError, or CheckpointError where it is not usable."""
    return decode(read_regular(file, _LARGEST_BYTES))


class Checkpoint:
    """The newest document of a folder, and the one before. Load it before the first save."""

    def __init__(self, folder: Path, name: str) -> None:
        self._files = [folder / f"{name}.json", folder / f"{name}.previous.json"]
        """The newest first."""
        self._serial = 0
        self._has_unnumbered = False
        """Whether one of them is of an earlier release: it has to go, since it counts as the newest."""

    def load(self, parse: Callable[[Mapping[str, object]], _State], *, set_aside: bool = True) -> _State | None:
        """Return what `parse` makes of the newest good document; None when there is none.

        What cannot be used is set aside with one line in the log, or else left where it is, without a word. One of two
        that is torn is what a power cut during a save leaves: it is written over by the next.
        """
        for file in self._by_age(set_aside=set_aside):
            try:
                state = parse(read(file))
            except (OSError, AgentError) as error:
                self._refuse(file, error, set_aside=set_aside)
            else:
                self._files.sort(key=lambda other: other != file)
                return state
        # The first save is to be found where people look.
        self._files.sort(key=lambda file: file.name.endswith(".previous.json"), reverse=True)
        return None

    def save(self, document: Mapping[str, object], *, last: bool = False) -> None:
        """Write a document in the place of the older one, or raise OSError and leave the newest as it was.

        The `last` one is where an earlier release looks first, too.
        """
        self._serial += 1
        newest, older = self._files
        overwrite(older, encode({**document, "serial": self._serial}, block_bytes=_BLOCK_BYTES))
        self._files = [older, newest]
        if self._has_unnumbered or (last and older.name.endswith(".previous.json")):
            self._has_unnumbered = False
            self.save(document)

    def _by_age(self, *, set_aside: bool) -> list[Path]:
        """Return the files that can be read, the newest first; an earlier release wrote no serial numbers."""
        serials: dict[Path, float] = {}
        broken: dict[Path, Exception] = {}
        newest, _ = self._files
        for file in self._files:
            try:
                serial = read(file).get("serial")
            except FileNotFoundError:
                continue
            except (OSError, AgentError) as error:
                broken[file] = error
            else:
                if isinstance(serial, int) and 0 <= serial < 1 << 53:
                    serials[file] = serial
                    self._serial = max(self._serial, serial)
                else:
                    # An earlier release, which wrote no numbers, always wrote the first of the two last.
                    serials[file] = math.inf if file is newest else -1
                    self._has_unnumbered = True
        for file, problem in broken.items():
            if serials and isinstance(problem, TornError):
                _log.warning("%s: %s; the other one counts", file, problem)
            else:
                self._refuse(file, problem, set_aside=set_aside)
        return sorted(serials, key=lambda file: -serials[file])

    def _refuse(self, file: Path, error: Exception, *, set_aside: bool) -> None:
        # A card that is dying gives errors instead of bytes, and a file may be another user's.
        reason = error.strerror if isinstance(error, OSError) else error
        if set_aside:
            _log.error("%s cannot be used: %s; it is kept as %s", file, reason, _set_aside(file))


def _head(body: bytes) -> bytes:
    return f"{_MAGIC} {_VERSION} {hashlib.sha256(body).hexdigest()}\n".encode()


def overwrite(file: Path, content: bytes, *, sync: bool = True) -> None:
    """Replace a file's content in place, and let it survive a power cut if asked for; or raise OSError."""
    descriptor = open_regular(file, os.O_WRONLY | os.O_CREAT)
    try:
        created = os.fstat(descriptor).st_size == 0
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if os.fstat(descriptor).st_size != len(content):
            os.ftruncate(descriptor, len(content))
        if sync:
            os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    if created and sync:
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _set_aside(file: Path) -> Path:
    """Rename a file to a name that is free, and return that."""
    number = 1
    while (aside := file.with_name(f"{file.name}.kept-{number}")).exists():
        number += 1
    try:
        file.rename(aside)
    except OSError:
        return file
    return aside
