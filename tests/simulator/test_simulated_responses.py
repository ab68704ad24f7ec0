import json
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from sonnen_agent.simulator.battery import answer
from sonnen_agent.simulator.generations import GENERATION_NAMES, FirmwareState, GenerationName, generation_named, single
from sonnen_agent.simulator.house import House
from sonnen_agent.simulator.profiles import battery_zone

START = datetime(2024, 6, 20, 4, 0, tzinfo=UTC)
STATUS_PATHS = {"eco8": "/api/v1/status", "sb10": "/api/v2/status", "evo": "/api/v2/status"}
V2_PATHS = [f"/api/v2/{name}" for name in ("latestdata", "powermeter", "battery", "inverter", "configurations")]
STATUS_FIELDS = {
    *("Apparent_output", "BackupBuffer", "BatteryCharging", "BatteryDischarging", "Consumption_Avg", "Consumption_W"),
    *("Fac", "FlowConsumptionBattery", "FlowConsumptionGrid", "FlowConsumptionProduction", "FlowGridBattery"),
    *("FlowProductionBattery", "FlowProductionGrid", "GridFeedIn_W", "IsSystemInstalled", "OperatingMode"),
    *("Pac_total_W", "Production_W", "RSOC", "Sac1", "Sac2", "Sac3", "SystemStatus", "Timestamp", "USOC", "Uac"),
    *("Ubat", "dischargeNotAllowed", "generator_autostart"),
}
METER_FIELDS = {
    *("a_l1", "a_l2", "a_l3", "channel", "deviceid", "direction", "error", "kwh_exported", "kwh_imported"),
    *("v_l1_l2", "v_l1_n", "v_l2_l3", "v_l2_n", "v_l3_l1", "v_l3_n", "va_total", "var_total"),
    *("w_l1", "w_l2", "w_l3", "w_total"),
}
OLDER_BATTERY_FIELDS = {
    *("chargecurrentlimit", "cyclecount", "dischargecurrentlimit", "fullchargecapacity", "maximumcelltemperature"),
    *("maximumcellvoltage", "maximumcellvoltagenum", "maximummodulecurrent", "maximummoduledcvoltage"),
    *("maximummoduletemperature", "minimumcelltemperature", "minimumcellvoltage", "minimumcellvoltagenum"),
    *("minimummodulecurrent", "minimummoduledcvoltage", "minimummoduletemperature", "relativestateofcharge"),
    *("remainingcapacity", "systemalarm", "systemcurrent", "systemdcvoltage", "systemstatus", "systemtime"),
    "systemwarning",
}
NEWER_BATTERY_FIELDS = {
    *("balancechargerequest", "fullchargecapacitywh", "nominalmoduledcvoltage", "usableremainingcapacity"),
}
INVERTER_FIELDS = {
    *("fac", "iac_total", "ibat", "ipv", "pac_microgrid", "pac_total", "pbat", "phi", "ppv", "sac_total", "tmax"),
    *("uac", "ubat", "upv"),
}


@cache
def firmware(
    name: GenerationName, moment: datetime = START + timedelta(hours=8), start: datetime = START
) -> FirmwareState:
    house = generation_named(name).house
    state = House(house, 1, start).at(moment)
    return FirmwareState(house=house, state=state, clock=moment.astimezone(battery_zone()))


def body(name: GenerationName, path: str, seen: FirmwareState | None = None) -> object:
    reply = answer(generation_named(name), path, seen or firmware(name))
    assert reply.status == 200
    assert reply.content_type == "application/json"
    parsed: object = json.loads(reply.payload)
    return parsed


def fields(name: GenerationName, path: str, seen: FirmwareState | None = None) -> dict[str, object]:
    parsed = body(name, path, seen)
    assert isinstance(parsed, dict)
    return parsed


def number(value: object) -> float:
    assert isinstance(value, int | float)
    assert not isinstance(value, bool)
    return value


def meters(name: GenerationName) -> list[dict[str, object]]:
    listed = body(name, "/api/v2/powermeter")
    assert isinstance(listed, list)
    return listed


def same_type(values: Mapping[str, object], names: str, kind: type) -> bool:
    return {type(values[name]) for name in names.split()} == {kind}


