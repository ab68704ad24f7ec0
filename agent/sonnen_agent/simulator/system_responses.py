"""The latestdata and configurations answers of v2 (docs/battery-api.md 5.2 and 5.6)."""

import json
from datetime import timedelta
from math import floor

from sonnen_agent.simulator.firmware import FirmwareState

_SHUTDOWN_REASONS = (
    "Critical BMS Alarm",
    "Electrolyte Leakage",
    "Error condition in BMS initialization",
    "HW_Shutdown",
    "HardWire Over Voltage",
    "HardWired Dry Signal A",
    "HardWired Under Voltage",
    "Holding Circuit Error",
    "Initialization Timeout",
    "Initialization of AC contactor failed",
    "Initialization of BMS hardware failed",
    "Initialization of DC contactor failed",
    "Initialization of Inverter failed",
    "Invalid or no SystemType was set",
    "Inverter Over Temperature",
    "Inverter Under Voltage",
    "Inverter Version Too Low For Dc-Module",
    "Manual shutdown by user",
    "Minimum rSOC of System reached",
    "Modules voltage out of range",
    "No Setpoint received by HC",
    "Odd number of battery modules",
    "One single module detected and module voltage is out of range",
    "Only one single module detected",
    "Shutdown Timer started",
    "System Validation failed",
    "Voltage Monitor Changed",
)
_MISC_BITS = ("Discharge not allowed", "F1 open", "Min System SOC", "Min User SOC", "Setpoint Timeout")
_MICROGRID = (
    "Continious Power Violation",
    "Discharge Current Limit Violation",
    "Low Temperature",
    "Max System SOC",
    "Max User SOC",
    "Microgrid Enabled",
    "Min System SOC",
    "Min User SOC",
    "Over Charge Current",
    "Over Discharge Current",
    "Peak Power Violation",
    "Protect is activated",
    "Transition to Ongrid Pending",
)
_PRIORITIES = ("BMS", "Energy Manager", "Full Charge Request", "Inverter", "Min User SOC", "Trickle Charge")
_VALIDATIONS = (
    "Country Code Set status flag 1",
    "Country Code Set status flag 2",
    "Self test Error DC Wiring",
    "Self test Postponed",
    "Self test Precondition not met",
    "Self test Running",
    "Self test successful finished",
)
_SB10_LEDS = ("Blinking Red", "Pulsing Green", "Pulsing Orange", "Pulsing White", "Solid Red")
_EVO_LEDS = (
    "Blinking Green",
    "Blinking Red",
    "Blinking blue",
    "Blinking sonnenGradient",
    "Pulsing Green",
    "Pulsing Orange",
    "Pulsing Red",
    "Pulsing White",
    "Pulsing blue",
    "Rotating sonnenGradient",
    "Solid Red",
    "Solid blue",
    "Solid sonnenGradient",
)


def sb10_latestdata(firmware: FirmwareState) -> dict[str, object]:
    """Return what software of spring 2022 says: five LEDs, whole Wh, and a grid power that is always 0."""
    capacity = round(firmware.house.capacity_watt_hours)
    return _latestdata(firmware, leds=_flags(_SB10_LEDS, "Pulsing White")) | {
        "FullChargeCapacity": capacity,
        "GridFeedIn_W": 0,
    }


def evo_latestdata(firmware: FirmwareState) -> dict[str, object]:
    """Return what the newest firmware says: a number and a text among the LEDs, and fractions of a Wh."""
    leds = _flags(_EVO_LEDS, "Pulsing White") | {"Brightness": 100, "Eclipse Status": "0x01 - ONGRID_READY"}
    return _latestdata(firmware, leds=leds) | {
        "FullChargeCapacity": round(firmware.house.capacity_watt_hours, 3),
        "GridFeedIn_W": round(firmware.state.grid_feed_in_watts),
    }


def _latestdata(firmware: FirmwareState, *, leds: dict[str, object]) -> dict[str, object]:
    state = firmware.state
    offset = firmware.clock.utcoffset() or timedelta()
    empty = state.stored_watt_hours <= firmware.house.stored_minimum_watt_hours
    return {
        "Consumption_W": round(state.consumption_watts),
        "Pac_total_W": round(state.discharge_watts),
        "Production_W": round(state.production_watts),
        "RSOC": floor(state.state_of_charge_percent),
        "SetPoint_W": round(state.consumption_watts - state.production_watts),
        "Timestamp": firmware.timestamp,
        "USOC": floor(state.usable_state_of_charge_percent),
        "UTC_Offet": round(offset / timedelta(hours=1)),
        "ic_status": {
            "DC Shutdown Reason": _flags(_SHUTDOWN_REASONS),
            "Eclipse Led": leds,
            "MISC Status Bits": _flags(_MISC_BITS, *(("Min User SOC",) if empty else ())),
            # True in the normal operation of one real system.
            "Microgrid Status": _flags(_MICROGRID, "Protect is activated"),
            "Setpoint Priority": _flags(_PRIORITIES, "Energy Manager"),
            "System Validation": _flags(_VALIDATIONS),
            "nrbatterymodules": firmware.house.modules,
            "secondssincefullcharge": state.seconds_since_full_charge,
            "statebms": "ready",
            "statecorecontrolmodule": "ongrid",
            "stateinverter": "running",
            "timestamp": firmware.core_timestamp,
        },
    }


def _flags(names: tuple[str, ...], *true: str) -> dict[str, object]:
    return {name: name in true for name in names}


def sb10_configurations(firmware: FirmwareState) -> dict[str, object]:
    """Return the settings under software 1.8.7."""
    return _configurations(firmware) | {"DE_Software": "1.8.7", "EM_RE_ENABLE_MICROGRID": "0"}


def evo_configurations(firmware: FirmwareState) -> dict[str, object]:
    """Return the settings under software 1.18.2, which has a bool among the texts."""
    return _configurations(firmware) | {"DE_Software": "1.18.2", "EM_RE_ENABLE_MICROGRID": True}


def _configurations(firmware: FirmwareState) -> dict[str, object]:
    house = firmware.house
    schedule = [{"start": "12:00", "stop": "14:00", "threshold_p_max": 2000}]
    return {
        "CM_MarketingModuleCapacity": f"{house.marketing_capacity_watt_hours}",
        "CN_CascadingRole": "none",
        "DE_Software": "",
        "EM_CHP_Max_SOC": "95",
        "EM_CHP_Min_SOC": None,
        "EM_OperatingMode": "2",
        "EM_Prognosis_Charging": "0",
        "EM_RE_ENABLE_MICROGRID": "0",
        "EM_ToU_Schedule": json.dumps(schedule, separators=(",", ":")),
        "EM_USER_INPUT_TIME_ONE": "00:00",
        "EM_USER_INPUT_TIME_TWO": "00:00",
        "EM_USOC": f"{house.backup_buffer_percent}",
        "EM_US_GENRATOR_TYPE": "automatic",
        "EM_US_GEN_POWER_SET_POINT": "0",
        "IC_BatteryModules": f"{house.modules}",
        "IC_InverterMaxPower_w": f"{house.max_discharge_watts:.0f}",
        "NVM_PfcFixedCosPhi": "1",
        "NVM_PfcIsFixedCosPhiActive": "0",
        "NVM_PfcIsFixedCosPhiLagging": "1",
        "SH_HeaterOperatingMode": "0",
        "SH_HeaterTemperatureMax": "65",
        "SH_HeaterTemperatureMin": "42",
    }
