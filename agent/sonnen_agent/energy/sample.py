"""The four power values of one moment, and the straight line between two moments."""

import math
from dataclasses import dataclass

from sonnen_agent.energy.flows import Powers
from sonnen_agent.reading import Status


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

    @classmethod
    def of(cls, status: Status, monotonic_seconds: float) -> "Sample | None":
        """Return the sample of a status, or None where it says nothing about power."""
        if status.booting or not status.has_power:
            return None
        return cls(
            monotonic_seconds=monotonic_seconds,
            production_watts=_finite(status.production_watts),
            consumption_watts=_finite(status.consumption_watts),
            grid_feed_in_watts=_finite(status.grid_feed_in_watts),
            discharge_watts=_finite(status.discharge_watts),
        )

    @property
    def powers(self) -> Powers | None:
        """What the flows need, when all of it is there."""
        production, feed_in, discharge = self.production_watts, self.grid_feed_in_watts, self.discharge_watts
        if production is None or feed_in is None or discharge is None:
            return None
        return production, feed_in, discharge

    def towards(self, end: "Sample", share: float) -> "Sample":
        """Return the sample on the straight line to another one: this one at 0, the other at 1."""
        if share in (0.0, 1.0):
            return end if share else self
        return Sample(
            monotonic_seconds=between(self.monotonic_seconds, end.monotonic_seconds, share),
            production_watts=_between(self.production_watts, end.production_watts, share),
            consumption_watts=_between(self.consumption_watts, end.consumption_watts, share),
            grid_feed_in_watts=_between(self.grid_feed_in_watts, end.grid_feed_in_watts, share),
            discharge_watts=_between(self.discharge_watts, end.discharge_watts, share),
        )


def between(begin: float, end: float, share: float) -> float:
    """Return the value on the straight line from begin (0) to end (1)."""
    return begin + (end - begin) * share


def _between(begin: float | None, end: float | None, share: float) -> float | None:
    return None if begin is None or end is None else between(begin, end, share)


def _finite(watts: float | None) -> float | None:
    # A counter that took in one NaN would stay NaN for ever.
    return watts if watts is not None and math.isfinite(watts) else None