@pytest.mark.parametrize(
    ("name", "path", "more"),
    [
        ("eco8", "/api/v1/status", {"RemainingCapacity_W"}),
        ("sb10", "/api/v2/status", {"RemainingCapacity_Wh"}),
        ("sb10", "/api/v1/status", {"RemainingCapacity_Wh", "NVM_REINIT_STATUS"}),
        ("evo", "/api/v2/status", {"RemainingCapacity_Wh"}),
        ("evo", "/api/v1/status", {"RemainingCapacity_Wh", "NVM_REINIT_STATUS"}),
    ],
)
def test_a_status_has_the_fields_of_its_generation(name: GenerationName, path: str, more: set[str]) -> None:
    assert fields(name, path).keys() == STATUS_FIELDS | more


@pytest.mark.parametrize("name", ["eco8", "sb10", "evo"])
def test_a_status_quotes_what_batteries_quote(name: GenerationName) -> None:
    status = fields(name, STATUS_PATHS[name])
    assert same_type(status, "BackupBuffer OperatingMode SystemStatus Timestamp", str)
    assert same_type(status, "BatteryCharging BatteryDischarging dischargeNotAllowed FlowGridBattery", bool)
    assert same_type(status, "Consumption_W Consumption_Avg Production_W Pac_total_W RSOC USOC IsSystemInstalled", int)
    assert status["BackupBuffer"] == {"eco8": "0", "sb10": "10", "evo": "20"}[name]
    assert status["OperatingMode"] == "2"
    assert status["SystemStatus"] == "OnGrid"


def test_an_eco8_has_three_phases_integers_and_a_low_stack() -> None:
    status = fields("eco8", "/api/v1/status")
    assert same_type(status, "Sac1 Sac2 Sac3 Apparent_output GridFeedIn_W Uac Ubat", int)
    assert 48 <= number(status["Ubat"]) <= 57
    assert status["Apparent_output"] == sum(number(status[f"Sac{phase}"]) for phase in (1, 2, 3))


def test_an_sb10_has_one_phase_and_claims_twice_the_energy() -> None:
    seen = firmware("sb10")
    status = fields("sb10", "/api/v2/status", seen)
    assert status["Sac1"] == status["Apparent_output"] != 0
    assert status["Sac2"] is status["Sac3"] is None
    assert 180 <= number(status["Ubat"]) <= 216
    assert number(status["RemainingCapacity_Wh"]) == round(2 * seen.state.stored_watt_hours)


def test_an_evo_has_floats_and_no_apparent_power() -> None:
    seen = firmware("evo")
    status = fields("evo", "/api/v2/status", seen)
    assert [status[name] for name in ("Apparent_output", "Sac1", "Sac2", "Sac3")] == [None] * 4
    assert same_type(status, "GridFeedIn_W Uac Ubat Fac", float)
    assert number(status["RemainingCapacity_Wh"]) == round(seen.state.stored_watt_hours)


@pytest.mark.parametrize("name", ["eco8", "sb10", "evo"])
def test_a_status_balances_within_a_few_watts_all_day_and_shows_the_flows(name: GenerationName) -> None:
    house = House(generation_named(name).house, 1, START)
    flows_seen = set()
    for minute in range(0, 24 * 60, 3):
        moment = START + timedelta(minutes=minute)
        seen = FirmwareState(house=house.parameters, state=house.at(moment), clock=moment.astimezone(battery_zone()))
        status = fields(name, STATUS_PATHS[name], seen)
        production, discharge = number(status["Production_W"]), number(status["Pac_total_W"])
        feed_in = number(status["GridFeedIn_W"])
        assert abs(production + discharge - number(status["Consumption_W"]) - feed_in) <= 3
        assert status["FlowConsumptionGrid"] is (feed_in <= -20) or abs(abs(feed_in) - 20) <= 1
        assert status["BatteryCharging"] is (discharge < -50) or abs(discharge + 50) <= 1
        assert status["BatteryDischarging"] is (discharge > 50) or abs(discharge - 50) <= 1
        flows_seen |= {key for key, value in status.items() if key.startswith("Flow") and value}
    assert flows_seen >= {
        *("FlowConsumptionBattery", "FlowConsumptionGrid", "FlowConsumptionProduction"),
        *("FlowProductionBattery", "FlowProductionGrid"),
    }


