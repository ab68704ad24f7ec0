"""One pure parser per endpoint, from a JSON document to a part of a Reading.

Every field may be missing, null, or of another type than yesterday (docs/battery-api.md 4 and 5): what is not
believable is None. Only a document of the wrong shape is an error.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

from sonnen_agent.battery import values
from sonnen_agent.battery.values import Fields, Parse
from sonnen_agent.details import Configuration, Inverter, Meter, Pack, Phases, System
from sonnen_agent.errors import BatteryError
from sonnen_agent.reading import Place, Status

_FLOWS: dict[str, tuple[Place, Place]] = {
    "FlowConsumptionBattery": ("battery", "home"),
    "FlowConsumptionGrid": ("grid", "home"),
    "FlowConsumptionProduction": ("solar", "home"),
    "FlowGridBattery": ("grid", "battery"),
    "FlowProductionBattery": ("solar", "battery"),
    "FlowProductionGrid": ("solar", "grid"),
}
_PROBES = {"tempbdc": "bdc", "temphmi": "hmi", "temppu": "pu", "tmax": "max"}
_COMPONENTS = {"statebms": "bms", "statecorecontrolmodule": "core", "stateinverter": "inverter"}
_METER_VOLTS = ("v_l1_n", "v_l2_n", "v_l3_n")
_GRID_VOLTS = ("uac1", "uac2", "uac3")
_MODULE_WATT_HOURS = (500, 12_000)
_SYSTEM_WATT_HOURS = (500, 100_000)
_STRINGS = {"ppv", "ppv2"}
_MEASURED = {"fac", "pac_total", "uac", *_STRINGS, *_GRID_VOLTS, *_PROBES}
"""What an inverter tells of itself, any of it."""
_QUOTED_CHARACTERS = 100
_ENTRIES_LIMIT = 64
"""More meters, lights or reasons than this are not a battery's; each one would be a series for years."""

CONFIGURATION_KEYS = ("DE_Software", "IC_BatteryModules", "CM_MarketingModuleCapacity")
"""What `parse_configuration` reads, for firmware that tells it key by key only."""

ECO6_CODES = ("M01", "M02", "M03", "M04", "M05", "M30", "M34", "M35", "M38", "M39", "S65")
"""What a status of an eco 6 needs, for units that answer only code by code."""
_ECO6_NEVER_ALL_ZERO = ("M03", "M04", "M05", "M34", "M35")
"""Its voltages are not known; but a house without any consumption around an empty battery is not measured yet."""


def parse_status(document: object) -> Status:
    """Return the powers of `/api/v1/status` or `/api/v2/status` (docs/battery-api.md 4)."""
    raw = _object(document)
    if code := values.number(raw.get("ReturnCode")):
        raise BatteryError("invalid", f"answered ReturnCode {code:.15g} instead of a status")
    production, consumption = values.watts(raw.get("Production_W")), values.watts(raw.get("Consumption_W"))
    discharge, feed_in = values.watts(raw.get("Pac_total_W")), values.watts(raw.get("GridFeedIn_W"))
    if derived := "GridFeedIn_W" not in raw:
        feed_in = _feed_in(production, discharge, consumption)
    at_inverter = [values.number(raw.get(key)) for key in ("Uac", "Fac", "Ubat")]
    inverter_at_zero = at_inverter == [0, 0, 0]
    # All that is measured is 0 or absent, and something is 0.
    measured = (*at_inverter, production, consumption, discharge, feed_in)
    starts = not any(measured) and at_inverter.count(0) > 0
    stack_is_dead = at_inverter[2] == 0
    return Status(
        production_watts=production,
        consumption_watts=consumption,
        grid_feed_in_watts=feed_in,
        discharge_watts=discharge,
        state_of_charge_percent=_charge(raw.get("RSOC"), stack_is_dead),
        usable_state_of_charge_percent=_charge(raw.get("USOC"), stack_is_dead),
        backup_buffer_percent=values.percent(raw.get("BackupBuffer")),
        consumption_average_watts=values.watts(raw.get("Consumption_Avg")),
        inverter_ac_volts=None if inverter_at_zero else values.volts(raw.get("Uac")),
        battery_volts=values.volts(raw.get("Ubat")) or None,
        inverter_hertz=values.hertz(raw.get("Fac")),
        apparent_output_voltamperes=_phases(raw, ("Sac1", "Sac2", "Sac3"), values.watts),
        on_grid={"ongrid": True, "offgrid": False}.get((values.text(raw.get("SystemStatus")) or "").lower()),
        discharge_not_allowed=values.boolean(raw.get("dischargeNotAllowed")),
        operating_mode=values.number(raw.get("OperatingMode")),
        flows={flow: on for key, flow in _FLOWS.items() if (on := values.boolean(raw.get(key))) is not None},
        local_time=values.text(raw.get("Timestamp")),
        feed_in_is_derived=derived and feed_in is not None,
        booting=starts,
        inverter_at_zero=inverter_at_zero and not starts,
    )


