"""Where a receiver is, and how to be let in: the same for every sink that sends."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field

from sonnen_agent.errors import Outcome
from sonnen_agent.version import agent_version

Record = Callable[[str, Outcome, float, int], None]
"""Told of every delivery: sink, outcome, duration in seconds, bytes of the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where a gateway is, and how to be let in."""

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    bearer_token: str | None = field(default=None, repr=False)
    ca_file: str | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers that every request carries."""
        headers = {"User-Agent": f"sonnen-agent/{agent_version()}"}
        if self.bearer_token is not None:
            headers["Authorization"] = f"Bearer {self.bearer_token}"
        elif self.username is not None and self.password is not None:
            pair = f"{self.username}:{self.password}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        return headers