@pytest.mark.parametrize("name", ["sb10", "evo"])
@pytest.mark.parametrize(
    ("moment", "shown", "offset"),
    [
        (datetime(2024, 7, 1, 10, 0, 7, tzinfo=UTC), "2024-07-01 12:00:07", 2),
        (datetime(2024, 1, 5, 10, 0, 7, tzinfo=UTC), "2024-01-05 11:00:07", 1),
    ],
    ids=["summer", "winter"],
)
def test_the_clock_shows_german_time_and_latestdata_its_offset(
    name: GenerationName, moment: datetime, shown: str, offset: int
) -> None:
    seen = firmware(name, moment, moment)
    latest = fields(name, "/api/v2/latestdata", seen)
    assert fields(name, "/api/v2/status", seen)["Timestamp"] == latest["Timestamp"] == shown
    assert latest["UTC_Offet"] == offset
    assert type(latest["UTC_Offet"]) is int


def test_the_core_clock_writes_its_day_without_a_zero_and_lags_a_second() -> None:
    moment = datetime(2024, 7, 1, 10, 0, 7, tzinfo=UTC)
    core = fields("sb10", "/api/v2/latestdata", firmware("sb10", moment, moment))["ic_status"]
    assert isinstance(core, dict)
    assert core["timestamp"] == "Mon Jul 1 12:00:06 2024"


@pytest.mark.parametrize("name", ["sb10", "evo"])
def test_latestdata_agrees_with_the_status_and_reports_a_running_system(name: GenerationName) -> None:
    seen = firmware(name)
    latest, status = fields(name, "/api/v2/latestdata", seen), fields(name, "/api/v2/status", seen)
    shared = ("Consumption_W", "Production_W", "Pac_total_W", "RSOC", "USOC", "Timestamp")
    assert [latest[key] for key in shared] == [status[key] for key in shared]
    core = latest["ic_status"]
    assert isinstance(core, dict)
    states = [core[key] for key in ("statebms", "statecorecontrolmodule", "stateinverter")]
    assert states == ["ready", "ongrid", "running"]
    assert not any(core["DC Shutdown Reason"].values())
    assert len(core["DC Shutdown Reason"]) >= 20
    assert core["nrbatterymodules"] == {"sb10": 2, "evo": 4}[name]
    assert core["secondssincefullcharge"] == seen.state.seconds_since_full_charge


def test_latestdata_of_an_sb10_does_not_know_the_grid() -> None:
    seen = firmware("sb10")
    assert abs(seen.state.grid_feed_in_watts) > 20
    latest = fields("sb10", "/api/v2/latestdata", seen)
    assert latest["GridFeedIn_W"] == 0
    assert latest["FullChargeCapacity"] == 11800
    assert type(latest["FullChargeCapacity"]) is int


def test_the_leds_of_an_sb10_are_five_booleans_and_those_of_an_evo_a_mixture() -> None:
    leds = {}
    for name in ("sb10", "evo"):
        core = fields(name, "/api/v2/latestdata")["ic_status"]
        assert isinstance(core, dict)
        leds[name] = core["Eclipse Led"]
        assert [led for led, value in leds[name].items() if value is True] == ["Pulsing White"]
    assert leds["sb10"].keys() == {"Blinking Red", "Pulsing Green", "Pulsing Orange", "Pulsing White", "Solid Red"}
    assert leds["evo"]["Brightness"] == 100
    assert leds["evo"]["Eclipse Status"] == "0x01 - ONGRID_READY"
    assert {"Pulsing blue", "Solid sonnenGradient", "Solid Red"} <= leds["evo"].keys()


def test_the_full_charge_capacity_of_an_evo_is_a_float() -> None:
    assert fields("evo", "/api/v2/latestdata")["FullChargeCapacity"] == 20683.49


@pytest.mark.parametrize("name", ["sb10", "evo"])
def test_the_v2_powermeter_lists_consumption_first(name: GenerationName) -> None:
    listed = meters(name)
    assert [(meter["direction"], meter["channel"]) for meter in listed] == [("consumption", 2), ("production", 1)]
    for meter in listed:
        assert meter.keys() == METER_FIELDS
        assert meter["error"] == meter["kwh_exported"] == 0
        assert number(meter["w_total"]) == pytest.approx(sum(number(meter[f"w_l{n}"]) for n in (1, 2, 3)), abs=0.2)


