"""Frames as they are kept, samples as they are sent, and the protobuf of a request (docs/facts.md 4.1).

python3-protobuf would bring 7.6 MiB of memory for the four messages of a request (docs/facts.md 4.2). A value stays
the 8 bytes of its double: a stale marker is a NaN whose bits must survive.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

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


def value_bytes(value: float) -> bytes:
    """Return a value as a sample holds it."""
    return struct.pack("<d", value)


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
