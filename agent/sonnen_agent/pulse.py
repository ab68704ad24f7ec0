"""The pulse of a loop: whether it waits for something to do, or how long it has been at one piece of work."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Pulse:
    """Of one loop. The loop says when it rests; anybody may look."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._busy_since: float | None = clock()

    def beat(self) -> None:
        """Say that a piece of work is done and the next begins."""
        self._busy_since = self._clock()

    @contextmanager
    def rest(self) -> Iterator[None]:
        """Say that the loop waits meanwhile, however long: that is no sign of trouble."""
        self._busy_since = None
        try:
            yield
        finally:
            self.beat()

    def busy_seconds(self) -> float:
        """Return how long the present piece of work has been going on, 0 while the loop rests."""
        since = self._busy_since
        return 0.0 if since is None else self._clock() - since