def test_the_powermeters_of_a_house_with_three_phases_have_voltages_between_them() -> None:
    for meter in meters("sb10"):
        assert all(380 < number(meter[pair]) < 420 for pair in ("v_l1_l2", "v_l2_l3", "v_l3_l1"))
        assert all(220 < number(meter[f"v_l{phase}_n"]) < 240 for phase in (1, 2, 3))
        for phase in (1, 2, 3):
            apparent = number(meter[f"a_l{phase}"]) * number(meter[f"v_l{phase}_n"])
            assert apparent >= number(meter[f"w_l{phase}"]) - 1


def test_the_powermeters_of_a_house_with_one_phase_read_exactly_zero_elsewhere() -> None:
    for meter in meters("evo"):
        assert number(meter["v_l1_n"]) > 220
        elsewhere = ("a_l2", "a_l3", "v_l2_n", "v_l3_n", "w_l2", "w_l3", "v_l1_l2", "v_l2_l3", "v_l3_l1")
        assert {meter[key] for key in elsewhere} == {0}


def test_the_powermeters_of_an_american_house_have_two_legs_and_its_battery_stands_between_them() -> None:
    kind = generation_named("sb10", "us")
    moment = START + timedelta(hours=8)
    seen = FirmwareState(
        house=kind.house,
        state=House(kind.house, 1, START).at(moment),
        clock=moment.astimezone(battery_zone(kind.house)),
    )
    status, listed = (json.loads(answer(kind, f"/api/v2/{path}", seen).payload) for path in ("status", "powermeter"))
    assert 228 < status["Uac"] < 252
    assert 59.9 < status["Fac"] < 60.1
    assert status["Timestamp"] == f"{moment.astimezone(ZoneInfo('America/Los_Angeles')):%Y-%m-%d %H:%M:%S}"
    for meter in listed:
        assert all(114 < meter[leg] < 126 for leg in ("v_l1_n", "v_l2_n"))
        assert 228 < meter["v_l1_l2"] < 252
        assert {meter[key] for key in ("v_l3_n", "w_l3", "a_l3", "v_l2_l3", "v_l3_l1")} == {0}


def test_powermeter_numbers_are_single_precision_floats_or_integers() -> None:
    numbers = [value for meter in meters("sb10") for value in meter.values() if isinstance(value, float)]
    assert numbers
    assert all(struct.unpack("f", struct.pack("f", value))[0] == value for value in numbers)
    assert not any(value.is_integer() for value in numbers)


@pytest.mark.parametrize(("value", "printed"), [(49.995, "49.994998931884766"), (3.0, "3"), (0.0, "0")])
def test_a_single_precision_number_is_printed_as_firmware_prints_it(value: float, printed: str) -> None:
    assert json.dumps(single(value)) == printed


def test_lifetime_meters_grow_by_the_energy_that_went_through() -> None:
    early, late = firmware("sb10", START), firmware("sb10", START + timedelta(hours=20))
    for index, grown in ((0, late.state.consumption_watt_hours), (1, late.state.production_watt_hours)):
        counts = []
        for seen in (early, late):
            listed = body("sb10", "/api/v2/powermeter", seen)
            assert isinstance(listed, list)
            counts.append(number(listed[index]["kwh_imported"]))
        assert counts[1] - counts[0] == pytest.approx(grown / 1000, abs=0.11)
        assert grown > 1000


def test_the_legacy_powermeter_is_keyed_and_quoted() -> None:
    keyed = fields("eco8", "/api/powermeter")
    assert keyed.keys() == {"4_1", "4_2"}
    for key, direction in (("4_1", "production"), ("4_2", "consumption")):
        meter = keyed[key]
        assert isinstance(meter, dict)
        assert meter.keys() == METER_FIELDS
        assert {type(value) for value in meter.values()} == {str}
        assert meter["direction"] == direction
        assert meter["error"] == "0"
        assert float(meter["v_l1_n"]) > 220