def _charge(value: object, stack_is_dead: bool) -> float | None:
    """Return a charge in percent; nobody measures the 0 of a stack without any voltage."""
    percent = values.percent(value)
    return None if stack_is_dead and percent == 0 else percent


def parse_eco6_status(document: object) -> Status:
    """Return the powers of the generation on port 7979, eco 4 to 6, from an object of codes (docs/battery-api.md 7).

    65525 W and what exceeds the inverter are not readings.
    """
    raw = _object(document, "an object of codes")
    production = _eco6_power(raw, "M03")
    consumption = _eco6_power(raw, "M04")
    limit = values.watts(raw.get("S65"))
    discharge = _difference(_eco6_power(raw, "M34", limit), _eco6_power(raw, "M35", limit))
    if discharge is None and "M34" not in raw and "M35" not in raw:
        discharge = _difference(_eco6_power(raw, "M01", limit), _eco6_power(raw, "M02", limit))
    feed_in = _difference(_eco6_power(raw, "M38"), _eco6_power(raw, "M39"))
    derived = feed_in is None
    if derived:
        feed_in = _feed_in(production, discharge, consumption)
    return Status(
        production_watts=production,
        consumption_watts=consumption,
        grid_feed_in_watts=feed_in,
        discharge_watts=discharge,
        state_of_charge_percent=values.percent(raw.get("M05")),
        usable_state_of_charge_percent=values.percent(raw.get("M30")),
        feed_in_is_derived=derived,
        booting=all(values.number(raw.get(code)) == 0 for code in _ECO6_NEVER_ALL_ZERO),
    )


def _eco6_power(raw: Fields, code: str, limit: float | None = None) -> float | None:
    """Return a power that cannot be negative."""
    power = values.watts(raw.get(code))
    if power is None or power < 0 or (limit and power > limit):
        return None
    return power


def _difference(out: float | None, back: float | None) -> float | None:
    """Return the power of two directions; while one lives, the other is idle, whatever it says (65525, or nothing)."""
    if out is None or back is None:
        return out or (-back if back else None)
    return out - back


def _feed_in(production: float | None, discharge: float | None, consumption: float | None) -> float | None:
    """Return what has to flow into the grid where nothing tells it."""
    if production is None or discharge is None or consumption is None:
        return None
    return production + discharge - consumption


def parse_meters(document: object) -> tuple[Meter, ...]:
    """Return the meters of `/api/v2/powermeter` (a list) or `/api/powermeter` (by `4_1`); docs/battery-api.md 5.3."""
    entries: Iterable[tuple[str, object]]
    if isinstance(document, list):
        entries = ((str(position), entry) for position, entry in enumerate(document))
    else:
        raw = _object(document)
        # One alone may come without a list around it.
        entries = [("0", raw)] if "direction" in raw else raw.items()
    meters: dict[tuple[str, str], Meter] = {}
    for key, entry in islice(entries, _ENTRIES_LIMIT):
        meter = _meter(key, values.fields(entry))
        if meter is not None:
            # Two series of one name would make the Pushgateway refuse the whole group.
            meters.setdefault((meter.direction, meter.name), meter)
    if not meters and isinstance(document, dict) and document:
        raise BatteryError(
            "invalid", f"answered an object without any meter: {', '.join(document)[:_QUOTED_CHARACTERS]}"
        )
    return tuple(meters.values())


def _meter(key: str, raw: Fields) -> Meter | None:
    direction = values.text(raw.get("direction"))
    if direction is None:
        return None
    device, channel = values.number(raw.get("deviceid")), values.number(raw.get("channel"))
    name = f"{device:.15g}_{channel:.15g}" if device is not None and channel is not None else values.text(key) or "0"
    error = values.number(raw.get("error"))
    if error:
        return Meter(direction=direction, name=name, error=error)
    volts = _phases(raw, _METER_VOLTS, values.volts)
    watts = _phases(raw, ("w_l1", "w_l2", "w_l3"), values.watts, volts)
    known = [phase for phase in watts if phase is not None]
    total = values.watts(raw.get("w_total"))
    imported, exported = values.count(raw.get("kwh_imported")), values.count(raw.get("kwh_exported"))
    return Meter(
        direction=direction,
        name=name,
        error=error,
        amperes=_phases(raw, ("a_l1", "a_l2", "a_l3"), values.amperes, volts),
        volts=_phases(raw, _METER_VOLTS, values.volts, volts),
        watts=watts,
        total_watts=sum(known) if total is None and known else total,
        imported_watt_hours=None if imported is None else imported * 1000,
        exported_watt_hours=None if exported is None else exported * 1000,
    )


