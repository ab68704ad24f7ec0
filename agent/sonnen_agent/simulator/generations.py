"""What a battery's firmware knows at one moment, and in which words each of the four generations prints it.

generations.yml has the words: a new generation is a new entry there.
"""

import struct
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from math import floor, hypot, sqrt
from string import Formatter
from typing import Any, Literal, get_args

import yaml

from sonnen_agent.simulator.house import State
from sonnen_agent.simulator.profiles import GridName, HouseParameters, house_on

GenerationName = Literal["eco8", "sb10", "evo", "eco6"]
GENERATION_NAMES: tuple[GenerationName, ...] = get_args(GenerationName)

_CORE_LAG = timedelta(seconds=1)
"""The core controller's clock is read a little before the rest."""
_FILTER_VOLTAMPERES = 97.0
"""What the inverter's filter draws at rest."""
_LOAD_VOLTAMPERES = 64.0
"""What a phase with a load draws beside its power."""
_FLOW_WATTS = 20.0
"""Power below which no flow is shown."""
_ACTIVE_WATTS = 50.0
"""Power below which the battery is shown as neither charging nor discharging."""
_CURRENT_LIMIT_AMPERES = 39.97
_FULL_PERCENT = 99.5
_CONSUMPTION_SHARES = {1: (1.0, 0.0, 0.0), 2: (0.57, 0.43, 0.0), 3: (0.44, 0.31, 0.25)}
"""What each phase has of the consumption, by the number of phases."""
_MODULES_IN_SERIES = 2
_AUTOMATIC, _CHARGING, _DISCHARGING = 10, 13, 15
"""The modes of an eco 6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareState:
    """The house at one moment, by the battery's clock."""

    house: HouseParameters
    state: State
    clock: datetime
    """Local time with its zone; normally the moment of the answer, not the beginning of the step."""

    def values(self) -> Mapping[str, object]:
        """Return the house, its state and what firmware makes of them, by name."""
        house, state = self.house, self.state
        production, discharge, feed_in = state.production_watts, state.discharge_watts, state.grid_feed_in_watts
        idle = abs(discharge) <= _ACTIVE_WATTS
        apparent = hypot(discharge, _FILTER_VOLTAMPERES)
        phase_apparent = round(apparent / 3.0)
        full = house.capacity_watt_hours / house.nominal_volts
        remaining = full * state.state_of_charge_percent / 100.0
        by_phase = [state.consumption_watts * share for share in _CONSUMPTION_SHARES[house.phases]]
        production_by_phase = [*([production / house.phases] * house.phases), 0.0, 0.0][:3]
        # An American battery is connected between the two legs.
        inverter_volts = sum(state.phase_volts) if house.phases == 2 else state.phase_volts[0]
        # The meters step by 100 Wh; consumption is the whole house, not the grid (docs/battery-api.md 5.3).
        produced = round((house.earlier_production_watt_hours + state.production_watt_hours) / 1000.0, 1)
        consumed = round((house.earlier_consumption_watt_hours + state.consumption_watt_hours) / 1000.0, 1)
        production_meter = self._meter(1, "production", production_by_phase, produced)
        consumption_meter = self._meter(2, "consumption", by_phase, consumed)
        return {
            **asdict(house),
            **asdict(state),
            "clock": self.clock,
            "core_clock": self.clock - _CORE_LAG,
            "utc_offset_hours": round((self.clock.utcoffset() or timedelta()) / timedelta(hours=1)),
            # Energy.
            "whole_state_of_charge_percent": floor(state.state_of_charge_percent),
            "whole_usable_state_of_charge_percent": floor(state.usable_state_of_charge_percent),
            "at_the_reserve": state.stored_watt_hours <= house.stored_minimum_watt_hours,
            "doubled_stored_watt_hours": state.stored_watt_hours * 2.0,
            "full_ampere_hours": full,
            "remaining_ampere_hours": remaining,
            "usable_ampere_hours": max(0.0, remaining - full * house.deep_discharge_reserve_percent / 100.0),
            "production_kilowatt_hours": produced,
            "charge_kilowatt_hours": (house.earlier_charge_watt_hours + state.battery_charge_watt_hours) / 1000.0,
            "grid_import_kilowatt_hours": (house.earlier_grid_import_watt_hours + state.grid_import_watt_hours)
            / 1000.0,
            # Power.
            "charging": discharge < -_ACTIVE_WATTS,
            "discharging": discharge > _ACTIVE_WATTS,
            "eco6_mode": _AUTOMATIC if idle else _DISCHARGING if discharge > 0 else _CHARGING,
            "flow_consumption_battery": discharge > _FLOW_WATTS,
            "flow_consumption_grid": feed_in < -_FLOW_WATTS,
            "flow_consumption_production": production > _FLOW_WATTS,
            "flow_grid_battery": discharge < -_FLOW_WATTS and production + discharge < -_FLOW_WATTS,
            "flow_production_battery": discharge < -_FLOW_WATTS and production > _FLOW_WATTS,
            "flow_production_grid": feed_in > _FLOW_WATTS and production > _FLOW_WATTS,
            "set_point_watts": state.consumption_watts - production,
            "float_grid_feed_in_watts": float(round(feed_in)),
            "exported_watts": max(0.0, feed_in),
            "imported_watts": max(0.0, -feed_in),
            "charged_watts": max(0.0, -discharge),
            "discharged_watts": max(0.0, discharge),
            "phase_consumption_watts": by_phase,
            "phase_peak_watts": [watts / state.consumption_watts * state.consumption_peak_watts for watts in by_phase],
            "production_meter": production_meter,
            "consumption_meter": consumption_meter,
            "quoted_production_meter": {name: f"{value}" for name, value in production_meter.items()},
            "quoted_consumption_meter": {name: f"{value}" for name, value in consumption_meter.items()},
            # Inverter.
            "single_precision_hertz": single(round(state.grid_hertz, 3)),
            "inverter_volts": inverter_volts,
            "float_inverter_volts": float(round(inverter_volts)),
            "inverter_voltamperes": apparent,
            "inverter_amperes": apparent / inverter_volts,
            "power_factor": discharge / apparent,
            "phase_discharge_watts": discharge / 3.0,
            "phase_voltamperes": apparent / 3.0,
            "second_phase_voltamperes": phase_apparent + 1,
            "three_phases_voltamperes": 3 * phase_apparent + 1,
            "phase_amperes": [apparent / 3.0 / volts if volts else 0.0 for volts in state.phase_volts],
            "power_unit_celsius": state.inverter_celsius + 3.0,
            "converter_celsius": state.inverter_celsius + 1.5,
            "display_celsius": state.inverter_celsius - 2.0,
            # Battery stack.
            "float_stack_volts": float(round(state.stack_volts)),
            "module_volts": state.stack_volts / _MODULES_IN_SERIES,
            "nominal_module_volts": house.nominal_volts / _MODULES_IN_SERIES,
            "battery_output_amperes": -state.stack_amperes,
            "battery_output_watts": -state.cell_watts,
            "charge_limit_amperes": 0.0 if state.state_of_charge_percent >= _FULL_PERCENT else _CURRENT_LIMIT_AMPERES,
            "discharge_limit_amperes": _CURRENT_LIMIT_AMPERES,
            "float_state_of_charge_percent": float(int(state.state_of_charge_percent)),
            "float_cycles": float(int(state.cycles)),
            "system_seconds": float(int(state.time.timestamp()) % 100_000_000),
        }

    def _meter(self, channel: int, direction: str, watts: list[float], kilowatt_hours: float) -> dict[str, object]:
        """Return one power meter; the phases a house does not have read exactly 0 (docs/battery-api.md 5.3)."""
        street = self.state.phase_volts[: self.house.phases]
        volts = [*(round(volts, 1) for volts in street), 0.0, 0.0][:3]
        apparent = [hypot(w, _LOAD_VOLTAMPERES) if w else 0.0 for w in watts]
        meter: dict[str, object] = {
            "channel": channel,
            "deviceid": 4,
            "direction": direction,
            "error": 0,
            "kwh_exported": 0,
            "kwh_imported": single(kilowatt_hours),
            "va_total": single(round(sum(apparent), 1)),
            "var_total": single(round(-_LOAD_VOLTAMPERES * sum(1 for w in watts if w), 1)),
            "w_total": single(round(sum(watts), 1)),
        }
        for phase in range(3):
            here, there = volts[phase], volts[(phase + 1) % 3]
            name = f"l{phase + 1}"
            meter[f"a_{name}"] = single(round(apparent[phase] / here if here else 0.0, 3))
            meter[f"v_{name}_n"] = single(here)
            # One phase has no voltage to another; two legs are half a turn apart, three phases a third.
            apart = 2.0 if self.house.phases == 2 else sqrt(3.0)
            between = (here + there) / 2.0 * apart if here and there else 0.0
            meter[f"v_{name}_l{(phase + 1) % 3 + 1}"] = single(round(between, 1))
            meter[f"w_{name}"] = single(round(watts[phase], 1))
        return meter