def test_the_legacy_inverter_writes_its_numbers_as_text_inside_status() -> None:
    seen = firmware("eco8")
    inverter = fields("eco8", "/api/inverter", seen)["status"]
    assert isinstance(inverter, dict)
    names = ("fac", "uac1", "uac2", "uac3", "tempbdc", "temphmi", "temppu", "ppv", "pac_microgrid", "pac_total")
    assert same_type(inverter, " ".join(names), str)
    assert float(inverter["pac_total"]) == pytest.approx(seen.state.discharge_watts, abs=0.01)
    assert 20 < float(inverter["tempbdc"]) < 60
    assert inverter["ppv"] == inverter["pac_microgrid"] == "0.00"
    assert inverter["mode"] == "connected"
    assert not any(inverter["status"].values())


def test_an_sb10_mixes_integers_and_floats_about_its_battery() -> None:
    battery = fields("sb10", "/api/v2/battery")
    assert battery.keys() == OLDER_BATTERY_FIELDS
    assert {type(value) for value in battery.values()} == {int, float}
    assert battery["cyclecount"] == 371
    assert battery["maximummoduletemperature"] == battery["minimummoduletemperature"] == -273.15


def test_an_evo_knows_only_floats_about_its_battery() -> None:
    battery = fields("evo", "/api/v2/battery")
    assert battery.keys() == OLDER_BATTERY_FIELDS | NEWER_BATTERY_FIELDS
    assert {type(value) for value in battery.values()} == {float}
    assert battery["cyclecount"] == 30.0
    assert battery["fullchargecapacitywh"] == 20683.49
    assert battery["nominalmoduledcvoltage"] == 102.4


@pytest.mark.parametrize("name", ["sb10", "evo"])
def test_the_battery_is_charged_in_ampere_hours_as_in_percent(name: GenerationName) -> None:
    battery = fields(name, "/api/v2/battery")
    share = number(battery["remainingcapacity"]) / number(battery["fullchargecapacity"])
    assert number(battery["relativestateofcharge"]) == pytest.approx(100 * share, abs=1)
    stack = number(battery["systemdcvoltage"])
    cells = stack / 64
    assert number(battery["minimumcellvoltage"]) < cells < number(battery["maximumcellvoltage"])
    assert number(battery["minimumcelltemperature"]) < number(battery["maximumcelltemperature"])


@pytest.mark.parametrize("name", ["sb10", "evo"])
def test_the_inverter_reports_the_power_of_the_status(name: GenerationName) -> None:
    seen = firmware(name)
    inverter = fields(name, "/api/v2/inverter", seen)
    assert inverter.keys() == INVERTER_FIELDS
    assert number(inverter["pac_total"]) == pytest.approx(seen.state.discharge_watts, abs=0.001)
    assert inverter["ppv"] == inverter["upv"] == inverter["ipv"] == inverter["pac_microgrid"] == 0
    assert 20 < number(inverter["tmax"]) < 70


def test_the_inverter_of_an_evo_has_no_frequency_and_that_of_an_sb10_has() -> None:
    evo, sb10 = fields("evo", "/api/v2/inverter"), fields("sb10", "/api/v2/inverter")
    assert evo["fac"] == 0.0
    assert {type(value) for value in evo.values()} == {float}
    assert 49.9 < number(sb10["fac"]) < 50.1
    assert type(sb10["ppv"]) is int


@pytest.mark.parametrize(("name", "capacity"), [("sb10", 11000), ("evo", 20000)])
def test_configurations_are_texts_that_give_the_installed_capacity(name: GenerationName, capacity: int) -> None:
    settings = fields(name, "/api/v2/configurations")
    module, count = settings["CM_MarketingModuleCapacity"], settings["IC_BatteryModules"]
    assert isinstance(module, str)
    assert isinstance(count, str)
    assert int(module) * int(count) == capacity
    assert settings["EM_CHP_Min_SOC"] is None
    assert settings["EM_USOC"] == fields(name, "/api/v2/status")["BackupBuffer"]
    schedule = settings["EM_ToU_Schedule"]
    assert isinstance(schedule, str)
    assert json.loads(schedule)[0]["start"] == "12:00"


def test_one_configuration_has_a_path_of_its_own_and_an_unknown_one_is_forbidden() -> None:
    assert body("sb10", "/api/v2/configurations/DE_Software") == {"DE_Software": "1.8.7"}
    refused = answer(generation_named("sb10"), "/api/v2/configurations/Nonsense", firmware("sb10"))
    assert refused.status == 403


