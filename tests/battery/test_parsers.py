import math
from typing import Any, get_type_hints

import pytest
from status_fields import RAW_STATUS, STATUS_FIELDS, WHOLE_STATUS

from sonnen_agent.battery import parsers
from sonnen_agent.battery.variants import SLOW_ENDPOINTS
from sonnen_agent.details import Configuration, Inverter, Meter, Pack, System
from sonnen_agent.errors import BatteryError
from sonnen_agent.reading import Status

STATUS: dict[str, Any] = {
    "Apparent_output": 1210,
    "BackupBuffer": "15",
    "BatteryCharging": False,
    "BatteryDischarging": True,
    "Consumption_Avg": 1385,
    "Consumption_W": 1402,
    "Fac": 50.02000045776367,
    "FlowConsumptionBattery": True,
    "FlowConsumptionGrid": False,
    "FlowConsumptionProduction": True,
    "FlowGridBattery": False,
    "FlowProductionBattery": False,
    "FlowProductionGrid": False,
    "GridFeedIn_W": 3.0,
    "IsSystemInstalled": 1,
    "OperatingMode": "2",
    "Pac_total_W": 1203,
    "Production_W": 203,
    "RSOC": 71,
    "RemainingCapacity_Wh": 15000,
    "Sac1": 404,
    "Sac2": 403,
    "Sac3": None,
    "SystemStatus": "OnGrid",
    "Timestamp": "2023-02-03 17:04:05",
    "USOC": 68,
    "Uac": 234,
    "Ubat": 208,
    "dischargeNotAllowed": False,
    "generator_autostart": False,
}

METER: dict[str, Any] = {
    "deviceid": 4,
    "channel": 2,
    "direction": "consumption",
    "error": 0,
    "a_l1": 1.5,
    "a_l2": 0.25,
    "a_l3": 0,
    "v_l1_n": 231.5,
    "v_l2_n": 232,
    "v_l3_n": 230.25,
    "v_l1_l2": 401,
    "w_l1": 340.5,
    "w_l2": 55,
    "w_l3": 0,
    "w_total": 395.5,
    "kwh_imported": 1234.5,
    "kwh_exported": 0,
}

CORE: dict[str, Any] = {
    "DC Shutdown Reason": {"HW_Shutdown": False, "Critical BMS Alarm": True, "Spare": None},
    "Eclipse Led": {
        "Brightness": 100,
        "Eclipse Status": "0x01 - ONGRID_READY",
        "Pulsing White": True,
        "Solid Red": False,
        "Solid blue": "true",
    },
    "nrbatterymodules": 4,
    "secondssincefullcharge": 3600,
    "statebms": "ready",
    "statecorecontrolmodule": "ongrid",
    "stateinverter": "running",
    "timestamp": "Fri Feb 3 17:04:02 2023",
}

LATEST: dict[str, Any] = {
    "Consumption_W": 1402,
    "FullChargeCapacity": 20187.086,
    "GridFeedIn_W": 0,
    "RSOC": 71,
    "Timestamp": "2023-02-03 17:04:03",
    "UTC_Offet": 1,
    "ic_status": CORE,
}

PACK: dict[str, Any] = {
    "cyclecount": 412.0,
    "fullchargecapacity": 99.3,
    "fullchargecapacitywh": 20683.49,
    "maximumcelltemperature": 24.95,
    "maximumcellvoltage": 3.301,
    "maximummoduletemperature": -273.15,
    "minimumcelltemperature": 22.35,
    "minimumcellvoltage": 3.297,
    "systemalarm": 0,
    "systemcurrent": -4.25,
    "systemwarning": 8,
}

NOT_NUMBERS: list[object] = [None, "", "nan", "NaN", math.nan, math.inf, True, False, [], {}, "off", 10**400]


def without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def test_a_status_in_our_words() -> None:
    assert parsers.parse_status(RAW_STATUS) == WHOLE_STATUS


def test_an_empty_status_says_nothing() -> None:
    assert parsers.parse_status({}) == Status()
    assert not Status().has_power


def test_a_status_of_nulls_says_nothing() -> None:
    assert parsers.parse_status(dict.fromkeys(STATUS)) == Status()


