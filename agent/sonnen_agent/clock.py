"""Time: deadlines, the boot of the machine, and whether its wall clock can be believed (docs/facts.md 8).

A Pi has no clock of its own. After power-up it shows the time at which it was switched off, or 1970,
until the network tells it better; then it jumps.
"""

import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

_log = logging.getLogger(__name__)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIMESYNC = Path("/run/systemd/timesync")
_IMPOSSIBLE_BEFORE = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
"""Older than this software."""
_PATIENCE_SECONDS = 600
"""A Pi that never has a network is better believed than never counted by day; so is a clock that leapt and stays."""
_STEP_SECONDS = 60.0
_ASK_SECONDS = 10.0
_ANSWER_SECONDS = 0.2
_SHORTEST_ANSWER = 48
"""NTP's; chronyd's is longer."""

TimeService = tuple[int, bytes, Callable[[bytes], bool]]

_TIME_SERVICES: tuple[TimeService, ...] = (
    (323, struct.pack("!BBHHHI92x", 6, 1, 0, 33, 0, 1), lambda said: said[54:56] == b"\0\3"),
    (123, struct.pack("!B47x", 0x23), lambda said: said[0] >> 6 == 3),
)
"""chronyd (by its report of tracking) and ntpsec or ntpd: a port, a request, whether the answer says "no time yet"."""

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


def service_has_time(services: Sequence[TimeService] = _TIME_SERVICES) -> bool | None:
    """Return whether chronyd, ntpsec or ntpd on this machine has the time from elsewhere, None where none answers.

    The kernel would say it, too (adjtimex), but not to a service without rights over the clock.
    """
    for port, request, lacks_time in services:
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
                asked.settimeout(_ANSWER_SECONDS)
                asked.connect(("127.0.0.1", port))
                asked.send(request)
                if len(said := asked.recv(512)) >= _SHORTEST_ANSWER:
                    return not lacks_time(said)
        except OSError:
            continue
    return None


class WallClock:
    """Tells the Unix time once it is to be believed. Every method may be called from any thread."""

    def __init__(
        self,
        *,
        timesync: Path = _TIMESYNC,
        service: Callable[[], bool | None] = service_has_time,
        unix: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`timesync` is the folder in which systemd-timesyncd says that it has set the clock; `service` asks others."""
        self._timesync, self._synchronized = timesync, timesync / "synchronized"
        self._service = service
        self._unix = unix
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._believe_at = self._ask_at = monotonic()
        self._believe_at += _PATIENCE_SECONDS
        self._said: bool | None = None
        """Whether the time service has the time: its latest answer, or the one that it had."""
        self._was_set = False
        self._offset_seconds: float | None = None
        """From the monotonic clock to the time that is believed."""
        self._leapt_to: tuple[float, float] | None = None
        """Another offset, and since when."""

    def now(self) -> float | None:
        """Return the Unix time, or None while the clock has not been set, or has just leapt."""
        with self._lock:
            unix_seconds, monotonic_seconds = self._unix(), self._monotonic()
            if unix_seconds < _IMPOSSIBLE_BEFORE:
                return None
            is_set = self._is_set(monotonic_seconds)
            if is_set and not self._was_set:
                # Whoever sets it knows better than the clock before.
                self._was_set, self._offset_seconds = True, None
            if is_set is False and monotonic_seconds < self._believe_at:
                return None
            return unix_seconds if self._goes_on(unix_seconds - monotonic_seconds, monotonic_seconds) else None

    def _is_set(self, monotonic_seconds: float) -> bool | None:
        """Return whether it was set by somebody who has the time, None where nobody sets it but a chip or a person."""
        if self._was_set or self._synchronized.exists():
            return True
        if monotonic_seconds >= self._ask_at:
            self._said, self._ask_at = self._service(), monotonic_seconds + _ASK_SECONDS
        return False if self._said is None and self._timesync.exists() else self._said

    def _goes_on(self, offset_seconds: float, monotonic_seconds: float) -> bool:
        """Return whether the clock has not leapt, or leapt so long ago that it will have been right."""
        believed = self._offset_seconds
        if believed is not None and abs(offset_seconds - believed) > _STEP_SECONDS:
            if self._leapt_to is None or abs(offset_seconds - self._leapt_to[0]) > _STEP_SECONDS:
                self._leapt_to = offset_seconds, monotonic_seconds
                words = "the clock leapt by %+.0f s: it is believed when it is back, or in ten minutes"
                _log.warning(words, offset_seconds - believed)
            if monotonic_seconds < self._leapt_to[1] + _PATIENCE_SECONDS:
                return False
        self._offset_seconds, self._leapt_to = offset_seconds, None
        return True
