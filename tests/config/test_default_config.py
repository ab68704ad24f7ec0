"""The config file that the package brings: good as it is, and whole."""

import re
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
import yaml

from sonnen_agent.battery import BatteryOptions
from sonnen_agent.config.load import Config, load_config
from sonnen_agent.destination import Destination, Secret
from sonnen_agent.outputs import OUTPUTS, pull, pushgateway

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

DEFAULT_CONFIG = Path(__file__).parents[2] / "systemd/config.yml"

Load = Callable[[str], Config]
Problems = Callable[[str], list[str]]

# A key that is switched off in the default config has no space behind its "#"; a sentence has one.
SWITCHED_OFF = re.compile(r"^( *)#(?=\S)", re.MULTILINE)
RECEIVERS = ("pushgateway", "remote-write")
SECRETS = ("password", "token", "proxy-password")
LOGINS = pytest.mark.parametrize("other_login", [("bearer_token_file",), ("username", "password_file")])


def switched_on(*without: str) -> str:
    lines = SWITCHED_OFF.sub(r"\1", DEFAULT_CONFIG.read_text()).splitlines(keepends=True)
    return "".join(line for line in lines if line.strip().partition(":")[0] not in without)


def add_files_of_default_config(folder: Path) -> None:
    for name in ("home.token", *(f"{who}.{what}" for who in RECEIVERS for what in SECRETS)):
        (folder / name).write_text("hunter2\n")
        (folder / name).chmod(0o600)
    for name in ("battery.pem", "gateway-ca.pem", "remote-write-ca.pem"):
        trustme.CA().cert_pem.write_to_path(folder / name)


def mappings(value: object, path: str = "") -> Iterator[tuple[str, dict[str, object]]]:
    """Yield every mapping of ours in a document, by its path; some have keys that are the user's."""
    if isinstance(value, dict):
        yield path, value
        for key, below in value.items():
            if key not in {"labels", "external_labels", "headers"}:
                yield from mappings(below, f"{path}.{key}".removeprefix("."))
    elif isinstance(value, list):
        for position, below in enumerate(value):
            yield from mappings(below, f"{path}[{position}]")


def sections(config: Config) -> "Iterator[DataclassInstance]":
    """Yield what a config is made of; every section has to be there."""
    assert tuple(config.outputs) == OUTPUTS
    for field in fields(config):
        value = getattr(config, field.name)
        assert value is not None, field.name
        yield from _parts(value)


def _parts(value: object) -> "Iterator[DataclassInstance]":
    if isinstance(value, tuple | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _parts(part)
    elif is_dataclass(value) and not isinstance(value, type):
        yield value


def test_the_default_config_is_good_as_it_is() -> None:
    config = load_config(DEFAULT_CONFIG, None)
    assert [battery.destination.url for battery in config.batteries] == ["http://192.168.1.20"]
    assert config == Config(
        batteries=(BatteryOptions(name="home", destination=Destination(url="http://192.168.1.20")),),
        outputs={"pushgateway": pushgateway.Options(destination=Destination(url="http://gateway.example:9091"))},
    )


@LOGINS
def test_the_default_config_is_good_with_everything_switched_on(
    load: Load, tmp_path: Path, other_login: tuple[str, ...]
) -> None:
    add_files_of_default_config(tmp_path)
    config = load(switched_on(*other_login))
    assert config.batteries[0].token == Secret("hunter2")
    assert config.batteries[0].labels == {"host": "sonnen-a", "sn": "Psb12345"}
    assert config.outputs["pull"] == pull.Options(host="127.0.0.1", port=9422)


@LOGINS
def test_every_default_in_the_default_config_is_the_default_of_the_code(
    load: Load, tmp_path: Path, other_login: tuple[str, ...]
) -> None:
    add_files_of_default_config(tmp_path)
    config = load(switched_on(*other_login))
    for part in (config, *sections(config)):
        for field in fields(part):
            if field.default not in (MISSING, None, (), frozenset()):
                assert getattr(part, field.name) == field.default, field.name


def test_the_default_config_holds_every_key_that_there_is(problems: Problems) -> None:
    document = yaml.safe_load(switched_on())
    everything = dict(mappings(document))
    present: dict[str, set[str]] = {}
    for path, mapping in everything.items():
        present.setdefault(any_period(path), set()).update(mapping)
        mapping["?"] = None
    known = {
        any_period(found[1].rstrip(".")): set(found[2].split(", "))
        for problem in problems(yaml.safe_dump(document))
        if (found := re.fullmatch(r"(.*)\?: unknown key; known here are (.*)", problem))
    }
    assert {"", "batteries[0]", "pushgateway", "pull"} <= set(known)
    assert known == present


def any_period(path: str) -> str:
    """All periods of all tariffs know the same keys, and not each uses them all."""
    return re.sub(r"(import|export)\[\d+\]", "period", path)


def test_every_key_of_the_default_config_has_its_sentence_above_it() -> None:
    lines = DEFAULT_CONFIG.read_text().splitlines()
    for above, line in pairwise(lines):
        if re.match(r" *#?(- )?\w+:", line):
            assert re.match(r" *# \w", above), line
