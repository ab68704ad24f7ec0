"""The numbered values of the port 7979 generation (SONNEN_API 7)."""

from math import floor

from sonnen_agent.simulator.faces.view import View

_ACTIVE_WATTS = 50.0
_AUTOMATIC, _CHARGING, _DISCHARGING = 10, 13, 15
CODES = (
    *(f"M{number:02}" for number in range(1, 13)),
    *("M30", "M31", "M34", "M35", "M37", "M38", "M39", "M41", "S15", "S65"),
)
"""What the simulated unit answers to."""


def all_codes(view: View) -> dict[str, float | int]:
    """Return the object of all codes; lifetime energies are in kWh, whose unit the sources leave open."""
    house, state = view.house, view.state
    discharge, charge = round(max(0.0, state.discharge_watts)), round(max(0.0, -state.discharge_watts))
    phases = [round(watts) for watts in view.phase_consumption_watts]
    shares = [watts / state.consumption_watts for watts in view.phase_consumption_watts]
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
        "M37": view.production_kilowatt_hours,
        "M38": round(max(0.0, state.grid_feed_in_watts)),
        "M39": round(max(0.0, -state.grid_feed_in_watts)),
        "M41": round((house.earlier_grid_import_watt_hours + state.grid_import_watt_hours) / 1000.0, 1),
        "S15": 100200,
        "S65": round(house.max_discharge_watts),
    }


def one_code(view: View, code: str) -> str:
    """Return one value as text with a trailing newline."""
    return f"{all_codes(view)[code]}\n"
