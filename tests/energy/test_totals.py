from zoneinfo import ZoneInfo

import pytest

from sonnen_agent.energy import (
    FLOWS,
    Counters,
    EnergyCounters,
    EnergyMeter,
    EnergyTotals,
    MeterState,
    RecoveredCounters,
    TariffCounts,
    TariffPeriod,
    Tariffs,
)
from sonnen_agent.reading import Reading, Status
from sonnen_agent.shared_meter import SharedMeter

BERLIN = ZoneInfo("Europe/Berlin")
NOON = 1_780_308_000.0
FLAT = Tariffs(currency="EUR", import_periods=(TariffPeriod(name="flat", price_per_kilowatt_hour=0.4),))
BUYING = Status(production_watts=0, consumption_watts=36_000, grid_feed_in_watts=-36_000, discharge_watts=0)
"""Ten watt-hours a second."""


def kept(watt_hours: float) -> MeterState:
    energies = EnergyCounters(
        totals_watt_hours={"production": 70_000, "grid_import": watt_hours, "consumption": watt_hours},
        flows_watt_hours=dict.fromkeys(FLOWS, 0.0) | {("grid", "home"): watt_hours},
        observed_seconds=10_000,
    )
    money = TariffCounts(import_watt_hours={"flat": watt_hours}, cost={"EUR": watt_hours * 0.0004})
    return MeterState(tally=Counters(energies=energies, tariffs=money))


def account(*, after_crash: bool, settled: bool = True) -> SharedMeter:
    meter = EnergyMeter(zone=BERLIN, tariffs=FLAT, state=kept(5_000))
    return SharedMeter(meter, lambda: NOON, settled=settled, after_crash=after_crash)


def buy(account: SharedMeter, start: int, end: int) -> None:
    for second in range(start, end + 1, 5):
        reading = Reading(status=BUYING, generation="v2", unix_seconds=NOON + second, monotonic_seconds=float(second))
        account.count(reading, second)


def seen(account: SharedMeter) -> EnergyTotals:
    totals = account.totals()
    assert totals is not None
    return totals[0]


def guarded(account: SharedMeter) -> EnergyTotals:
    """Return what is seen by receivers that cannot be asked what they have seen before."""
    totals = account.totals()
    assert totals is not None
    return totals[1]


def test_after_a_clean_stop_everything_is_shown_at_once() -> None:
    totals = guarded(account(after_crash=False))

    assert totals.watt_hours["grid_import"] == 5_000
    assert totals.cost == {"EUR": 2.0}


def test_after_a_crash_a_counter_comes_back_when_it_has_passed_what_can_have_been_seen() -> None:
    crashed = account(after_crash=True)
    buy(crashed, 0, 70)
    early = guarded(crashed)
    buy(crashed, 75, 125)
    late = guarded(crashed)

    assert (early.watt_hours, early.observed_seconds) == ({}, None)
    assert early.flows_watt_hours == {}
    assert (early.tariff_import_watt_hours, early.cost) == ({}, {})
    assert late.watt_hours["grid_import"] == pytest.approx(6_250)
    assert late.flows_watt_hours == {("grid", "home"): pytest.approx(6_250)}
    assert late.tariff_import_watt_hours == {"flat": pytest.approx(6_250)}
    assert late.cost == {"EUR": pytest.approx(2.5)}
    assert late.observed_seconds == 10_125
    # Nothing was produced since: it may have been a little more before the crash.
    assert late.watt_hours.get("production") is None


def test_who_can_be_asked_is_shown_everything_also_after_a_crash() -> None:
    totals = seen(account(after_crash=True))

    assert totals.watt_hours["grid_import"] == 5_000


def test_what_the_gateway_has_seen_others_may_have_seen_too() -> None:
    crashed = account(after_crash=True, settled=False)
    assert crashed.totals() is None

    crashed.recover(RecoveredCounters(tally=kept(5_600).tally))
    buy(crashed, 0, 70)
    early = guarded(crashed)
    buy(crashed, 75, 80)
    late = guarded(crashed)

    # 6300 would have been enough before the gateway told of 5600.
    assert early.watt_hours.get("grid_import") is None
    assert late.watt_hours["grid_import"] == pytest.approx(6_400)
