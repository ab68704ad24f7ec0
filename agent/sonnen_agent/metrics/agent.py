"""The agent's group: what it counts about itself, and what the kernel says of its process."""

from collections.abc import Iterable, Mapping

from prometheus_client.core import Metric

from sonnen_agent.metrics.battery import BATTERY_LABELS
from sonnen_agent.metrics.exposition import COUNTED_DECIMALS, families
from sonnen_agent.rows import Gauge, rows_of
from sonnen_agent.telemetry import AgentInfo, Counts, Waiting

INFO = rows_of(AgentInfo)
COUNTS = tuple((field, row) for field, row in rows_of(Counts) if row.kind != "summary")
SUMMARIES = tuple((field, row) for field, row in rows_of(Counts) if row.kind == "summary")
WAITING = rows_of(Waiting)
PUSH_INTERVAL = Gauge(
    "sonnen_agent_push_interval_seconds",
    "Seconds between two pushes of this group, where these are more than 15: it is old after three of them.",
)
"""An output's own, `outputs/pace.py`."""

WAITING_LABELS = ("sink",)
"""The labels of the series of what waits."""

AGENT = (*INFO, *COUNTS, *WAITING, *SUMMARIES, ("seconds", PUSH_INTERVAL))
"""Everything but the process, in the order of the page."""

AGENT_LABELS = frozenset(WAITING_LABELS).union(*(row.labels for _, row in AGENT)) - BATTERY_LABELS
"""The label names of the agent's series that no series of a battery has."""


def agent_families(
    about: AgentInfo, counts: Counts, waiting: Mapping[str, Waiting], process: Iterable[Metric] = ()
) -> tuple[Metric, ...]:
    """Return the group; `waiting` is by output, `process` what prometheus_client's collector measured."""
    summaries = families(SUMMARIES, [(counts, {})], decimals=COUNTED_DECIMALS)
    for summary in summaries:
        # Each count beside its sum, as everybody has them.
        middle = len(summary.samples) // 2
        summary.samples[::2], summary.samples[1::2] = summary.samples[:middle], summary.samples[middle:]
    return (
        *families(INFO, [(about, {})]),
        *families(COUNTS, [(counts, {})]),
        *families(WAITING, [(one, {"sink": sink}) for sink, one in waiting.items()]),
        *summaries,
        *process,
    )
