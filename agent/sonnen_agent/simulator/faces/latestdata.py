"""The latestdata answers of v2 (SONNEN_API 5.2)."""

from datetime import timedelta
from math import floor

from sonnen_agent.simulator.faces.view import View

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
_CORE_LAG = timedelta(seconds=1)
"""The core controller's clock is read a little before the rest."""


def sb10_latestdata(view: View) -> dict[str, object]:
    """Return what software of spring 2022 says: five LEDs, whole Wh, and a grid power that is always 0."""
    capacity = round(view.house.capacity_watt_hours)
    return _latestdata(view, leds=_flags(_SB10_LEDS, "Pulsing White")) | {
        "FullChargeCapacity": capacity,
        "GridFeedIn_W": 0,
    }


def evo_latestdata(view: View) -> dict[str, object]:
    """Return what the newest firmware says: a number and a text among the LEDs, and fractions of a Wh."""
    leds = _flags(_EVO_LEDS, "Pulsing White") | {"Brightness": 100, "Eclipse Status": "0x01 - ONGRID_READY"}
    return _latestdata(view, leds=leds) | {
        "FullChargeCapacity": round(view.house.capacity_watt_hours, 3),
        "GridFeedIn_W": round(view.state.grid_feed_in_watts),
    }


def _latestdata(view: View, *, leds: dict[str, object]) -> dict[str, object]:
    state = view.state
    offset = view.clock.utcoffset() or timedelta()
    empty = state.stored_watt_hours <= view.house.stored_minimum_watt_hours
    core = View(house=view.house, state=state, clock=view.clock - _CORE_LAG)
    return {
        "Consumption_W": round(state.consumption_watts),
        "Pac_total_W": round(state.discharge_watts),
        "Production_W": round(state.production_watts),
        "RSOC": floor(state.state_of_charge_percent),
        "SetPoint_W": round(state.consumption_watts - state.production_watts),
        "Timestamp": view.timestamp,
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
            "nrbatterymodules": view.house.modules,
            "secondssincefullcharge": state.seconds_since_full_charge,
            "statebms": "ready",
            "statecorecontrolmodule": "ongrid",
            "stateinverter": "running",
            "timestamp": core.core_timestamp,
        },
    }


def _flags(names: tuple[str, ...], *true: str) -> dict[str, object]:
    return {name: name in true for name in names}
