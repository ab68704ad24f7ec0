from dataclasses import replace
from datetime import date, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonnen_agent.energy.days import Calendar
from sonnen_agent.energy.schedule import Rates, Schedule
from sonnen_agent.energy.tariffs import TariffPeriod, Tariffs

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Havana",
    "America/St_Johns",
    "Africa/Cairo",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kiritimati",
)
HOUR = 3600


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2024, 3, 30), 24),
        ("Europe/Berlin", date(2024, 3, 31), 23),
        ("Europe/Berlin", date(2024, 10, 27), 25),
        ("America/New_York", date(2024, 3, 10), 23),
        ("America/New_York", date(2024, 11, 3), 25),
        ("Asia/Kathmandu", date(2024, 11, 3), 24),
        ("Australia/Lord_Howe", date(2024, 4, 7), 24.5),
        ("Australia/Lord_Howe", date(2024, 10, 6), 23.5),
        # Midnight itself is skipped, and comes twice.
        ("America/Sao_Paulo", date(2018, 11, 4), 23),
        ("America/Sao_Paulo", date(2019, 2, 16), 25),
        ("America/Havana", date(2024, 11, 3), 25),
        ("Africa/Cairo", date(2024, 4, 26), 23),
        # A day left out when the date line moved.
        ("Pacific/Apia", date(2011, 12, 29), 24),
        ("Pacific/Apia", date(2011, 12, 30), 0),
        ("Pacific/Apia", date(2011, 12, 31), 24),
        ("Pacific/Kiritimati", date(1994, 12, 31), 0),
    ],
)
def test_a_day_is_as_long_as_the_clocks_make_it(zone: str, day: date, hours: float) -> None:
    assert Calendar(ZoneInfo(zone)).length_of(day) == hours * HOUR


def test_the_day_before_a_day_that_follows_a_missing_one_is_the_last_that_was() -> None:
    apia = Calendar(ZoneInfo("Pacific/Apia"))
    assert apia.day_before(date(2011, 12, 31)) == date(2011, 12, 29)
    assert apia.day_after(date(2011, 12, 29)) == date(2011, 12, 31)
    assert apia.day_before(date(2012, 1, 1)) == date(2011, 12, 31)


def test_a_date_that_comes_twice_over_midnight_is_one_day_each() -> None:
    # On 2006-10-29 at 00:01 the clocks of St John's went back to 23:01 of the day before.
    st_johns = Calendar(ZoneInfo("America/St_Johns"))
    midnight = st_johns.start_of(date(2006, 10, 29))
    assert st_johns.day_of(midnight - 1) == date(2006, 10, 28)
    assert st_johns.day_of(midnight + 30) == date(2006, 10, 29)
    assert st_johns.local(midnight + 90).date() == date(2006, 10, 28)
    assert st_johns.day_of(midnight + 90) == date(2006, 10, 29)


def test_a_day_begins_when_the_clocks_skip_its_midnight_even_from_the_evening_before() -> None:
    # On 1919-03-30 at 23:30 the clocks of Toronto went to 00:30.
    toronto = Calendar(ZoneInfo("America/Toronto"))
    change = toronto.unix(date(1919, 3, 30), time(23, 30))
    for seconds in (-1, 0, 1799, 1800):
        day = toronto.day_of(change + seconds)
        assert toronto.start_of(day) <= change + seconds < toronto.start_of(day + timedelta(days=1))


@given(st.sampled_from(ZONES), st.floats(315_532_800, 2_140_000_000))
def test_every_moment_is_in_one_day(zone: str, unix_seconds: float) -> None:
    calendar = Calendar(ZoneInfo(zone))
    day = calendar.day_of(unix_seconds)
    assert calendar.start_of(day) <= unix_seconds < calendar.start_of(day + timedelta(days=1))
    assert calendar.day_of(calendar.start_of(day)) == day
    assert calendar.day_before(calendar.day_after(day)) == day


CHANGES = (
    ("Europe/Berlin", date(2024, 2, 29)),
    ("Europe/Berlin", date(2024, 3, 31)),
    ("Europe/Berlin", date(2024, 10, 27)),
    ("America/New_York", date(2024, 3, 10)),
    ("America/New_York", date(2024, 11, 3)),
    ("America/Sao_Paulo", date(2018, 11, 4)),
    ("America/Sao_Paulo", date(2019, 2, 16)),
    ("America/Havana", date(2024, 11, 3)),
    ("America/St_Johns", date(2006, 10, 29)),
    ("Africa/Cairo", date(2024, 4, 26)),
    ("Asia/Kathmandu", date(2024, 5, 5)),
    ("Australia/Lord_Howe", date(2024, 4, 7)),
    ("Australia/Lord_Howe", date(2024, 10, 6)),
    ("Pacific/Apia", date(2011, 12, 29)),
    ("Pacific/Kiritimati", date(2024, 1, 1)),
)
REST = TariffPeriod(name="rest", price_per_kilowatt_hour=0.3)
CLOCK_TIMES = st.times().map(lambda moment: moment.replace(second=0, microsecond=0))


DAYS, MONTHS = (st.frozensets(st.integers(low, high), min_size=1) for low, high in ((0, 6), (1, 12)))


def tariffs_of(*hours: tuple[time, time]) -> Tariffs:
    periods = (
        TariffPeriod(name=f"period {index}", price_per_kilowatt_hour=0.1, start=start, end=end)
        for index, (start, end) in enumerate(hours)
    )
    return Tariffs(currency="EUR", import_periods=(*periods, REST), export_periods=(REST,))


