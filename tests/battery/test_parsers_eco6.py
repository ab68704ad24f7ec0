import pytest

from sonnen_agent.battery.parsers import ECO6_CODES, parse_eco6_status
from sonnen_agent.errors import BatteryError
from sonnen_agent.reading import Status

DISCHARGING = {
    "M03": 310,
    "M04": 1450.5,
    "M05": 64,
    "M06": 15,
    "M30": 61,
    "M34": 900,
    "M35": 0,
    "M38": 0,
    "M39": 240,
    "S65": 3300,
}
"""A unit that answers with all its codes at once, in the evening."""


def test_two_codes_make_one_signed_power() -> None:
    assert parse_eco6_status(DISCHARGING) == Status(
        production_watts=310,
        consumption_watts=1450.5,
        grid_feed_in_watts=-240,
        discharge_watts=900,
        state_of_charge_percent=64,
        usable_state_of_charge_percent=61,
    )


def test_charging_and_feed_in_are_the_other_signs() -> None:
    status = parse_eco6_status(DISCHARGING | {"M34": 0, "M35": 1200, "M38": 75, "M39": 0})

    assert (status.discharge_watts, status.grid_feed_in_watts) == (-1200, 75)


def test_numbers_may_be_texts() -> None:
    assert parse_eco6_status({code: str(value) for code, value in DISCHARGING.items()}) == parse_eco6_status(
        DISCHARGING
    )


@pytest.mark.parametrize("code", ["M34", "M35"])
@pytest.mark.parametrize("wrong", [65525, "65525", 3300.1, -1, None, "nan", True])
def test_a_battery_power_that_cannot_be_is_left_out(code: str, wrong: object) -> None:
    status = parse_eco6_status(DISCHARGING | {"M34": 0, "M35": 0, code: wrong})

    assert status.discharge_watts is None
    assert status.grid_feed_in_watts == -240
    assert status.power_balance_watts is None


@pytest.mark.parametrize("idle", [65525, "65535", 3300.1, -1, None, "nan", True])
def test_while_one_direction_lives_the_other_is_idle_whatever_it_says(idle: object) -> None:
    charging = parse_eco6_status(DISCHARGING | {"M34": idle, "M35": 1200, "M38": 75, "M39": idle})
    discharging = parse_eco6_status(DISCHARGING | {"M35": idle, "M38": idle})

    if idle != 3300.1:  # what the inverter cannot do, the grid can
        assert (charging.discharge_watts, charging.grid_feed_in_watts) == (-1200, 75)
        assert (discharging.discharge_watts, discharging.grid_feed_in_watts) == (900, -240)


def test_65525_watts_are_no_reading_where_the_inverters_limit_is_unknown() -> None:
    codes = DISCHARGING | {"M34": 65525}
    del codes["S65"]
    assert parse_eco6_status(codes).discharge_watts is None


@pytest.mark.parametrize("limit", [0, None, "nan", 65525])
def test_a_limit_that_is_none_limits_nothing(limit: object) -> None:
    assert parse_eco6_status(DISCHARGING | {"S65": limit}).discharge_watts == 900


def test_the_inverters_limit_does_not_bind_the_house_or_the_grid() -> None:
    status = parse_eco6_status(DISCHARGING | {"M03": 9000, "M04": 8000, "M39": 5000})

    assert (status.production_watts, status.consumption_watts, status.grid_feed_in_watts) == (9000, 8000, -5000)


def test_older_codes_for_the_battery_stand_in_where_the_newer_are_missing() -> None:
    codes = {"M01": 700, "M02": 0, "M03": 0, "M04": 900, "M05": 50}
    assert parse_eco6_status(codes).discharge_watts == 700
    assert parse_eco6_status(codes | {"M34": 65525, "M35": 0}).discharge_watts is None


def test_without_the_grids_codes_the_balance_tells() -> None:
    codes = {code: value for code, value in DISCHARGING.items() if code not in ("M38", "M39")}
    assert parse_eco6_status(codes).grid_feed_in_watts == 310 + 900 - 1450.5


def test_half_a_balance_tells_nothing() -> None:
    assert parse_eco6_status({"M03": 310, "M04": 1450}).grid_feed_in_watts is None


@pytest.mark.parametrize(
    ("code", "field"), [("M05", "state_of_charge_percent"), ("M30", "usable_state_of_charge_percent")]
)
@pytest.mark.parametrize("wrong", [101, -1, 255, None, "nan", False])
def test_a_charge_outside_0_to_100_is_left_out(code: str, field: str, wrong: object) -> None:
    assert getattr(parse_eco6_status(DISCHARGING | {code: wrong}), field) is None


def test_unknown_codes_do_no_harm() -> None:
    assert parse_eco6_status(DISCHARGING | {"M99": {"a": []}, "C06": "x", "": None}) == parse_eco6_status(DISCHARGING)


def test_no_codes_are_no_power() -> None:
    assert not parse_eco6_status({}).has_power


@pytest.mark.parametrize(("document", "kind"), [([], "list"), (7, "int"), (None, "NoneType"), ("M03", "str")])
def test_what_is_no_object_is_an_error(document: object, kind: str) -> None:
    with pytest.raises(BatteryError, match=f"a JSON {kind} where an object of codes was expected") as caught:
        parse_eco6_status(document)
    assert caught.value.outcome == "invalid"


def test_the_codes_asked_for_are_those_that_are_understood() -> None:
    everything = dict.fromkeys(ECO6_CODES, 1)
    needed = {code for code in ECO6_CODES if parse_eco6_status(everything | {code: 0}) != parse_eco6_status(everything)}
    # The older pair counts only where the newer is missing; the limit, only where something exceeds it.
    assert needed == set(ECO6_CODES) - {"M01", "M02", "S65"}
