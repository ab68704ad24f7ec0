"""Another exporter on this machine, whose page is pushed along: as near to the original as a gateway takes it.

Names, types and help texts stay as they are. Reading the page with prometheus_client and writing it anew would not do
that: a counter `c` would come out as `c_total`.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO

from sonnen_agent.changes import ChangeLog
from sonnen_agent.clock import Deadline
from sonnen_agent.config.section import Section
from sonnen_agent.destination import Destination, expect_success
from sonnen_agent.errors import ExchangeError, Outcome, quoted
from sonnen_agent.group import SHOWN_BEATS, Group, GroupKey

_log = logging.getLogger(__name__)

_INTERVAL_SECONDS = 15.0
PAGE_LIMIT_BYTES = 4 * 1024 * 1024
"""A node_exporter's page is some 60 to 150 KB."""
_LONGEST_SHOWN_SECONDS = 30
"""However long the interval is: by then the freshness guard of the rules has hidden the values anyway."""
_HINTS: Mapping[Outcome, str] = {
    "unauthorized": "it asks for a password, and the relay has none",
    "not_found": "no page there; mend the URL's path, which most often is /metrics",
}
_PAGE_HINT = "the URL of an exporter's page most often ends in /metrics"

_TAKEN = (b"sonnen_", b"push_time_seconds", b"push_failure_time_seconds")
"""Names of ours and of the gateway: it takes no two types of one, and a page that came first would lock us out."""

_OF_THE_EXPORTER = re.compile(rb"[ \t]*+(?:#[ \t]++(?:HELP|TYPE)[ \t]++)?+(?:go|process|promhttp)_")
"""Lines about the exporter's own process, which are left out.

The gateway has these names itself. Where its release has other help texts, it logs each push as inconsistent, 259 MB a
day.
"""

# Possessive (`*+`): nothing here has to be read in another way, so a line without sense costs no more than its length.
_BLANKS = rb"[ \t]*+"
_LABELS = rb'\{(?:[^"}]|"(?:[^"\\]|\\.)*+")*+\}'
_NUMBER = rb"[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?"
_VALUE = _NUMBER + rb"|[+-]?(?i:infinity|inf|nan)"
_SAMPLE = re.compile(
    rb"(%(blanks)s([a-zA-Z_:][a-zA-Z0-9_:]*+)%(blanks)s(?:%(labels)s%(blanks)s)?+(?:%(value)s))"
    rb"(?:[ \t]++%(number)s)?%(blanks)s"
    % {b"blanks": _BLANKS, b"labels": _LABELS, b"value": _VALUE, b"number": _NUMBER}
)
_COMMENT_OR_NOTHING = re.compile(rb"[ \t]*+(?:#.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    """What the config says of one relay."""

    url: str
    job: str
    """The `job` label."""
    interval_seconds: float = _INTERVAL_SECONDS

    @classmethod
    def read_all(cls, root: Section, key: str, *, battery_job: str, has_gateway: bool) -> "tuple[RelayOptions, ...]":
        """Return the relays in the list under a key; each needs a job, and so a group on the gateway, of its own.

        `has_gateway` says whether the config has a `pushgateway` section, good or not.
        """
        if root.values.get(key) and not has_gateway:
            root.problem(
                key,
                "needs pushgateway, which alone takes other exporters' pages: "
                f"add pushgateway: {{url: http://gateway.example:9091}}, or remove {key}",
            )
        owners = {battery_job: "the batteries", f"{battery_job}_agent": "the agent"}
        relays: list[RelayOptions] = []
        for section in root.sections(key):
            url = section.url("url", "http://127.0.0.1:9100/metrics")
            job = section.required_text("job", "node")
            seconds = section.number("interval_seconds", minimum=1, maximum=3600, default=_INTERVAL_SECONDS)
            if job in owners:
                section.problem("job", f"{job!r} is the job of {owners[job]}, too; choose another")
            elif job:
                owners[job] = "another relay"
            relays.append(cls(url=url, job=job, interval_seconds=seconds))
        return tuple(relays)


class Relay:
    """Reads an exporter over one kept-alive connection. Not for use by two threads at once."""

    def __init__(self, options: RelayOptions, *, instance: str, record: Callable[[Outcome], None]) -> None:
        """`instance` is that label of its group; `record` is told of every request by how it ended."""
        self.options = options
        self._key = GroupKey(job=options.job, instance=instance)
        self._destination = Destination(url=options.url)
        self._connection = self._destination.connect()
        self._record = record
        self._changes = ChangeLog(_log)

    def read(self) -> Group:
        """Return the exporter's page of this moment as a group; one with an empty page when it could not be read."""
        asked_at = time.monotonic()
        outcome: Outcome = "ok"
        page = b""
        try:
            page = self.page(Deadline.of_beat(self.options.interval_seconds))
        except ExchangeError as error:
            # An exporter that hangs up and one that does not listen are the same to its owner.
            outcome = "refused" if error.outcome == "closed" else error.outcome
            message = "relay %s: not readable (%s): %s: %s"
            self._changes.trouble("page", "not readable", message, self.options.job, outcome, self.options.url, error)
        else:
            self._changes.over("page", "relay %s: readable again", self.options.job)
        self._record(outcome)
        return Group(
            key=self._key,
            page=page,
            taken_monotonic_seconds=asked_at,
            shown_seconds=min(SHOWN_BEATS * self.options.interval_seconds, _LONGEST_SHOWN_SECONDS),
        )

    def page(self, deadline: Deadline) -> bytes:
        """Return the exporter's page as it can be pushed along, or raise ExchangeError."""
        answer = self._connection.request(
            "GET",
            self._destination.parts.path or "/",
            # Some exporters would rather speak OpenMetrics or protobuf.
            headers={"Accept": "text/plain;version=0.0.4", **self._destination.headers()},
            deadline=deadline,
            body_limit=PAGE_LIMIT_BYTES,
        )
        expect_success(answer, _HINTS)
        return pushable(answer.body)


def pushable(page: bytes) -> bytes:
    """Return the page without timestamps and its exporter's own process; ExchangeError `invalid` if it is no page.

    Each line ends in a line feed. A gateway refuses timestamps, and what stands between the value and the line's end.
    """
    clean = bytearray()
    # Line by line, and not in one go: a large page keeps no other thread waiting.
    for number, line in enumerate(BytesIO(page), start=1):
        text = line.removesuffix(b"\n").removesuffix(b"\r")
        sample = _SAMPLE.fullmatch(text)
        if sample is None and not _COMMENT_OR_NOTHING.fullmatch(text):
            excerpt = quoted(repr(text[:80].decode("utf-8", "replace")))
            words = f"line {number} is not in Prometheus's text format: {excerpt}; {_PAGE_HINT}"
            raise ExchangeError("invalid", words)
        if sample is not None and sample[2].startswith(_TAKEN):
            owner = "gateway" if sample[2].startswith(b"push_") else "agent"
            words = f"line {number}: {quoted(sample[2].decode())} is a name of the {owner}'s own, and not pushed along"
            raise ExchangeError("invalid", words)
        if _OF_THE_EXPORTER.match(text):
            continue
        clean += sample[1] if sample is not None else text
        clean += b"\n"
    return bytes(clean)
