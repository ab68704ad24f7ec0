from datetime import UTC, date, datetime
from threading import Thread

import pytest

from sonnen_agent.energy import (
    FLOWS,
    Counters,
    EnergyCounters,
    EnergyMeter,
    EnergyTotals,
    MeterState,
    RecoveredCounters,
)
from sonnen_agent.reading import Reading, Status
from sonnen_agent.shared_meter import SharedMeter

NOON = datetime(2026, 6, 2, 12, tzinfo=UTC).timestamp()
BUYING = Status(production_watts=0, consumption_watts=3_600, grid_feed_in_watts=-3_600, discharge_watts=0)
"""A watt-hour a second."""


class Wall:
    """A wall clock that a test sets; None is a clock that nobody believes."""

    def __init__(self, now: float | None = NOON) -> None:
        self.now = now

    def __call__(self) -> float | None:
        return self.now


def shared_meter(
    wall: Wall | None = None, *, state: MeterState | None = None, settled: bool = True, after_crash: bool = False
) -> SharedMeter:
    meter = EnergyMeter(zone=UTC, state=state)
    return SharedMeter(meter, wall or Wall(), settled=settled, after_crash=after_crash)


def reading(monotonic: float, unix: float, status: Status = BUYING) -> Reading:
    return Reading(status=status, generation="v2", unix_seconds=unix, monotonic_seconds=monotonic)


def buy(meter: SharedMeter, start: float, seconds: int) -> None:
    """Count as many watt-hours as seconds, in readings of five seconds."""
    for moment in range(0, seconds + 1, 5):
        meter.count(reading(start + moment, NOON + start + moment), start + moment)


def seen(meter: SharedMeter) -> EnergyTotals:
    shown = meter.totals()
    assert shown is not None
    return shown[0]


def guarded(meter: SharedMeter) -> EnergyTotals:
    """Return what receivers that cannot be asked what they have seen are shown."""
    shown = meter.totals()
    assert shown is not None
    return shown[1]


def counted(watt_hours: float) -> Counters:
    return Counters(
        energies=EnergyCounters(
            totals_watt_hours={"grid_import": watt_hours},
            flows_watt_hours=dict.fromkeys(FLOWS, 0.0) | {("grid", "home"): watt_hours},
            observed_seconds=watt_hours,
        )
    )


def test_nobody_sees_counters_that_are_not_settled() -> None:
    home = shared_meter(settled=False)
    buy(home, 0, 50)

    assert not home.settled
    assert home.totals() is None


def test_what_was_counted_while_nobody_could_see_it_is_there_once_it_is_settled() -> None:
    home = shared_meter(settled=False)
    buy(home, 0, 50)

    home.recover(None)

    assert home.settled
    assert seen(home).watt_hours["grid_import"] == pytest.approx(50)
    assert seen(home).observed_seconds == pytest.approx(50)


def test_what_an_earlier_run_had_counted_is_added_to_what_this_one_counts() -> None:
    home = shared_meter(settled=False)
    buy(home, 0, 50)

    home.recover(RecoveredCounters(tally=counted(1_000)))
    buy(home, 50, 25)

    assert seen(home).watt_hours["grid_import"] == pytest.approx(1_075)


def test_an_older_copy_than_the_one_that_was_kept_takes_nothing_away() -> None:
    home = shared_meter(state=MeterState(tally=counted(5_000)), settled=False)

    home.recover(RecoveredCounters(tally=counted(1_000)))

    assert seen(home).watt_hours["grid_import"] == 5_000


def test_settling_twice_with_the_same_copy_counts_nothing_twice() -> None:
    home = shared_meter(settled=False)

    for _ in range(2):
        home.recover(RecoveredCounters(tally=counted(1_000)))

    assert seen(home).watt_hours["grid_import"] == pytest.approx(1_000)


def test_a_meter_that_counted_nothing_shows_no_zeros() -> None:
    totals = seen(shared_meter())

    assert totals.watt_hours.get("grid_import") is None
    assert totals.observed_seconds is None
    assert totals.flows_watt_hours == {}


