"""The state directory: loads the counters at the start, saves them every minute and at the stop, writes the ledger.

A disk that is full or read-only stops nothing: it is told once, tried again every minute, and told
again when it works.
"""

import fcntl
import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from sonnen_agent.changes import ChangeLog
from sonnen_agent.clock import boot_id
from sonnen_agent.energy.state import MeterState, StateError, compact, state_from_json, state_to_json
from sonnen_agent.errors import StartError
from sonnen_agent.files import open_regular
from sonnen_agent.shared_meter import SharedMeter, Start
from sonnen_agent.state.checkpoint import Checkpoint
from sonnen_agent.state.ledger import Ledger, LedgerDay

_log = logging.getLogger(__name__)

_NAME = "counters"
IN_MEMORY = frozenset({"aufs", "overlay", "ramfs", "tmpfs"})
"""File systems that forget with the next boot all that is not in a layer below them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredState(Start):
    """What a checkpoint holds."""

    meters: Mapping[str, MeterState]
    """By battery."""


class StateStore:
    """The state directory of a running agent."""

    def __init__(self, folder: Path) -> None:
        """Take the directory, or raise StartError when another agent has it; OSError when it cannot be written."""
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        self._checkpoint = Checkpoint(folder, _NAME)
        self._ledger = Ledger(folder)
        self._meters: Mapping[str, SharedMeter] = {}
        self._others: Mapping[str, MeterState] = {}
        self._changes = ChangeLog(_log)
        self._known_unix_seconds = time.time()
        """At least until then the counters are what was shown."""
        self._file_system = file_system(folder)
        if self._file_system in IN_MEMORY:
            words = "the counters do not survive a reboot by themselves: %s is in memory (%s); set state_directory to a"
            _log.warning(f"{words} place on the card or disk, or mount one there", folder, self._file_system)

    def load(self) -> StoredState | None:
        """Return what was kept, or None where there is nothing usable."""
        if (stored := self._checkpoint.load(_stored)) is None:
            return None
        self._known_unix_seconds = stored.saved_unix_seconds
        return replace(stored, in_memory=self._file_system in IN_MEMORY)

    def keep(self, meters: Mapping[str, SharedMeter], stored: StoredState | None) -> None:
        """Save these from now on; those of batteries that left the config are kept for their return."""
        self._meters = meters
        if stored is not None:
            self._others = {name: state for name, state in stored.meters.items() if name not in meters}
        self.save()

    def save(self, *, clean: bool = False) -> bool:
        """Write ledger and checkpoint, and return whether they are on disk."""
        trouble: OSError | None = None
        for name, meter in self._meters.items():
            finished = meter.take_finished_days()
            try:
                self._ledger.append(tuple(LedgerDay(battery=name, finished=day) for day in finished))
            except OSError as error:
                # The meter keeps them, and so does the checkpoint, which needs no more room than it has.
                meter.put_back(finished)
                trouble = error
        try:
            self._checkpoint.save(self._document(clean=clean), last=clean)
        except OSError as error:
            words = "the counters cannot be saved: %s; trying again every minute"
            self._changes.trouble("disk", "counters", words, error, level=logging.ERROR)
            return False
        if trouble is not None:
            words = "the ledger cannot be written: %s; its days wait in the checkpoint"
            self._changes.trouble("disk", "ledger", words, trouble, level=logging.ERROR)
        else:
            self._changes.over("disk", "the counters are saved again")
        return True

    def close(self) -> None:
        """Let another agent have the directory."""
        os.close(self._lock)

    def _document(self, *, clean: bool) -> dict[str, object]:
        # What is not settled yet may have been seen higher: the next start has to ask, too, and to know since when.
        settled = all(meter.settled for meter in self._meters.values())
        if settled:
            self._known_unix_seconds = time.time()
        states = {**self._others, **{name: meter.state() for name, meter in self._meters.items()}}
        return {
            "saved_unix_seconds": self._known_unix_seconds,
            "boot_id": boot_id(),
            "clean": clean and settled,
            "meters": {name: compact(state_to_json(state)) for name, state in states.items()},
        }


def peek(folder: Path) -> StoredState | None:
    """Return what is kept without touching anything, also while an agent runs; None where nothing can be read."""
    return Checkpoint(folder, _NAME).load(_stored, set_aside=False)


def _stored(document: Mapping[str, object]) -> StoredState:
    meters = document.get("meters")
    if not isinstance(meters, dict) or not "".join(meters).isprintable():
        raise StateError("it holds no meters")
    saved = document.get("saved_unix_seconds")
    return StoredState(
        meters={name: state_from_json(meter) for name, meter in meters.items()},
        saved_unix_seconds=saved if isinstance(saved, int | float) and 0 <= saved < 1e11 else 0.0,
        clean=document.get("clean") is True,
        same_boot=document.get("boot_id") == boot_id() is not None,
    )


def file_system(folder: Path) -> str:
    """Return the type of a folder's file system; empty where the kernel does not tell."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with suppress(OSError), Path("/proc/self/mountinfo").open(encoding="utf-8", errors="replace") as mounts:
        return next((line.partition(" - ")[2].split()[0] for line in mounts if line.split()[2] == number), "")
    return ""


def _locked(folder: Path) -> int:
    """Return the lock of a folder, a descriptor, which holds until that is closed or the process ends, however.

    Raises StartError when another process has it; OSError when the folder is not writable.
    """
    descriptor = open_regular(folder / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise StartError(
            f"{folder} is in use by another sonnen-agent (process {owner}); "
            "stop that one, or give this one a state_directory of its own"
        ) from error
    with suppress(OSError):  # on a full disk the lock holds all the same, it only does not say whose it is
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
