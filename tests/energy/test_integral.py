from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonnen_agent.energy.counters import FLOWS, QUANTITIES, EnergyCounters
from sonnen_agent.energy.integral import Powers, Sample, flow_watts, integrate
from sonnen_agent.reading import Place, Status

WATTS = st.floats(-10_000, 10_000)
POWERS = st.tuples(WATTS, WATTS, WATTS)


def flows(production: float, feed_in: float, discharge: float) -> dict[str, float]:
    watts = zip(FLOWS, flow_watts((production, feed_in, discharge)), strict=True)
    return {f"{origin}>{target}": value for (origin, target), value in watts if value}


def leaving(place: Place, powers: Powers) -> float:
    return sum(watts for (origin, _), watts in zip(FLOWS, flow_watts(powers), strict=True) if origin == place)


def reaching(place: Place, powers: Powers) -> float:
    return sum(watts for (_, target), watts in zip(FLOWS, flow_watts(powers), strict=True) if target == place)


@pytest.mark.parametrize(
    ("powers", "expected"),
    [
        ((0, 0, 0), {}),
        ((0, -400, 0), {"grid>home": 400}),
        ((0, 0, 400), {"battery>home": 400}),
        ((3000, 1200, -1000), {"solar>home": 800, "solar>battery": 1000, "solar>grid": 1200}),
        ((300, -500, 200), {"solar>home": 300, "battery>home": 200, "grid>home": 500}),
        ((0, -3400, -3000), {"grid>battery": 3000, "grid>home": 400}),
        ((1000, -2500, -3000), {"solar>home": 500, "solar>battery": 500, "grid>battery": 2500}),
        ((500, 700, 1000), {"solar>home": 500, "battery>home": 300, "battery>grid": 700}),
        ((2000, 2500, 1000), {"solar>home": 500, "solar>grid": 1500, "battery>grid": 1000}),
    ],
)
def test_the_sun_feeds_the_home_first_and_the_grid_what_is_missing(powers: Powers, expected: dict[str, float]) -> None:
    assert flows(*powers) == expected


def test_an_inverter_that_draws_power_at_night_produces_nothing() -> None:
    assert flows(-8, 0, 300) == {"battery>home": 300}


@pytest.mark.parametrize(
    ("powers", "expected"),
    [
        ((0, 0, -1000), {"solar>battery": 1000}),
        ((0, 30, 0), {"solar>grid": 30}),
        ((100, -50, -1000), {"solar>battery": 950, "grid>battery": 50}),
        ((0, 500, 400), {"solar>grid": 100, "battery>grid": 400}),
    ],
)
def test_a_source_that_no_meter_saw_is_counted_as_solar(powers: Powers, expected: dict[str, float]) -> None:
    assert flows(*powers) == expected


@given(POWERS)
def test_no_flow_is_ever_negative(powers: Powers) -> None:
    assert min(flow_watts(powers)) >= 0


@given(POWERS)
def test_grid_and_battery_are_kept_whatever_the_meters_say(powers: Powers) -> None:
    _, feed_in, discharge = powers
    assert leaving("grid", powers) == pytest.approx(max(0, -feed_in), abs=1e-8)
    assert reaching("grid", powers) == pytest.approx(max(0, feed_in), abs=1e-8)
    assert leaving("battery", powers) == pytest.approx(max(0, discharge), abs=1e-8)
    assert reaching("battery", powers) == pytest.approx(max(0, -discharge), abs=1e-8)


@given(POWERS)
def test_solar_is_kept_while_the_sources_suffice_and_the_home_takes_the_rest(powers: Powers) -> None:
    production, feed_in, discharge = powers
    rest = max(0, production) + discharge - feed_in
    assert leaving("solar", powers) == pytest.approx(max(0, production) - min(0, rest), abs=1e-8)
    assert reaching("home", powers) == pytest.approx(max(0, rest), abs=1e-8)


FOUR_WATTS = st.tuples(WATTS, WATTS, WATTS, WATTS)


def sample(
    seconds: float, production: float | None, consumption: float | None, feed_in: float | None, discharge: float | None
) -> Sample:
    return Sample(
        monotonic_seconds=seconds,
        production_watts=production,
        consumption_watts=consumption,
        grid_feed_in_watts=feed_in,
        discharge_watts=discharge,
    )


def numbers(energies: EnergyCounters) -> list[float]:
    totals = [energies.totals_watt_hours[quantity] for quantity in QUANTITIES]
    return [*totals, *(energies.flows_watt_hours[flow] for flow in FLOWS), energies.observed_seconds]


