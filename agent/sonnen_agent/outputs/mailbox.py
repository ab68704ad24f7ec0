"""Between the beats and a sink: for each sender the latest item only, so that a slow sink never falls behind."""

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Holds at most one item per sender; who waits longest is served first."""

    def __init__(self) -> None:
        self._items: dict[Hashable, Item] = {}
        self._changed = threading.Condition()
        self._closed = False

    def put(self, sender: Hashable, item: Item) -> None:
        """Leave an item, in the place of an older one of the same sender; never waits."""
        with self._changed:
            self._items[sender] = item
            self._changed.notify()

    def take(self) -> Item | None:
        """Wait for an item and return it, or None once the box is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed)
            if self._closed:
                return None
            return self._items.pop(next(iter(self._items)))

    def close(self) -> None:
        """Let `take` return None from now on; what was not taken is out of date."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
