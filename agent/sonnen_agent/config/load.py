"""From the config file to a Config, or to a ConfigError that names every problem."""

from pathlib import Path

from sonnen_agent.config.document import read_document
from sonnen_agent.config.labels import OUR_LABELS, read_labels
from sonnen_agent.config.model import (
    DEFAULT_INTERVAL_SECONDS,
    DEFAULT_STATE_DIRECTORY,
    BatteryConfig,
    Config,
    PullConfig,
)
from sonnen_agent.config.receivers import ReceiverReader
from sonnen_agent.config.relays import read_relays
from sonnen_agent.config.secrets import credential, read_secret
from sonnen_agent.config.section import Section
from sonnen_agent.config.tariffs import read_tariffs
from sonnen_agent.config.zone import read_timezone
from sonnen_agent.errors import ConfigError

_SMALLEST = "batteries: [{name: home, url: http://192.168.1.20}] and pushgateway: {url: http://gateway.example:9091}"


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
        receivers = ReceiverReader(self._folder, self._credentials)
        pushgateway = root.read("pushgateway", receivers.pushgateway)
        remote_write = root.read("remote_write", receivers.remote_write)
        pull = root.read("pull", self._pull)
        relays = read_relays(root, "relay", pushgateway)
        tariffs = root.read("tariffs", read_tariffs)
        if all(root.values.get(sink) is None for sink in ("pushgateway", "remote_write", "pull")):
            root.problem(
                "pushgateway", "is missing, and so are remote_write and pull: say where the readings go; " + _SMALLEST
            )
        return Config(
            interval_seconds=interval_seconds,
            timezone=timezone,
            state_directory=self._folder / state_directory if state_directory else self._state_directory,
            batteries=batteries,
            pushgateway=pushgateway,
            remote_write=remote_write,
            pull=pull,
            relays=relays,
            tariffs=tariffs,
        )

    def _battery(self, section: Section) -> BatteryConfig:
        name = section.required_text("name", "home")
        battery = BatteryConfig(
            name=name,
            url=section.url("url", "http://192.168.1.20"),
            token=read_secret(section, "token_file", self._folder, credential(self._credentials, f"token-{name}")),
            labels=read_labels(section, "labels", OUR_LABELS),
        )
        section.close()
        return battery

    def _pull(self, section: Section) -> PullConfig:
        listen = section.required_text("listen", "127.0.0.1:9422")
        host, _, port = listen.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if listen and not (host and port.isdecimal() and 0 < int(port) < 65536):
            section.problem("listen", f"should be an address and a port, such as 127.0.0.1:9422, got {listen!r}")
            return PullConfig(host="", port=0)
        return PullConfig(host=host, port=int(port or 0))
