"""Rows of the table of metrics, each at the field that it shows.

    pv_watts: Number = gauge("sonnen_pv_watts", "DC-coupled PV power in watts.")

So field, name, unit and meaning stand together; `metrics/` makes families of them, and docs/metrics.md
is written from them. A property has its row as a decorator; a field that several rows show has them as `rows` in its
metadata. What a field holds follows from the row's labels:

    none              a number, or None where there is no series
    `phase`           the numbers of L1, L2 and L3
    one other         a mapping from the label's value to the number
    several           a mapping from a tuple of the labels' values to the number
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, fields
from functools import partial
from typing import Any, Literal, TypeAlias, TypeVar

_Getter = TypeVar("_Getter", bound=Callable[..., object])

Kind = Literal["gauge", "counter", "summary"]

_PHASES = tuple({"phase": phase} for phase in "123")
_NO_LABELS: Mapping[str, str] = {}


class Row:
    """A metric: what it is called and what it means."""

    __slots__ = ("at", "family", "help", "key", "kind", "labels", "name")

    def __init__(
        self, kind: Kind, name: str, text: str, *labels: str, key: str = "", at: Mapping[str, str] = _NO_LABELS
    ) -> None:
        """`text` is the help.

        `key` is for a mapping of which each number is a metric of its own; `at` are labels with a fixed
        value, for a family that has its series from several fields.
        """
        self.kind, self.name, self.help, self.labels = kind, name, text, labels
        self.key, self.at = key, at
        self.family = name if kind == "gauge" else re.sub("_(total|count|sum)$", "", name)
        """The name, as prometheus_client wants it."""

    def __call__(self, getter: _Getter) -> _Getter:
        """Make a property's getter a row."""
        vars(getter)["rows"] = (self,)
        return getter

    def numbers(self, value: Any) -> Sequence[tuple[Mapping[str, str], float]]:  # noqa: ANN401 - a field of any row
        """Return what a field shows, with the row's own labels; what is no finite number is left out, it is never 0."""
        if self.key:
            value = value.get(self.key)
        if value is None or value == {}:
            return ()
        if not self.labels:
            return ((self.at, float(value)),) if math.isfinite(value) else ()
        labelled: Iterable[tuple[Mapping[str, str], float | None]]
        if self.labels == ("phase",):
            labelled = zip(_PHASES, value, strict=True)
        elif len(self.labels) == 1:
            (label,) = self.labels
            labelled = [({label: own}, number) for own, number in value.items()]
        else:
            labelled = [(dict(zip(self.labels, own, strict=True)), number) for own, number in value.items()]
        return [(labels, float(number)) for labels, number in labelled if number is not None and math.isfinite(number)]


def _field(
    kind: Kind, name: str, text: str, *labels: str, default: object = None, at: Mapping[str, str] = _NO_LABELS
) -> Any:  # noqa: ANN401 - as dataclasses.field, in place of which it stands
    """Return a field that a row shows; it shows nothing unless a value, or a `default`, is given."""
    rows = {"rows": (Row(kind, name, text, *labels, at=at),)}
    if default is None and labels == ("phase",):
        return field(default=(None, None, None), metadata=rows)
    if default is None and labels:
        return field(default_factory=dict, metadata=rows)
    return field(default=default, metadata=rows)


Gauge, Counter = partial(Row, "gauge"), partial(Row, "counter")
"""What can rise and fall, and what only rises; the name of the latter ends in `_total`."""
gauge, counter, summary = partial(_field, "gauge"), partial(_field, "counter"), partial(_field, "summary")
"""Fields that are rows; a summary is two, of which the names end in `_count` and `_sum`."""

Rows: TypeAlias = tuple[tuple[str, Row], ...]
"""Field and row."""


def rows_of(part: type) -> Rows:
    """Return the rows of a dataclass: those of its fields, then those of its properties."""
    found = [(one.name, one.metadata.get("rows", ())) for one in fields(part)]
    getters = ((name, member.fget) for name, member in vars(part).items() if isinstance(member, property))
    found += [(name, vars(getter).get("rows", ())) for name, getter in getters]
    return tuple((name, row) for name, rows in found for row in rows)
