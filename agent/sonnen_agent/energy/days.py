"""Calendar days: when they begin, what is counted in them, and energy of which the day is not known yet."""

from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta, tzinfo

from sonnen_agent.energy.counters import Counters, EnergyCounters, TariffCounts

_DAY = timedelta(days=1)
_MOST_UNFLUSHED = 400
_PATIENCE_SECONDS = 86_400.0
_FIRST_INTERVAL_SECONDS = 60.0
_MOST_INTERVALS = 240


class Calendar:
    """Days from local midnight to local midnight: 23, 24 or 25 hours, and now and then none."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def local(self, unix_seconds: float) -> datetime:
        """Return the local date and time of a moment."""
        return datetime.fromtimestamp(unix_seconds, self._zone)

    def unix(self, day: date, local_time: time, *, second_time: bool = False) -> float:
        """Return the moment of a local time; `second_time` matters where the clocks go back."""
        return datetime.combine(day, local_time, self._zone).replace(fold=int(second_time)).timestamp()

    def start_of(self, day: date) -> float:
        """Return when a day begins. Where the clocks skip midnight, that is when they skip it."""
        return self.unix(day, time())

    def length_of(self, day: date) -> float:
        """Return a day's length in seconds; a day left out at the date line has 0."""
        return self.start_of(day + _DAY) - self.start_of(day)

    def day_of(self, unix_seconds: float) -> date:
        """Return the day that a moment belongs to, so that days follow one another without overlap."""
        day = self.local(unix_seconds).date()
        # The date by the clock is not enough where the clocks go back over midnight: it comes twice.
        while self.start_of(day) > unix_seconds:
            day -= _DAY
        while self.start_of(day + _DAY) <= unix_seconds:
            day += _DAY
        return day

    def day_before(self, day: date) -> date:
        """Return the last day that exists before a day."""
        return self.day_of(self.start_of(day) - 1.0)

    def day_after(self, day: date) -> date:
        """Return the first day that exists after a day."""
        return self.day_of(self.start_of(day + _DAY))


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDay:
    """The day that energy is counted into."""

    day: date
    behind_seconds: float = 0.0
    """How long the clock has been saying that this day is still to come."""
    tally: Counters = field(default_factory=Counters, metadata={"key": ""})


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedDay:
    """A calendar day that is over."""

    day: date
    length_seconds: float
    """From local midnight to local midnight."""
    energies: EnergyCounters
    """The flows, the totals and the observed seconds."""
    tariffs: TariffCounts = field(default_factory=TariffCounts)
    """Of this day; empty where no tariffs are configured."""

    @property
    def coverage_percent(self) -> float:
        """How much of it was observed, 0 to 100."""
        return min(100.0, 100.0 * self.energies.observed_seconds / self.length_seconds) if self.length_seconds else 0.0

    def plus(self, later: "FinishedDay") -> "FinishedDay":
        """Return both together, under the later one's date."""
        return FinishedDay(
            day=later.day,
            length_seconds=self.length_seconds + later.length_seconds,
            energies=self.energies.plus(later.energies),
            tariffs=self.tariffs.plus(later.tariffs),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyTotals:
    """Days in their order: a finished one is never opened again, and none has the same date as another."""

    open_day: OpenDay | None = None
    last_day: FinishedDay | None = None
    """The latest finished one, with what is shown of it as yesterday; earlier than the open one."""
    unflushed: tuple[FinishedDay, ...] = field(default=(), metadata={"key": "untaken"})
    """Finished days that nobody asked for yet, the newest 400."""

    def reaching(self, day: date, calendar: Calendar) -> "DailyTotals":
        """Return the book when the clock says that it is this day: an earlier open day is over."""
        return self._reached(day, calendar)[0]

    def counting(self, day: date, seconds: float, tally: Counters, calendar: Calendar) -> "DailyTotals":
        """Return the book with what was counted in some seconds of a day; if that day is over, in the open one."""
        book, opened = self._reached(day, calendar)
        behind_seconds = opened.behind_seconds + seconds if day < opened.day else 0.0
        name = opened.day
        if behind_seconds > _PATIENCE_SECONDS:
            # The clock was far ahead once, and has been steady since: the open day has a wrong date.
            name = min(name, self._not_finished(day, calendar))
        return replace(book, open_day=OpenDay(day=name, tally=opened.tally.plus(tally), behind_seconds=behind_seconds))

    def recovering(self, day: date, gained: Counters, calendar: Calendar) -> "DailyTotals":
        """Return the book with what is known of a day from elsewhere, beyond what is counted here."""
        if gained.is_empty or (self.last_day is not None and day <= self.last_day.day):
            return self
        if self.open_day is not None and day < self.open_day.day:
            return self._finishing(day, gained, calendar)
        book, opened = self._reached(day, calendar)
        return replace(book, open_day=replace(opened, tally=opened.tally.plus(gained)))

    def counted_on(self, day: date) -> Counters | None:
        """Return what was counted of a day so far, or None where nothing is known of it."""
        opened, last = self.open_day, self.last_day
        if opened is not None and opened.day == day:
            return opened.tally
        return Counters(energies=last.energies, tariffs=last.tariffs) if last is not None and last.day == day else None

    def _reached(self, day: date, calendar: Calendar) -> "tuple[DailyTotals, OpenDay]":
        over = self.open_day
        if over is not None and day <= over.day:
            return self, over
        opened = OpenDay(day=self._not_finished(day, calendar))
        book = self if over is None or over.tally.is_empty else self._finishing(over.day, over.tally, calendar)
        return replace(book, open_day=opened), opened

    def _finishing(self, day: date, tally: Counters, calendar: Calendar) -> "DailyTotals":
        length_seconds = calendar.length_of(day)
        over = FinishedDay(day=day, length_seconds=length_seconds, energies=tally.energies, tariffs=tally.tariffs)
        shown = replace(over, energies=tally.energies.of_flows, tariffs=tally.tariffs.of_money)
        return replace(self, last_day=shown, unflushed=(*self.unflushed, over)[-_MOST_UNFLUSHED:])

    def _not_finished(self, day: date, calendar: Calendar) -> date:
        """Return this day, or the first one that is not finished yet."""
        return day if self.last_day is None else max(day, calendar.day_after(self.last_day.day))


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Energy of a stretch of time."""

    start_seconds: float
    """Monotonic."""
    end_seconds: float
    energies: EnergyCounters

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end_seconds - self.start_seconds

    def joined(self, later: "Interval") -> "Interval":
        """Return both together, and the time between them."""
        return replace(self, end_seconds=later.end_seconds, energies=self.energies.plus(later.energies))


@dataclass(frozen=True, slots=True, kw_only=True)
class UndatedEnergy:
    """Energy of which the day is not known yet, by the monotonic clock, in the order of time.

    Held in intervals of a minute. When there are more than a few hundred, they get twice as long, and
    again: a week without a clock needs intervals of an hour. What is in one of them counts as spread
    evenly over it when it is cut at a midnight or a change of prices.
    """

    interval_seconds: float = field(default=_FIRST_INTERVAL_SECONDS, metadata={"key": "block_seconds"})
    intervals: tuple[Interval, ...] = field(default=(), metadata={"key": "blocks"})

    def holding(self, interval: Interval) -> "UndatedEnergy":
        """Return this with another interval."""
        last = self.intervals[-1] if self.intervals else interval
        joined = last.joined(interval)
        if last.end_seconds == interval.start_seconds and joined.seconds <= self.interval_seconds:
            return replace(self, intervals=(*self.intervals[:-1], joined))
        # The interval over a restart comes late, when nobody turned out to know it better.
        intervals = sorted((*self.intervals, interval), key=lambda held: held.start_seconds)
        return replace(self, intervals=tuple(intervals)).bounded()

    def before_boot(self) -> "UndatedEnergy":
        """Return this after a reboot: how long the power was off is not known, and counts as no time."""
        boot = self.intervals[-1].end_seconds if self.intervals else 0.0
        intervals = (
            replace(interval, start_seconds=interval.start_seconds - boot, end_seconds=interval.end_seconds - boot)
            for interval in self.intervals
        )
        return replace(self, intervals=tuple(intervals))

    def bounded(self) -> "UndatedEnergy":
        """Return this with few enough intervals: longer ones, if need be."""
        if len(self.intervals) <= _MOST_INTERVALS:
            return self
        seconds = self.interval_seconds * 2.0
        merged = [self.intervals[0]]
        for interval in self.intervals[1:]:
            joined = merged[-1].joined(interval)
            if joined.seconds <= seconds:
                merged[-1] = joined
            else:
                merged.append(interval)
        return UndatedEnergy(interval_seconds=seconds, intervals=tuple(merged)).bounded()
