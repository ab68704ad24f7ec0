"""The day that is running, the one before it, and those that wait to be written down."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from sonnen_agent.energy.calendar import Calendar
from sonnen_agent.energy.counters import Energies, Flow, Tally, TariffCounts

_MOST_UNTAKEN = 400
_PATIENCE_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDay:
    """The day that energy is counted into."""

    day: date
    tally: Tally = field(default_factory=Tally)
    behind_seconds: float = 0.0
    """How long the clock has been saying that this day is still to come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedDay:
    """A calendar day that is over."""

    day: date
    length_seconds: float
    """From local midnight to local midnight."""
    energies: Energies
    """The flows, the totals and the observed seconds."""
    tariffs: TariffCounts = field(default_factory=TariffCounts)
    """Of this day; empty where no tariffs are configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayBook:
    """Days in their order: a finished one is never opened again, and none has the same date as another."""

    open_day: OpenDay | None = None
    last_day: FinishedDay | None = None
    """The latest finished one; earlier than the open one."""
    untaken: tuple[FinishedDay, ...] = ()
    """Finished days that nobody asked for yet, the newest 400."""

    def reaching(self, day: date, calendar: Calendar) -> "DayBook":
        """Return the book when the clock says that it is this day: an earlier open day is over."""
        return self._reached(day, calendar)[0]

    def counting(self, day: date, seconds: float, tally: Tally, calendar: Calendar) -> "DayBook":
        """Return the book with what was counted in some seconds of a day; if that day is over, in the open one."""
        book, opened = self._reached(day, calendar)
        behind_seconds = opened.behind_seconds + seconds if day < opened.day else 0.0
        name = opened.day
        if behind_seconds > _PATIENCE_SECONDS:
            # The clock was far ahead once, and has been steady since: the open day has a wrong date.
            name = min(name, self._not_finished(day, calendar))
        return replace(book, open_day=OpenDay(day=name, tally=opened.tally.plus(tally), behind_seconds=behind_seconds))

    def recovering(self, day: date, gained: Energies, calendar: Calendar) -> "DayBook":
        """Return the book with what is known of a day from elsewhere, beyond what is counted here."""
        if gained.is_empty or (self.last_day is not None and day <= self.last_day.day):
            return self
        if self.open_day is not None and day < self.open_day.day:
            return self._with(FinishedDay(day=day, length_seconds=calendar.length_of(day), energies=gained))
        book, opened = self._reached(day, calendar)
        return replace(book, open_day=replace(opened, tally=opened.tally.plus(Tally(energies=gained))))

    def flows_of(self, day: date) -> Mapping[Flow, float] | None:
        """Return a day's flows so far, or None where nothing is known of it."""
        if self.open_day is not None and self.open_day.day == day:
            return self.open_day.tally.energies.flows_watt_hours
        if self.last_day is not None and self.last_day.day == day:
            return self.last_day.energies.flows_watt_hours
        return None

    def _reached(self, day: date, calendar: Calendar) -> "tuple[DayBook, OpenDay]":
        if self.open_day is None:
            opened = OpenDay(day=self._not_finished(day, calendar))
            return replace(self, open_day=opened), opened
        if day <= self.open_day.day:
            return self, self.open_day
        book, opened = self, OpenDay(day=day)
        over = self.open_day
        if not over.tally.is_empty:
            finished = FinishedDay(
                day=over.day,
                length_seconds=calendar.length_of(over.day),
                energies=over.tally.energies,
                tariffs=over.tally.tariffs,
            )
            book = self._with(finished)
        return replace(book, open_day=opened), opened

    def _with(self, finished: FinishedDay) -> "DayBook":
        return replace(self, last_day=finished, untaken=(*self.untaken, finished)[-_MOST_UNTAKEN:])

    def _not_finished(self, day: date, calendar: Calendar) -> date:
        """Return this day, or the first one that is not finished yet."""
        return day if self.last_day is None else max(day, calendar.day_after(self.last_day.day))