def single(value: float) -> float | int:
    """Return a number as firmware prints its single-precision floats: 49.994998931884766, and 3 for 3.0."""
    return plain(struct.unpack("f", struct.pack("f", value))[0])


def plain(value: float) -> float | int:
    """Return a whole number without its fraction, as firmware before the EVO writes it."""
    return int(value) if value.is_integer() else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A kind of battery."""

    house: HouseParameters
    routes: Mapping[str, object]
    """What each path answers, with names in place of what changes: an object, a list, or one value as text."""
    protected: Collection[str] = ()
    """The paths that ask for the `Auth-Token`."""
    session: Collection[str] = ()
    """Dashboard paths, which want a login that is not simulated: always 401."""
    not_found_page: str
    unauthorized_error: str = "401 Unauthorized"
    """The `error` of a 401 (docs/battery-api.md 3)."""
    plain_numbers: bool = False
    """Whether a whole number is written without a fraction, also where others would have one."""

    def filled(self, template: object, values: Mapping[str, object]) -> object:
        """Return what a path answers now; FirmwareState.values() has the names."""
        match template:
            case dict():
                return {name: self.filled(part, values) for name, part in template.items()}
            case list():
                return [self.filled(part, values) for part in template]
            case str() if template.startswith("$"):
                name, _, decimals = template[1:].partition(":")
                value, _ = Formatter().get_field(name, (), values)
                if decimals:
                    value = round(value, int(decimals) or None)
            case str():
                return template.format_map(values)
            case _:
                value = template
        return plain(value) if self.plain_numbers and isinstance(value, float) else value


@cache
def generation_named(name: GenerationName, grid: GridName = "eu") -> Generation:
    """Return everything that tells one generation from the others, its house on a grid."""
    file = files(__package__) / "generations.yml"
    entry: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))[name]
    routes = entry.pop("open", {}) | entry.get("protected", {})
    for path, numbers in entry.pop("numbered", {}).items():
        # Each number has a path of its own beside that of all.
        routes |= {path: numbers, **{f"{path}/{number}": template for number, template in numbers.items()}}
    return Generation(house=house_on(grid, HouseParameters(**entry.pop("house"))), routes=routes, **entry)
