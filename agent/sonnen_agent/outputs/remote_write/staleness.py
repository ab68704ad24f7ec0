"""From groups to frames: all series of a group at one moment, and those that end with it.

A series that was there at the last beat and is not any more ends with a stale marker, at once: a
battery that falls silent, a light that is gone, an agent that stops.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sonnen_agent.group import Group, GroupKey
from sonnen_agent.outputs.remote_write.wire import STALE, Frame, series_bytes, value_bytes

_MOST_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class _Shown:
    series: tuple[bytes, ...]
    monotonic_ms: int
    shown_ms: int
    """After so long without news the series end."""


class StalenessTracker:
    """Remembers what each group shows. Not for use by two threads at once."""

    def __init__(self, external_labels: Mapping[str, str]) -> None:
        self._external_labels = external_labels
        self._shown: dict[GroupKey, _Shown] = {}
        self._encoded: dict[tuple[object, ...], bytes] = {}

    def frame(self, group: Group) -> Frame:
        """Return the samples of a group, and a stale marker for each series that it has no more."""
        key = group.key
        values: dict[bytes, bytes] = {}
        for family in (*group.families, *group.certain_counters):
            for sample in family.samples:
                # A name that is there twice, such as of two meters with the same one, is sent once.
                values.setdefault(self._series(key, sample.name, sample.labels), value_bytes(sample.value))
        before = self._shown.get(key)
        series = tuple(values)
        if before is not None and before.series == series:
            series = before.series  # one tuple for all frames, wherever they wait
        monotonic_ms = round(group.taken_monotonic_seconds * 1000)
        if before is not None and monotonic_ms <= before.monotonic_ms:
            monotonic_ms = before.monotonic_ms + 1
        self._shown[key] = _Shown(series, monotonic_ms, round(group.shown_seconds * 1000))
        for ended in before.series if before is not None else ():
            values.setdefault(ended, STALE)
        if len(values) > len(series):
            series = tuple(values)
        return Frame(monotonic_ms=monotonic_ms, series=series, values=b"".join(values.values()))

    def end_silent(self, now_monotonic_seconds: float) -> Sequence[Frame]:
        """Return stale markers for the groups from which nothing was heard for longer than they may be shown."""
        now_ms = round(now_monotonic_seconds * 1000)
        silent = [key for key, shown in self._shown.items() if now_ms - shown.monotonic_ms > shown.shown_ms]
        return [frame for key in silent for frame in self._end(key, now_ms)]

    def end_all(self, now_monotonic_seconds: float, retain: Collection[GroupKey] = ()) -> Sequence[Frame]:
        """Return stale markers for everything but the groups to retain."""
        now_ms = round(now_monotonic_seconds * 1000)
        ending = [key for key in self._shown if key not in retain]
        return [frame for key in ending for frame in self._end(key, now_ms)]

    def _end(self, key: GroupKey, now_ms: int) -> Sequence[Frame]:
        shown = self._shown.pop(key)
        if not shown.series:
            return ()
        monotonic_ms = max(now_ms, shown.monotonic_ms + 1)
        return (Frame(monotonic_ms=monotonic_ms, series=shown.series, values=STALE * len(shown.series)),)

    def _series(self, key: GroupKey, name: str, labels: Mapping[str, str]) -> bytes:
        known = (key, name, *labels.items())
        series = self._encoded.get(known)
        if series is None:
            if len(self._encoded) >= _MOST_REMEMBERED:
                self._encoded.clear()
            # As on the gateway, the group's own labels win; as in Prometheus, external ones only fill up.
            all_labels = {**self._external_labels, **labels, "job": key.job, "instance": key.instance, "__name__": name}
            series = self._encoded[known] = series_bytes(all_labels)
        return series
