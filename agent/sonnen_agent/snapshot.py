"""What goes out at one beat: a battery's snapshot, the agent's report about itself, or another exporter's page."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from sonnen_agent.energy import EnergyTotals
from sonnen_agent.reading import Endpoint, Reading, System
from sonnen_agent.telemetry import Counts

_CURRENT_BEATS = 3
_LONGEST_RELAYED_SECONDS = 30
"""Whatever the interval of a relay: by then, what guards against old values has hidden them anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A battery at one beat. Without a reading it is offline, and nothing measured is shown."""

    battery: str
    """Its name, the `instance` label."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Static labels from the config, on every series of this battery."""
    reading: Reading | None
    states: System | None = None
    """Of a battery that is starting: what it says of itself, while its values are held back."""
    energy: EnergyTotals | None = None
    """What was counted, also while the battery is offline; None before the counters are settled."""
    certain_energy: EnergyTotals | None = None
    """The same for receivers that cannot be asked what they have seen already: after a crash it is less."""
    endpoints: Mapping[Endpoint, bool] = field(default_factory=dict)
    """Which endpoints answered the last time."""
    last_reading_unix_seconds: float | None = None
    """When a reading last succeeded, by our clock."""
    taken_monotonic_seconds: float
    """Now, for telling how old this is."""

    def for_the_unasked(self) -> "Snapshot":
        """Return what such a receiver may be shown."""
        return replace(self, energy=self.certain_energy)

    def is_current(self, now_monotonic_seconds: float, interval_seconds: float) -> bool:
        """Whether it may still be shown as the present: for three beats."""
        return now_monotonic_seconds - self.taken_monotonic_seconds <= _CURRENT_BEATS * interval_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolState:
    """What waits in a sink for the link to come back, and what was lost."""

    samples: int = 0
    bytes: int = 0
    oldest_timestamp_seconds: float | None = None
    """Unix time; None when nothing waits, or while the clock is unknown."""
    dropped_samples: int = 0
    """Lost since the start to the spool's bound, a full disk or damage, or because nobody knows when they were."""
    rejected_samples: int = 0
    """Lost since the start because the receiver refuses them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentReport:
    """The agent about itself."""

    host: str
    """The `instance` label."""
    version: str
    revision: str
    python_version: str
    start_unix_seconds: float
    counts: Counts
    spools: Mapping[str, SpoolState] = field(default_factory=dict)
    """By sink."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayedPage:
    """Another exporter's page at one beat. Without one it could not be read, and nothing of it is shown."""

    relay: str
    """The `job` label."""
    host: str
    """The `instance` label, the same as the agent's."""
    page: bytes | None
    """In text format, as it goes to a gateway."""
    interval_seconds: float
    """Between two pages."""
    taken_monotonic_seconds: float
    """When it was asked for, for telling how old this is."""

    def is_current(self, now_monotonic_seconds: float) -> bool:
        """Whether it may still be shown as the present: for three beats, and never for longer than half a minute."""
        age_seconds = now_monotonic_seconds - self.taken_monotonic_seconds
        return age_seconds <= min(_CURRENT_BEATS * self.interval_seconds, _LONGEST_RELAYED_SECONDS)


Outgoing: TypeAlias = Snapshot | AgentReport | RelayedPage
"""What a sink is handed."""
