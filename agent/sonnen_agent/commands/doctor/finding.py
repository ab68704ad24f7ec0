"""What a check of `doctor` found, and the one line that says it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from sonnen_agent import __version__
from sonnen_agent.errors import one_line

Findings = Iterator["Finding"]
RELEASE = ".".join(__version__.split(".")[:2])
"""What rules and dashboards that belong to this agent say of themselves."""

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_SHOWN = {*_LOOPBACK, "192.168.1.20", "gateway.example", "grafana.example", "prometheus.example"}
"""With the examples of our own messages."""
_SHORTEST_SECRET = 4
"""What is shorter is in a text by chance."""
_PRIVATE = re.compile(
    r"(?P<mail>[\w.+-]+@[\w-]+\.[\w.-]+)"
    r"|(?P<mac>\b[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}\b)"
    r"|(?P<address>(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)|(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4})"
    r"|(?P<host>(?<=://)[^\s/:'\"\[\]]+)"
    r"|(?P<serial>\b(?:[A-Za-z]{1,4}\d{5,}|\d{6,})\b)"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `doctor`."""

    status: Literal["ok", "warn", "fail", "skipped"]
    check: str
    seen: str
    fix: str = ""

    def __str__(self) -> str:
        return one_line(f"{self.status:7} {self.check}: {self.seen}{'; fix: ' if self.fix else ''}{self.fix}")


# Each takes the check, what was seen, and the fix; what a peer said often names that itself.
ok = partial(Finding, "ok")
warn = partial(Finding, "warn")
fail = partial(Finding, "fail")
skipped = partial(Finding, "skipped")


class Redaction:
    """Makes findings fit for a bug report: no secret, serial number or address of this house is left in them."""

    def __init__(self, secrets: Iterable[str], hosts: Mapping[str, str]) -> None:
        """`hosts` has a stand-in for each host, such as `<gateway>`."""
        self._secrets = tuple(secret for secret in secrets if len(secret) >= _SHORTEST_SECRET)
        self._hosts = {host.lower(): name for host, name in hosts.items() if host and host not in _LOOPBACK}
        words = "|".join(re.escape(host) for host in sorted(self._hosts, key=len, reverse=True))
        self._words = re.compile(rf"(?<![\w.-])(?:{words})(?![\w-]|\.\w)", re.IGNORECASE) if words else None

    def finding(self, finding: Finding) -> Finding:
        """Return it redacted."""
        return replace(finding, seen=self.text(finding.seen), fix=self.text(finding.fix))

    def text(self, text: str) -> str:
        """Return a text without them."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        if self._words is not None:
            text = self._words.sub(lambda match: self._hosts[match[0].lower()], text)
        return _PRIVATE.sub(_stand_in, text).replace(f"{Path.home()}/", "~/")


def _stand_in(match: re.Match[str]) -> str:
    found = match[0]
    if found.lower() in _SHOWN or found.startswith("<") or (match.lastgroup == "address" and not _is_address(found)):
        return found
    return f"<{match.lastgroup}>"


def _is_address(text: str) -> bool:
    try:
        return not ip_address(text).is_loopback
    except ValueError:
        return False


def duration(seconds: float) -> str:
    """Return a time for a person, without its sign."""
    seconds = abs(seconds)
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def clock(check: str, offset_seconds: float | None, most_seconds: float, why_unknown: str) -> Finding:
    """Return what to say of another machine's clock, which is so much ahead of this one's."""
    if offset_seconds is None:
        return skipped(check, why_unknown)
    seen = f"{duration(offset_seconds)} {'ahead of' if offset_seconds > 0 else 'behind'} this machine's"
    if abs(offset_seconds) > most_seconds:
        return warn(
            check, seen, "timedatectl on each machine says whose is wrong; a battery takes its from the internet"
        )
    return ok(check, seen)
