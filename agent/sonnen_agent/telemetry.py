"""What the agent counts about itself, from all its threads."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TypeVar

from sonnen_agent.errors import Outcome
from sonnen_agent.reading import Endpoint
from sonnen_agent.rows import counter, gauge, summary

_Key = TypeVar("_Key")
_Number = TypeVar("_Number", int, float)

_OF_READS = "Duration of requests to a battery in seconds.", "battery", "endpoint"
_OF_SENDS = "Duration of deliveries by a sink in seconds.", "sink"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The agent's counters at one moment."""

    reads: dict[tuple[str, Endpoint, Outcome], int] = counter(
        "sonnen_agent_reads_total",
        "Requests to a battery by endpoint and by how they ended.",
        "battery",
        "endpoint",
        "outcome",
    )
    sends: dict[tuple[str, Outcome], int] = counter(
        "sonnen_agent_sends_total", "Deliveries by a sink and by how they ended.", "sink", "outcome"
    )
    sent_bytes: dict[str, int] = counter(
        "sonnen_agent_sent_bytes_total", "Bytes that a sink sent, bodies as they were on the wire.", "sink"
    )
    missed_beats: dict[str, int] = counter(
        "sonnen_agent_missed_beats_total",
        "Beats of a battery that were skipped because the one before was still running.",
        "battery",
    )
    relays_up: dict[str, bool] = gauge(
        "sonnen_agent_relay_up",
        "1 if the last request to another exporter brought a page to push along, else 0.",
        "relay",
    )
    relay_reads: dict[tuple[str, Outcome], int] = counter(
        "sonnen_agent_relay_reads_total", "Requests to another exporter by how they ended.", "relay", "outcome"
    )
    timed_reads: dict[tuple[str, Endpoint], float] = summary("sonnen_agent_read_seconds_count", *_OF_READS)
    read_seconds: dict[tuple[str, Endpoint], float] = summary("sonnen_agent_read_seconds_sum", *_OF_READS)
    timed_sends: dict[str, float] = summary("sonnen_agent_send_seconds_count", *_OF_SENDS)
    send_seconds: dict[str, float] = summary("sonnen_agent_send_seconds_sum", *_OF_SENDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits in an output for the link to come back, and what was lost. Its series have `sink` as a label."""

    samples: int = gauge("sonnen_agent_spool_samples", "Samples that wait for the link to come back.", default=0)
    bytes: int = gauge("sonnen_agent_spool_bytes", "Bytes on disk of the samples that wait.", default=0)
    oldest_timestamp_seconds: float | None = gauge(
        "sonnen_agent_spool_oldest_timestamp_seconds", "Unix time of the oldest sample that waits."
    )
    """None when nothing waits, or while the clock is unknown."""
    dropped_samples: int = counter(
        "sonnen_agent_spool_dropped_samples_total",
        "Samples lost because the spool was full or damaged, the oldest first.",
        default=0,
    )
    """Since the start, also to a full disk, or because nobody knows when they were."""
    rejected_samples: int = counter(
        "sonnen_agent_spool_rejected_samples_total", "Samples lost because the receiver refuses them.", default=0
    )
    """Since the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentInfo:
    """Which agent runs, and since when."""

    build: Mapping[tuple[str, str, str], float] = gauge(
        "sonnen_build_info", "1; the labels say which build of the agent runs.", "version", "revision", "pythonversion"
    )
    """A 1 for the version, the git revision, and Python's version."""
    start_unix_seconds: float | None = gauge("sonnen_agent_start_time_seconds", "Unix time at which the agent started.")
    timezone: Mapping[str, float] = gauge(
        "sonnen_agent_timezone_info", "1; the label says whose midnight ends a day.", "timezone"
    )
    tokens: Mapping[str, bool] = gauge(
        "sonnen_agent_token", "1 if the config has a token for the battery, else 0.", "battery"
    )


class Telemetry:
    """Counts; every method may be called from any thread."""

    def __init__(self, batteries: tuple[str, ...], clock: Callable[[], float] = time.monotonic) -> None:
        """Start at zero, so that the first missed beat is an increase."""
        self._clock = clock
        self._lock = threading.Lock()
        self._counts = Counts(missed_beats=dict.fromkeys(batteries, 0))
        self._sent_at: dict[str, float] = {}

    def record_read(self, battery: str, endpoint: Endpoint, outcome: Outcome, seconds: float) -> None:
        """Count a request to a battery."""
        with self._lock:
            _add(self._counts.reads, (battery, endpoint, outcome), 1)
            _add(self._counts.timed_reads, (battery, endpoint), 1)
            _add(self._counts.read_seconds, (battery, endpoint), seconds)

    def record_send(self, output: str, outcome: Outcome, seconds: float, sent_bytes: int) -> None:
        """Count a delivery by an output, and the bytes of its body."""
        with self._lock:
            _add(self._counts.sends, (output, outcome), 1)
            _add(self._counts.sent_bytes, output, sent_bytes)
            _add(self._counts.timed_sends, output, 1)
            _add(self._counts.send_seconds, output, seconds)
            if outcome == "ok":
                self._sent_at[output] = self._clock()

    def seconds_since_sent(self, output: str) -> float | None:
        """Return how long ago a delivery by an output last succeeded, None if none has yet."""
        with self._lock:
            sent_at = self._sent_at.get(output)
        return None if sent_at is None else self._clock() - sent_at

    def record_missed_beats(self, battery: str, beats: int) -> None:
        """Count beats that were skipped because the one before was still running."""
        with self._lock:
            _add(self._counts.missed_beats, battery, beats)

    def record_relay(self, relay: str, outcome: Outcome) -> None:
        """Count a request to another exporter."""
        with self._lock:
            _add(self._counts.relay_reads, (relay, outcome), 1)
            self._counts.relays_up[relay] = outcome == "ok"

    def counts(self) -> Counts:
        """Return what was counted so far."""
        with self._lock:
            return Counts(**{one.name: dict(getattr(self._counts, one.name)) for one in fields(Counts)})


def _add(counts: dict[_Key, _Number], key: _Key, number: _Number) -> None:
    counts[key] = counts.get(key, 0) + number
