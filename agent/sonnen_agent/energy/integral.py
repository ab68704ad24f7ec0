"""The energies of the interval between two samples: the trapezoid of each quantity's part above zero."""

from sonnen_agent.energy.amounts import Energies, Quantity
from sonnen_agent.energy.flows import FLOWS, Powers, flow_watts
from sonnen_agent.energy.sample import Sample

_SECONDS_PER_HOUR = 3600.0


def integrate(begin: Sample, end: Sample) -> Energies:
    """Return what was used, made and moved in between; a value missing at one end is left out."""
    seconds = end.monotonic_seconds - begin.monotonic_seconds
    hours = seconds / _SECONDS_PER_HOUR
    totals: dict[Quantity, float] = {}
    if begin.production_watts is not None and end.production_watts is not None:
        totals["production"] = _positive_mean(begin.production_watts, end.production_watts) * hours
    if begin.consumption_watts is not None and end.consumption_watts is not None:
        totals["consumption"] = _positive_mean(begin.consumption_watts, end.consumption_watts) * hours
    if begin.grid_feed_in_watts is not None and end.grid_feed_in_watts is not None:
        totals["grid_import"] = _positive_mean(-begin.grid_feed_in_watts, -end.grid_feed_in_watts) * hours
        totals["grid_export"] = _positive_mean(begin.grid_feed_in_watts, end.grid_feed_in_watts) * hours
    if begin.discharge_watts is not None and end.discharge_watts is not None:
        totals["battery_charge"] = _positive_mean(-begin.discharge_watts, -end.discharge_watts) * hours
        totals["battery_discharge"] = _positive_mean(begin.discharge_watts, end.discharge_watts) * hours
    first, last = begin.powers, end.powers
    if first is None or last is None:
        return Energies(totals_watt_hours=totals)
    flows = {flow: watts * hours for flow, watts in zip(FLOWS, _mean_flows(first, last), strict=True)}
    return Energies(totals_watt_hours=totals, flows_watt_hours=flows, observed_seconds=seconds)


def _positive_mean(first: float, last: float) -> float:
    """Return the mean of what is above zero at both ends.

    Not of the part of the line above zero: a load that is switched on steps across zero and does
    not glide, and a line that glides has less on each side than was there.
    """
    return (max(0.0, first) + max(0.0, last)) / 2.0


def _mean_flows(first: Powers, last: Powers) -> tuple[float, ...]:
    """Return the mean power of each flow."""
    return tuple((one + other) / 2.0 for one, other in zip(flow_watts(first), flow_watts(last), strict=True))
