"""The config as data: every default is here, and in `systemd/config.yml` for people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sonnen_agent.energy import Tariffs

DEFAULT_JOB = "sonnen"
DEFAULT_INTERVAL_SECONDS = 5.0
DEFAULT_RELAY_INTERVAL_SECONDS = 15.0
DEFAULT_SPOOL_MAX_BYTES = 256 * 1024 * 1024
DEFAULT_STATE_DIRECTORY = Path("/var/lib/sonnen-agent")


@dataclass(frozen=True, slots=True)
class Secret:
    """A token or password that does not show itself in logs or tracebacks."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        """Return the secret itself, for the connection it was made for."""
        return self._value


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryConfig:
    """One battery to read."""

    name: str
    """The `instance` label."""
    url: str
    token: Secret | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverConfig:
    """Where something is sent to, and how to be let in."""

    url: str
    username: str | None = None
    password: Secret | None = None
    bearer_token: Secret | None = None
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PushgatewayConfig(ReceiverConfig):
    """Where groups are pushed to."""

    job: str = DEFAULT_JOB
    on_stop: Literal["delete", "keep"] = "delete"
    compression: Literal["gzip", "none"] = "gzip"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteWriteConfig(ReceiverConfig):
    """Where every sample is written to, with its timestamp."""

    headers: Mapping[str, str] = field(default_factory=dict)
    external_labels: Mapping[str, str] = field(default_factory=dict)
    """On every series."""
    spool_max_bytes: int = DEFAULT_SPOOL_MAX_BYTES
    """What an outage may take on disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullConfig:
    """Where `/metrics` is served."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayConfig:
    """Another exporter, whose page is pushed along."""

    url: str
    job: str
    """The `job` label."""
    interval_seconds: float = DEFAULT_RELAY_INTERVAL_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A config that was found good."""

    batteries: tuple[BatteryConfig, ...]
    interval_seconds: float = DEFAULT_INTERVAL_SECONDS
    timezone: str | None = None
    """Whose midnight ends a day; None: this machine's."""
    state_directory: Path = DEFAULT_STATE_DIRECTORY
    tariffs: Tariffs | None = None
    pushgateway: PushgatewayConfig | None = None
    remote_write: RemoteWriteConfig | None = None
    pull: PullConfig | None = None
    relays: tuple[RelayConfig, ...] = ()

    @property
    def job(self) -> str:
        """The `job` of the battery groups."""
        return self.pushgateway.job if self.pushgateway is not None else DEFAULT_JOB
