"""What the agent counts about itself, from all its threads."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sonnen_agent.errors import Outcome
from sonnen_agent.reading import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How often something took how long."""

    count: int = 0
    seconds: float = 0.0

    def plus(self, seconds: float) -> "Tally":
        """Return the tally with one more."""
        return Tally(count=self.count + 1, seconds=self.seconds + seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The agent's counters at one moment."""

    reads: Mapping[tuple[str, Endpoint, Outcome], int] = field(default_factory=dict)
    """Requests by battery, endpoint, outcome."""
    read_durations: Mapping[tuple[str, Endpoint], Tally] = field(default_factory=dict)
    sends: Mapping[tuple[str, Outcome], int] = field(default_factory=dict)
    """Deliveries by sink, outcome."""
    send_durations: Mapping[str, Tally] = field(default_factory=dict)
    sent_bytes: Mapping[str, int] = field(default_factory=dict)
    missed_beats: Mapping[str, int] = field(default_factory=dict)
    """By battery."""
    relay_reads: Mapping[tuple[str, Outcome], int] = field(default_factory=dict)
    """Requests to other exporters by relay, outcome."""
    relays_up: Mapping[str, bool] = field(default_factory=dict)
    """Whether the last one brought a page, by relay."""


class Telemetry:
    """Counts; every method may be called from any thread."""

    def __init__(self, batteries: tuple[str, ...], clock: Callable[[], float] = time.monotonic) -> None:
        """Start at zero, so that the first missed beat is an increase."""
        self._clock = clock
        self._sent_at: dict[str, float] = {}
        self._lock = threading.Lock()
        self._reads: Counter[tuple[str, Endpoint, Outcome]] = Counter()
        self._read_durations: dict[tuple[str, Endpoint], Tally] = {}
        self._sends: Counter[tuple[str, Outcome]] = Counter()
        self._send_durations: dict[str, Tally] = {}
        self._sent_bytes: Counter[str] = Counter()
        self._missed_beats: Counter[str] = Counter(dict.fromkeys(batteries, 0))
        self._relay_reads: Counter[tuple[str, Outcome]] = Counter()
        self._relays_up: dict[str, bool] = {}

    def record_read(self, battery: str, endpoint: Endpoint, outcome: Outcome, seconds: float) -> None:
        """Count a request to a battery."""
        with self._lock:
            self._reads[battery, endpoint, outcome] += 1
            tally = self._read_durations.get((battery, endpoint), Tally())
            self._read_durations[battery, endpoint] = tally.plus(seconds)

    def record_send(self, sink: str, outcome: Outcome, seconds: float, sent_bytes: int) -> None:
        """Count a delivery by a sink, and the bytes of its body."""
        with self._lock:
            self._sends[sink, outcome] += 1
            self._send_durations[sink] = self._send_durations.get(sink, Tally()).plus(seconds)
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
