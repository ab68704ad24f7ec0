"""A battery, read once per beat: the status, and those slow endpoints that are due.

    read ─▶ Finder (which face answers?) ─▶ status ─▶ Details (who is due?) ─▶ ready? ─▶ Reading

One request at a time. A slow endpoint that fails is its own affair; only the status and
whether the battery is ready make a reading fail.
"""

import time
from collections.abc import Iterable, Mapping
from typing import TypeVar

from sonnen_agent.battery.client import Address, Client, Record
from sonnen_agent.battery.details import Details
from sonnen_agent.battery.faces import Detail
from sonnen_agent.battery.finder import Finder
from sonnen_agent.errors import BatteryError
from sonnen_agent.reading import Configuration, Endpoint, Inverter, Pack, Reading, System

_Kind = TypeVar("_Kind")

_STATUS_SHARE = 0.6
"""Of a beat's time; the rest is for the slow endpoints."""


class Battery:
    """One battery of the config. Not for use by two threads at once."""

    def __init__(self, name: str, url: str, token: str | None, *, interval_seconds: float, record: Record) -> None:
        self._client = Client(name, Address.from_url(url), token, record)
        self._finder = Finder(self._client)
        self._details = Details(self._client, interval_seconds=interval_seconds)
        self._status_up = False
        self.states: System | None = None
        """What a booting battery says of itself, when that is why the last reading failed."""

    def read(self, timeout_seconds: float) -> Reading:
        """Return a fresh reading, or raise BatteryError with its outcome; slow endpoints take what time is left."""
        deadline = time.monotonic() + timeout_seconds
        self._status_up = False
        self.states = None
        face, status = self._finder.read_status(timeout_seconds * _STATUS_SHARE)
        unix_seconds, monotonic_seconds = time.time(), time.monotonic()
        self._status_up = True
        self._details.read_due(face, deadline)
        known = self._details.fresh()
        reading = Reading(
            status=status,
            unix_seconds=unix_seconds,
            monotonic_seconds=monotonic_seconds,
            generation=face.generation,
            meters=_only(tuple, known) or (),
            inverter=_only(Inverter, known) or Inverter(),
            pack=_only(Pack, known) or Pack(),
            system=_only(System, known) or System(),
            configuration=_only(Configuration, known) or Configuration(),
        )
        self._check_ready(reading)
        return reading

    def endpoints(self) -> Mapping[Endpoint, bool]:
        """Return which of the endpoints we ask have answered the last time."""
        return {"status": self._status_up, **self._details.endpoints()}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _check_ready(self, reading: Reading) -> None:
        if reading.system.booting:
            self.states = reading.system
            self._details.expect_change("latestdata")
            states = ", ".join(f"{component} {state}" for component, state in reading.system.states.items())
            raise BatteryError("not_ready", f"the battery is starting ({states}): its values are not measured yet")
        if reading.status.booting:
            raise BatteryError("not_ready", "the battery is starting: all that it measures is 0")


def _only(kind: type[_Kind], details: Iterable[Detail]) -> _Kind | None:
    return next((detail for detail in details if isinstance(detail, kind)), None)
