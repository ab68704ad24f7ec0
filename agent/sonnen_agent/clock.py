"""Time: deadlines, the boot of the machine, and whether its wall clock can be believed (docs/facts.md 8).

A Pi has no clock of its own. After power-up it shows the time at which it was switched off, or 1970,
until the network tells it better; then it jumps.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIMESYNC = Path("/run/systemd/timesync")
_IMPOSSIBLE_BEFORE = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
"""Older than this software."""
_PATIENCE_SECONDS = 600
"""A Pi that never has a network is better believed than never counted by day."""

_BEAT_SHARE = 0.9
"""Of an interval; the requests of a beat together never take longer."""
LONGEST_BEAT_SECONDS = 10.0
"""With a long interval nobody wants to wait longer for a battery, an exporter or a receiver."""


class Deadline:
    """The moment by which something has to be over, on the monotonic clock."""

    __slots__ = ("_clock", "_end")

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    @classmethod
    def of_beat(cls, interval_seconds: float, clock: Callable[[], float] = time.monotonic) -> "Deadline":
        """Return the deadline for all requests of a beat that begins now."""
        return cls(beat_seconds(interval_seconds), clock)

    @property
    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return max(self._end - self._clock(), 0.0)

    @property
    def expired(self) -> bool:
        """Whether it has passed."""
        return self._clock() >= self._end

    def share(self, part: float) -> "Deadline":
        """Return an earlier deadline that leaves so much of the remaining time, 0 to 1."""
        return Deadline(self.remaining * part, self._clock)

    def at_most(self, seconds: float) -> "Deadline":
        """Return this deadline, or one in so many seconds if that is earlier."""
        return Deadline(min(self.remaining, seconds), self._clock)


def beat_seconds(interval_seconds: float) -> float:
    """Return how long all requests of a beat together may take."""
    return min(_BEAT_SHARE * interval_seconds, LONGEST_BEAT_SECONDS)


def boot_id() -> str | None:
    """Return the kernel's name for this boot, within which monotonic times can be compared.

    None where it is hidden (systemd's `ProcSubset=pid`): then every start is taken for a new boot.
    """
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return None


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
