"""Power meters, battery stack and inverter: the answers of v2 and of the legacy API.

docs/battery-api.md 5.1, 5.3, 5.4 and 6.
"""

from math import hypot, sqrt

from sonnen_agent.simulator.firmware import FirmwareState, plain, single

_DEVICE = 4
_LOAD_VOLTAMPERES = 64.0
"""What a phase with a load draws beside its power."""
_NOT_MEASURED_CELSIUS = -273.15
_CURRENT_LIMIT_AMPERES = 39.97
_FULL_PERCENT = 99.5
_MODULES_IN_SERIES = 2


def powermeter_list(firmware: FirmwareState) -> list[dict[str, object]]:
    """Return the v2 list; consumption comes first, because the order is not fixed."""
    return [_consumption(firmware), _production(firmware)]


def legacy_powermeter(firmware: FirmwareState) -> dict[str, dict[str, object]]:
    """Return the legacy object keyed `DEVICEID_CHANNEL`, its numbers quoted."""
    meters = (_production(firmware), _consumption(firmware))
    return {
        f"{meter['deviceid']}_{meter['channel']}": {
            name: value if isinstance(value, str) else f"{value}" for name, value in meter.items()
        }
        for meter in meters
    }


def _production(firmware: FirmwareState) -> dict[str, object]:
    meter = _meter(firmware, firmware.phase_production_watts, firmware.production_kilowatt_hours)
    return meter | {"channel": 1, "direction": "production"}


def _consumption(firmware: FirmwareState) -> dict[str, object]:
    meter = _meter(firmware, firmware.phase_consumption_watts, firmware.consumption_kilowatt_hours)
    return meter | {"channel": 2, "direction": "consumption"}


def _meter(firmware: FirmwareState, watts: tuple[float, float, float], kilowatt_hours: float) -> dict[str, object]:
    """Return one meter; the phases a house does not have read exactly 0 (docs/battery-api.md 5.3)."""
    connected = [phase < firmware.house.phases for phase in range(3)]
    volts = [
        round(street, 1) if there else 0.0 for street, there in zip(firmware.state.phase_volts, connected, strict=True)
    ]
    apparent = [hypot(w, _LOAD_VOLTAMPERES) if w else 0.0 for w in watts]
    meter: dict[str, object] = {
        "deviceid": _DEVICE,
        "error": 0,
        "kwh_exported": 0,
        "kwh_imported": single(kilowatt_hours),
        "va_total": single(round(sum(apparent), 1)),
        "var_total": single(round(-_LOAD_VOLTAMPERES * sum(1 for w in watts if w), 1)),
        "w_total": single(round(sum(watts), 1)),
    }
    for phase in range(3):
        following = (phase + 1) % 3
        between = (
            (volts[phase] + volts[following]) / 2.0 * sqrt(3.0) if connected[phase] and connected[following] else 0
        )
        current = apparent[phase] / volts[phase] if volts[phase] else 0.0
        meter[f"a_l{phase + 1}"] = single(round(current, 3))
        meter[f"v_l{phase + 1}_n"] = single(volts[phase])
        # A house with one phase has no voltage between phases.
        meter[f"v_l{phase + 1}_l{following + 1}"] = single(round(between, 1))
        meter[f"w_l{phase + 1}"] = single(round(watts[phase], 1))
    return meter


def sb10_battery(firmware: FirmwareState) -> dict[str, object]:
    """Return the older field set, integers and floats mixed."""
    return {name: plain(value) for name, value in _battery(firmware).items()}


def evo_battery(firmware: FirmwareState) -> dict[str, object]:
    """Return the newer field set, every number a float: 30.0 cycles."""
    house, state = firmware.house, firmware.state
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
    return {**_battery(firmware), **newer}


def sb10_inverter(firmware: FirmwareState) -> dict[str, object]:
    """Return the AC-coupled inverter: nothing on its PV side; whole numbers have no fraction."""
    return {name: plain(value) for name, value in _inverter(firmware).items()}


def evo_inverter(firmware: FirmwareState) -> dict[str, object]:
    """Return the EVO's inverter, whose frequency and apparent power read 0.0 (docs/battery-api.md 5.4)."""
    return {**_inverter(firmware), "fac": 0.0, "sac_total": 0.0}


def legacy_inverter(firmware: FirmwareState) -> dict[str, object]:
    """Return the eco 8's inverter: everything in one `status` object, every number a text."""
    state = firmware.state
    pac = state.discharge_watts / 3.0
    sac = firmware.inverter_voltamperes / 3.0
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


def _battery(firmware: FirmwareState) -> dict[str, float]:
    house, state = firmware.house, firmware.state
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


def _inverter(firmware: FirmwareState) -> dict[str, float]:
    state = firmware.state
    apparent = firmware.inverter_voltamperes
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
