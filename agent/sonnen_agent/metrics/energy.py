"""What the agent counted, and others have: from a copy of our metrics back to counters, and for backfilling."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import Metric
from prometheus_client.samples import Sample

from sonnen_agent.energy.counters import FLOWS, QUANTITIES, Counters, EnergyCounters, Flow, TariffCounts
from sonnen_agent.energy.state import GREATEST
from sonnen_agent.energy.totals import MONEY_OF_DAY, OF_TARIFFS, EnergyTotals, RecoveredCounters
from sonnen_agent.metrics.battery import ENERGY

_ROWS = {row.key or field: row for field, row in ENERGY}


def recovered_counters(samples: Iterable[Sample], pushed_unix_seconds: float | None) -> RecoveredCounters | None:
    """Return the counters in a copy of a battery's group, or None when it holds none of ours."""
    samples = tuple(sample for sample in samples if 0 <= sample.value <= GREATEST)
    values = {sample.name: sample.value for sample in samples}
    totals = {quantity: values[_ROWS[quantity].name] for quantity in QUANTITIES if _ROWS[quantity].name in values}
    flows = _flows(samples, "flows_watt_hours")
    seconds = values.get(_ROWS["observed_seconds"].name, 0.0)
    if not totals and not flows and not seconds:
        return None
    tariffs = TariffCounts(**{of: _named(samples, field) for field, of in OF_TARIFFS.items()})
    energies = EnergyCounters(
        totals_watt_hours=totals,
        flows_watt_hours=flows,
        observed_seconds=seconds,
        standby_watt_hours=values.get(_ROWS["standby_watt_hours"].name, 0.0),
    )
    return RecoveredCounters(
        tally=Counters(energies=energies, tariffs=tariffs, refused=_named(samples, "refused")),
        today_watt_hours=_flows(samples, "today_watt_hours"),
        yesterday_watt_hours=_flows(samples, "yesterday_watt_hours"),
        today_tariffs=_money_of_day(samples, "today"),
        yesterday_tariffs=_money_of_day(samples, "yesterday"),
        unix_seconds=pushed_unix_seconds,
    )


def _flows(samples: Iterable[Sample], field: str) -> dict[Flow, float]:
    """Return the numbers of a field of EnergyTotals."""
    name = _ROWS[field].name
    found = {
        (sample.labels.get("from"), sample.labels.get("to")): sample.value for sample in samples if sample.name == name
    }
    return {flow: found[flow] for flow in FLOWS if flow in found}


def _money_of_day(samples: Iterable[Sample], day: str) -> TariffCounts:
    return TariffCounts(**{field: _named(samples, f"{field}_{day}") for field in MONEY_OF_DAY})


def _named(samples: Iterable[Sample], field: str) -> dict[str, float]:
    """Return the numbers of a field of EnergyTotals whose row has one label, by its value."""
    name, (label,) = _ROWS[field].name, _ROWS[field].labels
    found = {sample.labels.get(label, ""): sample.value for sample in samples if sample.name == name}
    return {word: value for word, value in found.items() if word and word.isprintable()}


def cumulative_families(
    points: Iterable[tuple[str, float, EnergyTotals]], *, job: str, labels_of: Mapping[str, Mapping[str, str]]
) -> Iterator[Metric]:
    """Yield the counters as they stood at given moments; a point is battery, Unix time in seconds, totals.

    `labels_of` has the static labels by battery, without which the series would be others than those pushed.
    """
    points = tuple(points)
    for field, row in ENERGY:
        family = Metric(row.family, row.help, row.kind)
        # OpenMetrics wants one series after the other, each with all of its moments.
        by_series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        for battery, moment, totals in points if row.kind == "counter" else ():
            series = {**labels_of.get(battery, {}), "job": job, "instance": battery}
            for own, value in row.numbers(getattr(totals, field)):
                by_series.setdefault((*series.items(), *own.items()), []).append((moment, value))
        for labels, values in by_series.items():
            for moment, value in values:
                family.add_sample(row.name, dict(labels), value, timestamp=moment)
        if family.samples:
            yield family
