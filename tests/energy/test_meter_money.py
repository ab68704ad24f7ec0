"""Money over a whole year, by day, and across releases: against an integral that knows nothing of the meter."""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from sonnen_agent.energy.counters import EnergyCounters, TariffCounts
from sonnen_agent.energy.days import FinishedDay
from sonnen_agent.energy.meter import EnergyMeter
from sonnen_agent.energy.state import Ceiling, state_from_json, state_to_json
from sonnen_agent.energy.tariffs import TariffPeriod, Tariffs
from sonnen_agent.energy.totals import EnergyTotals, RecoveredCounters, without_possible_resets
from sonnen_agent.reading import Status

CALIFORNIA = ZoneInfo("America/Los_Angeles")
SUMMER = frozenset({6, 7, 8, 9})
STEP_SECONDS, FINE_SECONDS = 25 * 60, 300
HOLIDAY = date(2026, 12, 25)
PRICES = {"summer_peak": 0.62, "winter_peak": 0.47, "weekend": 0.3, "summer": 0.38, "winter": 0.34, "export": 0.05}
PEAK = TariffPeriod(name="winter_peak", price_per_kilowatt_hour=0.47, start=time(16), end=time(21))
HOUSE = Tariffs(
    currency="USD",
    import_periods=(
        replace(PEAK, name="summer_peak", price_per_kilowatt_hour=0.62, months=SUMMER),
        PEAK,
        TariffPeriod(name="weekend", price_per_kilowatt_hour=0.3, days=frozenset({5, 6})),
        TariffPeriod(name="summer", price_per_kilowatt_hour=0.38, months=SUMMER),
        TariffPeriod(name="winter", price_per_kilowatt_hour=0.34),
    ),
    export_periods=(TariffPeriod(name="export", price_per_kilowatt_hour=0.05),),
    holidays=frozenset({HOLIDAY}),
    standing_price_per_day=0.8,
)


def midnight(day: date, zone: ZoneInfo = CALIFORNIA) -> float:
    return datetime.combine(day, time(), zone).timestamp()


def status_at(unix_seconds: float) -> Status:
    """Return a house with sun, an evening and a restless load."""
    hours = unix_seconds / 3600
    production = max(0.0, 4000 * math.sin(hours * math.tau / 24 - 3))
    consumption = 900 + 600 * math.sin(hours) + 800 * math.sin(hours * math.tau / 24)
    consumption = max(consumption, 150.0)
    return Status(
        production_watts=production,
        consumption_watts=consumption,
        grid_feed_in_watts=production - consumption,
        discharge_watts=0,
    )


def told(unix_seconds: float) -> tuple[date, str]:
    """Return the local day and the tariff of a moment, in this test's own words."""
    local = datetime.fromtimestamp(unix_seconds, CALIFORNIA)
    summer = 6 <= local.month <= 9
    if 16 <= local.hour < 21:
        return local.date(), "summer_peak" if summer else "winter_peak"
    if local.isoweekday() > 5 or (local.month, local.day) == (12, 25):
        return local.date(), "weekend"
    return local.date(), "summer" if summer else "winter"


def steps(begin: float, end: float) -> Iterator[float]:
    moment = begin
    while moment < end:
        yield moment
        moment += STEP_SECONDS
    yield end


