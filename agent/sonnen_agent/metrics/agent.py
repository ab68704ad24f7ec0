"""The agent group: what the agent counts about itself, and what the kernel says of its process."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from prometheus_client.core import Metric

from sonnen_agent.metrics.family import Labelled, Row, build, single
from sonnen_agent.snapshot import AgentReport, SpoolState
from sonnen_agent.telemetry import Tally


def agent_families(report: AgentReport, process: Iterable[Metric] = ()) -> Iterator[Metric]:
    """Yield the families of the agent group; `process` is what prometheus_client's collector measured."""
    counts = report.counts
    return chain(
        build(_ROWS, [(report, {})]),
        _summary(
            "sonnen_agent_read_seconds",
            "Duration of requests to a battery in seconds.",
            (({"battery": battery, "endpoint": end}, tally) for (battery, end), tally in counts.read_durations.items()),
        ),
        _summary(
            "sonnen_agent_send_seconds",
            "Duration of deliveries by a sink in seconds.",
            (({"sink": sink}, tally) for sink, tally in counts.send_durations.items()),
        ),
        process,
    )


def _spools(value: Callable[[SpoolState], float | None]) -> Callable[[AgentReport], Labelled]:
    return lambda report: (((sink,), value(spool)) for sink, spool in report.spools.items())


_ROWS: tuple[Row[AgentReport], ...] = (
    Row(
        name="sonnen_build_info",
        help="1; the labels say which build of the agent runs.",
        labels=("version", "revision", "pythonversion"),
        values=lambda report: (((report.version, report.revision, report.python_version), 1),),
    ),
    Row(
        name="sonnen_agent_start_time_seconds",
        help="Unix time at which the agent started.",
        values=single(lambda report: report.start_unix_seconds),
    ),
    Row(
        name="sonnen_agent_reads_total",
        kind="counter",
        help="Requests to a battery by endpoint and by how they ended.",
        labels=("battery", "endpoint", "outcome"),
        values=lambda report: report.counts.reads.items(),
    ),
    Row(
        name="sonnen_agent_sends_total",
        kind="counter",
        help="Deliveries by a sink and by how they ended.",
        labels=("sink", "outcome"),
        values=lambda report: report.counts.sends.items(),
    ),
    Row(
        name="sonnen_agent_sent_bytes_total",
        kind="counter",
        help="Bytes that a sink sent, bodies as they were on the wire.",
        labels=("sink",),
        values=lambda report: (((sink,), sent) for sink, sent in report.counts.sent_bytes.items()),
    ),
    Row(
        name="sonnen_agent_missed_beats_total",
        kind="counter",
        help="Beats of a battery that were skipped because the one before was still running.",
        labels=("battery",),
        values=lambda report: (((battery,), missed) for battery, missed in report.counts.missed_beats.items()),
    ),
    Row(
        name="sonnen_agent_relay_up",
        help="1 if the last request to another exporter brought a page to push along, else 0.",
        labels=("relay",),
        values=lambda report: (((relay,), up) for relay, up in report.counts.relays_up.items()),
    ),
    Row(
        name="sonnen_agent_relay_reads_total",
        kind="counter",
        help="Requests to another exporter by how they ended.",
        labels=("relay", "outcome"),
        values=lambda report: report.counts.relay_reads.items(),
    ),
    Row(
        name="sonnen_agent_spool_samples",
        help="Samples that wait for the link to come back.",
        labels=("sink",),
        values=_spools(lambda spool: spool.samples),
    ),
    Row(
        name="sonnen_agent_spool_bytes",
        help="Bytes on disk of the samples that wait.",
        labels=("sink",),
        values=_spools(lambda spool: spool.bytes),
    ),
    Row(
        name="sonnen_agent_spool_oldest_timestamp_seconds",
        help="Unix time of the oldest sample that waits.",
        labels=("sink",),
        values=_spools(lambda spool: spool.oldest_timestamp_seconds),
    ),
    Row(
        name="sonnen_agent_spool_dropped_samples_total",
        kind="counter",
        help="Samples lost because the spool was full or damaged, the oldest first.",
        labels=("sink",),
        values=_spools(lambda spool: spool.dropped_samples),
    ),
    Row(
        name="sonnen_agent_spool_rejected_samples_total",
        kind="counter",
        help="Samples lost because the receiver refuses them.",
        labels=("sink",),
        values=_spools(lambda spool: spool.rejected_samples),
    ),
)


def _summary(name: str, text: str, tallies: Iterable[tuple[Mapping[str, str], Tally]]) -> Iterator[Metric]:
    family = Metric(name, text, "summary")
    for labels, tally in tallies:
        family.add_sample(f"{name}_count", dict(labels), float(tally.count))
        family.add_sample(f"{name}_sum", dict(labels), tally.seconds)
    if family.samples:
        yield family
