"""A remote-write receiver: one request, and what its answer means for the samples (docs/facts.md 4.3)."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime

import snappy

from sonnen_agent.clock import Deadline
from sonnen_agent.destination import problem_of
from sonnen_agent.errors import ExchangeError, Outcome
from sonnen_agent.outputs import RecordSend
from sonnen_agent.outputs.remote_write import Options
from sonnen_agent.outputs.remote_write.wire import Sample, write_request
from sonnen_agent.transport import Answer

NAME = "remote_write"
"""The `sink` label."""
_ANSWER_LIMIT_BYTES = 64 * 1024
_PROTOCOL = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
_TOO_OLD = re.compile(r"too[ -]old|out[ -]of[ -]bounds|too[ -]far[ -]in[ -](the[ -])?past", re.IGNORECASE)
_LONGEST_WAIT_SECONDS = 600
"""Whatever Retry-After says, it is asked again after that."""
_HINTS: Mapping[Outcome, str] = {
    "not_found": "no receiver here; mend the URL's path, or start Prometheus with --web.enable-remote-write-receiver",
}
_LATE_HINT = "Prometheus takes late samples with storage.tsdb.out_of_order_time_window in its config"
_WEB_PAGE_HINT = "a web page: this is no remote-write receiver, or a login page is in between"


class WriteError(ExchangeError):
    """Why samples were not stored. `rejected`: they are at fault, all or some of them; all others: not they."""

    def __init__(self, outcome: Outcome, message: str, *, status: int | None = None, wait_seconds: float = 0.0) -> None:
        super().__init__(outcome, message, status=status)
        self.wait_seconds = wait_seconds
        """How long the receiver wants to be left alone."""

    @property
    def later(self) -> bool:
        """Whether the samples are still to be sent."""
        return self.outcome != "rejected"

    @property
    def too_old(self) -> bool:
        """Whether samples were rejected for their age: then all older ones would be, too."""
        return self.outcome == "rejected" and _TOO_OLD.search(str(self)) is not None


class RemoteWriteClient:
    """One receiver over one kept-alive connection. Not for use by two threads at once."""

    def __init__(
        self, options: Options, *, interval_seconds: float, record: RecordSend, heard: Callable[[str | None], None]
    ) -> None:
        """`heard` is told of the Date header of each answer."""
        destination, headers = options.destination, options.headers
        self._url, parts = destination.url, destination.parts
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._destination, self._own_headers = destination, {**headers, **_PROTOCOL}
        self._credentials = destination.credentials()
        self._hints: Mapping[Outcome, str] = {**_HINTS, "unauthorized": destination.refused_hint}
        self._interval_seconds = interval_seconds
        self._record = record
        self._heard = heard
        # A long header may be a key; a short one is the name of a tenant.
        self._other_secrets = [text for text in headers.values() if len(text) >= 16]
        self._connection = destination.connect(secrets=self._other_secrets)

    def write(self, samples: Sequence[Sample]) -> WriteError | None:
        """Send samples, those of each series in the order of their times, and return why they were not stored.

        None is a success. No samples at all only ask for an answer.
        """
        body: bytes = snappy.compress(write_request(samples))
        begin = time.monotonic()
        deadline = Deadline.of_beat(self._interval_seconds)
        if (credentials := self._destination.credentials()) != self._credentials:
            self._connection.close()
            self._credentials = credentials
            self._connection = self._destination.connect(secrets=self._other_secrets)
        headers = {**self._destination.headers(), **self._own_headers}
        try:
            answer = self._connection.request(
                "POST", self._path, headers=headers, body=body, deadline=deadline, body_limit=_ANSWER_LIMIT_BYTES
            )
        except ExchangeError as failure:
            error: WriteError | None = WriteError(failure.outcome, f"{self._url}: {failure}")
        else:
            self._heard(answer.headers.get("Date"))
            error = self._error_of(answer)
        self._record(NAME, "ok" if error is None else error.outcome, time.monotonic() - begin, len(body))
        return error

    def _error_of(self, answer: Answer) -> WriteError | None:
        excerpt = answer.excerpt
        too_old = _TOO_OLD.search(excerpt) is not None
        late = too_old or "out of order" in excerpt
        problem = problem_of(answer, {**self._hints, "rejected": _LATE_HINT} if late else self._hints, sent=True)
        if answer.status == 500 and too_old:
            # Prometheus up to 2.49 says 500 to what is too old, where later ones say 400: repeating would never end.
            problem = ExchangeError("rejected", f"{problem}; {_LATE_HINT}")
        elif problem is None and excerpt.startswith("<"):
            problem = ExchangeError("invalid", f"answered {answer.status}: {excerpt}; {_WEB_PAGE_HINT}")
        if problem is None:
            return None
        words, wait_seconds = f"{self._url}: {problem}", _wait_seconds(answer)
        return WriteError(problem.outcome, words, status=answer.status, wait_seconds=wait_seconds)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _wait_seconds(answer: Answer) -> float:
    """Return what a Retry-After header asks for, in seconds or as a date by the receiver's own clock."""
    wanted = answer.headers.get("Retry-After", "").strip()
    if wanted.isascii() and wanted.isdigit():
        return float(min(int(wanted[:9]), _LONGEST_WAIT_SECONDS))
    try:
        until, now = parsedate_to_datetime(wanted), parsedate_to_datetime(answer.headers.get("Date", ""))
        return min(max((until - now).total_seconds(), 0.0), _LONGEST_WAIT_SECONDS)
    except (TypeError, ValueError, OverflowError):
        return 0.0
