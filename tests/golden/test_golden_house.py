"""The golden house itself: its physics, its truth, and that a right agent's counters agree with it."""

from datetime import date

import numpy as np
import pytest
from golden_events import (
    AUTUMN,
    DAYS_OF_LINK_GAP,
    GRID_CHARGING_MONTHS,
    INVERTER_TRIP,
    LINK_GAPS,
    NOW,
    OFF_GRID,
    PROMETHEUS_GAP,
    RESTART,
    SILENT,
    SPRING,
    START,
    Window,
    local,
)
from golden_house import golden_house as another_house
from golden_house import minutes_in
from golden_truth import FLOWS, TOTALS

from golden import Golden, GoldenPrometheus

pytestmark = pytest.mark.system

LAG = 2.7
"""The reading that was pushed last on a whole minute is so old."""


def test_it_is_the_same_house_at_each_call(golden_house: Golden) -> None:
    assert np.array_equal(another_house().stored_watt_hours, golden_house.house.stored_watt_hours)


def test_what_comes_in_goes_out(golden_house: Golden) -> None:
    house, truth = golden_house.house, golden_house.truth
    assert np.allclose(house.production + house.discharge - house.consumption - house.feed_in, 0.0)
    assert truth.flow("*", "home", START, NOW) == pytest.approx(truth.watt_hours("consumption", START, NOW), rel=1e-9)
    assert truth.flow("solar", "*", START, NOW) == pytest.approx(truth.watt_hours("production", START, NOW), rel=1e-9)
    for quantity, flow in (
        ("grid_import", ("grid", "*")),
        ("grid_export", ("*", "grid")),
        ("battery_charge", ("*", "battery")),
        ("battery_discharge", ("battery", "*")),
    ):
        assert truth.flow(*flow, START, NOW) == pytest.approx(truth.watt_hours(quantity, START, NOW), rel=1e-9)
    assert all(truth.flow(*flow, *truth.day(day)) > -1e-6 for day in truth.days() for flow in FLOWS)


def test_the_truth_of_a_part_of_a_minute_is_its_power(golden_house: Golden) -> None:
    truth = golden_house.truth
    begin = local("2025-07-10 12:00") + 17.5
    watts = (truth.watts("production", begin) + truth.watts("production", begin + 20)) / 2
    assert truth.watt_hours("production", begin, begin + 20) == pytest.approx(watts * 20 / 3600, rel=1e-3)


def test_the_battery_neither_makes_nor_hides_energy(golden_house: Golden) -> None:
    house, truth = golden_house.house, golden_house.truth
    stored = house.stored_watt_hours[-1] - house.stored_watt_hours[0]
    lost = truth.watt_hours("battery_charge", START, NOW) - truth.watt_hours("battery_discharge", START, NOW) - stored
    assert 0.05 < lost / truth.watt_hours("battery_charge", START, NOW) < 0.15
    assert house.state_of_charge_percent.min() > 0
    assert house.state_of_charge_percent.max() <= 100


def test_days_have_23_24_and_25_hours(golden_house: Golden) -> None:
    hours = {
        day: (end - begin) / 3600 for day in golden_house.truth.days() for begin, end in [golden_house.truth.day(day)]
    }
    assert hours[date.fromisoformat(SPRING)] == 23
    assert hours[date.fromisoformat(AUTUMN)] == 25
    assert sorted(set(list(hours.values())[:-1])) == [23, 24, 25]