def test_steady_power_counts_watts_times_hours() -> None:
    energies = integrate(sample(10, 3000, 800, 1200, -1000), sample(46, 3000, 800, 1200, -1000))
    assert energies.totals_watt_hours == pytest.approx(
        {
            "production": 30,
            "consumption": 8,
            "grid_import": 0,
            "grid_export": 12,
            "battery_charge": 10,
            "battery_discharge": 0,
        }
    )
    assert energies.flows_watt_hours == pytest.approx(
        dict.fromkeys(FLOWS, 0.0) | {("solar", "home"): 8, ("solar", "battery"): 10, ("solar", "grid"): 12}
    )
    assert energies.observed_seconds == 36


def test_a_load_that_steps_over_zero_counts_for_both_signs_as_the_ends_say() -> None:
    # From 3600 W of import to 1200 W of export within 40 s: half of the time for either.
    energies = integrate(sample(0, 2000, 1, -3600, 0), sample(40, 2000, 1, 1200, 0))
    assert energies.totals_watt_hours["grid_import"] == pytest.approx(3600 / 2 * 40 / 3600)
    assert energies.totals_watt_hours["grid_export"] == pytest.approx(1200 / 2 * 40 / 3600)
    assert energies.flows_watt_hours["grid", "home"] == pytest.approx(3600 / 2 * 40 / 3600)
    assert energies.flows_watt_hours["solar", "grid"] == pytest.approx(1200 / 2 * 40 / 3600)


def test_production_below_zero_is_no_production() -> None:
    energies = integrate(sample(0, -100, 1, 0, 0), sample(4, 300, 1, 0, 0))
    assert energies.totals_watt_hours["production"] == pytest.approx(300 / 2 * 4 / 3600)
    assert energies.flows_watt_hours["solar", "home"] == pytest.approx(300 / 2 * 4 / 3600)


def test_a_value_that_is_missing_at_one_end_is_not_counted_and_the_others_are() -> None:
    energies = integrate(sample(0, 100, None, -100, 100), sample(36, 100, 300, -100, 100))
    assert "consumption" not in energies.totals_watt_hours
    assert energies.totals_watt_hours["grid_import"] == pytest.approx(1)
    assert energies.flows_watt_hours["grid", "home"] == pytest.approx(1)
    assert energies.observed_seconds == 36


@pytest.mark.parametrize(
    "end",
    [sample(36, None, 300, -100, 100), sample(36, 100, 300, None, 100), sample(36, 100, 300, -100, None)],
    ids=["production", "grid", "battery"],
)
def test_time_without_flows_is_not_observed(end: Sample) -> None:
    energies = integrate(sample(0, 100, 300, -100, 100), end)
    assert energies.totals_watt_hours["consumption"] == pytest.approx(3)
    assert energies.flows_watt_hours == {}
    assert energies.observed_seconds == 0


@given(FOUR_WATTS, st.floats(0, 4), st.lists(st.floats(0, 1), max_size=4))
def test_cutting_a_line_that_only_grows_or_fades_changes_nothing(
    first: tuple[float, float, float, float], growth: float, cuts: list[float]
) -> None:
    def at(share: float) -> Sample:
        production, consumption, feed_in, discharge = (watts * (1 + (growth - 1) * share) for watts in first)
        return sample(1000 + 60 * share, production, consumption, feed_in, discharge)

    parts = EnergyCounters()
    for share, next_share in pairwise((0.0, *sorted(cuts), 1.0)):
        parts = parts.plus(integrate(at(share), at(next_share)))
    assert numbers(parts) == pytest.approx(numbers(integrate(at(0), at(1))), abs=1e-6)


@given(st.tuples(WATTS, WATTS, WATTS), st.tuples(WATTS, WATTS, WATTS))
def test_sums_of_flows_are_the_totals(first: tuple[float, float, float], last: tuple[float, float, float]) -> None:
    begin = sample(0, abs(first[0]) + 20_000, None, first[1], first[2])
    end = sample(60, abs(last[0]) + 20_000, None, last[1], last[2])
    energies = integrate(begin, end)
    flows, totals = energies.flows_watt_hours, energies.totals_watt_hours
    sums = {
        "production": sum(value for (origin, _), value in flows.items() if origin == "solar"),
        "grid_import": sum(value for (origin, _), value in flows.items() if origin == "grid"),
        "grid_export": sum(value for (_, target), value in flows.items() if target == "grid"),
        "battery_charge": sum(value for (_, target), value in flows.items() if target == "battery"),
        "battery_discharge": sum(value for (origin, _), value in flows.items() if origin == "battery"),
    }
    assert sums == pytest.approx(totals, abs=1e-9)
    assert min(flows.values()) >= 0


def test_a_battery_that_starts_has_no_sample() -> None:
    assert Sample.of(Status(production_watts=0, booting=True), 5) is None
    assert Sample.of(Status(state_of_charge_percent=50), 5) is None


def test_a_number_that_is_none_cannot_spoil_a_counter() -> None:
    found = Sample.of(Status(production_watts=float("nan"), consumption_watts=200), 5)
    assert found == Sample(monotonic_seconds=5, consumption_watts=200)
