"""From the config file to a Config, or to a ConfigError that names every problem."""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path

from sonnen_agent.config.document import read_document
from sonnen_agent.config.model import (
    DEFAULT_INTERVAL_SECONDS,
    DEFAULT_JOB,
    DEFAULT_STATE_DIRECTORY,
    BatteryConfig,
    Config,
    PullConfig,
    PushgatewayConfig,
)
from sonnen_agent.config.secrets import read_secret
from sonnen_agent.config.section import Section
from sonnen_agent.config.tariffs import read_tariffs
from sonnen_agent.config.zone import read_timezone
from sonnen_agent.errors import ConfigError

_SMALLEST = "batteries: [{name: home, url: http://192.168.1.20}] and pushgateway: {url: http://gateway.example:9091}"
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OUR_LABELS = frozenset(
    {"job", "instance", "phase", "meter", "direction", "from", "to", "probe", "stat", "led", "reason"}
    | {"component", "state", "endpoint", "firmware", "model", "generation", "tariff", "currency"}
)


def load_config(file: Path, credentials: Path | None, state_directory: Path | None = None) -> Config:
    """Return the config, or raise ConfigError; the folders are those that systemd gives to a unit, if it does."""
    problems: list[str] = []
    root = Section(read_document(file, smallest=_SMALLEST), "", problems)
    config = _Reader(file.resolve().parent, credentials, state_directory or DEFAULT_STATE_DIRECTORY).config(root)
    root.close()
    if problems:
        raise ConfigError(str(file), tuple(problems))
    return config


class _Reader:
    def __init__(self, folder: Path, credentials: Path | None, state_directory: Path) -> None:
        self._folder = folder
        self._credentials = credentials
        self._state_directory = state_directory

    def config(self, root: Section) -> Config:
        interval_seconds = root.number("interval_seconds", minimum=1, maximum=3600, default=DEFAULT_INTERVAL_SECONDS)
        timezone = read_timezone(root, "timezone")
        state_directory = root.text("state_directory")
        batteries = tuple(self._battery(section) for section in root.sections("batteries"))
        if root.values.get("batteries") in (None, []):
            root.problem("batteries", f"is missing; the smallest config is {_SMALLEST}")
        names = [battery.name for battery in batteries]
        for position, name in enumerate(names):
            if name and name in names[:position]:
                root.problem(f"batteries[{position}].name", f"{name!r} is the name of another battery, too; rename one")
        pushgateway = root.read("pushgateway", self._pushgateway)
        pull = root.read("pull", self._pull)
        tariffs = root.read("tariffs", read_tariffs)
        if root.values.get("pushgateway") is None and root.values.get("pull") is None:
            root.problem("pushgateway", "is missing, and so is pull: say where the readings go; " + _SMALLEST)
        return Config(
            interval_seconds=interval_seconds,
            timezone=timezone,
            state_directory=self._folder / state_directory if state_directory else self._state_directory,
            batteries=batteries,
            pushgateway=pushgateway,
            pull=pull,
            tariffs=tariffs,
        )

    def _battery(self, section: Section) -> BatteryConfig:
        name = section.required_text("name", "home")
        battery = BatteryConfig(
            name=name,
            url=section.url("url", "http://192.168.1.20"),
            token=read_secret(section, "token_file", self._folder, self._credential(f"token-{name}")),
            labels=self._labels(section),
        )
        section.close()
        return battery

    def _labels(self, section: Section) -> Mapping[str, str]:
        labels = section.texts("labels")
        for name in labels:
            if not _LABEL_NAME.fullmatch(name) or name.startswith("__"):
                section.problem(f"labels.{name}", "is no label name; use letters, digits and underscores")
            elif name in _OUR_LABELS:
                section.problem(f"labels.{name}", "is a label that the agent sets itself; choose another name")
        return labels

    def _pushgateway(self, section: Section) -> PushgatewayConfig:
        gateway = PushgatewayConfig(
            url=section.url("url", "http://gateway.example:9091"),
            job=section.text("job") or DEFAULT_JOB,
            username=section.text("username"),
            password=read_secret(section, "password_file", self._folder, self._credential("pushgateway-password")),
            bearer_token=read_secret(section, "bearer_token_file", self._folder, None),
            ca_file=self._ca_file(section),
            on_stop=section.choice("on_stop", ("delete", "keep"), "delete"),
            compression=section.choice("compression", ("gzip", "none"), "gzip"),
        )
        if gateway.username is not None and ":" in gateway.username:
            section.problem("username", f"cannot hold a colon, got {gateway.username!r}")
        if gateway.username is not None and gateway.bearer_token is not None:
            section.problem("bearer_token_file", "and username exclude each other; keep one way to log in")
        if (gateway.username is None) != (gateway.password is None):
            missing = "username" if gateway.username is None else "password_file"
            if section.values.get(missing) is None:
                section.problem(missing, "is missing; a user name and a password file go together")
        return gateway

    def _ca_file(self, section: Section) -> Path | None:
        name = section.text("ca_file")
        if name is None:
            return None
        path = self._folder / name
        try:
            ssl.create_default_context(cafile=str(path))
        except (OSError, ssl.SSLError) as error:
            reason = "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
            section.problem("ca_file", f"cannot use {str(path)!r}: {reason}; name a file in PEM form")
        return path

    def _pull(self, section: Section) -> PullConfig:
        listen = section.required_text("listen", "127.0.0.1:9422")
        host, _, port = listen.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if listen and not (host and port.isdecimal() and 0 < int(port) < 65536):
            section.problem("listen", f"should be an address and a port, such as 127.0.0.1:9422, got {listen!r}")
            return PullConfig(host="", port=0)
        return PullConfig(host=host, port=int(port or 0))

    def _credential(self, name: str) -> Path | None:
        # A credential's name is a file name; a battery called a/b has to name its file itself.
        return self._credentials / name if self._credentials is not None and "/" not in name else None
