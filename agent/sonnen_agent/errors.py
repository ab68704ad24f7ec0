"""Every error of ours, split by who acts on it: the operator, the next beat, or nobody."""

import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Literal

Outcome = Literal[
    "ok", "timeout", "refused", "unauthorized", "not_found", "http_error", "invalid", "not_ready", "rejected", "closed"
]
"""How an exchange over the network ended; the values of the `outcome` label (docs/metrics.md)."""

_LINE_CHARACTERS, _MOST_PROBLEMS, _QUOTED_CHARACTERS = 1000, 50, 300


def one_line(text: str) -> str:
    """Return a text of whatever origin as a line for a person: printable, and of at most 1,000 characters."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: _LINE_CHARACTERS + 1])
    return line if len(line) <= _LINE_CHARACTERS else line[: _LINE_CHARACTERS - 1] + "…"


def counted(number: int, one: str, many: str) -> str:
    """Return a number with the words for one, or for many."""
    return f"{number} {one if number == 1 else many}"


def quoted(said: str, secrets: Sequence[str] = ()) -> str:
    """Return what a peer says as a message may have it: one printable line, short, and none of our secrets in it."""
    if said and secrets:
        encoded = (b64encode(secret.encode()).decode().rstrip("=") for secret in secrets)
        said = re.sub("|".join(map(_spellings, (*secrets, *encoded))), "***", said, flags=re.IGNORECASE)
    return one_line(" ".join(said.split()))[:_QUOTED_CHARACTERS]


def _spellings(secret: str) -> str:
    """Return a pattern for a secret as it is, and as URLs, JSON and HTML write it."""
    return "".join(
        ("(?:" if c.isalnum() and c.isascii() else rf"(?:&#?\w{{1,8}};|\\(?:u[0-9a-f]{{4}}|{re.escape(c)})|\+|")
        + rf"{re.escape(c)}|{''.join(f'%{byte:02x}' for byte in c.encode())})"
        for c in secret
    )


class AgentError(Exception):
    """The base of all our errors; its text says what, where, and the fix."""


class ConfigError(AgentError):
    """The operator has to change the config; holds every problem found, not only the first."""

    def __init__(self, source: str, problems: tuple[str, ...]) -> None:
        lines = [one_line(f"{source}: {problem}") for problem in problems[:_MOST_PROBLEMS]]
        if len(problems) > len(lines):
            more = counted(len(problems) - len(lines), "more problem", "more problems")
            lines.append(f"{source}: {more}; mend these first")
        super().__init__("\n".join(lines))
        self.problems = problems
        """Each problem as one line: path, value, fix."""


class StartError(AgentError):
    """The agent cannot start for a reason outside the config, such as a port in use."""


class ExchangeError(AgentError):
    """A request over the network did not bring a usable answer; the next beat is the retry."""

    def __init__(self, outcome: Outcome, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.outcome: Outcome = outcome
        """The label this failure is counted under."""
        self.status = status
        """The HTTP status, where that is what failed."""

    @property
    def away(self) -> bool:
        """Whether the peer is away: nobody answered, or a proxy says so for it."""
        return self.outcome in ("timeout", "refused", "closed") or self.status in (502, 503, 504)


class BatteryError(ExchangeError):
    """A battery's endpoint could not be read."""
