"""A battery, read once per beat: the status, and those slow endpoints that are due.

    read ─▶ Probe (which API answers?) ─▶ status ─▶ SlowEndpoints (who is due?) ─▶ ready? ─▶ Reading

One request at a time. A slow endpoint that fails is its own affair; only the status and
whether the battery is ready make a reading fail.
"""

import time
from collections.abc import Mapping

from sonnen_agent.battery import BatteryOptions
from sonnen_agent.battery.client import Client, RecordRequest
from sonnen_agent.battery.probe import Probe
from sonnen_agent.battery.slow_endpoints import SlowEndpoints
from sonnen_agent.clock import Deadline
from sonnen_agent.details import System
from sonnen_agent.errors import BatteryError
from sonnen_agent.reading import Endpoint, Reading, Status

_FAULT_SECONDS = 15
"""How often the states are asked for while a part is at fault: as often as the meters are at all times."""
_STATUS_SHARE = 0.9
"""Of a beat's time: a busy battery needs seconds for an answer. What is left is for the slow endpoints."""
_SETTLING_SECONDS = 120
"""After an outage the details may come later than the status (docs/battery-api.md 10)."""


class Battery:
    """One battery of the config. Not for use by two threads at once."""

    def __init__(self, options: BatteryOptions, *, interval_seconds: float, record: RecordRequest) -> None:
        """`record` is told of every request."""
        self.options = options
        self._client = Client(options, record)
        self._probe = Probe(self._client)
        self._slow_endpoints = SlowEndpoints(self._client, interval_seconds=interval_seconds)
        self._status_up = False
        self._settled_at = 0.0
        """Since when, or from when on, the details should be there, too."""
        self._last_status: Status | None = None
        self.states: System | None = None
        """What a booting battery says of itself, when that is why the last reading failed."""

    def read(self, deadline: Deadline) -> Reading:
        """Return a fresh reading, or raise BatteryError with its outcome; slow endpoints take what time is left."""
        self._status_up, self.states = False, None
        if self._client.renew_token():
            self._probe.forgive()
            self._slow_endpoints.forgive()
        timeout_seconds = self.options.timeout_seconds
        patience = deadline.at_most(timeout_seconds) if timeout_seconds else deadline.share(_STATUS_SHARE)
        try:
            variant, status = self._probe.read_status(patience)
        except BatteryError:
            if self._probe.best is not None:
                self._settled_at = time.monotonic() + _SETTLING_SECONDS
            raise
        unix_seconds, monotonic_seconds = time.time(), time.monotonic()
        self._status_up = True
        self._expect_changes(status)
        # An older API may come back first; the details will be where they were.
        best = self._probe.best or variant
        settling = best != variant or monotonic_seconds < self._settled_at
        self._slow_endpoints.read_due(best, deadline, settling=settling)
        reading = Reading(
            status=status,
            unix_seconds=unix_seconds,
            monotonic_seconds=monotonic_seconds,
            generation=variant.generation,
            **self._slow_endpoints.fresh(),
        )
        self._check_ready(reading)
        if reading.system.faults:
            self._slow_endpoints.expect_change("latestdata", within_seconds=_FAULT_SECONDS)
        return reading

    def endpoints(self) -> Mapping[Endpoint, bool]:
        """Return which of the endpoints we ask have answered the last time."""
        return {"status": self._status_up, **self._slow_endpoints.up()}

    @property
    def hangs(self) -> bool:
        """Whether the latest reading failed because the battery repeats an answer of long ago."""
        return self._probe.hangs

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _expect_changes(self, status: Status) -> None:
        """Ask at once for what says more, when the status shows that a fault or an error of a meter begins or ends."""
        last, self._last_status = self._last_status, status
        if last is not None and last.inverter_at_zero != status.inverter_at_zero:
            self._slow_endpoints.expect_change("latestdata")
        if last is not None and (last.consumption_watts == 0) != (status.consumption_watts == 0):
            self._slow_endpoints.expect_change("powermeter")

    def _check_ready(self, reading: Reading) -> None:
        # Where house and sun are measured, a BMS that is not ready is at fault; at a start there is no power at all.
        measures_nothing = not any(reading.status.powers) and reading.system.states.get("bms") == "not ready"
        if reading.system.booting or measures_nothing:
            self.states = reading.system
            self._slow_endpoints.expect_change("latestdata")
            states = ", ".join(f"{component} {state}" for component, state in reading.system.states.items())
            raise BatteryError("not_ready", f"the battery is starting ({states}): its values are not measured yet")
        if reading.status.booting:
            raise BatteryError("not_ready", "the battery is starting: all that it measures is 0")
