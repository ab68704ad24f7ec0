"""The body of a remote-write 1.0 request, before its compression: protobuf, by hand (EDGE 4.1).

    WriteRequest { repeated TimeSeries timeseries = 1 }
    TimeSeries   { repeated Label labels = 1; repeated Sample samples = 2 }
    Label        { string name = 1; string value = 2 }
    Sample       { double value = 1; int64 timestamp = 2 }

These four messages are all there is to write, in forty lines. python3-protobuf would bring 4.4 MB of
code and 7.6 MiB of memory, and python3-snappy a C library (EDGE 4.2); neither is on the device yet.
"""

import struct
from collections.abc import Iterable, Mapping

from sonnen_agent.outputs.remote_write.beat import Sample

STALE = struct.pack("<Q", 0x7FF0000000000002)
"""The value that ends a series at once, instead of five minutes later."""

_FIRST = 0x0A
"""The tag of the first field, when that is a string or a message; the second field's follows."""
_SECOND = 0x12
_DOUBLE = 0x09
_INTEGER = 0x10


def varint(number: int) -> bytes:
    """Return a number of 0 to 2^64 - 1 in base 128, the lowest digit first."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


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
    """Return a request; the samples of a series have to be in the order of their times."""
    tails: dict[int, tuple[bytes, bytes]] = {}
    by_series: dict[bytes, list[bytes]] = {}
    for series, unix_ms, value in samples:
        frame = tails.get(unix_ms)
        if frame is None:
            tail = bytes((_INTEGER,)) + varint(unix_ms & 0xFFFFFFFFFFFFFFFF)
            frame = tails[unix_ms] = bytes((_SECOND, 1 + len(value) + len(tail), _DOUBLE)), tail
        parts = by_series.get(series)
        if parts is None:
            parts = by_series[series] = [series]
        parts += (frame[0], value, frame[1])
    request = bytearray()
    for parts in by_series.values():
        timeseries = b"".join(parts)
        request.append(_FIRST)
        request += varint(len(timeseries))
        request += timeseries
    return bytes(request)


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