def test_it_has_what_dashboards_are_about(golden_house: Golden) -> None:
    truth, house = golden_house.truth, golden_house.house
    assert truth.flow("grid", "battery", START, NOW) > 50_000, "grid charging"
    assert GRID_CHARGING_MONTHS == (12, 1, 2)
    night = OFF_GRID[-1]
    assert truth.watt_hours("grid_import", night.begin, night.end) == 0
    assert truth.watt_hours("grid_export", night.begin, night.end) == 0
    assert truth.flow("battery", "home", night.begin, night.end) > 1000
    assert house.production[minutes_in(INVERTER_TRIP)].max() == 0
    assert 0.3 < truth.self_sufficiency(START, NOW) < 0.9
    assert truth.tariff_import("night", START, NOW) > 100_000
    assert truth.tariff_import("day", START, NOW) > 100_000
    assert truth.observed_seconds(SILENT.begin, SILENT.end) == 0


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (local("2024-07-11 00:00"), NOW),
        (local(f"{SPRING} 00:00"), local("2025-03-31 00:00")),
        (local(f"{AUTUMN} 00:00"), local("2024-10-28 00:00")),
        (local("2025-06-03 00:00"), local("2025-06-04 00:00")),
        (local("2025-04-08 00:00"), local("2025-04-12 00:00")),
        (local("2025-05-20 00:00"), local("2025-05-21 00:00")),
        (local("2024-08-20 00:00"), local("2024-08-21 00:00")),
        (local("2025-07-08 00:00"), local("2025-07-09 00:00")),
        (local("2025-01-15 00:00"), local("2025-01-16 00:00")),
    ],
    ids=[
        "year",
        "23-hours",
        "25-hours",
        "link-gap",
        "days-of-link-gap",
        "update",
        "prometheus-gap",
        "restart",
        "winter",
    ],
)
def test_what_a_right_agent_counts_is_the_truth(
    golden_house: Golden, golden_prometheus: GoldenPrometheus, begin: float, end: float
) -> None:
    truth = golden_house.truth
    for quantity in TOTALS:
        copy = f"sonnen:{quantity}_watt_hours_total:copy1m"
        ((_, found),) = golden_prometheus.query(f"increase({copy}[{end - begin:.0f}s])", at=end)
        sure = truth.watt_hours(quantity, begin - LAG, end - LAG)
        assert found == pytest.approx(sure, rel=1e-3, abs=2.0), quantity


@pytest.mark.parametrize("gap", LINK_GAPS, ids=["days", "hours"])
def test_a_gateway_repeats_while_the_link_is_gone_and_the_counters_catch_up(
    golden_prometheus: GoldenPrometheus, gap: Window
) -> None:
    begin, end = gap.begin + 60, gap.end
    for name, values in (("sonnen_production_watts", 1), ("sonnen_production_watt_hours_total", 1)):
        ((_, points),) = golden_prometheus.query_range(name, begin, end, 60)
        assert len({value for _, value in points}) == values
    ((_, stale),) = golden_prometheus.query_range("sonnen:fresh:bool", begin, end, 60)
    assert {value for _, value in stale} == {0.0}
    ((_, jump),) = golden_prometheus.query("increase(sonnen_production_watt_hours_total[2m])", at=end + 60)
    assert jump > 1000


def test_no_day_is_told_of_while_the_link_is_gone(golden_prometheus: GoldenPrometheus) -> None:
    seconds = DAYS_OF_LINK_GAP.end - DAYS_OF_LINK_GAP.begin - 60
    for name in ("yesterday", "today"):
        told = f"sonnen:energy_{name}_watt_hours:copy5m"
        assert not golden_prometheus.query(f"count_over_time({told}[{seconds:.0f}s])", at=DAYS_OF_LINK_GAP.end)
        assert golden_prometheus.query(told, at=DAYS_OF_LINK_GAP.end + 360)


def test_what_comes_at_once_after_a_link_gap_is_not_what_two_hours_bring(golden_prometheus: GoldenPrometheus) -> None:
    for name in ("increase2h", "increase2h_best7d"):
        ((_, most),) = golden_prometheus.query(f"max_over_time(sonnen:production_watt_hours:{name}[365d])")
        assert 5000 < most < 2 * 5600, name


def test_there_is_nothing_where_nobody_scraped(golden_prometheus: GoldenPrometheus) -> None:
    middle = PROMETHEUS_GAP.middle
    assert not golden_prometheus.query('{__name__=~"sonnen.*|up|push_time_seconds"}', at=middle)


def test_a_restart_sets_back_the_agents_own_counters_only(golden_prometheus: GoldenPrometheus) -> None:
    at = RESTART.end + 600
    ((_, resets),) = golden_prometheus.query(
        'resets(sonnen_agent_sends_total{sink="pushgateway",outcome="ok"}[1h])', at=at
    )
    assert resets == 1
    found = golden_prometheus.query('resets(sonnen_flow_watt_hours_total{job="sonnen"}[1h])', at=at)
    assert {value for _, value in found} == {0.0}
