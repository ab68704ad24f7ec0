"""A battery's energy meter for several threads: a poller feeds it, an output recovers it, the state store saves it.

And the rule by which no counter ever falls where anybody looks. `increase()` and its like take one that comes back a
little lower for a reset to 0, and count its whole life again. So a counter that may have been seen higher is held back
until it has certainly passed that, and its first value then has all that was counted meanwhile.

* What may have been seen is what was kept, and what a house can do in the time for which something may have been shown
  beyond it (`Start.unseen_seconds`). This ceiling is saved, too: it holds over however many starts it takes to pass it.
* A gateway is asked at every start. An overlay over the card, or a card's image that is put back, brings the same clean
  stop again and again; then the gateway has more, and that counts. It knows what it was pushed since it was started
  itself: what it then read from its file may be minutes older than what it has shown, or nothing at all.
* Other receivers cannot be asked. What the gateway has seen they may have seen, and more while it was away.
"""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from sonnen_agent.energy.counters import Counters
from sonnen_agent.energy.days import FinishedDay
from sonnen_agent.energy.judge import Judge, Verdict
from sonnen_agent.energy.meter import EnergyMeter
from sonnen_agent.energy.registers import Registers
from sonnen_agent.energy.state import Ceiling, MeterState
from sonnen_agent.energy.totals import EnergyTotals, RecoveredCounters, without_possible_resets
from sonnen_agent.reading import Reading

SAVE_SECONDS = 60.0
"""Between two checkpoints. An SD card wears with every write (docs/facts.md 5): a small one a minute."""
_MOST_UNSEEN_SECONDS = 600.0
"""A gateway's file is five minutes old at most. What is older has lain somewhere, most often with the power off."""
_ROUNDING = 1e-4
"""A copy is above what it shows by half of the last decimal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What is known of the counters with which a meter goes on."""

    clean: bool
    """Whether they were written at a clean stop: then nobody has seen higher ones."""
    same_boot: bool
    """Whether their monotonic times are of the clock that runs now."""
    saved_unix_seconds: float
    """At least until then they are what was shown."""
    in_memory: bool = False
    """Whether what was saved in an earlier boot is forgotten, and only what lies below has stayed."""

    def unseen_seconds(self, now: float | None, *, asks: bool) -> float:
        """Return for how long something may have been shown beyond them; `asks` says that there is a gateway to ask."""
        ago = math.inf if now is None or now < self.saved_unix_seconds else now - self.saved_unix_seconds
        if self.in_memory and not self.same_boot:
            return _bounded(ago)
        if self.clean:
            # An old image of a clean stop looks like that stop. Where nobody can be asked it has to be believed.
            return _bounded(ago) if asks and not self.same_boot else 0.0
        # When the power was cut nobody knows; but the last save was no longer before that than one is from another.
        return _bounded(ago) if self.same_boot else SAVE_SECONDS


NOBODY_SAW_MORE = Start(clean=True, same_boot=True, saved_unix_seconds=math.inf)
NOTHING_KEPT = Start(clean=True, same_boot=True, saved_unix_seconds=0.0)


