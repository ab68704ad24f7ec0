"""The status answers: v1 and v2 (docs/battery-api.md 4), and numbered values on port 7979 (docs/battery-api.md 7)."""

from math import floor

from sonnen_agent.simulator.firmware import FirmwareState, single

_FLOW_WATTS = 20.0
"""Power below which no flow is shown."""
_ACTIVE_WATTS = 50.0
"""Power below which the battery is shown as neither charging nor discharging."""
_AUTOMATIC, _CHARGING, _DISCHARGING = 10, 13, 15
ECO6_CODES = (
    *(f"M{number:02}" for number in range(1, 13)),
    *("M30", "M31", "M34", "M35", "M37", "M38", "M39", "M41", "S15", "S65"),
)
"""What the simulated unit answers to."""


def eco8_status(firmware: FirmwareState) -> dict[str, object]:
    """Return the v1 status of an eco 8 of the winter 2020: three phases, `RemainingCapacity_W`."""
    phase = round(firmware.inverter_voltamperes / 3.0)
    return _status(firmware) | {
        "Apparent_output": 3 * phase + 1,
        "RemainingCapacity_W": round(firmware.state.stored_watt_hours),
        "Sac1": phase,
        "Sac2": phase + 1,
        "Sac3": phase,
    }


def sb10_status(firmware: FirmwareState) -> dict[str, object]:
    """Return the v2 status of a sonnenBatterie 10 of 2022: twice the energy it has (docs/battery-api.md 4.2)."""
    apparent = round(firmware.inverter_voltamperes)
    return _status(firmware) | {
        "Apparent_output": apparent,
        "RemainingCapacity_Wh": round(firmware.state.stored_watt_hours * 2.0),
        "Sac1": apparent,
        "Sac2": None,
        "Sac3": None,
    }


def evo_status(firmware: FirmwareState) -> dict[str, object]:
    """Return the status of the newest firmware: floats where integers were, and no apparent power."""
    return _status(firmware) | {
        "Apparent_output": None,
        "Fac": round(firmware.state.grid_hertz, 3),
        "GridFeedIn_W": float(round(firmware.state.grid_feed_in_watts)),
        "RemainingCapacity_Wh": round(firmware.state.stored_watt_hours),
        "Sac1": None,
        "Sac2": None,
        "Sac3": None,
        "Uac": float(round(firmware.state.phase_volts[0])),
        "Ubat": float(round(firmware.state.stack_volts)),
    }


def sb10_v1_status(firmware: FirmwareState) -> dict[str, object]:
    """Return the v1 status of a sonnenBatterie 10: the v2 one and a field that only v1 has."""
    return sb10_status(firmware) | {"NVM_REINIT_STATUS": 0}


def evo_v1_status(firmware: FirmwareState) -> dict[str, object]:
    """Return the v1 status of the newest firmware."""
    return evo_status(firmware) | {"NVM_REINIT_STATUS": 0}


def _status(firmware: FirmwareState) -> dict[str, object]:
    """Return the fields that all generations write alike."""
    state = firmware.state
    production, discharge, feed_in = state.production_watts, state.discharge_watts, state.grid_feed_in_watts
    return {
        "BackupBuffer": str(firmware.house.backup_buffer_percent),
        "BatteryCharging": discharge < -_ACTIVE_WATTS,
        "BatteryDischarging": discharge > _ACTIVE_WATTS,
        "Consumption_Avg": round(state.consumption_average_watts),
        "Consumption_W": round(state.consumption_watts),
        "Fac": single(round(state.grid_hertz, 3)),
        "FlowConsumptionBattery": discharge > _FLOW_WATTS,
        "FlowConsumptionGrid": feed_in < -_FLOW_WATTS,
        "FlowConsumptionProduction": production > _FLOW_WATTS,
        "FlowGridBattery": discharge < -_FLOW_WATTS and production + discharge < -_FLOW_WATTS,
        "FlowProductionBattery": discharge < -_FLOW_WATTS and production > _FLOW_WATTS,
        "FlowProductionGrid": feed_in > _FLOW_WATTS and production > _FLOW_WATTS,
        "GridFeedIn_W": round(feed_in),
        "IsSystemInstalled": 1,
        "OperatingMode": "2",
        "Pac_total_W": round(discharge),
        "Production_W": round(production),
        "RSOC": floor(state.state_of_charge_percent),
        "SystemStatus": "OnGrid",
        "Timestamp": firmware.timestamp,
        "USOC": floor(state.usable_state_of_charge_percent),
        "Uac": round(state.phase_volts[0]),
        "Ubat": round(state.stack_volts),
        "dischargeNotAllowed": False,
        "generator_autostart": False,
    }


def eco6_all_codes(firmware: FirmwareState) -> dict[str, float | int]:
    """Return the object of all codes; lifetime energies are in kWh, whose unit the sources leave open."""
    house, state = firmware.house, firmware.state
    discharge, charge = round(max(0.0, state.discharge_watts)), round(max(0.0, -state.discharge_watts))
    phases = [round(watts) for watts in firmware.phase_consumption_watts]
    shares = [watts / state.consumption_watts for watts in firmware.phase_consumption_watts]
    mode = _AUTOMATIC
    if abs(state.discharge_watts) > _ACTIVE_WATTS:
        mode = _DISCHARGING if state.discharge_watts > 0 else _CHARGING
    return {
        "M01": discharge,
        "M02": charge,
        "M03": round(state.production_watts),
        "M04": round(state.consumption_watts),
        "M05": floor(state.state_of_charge_percent),
        "M06": mode,
        **{f"M{7 + phase:02}": watts for phase, watts in enumerate(phases)},
        **{f"M{10 + phase:02}": round(share * state.consumption_peak_watts) for phase, share in enumerate(shares)},
        "M30": floor(state.usable_state_of_charge_percent),
        "M31": round((house.earlier_charge_watt_hours + state.battery_charge_watt_hours) / 1000.0, 1),
        "M34": discharge,
        "M35": charge,
        "M37": firmware.production_kilowatt_hours,
        "M38": round(max(0.0, state.grid_feed_in_watts)),
        "M39": round(max(0.0, -state.grid_feed_in_watts)),
        "M41": round((house.earlier_grid_import_watt_hours + state.grid_import_watt_hours) / 1000.0, 1),
        "S15": 100200,
        "S65": round(house.max_discharge_watts),
    }


def eco6_one_code(firmware: FirmwareState, code: str) -> str:
    """Return one value as text with a trailing newline."""
    return f"{eco6_all_codes(firmware)[code]}\n"
