from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, nan

import pytest

from sonnen_agent.rows import Counter, Gauge, counter, gauge, rows_of

DAY = Gauge("sun_by_day", "Sun.", key="day")
NIGHT = Gauge("sun_by_night", "Stars.", key="night")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sky:
    clouds: float | None = gauge("clouds", "Clouds.")
    note: str = ""
    light: Mapping[str, float] = field(default_factory=dict, metadata={"rows": (DAY, NIGHT)})
    wind: float | None = gauge("wind", "Wind.")
    gusts: tuple[float | None, ...] = gauge("gusts", "Gusts.", "phase")
    birds: Mapping[str, int] = counter("birds_total", "Birds.", "kind")
    planes: int = counter("planes_total", "Planes.", default=0)

    @property
    @Counter("rain_total", "Rain.")
    def rain(self) -> float:
        return 1.0

    @property
    @Gauge("moons", "Moons.")
    def moons(self) -> float:
        return 1.0

    @property
    def blue(self) -> bool:
        return not self.clouds


def test_a_part_has_the_rows_of_its_fields_and_then_those_of_its_properties() -> None:
    found = [(name, row.name, row.kind) for name, row in rows_of(Sky)]
    assert found == [
        ("clouds", "clouds", "gauge"),
        ("light", "sun_by_day", "gauge"),
        ("light", "sun_by_night", "gauge"),
        ("wind", "wind", "gauge"),
        ("gusts", "gusts", "gauge"),
        ("birds", "birds_total", "counter"),
        ("planes", "planes_total", "counter"),
        ("rain", "rain_total", "counter"),
        ("moons", "moons", "gauge"),
    ]


def test_a_field_that_a_row_makes_shows_nothing_until_it_is_given_a_value() -> None:
    sky = Sky()
    assert (sky.wind, sky.gusts, sky.birds, sky.planes) == (None, (None, None, None), {}, 0)
    assert [number for name, row in rows_of(Sky) for number in row.numbers(getattr(sky, name))] == [
        ({}, 0.0),
        ({}, 1.0),
        ({}, 1.0),
    ]


def test_a_row_with_a_key_shows_what_the_mapping_has_there() -> None:
    assert [*DAY.numbers({"day": 3, "dusk": 1})] == [({}, 3.0)]
    assert [*NIGHT.numbers({"day": 3, "dusk": 1})] == []


@pytest.mark.parametrize(
    ("labels", "value", "shown"),
    [
        ((), 0, [({}, 0.0)]),
        ((), False, [({}, 0.0)]),
        ((), None, []),
        ((), nan, []),
        (("phase",), (1, None, inf), [({"phase": "1"}, 1.0)]),
        (("led",), {"red": True, "blue": -inf}, [({"led": "red"}, 1.0)]),
        (("from", "to"), {("grid", "home"): 2, ("grid", "battery"): nan}, [({"from": "grid", "to": "home"}, 2.0)]),
        (("from", "to"), None, []),
    ],
)
def test_a_value_is_taken_by_the_labels_and_what_is_no_number_is_left_out(
    labels: tuple[str, ...], value: object, shown: list[tuple[dict[str, str], float]]
) -> None:
    assert [*Gauge("x", "X.", *labels).numbers(value)] == shown


@pytest.mark.parametrize(
    ("labels", "value"),
    [(("phase",), (1, 2)), (("from", "to"), {("grid",): 1}), (("from", "to"), {("a", "b", "c"): 1})],
)
def test_a_value_of_another_shape_than_its_labels_is_a_mistake_of_ours(labels: tuple[str, ...], value: object) -> None:
    with pytest.raises(ValueError, match="zip"):
        Gauge("x", "X.", *labels).numbers(value)
