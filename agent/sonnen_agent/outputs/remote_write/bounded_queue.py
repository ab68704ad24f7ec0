"""Between the beats and the sender's thread: every group counts, so a bounded queue, first in, first out."""

import threading
from collections import deque
from collections.abc import Sequence

from sonnen_agent.group import Group


class BoundedQueue:
    """Holds groups until they are taken. Putting never waits; when it is full the oldest is lost."""

    def __init__(self, most: int) -> None:
        self._groups: deque[Group] = deque(maxlen=most)
        self._changed = threading.Condition()
        self._closed = False
        self._lost = 0

    def put(self, group: Group) -> None:
        """Leave a group; never waits."""
        with self._changed:
            self._lost += len(self._groups) == self._groups.maxlen
            self._groups.append(group)
            self._changed.notify()

    def take(self, timeout_seconds: float) -> Sequence[Group]:
        """Return all there is; wait for something as long as there is nothing, it is open, and the time is not up."""
        with self._changed:
            self._changed.wait_for(lambda: self._groups or self._closed, timeout_seconds)
            groups = tuple(self._groups)
            self._groups.clear()
            return groups

    def take_lost(self) -> int:
        """Return how many groups were lost since it was asked last."""
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
