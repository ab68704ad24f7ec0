"""From groups to frames: all series of a group at one moment, and those that end with it.

A series that was there at the last beat and is not any more ends with a stale marker, at once: a
battery that falls silent, a light that is gone, an agent that stops.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sonnen_agent.group import Group, GroupKey
from sonnen_agent.outputs.remote_write.wire import STALE, Frame, Series, series_of, value_bytes

_NOTHING = Frame(monotonic_ms=-(1 << 60), series=(), values=b"")


class StalenessTracker:
    """Remembers what each group shows. Not for use by two threads at once."""

    def __init__(self, external_labels: Mapping[str, str]) -> None:
        self._external_labels = external_labels
        self._shown: dict[GroupKey, tuple[Frame, float]] = {}
        """The last frame of each group, without stale markers, and when its series end without news."""

    def frame(self, group: Group) -> Frame:
        """Return the samples of a group, and a stale marker for each series that it has no more."""
        key = group.key
        # As on the gateway, the group's own labels win; as in Prometheus, external ones only fill up.
        own = {"job": key.job, "instance": key.instance}
        values: dict[Series, bytes] = {}
        for family in (*group.families, *group.certain_counters):
            for sample in family.samples:
                # A name that is there twice, such as of two meters with the same one, is sent once.
                labels = {**self._external_labels, **sample.labels, **own, "__name__": sample.name}
                values.setdefault(series_of(labels), value_bytes(sample.value))
        before, _ = self._shown.get(key, (_NOTHING, 0.0))
        series = tuple(values)
        frame = Frame(
            monotonic_ms=max(round(group.taken_monotonic_seconds * 1000), before.monotonic_ms + 1),
            series=before.series if before.series == series else series,  # one tuple for all frames that wait
            values=b"".join(values.values()),
        )
        self._shown[key] = frame, frame.monotonic_ms + round(group.shown_seconds * 1000)
        ended = tuple(series for series in before.series if series not in values)
        if not ended:
            return frame
        return replace(frame, series=frame.series + ended, values=frame.values + STALE * len(ended))

    def end_silent(self, now_monotonic_seconds: float) -> Sequence[Frame]:
        """Return stale markers for the groups from which nothing was heard for longer than they may be shown."""
        now_ms = round(now_monotonic_seconds * 1000)
        return self._end([key for key, (_, until_ms) in self._shown.items() if now_ms > until_ms], now_ms)

    def end_all(self, now_monotonic_seconds: float, retain: Collection[GroupKey] = ()) -> Sequence[Frame]:
        """Return stale markers for everything but the groups to retain."""
        return self._end([key for key in self._shown if key not in retain], round(now_monotonic_seconds * 1000))

    def _end(self, keys: Sequence[GroupKey], now_ms: int) -> Sequence[Frame]:
        last = [self._shown.pop(key)[0] for key in keys]
        return [
            replace(frame, monotonic_ms=max(now_ms, frame.monotonic_ms + 1), values=STALE * len(frame))
            for frame in last
            if frame.series
        ]
