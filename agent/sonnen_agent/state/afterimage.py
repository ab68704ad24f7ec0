"""The counters of the latest beat, in memory that outlives the process but not the machine's uptime.

systemd's RuntimeDirectory= is such memory. A card wears with every write, this does not: so each
battery's counters are written down here at every beat *before* anybody is shown them. After a
crash nobody has seen higher ones.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from sonnen_agent.energy import MeterState, StateError, state_from_json, state_to_json
from sonnen_agent.clock import boot_id
from sonnen_agent.state.checkpoint import Checkpoint

_log = logging.getLogger(__name__)


class Afterimage:
    """A folder with a document per battery. Several threads may write, each its own battery."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._failing = False

    def load(self, batteries: Iterable[str]) -> Mapping[str, MeterState]:
        """Return the counters that a crash has left; nothing of a battery without any."""
        found = {name: self._document(name).load(partial(_state, name)) for name in batteries}
        return {name: state for name, state in found.items() if state is not None}

    def save(self, battery: str, state: MeterState) -> None:
        """Write down what is about to be shown; an older image that cannot be replaced is taken away."""
        document = {"battery": battery, "boot_id": boot_id(), "meter": state_to_json(state)}
        try:
            self._document(battery).save(document)
        except OSError as error:
            if not self._failing:
                _log.warning("%s cannot be written: %s; after a crash the gateway is asked", self._folder, error)
            self._failing = True
            self._document(battery).remove()

    def remove(self, batteries: Iterable[str]) -> None:
        """Take the images away: after a clean stop the checkpoint on disk is the newest."""
        for battery in batteries:
            self._document(battery).remove()

    def _document(self, battery: str) -> Checkpoint:
        # Not every battery's name is a file's.
        return Checkpoint(self._folder, f"beat-{hashlib.sha256(battery.encode()).hexdigest()[:16]}")


def _state(battery: str, document: Mapping[str, object]) -> MeterState:
    if document.get("battery") != battery or document.get("boot_id") != boot_id():
        raise StateError("it is of another battery or boot")
    return state_from_json(document.get("meter"))
