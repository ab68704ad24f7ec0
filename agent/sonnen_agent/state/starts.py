"""How often in a row the agent was started and crashed: each time it waits longer, up to five minutes.

systemd can do that since release 254 only (RestartSteps=), and Debian 12 has 252.
"""

import logging
from pathlib import Path

_log = logging.getLogger(__name__)

STEADY_SECONDS = 600.0
"""Who has run for so long has not crashed at the start."""
_AT_ONCE = 3
"""Starts in a row that wait for nothing but the unit's RestartSec."""
_FIRST_SECONDS = 10
_LONGEST_SECONDS = 300


class Starts:
    """Counts in a file of the runtime directory; without one it counts nothing, and nobody waits."""

    def __init__(self, folder: Path | None) -> None:
        self._file = folder / "starts" if folder is not None else None

    def begin(self) -> float:
        """Count a start, and return how many seconds it should wait."""
        earlier = self._read()
        self._write(earlier + 1)
        if earlier < _AT_ONCE:
            return 0.0
        # Bounded before the power is taken: a file may hold any number.
        return float(min(_FIRST_SECONDS * 2 ** min(earlier - _AT_ONCE, 10), _LONGEST_SECONDS))

    def forget(self) -> None:
        """Begin anew: the agent has run for long enough, or was stopped on purpose."""
        self._write(0)

    def _read(self) -> int:
        if self._file is None:
            return 0
        try:
            return max(int(self._file.read_text(encoding="ascii")), 0)
        except (OSError, ValueError):
            return 0

    def _write(self, count: int) -> None:
        if self._file is None:
            return
        try:
            self._file.write_text(str(count), encoding="ascii")
        except OSError as error:
            _log.debug("%s: %s", self._file, error)
