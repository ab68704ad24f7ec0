"""What travels from the threads that read to the outputs: a group of series, made once per beat."""

from dataclasses import dataclass

from prometheus_client.core import Metric

SHOWN_BEATS = 3
"""A value is shown as the present for so many beats; a series without news for longer has ended."""

LATE_BEATS = 2
"""A battery of which nothing was heard for so many beats is offline, whoever hangs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKey:
    """The grouping key: the labels that every series of a group has."""

    job: str
    instance: str

    def __str__(self) -> str:
        return f"{self.job}/{self.instance}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """All series of one key at one moment. An output needs to know nothing else."""

    key: GroupKey
    families: tuple[Metric, ...] = ()
    """Everything but the energy counters."""
    counters: tuple[Metric, ...] | None = ()
    """A battery's energy; None while nobody knows yet what was counted before this start."""
    certain_counters: tuple[Metric, ...] = ()
    """The same for receivers that cannot be asked what they have seen; after a crash it is less at first."""
    page: bytes | None = None
    """Another exporter's page in text format; it has no families, and empty it takes the group's series away."""
    with_help: bool = True
    """Whether a page of it describes its metrics; what only maintainers read saves these bytes (docs/metrics.md)."""
    taken_monotonic_seconds: float
    """When it was read, by the monotonic clock."""
    shown_seconds: float
    """For how long after that it may be shown as the present."""

    def is_current(self, now_monotonic_seconds: float) -> bool:
        """Return whether it may still be shown as the present."""
        return now_monotonic_seconds - self.taken_monotonic_seconds <= self.shown_seconds
