"""One small document on disk that a power cut cannot damage: written beside, synced, and put in place.

The first line says whose it is, its version, and the checksum of the rest; the file before the
newest is kept, for the case that the newest is torn all the same (an SD card that lies about sync).
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from sonnen_agent.errors import AgentError

_log = logging.getLogger(__name__)

_MAGIC = "sonnen-agent-state"
_VERSION = "1"
_LARGEST_BYTES = 16 * 1024 * 1024

_State = TypeVar("_State")


class CheckpointError(AgentError):
    """A checkpoint file cannot be used; its text says why."""


def encode(document: Mapping[str, object]) -> bytes:
    """Return the file for a document."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    return f"{_MAGIC} {_VERSION} {hashlib.sha256(body).hexdigest()}\n".encode() + body


def decode(content: bytes) -> dict[str, object]:
    """Return the document of a file, or raise CheckpointError."""
    first, _, body = content.partition(b"\n")
    words = first.decode("utf-8", "replace").split(" ")
    if not content.strip(b"\0\n "):
        raise CheckpointError("it is empty or zero-filled, as after a power cut")
    if words[0] != _MAGIC or len(words) != 3:
        raise CheckpointError("it was not written by sonnen-agent")
    if words[1] != _VERSION:
        raise CheckpointError(f"it has format {words[1]!r} of another release, this one reads format {_VERSION}")
    if hashlib.sha256(body).hexdigest() != words[2]:
        raise CheckpointError("its checksum is wrong: it is torn or was edited")
    document = json.loads(body)
    if not isinstance(document, dict):
        raise CheckpointError("it holds no object")
    return document


def read(file: Path, parse: Callable[[Mapping[str, object]], _State]) -> _State:
    """Return what `parse` makes of a file's document; raise OSError, or AgentError where it is not usable."""
    with file.open("rb") as stream:
        return parse(decode(stream.read(_LARGEST_BYTES)))


class Checkpoint:
    """The newest document of a folder, and the one before."""

    def __init__(self, folder: Path, name: str) -> None:
        self._newest = folder / f"{name}.json"
        self._previous = folder / f"{name}.previous.json"
        self._writing = folder / f"{name}.writing"

    def load(
        self, parse: Callable[[Mapping[str, object]], _State], *, set_aside: bool = True
    ) -> _State | None:
        """Return what `parse` makes of the newest good document; None when there is none.

        What cannot be used is set aside with one line in the log, or else left where it is, without a word.
        """
        for file in (self._newest, self._previous):
            try:
                return read(file, parse)
            except FileNotFoundError:
                continue
            except (OSError, AgentError) as error:
                # A card that is dying gives errors instead of bytes, and a file may be another user's.
                reason = error.strerror if isinstance(error, OSError) else error
                if set_aside:
                    _log.error("%s cannot be used: %s; it is kept as %s", file, reason, _set_aside(file))
        return None

    def save(self, document: Mapping[str, object]) -> None:
        """Put a document in the newest's place, or raise OSError and leave all as it was."""
        with self._writing.open("wb") as writing:
            writing.write(encode(document))
            writing.flush()
            os.fsync(writing.fileno())
        if self._newest.exists():
            self._newest.replace(self._previous)
        self._writing.replace(self._newest)
        folder = os.open(self._newest.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
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