@pytest.mark.parametrize("wrong", NOT_NUMBERS)
def test_a_field_that_is_no_number_is_absent_and_its_neighbours_stay(wrong: object) -> None:
    for field in STATUS_FIELDS:
        status = parsers.parse_status(STATUS | {field.api: wrong})
        assert [other.ours for other in STATUS_FIELDS if getattr(status, other.ours) is None] == [field.ours]


def test_the_table_of_the_status_fields_is_whole() -> None:
    numbers = {name for name, hint in get_type_hints(Status).items() if hint == float | None}
    assert {field.ours for field in STATUS_FIELDS} == numbers


@pytest.mark.parametrize(
    ("key", "sentinel", "field"),
    [
        ("Pac_total_W", 65525, "discharge_watts"),
        ("Production_W", 65535, "production_watts"),
        ("RSOC", 255, "state_of_charge_percent"),
        ("USOC", -7, "usable_state_of_charge_percent"),
        ("Fac", 0, "inverter_hertz"),
        ("Fac", 4999, "inverter_hertz"),
    ],
)
def test_a_sentinel_is_no_reading(key: str, sentinel: float, field: str) -> None:
    assert getattr(parsers.parse_status(STATUS | {key: sentinel}), field) is None


@pytest.mark.parametrize(
    ("word", "on_grid"),
    [("OnGrid", True), ("ongrid", True), ("OffGrid", False), ("Init", None), ("Critical Error", None), (1, None)],
)
def test_only_two_system_statuses_tell_of_the_grid(word: object, on_grid: bool | None) -> None:
    assert parsers.parse_status(STATUS | {"SystemStatus": word}).on_grid is on_grid


@pytest.mark.parametrize(("value", "allowed"), [(True, True), ("1", True), (0, False), (None, None), ("?", None)])
def test_a_flag_is_true_false_or_unknown(value: object, allowed: bool | None) -> None:
    status = parsers.parse_status(STATUS | {"dischargeNotAllowed": value, "FlowGridBattery": value})

    assert status.discharge_not_allowed is allowed
    assert status.flows.get(("grid", "battery")) is allowed


def test_an_operating_mode_of_tomorrow_is_passed_on() -> None:
    assert parsers.parse_status(STATUS | {"OperatingMode": "11"}).operating_mode == 11
    assert parsers.parse_status(STATUS | {"OperatingMode": "holiday"}).operating_mode is None


def test_a_battery_starts_while_all_that_it_measures_is_zero() -> None:
    silent: dict[str, Any] = {"Uac": 0, "Ubat": "0", "Fac": 0.0}
    zeros = silent | {"Production_W": 0, "Consumption_W": "0", "GridFeedIn_W": -0.0, "Pac_total_W": None}

    assert parsers.parse_status(STATUS | zeros).booting
    assert not parsers.parse_status(STATUS | zeros).inverter_at_zero
    for key in silent:
        assert not parsers.parse_status(STATUS | zeros | {key: 50}).booting
        # What is absent is no sign that anything is measured.
        assert parsers.parse_status(without(STATUS | zeros, key)).booting
        assert parsers.parse_status(STATUS | zeros | {key: None}).booting
    assert not parsers.parse_status(without(STATUS | zeros, *silent)).booting


@pytest.mark.parametrize("key", ["Production_W", "Consumption_W", "GridFeedIn_W", "Pac_total_W"])
def test_zeros_of_the_inverter_beside_a_power_are_a_fault_and_are_not_shown(key: str) -> None:
    zeros = dict.fromkeys(("Uac", "Ubat", "Fac", "Production_W", "Consumption_W", "GridFeedIn_W", "Pac_total_W"), 0)

    status = parsers.parse_status(STATUS | zeros | {key: 350})

    assert status.inverter_at_zero
    assert not status.booting
    assert (status.inverter_ac_volts, status.battery_volts, status.inverter_hertz) == (None, None, None)
    assert 350 in status.powers


def test_a_stack_without_volts_has_none_and_its_charge_of_zero_is_unknown() -> None:
    dead = parsers.parse_status(STATUS | {"Ubat": 0.0, "RSOC": 0, "USOC": "0"})
    assert (dead.battery_volts, dead.state_of_charge_percent, dead.usable_state_of_charge_percent) == (None, None, None)
    assert dead.inverter_ac_volts == 234

    # A charge that is told all the same is one, and so is 0 % of a stack that lives.
    assert parsers.parse_status(STATUS | {"Ubat": 0}).state_of_charge_percent == 71
    assert parsers.parse_status(STATUS | {"USOC": 0}).usable_state_of_charge_percent == 0


