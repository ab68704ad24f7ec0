"""From snapshots and reports to beats: all series of a group at one moment, and those that end with it.

A series that was there at the last beat and is not any more ends with a stale marker, at once: a
battery that falls silent, a light that is gone, an agent that stops.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import Metric

from sonnen_agent.metrics.agent import agent_families
from sonnen_agent.metrics.battery import battery_families
from sonnen_agent.metrics.groups import Grouping, GroupKey
from sonnen_agent.outputs.remote_write.beat import Beat
from sonnen_agent.outputs.remote_write.wire import STALE, series_bytes, value_bytes
from sonnen_agent.snapshot import AgentReport, Snapshot

_MOST_REMEMBERED = 4096
_SILENT_BEATS = 3
"""After as many beats without a word of a group its series end, as `Snapshot.is_current` has it."""


@dataclass(frozen=True, slots=True)
class _Shown:
    series: tuple[bytes, ...]
    monotonic_ms: int


class SeriesBook:
    """Remembers what each group shows. Not for use by two threads at once."""

    def __init__(self, grouping: Grouping, external_labels: Mapping[str, str], interval_seconds: float) -> None:
        self._grouping = grouping
        self._external_labels = external_labels
        self._silent_ms = round(_SILENT_BEATS * interval_seconds * 1000)
        self._shown: dict[GroupKey, _Shown] = {}
        self._encoded: dict[tuple[object, ...], bytes] = {}

    def beat(self, item: Snapshot | AgentReport, monotonic_seconds: float) -> Beat:
        """Return the samples of an item, and a stale marker for each series of its group that it has no more."""
        key, families = self._group(item)
        values: dict[bytes, bytes] = {}
        for family in families:
            for sample in family.samples:
                # A name that is there twice, such as of two meters with the same one, is sent once.
                values.setdefault(self._series(key, sample.name, sample.labels), value_bytes(sample.value))
        before = self._shown.get(key)
        series = tuple(values)
        if before is not None and before.series == series:
            series = before.series  # one tuple for all beats, wherever they wait
        monotonic_ms = round(monotonic_seconds * 1000)
        if before is not None and monotonic_ms <= before.monotonic_ms:
            monotonic_ms = before.monotonic_ms + 1
        self._shown[key] = _Shown(series, monotonic_ms)
        for ended in before.series if before is not None else ():
            values.setdefault(ended, STALE)
        if len(values) > len(series):
            series = tuple(values)
        return Beat(monotonic_ms=monotonic_ms, series=series, values=b"".join(values.values()))

    def end_silent(self, now_monotonic_seconds: float) -> Sequence[Beat]:
        """Return stale markers for the groups from which nothing was heard for three beats."""
        now_ms = round(now_monotonic_seconds * 1000)
        return self._end(
            (k for k, shown in self._shown.items() if now_ms - shown.monotonic_ms > self._silent_ms), now_ms
        )

    def end_all(self, now_monotonic_seconds: float) -> Sequence[Beat]:
        """Return stale markers for everything."""
        return self._end(self._shown, round(now_monotonic_seconds * 1000))

    def _end(self, keys: Iterable[GroupKey], now_ms: int) -> Sequence[Beat]:
        ended = [self._shown.pop(key) for key in tuple(keys)]
        return [
            Beat(
                monotonic_ms=max(now_ms, shown.monotonic_ms + 1),
                series=shown.series,
                values=STALE * len(shown.series),
            )
            for shown in ended
            if shown.series
        ]

    def _group(self, item: Snapshot | AgentReport) -> tuple[GroupKey, Iterable[Metric]]:
        if isinstance(item, Snapshot):
            return self._grouping.battery_key(item.battery), battery_families([item])
        process = self._grouping.process_families()
        return self._grouping.agent_key(item.host), agent_families(item, process)

    def _series(self, key: GroupKey, name: str, labels: Mapping[str, str]) -> bytes:
        known = (key.job, key.instance, name, *labels.items())
        series = self._encoded.get(known)
        if series is None:
            if len(self._encoded) >= _MOST_REMEMBERED:
                self._encoded.clear()
            # As on the gateway, the group's own labels win; as in Prometheus, external ones only fill up.
            all_labels = {**self._external_labels, **labels, "job": key.job, "instance": key.instance, "__name__": name}
            series = self._encoded[known] = series_bytes(all_labels)
        return series
