"""The four generations, as generations.yml describes them: a new one is a new entry there."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any, Literal, get_args

import yaml

from sonnen_agent.simulator.firmware import FirmwareState, plain
from sonnen_agent.simulator.parameters import HouseParameters

GenerationName = Literal["eco8", "sb10", "evo", "eco6"]
GENERATION_NAMES: tuple[GenerationName, ...] = get_args(GenerationName)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One path a battery answers."""

    template: object
    """The answer, with names in place of what changes."""
    protected: bool = False
    """Whether it asks for the `Auth-Token`."""
    plain_text: bool = False
    """Whether it is one value as text with a trailing newline; all else is JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A kind of battery."""

    house: HouseParameters
    routes: Mapping[str, Route]
    session_paths: frozenset[str]
    """Dashboard paths, which want a login that is not simulated: always 401."""
    not_found_page: str
    unauthorized_error: str
    """The `error` of a 401 (docs/battery-api.md 3)."""
    plain_numbers: bool
    """Whether a whole number is written without a fraction, also where others would have one."""

    def body(self, route: Route, firmware: FirmwareState) -> object:
        """Return what a path answers now."""
        return self._filled(route.template, firmware.values())

    def _filled(self, template: object, values: Mapping[str, object]) -> object:
        match template:
            case dict():
                return {name: self._filled(part, values) for name, part in template.items()}
            case list():
                return [self._filled(part, values) for part in template]
            case str() if template.startswith("$"):
                name, _, decimals = template[1:].partition(":")
                value, _ = Formatter().get_field(name, (), values)
                if decimals:
                    value = round(value, int(decimals) or None)
            case str():
                return template.format_map(values)
            case _:
                value = template
        return plain(value) if self.plain_numbers and isinstance(value, float) else value


@cache
def generation_named(name: GenerationName) -> Generation:
    """Return everything that tells one generation from the others."""
    file = Path(__file__).with_name("generations.yml")
    entry: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))[name]
    numbered: dict[str, dict[str, object]] = entry.get("numbered", {})
    return Generation(
        house=HouseParameters(**entry["house"]),
        routes={
            **{path: Route(template=template) for path, template in (entry.get("open", {}) | numbered).items()},
            **{path: Route(template=template, protected=True) for path, template in entry.get("protected", {}).items()},
            # Each number has a path of its own beside that of all.
            **{
                f"{path}/{number}": Route(template=template, plain_text=True)
                for path, numbers in numbered.items()
                for number, template in numbers.items()
            },
        },
        session_paths=frozenset(entry.get("session", ())),
        not_found_page=entry["not_found_page"],
        unauthorized_error=entry.get("unauthorized_error", "401 Unauthorized"),
        plain_numbers=entry.get("plain_numbers", False),
    )
