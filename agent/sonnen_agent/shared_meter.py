"""A battery's energy meter for several threads: a poller feeds it, an output recovers it, the state store saves it."""

import threading
from collections.abc import Callable

from sonnen_agent.energy import (
    EnergyMeter,
    EnergyTotals,
    FinishedDay,
    MeterState,
    RecoveredCounters,
    without_possible_resets,
)
from sonnen_agent.reading import Reading


class SharedMeter:
    """An EnergyMeter that is shown to nobody before it is settled.

    Settled means that the counters are at least as high as anybody has ever seen them. After a
    clean stop the checkpoint settles it; otherwise the gateway, which may have seen more.
    """

    def __init__(
        self, meter: EnergyMeter, clock: Callable[[], float | None], *, settled: bool, after_crash: bool = False
    ) -> None:
        """`clock` tells the Unix time, or None while it is not to be believed.

        `after_crash` says that somebody may have seen higher counters than those that were kept.
        """
        self._meter = meter
        self._after_crash = after_crash
        self._kept = meter.state.tally
        self._clock = clock
        self._lock = threading.Lock()
        self._settled = settled

    @property
    def settled(self) -> bool:
        """Whether the counters may be shown."""
        return self._settled

    def count(self, reading: Reading | None, monotonic_seconds: float) -> None:
        """Count up to a reading; without one, let a day end when it is over. `monotonic_seconds` is now."""
        now = self._clock()
        with self._lock:
            if reading is None:
                self._meter.advance_clock(monotonic_seconds=monotonic_seconds, wall_seconds=now)
                return
            # The clock may have been set since the reading: its time follows from the present one.
            age_seconds = monotonic_seconds - reading.monotonic_seconds
            self._meter.add(
                reading.status,
                monotonic_seconds=reading.monotonic_seconds,
                wall_seconds=None if now is None else now - age_seconds,
            )

    def totals(self) -> tuple[EnergyTotals, EnergyTotals] | None:
        """Return what is shown now, and what of it to receivers that cannot be asked what they have seen already.

        None before it is settled. Both are one and the same unless something has to be held back.
        """
        with self._lock:
            if not self._settled:
                return None
            totals = self._meter.totals(wall_seconds=self._clock())
            return totals, without_possible_resets(totals, self._kept) if self._after_crash else totals

    def recover(self, recovered: RecoveredCounters | None) -> None:
        """Take in what an earlier run was seen to have counted, if that is known anywhere, and be settled."""
        with self._lock:
            if recovered is not None:
                self._meter.merge_recovered(recovered)
            else:
                self._meter.no_recovery()
            self._kept = self._meter.state.tally
            self._settled = True

    def state(self) -> MeterState:
        """Return all that has to be kept."""
        with self._lock:
            return self._meter.state

    def take_finished_days(self) -> tuple[FinishedDay, ...]:
        """Return the days that ended since the last call."""
        with self._lock:
            return self._meter.take_finished_days()

    def put_back(self, finished: tuple[FinishedDay, ...]) -> None:
        """Keep days that could not be written down; the next call returns them again."""
        if finished:
            with self._lock:
                self._meter.put_back(finished)
