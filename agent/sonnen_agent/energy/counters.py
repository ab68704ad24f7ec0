"""What is counted: amounts of energy and money, as numbers that only grow; an absent key was never counted."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeVar

from sonnen_agent.reading import Place

Quantity = Literal["production", "consumption", "grid_import", "grid_export", "battery_charge", "battery_discharge"]
"""What has a total of its own."""

Flow = tuple[Place, Place]
"""From where to where."""

FLOWS: Final[tuple[Flow, ...]] = (
    ("solar", "home"),
    ("solar", "battery"),
    ("solar", "grid"),
    ("battery", "home"),
    ("battery", "grid"),
    ("grid", "home"),
    ("grid", "battery"),
)


class Definition(NamedTuple):
    """How a total is made."""

    power: Literal["production_watts", "consumption_watts", "grid_feed_in_watts", "discharge_watts"]
    """Of a sample."""
    sign: Literal[1, -1]
    """Which part of the power counts: the one above zero, or the one below."""
    end: Literal[0, 1]
    """Of the flows that it is the sum of: where they begin, or where they end."""
    place: Place
    """What is at that end."""
    meaning: str


QUANTITIES: Mapping[Quantity, Definition] = {
    "production": Definition("production_watts", 1, 0, "solar", "Energy produced by the PV"),
    "consumption": Definition("consumption_watts", 1, 1, "home", "Energy consumed by the house"),
    "grid_import": Definition("grid_feed_in_watts", -1, 0, "grid", "Energy taken from the grid"),
    "grid_export": Definition("grid_feed_in_watts", 1, 1, "grid", "Energy fed into the grid"),
    "battery_charge": Definition("discharge_watts", -1, 1, "battery", "Energy charged into the battery, AC side"),
    "battery_discharge": Definition("discharge_watts", 1, 0, "battery", "Energy discharged from the battery, AC side"),
}

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Energies:
    """What was integrated over a stretch of time."""

    totals_watt_hours: Mapping[Quantity, float] = field(default_factory=dict)
    """Counted where both ends of an interval have the value."""
    flows_watt_hours: Mapping[Flow, float] = field(default_factory=dict)
    """All seven or none; counted where both ends have production, grid and battery."""
    observed_seconds: float = 0.0
    """The time covered by the flows."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was observed: not the same as zero watt-hours in an observed hour."""
        return not (
            self.observed_seconds or any(self.totals_watt_hours.values()) or any(self.flows_watt_hours.values())
        )

    def plus(self, more: "Energies") -> "Energies":
        """Return both together."""
        return Energies(
            totals_watt_hours=_sum(self.totals_watt_hours, more.totals_watt_hours),
            flows_watt_hours=_sum(self.flows_watt_hours, more.flows_watt_hours),
            observed_seconds=self.observed_seconds + more.observed_seconds,
        )

    def times(self, share: float) -> "Energies":
        """Return a part of it, as if the power had been constant."""
        return Energies(
            totals_watt_hours={key: value * share for key, value in self.totals_watt_hours.items()},
            flows_watt_hours={key: value * share for key, value in self.flows_watt_hours.items()},
            observed_seconds=self.observed_seconds * share,
        )

    def beyond(self, known: "Energies") -> "Energies":
        """Return by how much each number is above a known one; what is not finite is no number."""
        flows = _excess(self.flows_watt_hours, known.flows_watt_hours)
        seconds = self.observed_seconds if math.isfinite(self.observed_seconds) else 0.0
        return Energies(
            totals_watt_hours=_excess(self.totals_watt_hours, known.totals_watt_hours),
            flows_watt_hours={flow: flows.get(flow, 0.0) for flow in FLOWS} if flows else {},
            observed_seconds=max(0.0, seconds - known.observed_seconds),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffCounts:
    """Grid energy by tariff, and its money by currency, at the price of the time of use."""

    import_watt_hours: Mapping[str, float] = field(default_factory=dict)
    export_watt_hours: Mapping[str, float] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    revenue: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether every number is zero."""
        parts = (self.import_watt_hours, self.export_watt_hours, self.cost, self.revenue)
        return not any(any(part.values()) for part in parts)

    def plus(self, more: "TariffCounts") -> "TariffCounts":
        """Return both together."""
        return TariffCounts(
            import_watt_hours=_sum(self.import_watt_hours, more.import_watt_hours),
            export_watt_hours=_sum(self.export_watt_hours, more.export_watt_hours),
            cost=_sum(self.cost, more.cost),
            revenue=_sum(self.revenue, more.revenue),
        )

    def beyond(self, known: "TariffCounts") -> "TariffCounts":
        """Return by how much each number is above a known one."""
        return TariffCounts(
            import_watt_hours=_excess(self.import_watt_hours, known.import_watt_hours),
            export_watt_hours=_excess(self.export_watt_hours, known.export_watt_hours),
            cost=_excess(self.cost, known.cost),
            revenue=_excess(self.revenue, known.revenue),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """All that is counted of a stretch of time, be it a day or the whole life."""

    energies: Energies = field(default_factory=Energies)
    tariffs: TariffCounts = field(default_factory=TariffCounts)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted."""
        return self.energies.is_empty and self.tariffs.is_empty

    def plus(self, more: "Tally") -> "Tally":
        """Return both together."""
        return Tally(energies=self.energies.plus(more.energies), tariffs=self.tariffs.plus(more.tariffs))

    def beyond(self, known: "Tally") -> "Tally":
        """Return by how much each number is above a known one."""
        return Tally(energies=self.energies.beyond(known.energies), tariffs=self.tariffs.beyond(known.tariffs))


def _sum(some: Mapping[_Key, float], more: Mapping[_Key, float]) -> Mapping[_Key, float]:
    if not more:
        return some
    total = dict(some)
    for key, value in more.items():
        total[key] = total.get(key, 0.0) + value
    return total


def _excess(new: Mapping[_Key, float], known: Mapping[_Key, float]) -> Mapping[_Key, float]:
    return {key: max(0.0, value - known.get(key, 0.0)) for key, value in new.items() if math.isfinite(value)}
