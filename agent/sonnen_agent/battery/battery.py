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
from sonnen_agent.errors import BatteryError
from sonnen_agent.reading import Endpoint, Reading, System

_STATUS_SHARE = 0.6
"""Of a beat's time; the rest is for the slow endpoints."""


class Battery:
    """One battery of the config. Not for use by two threads at once."""

    def __init__(self, options: BatteryOptions, *, interval_seconds: float, record: RecordRequest) -> None:
        """`record` is told of every request."""
        self.options = options
        self._client = Client(options, record)
        self._probe = Probe(self._client)
        self._slow_endpoints = SlowEndpoints(self._client, interval_seconds=interval_seconds)
        self._status_up = False
        self.states: System | None = None
        """What a booting battery says of itself, when that is why the last reading failed."""

    def read(self, deadline: Deadline) -> Reading:
        """Return a fresh reading, or raise BatteryError with its outcome; slow endpoints take what time is left."""
        self._status_up, self.states = False, None
        if self._client.renew_token():
            self._probe.forgive()
            self._slow_endpoints.forgive()
        variant, status = self._probe.read_status(deadline.share(_STATUS_SHARE))
        unix_seconds, monotonic_seconds = time.time(), time.monotonic()
        self._status_up = True
        self._slow_endpoints.read_due(variant, deadline)
        reading = Reading(
            status=status,
            unix_seconds=unix_seconds,
            monotonic_seconds=monotonic_seconds,
            generation=variant.generation,
            **self._slow_endpoints.fresh(),
        )
        self._check_ready(reading)
        return reading

    def endpoints(self) -> Mapping[Endpoint, bool]:
        """Return which of the endpoints we ask have answered the last time."""
        return {"status": self._status_up, **self._slow_endpoints.up()}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _check_ready(self, reading: Reading) -> None:
        if reading.system.booting:
            self.states = reading.system
            self._slow_endpoints.expect_change("latestdata")
            states = ", ".join(f"{component} {state}" for component, state in reading.system.states.items())
            raise BatteryError("not_ready", f"the battery is starting ({states}): its values are not measured yet")
        if reading.status.booting:
            raise BatteryError("not_ready", "the battery is starting: all that it measures is 0")
