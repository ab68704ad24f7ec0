import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sonnen_agent.details import Meter
from sonnen_agent.energy.judge import Judge, Verdict
from sonnen_agent.reading import Reading, Status
from sonnen_agent.simulator import profiles
from sonnen_agent.simulator.house import House
from sonnen_agent.simulator.profiles import HouseParameters

BEAT_SECONDS = 5.0


def balanced(production: float, consumption: float, discharge: float = 0.0) -> Status:
    """Return the status of a house in which all is measured."""
    return Status(
        production_watts=production,
        consumption_watts=consumption,
        discharge_watts=discharge,
        grid_feed_in_watts=production + discharge - consumption,
    )


EVENING = balanced(0, 638, 21)
NOON = balanced(5210, 733, -2900)


class Court:
    """A judge and the beats of one battery."""

    def __init__(self) -> None:
        self.judge, self.now = Judge(), 1000.0

    def hears(self, status: Status, *meters: Meter, beats: int = 1, seconds: float = BEAT_SECONDS) -> Verdict:
        """Return the verdict on the last of so many readings."""
        for _ in range(beats):
            self.now += seconds
            verdict = self.judge.judge(
                Reading(status=status, meters=meters, unix_seconds=1e9, monotonic_seconds=self.now, generation="v2")
            )
        return verdict


def is_right(verdict: Verdict) -> bool:
    return verdict.is_counted and verdict.refused is None and not verdict.words


@pytest.mark.parametrize("factor", [10, 100, 1000, -1000])
@pytest.mark.parametrize("power", ["consumption_watts", "grid_feed_in_watts", "production_watts", "discharge_watts"])
def test_a_power_that_leaps_alone_is_no_power(power: str, factor: float) -> None:
    court = Court()
    court.hears(NOON, beats=3)

    verdict = court.hears(replace(NOON, **{power: getattr(NOON, power) * factor}), beats=2)

    assert (verdict.refused, verdict.is_counted) == ("spike", False)
    shown = verdict.reading.status
    assert getattr(shown, power) is None
    assert replace(shown, **{power: getattr(NOON, power)}) == NOON
    assert power.removesuffix("_watts").replace("_", " ") in verdict.words
    assert is_right(court.hears(NOON))


def test_a_spike_at_the_very_first_reading_is_one_too() -> None:
    court = Court()

    verdict = court.hears(replace(EVENING, grid_feed_in_watts=-617_000))

    assert verdict.refused == "spike"
    assert verdict.reading.status == replace(EVENING, grid_feed_in_watts=None)
    assert is_right(court.hears(EVENING))


def test_a_spike_of_what_the_feed_in_is_derived_from_is_told_by_the_scale_of_the_house() -> None:
    court = Court()
    derived = replace(EVENING, feed_in_is_derived=True)
    court.hears(derived, beats=3)

    spike = replace(balanced(0, 638_000, 21), feed_in_is_derived=True)
    verdict = court.hears(spike, beats=2)

    assert verdict.refused == "spike"
    assert (verdict.reading.status.consumption_watts, verdict.reading.status.grid_feed_in_watts) == (None, None)
    assert is_right(court.hears(derived))


@pytest.mark.parametrize("derived", [False, True])
@pytest.mark.parametrize(
    "then",
    [
        balanced(0, 22_638, 21),  # a car
        balanced(0, 10_900, 4_600),  # an oven, a heat pump
        balanced(9_800, 733, -4_600),  # the sun after a cloud
        balanced(300, 733, 4_600),  # a cloud
        balanced(0, 0.5, 0),
    ],
)
def test_a_load_is_never_refused(then: Status, derived: bool) -> None:
    court = Court()
    for _ in range(3):
        for status in (EVENING, then, then, NOON, then):
            assert is_right(court.hears(replace(status, feed_in_is_derived=derived)))


def test_a_house_whose_grid_fails_is_never_refused() -> None:
    court = Court()
    court.hears(NOON, beats=3)

    island = Status(
        production_watts=5210, consumption_watts=4100, grid_feed_in_watts=0, discharge_watts=0, on_grid=False
    )

    # The battery's power stands elsewhere, off the grid.
    assert is_right(court.hears(island, beats=200))
    assert is_right(court.hears(replace(balanced(0, 3900, 3900), on_grid=True)))


def test_a_large_site_is_never_refused() -> None:
    court = Court()
    assert is_right(court.hears(balanced(90_000, 30_000, -40_000)))
    for watts in (65_210, 12_000, 150, 72_000, 65_525.5):
        assert is_right(court.hears(balanced(0, watts, 500)))


def test_a_leap_that_lasts_is_the_truth_of_a_site_that_grew() -> None:
    court = Court()
    court.hears(replace(EVENING, feed_in_is_derived=True), beats=10)
    grown = replace(balanced(0, 38_000), feed_in_is_derived=True)

    assert court.hears(grown, beats=10).refused == "spike"
    assert is_right(court.hears(grown, beats=20))