def test_without_a_crash_the_unasked_see_what_everybody_sees() -> None:
    home = shared_meter(state=MeterState(tally=counted(5_000)))
    buy(home, 0, 50)

    shown = home.totals()
    assert shown is not None
    assert shown[1] is shown[0]


def test_after_a_crash_the_unasked_wait_for_more_than_what_the_gateway_had_seen() -> None:
    home = shared_meter(state=MeterState(tally=counted(1_000)), settled=False, after_crash=True)
    home.recover(RecoveredCounters(tally=counted(9_000)))
    buy(home, 0, 745)
    early = guarded(home)
    buy(home, 745, 10)
    late = guarded(home)

    assert seen(home).watt_hours["grid_import"] == pytest.approx(9_755)
    assert early.watt_hours.get("grid_import") is None
    assert late.watt_hours["grid_import"] == pytest.approx(9_755)


def test_a_day_ends_without_a_reading_too() -> None:
    wall = Wall()
    home = shared_meter(wall)
    buy(home, 0, 50)
    wall.now = NOON + 13 * 3600

    home.count(None, 13 * 3600.0)

    (finished,) = home.take_finished_days()
    assert finished.day == date(2026, 6, 2)
    assert finished.energies.totals_watt_hours["grid_import"] == pytest.approx(50)
    assert home.take_finished_days() == ()


def test_a_clock_that_nobody_believes_ends_no_day_and_shows_none() -> None:
    wall = Wall(None)
    home = shared_meter(wall)
    buy(home, 0, 50)

    home.count(None, 13 * 3600.0)

    assert home.take_finished_days() == ()
    assert seen(home).watt_hours["grid_import"] == pytest.approx(50)
    assert seen(home).today_watt_hours is None


def test_energy_from_before_the_clock_was_set_belongs_to_the_day_that_it_was() -> None:
    wall = Wall(None)
    home = shared_meter(wall)
    stale = NOON - 30 * 3600
    for moment in (0.0, 5.0, 10.0):
        home.count(reading(moment, stale + moment), moment)
    wall.now = NOON + 20

    for moment in (15.0, 20.0):
        home.count(reading(moment, NOON + moment), moment)

    today = seen(home).today_watt_hours
    assert today is not None
    assert today["grid", "home"] == pytest.approx(20)
    assert home.take_finished_days() == ()


def test_a_reading_from_just_before_the_clock_was_set_opens_no_day_of_the_past() -> None:
    # The status comes first and the slower endpoints after it: the network may set the clock in between.
    wall = Wall(None)
    home = shared_meter(wall)
    stale = NOON - 30 * 3600
    home.count(reading(0.0, stale), 0.1)
    wall.now = NOON + 6
    home.count(reading(5.0, stale + 5), 6.0)
    wall.now = NOON + 10

    home.count(reading(10.0, NOON + 10), 10.1)

    today = seen(home).today_watt_hours
    assert [finished.day for finished in home.take_finished_days()] == []
    assert today is not None
    assert today["grid", "home"] == pytest.approx(10)


def test_another_meter_goes_on_from_the_state_of_a_shared_one() -> None:
    home = shared_meter()
    buy(home, 0, 50)

    assert seen(shared_meter(state=home.state())).watt_hours["grid_import"] == pytest.approx(50)


def test_it_can_be_settled_saved_and_shown_while_it_is_counted() -> None:
    home = shared_meter(settled=False)
    beats = Thread(target=buy, args=(home, 0, 10_000))
    beats.start()
    home.recover(RecoveredCounters(tally=counted(1_000)))
    shown = [0.0]
    while beats.is_alive():
        shown.append(seen(home).watt_hours.get("grid_import") or 0.0)
        home.state()
    beats.join()

    assert shown == sorted(shown)
    assert seen(home).watt_hours["grid_import"] == pytest.approx(11_000)
