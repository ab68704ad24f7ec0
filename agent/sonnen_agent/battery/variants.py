"""The variants of the API that batteries speak, in the order they are tried, and what each offers.

docs/battery-api.md 1 has where they were seen. A variant is where a status was found; the locations of a slow
endpoint are where its details may be, best first. A port in the config's URL is the only one tried.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from sonnen_agent.battery import parsers
from sonnen_agent.destination import Destination
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
class ApiVariant:
    """One API on one port, which may answer with a status."""

    generation: Generation
    port: int

    @property
    def path(self) -> str:
        """The path of its status."""
        return _STATUS_PATHS[self.generation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A place that may answer for a slow endpoint."""

    port: int
    path: str
    with_token: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowEndpoint:
    """An endpoint that is not asked every beat: how often it is, and who understands it."""

    period_seconds: float
    parse: Callable[[object], Detail]
    v2_path: str
    legacy_path: str | None = None
    """Where old firmware serves it without a token."""


SLOW_ENDPOINTS: dict[Endpoint, SlowEndpoint] = {
    "powermeter": SlowEndpoint(
        period_seconds=15,
        parse=parsers.parse_meters,
        v2_path="/api/v2/powermeter",
        legacy_path="/api/powermeter",
    ),
    "latestdata": SlowEndpoint(period_seconds=60, parse=parsers.parse_system, v2_path="/api/v2/latestdata"),
    "battery": SlowEndpoint(period_seconds=60, parse=parsers.parse_pack, v2_path="/api/v2/battery"),
    "inverter": SlowEndpoint(
        period_seconds=60,
        parse=parsers.parse_inverter,
        v2_path="/api/v2/inverter",
        legacy_path="/api/inverter",
    ),
    "configurations": SlowEndpoint(
        period_seconds=600, parse=parsers.parse_configuration, v2_path="/api/v2/configurations"
    ),
}


def variants(destination: Destination) -> Iterable[ApiVariant]:
    """Yield the variants to try, the newest first: a v1 answer has fewer details behind it."""
    only_port = destination.parts.port
    yield ApiVariant(generation="v2", port=destination.port)
    yield ApiVariant(generation="v1", port=destination.port)
    if only_port is None:
        yield ApiVariant(generation="v1", port=8080)
    yield ApiVariant(generation="eco6", port=only_port or 7979)


def locations(
    endpoint: Endpoint, variant: ApiVariant, destination: Destination, *, has_token: bool
) -> tuple[Location, ...]:
    """Return where to ask for a slow endpoint, best first; nowhere on an eco 6, which tells all in one answer."""
    slow = SLOW_ENDPOINTS[endpoint]
    found: list[Location] = []
    if variant.generation == "v2" and has_token:
        found.append(Location(port=variant.port, path=slow.v2_path, with_token=True))
    if variant.generation != "eco6" and slow.legacy_path is not None:
        one_port = destination.parts.port is not None or variant.port == 8080
        ports = [variant.port] if one_port else [variant.port, 8080]
        found.extend(Location(port=port, path=slow.legacy_path, with_token=False) for port in ports)
    return tuple(found)
