"""Energy, counted by the agent: from totals to metrics, and from a copy of the metrics back to counters."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import get_args

from prometheus_client.core import Metric

from sonnen_agent.energy import (
    Energies,
    EnergyTotals,
    Flow,
    Quantity,
    RecoveredCounters,
    Tally,
    TariffCounts,
)
from sonnen_agent.metrics.family import Labelled, Row, single
from sonnen_agent.reading import Place

_FLOW = "sonnen_flow_watt_hours_total"
_OBSERVED = "sonnen_observed_seconds_total"
_TODAY = "sonnen_energy_today_watt_hours"
_YESTERDAY = "sonnen_energy_yesterday_watt_hours"
_TARIFF_IMPORT = "sonnen_tariff_import_watt_hours_total"
_TARIFF_EXPORT = "sonnen_tariff_export_watt_hours_total"
_COST = "sonnen_grid_cost_total"
_REVENUE = "sonnen_grid_revenue_total"
_QUANTITIES: dict[str, Quantity] = {
    "sonnen_production_watt_hours_total": "production",
    "sonnen_consumption_watt_hours_total": "consumption",
    "sonnen_grid_import_watt_hours_total": "grid_import",
    "sonnen_grid_export_watt_hours_total": "grid_export",
    "sonnen_battery_charge_watt_hours_total": "battery_charge",
    "sonnen_battery_discharge_watt_hours_total": "battery_discharge",
}
_PLACES: frozenset[str] = frozenset(get_args(Place))


def _counter(
    name: str, text: str, values: Callable[[EnergyTotals], Labelled], labels: tuple[str, ...] = ()
) -> Row[EnergyTotals]:
    return Row(name=name, kind="counter", help=text, labels=labels, values=values)


def _by_name(values: Mapping[str, float]) -> Labelled:
    return (((name,), value) for name, value in values.items())


ENERGY: tuple[Row[EnergyTotals], ...] = (
    _counter(
        "sonnen_production_watt_hours_total",
        "Energy produced by the PV, in watt-hours, counted by the agent.",
        single(lambda totals: totals.production_watt_hours),
    ),
    _counter(
        "sonnen_consumption_watt_hours_total",
        "Energy consumed by the house, in watt-hours, counted by the agent.",
        single(lambda totals: totals.consumption_watt_hours),
    ),
    _counter(
        "sonnen_grid_import_watt_hours_total",
        "Energy taken from the grid, in watt-hours, counted by the agent.",
        single(lambda totals: totals.grid_import_watt_hours),
    ),
    _counter(
        "sonnen_grid_export_watt_hours_total",
        "Energy fed into the grid, in watt-hours, counted by the agent.",
        single(lambda totals: totals.grid_export_watt_hours),
    ),
    _counter(
        "sonnen_battery_charge_watt_hours_total",
        "Energy charged into the battery, AC side, in watt-hours, counted by the agent.",
        single(lambda totals: totals.battery_charge_watt_hours),
    ),
    _counter(
        "sonnen_battery_discharge_watt_hours_total",
        "Energy discharged from the battery, AC side, in watt-hours, counted by the agent.",
        single(lambda totals: totals.battery_discharge_watt_hours),
    ),
    _counter(
        _FLOW,
        "Energy that went from one place to another, in watt-hours, counted by the agent.",
        lambda totals: totals.flows_watt_hours.items(),
        ("from", "to"),
    ),
    _counter(
        _OBSERVED,
        "Seconds covered by the flow counters; their increase over a time is its coverage.",
        single(lambda totals: totals.observed_seconds),
    ),
    Row(
        name=_TODAY,
        help="Energy of the present calendar day so far, in watt-hours, by flow.",
        labels=("from", "to"),
        values=lambda totals: (totals.today_watt_hours or {}).items(),
    ),
    Row(
        name=_YESTERDAY,
        help="Energy of the calendar day before, in watt-hours, by flow.",
        labels=("from", "to"),
        values=lambda totals: (totals.yesterday_watt_hours or {}).items(),
    ),
    _counter(
        _TARIFF_IMPORT,
        "Energy taken from the grid in a tariff's hours, in watt-hours.",
        lambda totals: _by_name(totals.tariff_import_watt_hours),
        ("tariff",),
    ),
    _counter(
        _TARIFF_EXPORT,
        "Energy fed into the grid in a tariff's hours, in watt-hours.",
        lambda totals: _by_name(totals.tariff_export_watt_hours),
        ("tariff",),
    ),
    Row(
        name="sonnen_tariff_price_per_kilowatt_hour",
        help="Configured price of a kilowatt-hour.",
        labels=("tariff", "direction", "currency"),
        values=lambda totals: (
            ((price.tariff, price.direction, price.currency), price.per_kilowatt_hour) for price in totals.prices
        ),
    ),
    _counter(
        _COST,
        "Money paid for energy from the grid, at the price of the time of use.",
        lambda totals: _by_name(totals.cost),
        ("currency",),
    ),
    _counter(
        _REVENUE,
        "Money earned with energy fed into the grid, at the price of the time of use.",
        lambda totals: _by_name(totals.revenue),
        ("currency",),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSample:
    """A sample as a Pushgateway holds it."""

    name: str
    labels: Mapping[str, str]
    value: float


def recovered_counters(samples: Iterable[HeldSample], pushed_unix_seconds: float | None) -> RecoveredCounters | None:
    """Return the counters in a copy of a battery's group, or None when it holds none of ours."""
    samples = tuple(sample for sample in samples if sample.value >= 0)
    totals = {_QUANTITIES[sample.name]: sample.value for sample in samples if sample.name in _QUANTITIES}
    flows = _flows(samples, _FLOW)
    observed = max((sample.value for sample in samples if sample.name == _OBSERVED), default=0.0)
    if not totals and not flows and not observed:
        return None
    tariffs = TariffCounts(
        import_watt_hours=_named(samples, _TARIFF_IMPORT, "tariff"),
        export_watt_hours=_named(samples, _TARIFF_EXPORT, "tariff"),
        cost=_named(samples, _COST, "currency"),
        revenue=_named(samples, _REVENUE, "currency"),
    )
    energies = Energies(totals_watt_hours=totals, flows_watt_hours=flows, observed_seconds=observed)
    return RecoveredCounters(
        tally=Tally(energies=energies, tariffs=tariffs),
        today_watt_hours=_flows(samples, _TODAY),
        yesterday_watt_hours=_flows(samples, _YESTERDAY),
        unix_seconds=pushed_unix_seconds,
    )


