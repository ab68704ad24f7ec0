"""Between the beats and remote write: every item counts, so a bounded queue, first in, first out."""

import threading
from collections import deque
from collections.abc import Callable, Sequence

from sonnen_agent.snapshot import AgentReport, Snapshot

Arrival = tuple[Snapshot | AgentReport, float]
"""What arrived, and what moment it shows, in seconds of the monotonic clock."""


class Inbox:
    """Holds items until they are taken. Putting never waits; when it is full the oldest is lost."""

    def __init__(self, most: int, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._items: deque[Arrival] = deque(maxlen=most)
        self._changed = threading.Condition()
        self._closed = False
        self._lost = 0

    def put(self, item: Snapshot | AgentReport) -> None:
        """Leave an item; never waits."""
        taken = item.taken_monotonic_seconds if isinstance(item, Snapshot) else self._monotonic()
        with self._changed:
            self._lost += len(self._items) == self._items.maxlen
            self._items.append((item, taken))
            self._changed.notify()

    def take(self, timeout_seconds: float | None) -> Sequence[Arrival]:
        """Return all there is; wait for something as long as there is nothing, it is open, and the time is not up."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout_seconds)
            items = tuple(self._items)
            self._items.clear()
            return items

    def take_lost(self) -> int:
        """Return how many items were lost since it was asked last."""
        with self._changed:
            lost, self._lost = self._lost, 0
            return lost

    @property
    def closed(self) -> bool:
        """Whether no more is to be waited for."""
        with self._changed:
            return self._closed

    def close(self) -> None:
        """Let `take` wait no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
