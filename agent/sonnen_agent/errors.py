"""Every error of ours, split by who acts on it: the operator, the next beat, or nobody."""

from typing import Literal

Outcome = Literal[
    "ok",
    "timeout",
    "refused",
    "unauthorized",
    "not_found",
    "http_error",
    "invalid",
    "not_ready",
    "rejected",
    "closed",
]
"""How an exchange over the network ended; the values of the `outcome` label (docs/metrics.md)."""


class AgentError(Exception):
    """The base of all our errors; its text says what, where, and the fix."""


class ConfigError(AgentError):
    """The operator has to change the config; holds every problem found, not only the first."""

    def __init__(self, source: str, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))
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
