"""What remote write handles: beats as they are kept, samples as they are sent.

A series is its labels as they stand in a request (see `wire`), so that nothing is encoded twice.
A value stays the 8 bytes of its double: a stale marker is a NaN whose bits must survive.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

VALUE_BYTES = 8

Sample = tuple[bytes, int, bytes]
"""Series, Unix time in milliseconds, value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """The samples that one group has at one moment."""

    monotonic_ms: int
    """When, in milliseconds of the monotonic clock of the boot it belongs to."""
    series: tuple[bytes, ...]
    values: bytes
    """One after the other, 8 bytes each, little-endian."""

    def __len__(self) -> int:
        return len(self.series)


def samples_of(beat: Beat, offset_ms: int) -> list[Sample]:
    """Return a beat's samples; the offset is Unix time minus monotonic time."""
    unix_ms = beat.monotonic_ms + offset_ms
    starts = range(0, len(beat.values), VALUE_BYTES)
    return [
        (series, unix_ms, beat.values[at : at + VALUE_BYTES]) for series, at in zip(beat.series, starts, strict=True)
    ]


def beats_of(samples: Iterable[Sample], offset_ms: int) -> Sequence[Beat]:
    """Return samples as beats again, oldest first."""
    moments: dict[int, list[Sample]] = {}
    for sample in samples:
        moments.setdefault(sample[1], []).append(sample)
    return [
        Beat(
            monotonic_ms=unix_ms - offset_ms,
            series=tuple(series for series, _, _ in together),
            values=b"".join(value for _, _, value in together),
        )
        for unix_ms, together in sorted(moments.items())
    ]
