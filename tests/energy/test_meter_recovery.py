import json
from datetime import date
from zoneinfo import ZoneInfo

import pytest

from sonnen_agent.energy.counters import FLOWS, Counters, EnergyCounters, Flow, TariffCounts
from sonnen_agent.energy.days import Calendar
from sonnen_agent.energy.meter import EnergyMeter
from sonnen_agent.energy.state import state_from_json, state_to_json
from sonnen_agent.energy.tariffs import TariffPeriod, Tariffs
from sonnen_agent.energy.totals import EnergyTotals, RecoveredCounters
from sonnen_agent.reading import Status

BERLIN = ZoneInfo("Europe/Berlin")
MIDNIGHT = Calendar(BERLIN).start_of(date(2024, 6, 2))
NOON = MIDNIGHT + 12 * 3600
FLAT = Tariffs(currency="EUR", import_periods=(TariffPeriod(name="flat", price_per_kilowatt_hour=1.0),))
EVERY_SECOND_A_WATT_HOUR = Status(
    production_watts=0, consumption_watts=3_600, grid_feed_in_watts=-3_600, discharge_watts=0
)


def bought(watt_hours: float) -> dict[Flow, float]:
    return dict.fromkeys(FLOWS, 0.0) | {("grid", "home"): watt_hours}


def copy_of(total: float, *, today: float, yesterday: float, at: float | None) -> RecoveredCounters:
    energies = EnergyCounters(
        totals_watt_hours={"grid_import": total, "consumption": total},
        flows_watt_hours=bought(total),
        observed_seconds=total,
    )
    tariffs = TariffCounts(import_watt_hours={"flat": total}, cost={"EUR": total / 1000})
    return RecoveredCounters(
        tally=Counters(energies=energies, tariffs=tariffs),
        today_watt_hours=bought(today),
        yesterday_watt_hours=bought(yesterday),
        unix_seconds=at,
    )


def run(meter: EnergyMeter, start: float, end: float) -> None:
    moment = start
    while moment <= end:
        meter.add(EVERY_SECOND_A_WATT_HOUR, monotonic_seconds=moment - MIDNIGHT, wall_seconds=moment)
        moment += 10


def fresh() -> EnergyMeter:
    return EnergyMeter(zone=BERLIN, tariffs=FLAT)


def shown(totals: EnergyTotals) -> tuple[float | None, ...]:
    today, yesterday = totals.today_watt_hours, totals.yesterday_watt_hours
    return (
        totals.watt_hours.get("grid_import") or 0.0,
        totals.tariff_import_watt_hours["flat"],
        totals.observed_seconds,
        None if today is None else today["grid", "home"],
        None if yesterday is None else yesterday["grid", "home"],
    )


def test_on_a_new_card_the_counters_go_on_from_the_copy() -> None:
    meter = fresh()
    meter.merge_recovered(copy_of(9000, today=500, yesterday=800, at=NOON))
    assert shown(meter.totals(wall_seconds=NOON)) == (9000, 9000, 9000, 500, 800)
    run(meter, NOON, NOON + 100)
    assert shown(meter.totals(wall_seconds=NOON + 100)) == pytest.approx((9100, 9100, 9100, 600, 800))
    assert meter.totals(wall_seconds=NOON).cost == pytest.approx({"EUR": 9.1})


def test_a_copy_that_comes_late_is_added_to_what_was_counted_meanwhile() -> None:
    meter = fresh()
    run(meter, NOON, NOON + 100)
    meter.merge_recovered(copy_of(9000, today=500, yesterday=800, at=NOON - 60))
    assert shown(meter.totals(wall_seconds=NOON + 100)) == pytest.approx((9100, 9100, 9100, 600, 800))


