"""The faces a battery can show, in the order they are tried, and what each offers (SONNEN_API 1).

A face is where a status was found; the sources of an endpoint are where its details may be, best
first. A port in the config's URL is the only one tried.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from sonnen_agent.battery import parsers
from sonnen_agent.battery.client import Address
from sonnen_agent.reading import Configuration, Endpoint, Inverter, Meter, Pack, System

Generation = Literal["v2", "v1", "eco6"]

Detail = tuple[Meter, ...] | Inverter | Pack | System | Configuration
"""What a slow endpoint tells."""

_STATUS_PATHS: dict[Generation, str] = {
    "v2": "/api/v2/status",
    "v1": "/api/v1/status",
    "eco6": "/rest/devices/battery",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """A place that may answer with a status."""

    generation: Generation
    port: int

    @property
    def path(self) -> str:
        """The path of its status."""
        return _STATUS_PATHS[self.generation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A place that may answer for a slow endpoint."""

    port: int
    path: str
    with_token: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """A slow endpoint: how often it is asked, and who understands it."""

    period_seconds: float
    parse: Callable[[object], Detail]
    v2_path: str
    legacy_path: str | None = None
    """Where old firmware serves it without a token."""


SLOW: dict[Endpoint, Slow] = {
    "powermeter": Slow(
        period_seconds=15,
        parse=parsers.parse_meters,
        v2_path="/api/v2/powermeter",
        legacy_path="/api/powermeter",
    ),
    "latestdata": Slow(period_seconds=60, parse=parsers.parse_system, v2_path="/api/v2/latestdata"),
    "battery": Slow(period_seconds=60, parse=parsers.parse_pack, v2_path="/api/v2/battery"),
    "inverter": Slow(
        period_seconds=60,
        parse=parsers.parse_inverter,
        v2_path="/api/v2/inverter",
        legacy_path="/api/inverter",
    ),
    "configurations": Slow(period_seconds=600, parse=parsers.parse_configuration, v2_path="/api/v2/configurations"),
}


def candidates(address: Address) -> Iterable[Face]:
    """Yield the faces to try, the newest first: a v1 answer has fewer details behind it."""
    web = 443 if address.scheme == "https" else 80
    yield Face(generation="v2", port=address.port or web)
    yield Face(generation="v1", port=address.port or web)
    if address.port is None:
        yield Face(generation="v1", port=8080)
    yield Face(generation="eco6", port=address.port or 7979)


def sources(endpoint: Endpoint, face: Face, address: Address, *, has_token: bool) -> tuple[Source, ...]:
    """Return where to ask for a slow endpoint, best first; nowhere on an eco 6, which tells all in one answer."""
    slow = SLOW[endpoint]
    found: list[Source] = []
    if face.generation == "v2" and has_token:
        found.append(Source(port=face.port, path=slow.v2_path, with_token=True))
    if face.generation != "eco6" and slow.legacy_path is not None:
        ports = [face.port] if address.port is not None or face.port == 8080 else [face.port, 8080]
        found.extend(Source(port=port, path=slow.legacy_path, with_token=False) for port in ports)
    return tuple(found)