@pytest.mark.parametrize("code", [5, "13", 16.0])
def test_a_return_code_is_no_status(code: object) -> None:
    with pytest.raises(BatteryError, match=r"answered ReturnCode .* instead of a status") as caught:
        parsers.parse_status({"ReturnCode": code})
    assert caught.value.outcome == "invalid"
    assert f"{float(str(code)):g}" in str(caught.value)


def test_a_return_code_of_zero_is_a_status() -> None:
    assert parsers.parse_status(STATUS | {"ReturnCode": 0}) == parsers.parse_status(STATUS)


def test_a_meter_in_our_words() -> None:
    assert parsers.parse_meters([METER]) == (
        Meter(
            direction="consumption",
            name="4_2",
            error=0,
            amperes=(1.5, 0.25, 0),
            volts=(231.5, 232, 230.25),
            watts=(340.5, 55, 0),
            total_watts=395.5,
            imported_watt_hours=1_234_500,
            exported_watt_hours=0,
        ),
    )


def test_the_legacy_object_of_quoted_meters_is_the_same() -> None:
    quoted = {key: str(value) for key, value in METER.items()}

    assert parsers.parse_meters({"4_2": quoted}) == parsers.parse_meters([METER])


def test_a_meters_name_is_its_key_where_it_names_no_device() -> None:
    anonymous = without(METER, "deviceid", "channel")

    assert [meter.name for meter in parsers.parse_meters({"5_1": anonymous})] == ["5_1"]
    assert [meter.name for meter in parsers.parse_meters([anonymous, anonymous])] == ["0", "1"]


def test_a_meters_name_keeps_all_digits_of_a_long_device_number() -> None:
    (meter,) = parsers.parse_meters([METER | {"deviceid": 12345678}])

    assert meter.name == "12345678_2"


def test_meters_are_told_apart_by_direction_and_name_in_any_order() -> None:
    production = METER | {"direction": "production", "channel": 1}
    heat_pump = METER | {"deviceid": 5}
    meters = parsers.parse_meters([METER, heat_pump, production])

    assert [(meter.direction, meter.name) for meter in meters] == [
        ("consumption", "4_2"),
        ("consumption", "5_2"),
        ("production", "4_1"),
    ]


def test_a_meter_that_comes_twice_counts_once() -> None:
    # Two series with the same labels would make the gateway refuse everything.
    (meter,) = parsers.parse_meters([METER, METER | {"w_total": 1}])

    assert meter.total_watts == 395.5


@pytest.mark.parametrize("error", [-1, 3, "-1"])
def test_a_meter_with_an_error_has_no_values(error: object) -> None:
    assert parsers.parse_meters([METER | {"error": error}]) == (
        Meter(direction="consumption", name="4_2", error=float(str(error))),
    )


def test_a_phase_at_exactly_zero_volts_is_not_connected() -> None:
    (meter,) = parsers.parse_meters([METER | {"v_l2_n": 0, "v_l3_n": "0.0"}])

    assert meter.volts == (231.5, None, None)
    assert meter.amperes == (1.5, None, None)
    assert meter.watts == (340.5, None, None)


def test_a_phase_whose_voltage_is_unknown_keeps_its_power() -> None:
    (meter,) = parsers.parse_meters([METER | {"v_l1_n": None}])

    assert meter.volts == (None, 232, 230.25)
    assert meter.watts == (340.5, 55, 0)


@pytest.mark.parametrize("gone", [None, "nan", 65525])
def test_without_a_total_it_is_the_sum_of_the_phases(gone: object) -> None:
    (meter,) = parsers.parse_meters([METER | {"w_total": gone}])

    assert meter.total_watts == 395.5


def test_a_meter_without_any_power_has_no_total() -> None:
    (meter,) = parsers.parse_meters([without(METER, "w_total", "w_l1", "w_l2", "w_l3")])

    assert meter.total_watts is None


@pytest.mark.parametrize("wrong", NOT_NUMBERS)
def test_a_meter_reading_that_is_no_number_is_absent(wrong: object) -> None:
    (meter,) = parsers.parse_meters([METER | {"kwh_imported": wrong, "a_l1": wrong, "w_l1": wrong}])

    assert meter.imported_watt_hours is None
    assert meter.amperes == (None, 0.25, 0)
    assert meter.watts == (None, 55, 0)


