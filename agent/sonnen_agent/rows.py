"""Rows of the table of metrics, each at the field that it shows.

    pv_watts: Annotated[float | None, Gauge("sonnen_pv_watts", "DC-coupled PV power in watts.")] = None

So field, name, unit and meaning stand together; `metrics/` makes families of them, and docs/metrics.md
is written from them. A property is a row as well, by the type that it returns. What a field holds
follows from the row's labels:

    none              a number, or None where there is no series
    `phase`           the numbers of L1, L2 and L3
    one other         a mapping from the label's value to the number
    several           a mapping from a tuple of the labels' values to the number
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Literal, TypeAlias, cast

Kind = Literal["gauge", "counter", "summary"]
Number = float | bool | None

_PHASES = tuple({"phase": phase} for phase in "123")
_NO_LABELS: Mapping[str, str] = {}


class Row:
    """A metric: what it is called and what it means."""

    __slots__ = ("at", "family", "help", "key", "labels", "name")
    kind: ClassVar[Kind]

    def __init__(self, name: str, text: str, *labels: str, key: str = "", at: Mapping[str, str] = _NO_LABELS) -> None:
        """`text` is the help.

        `key` is for a mapping of which each number is a metric of its own; `at` are labels with a fixed
        value, for a family that has its series from several fields.
        """
        self.name, self.help, self.labels = name, text, labels
        self.key, self.at = key, at
        self.family = name.removesuffix("_total") if self.kind == "counter" else name
        """The name, as prometheus_client wants it."""

    def numbers(self, value: object) -> Sequence[tuple[Mapping[str, str], float]]:
        """Return what a field shows, with the row's own labels; what is no finite number is left out, it is never 0."""
        if self.key:
            value = cast("Mapping[str, Number]", value).get(self.key)
        if value is None:
            return ()
        if not self.labels:
            number = cast("float", value)
            return ((self.at, float(number)),) if math.isfinite(number) else ()
        labelled: Iterable[tuple[Mapping[str, str], Number]]
        if self.labels == ("phase",):
            labelled = zip(_PHASES, cast("tuple[Number, ...]", value), strict=True)
        elif len(self.labels) == 1:
            (label,) = self.labels
            labelled = [({label: own}, number) for own, number in cast("Mapping[str, Number]", value).items()]
        else:
            several = cast("Mapping[tuple[str, ...], Number]", value)
            labelled = [(dict(zip(self.labels, own, strict=True)), number) for own, number in several.items()]
        return [(labels, float(number)) for labels, number in labelled if number is not None and math.isfinite(number)]


class Gauge(Row):
    """What can rise and fall."""

    __slots__ = ()
    kind = "gauge"


class Counter(Row):
    """What only rises; its name ends in `_total`."""

    __slots__ = ()
    kind = "counter"


class Summary(Row):
    """Durations; each is shown by how often there was one, and by the sum of their seconds."""

    __slots__ = ()
    kind = "summary"


Rows: TypeAlias = tuple[tuple[str, Row], ...]
"""Field and row."""


def rows_of(part: type) -> Rows:
    """Return the rows of a dataclass: those of its fields, then those of its properties."""
    types = [*part.__annotations__.items()]
    types += [
        (name, member.fget.__annotations__.get("return"))
        for name, member in vars(part).items()
        if isinstance(member, property)
    ]
    rows = ((name, row) for name, type_ in types for row in getattr(type_, "__metadata__", ()))
    # Several metrics of one field come as a tuple.
    return tuple((name, row) for name, found in rows for row in (found if isinstance(found, tuple) else (found,)))
