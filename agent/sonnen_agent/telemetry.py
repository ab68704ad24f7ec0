"""What the agent counts about itself, from all its threads."""

import collections
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from sonnen_agent.errors import Outcome
from sonnen_agent.reading import Endpoint
from sonnen_agent.rows import Counter, Gauge, Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """How often something took how long."""

    count: int = 0
    seconds: float = 0.0

    def plus(self, seconds: float) -> "Durations":
        """Return the durations with one more."""
        return Durations(count=self.count + 1, seconds=self.seconds + seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The agent's counters at one moment."""

    reads: Annotated[
        Mapping[tuple[str, Endpoint, Outcome], int],
        Counter(
            "sonnen_agent_reads_total",
            "Requests to a battery by endpoint and by how they ended.",
            "battery",
            "endpoint",
            "outcome",
        ),
    ] = field(default_factory=dict)
    sends: Annotated[
        Mapping[tuple[str, Outcome], int],
        Counter("sonnen_agent_sends_total", "Deliveries by a sink and by how they ended.", "sink", "outcome"),
    ] = field(default_factory=dict)
    sent_bytes: Annotated[
        Mapping[str, int],
        Counter("sonnen_agent_sent_bytes_total", "Bytes that a sink sent, bodies as they were on the wire.", "sink"),
    ] = field(default_factory=dict)
    missed_beats: Annotated[
        Mapping[str, int],
        Counter(
            "sonnen_agent_missed_beats_total",
            "Beats of a battery that were skipped because the one before was still running.",
            "battery",
        ),
    ] = field(default_factory=dict)
    relays_up: Annotated[
        Mapping[str, bool],
        Gauge(
            "sonnen_agent_relay_up",
            "1 if the last request to another exporter brought a page to push along, else 0.",
            "relay",
        ),
    ] = field(default_factory=dict)
    relay_reads: Annotated[
        Mapping[tuple[str, Outcome], int],
        Counter(
            "sonnen_agent_relay_reads_total", "Requests to another exporter by how they ended.", "relay", "outcome"
        ),
    ] = field(default_factory=dict)
    read_durations: Annotated[
        Mapping[tuple[str, Endpoint], Durations],
        Summary("sonnen_agent_read_seconds", "Duration of requests to a battery in seconds.", "battery", "endpoint"),
    ] = field(default_factory=dict)
    send_durations: Annotated[
        Mapping[str, Durations],
        Summary("sonnen_agent_send_seconds", "Duration of deliveries by a sink in seconds.", "sink"),
    ] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits in an output for the link to come back, and what was lost. Its series have `sink` as a label."""

    samples: Annotated[int, Gauge("sonnen_agent_spool_samples", "Samples that wait for the link to come back.")] = 0
    bytes: Annotated[int, Gauge("sonnen_agent_spool_bytes", "Bytes on disk of the samples that wait.")] = 0
    oldest_timestamp_seconds: Annotated[
        float | None, Gauge("sonnen_agent_spool_oldest_timestamp_seconds", "Unix time of the oldest sample that waits.")
    ] = None
    """None when nothing waits, or while the clock is unknown."""
    dropped_samples: Annotated[
        int,
        Counter(
            "sonnen_agent_spool_dropped_samples_total",
            "Samples lost because the spool was full or damaged, the oldest first.",
        ),
    ] = 0
    """Since the start, also to a full disk, or because nobody knows when they were."""
    rejected_samples: Annotated[
        int, Counter("sonnen_agent_spool_rejected_samples_total", "Samples lost because the receiver refuses them.")
    ] = 0
    """Since the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentInfo:
    """Which agent runs, and since when."""

    version: str
    revision: str
    python_version: str
    start_unix_seconds: Annotated[
        float, Gauge("sonnen_agent_start_time_seconds", "Unix time at which the agent started.")
    ]

    @property
    def build(
        self,
    ) -> Annotated[
        Mapping[tuple[str, str, str], float],
        Gauge(
            "sonnen_build_info",
            "1; the labels say which build of the agent runs.",
            "version",
            "revision",
            "pythonversion",
        ),
    ]:
        """A 1 for the build."""
        return {(self.version, self.revision, self.python_version): 1}


class Telemetry:
    """Counts; every method may be called from any thread."""

    def __init__(self, batteries: tuple[str, ...], clock: Callable[[], float] = time.monotonic) -> None:
        """Start at zero, so that the first missed beat is an increase."""
        self._clock = clock
        self._sent_at: dict[str, float] = {}
        self._lock = threading.Lock()
        self._reads: collections.Counter[tuple[str, Endpoint, Outcome]] = collections.Counter()
        self._read_durations: dict[tuple[str, Endpoint], Durations] = {}
        self._sends: collections.Counter[tuple[str, Outcome]] = collections.Counter()
        self._send_durations: dict[str, Durations] = {}
        self._sent_bytes: collections.Counter[str] = collections.Counter()
        self._missed_beats: collections.Counter[str] = collections.Counter(dict.fromkeys(batteries, 0))
        self._relay_reads: collections.Counter[tuple[str, Outcome]] = collections.Counter()
        self._relays_up: dict[str, bool] = {}

    def record_read(self, battery: str, endpoint: Endpoint, outcome: Outcome, seconds: float) -> None:
        """Count a request to a battery."""
        with self._lock:
            self._reads[battery, endpoint, outcome] += 1
            durations = self._read_durations.get((battery, endpoint), Durations())
            self._read_durations[battery, endpoint] = durations.plus(seconds)

    def record_send(self, sink: str, outcome: Outcome, seconds: float, sent_bytes: int) -> None:
        """Count a delivery by a sink, and the bytes of its body."""
        with self._lock:
            self._sends[sink, outcome] += 1
            self._send_durations[sink] = self._send_durations.get(sink, Durations()).plus(seconds)
            self._sent_bytes[sink] += sent_bytes
            if outcome == "ok":
                self._sent_at[sink] = self._clock()

    def seconds_since_sent(self, sink: str) -> float | None:
        """Return how long ago a delivery by a sink last succeeded, None if none has yet."""
        with self._lock:
            sent_at = self._sent_at.get(sink)
        return None if sent_at is None else self._clock() - sent_at

    def record_missed_beats(self, battery: str, beats: int) -> None:
        """Count beats that were skipped because the one before was still running."""
        with self._lock:
            self._missed_beats[battery] += beats

    def record_relay(self, relay: str, outcome: Outcome) -> None:
        """Count a request to another exporter."""
        with self._lock:
            self._relay_reads[relay, outcome] += 1
            self._relays_up[relay] = outcome == "ok"

    def counts(self) -> Counts:
        """Return what was counted so far."""
        with self._lock:
            return Counts(
                reads=dict(self._reads),
                read_durations=dict(self._read_durations),
                sends=dict(self._sends),
                send_durations=dict(self._send_durations),
                sent_bytes=dict(self._sent_bytes),
                missed_beats=dict(self._missed_beats),
                relay_reads=dict(self._relay_reads),
                relays_up=dict(self._relays_up),
            )
