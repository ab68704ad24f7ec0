from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from sonnen_agent.clock import WallClock
from sonnen_agent.energy.days import Calendar
from sonnen_agent.energy.meter import EnergyMeter
from sonnen_agent.reading import Status

HOUR = 3600.0
DAY = 24 * HOUR
BERLIN = ZoneInfo("Europe/Berlin")
TEN_YEARS = 3653 * DAY
AUGUST = Calendar(BERLIN).start_of(date(2026, 8, 1))
MIDNIGHT = Calendar(BERLIN).start_of(date(2024, 6, 2))
EVERY_SECOND_A_WATT_HOUR = Status(
    production_watts=0, consumption_watts=3_600, grid_feed_in_watts=-3_600, discharge_watts=0
)


class House:
    """Reads its meter every half minute, with a wall clock that can be set."""

    def __init__(self, *, monotonic: float, wall: float | None) -> None:
        self.meter = EnergyMeter(zone=BERLIN)
        self.monotonic = monotonic
        self.offset = None if wall is None else wall - monotonic
        self.read()

    @property
    def wall(self) -> float | None:
        return None if self.offset is None else self.monotonic + self.offset

    def set_clock(self, wall: float | None) -> None:
        self.offset = None if wall is None else wall - self.monotonic

    def read(self) -> None:
        self.meter.add(EVERY_SECOND_A_WATT_HOUR, monotonic_seconds=self.monotonic, wall_seconds=self.wall)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / 30)):
            self.monotonic += 30
            self.read()

    def reboot(self, *, wall: float | None) -> None:
        self.meter = EnergyMeter(zone=BERLIN, state=self.meter.state)
        self.monotonic = 20.0
        self.set_clock(wall)
        self.read()

    @property
    def total(self) -> float | None:
        return self.meter.totals(wall_seconds=None).watt_hours.get("grid_import")

    @property
    def today(self) -> float | None:
        return self._shown()[0]

    @property
    def yesterday(self) -> float | None:
        return self._shown()[1]

    def _shown(self) -> tuple[float | None, float | None]:
        totals = self.meter.totals(wall_seconds=self.wall)
        today, yesterday = totals.today_watt_hours, totals.yesterday_watt_hours
        return (
            None if today is None else today.get(("grid", "home"), 0.0),
            None if yesterday is None else yesterday.get(("grid", "home"), 0.0),
        )

    def finished(self) -> dict[date, float]:
        days = self.meter.take_finished_days()
        assert len({day.day for day in days}) == len(days)
        return {day.day: day.energies.flows_watt_hours["grid", "home"] for day in days}


def test_a_clock_that_starts_in_1970_costs_no_energy_and_names_no_day() -> None:
    house = House(monotonic=20, wall=None)
    house.run(600)
    assert house.total == pytest.approx(600)
    assert (house.today, house.yesterday) == (None, None)
    assert house.finished() == {}


def test_energy_of_the_time_before_the_clock_was_known_goes_to_its_days() -> None:
    house = House(monotonic=20, wall=None)
    house.run(2 * HOUR)
    house.set_clock(MIDNIGHT + HOUR / 2)
    house.run(30)
    assert house.total == pytest.approx(2 * HOUR + 30)
    assert house.today == pytest.approx(HOUR / 2 + 30)
    assert house.yesterday == pytest.approx(1.5 * HOUR)
    assert house.finished() == pytest.approx({date(2024, 6, 1): 1.5 * HOUR})


def test_a_clock_that_becomes_known_while_the_battery_is_silent_names_the_days_too() -> None:
    house = House(monotonic=20, wall=None)
    house.run(HOUR)
    house.meter.advance_clock(monotonic_seconds=house.monotonic + HOUR, wall_seconds=MIDNIGHT + HOUR + 600)
    assert house.finished() == pytest.approx({date(2024, 6, 1): HOUR - 600})


def test_a_week_without_a_clock_is_spread_over_its_days() -> None:
    house = House(monotonic=20, wall=None)
    house.meter = EnergyMeter(zone=BERLIN, max_gap_seconds=600)
    for _ in range(7 * 144):
        house.read()
        house.monotonic += 600
    house.set_clock(MIDNIGHT)
    house.read()
    finished = house.finished()
    assert len(finished) == 7
    # Blocks are longer than an hour by now, and are cut at midnight as if the power had been steady: here it was.
    assert list(finished.values()) == pytest.approx([DAY] * 7)


def test_a_clock_that_is_lost_and_found_loses_no_energy() -> None:
    house = House(monotonic=20, wall=MIDNIGHT - HOUR)
    house.run(600)
    house.set_clock(None)
    house.run(HOUR)
    house.set_clock(MIDNIGHT + 600)
    house.run(600)
    assert house.total == pytest.approx(HOUR + 1200)
    assert house.finished() == pytest.approx({date(2024, 6, 1): HOUR})
    assert house.today == pytest.approx(1200)


def test_a_clock_that_was_hours_behind_keeps_what_was_counted_where_it_was_counted() -> None:
    house = House(monotonic=20, wall=MIDNIGHT - 3 * HOUR)
    house.run(HOUR)
    house.set_clock(MIDNIGHT + 5 * HOUR)
    house.run(HOUR)
    assert house.total == pytest.approx(2 * HOUR)
    assert house.finished() == pytest.approx({date(2024, 6, 1): HOUR})
    assert house.today == pytest.approx(HOUR)


