"""Keeps the counters: loads them at the start, saves them every minute and at the stop, writes the ledger.

A disk that is full or read-only stops nothing: it is told once, tried again every minute, and told
again when it works.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sonnen_agent.account import Account
from sonnen_agent.energy import MeterState, StateError, state_from_json, state_to_json
from sonnen_agent.state.boot import boot_id
from sonnen_agent.state.checkpoint import Checkpoint
from sonnen_agent.state.ledger import Ledger, LedgerDay
from sonnen_agent.state.lock import FolderLock

_log = logging.getLogger(__name__)

SAVE_SECONDS = 60.0
"""An SD card wears with every write (docs/facts.md 5): a small one a minute."""
_NAME = "counters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a checkpoint holds."""

    meters: Mapping[str, MeterState]
    """By battery."""
    clean: bool
    """Whether it was written at a clean stop: then nobody has seen higher counters."""
    same_boot: bool
    """Whether its monotonic times are of the clock that runs now."""


class Keeper:
    """The state directory of a running agent."""

    def __init__(self, folder: Path) -> None:
        """Take the directory, or raise StartError when another agent has it; OSError when it cannot be written."""
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(folder)
        self._checkpoint = Checkpoint(folder, _NAME)
        self._ledger = Ledger(folder)
        self._accounts: Mapping[str, Account] = {}
        self._others: Mapping[str, MeterState] = {}
        self._waiting: tuple[LedgerDay, ...] = ()
        self._failing = False

    def load(self) -> Kept | None:
        """Return what was kept, or None where there is nothing usable."""
        return self._checkpoint.load(_kept)

    def keep(self, accounts: Mapping[str, Account], kept: Kept | None) -> None:
        """Save these from now on; the counters of batteries that left the config are kept for their return."""
        self._accounts = accounts
        if kept is not None:
            self._others = {name: state for name, state in kept.meters.items() if name not in accounts}
        self.save()

    def save(self, *, clean: bool = False) -> bool:
        """Write ledger and checkpoint, and return whether they are on disk."""
        finished = tuple(
            LedgerDay(battery=name, finished=day)
            for name, account in self._accounts.items()
            for day in account.take_finished_days()
        )
        self._waiting += finished
        try:
            self._ledger.append(self._waiting)
            self._waiting = ()
            self._checkpoint.save(self._document(clean=clean))
        except OSError as error:
            level = logging.DEBUG if self._failing else logging.ERROR
            _log.log(level, "the counters cannot be saved: %s; trying again every minute", error)
            self._failing = True
            return False
        if self._failing:
            _log.info("the counters are saved again")
            self._failing = False
        return True

    def close(self) -> None:
        """Let another agent have the directory."""
        self._lock.release()

    def _document(self, *, clean: bool) -> dict[str, object]:
        states = {**self._others, **{name: account.state() for name, account in self._accounts.items()}}
        return {
            "saved_unix_seconds": time.time(),
            "boot_id": boot_id(),
            # What is not settled yet may have been seen higher: the next start has to ask, too.
            "clean": clean and all(account.settled for account in self._accounts.values()),
            "meters": {name: state_to_json(state) for name, state in states.items()},
        }


def peek(folder: Path) -> Kept | None:
    """Return what is kept without touching anything, also while an agent runs; None where nothing can be read."""
    return Checkpoint(folder, _NAME).peek(_kept)


def _kept(document: Mapping[str, object]) -> Kept:
    meters = document.get("meters")
    if not isinstance(meters, dict):
        raise StateError("it holds no meters")
    return Kept(
        meters={str(name): state_from_json(meter) for name, meter in meters.items()},
        clean=document.get("clean") is True,
        same_boot=document.get("boot_id") == boot_id() is not None,
    )
