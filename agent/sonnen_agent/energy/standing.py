"""The standing charge of a tariff: what a calendar day costs, however little was bought in it.

It is counted bit by bit, a day of 23 or 25 hours as much as any other, and also for the time in which the agent did not
run: that is owed, too, and counted in the day in which the agent is back.

So a clock that is wrong would charge for days that never were. The wall clock has to agree with the monotonic one for
some minutes first, and what it says further than a year away charges nothing. What a clock that was ahead for longer
charged too early is not charged again when the time comes.
"""

from sonnen_agent.energy.days import Calendar

_SETTLING_SECONDS = 600.0
"""How long the clock has to go on without a step."""
_STEP_SECONDS = 60.0
_LONGEST_SECONDS = 366 * 24 * 3600.0
_DAY_SECONDS, _SHORTEST_DAY_SECONDS = 24 * 3600.0, 23 * 3600.0


class StandingCharge:
    """Counts up to a moment what was not counted before."""

    def __init__(self, price_per_day: float | None, calendar: Calendar, until_unix_seconds: float | None) -> None:
        """Without a price nothing is counted, and what passes meanwhile never will be."""
        self._price_per_day = price_per_day
        self._calendar = calendar
        self._until = until_unix_seconds if price_per_day is not None else None
        self._offset_seconds = 0.0
        self._steady_since: float | None = None
        self._is_steady = False

    @property
    def until_unix_seconds(self) -> float | None:
        """The moment up to which it was counted."""
        return self._until

    def observe(self, *, monotonic_seconds: float, wall_seconds: float) -> None:
        """Take note of what the clocks say, to know whether the wall clock goes on without a step."""
        offset_seconds = wall_seconds - monotonic_seconds
        if self._steady_since is None or abs(offset_seconds - self._offset_seconds) > _STEP_SECONDS:
            self._steady_since, self._offset_seconds = monotonic_seconds, offset_seconds
        self._is_steady = monotonic_seconds - self._steady_since >= _SETTLING_SECONDS

    def recovered(self, money: float, unix_seconds: float) -> None:
        """Take note that a copy of the counters, true at a moment, had more than was counted here."""
        if self._until is None:
            self._until = unix_seconds if self._price_per_day is not None else None
        elif self._price_per_day:
            # It may have been pushed while nothing was counted yet of a time without the agent: that stays owed.
            self._until += money / self._price_per_day * _DAY_SECONDS

    def due(self, unix_seconds: float) -> float:
        """Return the money from the moment before to this one, and count from here on."""
        if self._price_per_day is None or not self._is_steady or self._steady_since is None:
            return 0.0
        until = self._until
        if until is None or abs(unix_seconds - until) > _LONGEST_SECONDS:
            until = min(self._steady_since + self._offset_seconds, unix_seconds)
        self._until = max(until, unix_seconds)
        return self._price_per_day * max(self._days(unix_seconds) - self._days(until), 0.0)

    def _days(self, unix_seconds: float) -> float:
        """Return how many calendar days have passed at a moment, with the part of the present one."""
        day = self._calendar.day_of(unix_seconds)
        return day.toordinal() + (unix_seconds - self._calendar.start_of(day)) / self._calendar.length_of(day)


def most_standing_charge(price_per_day: float, seconds: float) -> float:
    """Return the most that some seconds can cost."""
    return price_per_day * seconds / _SHORTEST_DAY_SECONDS
