import math
from collections.abc import Callable

import pytest

from sonnen_agent.battery import values

PARSERS = (
    values.number,
    values.watts,
    values.percent,
    values.hertz,
    values.volts,
    values.amperes,
    values.celsius,
    values.count,
)
"""Every parser of a quantity."""


@pytest.mark.parametrize("value", [50, 50.0, "50", " 50.0 ", "5e1", "+50", "50."])
@pytest.mark.parametrize("parse", PARSERS)
def test_a_quantity_may_be_an_int_a_float_or_a_text(parse: values.Parse, value: object) -> None:
    assert parse(value) == 50.0


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " ",
        "nan",
        "NaN",
        "null",
        "inf",
        "-Infinity",
        "1e999",
        "0x32",
        "5_0",
        "50 W",
        "5,0",
        "-",
        ".",
        math.nan,
        math.inf,
        -math.inf,
        10**400,
        True,
        False,
        "true",
        [],
        [50],
        {},
        {"value": 50},
    ],
)
@pytest.mark.parametrize("parse", PARSERS)
def test_what_is_no_number_is_no_quantity(parse: values.Parse, value: object) -> None:
    assert parse(value) is None


@pytest.mark.parametrize(
    ("parse", "believed", "refused"),
    [
        (values.watts, (-64_999, 65_210, -2.66, 0, 30_000), (65_525, "65525", 65_491.0, 65_536, -65_525, 1e7)),
        (values.percent, (0, 100, "55.5"), (-0.1, 100.5, 255, 65_535)),
        (values.hertz, (49.99, 60, 40, 70), (0, "0.0", 39.9, 70.1, 4999)),
        (values.volts, (0, 3.257, 237.8, 900), (-0.1, 65_535)),
        (values.amperes, (-88.8, 0, 39.97), (-3000, 65_535)),
        (values.celsius, (-20, 0, 32.351), (-273.15, "-273.15", 151, 3032)),
        (values.count, (0, 1087, 2_830_037), (-1, 1e13)),
    ],
)
def test_an_implausible_quantity_is_none(
    parse: values.Parse, believed: tuple[object, ...], refused: tuple[object, ...]
) -> None:
    assert [parse(value) for value in believed] == [float(str(value)) for value in believed]
    assert [parse(value) for value in refused] == [None] * len(refused)


@pytest.mark.parametrize("value", [True, 1, 1.0, "true", "TRUE", " True ", "1"])
def test_a_truth_has_several_spellings(value: object) -> None:
    assert values.boolean(value) is True


@pytest.mark.parametrize("value", [False, 0, 0.0, "false", "FALSE", "0"])
def test_a_falsehood_has_several_spellings(value: object) -> None:
    assert values.boolean(value) is False


@pytest.mark.parametrize("value", [None, "", "yes", "nan", 2, -1, 0.5, math.nan, [], [1], {}])
def test_what_is_neither_true_nor_false_is_none(value: object) -> None:
    assert values.boolean(value) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.8.3", "1.8.3"),
        (" Pulsing White\n", "Pulsing White"),
        ("serial\x00", "serial"),
        ("a\tb\x1b[31mc", "ab[31mc"),
        ("\ud800half a character", "half a character"),
        ("Küche", "Küche"),
        ("x" * 500, "x" * 120),
    ],
)
def test_a_text_is_made_fit_for_a_label(value: str, text: str) -> None:
    assert values.text(value) == text


@pytest.mark.parametrize("value", [None, "", " \n", "\x00", 5, True, ["a"], {"a": "b"}])
def test_nothing_printable_is_no_text(value: object) -> None:
    assert values.text(value) is None


@pytest.mark.parametrize(("value", "fields"), [({"a": 1}, {"a": 1}), (None, {}), ([], {}), ("{}", {}), (7, {})])
def test_fields_of_what_is_no_object_are_none(value: object, fields: dict[str, object]) -> None:
    assert values.fields(value) == fields


@pytest.mark.parametrize("parse", [values.number, values.boolean, values.text, values.fields])
def test_no_value_is_a_surprise(parse: Callable[[object], object]) -> None:
    deep: object = 1
    for _ in range(500):
        deep = [deep, {"x": deep}] if isinstance(deep, int) else [deep]
    for value in (deep, {"a": deep}, "9" * 100_000, "\u0663", -(10**4000)):
        parse(value)


@pytest.mark.parametrize("value", [-0.0, "-0.0", "-0"])
def test_nothing_has_no_minus(value: object) -> None:
    assert str(values.watts(value)) == "0.0"
