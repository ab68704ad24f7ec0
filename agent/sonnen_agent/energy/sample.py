"""The four power values of one moment."""

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


def _finite(watts: float | None) -> float | None:
    # A counter that took in one NaN would stay NaN for ever.
    return watts if watts is not None and math.isfinite(watts) else None
