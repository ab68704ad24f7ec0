"""From readings to energy: which part of the power goes where at one moment, and what an interval amounts to.

Grid and battery are kept whatever happens: what a bill and a battery see. Solar is kept, too,
as long as it and the grid and the battery can feed what is exported and charged; the home takes
the rest. Where they cannot (meters read a moment apart, an inverter without a meter), the source
that is missing is counted as solar: the one source that can be there without being measured.

The sun feeds the home first; what it has left goes into the battery and the grid. The battery
never charges itself and the grid never feeds itself, which leaves seven flows and one solution.

What a full or idle battery draws for itself is neither charge nor a flow: it is counted apart, as standby.

An interval's energy is the trapezoid of each power's part above zero.
"""

import math
from dataclasses import dataclass, field
from typing import get_args

from sonnen_agent.energy.counters import FLOWS, QUANTITIES, EnergyCounters, Power, Quantity
from sonnen_agent.reading import Status

_SECONDS_PER_HOUR = 3600.0
STANDBY_WATTS = 32.0
"""A battery that draws no more than this does not charge (docs/battery-api.md 9)."""

Powers = tuple[float, float, float]
"""Production, grid feed-in and discharge in watts, with the signs of docs/metrics.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the meter keeps of a reading."""

    monotonic_seconds: float
    production_watts: float | None = None
    consumption_watts: float | None = None
    grid_feed_in_watts: float | None = None
    """Above zero: export to the grid; below: import."""
    discharge_watts: float | None = None
    """Above zero: the battery discharges; below: it charges."""
    standby_watts: float = field(default=0.0, metadata={"optional": True})
    """What it draws without charging."""

    @classmethod
    def of(cls, status: Status, monotonic_seconds: float) -> "Sample | None":
        """Return the sample of a status, or None where it says nothing about power."""
        if status.booting or not status.has_power:
            return None
        watts = {power: getattr(status, power) for power in get_args(Power)}
        # A counter that took in one NaN would stay NaN for ever.
        finite = {power: value for power, value in watts.items() if value is not None and math.isfinite(value)}
        standby = max(0.0, -finite.get("discharge_watts", 0.0))
        if not 0.0 < standby <= STANDBY_WATTS:
            standby = 0.0
        else:
            finite["discharge_watts"] = 0.0
        return cls(monotonic_seconds=monotonic_seconds, standby_watts=standby, **finite)

    @property
    def powers(self) -> Powers | None:
        """What the flows need, when all of it is there."""
        production, feed_in, discharge = self.production_watts, self.grid_feed_in_watts, self.discharge_watts
        if production is None or feed_in is None or discharge is None:
            return None
        return production, feed_in, discharge


def flow_watts(powers: Powers) -> tuple[float, ...]:
    """Return the power of each of the seven flows, none negative, in the order of FLOWS."""
    production, feed_in, discharge = powers
    sold, bought = max(0.0, feed_in), max(0.0, -feed_in)
    drawn, charged = max(0.0, discharge), max(0.0, -discharge)
    solar = max(0.0, production, sold + charged - bought - drawn)
    home = max(0.0, solar + bought + drawn - sold - charged)
    solar_home = min(solar, home)
    surplus = solar - solar_home
    # Where both take, nothing but the sun feeds them, and the surplus is their sum.
    solar_battery, solar_grid = min(charged, surplus), min(sold, surplus)
    battery_grid, grid_battery = sold - solar_grid, charged - solar_battery
    battery_home, grid_home = max(0.0, drawn - battery_grid), max(0.0, bought - grid_battery)
    return solar_home, solar_battery, solar_grid, battery_home, battery_grid, grid_home, grid_battery


def integrate(begin: Sample, end: Sample) -> EnergyCounters:
    """Return what was used, made and moved in between; a value missing at one end is left out.

    The mean is that of what is above zero at both ends, not of the part of the line above zero: a load
    that is switched on steps across zero and does not glide, and a line that glides has less on each
    side than was there.
    """
    seconds = end.monotonic_seconds - begin.monotonic_seconds
    hours = seconds / _SECONDS_PER_HOUR
    totals: dict[Quantity, float] = {}
    for quantity, (power, sign, *_) in QUANTITIES.items():
        first: float | None = getattr(begin, power)
        last: float | None = getattr(end, power)
        if first is not None and last is not None:
            totals[quantity] = (max(0.0, sign * first) + max(0.0, sign * last)) / 2.0 * hours
    standby = (begin.standby_watts + end.standby_watts) / 2.0 * hours
    if begin.powers is None or end.powers is None:
        return EnergyCounters(totals_watt_hours=totals, standby_watt_hours=standby)
    ends = zip(FLOWS, flow_watts(begin.powers), flow_watts(end.powers), strict=True)
    flows = {flow: (one + other) / 2.0 * hours for flow, one, other in ends}
    return EnergyCounters(
        totals_watt_hours=totals, flows_watt_hours=flows, observed_seconds=seconds, standby_watt_hours=standby
    )
