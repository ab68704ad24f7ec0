"""A remote-write receiver: one request, and what its answer means for the samples (docs/facts.md 4.3)."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal

import snappy

from sonnen_agent.clock import Deadline
from sonnen_agent.destination import Destination, problem_of
from sonnen_agent.errors import ExchangeError, Outcome
from sonnen_agent.outputs import RecordSend
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
    "unauthorized": "the user name, password or token is wrong; mend the config",
    "not_found": "no receiver here; mend the URL's path, or start Prometheus with --web.enable-remote-write-receiver",
}
_LATE_HINT = "Prometheus takes late samples with storage.tsdb.out_of_order_time_window in its config"
_WEB_PAGE_HINT = "a web page: this is no remote-write receiver, or a login page is in between"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteResult:
    """What became of the samples of a request."""

    outcome: Outcome
    """`ok`: stored. `rejected`: they are at fault, all or some of them. All others: they are still to be sent."""
    words: str = ""
    """Why not, in the receiver's words where it has any."""
    away: bool = False
    """Whether nobody answered, or a proxy said so for the receiver."""
    status: int | None = None
    """Of the answer, if there was one."""
    date: str | None = None
    """The Date header of the answer."""
    wait_seconds: float = 0.0
    """How long the receiver wants to be left alone."""

    @property
    def kind(self) -> Literal["written", "rejected", "later"]:
        """What becomes of the samples."""
        return "written" if self.outcome == "ok" else "rejected" if self.outcome == "rejected" else "later"

    @property
    def too_old(self) -> bool:
        """Whether samples were rejected for their age: then all older ones would be, too."""
        return self.outcome == "rejected" and _TOO_OLD.search(self.words) is not None


class RemoteWriteClient:
    """One receiver over one kept-alive connection. Not for use by two threads at once."""

    def __init__(
        self, destination: Destination, headers: Mapping[str, str], *, interval_seconds: float, record: RecordSend
    ) -> None:
        parts = destination.parts
        self._url = destination.url
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = {**destination.headers(), **headers, **_PROTOCOL}
        self._interval_seconds = interval_seconds
        self._record = record
        # A long header may be a key; a short one is the name of a tenant.
        self._connection = destination.connect(secrets=[text for text in headers.values() if len(text) >= 16])

    def write(self, samples: Sequence[Sample]) -> WriteResult:
        """Send samples, those of each series in the order of their times; none at all only ask for an answer."""
        body: bytes = snappy.compress(write_request(samples))
        begin = time.monotonic()
        deadline = Deadline.of_beat(self._interval_seconds)
        try:
            answer = self._connection.request(
                "POST", self._path, headers=self._headers, body=body, deadline=deadline, body_limit=_ANSWER_LIMIT_BYTES
            )
        except ExchangeError as error:
            result = WriteResult(outcome=error.outcome, words=f"{self._url}: {error}", away=error.away)
        else:
            problem = _problem_of(answer)
            result = WriteResult(
                outcome="ok" if problem is None else problem.outcome,
                words="" if problem is None else f"{self._url}: {problem}",
                away=problem is not None and problem.away,
                status=answer.status,
                date=answer.headers.get("Date"),
                wait_seconds=_wait_seconds(answer),
            )
        self._record(NAME, result.outcome, time.monotonic() - begin, len(body))
        return result

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _problem_of(answer: Answer) -> ExchangeError | None:
    """Return why the samples were not stored; with the outcome `rejected` they are at fault."""
    excerpt = answer.excerpt
    too_old = _TOO_OLD.search(excerpt) is not None
    late = too_old or "out of order" in excerpt
    problem = problem_of(answer, {**_HINTS, "rejected": _LATE_HINT} if late else _HINTS, sent=True)
    if answer.status == 500 and too_old:
        # Prometheus up to 2.49 says 500 to what is too old, where later ones say 400: repeating it would never end.
        return ExchangeError("rejected", f"{problem}; {_LATE_HINT}", status=500)
    if problem is None and excerpt.startswith("<"):
        return ExchangeError("invalid", f"answered {answer.status}: {excerpt}; {_WEB_PAGE_HINT}", status=answer.status)
    return problem


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