@pytest.mark.parametrize("entry", [{}, None, 7, [], "meter", {"direction": None}, {"direction": ""}, {"direction": 1}])
def test_an_entry_without_a_direction_is_no_meter(entry: object) -> None:
    assert parsers.parse_meters([entry]) == ()
    assert parsers.parse_meters({"4_1": entry, "4_2": METER}) == parsers.parse_meters([METER])


def test_the_number_of_meters_is_bounded() -> None:
    assert len(parsers.parse_meters([METER | {"deviceid": device} for device in range(10_000)])) == 64


def test_an_inverter_in_our_words() -> None:
    document = {"fac": 49.947, "pac_microgrid": 0, "pac_total": -4.126, "ppv": 1250.5, "tmax": 32.351, "uac": 237.7}

    assert parsers.parse_inverter(document) == Inverter(
        grid_hertz=49.947, temperatures={"max": 32.351}, pv_watts=1250.5, microgrid_watts=0
    )


LEGACY_INVERTER = {
    "IOStates": {"AC_Relais1Closed": True},
    "fac": "50.01",
    "pac_microgrid": "0.00",
    "ppv": "0.00",
    "tempbdc": "31.50",
    "temphmi": "29.75",
    "temppu": "nan",
    "uac1": "229.50",
    "uac2": "0.00",
    "uac3": "231.25",
    "mode": "connected",
    "status": {"Active Failure": False},
}


@pytest.mark.parametrize("document", [{"status": LEGACY_INVERTER}, {"status": {"status": LEGACY_INVERTER}}])
def test_a_legacy_inverter_is_wrapped_once_or_twice(document: object) -> None:
    assert parsers.parse_inverter(document) == Inverter(
        grid_hertz=50.01,
        grid_volts=(229.5, None, 231.25),
        temperatures={"bdc": 31.5, "hmi": 29.75},
        pv_watts=0,
        microgrid_watts=0,
    )


def test_a_frequency_of_zero_is_no_reading() -> None:
    assert parsers.parse_inverter({"fac": 0.0, "tmax": 30}) == Inverter(temperatures={"max": 30})


def test_a_power_that_lost_its_sign_in_16_bits_is_no_reading() -> None:
    assert parsers.parse_inverter({"fac": 50, "ppv": 65491, "pac_microgrid": "65525"}) == Inverter(grid_hertz=50)


@pytest.mark.parametrize("document", [{}, {"status": {}}, {"status": "ok"}, {"status": {"gridfrequency": 5002}}])
def test_an_inverter_that_speaks_otherwise_says_nothing(document: object) -> None:
    assert parsers.parse_inverter(document) == Inverter()


def test_a_pack_in_our_words() -> None:
    assert parsers.parse_pack(PACK) == Pack(
        cycles=412,
        current_amperes=-4.25,
        cell_temperature_min_celsius=22.35,
        cell_temperature_max_celsius=24.95,
        cell_min_volts=3.297,
        cell_max_volts=3.301,
        alarm=0,
        warning=8,
        full_charge_capacity_watt_hours=20683.49,
    )


def test_a_pack_all_in_texts_is_the_same() -> None:
    assert parsers.parse_pack({key: str(value) for key, value in PACK.items()}) == parsers.parse_pack(PACK)


def test_cells_that_are_not_measured_have_no_temperature_and_no_voltage() -> None:
    pack = parsers.parse_pack(
        PACK
        | {"minimumcelltemperature": -273.15, "maximumcelltemperature": "-273.15"}
        | {"minimumcellvoltage": 0, "maximumcellvoltage": "0.0"}
    )

    assert (pack.cell_temperature_min_celsius, pack.cell_temperature_max_celsius) == (None, None)
    assert (pack.cell_min_volts, pack.cell_max_volts) == (None, None)


@pytest.mark.parametrize("capacity", [None, 0, "0", 114.766, 114_766, 1e9])
def test_a_capacity_that_cannot_be_watt_hours_is_left_out(capacity: object) -> None:
    assert parsers.parse_pack(PACK | {"fullchargecapacitywh": capacity}).full_charge_capacity_watt_hours is None


