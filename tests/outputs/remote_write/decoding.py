"""What a receiver does with a request: the other half of the codec, written for the tests alone."""

import struct
from collections.abc import Iterator

Labels = tuple[tuple[str, str], ...]
Decoded = dict[Labels, list[tuple[int, bytes]]]
"""By labels, in the order they came: times in Unix milliseconds, and values as their 8 bytes."""


def decompress(data: bytes) -> bytes:
    """Return what a snappy block holds; rubbish fails an assertion."""
    length, at = number(data, 0)
    out = bytearray()
    while at < len(data):
        tag, at = data[at], at + 1
        if tag & 3 == 0:
            count = tag >> 2
            if count >= 60:
                extra = count - 59
                count, at = int.from_bytes(data[at : at + extra], "little"), at + extra
            out += data[at : at + count + 1]
            at += count + 1
            continue
        if tag & 3 == 1:
            count, offset, at = (tag >> 2 & 7) + 4, tag >> 5 << 8 | data[at], at + 1
        else:
            count, offset, at = (tag >> 2) + 1, int.from_bytes(data[at : at + 2], "little"), at + 2
        assert 0 < offset <= len(out)
        for _ in range(count):
            out.append(out[-offset])
    assert len(out) == length
    return bytes(out)


def decode(request: bytes) -> Decoded:
    """Return the samples of a WriteRequest; a series that comes twice fails an assertion."""
    decoded: Decoded = {}
    for field, timeseries in fields(request):
        assert (field, type(timeseries)) == (1, bytes)
        assert isinstance(timeseries, bytes)
        labels: list[tuple[str, str]] = []
        samples: list[tuple[int, bytes]] = []
        for part, message in fields(timeseries):
            assert isinstance(message, bytes)
            values = dict(fields(message))
            if part == 1:
                name, value = values[1], values[2]
                assert isinstance(name, bytes)
                assert isinstance(value, bytes)
                labels.append((name.decode(), value.decode()))
            else:
                assert part == 2
                value, unix_ms = values[1], values[2]
                assert isinstance(value, bytes)
                assert isinstance(unix_ms, int)
                samples.append((unix_ms - (1 << 64) if unix_ms >> 63 else unix_ms, value))
        assert labels == sorted(labels)
        assert all(value for _, value in labels)
        assert tuple(labels) not in decoded
        decoded[tuple(labels)] = samples
    return decoded


def number(data: bytes, at: int) -> tuple[int, int]:
    """Return a varint and the position after it."""
    result = shift = 0
    while True:
        result |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return result, at


def fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Yield the fields of a protobuf message."""
    at = 0
    while at < len(message):
        tag, at = number(message, at)
        if tag & 7 == 0:
            value, at = number(message, at)
            yield tag >> 3, value
        elif tag & 7 == 1:
            yield tag >> 3, message[at : at + 8]
            at += 8
        else:
            assert tag & 7 == 2
            length, at = number(message, at)
            assert at + length <= len(message)
            yield tag >> 3, message[at : at + length]
            at += length


def value_bytes(value: float) -> bytes:
    """Return a number as the value of a sample."""
    return struct.pack("<d", value)


def double(value: bytes) -> float:
    """Return the value of a sample as a number."""
    result: float = struct.unpack("<d", value)[0]
    return result
