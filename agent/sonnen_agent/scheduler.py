"""The beat, and the threads that keep it: aligned, monotonic, never bursting (DESIGN, scheduler).

Every battery and every sink has a thread of its own, so that a dead one delays nobody else.
"""

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

_log = logging.getLogger(__name__)


def next_beat(start: float, interval: float, now: float) -> float:
    """Return the next moment after `now` on the grid that began at `start`."""
    beats = math.floor((now - start) / interval) + 1
    due = start + beats * interval
    return due if due > now else due + interval  # rounding may put a beat onto this very moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """One grid of beats. All that share it act at the same moments."""

    start: float
    """The first beat, by the clock."""
    interval_seconds: float
    clock: Callable[[], float]
    wait: Callable[[float], bool]
    """Waits so many seconds; true when it is time to stop."""

    def run(self, act: Callable[[], object], missed: Callable[[int], None]) -> None:
        """Act at every beat until told to stop; beats that a slow act slept through are missed, not made up for."""
        due = self.start
        while not self.wait(max(due - self.clock(), 0)):
            act()
            following = next_beat(self.start, self.interval_seconds, self.clock())
            skipped = round((following - due) / self.interval_seconds) - 1
            if skipped > 0:
                missed(skipped)
            due = following


@dataclass(slots=True)
class Threads:
    """The threads of the agent, and whether one of them crashed."""

    crashed: bool = field(default=False, init=False)
    """A programmer's error: the process must end with a failure, so that systemd starts it anew."""
    _threads: list[threading.Thread] = field(default_factory=list, init=False)

    def start(self, name: str, body: Callable[[], None]) -> None:
        """Run `body` in a thread that does not keep the process alive by itself."""

        def guarded() -> None:
            try:
                body()
            except Exception:  # noqa: BLE001 - whatever it is, the process must end with it
                self.crashed = True
                _log.exception("%s crashed: please report this", name)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def join(self, timeout_seconds: float, clock: Callable[[], float]) -> None:
        """Wait for all threads to end, but no longer than the time-out for all together."""
        deadline = clock() + timeout_seconds
        for thread in self._threads:
            thread.join(max(deadline - clock(), 0))
            if thread.is_alive():
                _log.warning("%s did not stop in time", thread.name)
