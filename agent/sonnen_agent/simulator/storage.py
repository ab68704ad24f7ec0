"""The battery's own physics: limits, losses, reserve, voltage."""

from dataclasses import dataclass
from itertools import pairwise

from sonnen_agent.simulator.parameters import HouseParameters

_DEAD_BAND_WATTS = 25.0
"""A need smaller than this does not wake the inverter."""
_TAPER_FROM = 0.95
"""The share of the capacity from which charging slows down."""
_TAPER_LEAST = 0.04
"""The share of the charge limit that is left just below full."""
_OPEN_CIRCUIT_VOLTS = (
    (0.0, 2.98), (5.0, 3.10), (10.0, 3.19), (20.0, 3.24), (50.0, 3.28), (90.0, 3.32), (97.0, 3.34), (100.0, 3.36),
)  # fmt: skip
"""Of an iron-phosphate cell, by state of charge in percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What the battery does during one step."""

    discharge_watts: float
    """AC, > 0 out of the battery; the electronics' own use included, so idle is slightly negative."""
    cell_watts: float
    """DC, > 0 into the cells."""


def respond(parameters: HouseParameters, stored_watt_hours: float, need_watts: float, seconds: float) -> Response:
    """Return what the battery does for a house that needs power (> 0) or has too much (< 0)."""
    own = parameters.own_use_watts
    hours = seconds / 3600.0
    idle = Response(discharge_watts=-own, cell_watts=0.0)
    if abs(need_watts) < _DEAD_BAND_WATTS:
        return idle
    if need_watts > 0:
        available = (stored_watt_hours - parameters.stored_minimum_watt_hours) / hours
        if available <= 0.0:
            return idle
        out = min((min(need_watts, parameters.max_discharge_watts) + own) / parameters.efficiency, available)
        return Response(discharge_watts=out * parameters.efficiency - own, cell_watts=-out)
    fullness = stored_watt_hours / parameters.capacity_watt_hours
    taper = max(_TAPER_LEAST, min(1.0, (1.0 - fullness) / (1.0 - _TAPER_FROM)))
    offered = min(-need_watts, parameters.max_charge_watts * taper)
    room = max(0.0, parameters.capacity_watt_hours - stored_watt_hours) / hours
    into = min(max(0.0, offered - own) * parameters.efficiency, room)
    return Response(discharge_watts=-into / parameters.efficiency - own, cell_watts=into)


def cell_volts(parameters: HouseParameters, state_of_charge_percent: float, cell_watts: float) -> float:
    """Return the mean voltage of a cell under the present power."""
    spread = cell_watts / parameters.max_charge_watts * 0.04
    for (low, low_volts), (high, high_volts) in pairwise(_OPEN_CIRCUIT_VOLTS):
        if state_of_charge_percent <= high:
            share = (state_of_charge_percent - low) / (high - low)
            return low_volts + share * (high_volts - low_volts) + spread
    return _OPEN_CIRCUIT_VOLTS[-1][1] + spread