def test_a_year_of_an_american_house_is_what_an_independent_integral_says() -> None:
    begin, end = midnight(date(2026, 1, 1)), midnight(date(2027, 1, 1))
    meter = EnergyMeter(zone=CALIFORNIA, tariffs=HOUSE, max_gap_seconds=3600)
    bought: defaultdict[str, float] = defaultdict(float)
    used: defaultdict[str, float] = defaultdict(float)
    days: defaultdict[date, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    before = None
    for moment in steps(begin, end):
        status = status_at(moment)
        meter.add(status, monotonic_seconds=moment - begin, wall_seconds=moment)
        assert status.grid_feed_in_watts is not None
        assert status.consumption_watts is not None
        if before is not None:
            since, (feed_in, load) = before
            cuts = max(1, round((moment - since) / FINE_SECONDS))
            kilowatt_hours = (moment - since) / cuts / 3600 / 1000
            imported = (max(0.0, -feed_in) + max(0.0, -status.grid_feed_in_watts)) / 2 * kilowatt_hours
            exported = (max(0.0, feed_in) + max(0.0, status.grid_feed_in_watts)) / 2 * kilowatt_hours
            consumed = (load + status.consumption_watts) / 2 * kilowatt_hours
            for cut in range(cuts):
                day, tariff = told(since + (cut + 0.5) * FINE_SECONDS)
                bought[tariff] += imported * 1000
                used[tariff] += consumed * 1000
                money = days[day]
                money[0] += imported * PRICES[tariff]
                money[1] += exported * PRICES["export"]
                money[2] += consumed * PRICES[tariff]
        before = moment, (status.grid_feed_in_watts, status.consumption_watts)

    totals = meter.totals(wall_seconds=end)

    assert len(bought) == 5
    assert totals.tariff_import_watt_hours == pytest.approx(bought, rel=1e-6)
    assert totals.tariff_consumption_watt_hours == pytest.approx(used, rel=1e-6)
    cost, revenue, use = (sum(money[column] for money in days.values()) for column in range(3))
    assert totals.cost == pytest.approx({"USD": cost}, rel=1e-6)
    assert totals.revenue == pytest.approx({"USD": revenue}, rel=1e-6)
    assert totals.consumption_cost == pytest.approx({"USD": use}, rel=1e-6)
    assert totals.standing_charge == pytest.approx({"USD": 365 * 0.8}, rel=1e-6)
    assert (totals.cost_credit, totals.revenue_credit, totals.consumption_cost_credit) == ({}, {}, {})

    finished = {one.day: one for one in meter.take_finished_days()}
    assert set(finished) == set(days)
    assert [finished[date(2026, 3, 8)].length_seconds, finished[date(2026, 11, 1)].length_seconds] == [82_800, 90_000]
    for day, (cost, revenue, use) in days.items():
        tariffs = finished[day].tariffs
        assert tariffs.cost["USD"] == pytest.approx(cost, rel=1e-6), day
        assert tariffs.revenue["USD"] == pytest.approx(revenue, rel=1e-6, abs=1e-9), day
        assert tariffs.consumption_cost["USD"] == pytest.approx(use, rel=1e-6), day
        assert tariffs.standing_charge["USD"] == pytest.approx(0.8, rel=1e-6), day


GLUT = replace(PEAK, name="glut", price_per_kilowatt_hour=-0.1, start=time(11), end=time(14))
SPOT = replace(HOUSE, import_periods=(GLUT, TariffPeriod(name="rest", price_per_kilowatt_hour=0.3)))
BUYING = Status(production_watts=0, consumption_watts=500, grid_feed_in_watts=-1000, discharge_watts=-500)


def run(meter: EnergyMeter, begin: float, hours: float, *, boot: float = 0.0) -> EnergyTotals:
    """Buy a kilowatt, half of it for the house."""
    for moment in steps(begin, begin + hours * 3600):
        meter.add(BUYING, monotonic_seconds=moment - boot, wall_seconds=moment)
    return meter.totals(wall_seconds=begin + hours * 3600)


def test_money_of_today_and_yesterday_is_net_and_saved_is_their_difference() -> None:
    meter = EnergyMeter(zone=CALIFORNIA, tariffs=SPOT, max_gap_seconds=3600)
    begin = midnight(date(2026, 11, 1))
    totals = run(meter, begin, 25 + 12)

    assert totals.cost_credit == pytest.approx({"USD": 0.4})
    assert totals.cost == pytest.approx({"USD": (37 - 4) * 0.3})
    assert totals.consumption_cost_credit == pytest.approx({"USD": 0.2})
    assert totals.cost_yesterday == pytest.approx({"USD": 22 * 0.3 - 3 * 0.1})  # of 25 hours
    assert totals.cost_today == pytest.approx({"USD": 11 * 0.3 - 0.1})
    assert totals.revenue_today == totals.revenue_yesterday == {"USD": 0}
    assert totals.consumption_cost_yesterday == pytest.approx({"USD": 11 * 0.3 - 1.5 * 0.1})
    assert totals.consumption_cost_today == pytest.approx({"USD": 5.5 * 0.3 - 0.05})


def test_a_new_price_changes_nothing_of_the_day_so_far() -> None:
    meter = EnergyMeter(zone=CALIFORNIA, tariffs=SPOT, max_gap_seconds=3600)
    begin = midnight(date(2026, 6, 1))
    run(meter, begin, 4)
    dearer = replace(SPOT, import_periods=(TariffPeriod(name="rest", price_per_kilowatt_hour=1),))
    meter = EnergyMeter(zone=CALIFORNIA, tariffs=dearer, max_gap_seconds=3600, state=meter.state, same_boot=True)

    assert run(meter, begin + 4 * 3600, 2).cost_today == pytest.approx({"USD": 4 * 0.3 + 2})


def test_of_a_day_without_tariffs_no_money_is_shown() -> None:
    meter = EnergyMeter(zone=CALIFORNIA, max_gap_seconds=3600)
    begin = midnight(date(2026, 6, 1))
    totals = run(meter, begin, 25)
    assert totals.cost_today == totals.cost_yesterday == {}
    meter = EnergyMeter(zone=CALIFORNIA, tariffs=SPOT, max_gap_seconds=3600, state=meter.state, same_boot=True)
    totals = run(meter, begin + 25 * 3600, 1)
    assert totals.cost_yesterday == {}
    assert totals.cost_today == pytest.approx({"USD": 0.3})


def test_a_state_and_a_day_of_the_release_before_are_read_on() -> None:
    meter = EnergyMeter(zone=CALIFORNIA, tariffs=SPOT, max_gap_seconds=3600)
    run(meter, midnight(date(2026, 6, 1)), 30, boot=midnight(date(2026, 5, 1)))
    document = state_to_json(meter.state)
    old = _without(document, {"consumption_watt_hours", "consumption_cost", "standing_charge"} | _CREDITS)
    assert isinstance(old, dict)
    del old["standing_until_unix_seconds"]

    state = state_from_json(old)

    assert state.tally.tariffs.cost == meter.state.tally.tariffs.cost
    assert state.tally.tariffs.consumption_cost == state.tally.tariffs.standing_charge == {}
    assert state.standing_until_unix_seconds is None
    assert state_from_json(document) == meter.state


_CREDITS = {"cost_credit", "revenue_credit", "consumption_cost_credit"}


def _without(document: object, keys: set[str]) -> object:
    if isinstance(document, dict):
        return {key: _without(value, keys) for key, value in document.items() if key not in keys}
    return [_without(value, keys) for value in document] if isinstance(document, list) else document


def test_months_are_sums_of_days_with_all_their_money() -> None:
    one = FinishedDay(
        day=HOLIDAY,
        length_seconds=86_400,
        energies=EnergyCounters(),
        tariffs=TariffCounts(cost={"USD": 1.0}, cost_credit={"USD": 3.0}, standing_charge={"USD": 0.8}),
    )
    both = one.plus(replace(one, day=HOLIDAY + timedelta(days=1)))
    assert both.tariffs.net("cost") == {"USD": -4.0}
    assert both.tariffs.standing_charge == {"USD": 1.6}


def test_after_a_crash_new_money_is_held_back_until_it_has_passed_what_may_have_been_seen() -> None:
    meter = EnergyMeter(zone=CALIFORNIA, tariffs=SPOT, max_gap_seconds=3600)
    begin = midnight(date(2026, 6, 1)) + 9 * 3600
    run(meter, begin, 3)
    ceiling = Ceiling(counted=meter.state.tally, seconds=30.0)

    shown = without_possible_resets(meter.totals(wall_seconds=None), ceiling)

    assert shown.cost == shown.cost_credit == shown.consumption_cost == shown.standing_charge == {}
    assert shown.consumption_cost_credit == shown.tariff_consumption_watt_hours == {}
    later = without_possible_resets(run(meter, begin + 3 * 3600, 4), ceiling)
    assert later.cost_credit == pytest.approx({"USD": 0.3})
    assert set(later.tariff_consumption_watt_hours) == {"glut", "rest"}
    assert later.standing_charge == pytest.approx({"USD": 7 / 24 * 0.8})


def test_a_lost_card_gets_the_money_of_its_days_back_from_a_copy() -> None:
    meter = EnergyMeter(zone=CALIFORNIA, tariffs=HOUSE, max_gap_seconds=3600)
    begin = midnight(date(2026, 6, 1))
    before = run(meter, begin, 30)
    now = begin + 30 * 3600
    copy = RecoveredCounters(
        tally=meter.state.tally,
        today_watt_hours=before.today_watt_hours or {},
        yesterday_watt_hours=before.yesterday_watt_hours or {},
        today_tariffs=TariffCounts(cost=before.cost_today, consumption_cost=before.consumption_cost_today),
        yesterday_tariffs=TariffCounts(cost=before.cost_yesterday, revenue=before.revenue_yesterday),
        unix_seconds=now,
    )
    new = EnergyMeter(zone=CALIFORNIA, tariffs=HOUSE, max_gap_seconds=3600)
    for _ in range(2):
        new.merge_recovered(copy)
    after = new.totals(wall_seconds=now)

    assert after.cost_today == pytest.approx(before.cost_today)
    assert after.consumption_cost_today == pytest.approx(before.consumption_cost_today)
    assert after.cost_yesterday == pytest.approx(before.cost_yesterday)
    assert after.standing_charge == pytest.approx(before.standing_charge)
    # What the copy has of the standing charge is not counted once more.
    assert run(new, now, 2).standing_charge == pytest.approx({"USD": 32 / 24 * 0.8})


def test_a_tariff_in_utc_is_cut_at_its_midnights() -> None:
    sunday = Tariffs(
        currency="EUR",
        import_periods=(
            TariffPeriod(name="sunday", price_per_kilowatt_hour=0, days=frozenset({6})),
            TariffPeriod(name="rest", price_per_kilowatt_hour=1),
        ),
    )
    meter = EnergyMeter(zone=UTC, tariffs=sunday, max_gap_seconds=3600)
    totals = run(meter, datetime(2026, 5, 30, 12, tzinfo=UTC).timestamp(), 48)  # from Saturday to Monday noon
    assert totals.tariff_import_watt_hours == pytest.approx({"sunday": 24_000, "rest": 24_000})
