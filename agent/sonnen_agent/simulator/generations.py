"""The four generations, as generations.yml describes them: a new one is a new entry there."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any, Literal, get_args

import yaml

from sonnen_agent.simulator.firmware import plain
from sonnen_agent.simulator.profiles import HouseParameters

GenerationName = Literal["eco8", "sb10", "evo", "eco6"]
GENERATION_NAMES: tuple[GenerationName, ...] = get_args(GenerationName)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A kind of battery."""

    house: HouseParameters
    routes: Mapping[str, object]
    """What each path answers, with names in place of what changes: an object, a list, or one value as text."""
    protected: Collection[str] = ()
    """The paths that ask for the `Auth-Token`."""
    session: Collection[str] = ()
    """Dashboard paths, which want a login that is not simulated: always 401."""
    not_found_page: str
    unauthorized_error: str = "401 Unauthorized"
    """The `error` of a 401 (docs/battery-api.md 3)."""
    plain_numbers: bool = False
    """Whether a whole number is written without a fraction, also where others would have one."""

    def filled(self, template: object, values: Mapping[str, object]) -> object:
        """Return what a path answers now; FirmwareState.values() has the names."""
        match template:
            case dict():
                return {name: self.filled(part, values) for name, part in template.items()}
            case list():
                return [self.filled(part, values) for part in template]
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
    routes = entry.pop("open", {}) | entry.get("protected", {})
    for path, numbers in entry.pop("numbered", {}).items():
        # Each number has a path of its own beside that of all.
        routes |= {path: numbers, **{f"{path}/{number}": template for number, template in numbers.items()}}
    return Generation(house=HouseParameters(**entry.pop("house")), routes=routes, **entry)