def test_a_step_forward_over_several_days_ends_the_open_day_and_invents_none() -> None:
    house = House(monotonic=20, wall=MIDNIGHT)
    house.run(HOUR)
    house.set_clock(MIDNIGHT + 5 * DAY)
    house.run(HOUR)
    assert house.finished() == pytest.approx({date(2024, 6, 2): HOUR})
    assert house.yesterday is None
    house.run(23 * HOUR)
    assert house.finished() == pytest.approx({date(2024, 6, 7): DAY})
    assert house.total == pytest.approx(25 * HOUR)


def test_a_step_back_before_a_finished_midnight_does_not_open_the_day_again() -> None:
    house = House(monotonic=20, wall=MIDNIGHT - 600)
    house.run(1200)
    assert house.finished() == pytest.approx({date(2024, 6, 1): 600})
    house.set_clock(MIDNIGHT - 600)
    house.run(1200)
    assert house.finished() == {}
    assert house.today == pytest.approx(1800)
    house.run(DAY - 600)
    assert house.finished() == pytest.approx({date(2024, 6, 2): DAY + 1200})
    assert house.total == pytest.approx(DAY + 1800)


def test_while_the_clock_shows_a_finished_day_its_own_energy_is_shown() -> None:
    house = House(monotonic=20, wall=MIDNIGHT - 600)
    house.run(1200)
    house.set_clock(MIDNIGHT - 600)
    house.run(300)
    assert house.today == pytest.approx(600)
    assert house.yesterday is None


def test_a_clock_that_was_years_ahead_for_a_moment_is_forgotten_after_a_day() -> None:
    house = House(monotonic=20, wall=MIDNIGHT - HOUR)
    house.run(600)
    house.set_clock(MIDNIGHT + 5000 * DAY)
    house.run(600)
    house.set_clock(MIDNIGHT - HOUR + 1200)
    house.run(3 * DAY)
    assert house.total == pytest.approx(3 * DAY + 1200)
    finished = house.finished()
    # The rest of June 1 and what was counted in the wrong year are part of June 2.
    expected = {date(2024, 6, 1): 600, date(2024, 6, 2): DAY + 2400 + 600, date(2024, 6, 3): DAY}
    assert finished == pytest.approx(expected)
    assert house.today == pytest.approx(DAY - 2400)


def test_a_clock_that_is_wrong_for_a_minute_moves_no_energy_to_another_day(tmp_path: Path) -> None:
    house = House(monotonic=20, wall=AUGUST - HOUR)
    clock = WallClock(timesync=tmp_path, service=lambda: True, unix=lambda: unix, monotonic=lambda: house.monotonic)
    for half_minute in range(round(3 * HOUR / 30)):
        unix = AUGUST - HOUR + half_minute * 30 + (TEN_YEARS if half_minute in {10, 11, 118, 119, 120} else 0)
        house.set_clock(clock.now())
        house.read()
        house.monotonic += 30
    assert house.finished() == pytest.approx({date(2026, 7, 31): HOUR})
    assert house.today == pytest.approx(2 * HOUR - 30)
    assert house.yesterday == pytest.approx(HOUR)


def test_a_drifting_clock_counts_every_second_once() -> None:
    house = House(monotonic=20, wall=MIDNIGHT - HOUR)
    for _ in range(100):
        house.run(60)
        assert house.wall is not None
        house.set_clock(house.wall + 0.4)
        house.run(30)
        house.set_clock(house.wall - 0.5)
    assert house.total == pytest.approx(9000)
    assert sum(house.finished().values()) + (house.today or 0) == pytest.approx(9000)


def test_after_a_reboot_the_day_goes_on() -> None:
    house = House(monotonic=5000, wall=MIDNIGHT + HOUR)
    house.run(600)
    house.reboot(wall=MIDNIGHT + 2 * HOUR)
    house.run(600)
    assert house.total == pytest.approx(1200)
    assert house.today == pytest.approx(1200)


def test_what_waited_for_the_clock_when_the_power_went_is_taken_for_just_before_the_boot() -> None:
    house = House(monotonic=5000, wall=None)
    house.run(600)
    house.reboot(wall=None)
    house.run(60)
    house.set_clock(MIDNIGHT + 80)
    house.run(60)
    assert house.total == pytest.approx(720)
    assert house.today == pytest.approx(120)
    assert house.finished() == pytest.approx({date(2024, 6, 1): 600})


def test_a_reading_of_an_earlier_boot_begins_no_interval() -> None:
    house = House(monotonic=0, wall=MIDNIGHT)
    house.run(30)
    house.meter = EnergyMeter(zone=BERLIN, state=house.meter.state)
    house.monotonic = 60
    house.set_clock(MIDNIGHT + 640)
    house.read()
    assert house.total == pytest.approx(30)


def test_a_reboot_that_only_the_monotonic_clock_shows_keeps_the_order_of_what_waits() -> None:
    house = House(monotonic=5000, wall=None)
    house.run(600)
    house.monotonic = 20
    house.read()
    house.run(60)
    house.set_clock(MIDNIGHT + 80)
    house.run(60)
    assert house.total == pytest.approx(720)
    assert house.finished() == pytest.approx({date(2024, 6, 1): 600})
