"""Snappy's block format, written by a greedy matcher in plain Python.

Its gain is within a few percent of the C library's on what we send, where one sample looks much
like the one before (EDGE 4.2).
"""

from sonnen_agent.outputs.remote_write.wire import varint

_BLOCK_BYTES = 1 << 15
"""Matches never reach further back: what is remembered stays small, and every offset fits into two bytes."""
_SHORTEST = 4
_LONGEST = 64
_EAGERNESS = 32
"""Misses in a row after which it begins to look at every second position only, and so on."""


def compress(data: bytes) -> bytes:
    """Return data as one snappy block."""
    out = bytearray(varint(len(data)))
    for start in range(0, len(data), _BLOCK_BYTES):
        _compress_block(data[start : start + _BLOCK_BYTES], out)
    return bytes(out)


def _compress_block(block: bytes, out: bytearray) -> None:
    seen: dict[bytes, int] = {}
    at = literal = 0
    misses = _EAGERNESS
    last = len(block) - _SHORTEST
    while at <= last:
        key = block[at : at + _SHORTEST]
        earlier = seen.get(key)
        seen[key] = at
        if earlier is None:
            at += misses // _EAGERNESS
            misses += 1
            continue
        misses = _EAGERNESS
        if literal < at:
            _literal(block[literal:at], out)
        length = _SHORTEST + _common(block, at + _SHORTEST, earlier + _SHORTEST)
        _copy(at - earlier, length, out)
        at += length
        literal = at
    if literal < len(block):
        _literal(block[literal:], out)


def _common(block: bytes, at: int, earlier: int) -> int:
    """Return how many bytes are the same from both positions on."""
    begin = at
    while True:
        here = block[at : at + _LONGEST]
        there = block[earlier : earlier + len(here)]
        if here != there or not here:
            difference = int.from_bytes(here, "little") ^ int.from_bytes(there, "little")
            same = (difference & -difference).bit_length() - 1 >> 3 if difference else len(here)
            return at + same - begin
        at += len(here)
        earlier += len(here)


def _literal(data: bytes, out: bytearray) -> None:
    length = len(data) - 1
    if length < 60:
        out.append(length << 2)
    elif length < 1 << 8:
        out += bytes((60 << 2, length))
    else:
        out.append(61 << 2)
        out += length.to_bytes(2, "little")
    out += data


def _copy(offset: int, length: int, out: bytearray) -> None:
    while length > _LONGEST:
        _copy_once(offset, _LONGEST, out)
        length -= _LONGEST
    _copy_once(offset, length, out)


def _copy_once(offset: int, length: int, out: bytearray) -> None:
    if 4 <= length < 12 and offset < 1 << 11:
        out += bytes(((offset >> 8) << 5 | (length - 4) << 2 | 1, offset & 0xFF))
    else:
        out.append((length - 1) << 2 | 2)
        out += offset.to_bytes(2, "little")
