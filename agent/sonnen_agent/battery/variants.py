"""The variants of the API that batteries speak, in the order they are tried, and what each offers.

docs/battery-api.md 1 has where they were seen. A variant is where a status was found; the locations of a slow
endpoint are where its details may be, best first. A port in the config's URL is the only one tried.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from sonnen_agent.battery import parsers
from sonnen_agent.destination import Destination
from sonnen_agent.details import Configuration, Inverter, Meter, Pack, System
from sonnen_agent.reading import Endpoint

Generation = Literal["v2", "v1", "eco6"]

Detail = tuple[Meter, ...] | Inverter | Pack | System | Configuration
"""What a slow endpoint tells."""

_STATUS_PATHS: dict[Generation, str] = {"v2": "/api/v2/status", "v1": "/api/v1/status", "eco6": "/rest/devices/battery"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A place that may answer."""

    port: int
    path: str
    with_token: bool = False
    keys: tuple[str, ...] = ()
    """With these, the object is put together from what `path/KEY` tells of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiVariant:
    """One API on one port, which may answer with a status."""

    generation: Generation
    port: int

    @property
    def status(self) -> Location:
        """Where its status is, for which no token is needed."""
        return Location(port=self.port, path=_STATUS_PATHS[self.generation])


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowEndpoint:
    """An endpoint that is not asked every beat: how often it is, and who understands it."""

    period_seconds: float
    parse: Callable[[object], Detail]
    part: str
    """The field of a Reading that it fills."""
    legacy: bool = False
    """Whether old firmware serves it without a token, too."""
    rare: bool = False
    """Whether hardly any does, so that it is no news where it is not there."""


SLOW_ENDPOINTS: dict[Endpoint, SlowEndpoint] = {
    "powermeter": SlowEndpoint(period_seconds=15, parse=parsers.parse_meters, part="meters", legacy=True),
    "latestdata": SlowEndpoint(period_seconds=60, parse=parsers.parse_system, part="system"),
    "battery": SlowEndpoint(period_seconds=60, parse=parsers.parse_pack, part="pack", legacy=True, rare=True),
    "inverter": SlowEndpoint(period_seconds=60, parse=parsers.parse_inverter, part="inverter", legacy=True),
    "configurations": SlowEndpoint(period_seconds=600, parse=parsers.parse_configuration, part="configuration"),
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
    found: list[Location] = []
    if variant.generation == "v2" and has_token:
        found.append(Location(port=variant.port, path=f"/api/v2/{endpoint}", with_token=True))
        if endpoint == "configurations":
            found.append(replace(found[0], keys=parsers.CONFIGURATION_KEYS))
    if variant.generation != "eco6" and SLOW_ENDPOINTS[endpoint].legacy:
        one_port = destination.parts.port is not None or variant.port == 8080
        ports = [variant.port] if one_port else [variant.port, 8080]
        found += [Location(port=port, path=f"/api/{endpoint}") for port in ports]
    return tuple(found)
