from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from sonnen_agent.energy.days import Calendar
from sonnen_agent.energy.meter import EnergyMeter
from sonnen_agent.energy.standing import StandingCharge
from sonnen_agent.energy.state import MeterState
from sonnen_agent.energy.tariffs import TariffPeriod, Tariffs

BERLIN = Calendar(ZoneInfo("Europe/Berlin"))
DAY = timedelta(days=1).total_seconds()
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()


def passed(charge: StandingCharge, begin: float, seconds: float, *, boot: float) -> float:
    """Return what is due while the clock goes on, with a beat every five minutes."""
    money, moment = 0.0, begin
    while moment <= begin + seconds:
        charge.observe(monotonic_seconds=moment - boot, wall_seconds=moment)
        money += charge.due(moment)
        moment += 300
    return money


@pytest.mark.parametrize("day", [date(2026, 6, 1), date(2026, 3, 29), date(2026, 10, 25)])
def test_a_day_of_any_length_costs_the_same(day: date) -> None:
    charge, begin = StandingCharge(0.45, BERLIN, None), BERLIN.start_of(day)
    assert passed(charge, begin, BERLIN.length_of(day), boot=0) == pytest.approx(0.45)


def test_the_days_in_which_the_agent_did_not_run_are_owed() -> None:
    charge = StandingCharge(0.45, BERLIN, NOON - 5 * DAY)
    assert passed(charge, NOON, DAY / 2, boot=NOON - 30) == pytest.approx(5.5 * 0.45)


def test_a_clock_that_is_ahead_and_then_set_charges_for_no_day_that_never_was() -> None:
    charge = StandingCharge(0.45, BERLIN, NOON - 60)
    ahead = passed(charge, NOON + 40 * DAY, 300, boot=NOON + 40 * DAY - 20)
    assert ahead == 0
    # The boot was 320 s ago, by the clock that does not leap.
    assert passed(charge, NOON, DAY, boot=NOON - 340) == pytest.approx(0.45, rel=1e-3)


def test_a_clock_that_was_ahead_for_long_charges_no_day_twice() -> None:
    charge = StandingCharge(0.45, BERLIN, NOON)
    money = passed(charge, NOON + 3 * DAY, DAY, boot=NOON)
    assert money == pytest.approx(4 * 0.45)
    assert passed(charge, NOON + DAY, 5 * DAY, boot=NOON - 3 * DAY) == pytest.approx(2 * 0.45)


def test_a_clock_that_was_years_ahead_charges_nothing_for_them_and_goes_on_when_it_is_set() -> None:
    charge = StandingCharge(0.45, BERLIN, NOON)
    assert passed(charge, NOON + 4000 * DAY, DAY, boot=NOON) == pytest.approx(0.45)
    assert passed(charge, NOON + DAY, DAY, boot=NOON - 4000 * DAY) == pytest.approx(0.45)


def test_what_a_copy_has_more_is_not_charged_again_and_what_it_had_not_yet_counted_is() -> None:
    charge = StandingCharge(0.45, BERLIN, NOON)
    # The copy is of three days later, when the agent had been back for so short a time that it had counted a rest only.
    charge.recovered(0.45 / 4, NOON + 3 * DAY)
    assert passed(charge, NOON + 3 * DAY, DAY, boot=NOON + 3 * DAY) == pytest.approx(3.75 * 0.45)
    lost = StandingCharge(0.45, BERLIN, None)
    lost.recovered(100.0, NOON)
    assert passed(lost, NOON + DAY, DAY, boot=NOON + DAY) == pytest.approx(2 * 0.45)


def test_without_a_price_nothing_is_owed_and_nothing_later_for_that_time() -> None:
    charge = StandingCharge(None, BERLIN, NOON - 30 * DAY)
    assert passed(charge, NOON, DAY, boot=0) == 0
    assert charge.until_unix_seconds is None


def meter(state: MeterState | None = None) -> EnergyMeter:
    tariffs = Tariffs(
        currency="EUR",
        import_periods=(TariffPeriod(name="flat", price_per_kilowatt_hour=0.3),),
        standing_price_per_day=0.45,
    )
    return EnergyMeter(zone=UTC, tariffs=tariffs, state=state, same_boot=True)


def beats(home: EnergyMeter, begin: float, seconds: float) -> float:
    """Let time pass with a battery that does not answer, and return the standing charge so far."""
    moment = begin
    while moment <= begin + seconds:
        home.advance_clock(monotonic_seconds=moment, wall_seconds=moment)
        moment += 300
    return home.totals(wall_seconds=moment).standing_charge["EUR"]


def test_a_battery_that_does_not_answer_saves_no_standing_charge_and_a_restart_repeats_none() -> None:
    home = meter()
    assert home.totals(wall_seconds=NOON).standing_charge == {"EUR": 0}
    assert beats(home, NOON, DAY) == pytest.approx(0.45)
    home = meter(home.state)
    assert beats(home, NOON + DAY + 300, 3600) == pytest.approx(0.45 * (25 / 24 + 300 / DAY))
    (finished,) = home.take_finished_days()
    assert finished.tariffs.standing_charge["EUR"] == pytest.approx(0.225)


def test_while_the_clock_is_not_known_nothing_is_owed_yet() -> None:
    home = meter(MeterState(standing_until_unix_seconds=NOON))
    for moment in range(0, 7200, 300):
        home.advance_clock(monotonic_seconds=moment, wall_seconds=None)
    assert home.totals(wall_seconds=None).standing_charge == {"EUR": 0}
    assert beats(home, NOON + 7200, 3600) == pytest.approx(0.45 * 3 / 24)