@pytest.mark.parametrize("wrong", NOT_NUMBERS)
def test_a_pack_of_what_is_no_number_says_nothing(wrong: object) -> None:
    assert parsers.parse_pack(dict.fromkeys(PACK, wrong)) == Pack()


def test_a_system_in_our_words() -> None:
    assert parsers.parse_system(LATEST) == System(
        states={"bms": "ready", "core": "ongrid", "inverter": "running"},
        leds={"Pulsing White": True, "Solid Red": False},
        shutdown_reasons={"HW_Shutdown": False, "Critical BMS Alarm": True},
        battery_modules=4,
        seconds_since_full_charge=3600,
        full_charge_capacity_watt_hours=20187.086,
        utc_offset_hours=1,
    )


def test_only_leds_that_are_exactly_true_or_false_count() -> None:
    leds = {"Brightness": 1, "Pulsing Green": "true", "Solid Red": 0, "Blinking Red": None, "Pulsing White": False}

    assert parsers.parse_system({"ic_status": {"Eclipse Led": leds}}).leds == {"Pulsing White": False}


def test_the_utc_offset_has_two_spellings() -> None:
    assert parsers.parse_system({"UTC_Offset": 2}).utc_offset_hours == 2
    assert parsers.parse_system({"UTC_Offet": "-3.5"}).utc_offset_hours == -3.5


def test_a_null_in_one_spelling_of_the_utc_offset_leaves_the_other() -> None:
    assert parsers.parse_system({"UTC_Offet": None, "UTC_Offset": 2}).utc_offset_hours == 2


@pytest.mark.parametrize(
    ("capacity", "modules", "believed"),
    [
        (9765, 2, 9765),
        (19531, 4, 19531),
        (48828, 2, None),
        (48828, 10, 48828),
        (0, 2, None),
        (9765, None, 9765),
        (9765, 0, 9765),
        (250_000, None, None),
    ],
)
def test_milliampere_hours_are_no_capacity(capacity: float, modules: float | None, believed: float | None) -> None:
    document = {"FullChargeCapacity": capacity, "ic_status": {"nrbatterymodules": modules}}
    assert parsers.parse_system(document).full_charge_capacity_watt_hours == believed


@pytest.mark.parametrize("states", [{"statecorecontrolmodule": "init"}, {"statecorecontrolmodule": "config"}])
def test_a_system_that_starts_shows_its_states_and_none_of_its_numbers(states: dict[str, str]) -> None:
    system = parsers.parse_system(LATEST | {"ic_status": CORE | states})

    assert system.booting
    assert set(states.values()) <= set(system.states.values())
    assert system.leds == {"Pulsing White": True, "Solid Red": False}
    assert system.battery_modules is None
    assert system.seconds_since_full_charge is None
    assert system.full_charge_capacity_watt_hours is None


@pytest.mark.parametrize("state", ["ready", "init", "error", "not ready"])
def test_other_states_do_not_hold_readings_back(state: str) -> None:
    assert not parsers.parse_system({"ic_status": {"statebms": state, "stateinverter": "not ready"}}).booting


@pytest.mark.parametrize("core", [None, [], "ready", {}, {"Eclipse Led": [], "DC Shutdown Reason": 1, "statebms": 5}])
def test_a_system_without_its_inner_part_says_nothing(core: object) -> None:
    assert parsers.parse_system({"ic_status": core}) == System()


def test_the_number_of_lights_and_reasons_is_bounded() -> None:
    many = {f"light {number}": False for number in range(10_000)}
    system = parsers.parse_system({"ic_status": {"Eclipse Led": many, "DC Shutdown Reason": many}})

    assert (len(system.leds), len(system.shutdown_reasons)) == (64, 64)


def test_a_configuration_in_our_words() -> None:
    document = {"DE_Software": "1.14.5", "IC_BatteryModules": "4", "CM_MarketingModuleCapacity": "5000", "EM_USOC": "0"}

    assert parsers.parse_configuration(document) == Configuration(
        firmware="1.14.5", installed_capacity_watt_hours=20_000
    )


@pytest.mark.parametrize("missing", [None, "", "0", "nan", "four"])
@pytest.mark.parametrize("key", ["IC_BatteryModules", "CM_MarketingModuleCapacity"])
def test_half_an_installed_capacity_is_none(key: str, missing: object) -> None:
    document = {"IC_BatteryModules": "4", "CM_MarketingModuleCapacity": "5000"} | {key: missing}
    assert parsers.parse_configuration(document) == Configuration()


