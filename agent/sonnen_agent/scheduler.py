"""The beat, and the threads that keep it: aligned, monotonic, never bursting.

Every battery and every output has a thread of its own, so that a dead one delays nobody else.
"""

import logging
import math
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_log = logging.getLogger(__name__)

HUNG_SECONDS = 120.0
"""No piece of work takes so long: all its requests have deadlines. A card has none."""


def next_beat(start: float, interval: float, now: float) -> float:
    """Return the next moment after `now` on the grid that began at `start`."""
    beats = math.floor((now - start) / interval) + 1
    due = start + beats * interval
    return due if due > now else due + interval  # rounding may put a beat onto this very moment


def early_share(name: str) -> float:
    """Return by how much of an interval the second beat of an agent of that name is early.

    It follows from the name alone: a fleet that starts at once does not push at once for ever.
    """
    return zlib.crc32(name.encode()) / (1 << 32)


class ProgressWatch:
    """Whether a loop makes progress: how long it has been at one piece of work. The loop says when it rests."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticker:
    """One grid of beats. All that share it act at the same moments."""

    start: float
    """The first beat, by the clock."""
    interval_seconds: float
    early_seconds: float = 0
    """By how much the second beat is early, less than an interval: the grid goes on from there."""
    clock: Callable[[], float]
    wait: Callable[[float], bool]
    """Waits so many seconds; true when it is time to stop."""

    def run(self, act: Callable[[], object], missed: Callable[[int], object] | None, watch: ProgressWatch) -> None:
        """Act at every beat until told to stop; beats that a slow act slept through are missed, not made up for."""
        due, grid = self.start, self.start - self.early_seconds
        while True:
            with watch.rest():
                if self.wait(max(due - self.clock(), 0)):
                    return
            act()
            following = next_beat(grid, self.interval_seconds, self.clock())
            # Whole intervals, but for rounding: who sleeps through an early second beat has missed none.
            skipped = int((following - due) / self.interval_seconds + 1e-6) - 1
            if skipped > 0 and missed is not None:
                missed(skipped)
            due = following


@dataclass(slots=True)
class Threads:
    """The threads of the agent, and whether one of them crashed or hangs."""

    clock: Callable[[], float] = time.monotonic
    crashed: bool = field(default=False, init=False)
    """A programmer's error: the process must end with a failure, so that systemd starts it anew."""
    _threads: list[tuple[threading.Thread, ProgressWatch]] = field(default_factory=list, init=False)
    _writers: set[threading.Thread] = field(default_factory=set, init=False)
    """Those that wait for the card."""

    def start(self, name: str, body: Callable[[ProgressWatch], None], *, writes: bool = False) -> None:
        """Run `body` in a thread that does not keep the process alive by itself; its watch tells if it hangs.

        With `writes` it writes to the card at times, which may stall.
        """
        watch = ProgressWatch(self.clock)

        def guarded() -> None:
            try:
                body(watch)
            except Exception:  # noqa: BLE001 - whatever it is, the process must end with it
                self.crashed = True
                _log.exception("%s crashed: please report this", name)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self._threads.append((thread, watch))
        if writes:
            self._writers.add(thread)
        thread.start()

    def hung(self, *, card_stalls: bool = False) -> tuple[str, ...]:
        """Return the names of the threads that have been at one piece of work for longer than any takes.

        While the card stalls, those that write to it are left out.
        """
        return tuple(
            thread.name
            for thread, watch in self._threads
            if thread.is_alive()
            and watch.busy_seconds() > HUNG_SECONDS
            and not (card_stalls and thread in self._writers)
        )

    def busy_seconds(self) -> float:
        """Return how long the longest present piece of work has been going on."""
        return max((watch.busy_seconds() for thread, watch in self._threads if thread.is_alive()), default=0.0)

    def join(self, timeout_seconds: float) -> bool:
        """Wait for all threads to end, but no longer than the time-out for all together; return whether all have."""
        deadline = self.clock() + timeout_seconds
        for thread, _ in self._threads:
            thread.join(max(deadline - self.clock(), 0))
            if thread.is_alive():
                _log.warning("%s did not stop in time", thread.name)
        return not any(thread.is_alive() for thread, _ in self._threads)
