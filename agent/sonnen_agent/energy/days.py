"""The calendar of one time zone: which day a moment belongs to, and when days begin."""

from datetime import date, datetime, time, timedelta, tzinfo

_DAY = timedelta(days=1)


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
