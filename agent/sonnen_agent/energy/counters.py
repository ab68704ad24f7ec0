"""What is counted: amounts of energy and money, as numbers that only grow; an absent key was never counted."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, NamedTuple, Self

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

Power = Literal["production_watts", "consumption_watts", "grid_feed_in_watts", "discharge_watts"]
"""What a sample has."""


class Definition(NamedTuple):
    """How a total is made: of the part above zero of a sample's power times the sign.

    It is the sum of the flows that have the place at that end: 0 is where they begin, 1 where they end.
    """

    power: Power
    sign: Literal[1, -1]
    end: Literal[0, 1]
    place: Place
    meaning: str


QUANTITIES: Mapping[Quantity, Definition] = {
    "production": Definition("production_watts", 1, 0, "solar", "Energy produced by the PV"),
    "consumption": Definition("consumption_watts", 1, 1, "home", "Energy consumed by the house"),
    "grid_import": Definition("grid_feed_in_watts", -1, 0, "grid", "Energy taken from the grid"),
    "grid_export": Definition("grid_feed_in_watts", 1, 1, "grid", "Energy fed into the grid"),
    "battery_charge": Definition("discharge_watts", -1, 1, "battery", "Energy charged into the battery, AC side"),
    "battery_discharge": Definition("discharge_watts", 1, 0, "battery", "Energy discharged from the battery, AC side"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Summable:
    """Numbers that can be added up; a field is one number, numbers by key, or a part that is summable itself."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted: not the same as zero watt-hours in an observed hour."""
        return not any(self.amounts().values())

    def amounts(self) -> Mapping[object, float]:
        """Return every number by its place."""
        found: dict[object, float] = {}
        for name, value in ((name, getattr(self, name)) for name in self._names):
            several = value.amounts() if isinstance(value, _Summable) else value
            found |= (
                {(name, key): one for key, one in several.items()} if isinstance(several, Mapping) else {name: value}
            )
        return found

    def plus(self, more: Self) -> Self:
        """Return both together."""
        return self._by_field(_sum, more)

    def beyond(self, known: Self) -> Self:
        """Return by how much each number is above a known one; what is not finite is no number."""
        return self._by_field(_excess, known)

    def _by_field(self, combine: Callable[[Any, Any], Any], other: Self) -> Self:
        return type(self)(**{name: combine(getattr(self, name), getattr(other, name)) for name in self._names})

    @property
    def _names(self) -> Iterable[str]:
        """The names of the fields, without what `dataclasses.fields` takes for them at each beat."""
        return self.__slots__


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyCounters(_Summable):
    """What was integrated over a stretch of time."""

    totals_watt_hours: Mapping[Quantity, float] = field(default_factory=dict)
    """Counted where both ends of an interval have the value."""
    flows_watt_hours: Mapping[Flow, float] = field(default_factory=dict)
    """All seven or none; counted where both ends have production, grid and battery."""
    observed_seconds: float = 0.0
    """The time covered by the flows."""
    standby_watt_hours: float = field(default=0.0, metadata={"optional": True})
    """What a battery that neither charges nor discharges draws for itself."""

    @property
    def of_flows(self) -> "EnergyCounters":
        """The flows alone, and the time that they cover."""
        return EnergyCounters(flows_watt_hours=self.flows_watt_hours, observed_seconds=self.observed_seconds)

    def times(self, share: float) -> "EnergyCounters":
        """Return a part of it, as if the power had been constant."""
        return EnergyCounters(
            totals_watt_hours={key: value * share for key, value in self.totals_watt_hours.items()},
            flows_watt_hours={key: value * share for key, value in self.flows_watt_hours.items()},
            observed_seconds=self.observed_seconds * share,
            standby_watt_hours=self.standby_watt_hours * share,
        )

    def beyond(self, known: "EnergyCounters") -> "EnergyCounters":
        """Return by how much each number is above a known one; of the flows all seven, when one of them is a number."""
        gained = self._by_field(_excess, known)
        flows = gained.flows_watt_hours
        return replace(gained, flows_watt_hours={flow: flows.get(flow, 0.0) for flow in FLOWS} if flows else {})


def _added_later() -> Any:  # noqa: ANN401 - as dataclasses.field
    """Return a field of numbers by key that documents of earlier releases do not have."""
    return field(default_factory=dict, metadata={"optional": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffCounts(_Summable):
    """Energy by tariff, and money by currency, at the price of the time of use.

    At a price below zero the money goes the other way, and is in the field that ends in `credit`.
    """

    import_watt_hours: Mapping[str, float] = field(default_factory=dict)
    export_watt_hours: Mapping[str, float] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    """Of import."""
    revenue: Mapping[str, float] = field(default_factory=dict)
    """Of export."""
    consumption_watt_hours: Mapping[str, float] = _added_later()
    """By import tariff, wherever it came from."""
    consumption_cost: Mapping[str, float] = _added_later()
    """What that would have cost from the grid."""
    cost_credit: Mapping[str, float] = _added_later()
    revenue_credit: Mapping[str, float] = _added_later()
    consumption_cost_credit: Mapping[str, float] = _added_later()
    standing_charge: Mapping[str, float] = _added_later()
    """In none of the others."""

    @property
    def of_money(self) -> "TariffCounts":
        """The money alone, which is owed and received for energy."""
        return replace(self, import_watt_hours={}, export_watt_hours={}, consumption_watt_hours={}, standing_charge={})

    def net(self, money: str) -> Mapping[str, float]:
        """Return the money of a field less its credit, where it has one: what prices below zero turned round."""
        credit = getattr(self, f"{money}_credit", {})
        return {currency: amount - credit.get(currency, 0.0) for currency, amount in getattr(self, money).items()}


NO_ENERGIES: Final = EnergyCounters()
NO_TARIFFS: Final = TariffCounts()
"""Of which adding them up knows at once that they add nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters(_Summable):
    """All that is counted of a stretch of time, be it a day or the whole life."""

    energies: EnergyCounters = NO_ENERGIES
    tariffs: TariffCounts = NO_TARIFFS
    refused: Mapping[str, float] = field(default_factory=dict, metadata={"optional": True})
    """Readings that were not counted, by reason; they belong to no day."""


def _sum(some: Any, more: Any) -> Any:  # noqa: ANN401 - a field of _Summable is one of three things
    if more is NO_ENERGIES or more is NO_TARIFFS:
        return some
    if isinstance(some, _Summable):
        return some.plus(more)
    if isinstance(some, dict):  # a Mapping, of which it would be asked in twenty steps
        return {**some, **{key: some.get(key, 0.0) + value for key, value in more.items()}} if more else some
    return some + more


def _excess(new: Any, known: Any) -> Any:  # noqa: ANN401 - the same
    if isinstance(new, _Summable):
        return new.beyond(known)
    if isinstance(new, Mapping):
        return {key: max(0.0, value - known.get(key, 0.0)) for key, value in new.items() if math.isfinite(value)}
    return max(0.0, new - known) if math.isfinite(new) else 0.0