def lengths(zone: str, day: date, tariffs: Tariffs) -> dict[str, float]:
    """Return the hours of each import tariff in a day."""
    calendar = Calendar(ZoneInfo(zone))
    start = calendar.start_of(day)
    end = start + calendar.length_of(day)
    hours: dict[str, float] = {}
    for span, share, next_share in Schedule(calendar, tariffs).pieces(start, end):
        assert span.rates.import_period is not None
        name = span.rates.import_period.name
        hours[name] = hours.get(name, 0) + (next_share - share) * (end - start) / 3600
    return hours


@pytest.mark.parametrize(
    ("day", "hours", "expected"),
    [
        (date(2024, 6, 1), (time(22), time(6)), 8),
        # 02:00 to 03:00 does not exist ...
        (date(2024, 3, 31), (time(22), time(6)), 7),
        (date(2024, 3, 31), (time(2, 30), time(5)), 2),
        (date(2024, 3, 31), (time(1), time(2, 30)), 1),
        # ... and here it comes twice.
        (date(2024, 10, 27), (time(22), time(6)), 9),
        (date(2024, 10, 27), (time(2, 30), time(5)), 3),
        (date(2024, 10, 27), (time(1), time(2, 30)), 2),
        (date(2024, 10, 27), (time(2, 15), time(2, 45)), 1),
    ],
)
def test_prices_go_by_the_local_clock_when_it_changes(day: date, hours: tuple[time, time], expected: float) -> None:
    assert lengths("Europe/Berlin", day, tariffs_of(hours))["period 0"] == pytest.approx(expected)


def test_prices_go_by_the_local_clock_when_it_goes_back_over_midnight() -> None:
    # At 00:01 it was 23:01 again: this day has a second 23:30 of the day before, and its own.
    hours = lengths("America/St_Johns", date(2006, 10, 29), tariffs_of((time(23, 30), time(23, 45))))
    assert hours["period 0"] == pytest.approx(0.5)


def test_a_period_that_does_not_exist_on_a_day_has_no_length() -> None:
    assert "period 0" not in lengths("Europe/Berlin", date(2024, 3, 31), tariffs_of((time(2, 15), time(2, 45))))


@settings(max_examples=60)
@given(st.sampled_from(CHANGES), st.lists(st.tuples(CLOCK_TIMES, CLOCK_TIMES), max_size=3), st.data())
def test_at_any_moment_the_price_is_that_of_the_local_time_day_and_month(
    change: tuple[str, date], hours: list[tuple[time, time]], data: st.DataObject
) -> None:
    zone, day = change
    *dated, rest = tariffs_of(*hours).import_periods
    dated = [replace(one, days=data.draw(DAYS), months=data.draw(MONTHS) | {day.month}) for one in dated]
    holidays = frozenset(day + timedelta(days=after) for after in data.draw(st.sets(st.integers(-1, 2))))
    tariffs = Tariffs(currency="EUR", import_periods=(*dated, rest), holidays=holidays)
    calendar = Calendar(ZoneInfo(zone))
    schedule, start = Schedule(calendar, tariffs), calendar.start_of(day)
    for minute in data.draw(st.lists(st.integers(-1440, 2880), min_size=20, max_size=20)):
        moment = start + minute * 60 + 30
        span = schedule.span_at(moment)
        assert span.start <= moment < span.end
        assert span.day == calendar.day_of(moment)
        assert span.rates == Rates.at(tariffs, calendar.local(moment))
        local = calendar.local(moment)
        weekday = 7 if local.date() in holidays else local.isoweekday()
        minutes = local.hour * 60 + local.minute
        assert span.rates.import_period == next(
            (one for one in dated if weekday - 1 in one.days and local.month in one.months and _holds(one, minutes)),
            rest,
        )


def _holds(period: TariffPeriod, minutes: int) -> bool:
    assert period.start is not None
    assert period.end is not None
    start, end = (moment.hour * 60 + moment.minute for moment in (period.start, period.end))
    return (minutes - start) % 1440 < ((end - start) % 1440 or 1440)


@given(st.sampled_from(CHANGES), st.floats(-90_000, 90_000), st.floats(1e-9, 400_000))
def test_pieces_follow_one_another_from_the_start_to_the_end(
    change: tuple[str, date], since: float, seconds: float
) -> None:
    zone, day = change
    calendar = Calendar(ZoneInfo(zone))
    start = calendar.start_of(day) + since
    pieces = list(Schedule(calendar, tariffs_of((time(22), time(6)))).pieces(start, start + seconds))
    assert pieces[0][1] == 0
    assert pieces[-1][2] == 1
    for (before, _, left_at), (after, entered_at, _) in pairwise(pieces):
        assert before.end == after.start
        assert left_at == entered_at
    assert all(share <= next_share for _, share, next_share in pieces)


def test_without_tariffs_only_midnight_cuts() -> None:
    calendar = Calendar(ZoneInfo("Europe/Berlin"))
    start = calendar.start_of(date(2024, 10, 26))
    pieces = list(Schedule(calendar, None).pieces(start, start + timedelta(hours=24 + 25 + 12).total_seconds()))
    assert [(span.day.day, round(share, 4)) for span, share, _ in pieces] == [
        (26, 0),
        (27, round(24 / 61, 4)),
        (28, round(49 / 61, 4)),
    ]
