"""Asks a battery over its local HTTP API, and understands its answers (docs/battery-api.md)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sonnen_agent.clock import LONGEST_BEAT_SECONDS
from sonnen_agent.config.secrets import Secrets
from sonnen_agent.config.section import Section
from sonnen_agent.destination import Destination, Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryOptions:
    """What the config says of one battery."""

    name: str
    """The `instance` label."""
    destination: Destination
    """A port in its URL is the only one tried; a path in it stands before `/api/...`, for a reverse proxy."""
    token: Secret | None = None
    """Of its JSON API; it goes along only with the requests that need it."""
    timeout_seconds: float | None = None
    """What it may take to answer; without it, the status has most of the beat."""
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, section: Section, secrets: Secrets, taken_labels: Collection[str]) -> "BatteryOptions":
        """Return the battery of a section; `taken_labels` are the names of those that the agent sets itself."""
        name = section.required_text("name", "home")
        return cls(
            name=name,
            destination=Destination(url=section.url("url", "http://192.168.1.20"), ca_file=secrets.ca_file(section)),
            token=secrets.read(section, "token_file", f"token-{name}"),
            timeout_seconds=section.number("timeout_seconds", minimum=0.5, maximum=LONGEST_BEAT_SECONDS, default=0)
            or None,
            labels=section.labels("labels", taken_labels),
        )
