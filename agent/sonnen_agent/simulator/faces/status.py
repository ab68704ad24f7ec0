"""The status answers of v1 and v2 (SONNEN_API 4)."""

from math import floor, hypot

from sonnen_agent.simulator.faces.view import View, single

_FLOW_WATTS = 20.0
"""Power below which no flow is shown."""
_ACTIVE_WATTS = 50.0
"""Power below which the battery is shown as neither charging nor discharging."""
_REACTIVE_VOLTAMPERES = 97.0
"""What the inverter's filter draws at rest."""


def eco8_status(view: View) -> dict[str, object]:
    """Return the v1 status of an eco 8 of the winter 2020: three phases, `RemainingCapacity_W`."""
    phase = round(hypot(view.state.discharge_watts, _REACTIVE_VOLTAMPERES) / 3.0)
    return _status(view) | {
        "Apparent_output": 3 * phase + 1,
        "RemainingCapacity_W": round(view.state.stored_watt_hours),
        "Sac1": phase,
        "Sac2": phase + 1,
        "Sac3": phase,
    }


def sb10_status(view: View) -> dict[str, object]:
    """Return the v2 status of a sonnenBatterie 10 of 2022: one phase, twice the energy it has (SONNEN_API 4.2)."""
    apparent = round(hypot(view.state.discharge_watts, _REACTIVE_VOLTAMPERES))
    return _status(view) | {
        "Apparent_output": apparent,
        "RemainingCapacity_Wh": round(view.state.stored_watt_hours * 2.0),
        "Sac1": apparent,
        "Sac2": None,
        "Sac3": None,
    }


def evo_status(view: View) -> dict[str, object]:
    """Return the status of the newest firmware: floats where integers were, and no apparent power."""
    return _status(view) | {
        "Apparent_output": None,
        "Fac": round(view.state.grid_hertz, 3),
        "GridFeedIn_W": float(round(view.state.grid_feed_in_watts)),
        "RemainingCapacity_Wh": round(view.state.stored_watt_hours),
        "Sac1": None,
        "Sac2": None,
        "Sac3": None,
        "Uac": float(round(view.state.phase_volts[0])),
        "Ubat": float(round(view.state.stack_volts)),
    }


def sb10_v1_status(view: View) -> dict[str, object]:
    """Return the v1 status of a sonnenBatterie 10: the v2 one and a field that only v1 has."""
    return sb10_status(view) | {"NVM_REINIT_STATUS": 0}


def evo_v1_status(view: View) -> dict[str, object]:
    """Return the v1 status of the newest firmware."""
    return evo_status(view) | {"NVM_REINIT_STATUS": 0}


def _status(view: View) -> dict[str, object]:
    """Return the fields that all generations write alike."""
    state = view.state
    production, discharge, feed_in = state.production_watts, state.discharge_watts, state.grid_feed_in_watts
    return {
        "BackupBuffer": str(view.house.backup_buffer_percent),
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
        "Timestamp": view.timestamp,
        "USOC": floor(state.usable_state_of_charge_percent),
        "Uac": round(state.phase_volts[0]),
        "Ubat": round(state.stack_volts),
        "dischargeNotAllowed": False,
        "generator_autostart": False,
    }
