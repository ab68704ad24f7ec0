"""What the battery of the golden house says of itself at a reading: the gauges, and the lifetime meters."""

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
from golden_events import (
    ALARM,
    FAULT,
    HOT_CELLS,
    LOW_FREQUENCY,
    OVERVOLTAGE,
    RED_RING,
    REFUSED_TOKEN,
    SHUTDOWN,
    SILENCES,
    UNBALANCED,
    UNEVEN_CELLS,
    UPDATE,
    WARM_MODULE,
    WARNING,
    WRONG_CLOCK,
    Window,
)
from golden_house import BACKUP_BUFFER_PERCENT, CAPACITY_WATT_HOURS, Flags, Floats, House

Key = tuple[str, tuple[tuple[str, str], ...]]
"""A metric's name and its own labels, in alphabetical order."""
Page = dict[Key, Floats]
"""The values of series at the same moments; NaN is no sample."""

STATUS_ONLY: Final = ("sonnen_online", "sonnen_endpoint_up", "sonnen_last_reading_timestamp_seconds")
"""What is there when the battery cannot be read."""
SLOW_ENDPOINTS: Final = ("powermeter", "inverter", "battery", "latestdata", "configurations")
FIRMWARE_CHANGE: Final = UPDATE.end
"""From here on the new firmware answers."""
METERS: Final = {"production": "4_1", "consumption": "4_2"}
PHASES: Final = ("1", "2", "3")
ALLOWED_VOLTS: Final = {"min": 207.0, "max": 253.0}
ALLOWED_HERTZ: Final = {"min": 49.5, "max": 50.5}
_YEAR_SECONDS: Final = 365.25 * 86_400


def key(name: str, **labels: str) -> Key:
    """Return the key of a series; `from_` and the like are for labels that Python keeps for itself."""
    return name, tuple(sorted((label.rstrip("_"), value) for label, value in labels.items()))


def within(moments: Floats, window: Window) -> Flags:
    """Return which of the moments are in a window."""
    return np.asarray((moments >= window.begin) & (moments <= window.end))


def battery_gauges(house: House, read: Floats, cycles: Floats) -> Page:
    """Return what was said at the readings of the given times; `cycles` are those of then."""
    page = (
        _status(house, read)
        | _meters(house, read)
        | _inverter(read)
        | _pack(house, read, cycles)
        | _system(house, read)
    )
    silent, refused = np.zeros(read.size, dtype=np.bool_), within(read, REFUSED_TOKEN)
    last = np.round(read, 1)
    for window in SILENCES:
        silent |= within(read, window)
        last = np.where(within(read, window), window.begin, last)
    slow = {*_meters(house, read[:1]), *_inverter(read[:1]), *_pack(house, read[:1], cycles[:1])}
    slow |= set(_system(house, read[:1]))
    for name in page:
        page[name] = np.where(silent | (refused & (name in slow)), np.nan, page[name])
    page[key("sonnen_online")] = np.where(silent, 0.0, 1.0)
    page[key("sonnen_endpoint_up", endpoint="status")] = np.where(silent, 0.0, 1.0)
    for endpoint in SLOW_ENDPOINTS:
        page[key("sonnen_endpoint_up", endpoint=endpoint)] = np.where(silent | refused, 0.0, 1.0)
    page[key("sonnen_last_reading_timestamp_seconds")] = last
    return page