def parse_inverter(document: object) -> Inverter:
    """Return what `/api/v2/inverter` or the legacy `/api/inverter` measures (docs/battery-api.md 5.4 and 6)."""
    raw = _object(document)
    # The legacy form wraps it once or twice, and calls its fault flags "status" as well.
    while isinstance(raw.get("status"), dict) and not _MEASURED.intersection(raw):
        raw = values.fields(raw["status"])
    strings = {
        name: power for name, key in (("1", "ppv"), ("2", "ppv2")) if (power := values.watts(raw.get(key))) is not None
    }
    return Inverter(
        grid_hertz=values.hertz(raw.get("fac")),
        grid_volts=_phases(raw, _GRID_VOLTS, values.volts, _phases(raw, _GRID_VOLTS, values.volts)),
        temperatures={
            probe: celsius for key, probe in _PROBES.items() if (celsius := values.celsius(raw.get(key))) is not None
        },
        pv_watts=sum(strings.values()) if len(strings) == len(_STRINGS.intersection(raw)) > 0 else None,
        string_watts=strings if "ppv2" in raw else {},
        microgrid_watts=values.watts(raw.get("pac_microgrid")),
    )


def parse_pack(document: object) -> Pack:
    """Return the modules' values of `/api/v2/battery` or the legacy `/api/battery` (docs/battery-api.md 5.1 and 6)."""
    raw = _object(document)
    raw = values.fields(raw.get("measurements", raw))
    raw = values.fields(raw.get("battery_status", raw))
    return Pack(
        cycles=values.count(raw.get("cyclecount")),
        current_amperes=values.amperes(raw.get("systemcurrent")),
        cell_temperature_min_celsius=values.celsius(raw.get("minimumcelltemperature")),
        cell_temperature_max_celsius=values.celsius(raw.get("maximumcelltemperature")),
        cell_min_volts=values.volts(raw.get("minimumcellvoltage")) or None,
        cell_max_volts=values.volts(raw.get("maximumcellvoltage")) or None,
        alarm=values.count(raw.get("systemalarm")),
        warning=values.count(raw.get("systemwarning")),
        state_of_health_percent=values.percent(raw.get("stateofhealth")),
        full_charge_capacity_watt_hours=_capacity(raw.get("fullchargecapacitywh"), modules=None),
    )


def parse_system(document: object) -> System:
    """Return the states of `/api/v2/latestdata`; its powers are not used: its feed-in is wrong.

    docs/battery-api.md 5.2 has the proof.
    """
    raw = _object(document)
    inner = values.fields(raw.get("ic_status"))
    offsets = (values.number(raw.get(key)) for key in ("UTC_Offet", "UTC_Offset"))
    system = System(
        states={component: state for key, component in _COMPONENTS.items() if (state := values.text(inner.get(key)))},
        leds=_switches(inner.get("Eclipse Led")),
        shutdown_reasons=_switches(inner.get("DC Shutdown Reason")),
        utc_offset_hours=next((offset for offset in offsets if offset is not None), None),
    )
    if system.booting:
        return system
    modules = values.count(inner.get("nrbatterymodules"))
    return replace(
        system,
        battery_modules=modules,
        seconds_since_full_charge=values.count(inner.get("secondssincefullcharge")),
        full_charge_capacity_watt_hours=_capacity(raw.get("FullChargeCapacity"), modules),
    )


def parse_configuration(document: object) -> Configuration:
    """Return what `/api/v2/configurations` says of the installation, all texts there (docs/battery-api.md 5.6)."""
    raw = _object(document)
    modules = values.count(raw.get("IC_BatteryModules"))
    capacity = values.count(raw.get("CM_MarketingModuleCapacity"))
    return Configuration(
        firmware=values.text(raw.get("DE_Software")),
        installed_capacity_watt_hours=modules * capacity if modules and capacity else None,
    )


def _object(document: object, expected: str = "an object") -> Fields:
    if not isinstance(document, dict):
        raise BatteryError("invalid", f"answered a JSON {type(document).__name__} where {expected} was expected")
    if (error := values.text(document.get("error"))) is not None:
        raise BatteryError("invalid", f"answered an error with status 200: {error}")
    return document


def _phases(raw: Fields, keys: tuple[str, ...], parse: Parse, volts: Phases = (None, None, None)) -> Phases:
    """Return a quantity of the three phases; one at exactly 0 V is not connected and has no values."""
    one, two, three = (None if at == 0 else parse(raw.get(key)) for key, at in zip(keys, volts, strict=True))
    return one, two, three


def _switches(value: object) -> dict[str, bool]:
    """Return the entries that are exactly true or false; brightness and texts stand between them."""
    named = ((values.text(key), state) for key, state in values.fields(value).items())
    switches = ((name, state) for name, state in named if name is not None and isinstance(state, bool))
    return dict(islice(switches, _ENTRIES_LIMIT))


def _capacity(value: object, modules: float | None) -> float | None:
    """Return Wh; some software sends mAh in its place, which is too much for one module (docs/battery-api.md 5.2)."""
    capacity = values.number(value)
    if capacity is None:
        return None
    (low, high), share = (_MODULE_WATT_HOURS, capacity / modules) if modules else (_SYSTEM_WATT_HOURS, capacity)
    return capacity if low <= share <= high else None
