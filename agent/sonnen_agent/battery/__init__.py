"""Asks a battery over its local HTTP API, and understands its answers (docs/battery-api.md)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sonnen_agent.clock import LONGEST_BEAT_SECONDS
from sonnen_agent.config.secrets import Secrets
from sonnen_agent.config.section import Section
from sonnen_agent.destination import Destination, Secret

_MAKERS = ("sonnen-batterie.com", "sonnenbatterie.com", "sonnenbatterie.de", "sonnen.de")
"""What the names of the maker's servers end in, such as the one that finds batteries (docs/battery-api.md 8)."""


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
        url = section.url("url", "http://192.168.1.20")
        if (urlsplit(url).hostname or "").endswith(_MAKERS):
            fix = "open it in a browser once, or run sonnen-agent discover, and write for example http://192.168.1.20"
            section.problem("url", f"is the maker's page in the internet and not the battery, got {url!r}; {fix}")
        return cls(
            name=name,
            destination=Destination(url=url, ca_file=secrets.ca_file(section)),
            token=secrets.read(section, "token_file", f"token-{name}"),
            timeout_seconds=section.number("timeout_seconds", minimum=0.5, maximum=LONGEST_BEAT_SECONDS, default=0)
            or None,
            labels=section.labels("labels", taken_labels),
        )