def _status(house: House, read: Floats) -> Page:
    def now(values: Floats) -> Floats:
        return np.asarray(np.interp(read, house.seconds, values))

    production, consumption, discharge = (now(one) for one in (house.production, house.consumption, house.discharge))
    feed_in = now(house.feed_in)
    on_grid = now(house.on_grid.astype(float)) > 0.5
    island = np.where(on_grid, 0.0, 0.35)
    flows = {
        ("solar", "home"): (production > 0) & (consumption > 0),
        ("solar", "battery"): (production > consumption) & (discharge < 0),
        ("solar", "grid"): (production > consumption) & (feed_in > 0),
        ("battery", "home"): discharge > 0,
        ("grid", "home"): feed_in < 0,
        ("grid", "battery"): (feed_in < 0) & (discharge < 0) & (production < consumption),
    }
    return {
        key("sonnen_production_watts"): np.round(production, 1),
        key("sonnen_consumption_watts"): np.round(consumption, 1),
        key("sonnen_consumption_average_watts"): np.round(np.interp(read - 30.0, house.seconds, house.consumption)),
        key("sonnen_grid_feed_in_watts"): np.round(feed_in, 1),
        key("sonnen_discharge_watts"): np.round(discharge, 1),
        key("sonnen_power_balance_watts"): np.where(
            within(read, UNBALANCED), 640.0, np.round(4.0 * _wave(read, 61.0), 1)
        ),
        key("sonnen_state_of_charge_percent"): np.round(now(house.state_of_charge_percent)),
        key("sonnen_usable_state_of_charge_percent"): np.round(now(house.usable_percent)),
        key("sonnen_backup_buffer_percent"): _constant(read, BACKUP_BUFFER_PERCENT),
        key("sonnen_inverter_ac_volts"): np.round(231.0 + 2.0 * _wave(read, 86_400.0)),
        key("sonnen_battery_volts"): np.round(201.0 + 0.1 * now(house.state_of_charge_percent)),
        key("sonnen_frequency_inverter"): np.round(_hertz(read) + island, 3),
        key("sonnen_on_grid"): on_grid.astype(float),
        key("sonnen_discharge_not_allowed"): _constant(read, 0.0),
        key("sonnen_operating_mode"): _constant(read, 2.0),
        key("sonnen_nominal_volts"): _constant(read, 230.0),
        key("sonnen_nominal_hertz"): _constant(read, 50.0),
        **{key("sonnen_allowed_volts", limit=one): _constant(read, volts) for one, volts in ALLOWED_VOLTS.items()},
        **{key("sonnen_allowed_hertz", limit=one): _constant(read, hertz) for one, hertz in ALLOWED_HERTZ.items()},
        **{
            key("sonnen_apparent_output_voltamperes", phase=phase): np.round(np.abs(discharge) / 3.0 + 8.0)
            for phase in PHASES
        },
        **{key("sonnen_flow_active", from_=one, to=other): on.astype(float) for (one, other), on in flows.items()},
    }


def _meters(house: House, read: Floats) -> Page:
    page: Page = {}
    for direction, meter in METERS.items():
        watts = np.interp(read, house.seconds, getattr(house, direction))
        for phase, share in zip(PHASES, (0.40, 0.35, 0.25), strict=True):
            labels = {"direction": direction, "phase": phase, "meter": meter}
            volts = _phase_volts(read, phase)
            page[key("sonnen_meter_volts", **labels)] = volts
            page[key("sonnen_meter_watts", **labels)] = np.round(share * watts, 1)
            page[key("sonnen_meter_current", **labels)] = np.round(share * watts / volts, 2)
        lifetime = (
            np.interp(read, house.seconds, np.concatenate(([0.0], np.cumsum(getattr(house, direction))[:-1]))) / 60.0
        )
        page[key("sonnen_meter_total_watts", direction=direction, meter=meter)] = np.round(watts, 1)
        page[key("sonnen_meter_imported_watt_hours_total", direction=direction, meter=meter)] = np.round(
            14_213_400.0 + lifetime, -2
        )
        page[key("sonnen_meter_exported_watt_hours_total", direction=direction, meter=meter)] = _constant(read, 0.0)
        page[key("sonnen_meter_error", direction=direction, meter=meter)] = _constant(read, 0.0)
    return page


def _inverter(read: Floats) -> Page:
    return {
        key("sonnen_frequency_grid"): np.round(_hertz(read), 3),
        key("sonnen_temperature", probe="max"): np.round(
            34.0 + 7.0 * _wave(read, 86_400.0, 0.5) + 4.0 * _season(read), 1
        ),
        key("sonnen_pv_watts"): _constant(read, 0.0),
        key("sonnen_microgrid_watts"): _constant(read, 0.0),
    }


