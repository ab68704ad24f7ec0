"""The four generations: which house stands behind them, and which paths they answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal, get_args

from sonnen_agent.simulator.faces import configurations, eco6, hardware, latestdata, powermeter, status
from sonnen_agent.simulator.faces.view import View
from sonnen_agent.simulator.pages import NOT_FOUND_HTML, NOT_FOUND_XHTML
from sonnen_agent.simulator.parameters import HouseParameters

GenerationName = Literal["eco8", "sb10", "evo", "eco6"]
GENERATION_NAMES: tuple[GenerationName, ...] = get_args(GenerationName)

Endpoint = Literal["status", "powermeter", "inverter", "battery", "latestdata", "configurations"]
ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)
"""The kinds of answers, whatever the path and the generation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One path a battery answers."""

    endpoint: Endpoint
    body: Callable[[View], object]
    """The answer's JSON value; a string is sent as plain text."""
    protected: bool = False
    """Whether it asks for the `Auth-Token`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A kind of battery."""

    name: GenerationName
    house: HouseParameters
    routes: Mapping[str, Route]
    session_paths: frozenset[str]
    """Dashboard paths, which want a login that is not simulated: always 401."""
    not_found_page: str
    unauthorized_error: str
    """The `error` of a 401 (SONNEN_API 3)."""


def generation_named(name: GenerationName) -> Generation:
    """Return everything that tells one generation from the others."""
    return {"eco8": _eco8, "sb10": _sb10, "evo": _evo, "eco6": _eco6}[name]()


def _eco8() -> Generation:
    """Return a battery with old firmware: v1 and the legacy API, both open, and no v2."""
    return Generation(
        name="eco8",
        house=HouseParameters(
            pv_peak_watts=6400.0,
            capacity_watt_hours=8000.0,
            marketing_capacity_watt_hours=2000,
            modules=4,
            cells_in_series=16,
            max_charge_watts=3000.0,
            max_discharge_watts=3000.0,
            efficiency=0.94,
            deep_discharge_reserve_percent=5.0,
            backup_buffer_percent=0,
        ),
        routes=MappingProxyType(
            {
                "/api/v1/status": Route(endpoint="status", body=status.eco8_status),
                "/api/powermeter": Route(endpoint="powermeter", body=powermeter.legacy_powermeter),
                "/api/inverter": Route(endpoint="inverter", body=hardware.legacy_inverter),
            }
        ),
        session_paths=frozenset(),
        not_found_page=NOT_FOUND_HTML,
        unauthorized_error="401 Unauthorized",
    )


def _sb10() -> Generation:
    """Return a sonnenBatterie 10 with the software of 2022."""
    return Generation(
        name="sb10",
        house=HouseParameters(),
        routes=MappingProxyType(
            {
                "/api/v1/status": Route(endpoint="status", body=status.sb10_v1_status),
                "/api/v2/status": Route(endpoint="status", body=status.sb10_status),
                "/api/v2/latestdata": Route(endpoint="latestdata", body=latestdata.sb10_latestdata, protected=True),
                "/api/v2/powermeter": Route(endpoint="powermeter", body=powermeter.powermeter_list, protected=True),
                "/api/v2/battery": Route(endpoint="battery", body=hardware.sb10_battery, protected=True),
                "/api/v2/inverter": Route(endpoint="inverter", body=hardware.sb10_inverter, protected=True),
                **_configurations(configurations.sb10_configurations),
            }
        ),
        session_paths=frozenset({"/api/powermeter", "/api/inverter"}),
        not_found_page=NOT_FOUND_HTML,
        unauthorized_error="401 Unauthorized",
    )


def _evo() -> Generation:
    """Return an EVO with the newest software, in a house with one phase."""
    return Generation(
        name="evo",
        house=HouseParameters(
            phases=1,
            capacity_watt_hours=20683.49,
            marketing_capacity_watt_hours=5000,
            modules=4,
            max_charge_watts=5000.0,
            max_discharge_watts=5000.0,
            own_use_watts=21.0,
            backup_buffer_percent=20,
            initial_state_of_charge_percent=60.0,
            earlier_cycles=30.2,
        ),
        routes=MappingProxyType(
            {
                "/api/v1/status": Route(endpoint="status", body=status.evo_v1_status),
                "/api/v2/status": Route(endpoint="status", body=status.evo_status),
                "/api/v2/latestdata": Route(endpoint="latestdata", body=latestdata.evo_latestdata, protected=True),
                "/api/v2/powermeter": Route(endpoint="powermeter", body=powermeter.powermeter_list, protected=True),
                "/api/v2/battery": Route(endpoint="battery", body=hardware.evo_battery, protected=True),
                "/api/v2/inverter": Route(endpoint="inverter", body=hardware.evo_inverter, protected=True),
                **_configurations(configurations.evo_configurations),
            }
        ),
        session_paths=frozenset({"/api/powermeter", "/api/inverter"}),
        not_found_page=NOT_FOUND_HTML,
        unauthorized_error="Unauthorized",
    )


def _eco6() -> Generation:
    """Return a battery of the port 7979 generation, which knows numbered values only."""
    base = "/rest/devices/battery"
    codes = {f"{base}/{code}": Route(endpoint="status", body=partial(eco6.one_code, code=code)) for code in eco6.CODES}
    return Generation(
        name="eco6",
        house=HouseParameters(
            pv_peak_watts=5200.0,
            capacity_watt_hours=6000.0,
            marketing_capacity_watt_hours=2000,
            modules=3,
            cells_in_series=16,
            max_charge_watts=2500.0,
            max_discharge_watts=2500.0,
            efficiency=0.92,
            deep_discharge_reserve_percent=5.0,
            backup_buffer_percent=0,
        ),
        routes=MappingProxyType({base: Route(endpoint="status", body=eco6.all_codes), **codes}),
        session_paths=frozenset(),
        not_found_page=NOT_FOUND_XHTML,
        unauthorized_error="401 Unauthorized",
    )


def _configurations(body: Callable[[View], dict[str, object]]) -> dict[str, Route]:
    return {"/api/v2/configurations": Route(endpoint="configurations", body=body, protected=True)}