@pytest.mark.parametrize("document", [None, True, 7, "text"])
@pytest.mark.parametrize("parse", [parsers.parse_status, *(slow.parse for slow in SLOW_ENDPOINTS.values())])
def test_a_document_of_another_shape_is_an_error_that_names_it(parse: Any, document: object) -> None:  # noqa: ANN401 - of any part
    with pytest.raises(BatteryError, match=r"answered a JSON .* where an object was expected") as caught:
        parse(document)
    assert caught.value.outcome == "invalid"
    assert type(document).__name__ in str(caught.value)


@pytest.mark.parametrize("parse", [parsers.parse_status, *(slow.parse for slow in SLOW_ENDPOINTS.values())])
def test_an_empty_object_is_never_an_error(parse: Any) -> None:  # noqa: ANN401 - of any part
    parse({})


def test_two_strings_are_told_apart_and_their_sum_is_the_power_of_the_sun() -> None:
    inverter = parsers.parse_inverter({"status": {"ppv": "310.50", "ppv2": "1204.25", "status": {"Fault": False}}})

    assert inverter == Inverter(pv_watts=1514.75, string_watts={"1": 310.5, "2": 1204.25})


@pytest.mark.parametrize("unknown", [None, "nan", 65525])
def test_the_sum_of_strings_is_unknown_where_one_of_them_is(unknown: object) -> None:
    assert parsers.parse_inverter({"ppv": 310.5, "ppv2": unknown}) == Inverter(string_watts={"1": 310.5})


def test_one_string_is_the_power_of_the_sun_and_no_series_of_its_own() -> None:
    assert parsers.parse_inverter({"fac": 0.0, "ppv": 310.5}) == Inverter(pv_watts=310.5)


WITHOUT_FREQUENCY = {"uac1": "229.50", "tempbdc": "31.50", "status": {"Active Failure": False, "status": {"x": True}}}


@pytest.mark.parametrize(
    "document", [WITHOUT_FREQUENCY, {"status": WITHOUT_FREQUENCY}, {"status": {"status": WITHOUT_FREQUENCY}}]
)
def test_a_legacy_inverter_without_a_frequency_is_read(document: object) -> None:
    inverter = Inverter(grid_volts=(229.5, None, None), temperatures={"bdc": 31.5})
    assert parsers.parse_inverter(document) == inverter


def test_a_status_without_the_grid_has_the_rest_of_the_balance_there() -> None:
    oldest = {"Production_W": 2350, "Consumption_W": 410, "Pac_total_W": -1700, "USOC": 71}

    assert parsers.parse_status(oldest).grid_feed_in_watts == 240
    assert parsers.parse_status(oldest | {"GridFeedIn_W": None}).grid_feed_in_watts is None
    assert parsers.parse_status(oldest | {"Pac_total_W": None}).grid_feed_in_watts is None


def test_a_pack_of_the_open_old_api_is_nested_and_all_in_texts() -> None:
    values = {"cyclecount": "260", "minimumcelltemperature": "18.85", "systemcurrent": "-0.00", "stateofhealth": "97.0"}
    pack = Pack(cycles=260, cell_temperature_min_celsius=18.85, current_amperes=0, state_of_health_percent=97)

    assert parsers.parse_pack({"measurements": {"battery_status": values}, "alarms": {}}) == pack
    assert parsers.parse_pack({"battery_status": values}) == pack
    assert parsers.parse_pack({"measurements": None}) == Pack()


@pytest.mark.parametrize("parse", [parsers.parse_status, parsers.parse_meters, parsers.parse_pack])
def test_an_error_that_comes_as_a_success_is_told_in_its_words(parse: Any) -> None:  # noqa: ANN401 - of any part
    with pytest.raises(BatteryError, match=r"^answered an error with status 200: no data yet$") as caught:
        parse({"error": "no data yet"})
    assert caught.value.outcome == "invalid"


def test_a_meter_alone_needs_no_list() -> None:
    assert parsers.parse_meters(METER) == parsers.parse_meters([METER])


def test_an_object_without_any_meter_is_told_with_what_it_has() -> None:
    with pytest.raises(BatteryError, match=r"^answered an object without any meter: kwh, note$"):
        parsers.parse_meters({"kwh": 12.5, "note": {}})
