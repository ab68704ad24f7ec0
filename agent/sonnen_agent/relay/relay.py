"""An exporter's way from a beat to a page to push, and the words for it in the log: changes, not states."""

import logging
import time
from collections.abc import Callable

from sonnen_agent.errors import ExporterError, Outcome
from sonnen_agent.relay.exporter import Exporter
from sonnen_agent.snapshot import RelayedPage

_log = logging.getLogger(__name__)

_INTERVAL_SHARE = 0.9
_LONGEST_SECONDS = 10

Record = Callable[[Outcome], None]
"""Told of every request by how it ended."""


class Relay:
    """Reads an exporter at each beat. Not for use by two threads at once."""

    def __init__(self, job: str, url: str, *, host: str, interval_seconds: float, record: Record) -> None:
        self.job = job
        self.interval_seconds = interval_seconds
        self._host = host
        self._exporter = Exporter(url)
        self._record = record
        self._readable: bool | None = None

    def read(self) -> RelayedPage:
        """Return the page of now; one without content when the exporter could not be read."""
        begin = time.monotonic()
        timeout_seconds = min(_INTERVAL_SHARE * self.interval_seconds, _LONGEST_SECONDS)
        outcome: Outcome = "ok"
        page: bytes | None = None
        try:
            page = self._exporter.page(timeout_seconds)
        except ExporterError as error:
            outcome = error.outcome
            level = logging.WARNING if self._readable is not False else logging.DEBUG
            _log.log(level, "relay %s: not readable (%s): %s", self.job, outcome, error)
        else:
            if self._readable is False:
                _log.info("relay %s: readable again", self.job)
        self._readable = page is not None
        self._record(outcome)
        return RelayedPage(
            relay=self.job,
            host=self._host,
            page=page,
            interval_seconds=self.interval_seconds,
            taken_monotonic_seconds=begin,
        )
