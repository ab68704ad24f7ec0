"""A remote-write receiver: one request, and what its answer means for the samples (EDGE 4.3)."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal
from urllib.parse import urlsplit

from sonnen_agent.errors import ExchangeError, Outcome
from sonnen_agent.outputs.access import Access, Record
from sonnen_agent.outputs.remote_write.beat import Sample
from sonnen_agent.outputs.remote_write.snappy import compress
from sonnen_agent.outputs.remote_write.wire import write_request
from sonnen_agent.transport import Answer, Connection

SINK = "remote_write"
_ANSWER_LIMIT_BYTES = 64 * 1024
_PROTOCOL = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
_REFUSALS = (400, 409, 413, 422)
"""The samples are at fault: 409 is Thanos's word for it, 413 and 422 are Mimir's and its kin's."""
_TOO_OLD = re.compile(r"too[ -]old|out[ -]of[ -]bounds|too[ -]far[ -]in[ -](the[ -])?past", re.IGNORECASE)
_LONGEST_WAIT_SECONDS = 600
"""Whatever Retry-After says, it is asked again after that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of the samples of a request."""

    kind: Literal["taken", "refused", "later"]
    """Stored; at fault, all or some of them; or, for a reason outside of them, still to be sent."""
    outcome: Outcome
    words: str = ""
    """Why not, in the receiver's words where it has any."""
    status: int | None = None
    """Of the answer, if there was one."""
    date: str | None = None
    """The same for its Date header."""
    wait_seconds: float = 0.0
    """How long the receiver wants to be left alone."""

    @property
    def too_old(self) -> bool:
        """Whether samples were refused for their age: then all older ones would be, too."""
        return self.kind == "refused" and _TOO_OLD.search(self.words) is not None


class Receiver:
    """One receiver over one kept-alive connection. Not for use by two threads at once."""

    def __init__(self, access: Access, headers: Mapping[str, str], *, timeout_seconds: float, record: Record) -> None:
        parts = urlsplit(access.url)
        self._url = access.url
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = {**access.headers(), **headers, **_PROTOCOL}
        self._timeout_seconds = timeout_seconds
        self._record = record
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._connection = Connection(parts.scheme, parts.hostname or "", port, ca_file=access.ca_file)

    def write(self, samples: Sequence[Sample]) -> Verdict:
        """Send samples, those of each series in the order of their times; none at all only ask for an answer."""
        body = compress(write_request(samples))
        begin = time.monotonic()
        try:
            answer = self._connection.request(
                "POST",
                self._path,
                headers=self._headers,
                body=body,
                timeout_seconds=self._timeout_seconds,
                body_limit=_ANSWER_LIMIT_BYTES,
            )
        except ExchangeError as error:
            verdict = Verdict(kind="later", outcome=error.outcome, words=f"{self._url}: {error}")
        else:
            verdict = self._verdict(answer)
        self._record(SINK, verdict.outcome, time.monotonic() - begin, len(body))
        return verdict

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _verdict(self, answer: Answer) -> Verdict:
        kind, outcome, hint = _judge(answer)
        said = f"{self._url}: answered {answer.status}" + (f": {answer.excerpt}" if answer.excerpt else "")
        return Verdict(
            kind=kind,
            outcome=outcome,
            words="" if kind == "taken" else said + (f"; {hint}" if hint else ""),
            status=answer.status,
            date=answer.headers.get("Date"),
            wait_seconds=_wait_seconds(answer) if kind == "later" else 0.0,
        )


def _judge(answer: Answer) -> tuple[Literal["taken", "refused", "later"], Outcome, str]:
    """Return kind, outcome, and what the operator can do about it."""
    status, excerpt = answer.status, answer.excerpt
    if 200 <= status < 300 and not excerpt.startswith("<"):
        return "taken", "ok", ""
    # Prometheus up to 2.49 says 500 to what is too old, where later ones say 400: repeating it would never end.
    if status in _REFUSALS or (status == 500 and _TOO_OLD.search(excerpt)):
        return "refused", "rejected", _refusal_hint(excerpt)
    return "later", *_trouble(answer)


def _trouble(answer: Answer) -> tuple[Outcome, str]:
    """Return the outcome of an answer that is not about the samples, and what the operator can do about it."""
    status = answer.status
    if status in (401, 403):
        return "unauthorized", "the user name, password or token is wrong; mend the config"
    if status == 404:
        hint = "no receiver here; mend the URL's path, or start Prometheus with --web.enable-remote-write-receiver"
        return "not_found", hint
    if 200 <= status < 300:
        return "invalid", "a web page: this is no remote-write receiver, or a login page is in between"
    if 300 <= status < 400:
        to = answer.headers.get("Location", "elsewhere")
        return "http_error", f"a redirect to {to}, which is not followed; write the final URL"
    return "http_error", ""


def _refusal_hint(excerpt: str) -> str:
    if "out of order" in excerpt or _TOO_OLD.search(excerpt):
        return "Prometheus takes late samples with storage.tsdb.out_of_order_time_window in its config"
    return ""


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
