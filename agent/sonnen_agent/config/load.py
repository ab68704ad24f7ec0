"""The config: from a file to a Config, or to a ConfigError that names every problem.

Each part owns its options and reads them (`BatteryOptions`, `RelayOptions`, `outputs.*.Options`); here they meet.
"""

import logging
import os
import re
import socket
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import yaml

from sonnen_agent.battery import BatteryOptions
from sonnen_agent.clock import beat_seconds
from sonnen_agent.config.secrets import Secrets
from sonnen_agent.config.section import Section, did_you_mean
from sonnen_agent.errors import ConfigError
from sonnen_agent.files import read_regular
from sonnen_agent.group import GroupKey
from sonnen_agent.metrics.battery import BATTERY_LABELS
from sonnen_agent.outputs import OUTPUTS, OutputOptions, read_options
from sonnen_agent.outputs.pushgateway import DEFAULT_JOB

if TYPE_CHECKING:
    from sonnen_agent.energy.tariffs import Tariffs
    from sonnen_agent.relay import RelayOptions

_log = logging.getLogger(__name__)

DEFAULT_INTERVAL_SECONDS = 5.0
DEFAULT_STATE_DIRECTORY = Path("/var/lib/sonnen-agent")
_SECRETS = "secrets"
"""The folder beside the config that the unit takes its credentials from."""
_SMALLEST = "batteries: [{name: home, url: http://192.168.1.20}] and pushgateway: {url: http://gateway.example:9091}"
_NAME_IT = "name the config with --config FILE or in $SONNEN_AGENT_CONFIG"
_LARGEST_BYTES = 1 << 20
_MOST_VALUES, _LONGEST_VALUE = 20_000, 1000
"""Values and keys of a file, where a battery has some twenty, and characters of one."""
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_SYSTEM_ZONE = Path("/etc/localtime")
_NAMES_THE_VALUE = re.compile("found undefined|found duplicate anchor|could not determine a constructor")
"""Messages of YAML with a piece of a value that stands there without quotes, such as a password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A config that was found good."""

    batteries: tuple[BatteryOptions, ...]
    name: str = field(default_factory=socket.gethostname)
    """The `instance` of the agent's own group and of its relays'; by default the host name at the start."""
    interval_seconds: float = DEFAULT_INTERVAL_SECONDS
    timezone: str | None = None
    """Whose midnight ends a day; None: this machine's."""
    state_directory: Path = DEFAULT_STATE_DIRECTORY
    tariffs: "Tariffs | None" = None
    outputs: Mapping[str, OutputOptions] = field(default_factory=dict)
    """By their name, in the order of `outputs.OUTPUTS`."""
    relays: "tuple[RelayOptions, ...]" = ()

    @property
    def job(self) -> str:
        """The `job` of the battery groups."""
        job: str = getattr(self.outputs.get("pushgateway"), "job", DEFAULT_JOB)
        return job

    @property
    def zone(self) -> tzinfo:
        """The time zone: the one that is named, else that of this machine, and UTC where it has none."""
        return zone_named(self.timezone)

    @property
    def zone_name(self) -> str:
        """Its name; where the machine's zone has none, the file that it is read from."""
        zone = self.zone
        return getattr(zone, "key", None) or ("UTC" if zone is UTC else str(_SYSTEM_ZONE))

    @property
    def midnight(self) -> str:
        """Whose midnight ends a day, in words."""
        return f"days end at midnight in {self.zone_name}" + ("" if self.timezone else ", the zone of this machine")

    def battery_key(self, battery: str) -> GroupKey:
        """Return the key of a battery's group."""
        return GroupKey(job=self.job, instance=battery)

    def agent_key(self) -> GroupKey:
        """Return the key of the agent's own group."""
        return GroupKey(job=f"{self.job}_agent", instance=self.name)

    def group_keys(self) -> frozenset[GroupKey]:
        """Return the keys of all groups that an agent with this config fills."""
        batteries = (self.battery_key(battery.name) for battery in self.batteries)
        relays = (GroupKey(job=relay.job, instance=self.name) for relay in self.relays)
        return frozenset((*batteries, self.agent_key(), *relays))


def load_config(
    file: Path, credentials: Path | None, state_directory: Path | None = None, *, secrets_beside: bool = False
) -> Config:
    """Return the config, or raise ConfigError; the folders are those that systemd gives to a unit, if it does.

    With `secrets_beside`, what the unit would get as credentials is also found in `secrets/` beside the file.
    """
    config, problems = read_config(file, credentials, state_directory, secrets_beside=secrets_beside)
    if problems:
        raise ConfigError(str(file), problems)
    return config


def read_config(
    file: Path, credentials: Path | None, state_directory: Path | None = None, *, secrets_beside: bool = False
) -> tuple[Config, tuple[str, ...]]:
    """Return what can be understood of the config, with every problem of it, or raise ConfigError where nothing can."""
    problems: list[str] = []
    root = Section(_keys(file), "", problems)
    folder = file.resolve().parent
    beside = folder / _SECRETS if secrets_beside else None
    if beside is not None and os.access(beside, os.F_OK) and not os.access(beside, os.R_OK | os.X_OK):
        _log.warning("the secrets in %s are left out: this user cannot read them; run this with sudo", beside)
    secrets = Secrets(folder=folder, credentials=credentials, beside=beside)
    if not secrets_beside:
        secrets.tell_if_lost(folder / _SECRETS)
    config = Config(
        interval_seconds=root.number("interval_seconds", minimum=1, maximum=3600, default=DEFAULT_INTERVAL_SECONDS),
        timezone=_timezone(root, "timezone"),
        state_directory=secrets.folder / (_state_directory(root) or state_directory or DEFAULT_STATE_DIRECTORY),
        batteries=_batteries(root, secrets),
        outputs=_outputs(root, secrets),
        name=root.text("name") or socket.gethostname(),
    )
    most_seconds = beat_seconds(config.interval_seconds)
    for position, battery in enumerate(config.batteries):
        if (battery.timeout_seconds or 0) > most_seconds:
            wanted = (
                f"should be at most {most_seconds:g}, which an interval_seconds of {config.interval_seconds:g} leaves"
            )
            root.problem(f"batteries[{position}].timeout_seconds", f"{wanted}, got {battery.timeout_seconds:g}")
    config = replace(config, relays=_relays(root, config.job), tariffs=root.read("tariffs", _tariffs))
    if all(root.values.get(name) is None for name in OUTPUTS):
        root.problem(
            "pushgateway", "is missing, and so are remote_write and pull: say where the readings go; " + _SMALLEST
        )
    root.close()
    return config, tuple(problems)


