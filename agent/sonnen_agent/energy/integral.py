"""The energies of the interval between two samples: the trapezoid of each power's part above zero."""

from sonnen_agent.energy.amounts import QUANTITIES, Energies, Quantity
from sonnen_agent.energy.flows import FLOWS, Powers, flow_watts
from sonnen_agent.energy.sample import Sample

_SECONDS_PER_HOUR = 3600.0


def integrate(begin: Sample, end: Sample) -> Energies:
    """Return what was used, made and moved in between; a value missing at one end is left out."""
    seconds = end.monotonic_seconds - begin.monotonic_seconds
    hours = seconds / _SECONDS_PER_HOUR
    totals: dict[Quantity, float] = {}
    for quantity, (power, sign, *_) in QUANTITIES.items():
        first: float | None = getattr(begin, power)
        last: float | None = getattr(end, power)
        if first is not None and last is not None:
            totals[quantity] = _positive_mean(sign * first, sign * last) * hours
    powers, last_powers = begin.powers, end.powers
    if powers is None or last_powers is None:
        return Energies(totals_watt_hours=totals)
    flows = {flow: watts * hours for flow, watts in zip(FLOWS, _mean_flows(powers, last_powers), strict=True)}
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