def test_powers_that_do_not_add_up_are_not_counted_until_it_is_clear_that_they_never_do() -> None:
    court = Court()
    turned = Status(production_watts=4000, consumption_watts=700, grid_feed_in_watts=-3300, discharge_watts=0)

    verdict = court.hears(turned)
    assert (verdict.refused, verdict.is_counted) == ("balance", False)
    assert "is 6600 W, and should be 0" in verdict.words

    verdict = court.hears(turned, beats=70)
    assert (verdict.refused, verdict.is_counted, verdict.trouble) == (None, True, "never adds up")
    assert verdict.reading.status == turned
    # Neither the night, in which nothing is off, nor the next day change that.
    assert is_right(court.hears(EVENING, beats=100)) is False
    assert court.hears(turned).is_counted
    assert court.hears(replace(turned, consumption_watts=700_000)).refused == "spike"


def test_one_reading_out_of_balance_is_not_counted() -> None:
    court = Court()
    court.hears(NOON, beats=3)

    assert court.hears(replace(NOON, production_watts=0)).refused == "balance"
    assert is_right(court.hears(NOON))


def test_a_house_without_a_clamp_is_unknown_at_once_and_the_rest_is_counted() -> None:
    court = Court()
    american = Status(production_watts=6100, consumption_watts=0, grid_feed_in_watts=3300, discharge_watts=-500)

    for status in (american, replace(american, grid_feed_in_watts=5590), american):
        verdict = court.hears(status)
        assert (verdict.is_counted, verdict.refused, verdict.trouble) == (True, None, "no consumption")
        assert verdict.reading.status == replace(status, consumption_watts=None)
    assert "its clamp is missing" in verdict.words


def meter(direction: str, error: float) -> Meter:
    return Meter(direction=direction, name="7_1", error=error)


@pytest.mark.parametrize("error", [-1, 2, 3, 17])
def test_what_a_meter_in_error_does_not_measure_is_unknown(error: float) -> None:
    court = Court()
    silent = Status(production_watts=3100, consumption_watts=0, grid_feed_in_watts=0, discharge_watts=-7)

    verdict = court.hears(silent, meter("production", 0), meter("consumption", error))

    assert (verdict.refused, verdict.is_counted) == ("meter_error", True)
    assert verdict.reading.status == replace(silent, consumption_watts=None, grid_feed_in_watts=None)
    assert verdict.words == "the meters are in error: consumption, grid feed in unknown, and not counted"


def test_what_lives_while_its_meter_is_in_error_is_measured_elsewhere() -> None:
    court = Court()
    hybrid = meter("production", 3), meter("consumption", 0)

    assert is_right(court.hears(NOON, *hybrid))
    assert is_right(court.hears(balanced(0, 400, 380), *hybrid))
    # One that is not ready may have been ready a moment ago.
    assert court.hears(balanced(0, 400, 380), meter("production", -1)).refused == "meter_error"


def test_a_battery_whose_inverter_is_silent_gives_no_power_that_the_others_deny() -> None:
    court = Court()
    silent = replace(balanced(3000, 500), inverter_at_zero=True)

    assert is_right(court.hears(silent))
    assert court.hears(silent).reading.status.discharge_watts == 0

    denied = replace(silent, grid_feed_in_watts=-2100.0)
    verdict = court.hears(denied)

    assert is_right(verdict)
    assert verdict.reading.status == replace(denied, discharge_watts=None)


@pytest.mark.parametrize("derived", [False, True])
def test_nothing_of_a_year_of_a_house_is_refused(derived: bool) -> None:
    draw = random.Random("a year")  # noqa: S311 - the same days in every run
    parameters = HouseParameters(car_watts=22_000.0, max_charge_watts=10_000.0, max_discharge_watts=10_000.0)
    new_year = datetime(2026, 1, 1, tzinfo=UTC)
    court, readings = Court(), 0
    for day in range(0, 365, 5):
        start = new_year + timedelta(days=day, hours=draw.choice((5, 9, 12, 16, 18, 20)))
        house = House(parameters, seed=day, start=start)
        court.now += 5 * 86_400.0
        for seconds in range(0, 3600, profiles.STEP_SECONDS):
            state = house.at(start + timedelta(seconds=seconds))
            grid_failed = 1000 <= seconds < 1500 and day % 4 == 0
            status = Status(
                production_watts=round(state.production_watts),
                consumption_watts=round(state.consumption_watts),
                discharge_watts=0 if grid_failed else round(state.discharge_watts, 1),
                grid_feed_in_watts=0 if grid_failed else round(state.grid_feed_in_watts),
                feed_in_is_derived=derived,
                on_grid=not grid_failed,
            )
            verdict = court.hears(status)
            assert is_right(verdict), f"day {day}, second {seconds}: {verdict}"
            readings += 1
    assert readings > 50_000