class SharedMeter:
    """An EnergyMeter of which nobody sees a counter fall."""

    def __init__(
        self,
        meter: EnergyMeter,
        clock: Callable[[], float | None],
        start: Start = NOBODY_SAW_MORE,
        *,
        asks: bool = False,
    ) -> None:
        """`clock` tells the Unix time, or None while it is not to be believed; `asks` is as for `Start`."""
        self._meter = meter
        self._clock = clock
        self._start = start
        self._kept = meter.state
        self._judge = Judge()
        self._registers = Registers(self._kept.registers_raw, self._kept.registers_shown)
        self._unseen_seconds = start.unseen_seconds(clock(), asks=asks)
        self._settled = not asks or not (self._unseen_seconds or start is NOTHING_KEPT)
        self._lock = threading.Lock()
        self._gateway_ceiling: Ceiling | None
        self._ceiling: Ceiling | None
        since = 0.0 if start.clean else start.saved_unix_seconds
        self._hold_back(Ceiling(counted=self._kept.tally, seconds=self._unseen_seconds, since_unix_seconds=since))

    @property
    def settled(self) -> bool:
        """Whether what is counted may take the place of what the gateway has."""
        return self._settled

    def count(self, reading: Reading | None, monotonic_seconds: float, *, hangs: bool = False) -> Verdict | None:
        """Count up to a reading as far as it can be true, and return what that is.

        Without one, let a day end when it is over; `hangs` says that the battery repeats an old one.
        `monotonic_seconds` is now.
        """
        now = self._clock()
        with self._lock:
            if reading is None:
                if hangs:
                    self._meter.refuse("frozen", is_counted=False)
                self._meter.advance_clock(monotonic_seconds=monotonic_seconds, wall_seconds=now)
                return None
            verdict = self._judge.judge(reading)
            meters = self._registers.follow(reading.meters, reading.monotonic_seconds)
            if verdict.refused is not None:
                self._meter.refuse(verdict.refused, is_counted=verdict.is_counted)
            if meters != reading.meters:
                verdict = replace(verdict, reading=replace(verdict.reading, meters=meters))
            # The clock may have been set since the reading: its time follows from the present one.
            age_seconds = monotonic_seconds - reading.monotonic_seconds
            wall_seconds = None if now is None else now - age_seconds
            if verdict.is_counted:
                self._meter.add(
                    verdict.reading.status, monotonic_seconds=reading.monotonic_seconds, wall_seconds=wall_seconds
                )
            else:
                self._meter.advance_clock(monotonic_seconds=reading.monotonic_seconds, wall_seconds=wall_seconds)
            return verdict

    def totals(self) -> tuple[EnergyTotals | None, EnergyTotals]:
        """Return what is shown now to a gateway, None before it is settled, and to receivers that cannot be asked.

        Both are one and the same unless something has to be held back.
        """
        with self._lock:
            totals = self._meter.totals(wall_seconds=self._clock())
            if not self._settled and self._start is NOTHING_KEPT:
                return None, EnergyTotals()
            shown = without_possible_resets(totals, self._ceiling)
            to_gateway = without_possible_resets(totals, self._gateway_ceiling) if self._settled else None
            if shown is totals and _all_is_shown(totals, self._ceiling):
                self._ceiling = None
            if to_gateway is totals and _all_is_shown(totals, self._gateway_ceiling):
                self._gateway_ceiling = None
            return to_gateway, shown

    def recover(self, recovered: RecoveredCounters | None, started_unix_seconds: float = math.inf) -> bool:
        """Take in what the gateway has, None where it has nothing or does not tell, and be settled.

        It was started at `started_unix_seconds`, by its clock. Returns whether it has more than what was shown so far.
        """
        with self._lock:
            kept, seconds = self._kept.tally, self._unseen_seconds
            # What is no number goes.
            held = Counters() if recovered is None else recovered.tally.beyond(Counters())
            more, amounts = held.beyond(kept), held.amounts()
            has_more = max(more.amounts().values()) > _ROUNDING
            has_all = max(kept.beyond(held).amounts().values()) <= _ROUNDING
            # A little money reads 0 there.
            shows_all = all(
                key in amounts and (amounts[key] or amount <= _ROUNDING)
                for key, amount in kept.amounts().items()
                if amount
            )
            forgot_seconds = 0.0
            if recovered is not None and recovered.unix_seconds is not None:
                forgot_seconds = max(started_unix_seconds - recovered.unix_seconds, 0.0)
            # What was pushed after a save that was not the last one is there; a clean stop may have taken it away.
            knows_all = self._start.saved_unix_seconds > started_unix_seconds and not self._start.clean
            if recovered is not None and has_more:
                self._meter.merge_recovered(recovered)
                seconds = _bounded(forgot_seconds)
            else:
                self._meter.no_recovery()
                if self._start.clean and has_all and started_unix_seconds < math.inf:
                    seconds = 0.0  # both say the same of that stop
            self._hold_back(Ceiling(counted=kept.plus(more), seconds=seconds))
            before = self._kept.gateway_ceiling
            if recovered is not None and not forgot_seconds and shows_all:
                self._gateway_ceiling = None
            elif knows_all:
                # An earlier start may have been killed before it had asked.
                void = before is not None and before.since_unix_seconds > started_unix_seconds
                self._gateway_ceiling = None if void else before
            self._settled = True
            return has_more

    def state(self) -> MeterState:
        """Return all that has to be kept."""
        with self._lock:
            return replace(
                self._meter.state,
                gateway_ceiling=self._gateway_ceiling,
                ceiling=self._ceiling,
                registers_raw=self._registers.raw,
                registers_shown=self._registers.shown,
            )

    def take_finished_days(self) -> tuple[FinishedDay, ...]:
        """Return the days that ended since the last call."""
        with self._lock:
            return self._meter.take_finished_days()

    def put_back(self, finished: tuple[FinishedDay, ...]) -> None:
        """Keep days that could not be written down; the next call returns them again."""
        if finished:
            with self._lock:
                self._meter.put_back(finished)

    def _hold_back(self, unseen: Ceiling) -> None:
        kept = self._kept
        self._gateway_ceiling, self._ceiling = kept.gateway_ceiling, kept.ceiling
        if unseen.seconds:
            self._gateway_ceiling, self._ceiling = unseen.higher(kept.gateway_ceiling), unseen.higher(kept.ceiling)


def _all_is_shown(totals: EnergyTotals, ceiling: Ceiling | None) -> bool:
    """Return whether nothing is left for which the ceiling is needed, such as tariffs that are not configured now."""
    has_tariffs = ceiling is not None and not ceiling.counted.tariffs.is_empty
    return bool(totals.observed_seconds) and (bool(totals.prices) or not has_tariffs)


def _bounded(seconds: float) -> float:
    return min(max(seconds, SAVE_SECONDS), _MOST_UNSEEN_SECONDS)
