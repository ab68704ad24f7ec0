"""The Pushgateway: one PUT per group and beat over one kept-alive connection (EDGE 1).

PUT replaces the whole group, so what is not in a page is gone at once. A group is pushed only
while its values are young: a late delivery would show an old value as a new one.
"""

import base64
import gzip
import logging
import re
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from sonnen_agent.errors import ExchangeError, Outcome, PushError
from sonnen_agent.metrics.exposition import CONTENT_TYPE
from sonnen_agent.metrics.groups import GroupKey
from sonnen_agent.outputs.access import Access, Record
from sonnen_agent.outputs.held import HeldGroup, held_group
from sonnen_agent.transport import Answer, Connection

SINK = "pushgateway"
_ANSWER_LIMIT_BYTES = 64 * 1024
_ALL_GROUPS_LIMIT_BYTES = 64 * 1024 * 1024
"""A gateway tells of all its groups or of none; a thousand of them are some 30 MB, once at a start."""
_ALL_GROUPS_SECONDS = 15
"""More than a push gets: without this answer there is none. Less than an agent gets to stop."""
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
"""What a path can hold as it is; a gateway cleans away dots, slashes and nothings (EDGE 1.1)."""

_log = logging.getLogger(__name__)


class Pushgateway:
    """One gateway. Not for use by two threads at once."""

    def __init__(self, access: Access, *, timeout_seconds: float, record: Record, compress: bool = True) -> None:
        parts = urlsplit(access.url)
        self._access = access
        self._compress = compress
        self._prefix = parts.path.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._record = record
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._connection = Connection(parts.scheme, parts.hostname or "", port, ca_file=access.ca_file)

    def push(self, key: GroupKey, page: bytes) -> None:
        """Replace a group by a page in text format, or raise PushError with the gateway's own words."""
        headers = {"Content-Type": CONTENT_TYPE}
        if self._compress:
            page = gzip.compress(page, compresslevel=6, mtime=0)
            headers["Content-Encoding"] = "gzip"
        begin = time.monotonic()
        outcome: Outcome = "ok"
        try:
            self._request("PUT", group_path(key), headers, page)
        except PushError as error:
            outcome = error.outcome
            raise
        finally:
            self._record(SINK, outcome, time.monotonic() - begin, len(page))

    def delete(self, key: GroupKey) -> None:
        """Remove a group, or raise PushError; one that is not there is fine."""
        self._request("DELETE", group_path(key), {}, None)

    def fetch(self, key: GroupKey) -> HeldGroup | None:
        """Return what the gateway holds of a group, None when it holds nothing; PushError when it cannot tell."""
        answer = self._request(
            "GET",
            "/api/v1/metrics",
            {},
            None,
            body_limit=_ALL_GROUPS_LIMIT_BYTES,
            timeout_seconds=max(self._timeout_seconds, _ALL_GROUPS_SECONDS),
        )
        try:
            return held_group(answer.body, key)
        except ValueError as error:
            raise PushError("invalid", f"{self._access.url}: /api/v1/metrics is no Pushgateway's: {error}") from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _request(  # noqa: PLR0913 - a request has these parts
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes | None,
        *,
        body_limit: int = _ANSWER_LIMIT_BYTES,
        timeout_seconds: float | None = None,
    ) -> Answer:
        try:
            answer = self._connection.request(
                method,
                self._prefix + path,
                headers={**self._access.headers(), **headers},
                body=body,
                timeout_seconds=timeout_seconds or self._timeout_seconds,
                body_limit=body_limit,
            )
            _check(answer)
        except ExchangeError as error:
            hint = (
                "; the gateway may be rejecting this push (Pushgateway 1.11.0 does so without a reply), "
                "see push_failure_time_seconds on its page"
                if error.outcome == "closed"
                else ""
            )
            raise PushError(error.outcome, f"{self._access.url}: {error}{hint}", status=error.status) from error
        return answer


def group_path(key: GroupKey) -> str:
    """Return the path of a group; values that a path cannot hold travel as base64."""
    return "/metrics" + "".join(_step(name, value) for name, value in (("job", key.job), ("instance", key.instance)))


def _step(name: str, value: str) -> str:
    if _PLAIN.fullmatch(value):
        return f"/{name}/{value}"
    encoded = base64.urlsafe_b64encode(value.encode()).decode()
    return f"/{name}@base64/{encoded or '='}"


def _check(answer: Answer) -> None:
    """Raise PushError unless the gateway took it: 200, or 202 where it does not check."""
    said = f"answered {answer.status}" + (f": {answer.excerpt}" if answer.excerpt else "")
    if answer.status in (200, 202):
        return
    if answer.status == 400:
        raise PushError("rejected", said)
    if answer.status in (401, 403):
        raise PushError("unauthorized", f"{said}: the user name, password or token is wrong; mend the config")
    if answer.status == 404:
        raise PushError("not_found", f"{said}: no Pushgateway here; mend the URL's path")
    if 300 <= answer.status < 400:
        to = answer.headers.get("Location", "elsewhere")
        raise PushError("http_error", f"{said}: a redirect to {to}, which is not followed; write the final URL")
    raise PushError("http_error", said, status=answer.status)


def delete_groups(gateway: Pushgateway, keys: Iterable[GroupKey]) -> None:
    """Remove the groups of an agent that stops; the first failure ends it, the rest would fail alike."""
    for key in keys:
        try:
            gateway.delete(key)
        except PushError as error:
            _log.warning("the groups stay on the gateway: %s", error)
            return
