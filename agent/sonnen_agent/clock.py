"""The wall clock, and whether it can be believed: a Pi has none of its own (docs/facts.md 8).

After power-up it shows the time at which it was switched off, or 1970, until the network tells it
better; then it jumps.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

_TIMESYNC = Path("/run/systemd/timesync")
_IMPOSSIBLE_BEFORE = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
"""Older than this software."""
_PATIENCE_SECONDS = 600
"""A Pi that never has a network is better believed than never counted by day."""


class WallClock:
    """Tells the Unix time once it is to be believed."""

    def __init__(
        self,
        *,
        timesync: Path = _TIMESYNC,
        unix: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`timesync` is the folder in which systemd-timesyncd says that it has set the clock."""
        self._timesync = timesync
        self._unix = unix
        self._monotonic = monotonic
        self._believe_at = monotonic() + _PATIENCE_SECONDS

    def now(self) -> float | None:
        """Return the Unix time, or None while the clock has not been set."""
        unix_seconds = self._unix()
        if unix_seconds < _IMPOSSIBLE_BEFORE:
            return None
        if (self._timesync / "synchronized").exists() or not self._timesync.exists():
            # Without timesyncd another service keeps the clock, or a clock chip does.
            return unix_seconds
        return unix_seconds if self._monotonic() >= self._believe_at else None
