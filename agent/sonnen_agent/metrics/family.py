"""One row of the metrics table, and how rows become prometheus_client's families."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from prometheus_client.core import Metric

Source = TypeVar("Source")
Labelled = Iterable[tuple[tuple[str, ...], float | bool | None]]
"""Values with their label values; a None is left out, it is never 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Generic[Source]):
    """A metric of the contract: what it is called, what it means, and where its values come from."""

    name: str
    """As it appears on the page; a counter's ends in `_total`."""
    kind: Literal["gauge", "counter"] = "gauge"
    help: str
    labels: tuple[str, ...] = ()
    values: Callable[[Source], Labelled]


def single(value: Callable[[Source], float | bool | None]) -> Callable[[Source], Labelled]:
    """Return a row's values for a metric without labels."""
    return lambda source: (((), value(source)),)


def build(rows: Iterable[Row[Source]], sources: Iterable[tuple[Source, Mapping[str, str]]]) -> Iterator[Metric]:
    """Yield the families that have samples; each source brings its own labels for all of its series."""
    sources = tuple(sources)
    for row in rows:
        family = Metric(row.name.removesuffix("_total") if row.kind == "counter" else row.name, row.help, row.kind)
        for source, labels in sources:
            for own, value in row.values(source):
                if value is not None and math.isfinite(value):
                    family.add_sample(row.name, {**labels, **dict(zip(row.labels, own, strict=True))}, float(value))
        if family.samples:
            yield family