def test_the_same_copy_twice_changes_nothing() -> None:
    meter = fresh()
    run(meter, NOON, NOON + 100)
    meter.merge_recovered(copy_of(9000, today=500, yesterday=800, at=NOON - 60))
    state = meter.state
    meter.merge_recovered(copy_of(9000, today=500, yesterday=800, at=NOON - 60))
    assert meter.state == state


def test_a_copy_of_yesterday_ends_that_day() -> None:
    meter = fresh()
    run(meter, NOON, NOON + 100)
    meter.merge_recovered(copy_of(9000, today=500, yesterday=800, at=MIDNIGHT - 60))
    assert shown(meter.totals(wall_seconds=NOON + 100)) == pytest.approx((9100, 9100, 9100, 100, 500))
    (before, yesterday) = meter.take_finished_days()
    assert (before.day, before.energies.totals_watt_hours["grid_import"]) == (date(2024, 5, 31), 800)
    assert yesterday.day == date(2024, 6, 1)
    assert yesterday.energies.totals_watt_hours == {
        "production": 0,
        "consumption": 500,
        "grid_import": 500,
        "grid_export": 0,
        "battery_charge": 0,
        "battery_discharge": 0,
    }


def test_a_copy_whose_time_is_not_known_restores_the_totals_only() -> None:
    meter = fresh()
    meter.merge_recovered(copy_of(9000, today=500, yesterday=800, at=None))
    assert shown(meter.totals(wall_seconds=NOON)) == (9000, 9000, 9000, None, None)


def test_a_damaged_copy_spoils_no_counter() -> None:
    nan, infinite = float("nan"), float("inf")
    energies = EnergyCounters(
        totals_watt_hours={"grid_import": infinite, "production": 7.0},
        flows_watt_hours={("grid", "home"): 90.0, ("grid", "battery"): nan, ("home", "solar"): 5.0},
        observed_seconds=infinite,
    )
    meter = fresh()
    meter.merge_recovered(
        RecoveredCounters(
            tally=Counters(energies=energies, tariffs=TariffCounts(cost={"EUR": infinite})),
            today_watt_hours={("grid", "home"): infinite, ("solar", "home"): 3.0},
            unix_seconds=NOON,
        )
    )
    run(meter, NOON, NOON + 100)
    totals = meter.totals(wall_seconds=NOON + 100)
    assert totals.watt_hours["grid_import"] == pytest.approx(100)
    assert totals.watt_hours["production"] == pytest.approx(7)
    assert totals.flows_watt_hours == pytest.approx(bought(190))
    assert totals.today_watt_hours == pytest.approx(bought(100) | {("solar", "home"): 3})
    assert totals.observed_seconds == pytest.approx(100)
    assert totals.cost == pytest.approx({"EUR": 0.1})
    assert state_from_json(json.loads(json.dumps(state_to_json(meter.state)))) == meter.state


def resumed(begin: float = NOON, *, awaits_copy: bool = False) -> EnergyMeter:
    """Return the next life of a meter that has counted for 100 seconds."""
    meter = fresh()
    run(meter, begin, begin + 100)
    return EnergyMeter(zone=BERLIN, tariffs=FLAT, state=meter.state, same_boot=True, awaits_copy=awaits_copy)


def test_a_state_that_is_older_than_the_copy_catches_up() -> None:
    meter = resumed()
    meter.merge_recovered(copy_of(140, today=140, yesterday=0, at=NOON + 140))
    run(meter, NOON + 150, NOON + 200)
    # The ten seconds between the copy and the first reading are a gap.
    assert shown(meter.totals(wall_seconds=NOON + 200))[:4] == pytest.approx((190, 190, 190, 190))


def test_the_interval_over_a_restart_is_not_counted_again_from_the_copy() -> None:
    meter = resumed()
    run(meter, NOON + 150, NOON + 200)
    meter.merge_recovered(copy_of(140, today=140, yesterday=0, at=NOON + 140))
    assert shown(meter.totals(wall_seconds=NOON + 200))[:4] == pytest.approx((200, 200, 200, 200))