def _keys(file: Path) -> Mapping[object, object]:
    """Return the keys of a YAML file, or raise ConfigError."""
    try:
        text = read_regular(file, _LARGEST_BYTES, follow=True, pipe=True).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason, fix = "it is not a UTF-8 text file", "save it as UTF-8"
        if isinstance(error, OSError):
            reason = str(error.strerror)
            fix = f"run this with sudo, or {_NAME_IT}" if isinstance(error, PermissionError) else _NAME_IT
        raise ConfigError(str(file), (f"cannot be read: {reason}; {fix}",)) from error
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader that refuses double keys
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        fix = "; indent with spaces, not with tabs" if r"\t" in str(error.problem) else ""
        problem = error.problem
        if _NAMES_THE_VALUE.match(str(problem)):
            problem = "a value that begins with *, & or ! has to be in quotes"
        raise ConfigError(str(file), (f"{where}{problem}{fix}",)) from error
    except RecursionError as error:
        raise ConfigError(str(file), ("nests too deeply; is it the config?",)) from error
    except yaml.YAMLError as error:
        raise ConfigError(str(file), (f"is not YAML: {error}",)) from error
    if document is None:
        raise ConfigError(str(file), (f"is empty; the smallest config is {_SMALLEST}",))
    if not isinstance(document, dict):
        # Not shown: the file may be a token's, named by mistake.
        kind = "a list" if isinstance(document, list) else "a single value"
        raise ConfigError(str(file), (f"should be a mapping of keys, got {kind}; write {_SMALLEST}",))
    return document


def zone_named(name: str | None, system_zone: Path = _SYSTEM_ZONE) -> tzinfo:
    """Return a zone by its name; without one, that of this machine, and UTC where it has none."""
    if name is not None:
        return ZoneInfo(name)
    try:
        with system_zone.open("rb") as data:
            # It is a link to the zone's file, which has the name.
            return ZoneInfo.from_file(data, str(system_zone.resolve()).partition("/zoneinfo/")[2] or None)
    except (OSError, ValueError):
        return UTC


# Who relays nothing and has no tariffs has neither of them in memory.


def _relays(root: Section, battery_job: str) -> "tuple[RelayOptions, ...]":
    if root.value("relay") is None:
        return ()
    from sonnen_agent.relay import RelayOptions  # noqa: PLC0415

    has_gateway = root.values.get("pushgateway") is not None
    return RelayOptions.read_all(root, "relay", battery_job=battery_job, has_gateway=has_gateway)


def _tariffs(section: Section) -> "Tariffs":
    from sonnen_agent.config.tariffs import read_tariffs  # noqa: PLC0415

    return read_tariffs(section)


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


def _outputs(root: Section, secrets: Secrets) -> dict[str, OutputOptions]:
    options = ((name, root.read(name, partial(read_options, name, secrets=secrets))) for name in OUTPUTS)
    return {name: found for name, found in options if found is not None}


def _state_directory(root: Section) -> str | None:
    text = root.text("state_directory")
    if text is not None and text.startswith("~"):
        root.problem("state_directory", f"should be written out from / on, as ~ is only a shell's, got {text!r}")
    return text


def _timezone(section: Section, key: str) -> str | None:
    """Return the name of a zone that exists, or None where the key is absent."""
    name = section.text(key)
    if name is None:
        return None
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # Not the likes of EST: they know no summer.
        guess = did_you_mean(name, (zone for zone in available_timezones() if "/" in zone))
        section.problem(key, f"no such time zone, got {name!r}; {guess}write for example Europe/Berlin")
        return None
    return name


class _Loader(yaml.SafeLoader):
    """YAML without objects, bounded, where a key that stands twice is an error instead of the last one winning."""

    _values_left = _MOST_VALUES

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        node = super().compose_node(parent, index)
        too_long = isinstance(node, yaml.ScalarNode) and len(node.value) > _LONGEST_VALUE
        self._count(node, _MOST_VALUES if too_long else 1)
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        self._count(node, len(node.value))  # what is merged into others (`<<`) is copied into each of them

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError) as error:  # !!bool maybe, !!int ''
            if isinstance(error, ValueError) and node.tag == _TIMESTAMP:
                return node.value  # 2023-02-30: whoever wants a date says where it stands and what is wrong with it
            raise _error("this value is none to YAML; put it into quotes", node) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _error(f"the key {key.value!r} stands twice; keep one of the two", key)
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def _count(self, node: yaml.Node | None, values: int) -> None:
        self._values_left -= values
        if self._values_left < 0:
            raise _error("too long a value, or too many up to here; is it the config?", node)


def _error(problem: str, node: yaml.Node | None) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, None if node is None else node.start_mark)
