"""Battery stack and inverter: the answers of v2 and of the legacy API (SONNEN_API 5.1, 5.4 and 6)."""

from math import hypot

from sonnen_agent.simulator.faces.view import View

_NOT_MEASURED_CELSIUS = -273.15
_CURRENT_LIMIT_AMPERES = 39.97
_FULL_PERCENT = 99.5
_REACTIVE_VOLTAMPERES = 97.0
_MODULES_IN_SERIES = 2


def sb10_battery(view: View) -> dict[str, object]:
    """Return the older field set, integers and floats mixed."""
    return {name: _plain(value) for name, value in _battery(view).items()}


def evo_battery(view: View) -> dict[str, object]:
    """Return the newer field set, every number a float: 30.0 cycles."""
    house, state = view.house, view.state
    full = house.capacity_watt_hours / house.nominal_volts
    remaining = full * state.state_of_charge_percent / 100.0
    usable = max(0.0, remaining - full * house.deep_discharge_reserve_percent / 100.0)
    newer = {
        "balancechargerequest": 0.0,
        "fullchargecapacitywh": round(house.capacity_watt_hours, 3),
        "nominalmoduledcvoltage": house.nominal_volts / _MODULES_IN_SERIES,
        "systemtime": 0.0,
        "usableremainingcapacity": round(usable, 3),
    }
    return {**_battery(view), **newer}


def sb10_inverter(view: View) -> dict[str, object]:
    """Return the AC-coupled inverter: nothing on its PV side; whole numbers have no fraction."""
    return {name: _plain(value) for name, value in _inverter(view).items()}


def evo_inverter(view: View) -> dict[str, object]:
    """Return the EVO's inverter, whose frequency and apparent power read 0.0 (SONNEN_API 5.4)."""
    return {**_inverter(view), "fac": 0.0, "sac_total": 0.0}


def legacy_inverter(view: View) -> dict[str, object]:
    """Return the eco 8's inverter: everything in one `status` object, every number a text."""
    state = view.state
    pac = state.discharge_watts / 3.0
    sac = hypot(state.discharge_watts, _REACTIVE_VOLTAMPERES) / 3.0
    numbers: dict[str, float] = {
        "fac": state.grid_hertz,
        "ibat": -state.stack_amperes,
        "ipv": 0.0,
        "pac_microgrid": 0.0,
        "pac_total": state.discharge_watts,
        "pbat": -state.cell_watts,
        "phi": 0.0,
        "ppv": 0.0,
        "sac_total": 3.0 * sac,
        "tempbdc": state.inverter_celsius + 1.5,
        "temphmi": state.inverter_celsius - 2.0,
        "temppu": state.inverter_celsius + 3.0,
        "ubat": state.stack_volts,
        "udc": 390.0,
        "upv": 0.0,
    }
    for phase, volts in enumerate(state.phase_volts, start=1):
        numbers |= {f"iac{phase}": sac / volts, f"pac{phase}": pac, f"sac{phase}": sac, f"uac{phase}": volts}
    texts = {name: f"{number:.2f}" for name, number in numbers.items()}
    states = {"AC_Relais1Closed": True, "AC_Relais2Closed": True, "DC1_RelaisClosed": True}
    faults = {"Active Failure": False, "BDC Communication Timeout": False, "Checking FI": False}
    return {"status": {"IOStates": states, **texts, "mode": "connected", "status": faults}}


def _battery(view: View) -> dict[str, float]:
    house, state = view.house, view.state
    full = house.capacity_watt_hours / house.nominal_volts
    full_now = state.state_of_charge_percent >= _FULL_PERCENT
    module_volts = round(state.stack_volts / _MODULES_IN_SERIES, 3)
    amperes = round(state.stack_amperes, 3)
    return {
        "chargecurrentlimit": 0.0 if full_now else _CURRENT_LIMIT_AMPERES,
        "cyclecount": float(int(state.cycles)),
        "dischargecurrentlimit": _CURRENT_LIMIT_AMPERES,
        "fullchargecapacity": round(full, 3),
        "maximumcelltemperature": round(state.cell_celsius[1], 2),
        "maximumcellvoltage": round(state.cell_volts[1], 3),
        "maximumcellvoltagenum": 0.0,
        "maximummodulecurrent": amperes,
        "maximummoduledcvoltage": module_volts,
        "maximummoduletemperature": _NOT_MEASURED_CELSIUS,
        "minimumcelltemperature": round(state.cell_celsius[0], 2),
        "minimumcellvoltage": round(state.cell_volts[0], 3),
        "minimumcellvoltagenum": 0.0,
        "minimummodulecurrent": amperes,
        "minimummoduledcvoltage": module_volts,
        "minimummoduletemperature": _NOT_MEASURED_CELSIUS,
        "relativestateofcharge": float(int(state.state_of_charge_percent)),
        "remainingcapacity": round(full * state.state_of_charge_percent / 100.0, 3),
        "systemalarm": 0.0,
        "systemcurrent": amperes,
        "systemdcvoltage": round(state.stack_volts, 1),
        "systemstatus": 49.0,
        "systemtime": float(int(state.time.timestamp()) % 100_000_000),
        "systemwarning": 0.0,
    }


def _inverter(view: View) -> dict[str, float]:
    state = view.state
    apparent = hypot(state.discharge_watts, _REACTIVE_VOLTAMPERES)
    return {
        "fac": round(state.grid_hertz, 3),
        "iac_total": round(apparent / state.phase_volts[0], 2),
        "ibat": round(-state.stack_amperes, 2),
        "ipv": 0.0,
        "pac_microgrid": 0.0,
        "pac_total": round(state.discharge_watts, 3),
        "pbat": round(-state.cell_watts, 2),
        "phi": round(state.discharge_watts / apparent, 2),
        "ppv": 0.0,
        "sac_total": round(apparent, 3),
        "tmax": round(state.inverter_celsius + 3.0, 3),
        "uac": round(state.phase_volts[0], 3),
        "ubat": round(state.stack_volts, 1),
        "upv": 0.0,
    }


def _plain(value: float) -> float | int:
    """Return a whole number without its fraction, as firmware before the EVO writes it."""
    return int(value) if value.is_integer() else value