def test_a_copy_that_is_older_than_the_state_changes_nothing() -> None:
    meter = resumed()
    state = meter.state
    meter.merge_recovered(copy_of(90, today=90, yesterday=0, at=NOON + 90))
    assert meter.state == state


def test_a_state_from_before_midnight_gets_the_rest_of_its_day_and_the_new_one() -> None:
    meter = resumed(MIDNIGHT - 200)
    meter.merge_recovered(copy_of(250, today=50, yesterday=200, at=MIDNIGHT + 50))
    assert shown(meter.totals(wall_seconds=MIDNIGHT + 60)) == pytest.approx((250, 250, 250, 50, 200))
    (finished,) = meter.take_finished_days()
    assert finished.energies.flows_watt_hours["grid", "home"] == pytest.approx(200)


def test_a_day_that_is_finished_takes_nothing_from_a_copy() -> None:
    meter = fresh()
    run(meter, MIDNIGHT - 100, MIDNIGHT + 100)
    assert len(meter.take_finished_days()) == 1
    meter.merge_recovered(copy_of(9000, today=500, yesterday=800, at=MIDNIGHT - 120))
    assert meter.take_finished_days() == ()
    assert shown(meter.totals(wall_seconds=MIDNIGHT + 100)) == pytest.approx((9200, 9200, 9200, 100, 100))


def test_the_interval_over_a_restart_is_held_back_until_a_newer_copy_tells_what_happened_in_it() -> None:
    meter = resumed(awaits_copy=True)
    run(meter, NOON + 150, NOON + 200)
    meter.merge_recovered(copy_of(120, today=120, yesterday=0, at=NOON + 140))
    # 20 of the copy and 50 of this life: a straight line over the restart would have said 50 instead of 20.
    assert shown(meter.totals(wall_seconds=NOON + 200))[:4] == pytest.approx((170, 170, 170, 170))


def test_the_interval_over_a_restart_is_counted_when_the_copy_knows_no_more() -> None:
    meter = resumed(awaits_copy=True)
    run(meter, NOON + 150, NOON + 200)
    meter.merge_recovered(copy_of(90, today=90, yesterday=0, at=NOON + 90))
    assert shown(meter.totals(wall_seconds=NOON + 200))[:4] == pytest.approx((200, 200, 200, 200))


def test_the_interval_over_a_restart_is_counted_when_there_is_no_copy() -> None:
    meter = resumed(awaits_copy=True)
    run(meter, NOON + 150, NOON + 200)
    meter.no_recovery()
    meter.no_recovery()
    assert shown(meter.totals(wall_seconds=NOON + 200))[:4] == pytest.approx((200, 200, 200, 200))


def test_a_copy_that_comes_before_the_first_reading_and_knows_no_more_changes_nothing() -> None:
    meter = resumed(awaits_copy=True)
    meter.merge_recovered(copy_of(90, today=90, yesterday=0, at=NOON + 90))
    run(meter, NOON + 150, NOON + 200)
    assert shown(meter.totals(wall_seconds=NOON + 200))[:4] == pytest.approx((200, 200, 200, 200))


def test_the_interval_over_a_restart_has_its_place_in_time_also_while_the_clock_is_unknown() -> None:
    meter = resumed(awaits_copy=True)
    for second in (150, 300, 350):
        meter.add(EVERY_SECOND_A_WATT_HOUR, monotonic_seconds=NOON - MIDNIGHT + second, wall_seconds=None)
    meter.no_recovery()
    blocks = meter.state.undated.intervals
    assert [block.end_seconds - NOON + MIDNIGHT for block in blocks] == [150, 350]
    meter.advance_clock(monotonic_seconds=NOON - MIDNIGHT + 350, wall_seconds=NOON + 350)
    assert shown(meter.totals(wall_seconds=NOON + 350))[:4] == pytest.approx((200, 200, 200, 200))
