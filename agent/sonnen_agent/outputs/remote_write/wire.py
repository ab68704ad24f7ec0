"""Frames made of groups, as they are kept; samples as they are sent; and the protobuf of a request (docs/facts.md 4.1).

python3-protobuf would bring 7.6 MiB of memory for the four messages of a request (docs/facts.md 4.2). A value stays
the 8 bytes of its double: a stale marker is a NaN whose bits must survive.
"""

import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from sonnen_agent.group import Group, GroupKey

STALE = struct.pack("<Q", 0x7FF0000000000002)
"""The value that ends a series at once, instead of five minutes later."""

Series = tuple[tuple[str, str], ...]
"""Names and values of its labels, in the order that receivers want."""

Sample = tuple[Series, int, bytes]
"""Series, Unix time in milliseconds, value."""

_FIRST = 0x0A
"""The tag of the first field, when that is a string or a message; the second field's follows."""
_SECOND = 0x12
_DOUBLE = 0x09
_INTEGER = 0x10
_SERIES_REMEMBERED = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The samples that one group has at one moment."""

    monotonic_ms: int
    """When, in milliseconds of the monotonic clock of the boot it belongs to."""
    series: tuple[Series, ...]
    values: bytes
    """One after the other, each the 8 bytes of a double, little-endian."""

    def __len__(self) -> int:
        return len(self.series)

    def samples(self, offset_ms: int) -> list[Sample]:
        """Return the samples; the offset is Unix time minus monotonic time."""
        unix_ms = self.monotonic_ms + offset_ms
        values = (self.values[at : at + 8] for at in range(0, len(self.values), 8))
        return [(series, unix_ms, value) for series, value in zip(self.series, values, strict=True)]


_NOTHING = Frame(monotonic_ms=-(1 << 60), series=(), values=b"")


class StalenessTracker:
    """Makes frames of groups, and knows what each group shows. Not for use by two threads at once.

    A series that was there at the last beat and is not any more ends with a stale marker, at once: a
    battery that falls silent, a light that is gone, an agent that stops.
    """

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
                values.setdefault(series_of(labels), struct.pack("<d", sample.value))
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


def series_of(labels: Mapping[str, str]) -> Series:
    """Return the series with these labels, one and the same object each time; an empty label is no label."""
    return _series(*labels.items())


@lru_cache(_SERIES_REMEMBERED)
def _series(*labels: tuple[str, str]) -> Series:
    return tuple(sorted((name, value) for name, value in labels if value))


def series_name(series: Series) -> str:
    """Return a series as people write it: `sonnen_online{instance="home",job="sonnen"}`."""
    labels = dict(series)
    return labels.pop("__name__", "") + "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


def write_request(samples: Iterable[Sample]) -> bytes:
    """Return a request before its compression; the samples of a series have to be in the order of their times."""
    around: dict[int, tuple[bytes, bytes]] = {}
    """What stands before and after the value in a sample of this time, once for all of them."""
    by_series: dict[Series, list[bytes]] = {}
    for series, unix_ms, value in samples:
        if unix_ms not in around:
            tail = bytes((_INTEGER,)) + varint(unix_ms & 0xFFFFFFFFFFFFFFFF)
            around[unix_ms] = bytes((_SECOND, 9 + len(tail), _DOUBLE)), tail
        head, tail = around[unix_ms]
        by_series.setdefault(series, [_encoded_labels(series)]).extend((head, value, tail))
    return b"".join(_field(_FIRST, b"".join(parts)) for parts in by_series.values())


@lru_cache(_SERIES_REMEMBERED)
def _encoded_labels(series: Series) -> bytes:
    texts = [(name.encode("utf-8", "replace"), value.encode("utf-8", "replace")) for name, value in series]
    return b"".join(_field(_FIRST, _field(_FIRST, name) + _field(_SECOND, value)) for name, value in texts)


def _field(tag: int, content: bytes) -> bytes:
    """Return a field that is a string or a message."""
    return bytes((tag,)) + varint(len(content)) + content


def varint(number: int) -> bytes:
    """Return a number of 0 to 2^64 - 1 in base 128, the lowest digit first."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)