def _flows(samples: Iterable[HeldSample], name: str) -> dict[Flow, float]:
    return {
        (_place(sample.labels["from"]), _place(sample.labels["to"])): sample.value
        for sample in samples
        if sample.name == name and {sample.labels.get("from"), sample.labels.get("to")} <= _PLACES
    }


def _place(text: str) -> Place:
    return next(place for place in get_args(Place) if place == text)


def _named(samples: Iterable[HeldSample], name: str, label: str) -> dict[str, float]:
    return {sample.labels[label]: sample.value for sample in samples if sample.name == name and label in sample.labels}


def cumulative_families(
    points: Iterable[tuple[str, float, EnergyTotals]],
    *,
    job: str,
    labels_of: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Iterator[Metric]:
    """Yield the counters as they stood at given moments; a point is battery, Unix time in seconds, totals.

    `labels_of` has the static labels by battery, without which the series would be others than those pushed.
    """
    points = tuple(points)
    for row in ENERGY:
        family = Metric(row.name.removesuffix("_total"), row.help, row.kind)
        # OpenMetrics wants one series after the other, each with all of its moments.
        by_series: dict[tuple[str, tuple[str, ...]], list[tuple[float, float]]] = {}
        for battery, moment, totals in points if row.kind == "counter" else ():
            for own, value in row.values(totals):
                if value is not None:
                    by_series.setdefault((battery, own), []).append((moment, float(value)))
        for (battery, own), values in by_series.items():
            static = labels_of.get(battery, {})
            labels = {**static, "job": job, "instance": battery, **dict(zip(row.labels, own, strict=True))}
            for moment, value in values:
                family.add_sample(row.name, labels, value, timestamp=moment)
        if family.samples:
            yield family
