"""From rows to families, and from families to a page in the text formats, which prometheus_client writes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import TypeAlias

from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from sonnen_agent.group import Group
from sonnen_agent.rows import Row, Rows

_HELP = re.compile(rb"^# HELP .*\n", re.MULTILINE)
COUNTED_DECIMALS = 4
"""A tenth of a milliwatt-hour or millisecond. Digits behind that are noise, and a good part of a page's bytes."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


Sources: TypeAlias = Iterable[tuple[object, Mapping[str, str]]]
"""What has the fields of rows, each with its own labels for all of its series."""


class Family(Metric):
    """A family of ours: its names need no check at each beat, and its lines are written once, on however many pages."""

    def __init__(self, row: Row, samples: list[Sample], made_of: object = None) -> None:
        # The rest of a Metric's own is that check.
        self.name, self.documentation, self.type, self.unit = row.family, row.help, row.kind, ""
        self.samples, self.made_of = samples, made_of
        self.head = _head(row.family, row.kind, row.help)
        self.lines = ""


class Known:
    """What was shown before: most parts of a reading are the same for many beats, and of the others most values."""

    def __init__(self) -> None:
        self.parts: dict[Row, tuple[object, Sequence[Metric]]] = {}
        """By the first row of a part: that part, and its families."""
        self.families: dict[Row, Family] = {}
        """The latest of each row."""


def families(rows: Rows, sources: Sources, *, decimals: int | None = None, known: Known | None = None) -> list[Metric]:
    """Return the families that have samples.

    What a battery says is shown as it is; what the agent has added up is shown with so many `decimals`. `known` is a
    place to remember them in, for the next call.
    """
    several = [(source, _labels(*labels.items())) for source, labels in sources]
    remembered = {} if known is None else known.families
    found: list[Metric] = []
    for field, row in rows:
        made_of = tuple([part for source, labels in several for part in (getattr(source, field), labels)])
        family = remembered.get(row)
        if family is None or family.made_of != made_of:
            samples = [
                Sample(
                    row.name,
                    _labels(*labels.items(), *own.items()) if own else labels,
                    number if decimals is None else round(number, decimals),
                )
                for source, labels in several
                for own, number in row.numbers(getattr(source, field))
            ]
            if not samples:
                continue
            family = remembered[row] = Family(row, samples, made_of)
        if found and found[-1].name == family.name:
            found[-1] = Family(row, found[-1].samples + family.samples)
        else:
            found.append(family)
    return found


def render(families: Iterable[Metric]) -> bytes:
    """Return the families as a page in text format 0.0.4, UTF-8, byte for byte as prometheus_client writes it.

    Its own writer takes more than three times as long, and would be a third of all that a beat costs: it checks and
    escapes anew, at every beat, names and texts that never change.
    """
    texts: list[str] = []
    for family in families:
        if isinstance(family, Family):
            family.lines = family.lines or _lines(family)
            texts += family.head, family.lines
        else:
            texts += _head(family.name, family.type, family.documentation), _lines(family)
    return "".join(texts).encode()


def _lines(family: Metric) -> str:
    lines: list[str] = []
    for name, labels, value, *_ in family.samples:
        series = _series(name, *labels.items()) if labels else name
        # In this range Go's notation of a number is Python's.
        small = -1e6 < value < 1e6
        number = repr(float(value)) if small else str(floatToGoString(value))  # type: ignore[no-untyped-call]
        lines.append(f"{series} {number}\n")
    return "".join(lines)


@cache
def _head(name: str, kind: str, documentation: str) -> str:
    if kind == "counter":
        name += "_total"
    text = documentation.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


@lru_cache(maxsize=4096)
def _labels(*labels: tuple[str, str]) -> dict[str, str]:
    """Return labels as one dict for all samples of all batteries that have them: nobody changes a sample."""
    return dict(labels)


@lru_cache(maxsize=4096)
def _series(name: str, *labels: tuple[str, str]) -> str:
    texts = (f'{label}="{_escaped(value)}"' for label, value in sorted(labels))
    return f"{name}{{{','.join(texts)}}}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def page_of(group: Group) -> bytes:
    """Return the page of a group: the one that it brings along, else that of all its families."""
    if group.page is not None:
        return group.page
    page = render((*group.families, *(group.counters or ())))
    return page if group.with_help else _HELP.sub(b"", page)


def render_openmetrics(families: Iterable[Metric]) -> bytes:
    """Return the families in OpenMetrics, which knows timestamps: for backfilling."""
    # All that is asked of a registry is what it collects.
    registry = SimpleNamespace(collect=lambda: families)
    page: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]  # in 0.26
    return page
