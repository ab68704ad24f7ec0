import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonnen_agent.energy.flows import FLOWS, Powers, flow_watts
from sonnen_agent.reading import Place

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


@settings(deadline=None)
@given(POWERS)
def test_no_flow_is_ever_negative(powers: Powers) -> None:
    assert min(flow_watts(powers)) >= 0


@settings(deadline=None)
@given(POWERS)
def test_grid_and_battery_are_kept_whatever_the_meters_say(powers: Powers) -> None:
    _, feed_in, discharge = powers
    assert leaving("grid", powers) == pytest.approx(max(0, -feed_in), abs=1e-8)
    assert reaching("grid", powers) == pytest.approx(max(0, feed_in), abs=1e-8)
    assert leaving("battery", powers) == pytest.approx(max(0, discharge), abs=1e-8)
    assert reaching("battery", powers) == pytest.approx(max(0, -discharge), abs=1e-8)


@settings(deadline=None)
@given(POWERS)
def test_solar_is_kept_while_the_sources_suffice_and_the_home_takes_the_rest(powers: Powers) -> None:
    production, feed_in, discharge = powers
    rest = max(0, production) + discharge - feed_in
    assert leaving("solar", powers) == pytest.approx(max(0, production) - min(0, rest), abs=1e-8)
    assert reaching("home", powers) == pytest.approx(max(0, rest), abs=1e-8)
