from collections.abc import Iterator
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest

from sonnen_agent.energy.days import Calendar
from sonnen_agent.energy.meter import EnergyMeter
from sonnen_agent.reading import Status

HOUR = 3600.0
DAY = timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")
EVERY_SECOND_A_WATT_HOUR = Status(
    production_watts=0, consumption_watts=3_600, grid_feed_in_watts=-3_600, discharge_watts=0
)
CHANGES = (
    ("Europe/Berlin", date(2024, 3, 31)),
    ("Europe/Berlin", date(2024, 10, 27)),
    ("America/New_York", date(2024, 3, 10)),
    ("America/New_York", date(2024, 11, 3)),
    ("America/Sao_Paulo", date(2018, 11, 4)),
    ("America/Sao_Paulo", date(2019, 2, 16)),
    ("America/Havana", date(2024, 11, 3)),
    ("America/St_Johns", date(2006, 10, 29)),
    ("Africa/Cairo", date(2024, 4, 26)),
    ("Asia/Kathmandu", date(2024, 11, 3)),
    ("Australia/Lord_Howe", date(2024, 4, 7)),
    ("Australia/Lord_Howe", date(2024, 10, 6)),
    ("Pacific/Apia", date(2011, 12, 31)),
    ("Pacific/Kiritimati", date(1995, 1, 1)),
)


def every(step: float, start: float, end: float) -> Iterator[float]:
    moment = start
    while moment < end:
        yield moment
        moment += step


@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_each_day_gets_its_own_seconds_whatever_the_clocks_do(zone: str, day: date) -> None:
    calendar = Calendar(ZoneInfo(zone))
    start, end = calendar.start_of(day - DAY), calendar.start_of(day + 2 * DAY)
    meter = EnergyMeter(zone=ZoneInfo(zone), max_gap_seconds=HOUR)
    for wall in every(47 * 60 + 13.7, start, end + HOUR):
        meter.add(EVERY_SECOND_A_WATT_HOUR, monotonic_seconds=wall - start, wall_seconds=wall)
    finished = meter.take_finished_days()
    assert [found.day for found in finished] == [d for d in (day - DAY, day, day + DAY) if calendar.length_of(d)]
    for found in finished:
        assert found.length_seconds == calendar.length_of(found.day)
        assert found.energies.observed_seconds == pytest.approx(found.length_seconds, abs=1e-3)
        assert found.energies.flows_watt_hours["grid", "home"] == pytest.approx(found.length_seconds, abs=1e-3)
        assert found.energies.totals_watt_hours["grid_import"] == pytest.approx(found.length_seconds, abs=1e-3)


def grid_to_home(meter: EnergyMeter, wall: float) -> tuple[float | None, float | None]:
    totals = meter.totals(wall_seconds=wall)
    today, yesterday = totals.today_watt_hours, totals.yesterday_watt_hours
    return (
        None if today is None else round(today.get(("grid", "home"), 0.0), 3),
        None if yesterday is None else round(yesterday.get(("grid", "home"), 0.0), 3),
    )


def test_an_interval_over_midnight_is_cut_at_midnight() -> None:
    midnight = Calendar(BERLIN).start_of(date(2024, 6, 2))
    meter = EnergyMeter(zone=BERLIN)
    for wall in (midnight - 3, midnight + 7):
        meter.add(EVERY_SECOND_A_WATT_HOUR, monotonic_seconds=wall - midnight + 50, wall_seconds=wall)
    assert grid_to_home(meter, midnight + 7) == (7, 3)
    (finished,) = meter.take_finished_days()
    assert finished.day == date(2024, 6, 1)


def test_a_finished_day_is_handed_out_once() -> None:
    midnight = Calendar(BERLIN).start_of(date(2024, 6, 2))
    meter = EnergyMeter(zone=BERLIN)
    for wall in (midnight - 3, midnight + 7, midnight + 17):
        meter.add(EVERY_SECOND_A_WATT_HOUR, monotonic_seconds=wall - midnight + 50, wall_seconds=wall)
    assert len(meter.take_finished_days()) == 1
    assert meter.take_finished_days() == ()


def test_a_day_ends_without_readings_when_no_reading_can_bring_more_of_it() -> None:
    midnight = Calendar(BERLIN).start_of(date(2024, 6, 2))
    meter = EnergyMeter(zone=BERLIN)
    for wall in (midnight - 30, midnight - 20):
        meter.add(EVERY_SECOND_A_WATT_HOUR, monotonic_seconds=wall - midnight + 50, wall_seconds=wall)
    meter.advance_clock(monotonic_seconds=60, wall_seconds=midnight + 10)
    assert meter.take_finished_days() == ()
    assert grid_to_home(meter, midnight + 10) == (None, 10)
    meter.advance_clock(monotonic_seconds=90.1, wall_seconds=midnight + 40.1)
    assert [finished.day for finished in meter.take_finished_days()] == [date(2024, 6, 1)]
    assert grid_to_home(meter, midnight + 40.1) == (0, 10)


def test_yesterday_is_shown_on_the_day_after_and_not_later() -> None:
    midnight = Calendar(BERLIN).start_of(date(2024, 6, 2))
    meter = EnergyMeter(zone=BERLIN)
    for wall in (midnight - 10, midnight):
        meter.add(EVERY_SECOND_A_WATT_HOUR, monotonic_seconds=wall - midnight + 50, wall_seconds=wall)
    assert grid_to_home(meter, midnight) == (0, 10)
    assert grid_to_home(meter, midnight + 24 * HOUR - 1) == (0, 10)
    assert grid_to_home(meter, midnight + 24 * HOUR) == (None, 0)
    meter.advance_clock(monotonic_seconds=3 * 24 * HOUR, wall_seconds=midnight + 3 * 24 * HOUR - 50)
    assert grid_to_home(meter, midnight + 3 * 24 * HOUR - 50) == (0, None)
    assert [finished.day for finished in meter.take_finished_days()] == [date(2024, 6, 1)]


def test_the_day_before_the_date_line_moved_is_shown_as_yesterday() -> None:
    apia = ZoneInfo("Pacific/Apia")
    midnight = Calendar(apia).start_of(date(2011, 12, 31))
    meter = EnergyMeter(zone=apia)
    for wall in (midnight - 10, midnight + 2):
        meter.add(EVERY_SECOND_A_WATT_HOUR, monotonic_seconds=wall - midnight + 50, wall_seconds=wall)
    assert grid_to_home(meter, midnight + 2) == (2, 10)
    assert [finished.day for finished in meter.take_finished_days()] == [date(2011, 12, 29)]
