"""The energy meter of one battery."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, tzinfo
from typing import TYPE_CHECKING

from sonnen_agent.energy.counters import Counters, TariffCounts
from sonnen_agent.energy.days import Calendar, FinishedDay, Interval, UndatedEnergy
from sonnen_agent.energy.integral import Sample, integrate
from sonnen_agent.energy.judge import REASONS, Reason
from sonnen_agent.energy.schedule import Schedule
from sonnen_agent.energy.standing import StandingCharge
from sonnen_agent.energy.state import MeterState
from sonnen_agent.energy.totals import MONEY_OF_DAY, OF_TARIFFS, EnergyTotals, RecoveredCounters, energies_of_flows
from sonnen_agent.reading import Status

if TYPE_CHECKING:
    from sonnen_agent.energy.tariffs import Tariffs

DEFAULT_MAX_GAP_SECONDS = 60.0


class EnergyMeter:
    """Counts a battery's energy from one reading to the next."""

    def __init__(  # noqa: PLR0913 - each is a fact about the start
        self,
        *,
        zone: tzinfo,
        tariffs: "Tariffs | None" = None,
        max_gap_seconds: float = DEFAULT_MAX_GAP_SECONDS,
        state: MeterState | None = None,
        same_boot: bool = False,
        awaits_copy: bool = False,
    ) -> None:
        """Go on from a state; `same_boot` says that its monotonic times are of the clock that runs now.

        `awaits_copy` says that `merge_recovered` or `no_recovery` will be called: until then it is not known
        whether the interval over the restart has been counted in detail already.
        """
        if tariffs is not None and (problems := tariffs.problems()):
            raise ValueError("; ".join(problems))
        self._calendar = Calendar(zone)
        self._schedule = Schedule(self._calendar, tariffs)
        self._tariffs = tariffs
        self._max_gap_seconds = max_gap_seconds
        self._started_with = state = state or MeterState()
        self._tally = state.tally
        self._last = state.last
        self._undated = state.undated
        self._days = state.days
        price_per_day = None if tariffs is None else tariffs.standing_price_per_day
        self._standing = StandingCharge(price_per_day, self._calendar, state.standing_until_unix_seconds)
        if not same_boot:
            self._start_after_boot()
        self._resuming = self._last is not None
        self._awaits_copy = awaits_copy
        self._held: tuple[Sample, Sample, float | None] | None = None
        """The interval over the restart, as the arguments of `_count`, while a copy is awaited."""
        self._known = self._tally
        self._known_days: dict[date, Counters] = {}
        self._know_what_is_counted()

    @property
    def state(self) -> MeterState:
        """All that has to be kept to go on later."""
        tally, last, undated, days = self._tally, self._last, self._undated, self._days
        until = self._standing.until_unix_seconds
        return replace(
            self._started_with, tally=tally, last=last, undated=undated, days=days, standing_until_unix_seconds=until
        )

    def add(self, status: Status, *, monotonic_seconds: float, wall_seconds: float | None) -> None:
        """Count the interval that ends with this reading; `wall_seconds` is None while the clock is not trusted."""
        sample = Sample.of(status, monotonic_seconds)
        if sample is not None:
            last = self._last
            if last is not None and monotonic_seconds < last.monotonic_seconds:
                self._start_after_boot()
            elif last is not None and 0.0 < monotonic_seconds - last.monotonic_seconds <= self._max_gap_seconds:
                if self._resuming and self._awaits_copy:
                    self._held = (last, sample, wall_seconds)
                else:
                    self._count(last, sample, wall_seconds)
            self._last = sample
            if self._resuming:
                self._resuming = False
                self._know_what_is_counted()
        self.advance_clock(monotonic_seconds=monotonic_seconds, wall_seconds=wall_seconds)

    def refuse(self, reason: Reason, *, is_counted: bool) -> None:
        """Take note of a reading that cannot be counted; only if some of it is counted the interval before it is."""
        if not is_counted:
            self._last = None
            if self._resuming:
                self._resuming = False
                self._know_what_is_counted()
        self._tally = self._tally.plus(Counters(refused={reason: 1.0}))

    def advance_clock(self, *, monotonic_seconds: float, wall_seconds: float | None) -> None:
        """Let days end while there are no readings; call it at every beat without one."""
        if wall_seconds is None:
            return
        self._standing.observe(monotonic_seconds=monotonic_seconds, wall_seconds=wall_seconds)
        self._settle(wall_seconds - monotonic_seconds)
        last = self._last
        if last is None or not 0.0 < monotonic_seconds - last.monotonic_seconds <= self._max_gap_seconds:
            # Otherwise the next reading may still bring energy from before midnight.
            day, opened = self._schedule.span_at(wall_seconds).day, self._days.open_day
            if opened is not None and opened.day < day:
                self._charge(opened.day, self._calendar.start_of(self._calendar.day_after(opened.day)))
            self._days = self._days.reaching(day, self._calendar)
            self._charge(day, wall_seconds)

    def totals(self, *, wall_seconds: float | None) -> EnergyTotals:
        """Return what is shown now; without the time nothing is shown of today and yesterday."""
        energies, tariffs = self._tally.energies, self._tariffs
        today = yesterday = None
        if wall_seconds is not None:
            day = self._schedule.span_at(wall_seconds).day
            today, yesterday = self._days.counted_on(day), self._days.counted_on(self._calendar.day_before(day))
        # Of tariffs nothing is shown while none are configured.
        of_tariffs: dict[str, Mapping[str, float]] = {}
        if tariffs is not None:
            priced = tariffs.zero.plus(self._tally.tariffs)
            of_tariffs = {field: getattr(priced, of) for field, of in OF_TARIFFS.items()}
            for name, counted in (("today", today), ("yesterday", yesterday)):
                if counted is not None:
                    of_tariffs |= {f"{what}_{name}": counted.tariffs.net(what) for what in MONEY_OF_DAY}
        return EnergyTotals(
            watt_hours=energies.totals_watt_hours,
            flows_watt_hours=energies.flows_watt_hours,
            observed_seconds=energies.observed_seconds if energies.totals_watt_hours else None,
            standby_watt_hours=energies.standby_watt_hours if energies.totals_watt_hours else None,
            refused={**dict.fromkeys(REASONS, 0.0), **self._tally.refused}
            if energies.totals_watt_hours
            else self._tally.refused,
            today_watt_hours=None if today is None else today.energies.flows_watt_hours,
            yesterday_watt_hours=None if yesterday is None else yesterday.energies.flows_watt_hours,
            prices={} if tariffs is None else tariffs.prices,
            standing_prices={} if tariffs is None else tariffs.standing_prices,
            **of_tariffs,
        )

    def take_finished_days(self) -> tuple[FinishedDay, ...]:
        """Return the days that ended since the last call, the oldest first."""
        finished = self._days.unflushed
        self._days = replace(self._days, unflushed=())
        return finished

    def put_back(self, finished: tuple[FinishedDay, ...]) -> None:
        """Keep days that could not be written down; the next call returns them again."""
        self._days = replace(self._days, unflushed=(*finished, *self._days.unflushed))

    def merge_recovered(self, recovered: RecoveredCounters) -> None:
        """Raise the counters to those of a copy of what an earlier run counted; what this run counted is on top.

        Best done before the first reading. Doing it again with the same copy changes nothing.
        """
        gained = recovered.tally.beyond(self._known)
        if not gained.is_empty:
            # The copy is newer than the state: the interval since the state's last reading is in it.
            self._held = None
            if self._resuming:
                self._last, self._resuming = None, False
        self.no_recovery()
        self._tally = self._tally.plus(gained)
        self._known = self._known.plus(gained)
        if recovered.unix_seconds is None:
            return
        today = self._calendar.day_of(recovered.unix_seconds)
        yesterday = self._calendar.day_before(today)
        if (standing_charge := sum(gained.tariffs.standing_charge.values())) > 0.0:
            self._standing.recovered(standing_charge, recovered.unix_seconds)
        for day, flows, tariffs in (
            (yesterday, recovered.yesterday_watt_hours, recovered.yesterday_tariffs),
            (today, recovered.today_watt_hours, recovered.today_tariffs),
        ):
            known = self._known_days.get(day, Counters())
            gained_that_day = Counters(energies=energies_of_flows(flows), tariffs=tariffs).beyond(known)
            self._days = self._days.recovering(day, gained_that_day, self._calendar)
            self._known_days[day] = known.plus(gained_that_day)

    def no_recovery(self) -> None:
        """Count the interval over the restart: nobody knows it any better."""
        if self._held is not None:
            self._count(*self._held)
        self._awaits_copy, self._held = False, None

    def _count(self, begin: Sample, end: Sample, wall_seconds: float | None) -> None:
        energies = integrate(begin, end)
        self._tally = self._tally.plus(Counters(energies=energies))
        interval = Interval(start_seconds=begin.monotonic_seconds, end_seconds=end.monotonic_seconds, energies=energies)
        if wall_seconds is None:
            self._undated = self._undated.holding(interval)
            return
        offset_seconds = wall_seconds - interval.end_seconds
        self._settle(offset_seconds)
        self._assign(interval, offset_seconds)

    def _settle(self, offset_seconds: float) -> None:
        """Give what is pending to its days, now that the wall clock's distance from the monotonic one is known."""
        for interval in self._undated.intervals:
            self._assign(interval, offset_seconds)
        self._undated = UndatedEnergy()

    def _assign(self, interval: Interval, offset_seconds: float) -> None:
        """Give energies, counted already, to the days and prices of their time; what they cost is counted here."""
        start, end = interval.start_seconds + offset_seconds, interval.end_seconds + offset_seconds
        for span, share, next_share in self._schedule.pieces(start, end):
            part = next_share - share
            energies = interval.energies.times(part) if part < 1.0 else interval.energies
            tariffs = span.rates.counts(energies)
            if (standing := self._standing_charge(start + (end - start) * next_share)) is not None:
                tariffs = tariffs.plus(standing)
            self._tally = self._tally.plus(Counters(tariffs=tariffs))
            tally = Counters(energies=energies, tariffs=tariffs)
            self._days = self._days.counting(span.day, (end - start) * part, tally, self._calendar)

    def _charge(self, day: date, unix_seconds: float) -> None:
        """Count the standing charge up to a moment in which nothing else is counted."""
        if (tariffs := self._standing_charge(unix_seconds)) is not None:
            self._tally = self._tally.plus(Counters(tariffs=tariffs))
            self._days = self._days.counting(day, 0.0, Counters(tariffs=tariffs), self._calendar)

    def _standing_charge(self, unix_seconds: float) -> TariffCounts | None:
        """Return what is owed up to a moment and was not counted, or None where that is nothing."""
        money = self._standing.due(unix_seconds)
        return TariffCounts(standing_charge={self._tariffs.currency: money}) if money and self._tariffs else None

    def _start_after_boot(self) -> None:
        self._last = None
        self._undated = self._undated.before_boot()

    def _know_what_is_counted(self) -> None:
        """Take note of what a copy may hold, too."""
        self._known = self._tally
        opened = self._days.open_day
        self._known_days = {} if opened is None else {opened.day: opened.tally}
