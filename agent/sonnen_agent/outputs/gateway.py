"""A Pushgateway as its clients see it (docs/facts.md 1): groups are replaced, deleted and looked at."""

import base64
import json
import math
import re
import time
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.samples import Sample

from sonnen_agent.clock import Deadline
from sonnen_agent.destination import Destination, expect_success
from sonnen_agent.errors import ExchangeError, Outcome, quoted
from sonnen_agent.group import GroupKey
from sonnen_agent.outputs import RecordSend
from sonnen_agent.transport import Answer

NAME = "pushgateway"
_ANSWER_LIMIT_BYTES = 64 * 1024
_LEVEL, _GZIP, _MEMORY_LEVEL = 6, 16 + 14, 6
"""A window as large as a battery's page: no more bytes than with zlib's own, and a third of its memory at each beat.

A level above 6 saves nine bytes of 3,300, and takes a third more time.
"""
_ALL_GROUPS_LIMIT_BYTES = 64 * 1024 * 1024
"""A gateway tells of all its groups or of none; a thousand of them are some 30 MB, once at a start."""
_MOST_VALUES = 4_000_000
"""In that answer: twice as many as a thousand groups have. Millions of empty objects would take a Pi's whole memory."""
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
"""What a path can hold as it is; a gateway cleans away dots, slashes and nothings (docs/facts.md 1.1)."""
_LATEST_UNIX_SECONDS = 1e11
"""The year 5138; a calendar has no days for what is later, nor for NaN."""
_STARTED = re.compile(rb"^process_start_time_seconds (\d[\d.]*(?:e[+]?\d+)?)$", re.MULTILINE)
"""Of the gateway itself: what is pushed has labels."""

_HINTS: Mapping[Outcome, str] = {"not_found": "no Pushgateway here; mend the URL's path"}
_CLOSED_HINT = (
    "; the gateway may be rejecting this push (Pushgateway 1.11.0 does so without a reply), "
    "see push_failure_time_seconds on its page"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldGroup:
    """One group as the gateway holds it."""

    samples: tuple[Sample, ...]
    pushed_unix_seconds: float | None
    """When it was pushed last, by the gateway's clock."""


class Gateway:
    """One gateway. Not for use by two threads at once. Its errors have the gateway's own words."""

    def __init__(self, destination: Destination, *, compress: bool, record: RecordSend) -> None:
        self._destination = destination
        self._compress = compress
        self._record = record
        # Nothing that a gateway does not need: it takes what is not protobuf for text, and a metered link counts bytes.
        self._headers = destination.credentials()
        self._connection = destination.connect()
        self._hints: Mapping[Outcome, str] = {**_HINTS, "unauthorized": destination.refused_hint}
        self._late = False
        """Whether a request that was given up may still be on its way."""

    def push(self, key: GroupKey, page: bytes, deadline: Deadline) -> None:
        """Replace a group by a page in text format, or raise ExchangeError."""
        headers: Mapping[str, str] = {}
        if self._compress:
            deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP, _MEMORY_LEVEL)
            page = deflater.compress(page) + deflater.flush()
            headers = {"Content-Encoding": "gzip"}
        begin = time.monotonic()
        outcome: Outcome = "ok"
        try:
            self._request("PUT", group_path(key), deadline, headers=headers, body=page)
        except ExchangeError as error:
            outcome = error.outcome
            raise
        finally:
            self._record(NAME, outcome, time.monotonic() - begin, len(page))

    def delete(self, key: GroupKey, deadline: Deadline) -> None:
        """Remove a group, or raise ExchangeError; one that is not there is fine."""
        self._request("DELETE", group_path(key), deadline)

    def held(self, keys: Collection[GroupKey], deadline: Deadline) -> Mapping[GroupKey, HeldGroup]:
        """Return what the gateway holds of groups, without those that it has not; ExchangeError when it cannot tell."""
        answer = self._request("GET", "/api/v1/metrics", deadline, body_limit=_ALL_GROUPS_LIMIT_BYTES)
        try:
            return held_groups(answer.body, keys)
        except ValueError as error:
            said = quoted(str(error), answer.secrets)
        raise ExchangeError("invalid", f"{self._destination.url}: /api/v1/metrics is no Pushgateway's: {said}")

    def started_unix_seconds(self, deadline: Deadline) -> float:
        """Return when the gateway began to hold what it is pushed, or raise ExchangeError when it is away.

        The API says it, too, but by the clock of then, which on a machine without one of its own was wrong at boot.
        """
        try:
            found = _STARTED.search(self._request("GET", "/metrics", deadline, body_limit=_ALL_GROUPS_LIMIT_BYTES).body)
        except ExchangeError as error:
            if error.away:
                raise
            found = None
        # What does not tell is no Pushgateway: only that may have read an old file.
        return float(found[1]) if found else -math.inf

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _request(  # noqa: PLR0913 - a request has these parts
        self,
        method: str,
        path: str,
        deadline: Deadline,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        body_limit: int = _ANSWER_LIMIT_BYTES,
    ) -> Answer:
        if (credentials := self._destination.credentials()) != self._headers:
            self._connection.close()
            self._headers, self._connection = credentials, self._destination.connect()
        try:
            if self._late and method != "GET":
                # What is still on its way arrives before the answer to this, whatever that is (docs/facts.md 1.6).
                path_asked, limit = f"{self._destination.path}/-/ready", _ANSWER_LIMIT_BYTES
                self._connection.request("GET", path_asked, headers=self._headers, deadline=deadline, body_limit=limit)
            answer = self._connection.request(
                method,
                self._destination.path + path,
                headers={**self._headers, **(headers or {})},
                body=body,
                deadline=deadline,
                body_limit=body_limit,
            )
            self._late = False
            expect_success(answer, self._hints, sent=True)
        except ExchangeError as error:
            self._late = self._late or error.outcome in ("timeout", "refused")
            hint = _CLOSED_HINT if error.outcome == "closed" else ""
            words = f"{self._destination.url}: {error}{hint}"
            raise ExchangeError(error.outcome, words, status=error.status) from error
        return answer


