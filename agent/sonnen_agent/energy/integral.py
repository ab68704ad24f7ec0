"""The energies of the interval between two samples, exact for powers that go straight from one to the other."""

from sonnen_agent.energy.amounts import Energies, Quantity
from sonnen_agent.energy.flows import FLOWS, Powers, bends, flow_watts
from sonnen_agent.energy.sample import Sample, between

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
    """Return the mean of the part above zero of a straight line."""
    if first >= 0.0 and last >= 0.0:
        return (first + last) / 2.0
    if first <= 0.0 and last <= 0.0:
        return 0.0
    above, below = max(first, last), min(first, last)
    return above * (above / (above - below)) / 2.0


def _mean_flows(first: Powers, last: Powers) -> tuple[float, ...]:
    """Return the mean power of each flow: trapezoids from bend to bend."""
    means = [0.0] * len(FLOWS)
    share, watts = 0.0, flow_watts(first)
    for next_share in (*sorted(bends(first, last)), 1.0):
        next_watts = flow_watts(last if next_share == 1.0 else _between(first, last, next_share))
        half = (next_share - share) / 2.0
        for index, (one, other) in enumerate(zip(watts, next_watts, strict=True)):
            means[index] += (one + other) * half
        share, watts = next_share, next_watts
    return tuple(means)


def _between(first: Powers, last: Powers, share: float) -> Powers:
    return (
        between(first[0], last[0], share),
        between(first[1], last[1], share),
        between(first[2], last[2], share),
    )
