"""One battery's way from a beat to a snapshot, and the words for it in the log: changes, not states."""

import logging
import time
from collections.abc import Mapping

from sonnen_agent.shared_meter import SharedMeter
from sonnen_agent.battery.battery import Battery
from sonnen_agent.errors import BatteryError
from sonnen_agent.reading import Reading
from sonnen_agent.snapshot import Snapshot

_log = logging.getLogger(__name__)


class Observer:
    """Reads a battery at each beat. Not for use by two threads at once."""

    def __init__(
        self,
        name: str,
        battery: Battery,
        labels: Mapping[str, str],
        *,
        timeout_seconds: float,
        account: SharedMeter | None = None,
    ) -> None:
        """Take at most `timeout_seconds` per beat for all requests together, and count the energy in `account`."""
        self._name = name
        self._battery = battery
        self._labels = labels
        self._timeout_seconds = timeout_seconds
        self._account = account
        self._last_reading: Reading | None = None
        self._online: bool | None = None
        self._refusal_told = False

    def observe(self) -> Snapshot:
        """Return a snapshot of now, of an offline battery when it could not be read."""
        reading: Reading | None = None
        try:
            reading = self._battery.read(self._timeout_seconds)
        except BatteryError as error:
            # A refusal needs a person, whatever was wrong before.
            refusal_is_news = error.outcome == "unauthorized" and not self._refusal_told
            level = logging.WARNING if self._online is not False or refusal_is_news else logging.DEBUG
            self._refusal_told = self._refusal_told or error.outcome == "unauthorized"
            _log.log(level, "%s: not readable (%s): %s", self._name, error.outcome, error)
        else:
            if self._online is False:
                _log.info("%s: readable again", self._name)
            self._last_reading, self._refusal_told = reading, False
        self._online = reading is not None
        if self._account is not None:
            self._account.count(reading, time.monotonic())
        return Snapshot(
            battery=self._name,
            labels=self._labels,
            reading=reading,
            states=self._battery.states,
            energy=self._account.totals() if self._account is not None else None,
            certain_energy=self._account.certain_totals() if self._account is not None else None,
            endpoints=self._battery.endpoints(),
            last_reading_unix_seconds=self._last_reading.unix_seconds if self._last_reading is not None else None,
            taken_monotonic_seconds=time.monotonic(),
        )