def _pack(house: House, read: Floats, cycles: Floats) -> Page:
    hot = within(read, HOT_CELLS)
    warmth = 22.0 + 4.0 * _season(read) + 1.5 * _wave(read, 86_400.0, 0.6)
    charge = np.interp(read, house.seconds, house.state_of_charge_percent)
    cell = 3.15 + 0.002 * charge
    watts = np.interp(read, house.seconds, house.discharge)
    return {
        key("sonnen_battery_cycles_total"): np.floor(371.6 + cycles),
        key("sonnen_battery_current_amperes"): np.round(-watts / 205.0, 2),
        key("sonnen_cell_temperature_celsius", stat="min"): np.where(hot, 44.0, np.round(warmth - 1.5, 2)),
        key("sonnen_cell_temperature_celsius", stat="max"): np.select(
            [hot, within(read, WARM_MODULE)], [47.0, 39.0], np.round(warmth + 1.5, 2)
        ),
        key("sonnen_cell_volts", stat="min"): np.round(cell - np.where(within(read, UNEVEN_CELLS), 0.19, 0.004), 3),
        key("sonnen_cell_volts", stat="max"): np.round(cell + 0.004, 3),
        key("sonnen_system_alarm"): np.where(within(read, ALARM), 2.0, 0.0),
        key("sonnen_system_warning"): np.where(within(read, WARNING), 8.0, 0.0),
        key("sonnen_full_charge_capacity_watt_hours"): np.round(
            CAPACITY_WATT_HOURS - 1.2e-5 * (read - house.seconds[0])
        ),
    }


def _system(house: House, read: Floats) -> Page:
    full = np.where(house.state_of_charge_percent > 99.5, house.seconds, house.seconds[0] - 90_000.0)
    last_full = np.maximum.accumulate(full)
    index = np.clip(((read - house.seconds[0]) // 60).astype(int), 0, house.seconds.size - 1)
    old = read < FIRMWARE_CHANGE
    red = within(read, RED_RING)
    return {
        key("sonnen_installed_capacity_watt_hours"): _constant(read, 11_000.0),
        key("sonnen_battery_modules"): _constant(read, 2.0),
        key("sonnen_seconds_since_full_charge"): np.floor(read - last_full[index]),
        key("sonnen_clock_offset_seconds"): np.where(within(read, WRONG_CLOCK), 240.0, 0.4),
        key("sonnen_battery_info", firmware="1.17.2", model="", generation="sb10"): np.where(old, 1.0, np.nan),
        key("sonnen_battery_info", firmware="1.18.0", model="", generation="sb10"): np.where(old, np.nan, 1.0),
        key("sonnen_eclipse_led", led="Pulsing White"): np.where(red, 0.0, 1.0),
        key("sonnen_eclipse_led", led="Solid Red"): np.where(red, 1.0, 0.0),
        key("sonnen_fault", part="bms"): np.where(within(read, FAULT), 1.0, np.nan),
        key("sonnen_dc_shutdown_reason", reason="HW_Shutdown"): np.where(within(read, SHUTDOWN), 1.0, 0.0),
        key("sonnen_dc_shutdown_reason", reason="Initialization Timeout"): _constant(read, 0.0),
        key("sonnen_component_state", component="bms", state="ready"): _constant(read, 1.0),
        key("sonnen_component_state", component="core", state="ongrid"): _constant(read, 1.0),
        key("sonnen_component_state", component="inverter", state="running"): _constant(read, 1.0),
    }


def _phase_volts(read: Floats, phase: str) -> Floats:
    number = int(phase)
    volts = 230.0 + number + 2.5 * _wave(read, 86_400.0, number / 3) + 1.5 * _wave(read, 420.0 + 31.0 * number)
    if phase == "2":
        volts = np.where(within(read, OVERVOLTAGE), 254.6, volts)
    return np.round(volts, 1)


def _hertz(read: Floats) -> Floats:
    return np.where(within(read, LOW_FREQUENCY), 49.4, 50.0 + 0.02 * _wave(read, 97.0) + 0.015 * _wave(read, 1300.0))


def _wave(read: Floats, period: float, phase: float = 0.0) -> Floats:
    return np.asarray(np.sin(2.0 * np.pi * (read / period + phase)))


def _season(read: Floats) -> Floats:
    return _wave(read, _YEAR_SECONDS, -0.3)


def _constant(read: Floats, value: float) -> Floats:
    return np.full_like(read, value)


def only(page: Page, names: Iterable[str]) -> Page:
    """Return the series of some metrics."""
    wanted = frozenset(names)
    return {one: values for one, values in page.items() if one[0] in wanted}


def labels_of(one: Key, group: Mapping[str, str]) -> dict[str, str]:
    """Return all labels of a series of a group."""
    return {**group, **dict(one[1])}