def group_path(key: GroupKey) -> str:
    """Return the path of a group; values that a path cannot hold travel as base64."""
    return "/metrics" + "".join(_step(name, value) for name, value in (("job", key.job), ("instance", key.instance)))


def _step(name: str, value: str) -> str:
    if _PLAIN.fullmatch(value):
        return f"/{name}/{value}"
    encoded = base64.urlsafe_b64encode(value.encode()).decode()
    return f"/{name}@base64/{encoded or '='}"


def held_groups(body: bytes, keys: Collection[GroupKey]) -> Mapping[GroupKey, HeldGroup]:
    """Return those groups that are in the gateway's list of all; ValueError when it is no such list."""
    wanted = {(key.job, key.instance): key for key in keys}

    def without_others(one: dict[str, object]) -> dict[str, object] | None:
        # The list may have a thousand groups, and as objects they take ten times the memory of its text.
        labels = _mapping(one.get("labels"))
        return None if "job" in labels and (labels["job"], labels.get("instance")) not in wanted else one

    if sum(map(body.count, (b",", b"{", b"["))) > _MOST_VALUES:
        raise ValueError("it holds more values than any gateway's")
    try:
        document = json.loads(body, object_hook=without_others)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    groups = _mapping(document).get("data")
    if not isinstance(groups, list):
        raise ValueError("it holds no list of groups")  # noqa: TRY004 - about the document, not about our types
    found: dict[GroupKey, HeldGroup] = {}
    for group in map(_mapping, groups):
        labels = _mapping(group.get("labels"))
        key = wanted.get((str(labels.get("job")), str(labels.get("instance"))))
        if key is not None and len(labels) == 2:
            samples = tuple(sample for name, family in group.items() for sample in _samples(name, _mapping(family)))
            pushed = (
                sample.value
                for sample in samples
                if sample.name == "push_time_seconds" and 0 <= sample.value < _LATEST_UNIX_SECONDS
            )
            found[key] = HeldGroup(samples=samples, pushed_unix_seconds=next(pushed, None))
    return found


def _samples(name: str, family: Mapping[str, object]) -> Iterator[Sample]:
    metrics = family.get("metrics")
    for metric in map(_mapping, metrics if isinstance(metrics, list) else ()):
        labels = {key: value for key, value in _mapping(metric.get("labels")).items() if isinstance(value, str)}
        value = metric.get("value")
        if isinstance(value, str):  # histograms and summaries, which are not ours, have none
            yield Sample(name, labels, float(value))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
