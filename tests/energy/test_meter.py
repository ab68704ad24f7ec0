from datetime import UTC, date
from zoneinfo import ZoneInfo

import pytest

from sonnen_agent.energy.counters import FLOWS
from sonnen_agent.energy.days import Calendar
from sonnen_agent.energy.meter import EnergyMeter
from sonnen_agent.energy.totals import EnergyTotals
from sonnen_agent.reading import Status

BERLIN = ZoneInfo("Europe/Berlin")
NOON = Calendar(BERLIN).start_of(date(2024, 6, 1)) + 12 * 3600
SUNNY = Status(production_watts=3600, consumption_watts=720, grid_feed_in_watts=1080, discharge_watts=-1800)


def read(meter: EnergyMeter, *readings: tuple[float, Status]) -> EnergyTotals:
    for seconds, status in readings:
        meter.add(status, monotonic_seconds=seconds, wall_seconds=NOON + seconds)
    return meter.totals(wall_seconds=NOON + readings[-1][0])


def test_the_first_reading_counts_nothing_yet() -> None:
    totals = read(EnergyMeter(zone=BERLIN), (0, SUNNY))
    assert totals.watt_hours.get("production") is None
    assert totals.flows_watt_hours == {}
    assert totals.observed_seconds is None
    assert totals.today_watt_hours == {}
    assert totals.yesterday_watt_hours is None


def test_two_readings_count_what_was_between_them() -> None:
    totals = read(EnergyMeter(zone=BERLIN), (0, SUNNY), (10, SUNNY))
    assert totals.watt_hours["production"] == pytest.approx(10)
    assert totals.watt_hours["consumption"] == pytest.approx(2)
    assert totals.watt_hours["grid_export"] == pytest.approx(3)
    assert totals.watt_hours["grid_import"] == 0
    assert totals.watt_hours["battery_charge"] == pytest.approx(5)
    assert totals.watt_hours["battery_discharge"] == 0
    expected = {("solar", "home"): 2, ("solar", "battery"): 5, ("solar", "grid"): 3}
    assert totals.flows_watt_hours == pytest.approx(dict.fromkeys(FLOWS, 0) | expected)
    assert totals.today_watt_hours == totals.flows_watt_hours
    assert totals.observed_seconds == 10


def test_a_gap_of_more_than_a_minute_is_missing_and_shows_as_such() -> None:
    totals = read(EnergyMeter(zone=BERLIN), (0, SUNNY), (10, SUNNY), (70.1, SUNNY), (80.1, SUNNY))
    assert totals.observed_seconds == pytest.approx(20)
    assert totals.watt_hours["production"] == pytest.approx(20)


def test_a_gap_of_a_minute_is_bridged() -> None:
    assert read(EnergyMeter(zone=BERLIN), (0, SUNNY), (60, SUNNY)).watt_hours["production"] == pytest.approx(60)


def test_the_longest_gap_is_for_the_operator_to_say() -> None:
    meter = EnergyMeter(zone=BERLIN, max_gap_seconds=600)
    assert read(meter, (0, SUNNY), (600, SUNNY)).watt_hours["production"] == pytest.approx(600)


@pytest.mark.parametrize(
    "silent", [Status(), Status(state_of_charge_percent=5), Status(production_watts=0, booting=True)]
)
def test_a_reading_without_power_is_no_reading(silent: Status) -> None:
    totals = read(EnergyMeter(zone=BERLIN), (0, SUNNY), (20, silent), (40, SUNNY))
    assert totals.watt_hours["production"] == pytest.approx(40)


def test_a_battery_that_never_tells_its_production_gets_no_counter_of_it() -> None:
    blind = Status(consumption_watts=720, grid_feed_in_watts=-720, discharge_watts=0)
    totals = read(EnergyMeter(zone=BERLIN), (0, blind), (50, blind))
    assert totals.watt_hours.get("production") is None
    assert totals.watt_hours["grid_import"] == pytest.approx(10)
    assert totals.flows_watt_hours == {}
    assert totals.observed_seconds == 0


def test_the_same_reading_twice_counts_once() -> None:
    totals = read(EnergyMeter(zone=BERLIN), (0, SUNNY), (10, SUNNY), (10, SUNNY), (20, SUNNY))
    assert totals.watt_hours["production"] == pytest.approx(20)


def test_a_monotonic_clock_that_starts_anew_is_a_reboot() -> None:
    meter = EnergyMeter(zone=BERLIN)
    read(meter, (1000, SUNNY), (1010, SUNNY))
    assert read(meter, (5, SUNNY), (15, SUNNY)).watt_hours["production"] == pytest.approx(20)


@pytest.mark.parametrize("draw", [5.0, 32.0])
def test_what_an_idle_battery_draws_for_itself_is_standby_and_no_charge(draw: float) -> None:
    meter = EnergyMeter(zone=UTC)
    idle = Status(production_watts=0, consumption_watts=400, grid_feed_in_watts=-400 - draw, discharge_watts=-draw)
    for moment in range(0, 3601, 30):
        meter.add(idle, monotonic_seconds=moment, wall_seconds=None)

    totals = meter.totals(wall_seconds=None)

    assert totals.standby_watt_hours == pytest.approx(draw)
    assert totals.watt_hours["battery_charge"] == 0
    assert totals.flows_watt_hours["grid", "battery"] == 0
    assert totals.flows_watt_hours["grid", "home"] == pytest.approx(totals.watt_hours["grid_import"])


def test_a_battery_that_charges_with_more_has_no_standby() -> None:
    meter = EnergyMeter(zone=UTC)
    for moment in (0, 30):
        charging = Status(production_watts=500, consumption_watts=467, grid_feed_in_watts=0, discharge_watts=-33)
        meter.add(charging, monotonic_seconds=moment, wall_seconds=None)

    totals = meter.totals(wall_seconds=None)

    assert totals.standby_watt_hours == 0
    assert totals.watt_hours["battery_charge"] == totals.flows_watt_hours["solar", "battery"] == 33 * 30 / 3600


def test_a_refused_reading_is_counted_by_its_reason_and_leaves_a_gap() -> None:
    meter = EnergyMeter(zone=UTC)
    status = Status(production_watts=0, consumption_watts=400, grid_feed_in_watts=-400, discharge_watts=0)
    for moment in range(0, 60, 5):
        if moment == 30:
            meter.refuse("spike", is_counted=False)
        else:
            meter.add(status, monotonic_seconds=moment, wall_seconds=None)

    totals = meter.totals(wall_seconds=None)

    assert totals.refused == {"spike": 1, "balance": 0, "frozen": 0, "meter_error": 0}
    assert totals.observed_seconds == 55 - 10
    assert totals.watt_hours["grid_import"] == pytest.approx(400 * 45 / 3600)
