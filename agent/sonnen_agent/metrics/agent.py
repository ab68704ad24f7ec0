"""The agent's group: what it counts about itself, and what the kernel says of its process."""

from collections.abc import Iterable, Mapping

from prometheus_client.core import Metric

from sonnen_agent.metrics.battery import BATTERY_LABELS
from sonnen_agent.metrics.exposition import COUNTED_DECIMALS, families
from sonnen_agent.rows import Row, rows_of
from sonnen_agent.telemetry import AgentInfo, Counts, Durations, Waiting

INFO = rows_of(AgentInfo)[::-1]
COUNTS = tuple((field, row) for field, row in rows_of(Counts) if row.kind != "summary")
WAITING = rows_of(Waiting)
SUMMARIES = tuple((field, row) for field, row in rows_of(Counts) if row.kind == "summary")

WAITING_LABELS = ("sink",)
"""The labels of the series of what waits."""

AGENT = (*INFO, *COUNTS, *WAITING, *SUMMARIES)
"""Everything but the process, in the order of the page."""

AGENT_LABELS = frozenset(WAITING_LABELS).union(*(row.labels for _, row in AGENT)) - BATTERY_LABELS
"""The label names of the agent's series that no series of a battery has."""


def agent_families(
    about: AgentInfo, counts: Counts, waiting: Mapping[str, Waiting], process: Iterable[Metric] = ()
) -> tuple[Metric, ...]:
    """Return the group; `waiting` is by output, `process` what prometheus_client's collector measured."""
    return (
        *families(INFO, [(about, {})]),
        *families(COUNTS, [(counts, {})]),
        *families(WAITING, [(one, {"sink": sink}) for sink, one in waiting.items()]),
        *(summary for field, row in SUMMARIES if (summary := _summary(row, getattr(counts, field))).samples),
        *process,
    )


def _summary(row: Row, by_label: Mapping[str | tuple[str, ...], Durations]) -> Metric:
    family = Metric(row.name, row.help, row.kind)
    for own, (count, seconds) in by_label.items():
        values = (own,) if isinstance(own, str) else own
        labels = dict(zip(row.labels, values, strict=True))
        family.add_sample(f"{row.name}_count", labels, float(count))
        family.add_sample(f"{row.name}_sum", labels, round(seconds, COUNTED_DECIMALS))
    return family
