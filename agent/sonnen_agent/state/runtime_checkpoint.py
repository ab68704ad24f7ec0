"""The counters of the latest beat, in memory that outlives the process but not the machine's uptime.

systemd's RuntimeDirectory= is such memory. A card wears with every write, this does not: so each
battery's counters are written down here at every beat *before* anybody is shown them. After a
crash nobody has seen higher ones. Memory needs no sync: a file is written beside and put in place.
"""

import hashlib
import logging
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from sonnen_agent.changes import ChangeLog
from sonnen_agent.clock import boot_id
from sonnen_agent.energy.state import MeterState, StateError, state_from_json, state_to_json
from sonnen_agent.errors import AgentError
from sonnen_agent.state.checkpoint import encode, overwrite, read

_log = logging.getLogger(__name__)


class RuntimeCheckpoint:
    """A folder with a document per battery. Several threads may write, each its own battery."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._boot_id = boot_id()
        self._changes = ChangeLog(_log)

    def load(self, batteries: Iterable[str]) -> Mapping[str, MeterState]:
        """Return the counters that a crash has left; nothing of a battery without any that are usable."""
        found: dict[str, MeterState] = {}
        problems: list[str] = []
        for battery in batteries:
            try:
                found[battery] = self._state(battery, read(self._files(battery)[0]))
            except FileNotFoundError:
                continue
            except (OSError, AgentError) as error:
                problems.append(f"{self._files(battery)[0]} cannot be used: {error}")
        if problems:
            _log.warning("%s%s", problems[0], f" (and {len(problems) - 1} more)" * (len(problems) > 1))
        return found

    def save(self, battery: str, state: MeterState) -> None:
        """Write down what is about to be shown; an older image that cannot be replaced is taken away."""
        document = {"battery": battery, "boot_id": self._boot_id, "meter": state_to_json(state)}
        file, writing, _ = self._files(battery)
        try:
            overwrite(writing, encode(document), sync=False)
            os.replace(writing, file)  # noqa: PTH105 - that of a Path makes another Path at each beat
        except OSError as error:
            words = "%s cannot be written: %s; after a crash the gateway is asked"
            self._changes.trouble(self._folder, "unwritable", words, self._folder, error)
            self.remove([battery])
        else:
            self._changes.over(self._folder)

    def remove(self, batteries: Iterable[str]) -> None:
        """Take the images away: after a clean stop the checkpoint on disk is the newest."""
        for battery in batteries:
            for name in self._files(battery):
                with suppress(OSError):
                    name.unlink(missing_ok=True)

    @cache  # noqa: B019 - it lives as long as the process; each new Path makes Python's table of names grow
    def _files(self, battery: str) -> tuple[Path, Path, Path]:
        """Return a battery's image, the file it is written to, and what an earlier release has left beside it."""
        # Not every battery's name is a file's.
        file = self._folder / f"beat-{hashlib.sha256(battery.encode()).hexdigest()[:16]}.json"
        return file, file.with_suffix(".writing"), file.with_suffix(".previous.json")

    def _state(self, battery: str, document: Mapping[str, object]) -> MeterState:
        if document.get("battery") != battery or document.get("boot_id") != self._boot_id:
            raise StateError("it is of another battery or boot")
        return state_from_json(document.get("meter"))