@pytest.mark.parametrize("path", [*V2_PATHS, "/api/v2/status", "/api/v2/configurations/DE_Software", "/nonsense"])
def test_an_eco8_answers_v2_with_a_page(path: str) -> None:
    reply = answer(generation_named("eco8"), path, firmware("eco8"))
    assert reply.status == 404
    assert reply.content_type.startswith("text/html")
    assert b"<title>sonnenBatterie</title>" in reply.payload
    assert b"Page not found" in reply.payload


def test_an_eco6_answers_with_all_codes_as_numbers() -> None:
    seen = firmware("eco6")
    codes = fields("eco6", "/rest/devices/battery", seen)
    values = {code: number(value) for code, value in codes.items()}
    assert {"M03", "M04", "M05", "M06", "M30", "M34", "M35", "M37", "M38", "M39", "M41", "S15", "S65"} <= values.keys()
    assert values["M03"] + values["M34"] - values["M35"] - values["M04"] == pytest.approx(
        values["M38"] - values["M39"], abs=3
    )
    assert values["M07"] + values["M08"] + values["M09"] == pytest.approx(values["M04"], abs=2)
    assert all(values[f"M{7 + n:02}"] <= values[f"M{10 + n:02}"] for n in range(3))
    assert values["M05"] == int(seen.state.state_of_charge_percent)
    assert values["M34"] * values["M35"] == 0
    assert values["S65"] == 2500


def test_an_eco6_shows_in_its_mode_what_the_battery_does() -> None:
    house = House(generation_named("eco6").house, 1, START)
    modes = {}
    for minute in range(0, 24 * 60, 5):
        moment = START + timedelta(minutes=minute)
        seen = FirmwareState(house=house.parameters, state=house.at(moment), clock=moment)
        codes = fields("eco6", "/rest/devices/battery", seen)
        modes[codes["M06"]] = (codes["M34"], codes["M35"])
    assert modes.keys() == {10, 13, 15}
    assert number(modes[15][0]) > 0
    assert number(modes[13][1]) > 0


def test_an_eco6_answers_one_code_as_text() -> None:
    seen = firmware("eco6")
    reply = answer(generation_named("eco6"), "/rest/devices/battery/M03", seen)
    assert reply.content_type == "text/plain"
    assert reply.payload == f"{round(seen.state.production_watts)}\n".encode()


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v2/status", "/rest/devices/battery/M99", "/nonsense"])
def test_an_eco6_answers_all_else_with_an_xhtml_page(path: str) -> None:
    reply = answer(generation_named("eco6"), path, firmware("eco6"))
    assert reply.status == 404
    assert b"XHTML" in reply.payload


@pytest.mark.parametrize("name", GENERATION_NAMES)
def test_the_start_page_redirects(name: GenerationName) -> None:
    reply = answer(generation_named(name), "/", firmware(name))
    assert reply.status == 301
    assert reply.location == "/dash"


@pytest.mark.parametrize("name", GENERATION_NAMES)
def test_every_route_answers_valid_json_or_text_at_any_hour(name: GenerationName) -> None:
    kind = generation_named(name)
    house = House(kind.house, 2, START)
    for hour in range(0, 48, 7):
        moment = START + timedelta(hours=hour)
        seen = FirmwareState(house=kind.house, state=house.at(moment), clock=moment.astimezone(battery_zone()))
        for path in kind.routes:
            reply = answer(kind, path, seen)
            assert reply.status == 200
            assert "NaN" not in reply.payload.decode()
            json.loads(reply.payload)


@pytest.mark.parametrize(
    ("name", "error"), [("sb10", b'{"error":"401 Unauthorized"}'), ("evo", b'{"error":"Unauthorized"}')]
)
@pytest.mark.parametrize("path", [*V2_PATHS, "/api/v2/configurations/DE_Software", "/api/inverter", "/api/powermeter"])
def test_what_is_protected_answers_401_in_the_words_of_its_firmware(
    name: GenerationName, error: bytes, path: str
) -> None:
    reply = answer(generation_named(name), path, firmware(name), granted=False)
    assert reply.status == 401
    assert reply.payload == error


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v2/status"])
def test_the_status_needs_no_token(path: str) -> None:
    assert answer(generation_named("sb10"), path, firmware("sb10"), granted=False).status == 200
