"""What the sender needs of a queue of beats, and a small one in memory for an agent without a spool."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sonnen_agent.outputs.remote_write.beat import Beat, Sample, samples_of

_BEAT_OVERHEAD_BYTES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The oldest beats of a queue, each with its offset: Unix time minus monotonic time in milliseconds."""

    beats: Sequence[tuple[Beat, int]]
    origin: object
    """What the queue knows it by."""

    def samples(self) -> list[Sample]:
        """Return all samples, oldest first."""
        return [sample for beat, offset_ms in self.beats for sample in samples_of(beat, offset_ms)]


class BeatQueue(Protocol):
    """First in, first out, bounded, and never in the way: a beat that cannot be kept is counted."""

    @property
    def samples(self) -> int:
        """How many wait."""

    @property
    def size(self) -> int:
        """What they take, in bytes."""

    @property
    def dropped_samples(self) -> int:
        """How many were lost so far, most of them to the bound."""

    @property
    def oldest_unix_ms(self) -> int | None:
        """When the oldest beat was, if that is known yet."""

    def append(self, beats: Iterable[Beat]) -> None:
        """Keep beats of this boot; the oldest make room for them."""

    def note_offset(self, offset_ms: int) -> None:
        """Take note of Unix time minus monotonic time in milliseconds: it holds for all beats of this boot."""

    def peek(self, most_samples: int, now_unix_ms: int) -> Batch | None:
        """Return the oldest beats, at least one, or None when the queue is empty."""

    def advance(self, batch: Batch) -> None:
        """Forget the beats of a batch; of one that is outdated, nothing happens."""

    def close(self) -> None:
        """Let what waits survive, if the queue can do that."""


class MemoryQueue:
    """A queue that ends with the process."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._beats: deque[Beat] = deque()
        self._offset_ms: int | None = None
        self.samples = 0
        self.size = 0
        self.dropped_samples = 0

    @property
    def oldest_unix_ms(self) -> int | None:
        """When the oldest beat was, if that is known yet."""
        if not self._beats or self._offset_ms is None:
            return None
        return self._beats[0].monotonic_ms + self._offset_ms

    def append(self, beats: Iterable[Beat]) -> None:
        """Keep beats of this boot; the oldest make room for them."""
        for beat in beats:
            self._beats.append(beat)
            self.samples += len(beat)
            self.size += _size(beat)
        while self.size > self._max_bytes:
            self.dropped_samples += len(self._pop())

    def note_offset(self, offset_ms: int) -> None:
        """Take note of Unix time minus monotonic time in milliseconds."""
        self._offset_ms = offset_ms

    def peek(self, most_samples: int, now_unix_ms: int) -> Batch | None:  # noqa: ARG002 - all beats are of this boot
        """Return the oldest beats, at least one, or None when the queue is empty."""
        if self._offset_ms is None:
            return None
        chosen: list[tuple[Beat, int]] = []
        left = most_samples
        for beat in self._beats:
            if chosen and left < len(beat):
                break
            chosen.append((beat, self._offset_ms))
            left -= len(beat)
        return Batch(beats=chosen, origin=chosen[0][0]) if chosen else None

    def advance(self, batch: Batch) -> None:
        """Forget the beats of a batch, unless they had to make room meanwhile."""
        if self._beats and self._beats[0] is batch.origin:
            for _ in batch.beats:
                self._pop()

    def close(self) -> None:
        """Lose what waits."""

    def _pop(self) -> Beat:
        beat = self._beats.popleft()
        self.samples -= len(beat)
        self.size -= _size(beat)
        return beat


def _size(beat: Beat) -> int:
    return len(beat.values) + _BEAT_OVERHEAD_BYTES
