"""Frames as they are kept, samples as they are sent, and the protobuf of a request (docs/facts.md 4.1).

    WriteRequest { repeated TimeSeries timeseries = 1 }
    TimeSeries   { repeated Label labels = 1; repeated Sample samples = 2 }
    Label        { string name = 1; string value = 2 }
    Sample       { double value = 1; int64 timestamp = 2 }

These four messages are all there is to write; python3-protobuf would bring 4.4 MB of code and 7.6 MiB of
memory for them (docs/facts.md 4.2). A series is its labels as they stand in a request, so that nothing is
encoded twice. A value stays the 8 bytes of its double: a stale marker is a NaN whose bits must survive.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

VALUE_BYTES = 8
STALE = struct.pack("<Q", 0x7FF0000000000002)
"""The value that ends a series at once, instead of five minutes later."""

Sample = tuple[bytes, int, bytes]
"""Series, Unix time in milliseconds, value."""

_FIRST = 0x0A
"""The tag of the first field, when that is a string or a message; the second field's follows."""
_SECOND = 0x12
_DOUBLE = 0x09
_INTEGER = 0x10


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The samples that one group has at one moment."""

    monotonic_ms: int
    """When, in milliseconds of the monotonic clock of the boot it belongs to."""
    series: tuple[bytes, ...]
    values: bytes
    """One after the other, 8 bytes each, little-endian."""

    def __len__(self) -> int:
        return len(self.series)

    def samples(self, offset_ms: int) -> list[Sample]:
        """Return the samples; the offset is Unix time minus monotonic time."""
        unix_ms = self.monotonic_ms + offset_ms
        starts = range(0, len(self.values), VALUE_BYTES)
        values = (self.values[at : at + VALUE_BYTES] for at in starts)
        return [(series, unix_ms, value) for series, value in zip(self.series, values, strict=True)]


def frames_of(samples: Iterable[Sample], offset_ms: int) -> Sequence[Frame]:
    """Return samples as frames again, oldest first."""
    moments: dict[int, list[Sample]] = {}
    for sample in samples:
        moments.setdefault(sample[1], []).append(sample)
    return [
        Frame(
            monotonic_ms=unix_ms - offset_ms,
            series=tuple(series for series, _, _ in together),
            values=b"".join(value for _, _, value in together),
        )
        for unix_ms, together in sorted(moments.items())
    ]


def value_bytes(value: float) -> bytes:
    """Return a value as a sample holds it."""
    return struct.pack("<d", value)


def series_bytes(labels: Mapping[str, str]) -> bytes:
    """Return a series; an empty label is no label, and receivers want the names in order."""
    encoded = bytearray()
    for name in sorted(labels):
        if labels[name]:
            label = _text(_FIRST, name) + _text(_SECOND, labels[name])
            encoded += bytes((_FIRST,)) + varint(len(label)) + label
    return bytes(encoded)


def series_name(series: bytes) -> str:
    """Return a series as people write it: `sonnen_online{instance="home",job="sonnen"}`."""
    labels = dict(_labels(series))
    name = labels.pop("__name__", "")
    return name + "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}"


def write_request(samples: Iterable[Sample]) -> bytes:
    """Return a request before its compression; the samples of a series have to be in the order of their times."""
    tails: dict[int, tuple[bytes, bytes]] = {}
    by_series: dict[bytes, list[bytes]] = {}
    for series, unix_ms, value in samples:
        around = tails.get(unix_ms)
        if around is None:
            tail = bytes((_INTEGER,)) + varint(unix_ms & 0xFFFFFFFFFFFFFFFF)
            around = tails[unix_ms] = bytes((_SECOND, 1 + len(value) + len(tail), _DOUBLE)), tail
        parts = by_series.get(series)
        if parts is None:
            parts = by_series[series] = [series]
        parts += (around[0], value, around[1])
    request = bytearray()
    for parts in by_series.values():
        timeseries = b"".join(parts)
        request.append(_FIRST)
        request += varint(len(timeseries))
        request += timeseries
    return bytes(request)


def varint(number: int) -> bytes:
    """Return a number of 0 to 2^64 - 1 in base 128, the lowest digit first."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def _text(tag: int, text: str) -> bytes:
    encoded = text.encode("utf-8", "replace")
    return bytes((tag,)) + varint(len(encoded)) + encoded


def _labels(series: bytes) -> Iterable[tuple[str, str]]:
    at = 0
    while at < len(series):
        _, at = _number(series, at + 1)
        length, at = _number(series, at + 1)
        name, at = series[at : at + length], at + length
        length, at = _number(series, at + 1)
        value, at = series[at : at + length], at + length
        yield name.decode("utf-8", "replace"), value.decode("utf-8", "replace")


def _number(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while data[at] & 0x80:
        number |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
    return number | data[at] << shift, at + 1
