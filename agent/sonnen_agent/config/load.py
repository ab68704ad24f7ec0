"""The config: from a file to a Config, or to a ConfigError that names every problem.

Each part owns its options and reads them (`BatteryOptions`, `RelayOptions`, `outputs.*.Options`); here they meet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from sonnen_agent.battery import BatteryOptions
from sonnen_agent.config.secrets import Secrets
from sonnen_agent.config.section import Section, nearest
from sonnen_agent.config.tariffs import read_tariffs
from sonnen_agent.config.yaml_file import read_yaml
from sonnen_agent.energy import Tariffs
from sonnen_agent.errors import ConfigError
from sonnen_agent.group import GroupKey
from sonnen_agent.metrics.battery import BATTERY_LABELS
from sonnen_agent.outputs import OUTPUTS, OutputOptions, read_options
from sonnen_agent.outputs.pushgateway import DEFAULT_JOB
from sonnen_agent.relay import RelayOptions

DEFAULT_INTERVAL_SECONDS = 5.0
DEFAULT_STATE_DIRECTORY = Path("/var/lib/sonnen-agent")
_SMALLEST = "batteries: [{name: home, url: http://192.168.1.20}] and pushgateway: {url: http://gateway.example:9091}"
_SYSTEM_ZONE = Path("/etc/localtime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A config that was found good."""

    batteries: tuple[BatteryOptions, ...]
    interval_seconds: float = DEFAULT_INTERVAL_SECONDS
    timezone: str | None = None
    """Whose midnight ends a day; None: this machine's."""
    state_directory: Path = DEFAULT_STATE_DIRECTORY
    tariffs: Tariffs | None = None
    outputs: Mapping[str, OutputOptions] = field(default_factory=dict)
    """By their name, in the order of `outputs.OUTPUTS`."""
    relays: tuple[RelayOptions, ...] = ()

    @property
    def job(self) -> str:
        """The `job` of the battery groups."""
        job: str = getattr(self.outputs.get("pushgateway"), "job", DEFAULT_JOB)
        return job

    @property
    def zone(self) -> tzinfo:
        """The time zone: the one that is named, else that of this machine, and UTC where it has none."""
        return zone_named(self.timezone)

    def battery_key(self, battery: str) -> GroupKey:
        """Return the key of a battery's group."""
        return GroupKey(job=self.job, instance=battery)

    def agent_key(self, host: str) -> GroupKey:
        """Return the key of the agent's own group."""
        return GroupKey(job=f"{self.job}_agent", instance=host)

    def keys(self, host: str) -> frozenset[GroupKey]:
        """Return the keys of all groups that an agent with this config fills."""
        batteries = (self.battery_key(battery.name) for battery in self.batteries)
        relays = (GroupKey(job=relay.job, instance=host) for relay in self.relays)
        return frozenset((*batteries, self.agent_key(host), *relays))


def load_config(file: Path, credentials: Path | None, state_directory: Path | None = None) -> Config:
    """Return the config, or raise ConfigError; the folders are those that systemd gives to a unit, if it does."""
    problems: list[str] = []
    root = Section(read_yaml(file, smallest=_SMALLEST), "", problems)
    secrets = Secrets(folder=file.resolve().parent, credentials=credentials)
    config = _read(root, secrets, state_directory or DEFAULT_STATE_DIRECTORY)
    root.close()
    if problems:
        raise ConfigError(str(file), tuple(problems))
    return config


def zone_named(name: str | None, system_zone: Path = _SYSTEM_ZONE) -> tzinfo:
    """Return a zone by its name; without one, that of this machine, and UTC where it has none."""
    if name is not None:
        return ZoneInfo(name)
    try:
        with system_zone.open("rb") as data:
            return ZoneInfo.from_file(data)
    except (OSError, ValueError):
        return UTC


def _read(root: Section, secrets: Secrets, default_state_directory: Path) -> Config:
    interval_seconds = root.number("interval_seconds", minimum=1, maximum=3600, default=DEFAULT_INTERVAL_SECONDS)
    timezone = _timezone(root, "timezone")
    state_directory = root.text("state_directory")
    batteries = _batteries(root, secrets)
    outputs: dict[str, OutputOptions] = {}
    for name in OUTPUTS:
        section = root.section(name)
        if section is not None:
            outputs[name] = read_options(name, section, secrets)
            section.close()
    config = Config(
        interval_seconds=interval_seconds,
        timezone=timezone,
        state_directory=secrets.folder / state_directory if state_directory else default_state_directory,
        batteries=batteries,
        outputs=outputs,
    )
    relays = RelayOptions.read_all(
        root, "relay", battery_job=config.job, has_gateway=root.values.get("pushgateway") is not None
    )
    tariffs = root.read("tariffs", read_tariffs)
    if all(root.values.get(name) is None for name in OUTPUTS):
        root.problem(
            "pushgateway", "is missing, and so are remote_write and pull: say where the readings go; " + _SMALLEST
        )
    return replace(config, relays=relays, tariffs=tariffs)


def _batteries(root: Section, secrets: Secrets) -> tuple[BatteryOptions, ...]:
    sections = root.sections("batteries")
    batteries = tuple(BatteryOptions.read(section, secrets, BATTERY_LABELS) for section in sections)
    if root.values.get("batteries") in (None, []):
        root.problem("batteries", f"is missing; the smallest config is {_SMALLEST}")
    names = [battery.name for battery in batteries]
    for position, name in enumerate(names):
        if name and name in names[:position]:
            root.problem(f"batteries[{position}].name", f"{name!r} is the name of another battery, too; rename one")
    return batteries


def _timezone(section: Section, key: str) -> str | None:
    """Return the name of a zone that exists, or None where the key is absent."""
    name = section.text(key)
    if name is None:
        return None
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        guess = nearest(name, available_timezones())
        section.problem(key, f"no such time zone, got {name!r}; {guess}write for example Europe/Berlin")
        return None
    return name
