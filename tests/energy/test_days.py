from datetime import date, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonnen_agent.energy.days import Calendar

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


@settings(deadline=None)
@given(st.sampled_from(ZONES), st.floats(315_532_800, 2_140_000_000))
def test_every_moment_is_in_one_day(zone: str, unix_seconds: float) -> None:
    calendar = Calendar(ZoneInfo(zone))
    day = calendar.day_of(unix_seconds)
    assert calendar.start_of(day) <= unix_seconds < calendar.start_of(day + timedelta(days=1))
    assert calendar.day_of(calendar.start_of(day)) == day
    assert calendar.day_before(calendar.day_after(day)) == day
