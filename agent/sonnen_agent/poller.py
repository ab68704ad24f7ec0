"""One battery's way from a beat to a group, and the words for it in the log: changes, not states."""

import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from sonnen_agent.battery.battery import Battery
from sonnen_agent.changes import ChangeLog
from sonnen_agent.clock import Deadline
from sonnen_agent.details import System
from sonnen_agent.energy.judge import Verdict
from sonnen_agent.errors import BatteryError, Outcome, quoted
from sonnen_agent.group import SHOWN_BEATS, Group, GroupKey
from sonnen_agent.mains import MainsWatch
from sonnen_agent.metrics.battery import battery_families, energy_families
from sonnen_agent.metrics.exposition import Known
from sonnen_agent.reading import Endpoint, Reading
from sonnen_agent.shared_meter import SharedMeter

_log = logging.getLogger(__name__)

_MAY_RESTART: tuple[Outcome, ...] = ("refused", "timeout", "http_error", "not_found", "invalid")
"""What a battery that restarts makes of a request, one after the other."""


class Poller:
    """Reads a battery at each beat and counts its energy. Not for use by two threads at once, but for `late`."""

    def __init__(
        self, battery: Battery, meter: SharedMeter, key: GroupKey, *, interval_seconds: float, zone_name: str = ""
    ) -> None:
        """`zone_name` tells in which country the battery is, where it is known."""
        self.key = key
        self.reading: Reading | None = None
        """The latest; None while the battery cannot be read."""
        self.asked = False
        """Whether the battery was asked at all, whatever it said."""
        self._battery = battery
        self._meter = meter
        self._mains = MainsWatch(zone_name)
        self._shown_seconds = SHOWN_BEATS * interval_seconds
        self._last_reading_unix_seconds: float | None = None
        self._changes = ChangeLog(_log)
        self._known = Known()

    @property
    def name(self) -> str:
        """The battery's name."""
        return self._battery.options.name

    def poll(self, deadline: Deadline) -> Group:
        """Return the battery's group of now, that of an offline battery when it could not be read."""
        reading = self._read(deadline)
        verdict = self._meter.count(reading, time.monotonic(), hangs=self._battery.hangs)
        self.reading = reading if verdict is None else verdict.reading
        self.asked = True
        if verdict is not None:
            self._tell_verdict(verdict)
        return self._group(self.reading, self._battery.states, self._battery.endpoints())

    def late(self, seconds: float) -> Group:
        """Return the group of an offline battery while `poll` hangs, for so long; for use by another thread."""
        self.reading, self.asked = None, True
        words = ("%s: not readable (timeout): nothing came of the last request for %.0f s", self.name, seconds)
        self._changes.trouble(self.name, self._changes.kind(self.name) or "not readable", *words)
        return self._group(None, None, {"status": False})

    def close(self) -> None:
        """Close the connections to the battery."""
        self._battery.close()

    def _group(self, reading: Reading | None, states: System | None, endpoints: Mapping[Endpoint, bool]) -> Group:
        labels = self._battery.options.labels
        totals, certain_totals = self._meter.totals()
        certain_counters = energy_families(certain_totals, labels, self._known)
        counters = None if totals is None else certain_counters
        if totals is not None and totals is not certain_totals:
            counters = energy_families(totals, labels, self._known)
        return Group(
            key=self.key,
            families=battery_families(
                reading=reading,
                states=states,
                endpoints=endpoints,
                last_reading_unix_seconds=self._last_reading_unix_seconds,
                labels=labels,
                known=self._known,
            ),
            counters=counters,
            certain_counters=certain_counters,
            taken_monotonic_seconds=time.monotonic() if reading is None else reading.monotonic_seconds,
            shown_seconds=self._shown_seconds,
        )

    def _read(self, deadline: Deadline) -> Reading | None:
        try:
            reading = self._battery.read(deadline)
        except BatteryError as error:
            # A refusal needs a person, whatever was wrong before; every other trouble is told once.
            refused = error.outcome == "unauthorized" or self._changes.kind(self.name) == "refused"
            # As text: an error that its own frame keeps lives until the garbage collector comes.
            restarts = self._last_reading_unix_seconds is not None and error.outcome in _MAY_RESTART
            perhaps = "; it may be restarting, as batteries do at night" if restarts else ""
            words = ("%s: not readable (%s): %s%s", self.name, error.outcome, str(error), perhaps)
            self._changes.trouble(self.name, "refused" if refused else "not readable", *words)
            return None
        self._changes.over(self.name, "%s: readable again", self.name)
        self._last_reading_unix_seconds = round(reading.unix_seconds, 3)
        self._tell_faults(reading.faults)
        return replace(reading, mains=self._mains.judge(reading))

    def _tell_verdict(self, verdict: Verdict) -> None:
        subject = (self.name, "verdict")
        if verdict.trouble:
            self._changes.trouble(subject, verdict.trouble, "%s: %s", self.name, verdict.words)
        else:
            self._changes.over(subject, "%s: all that is read is counted again", self.name)

    def _tell_faults(self, faults: Mapping[str, str]) -> None:
        subject = (self.name, "fault")
        if faults:
            words = "; ".join(f"{part}: {said}" for part, said in faults.items())
            self._changes.trouble(
                subject, frozenset(faults), "%s: fault (%s); what is still measured goes on", self.name, quoted(words)
            )
        else:
            self._changes.over(subject, "%s: no part is at fault any more", self.name)
