"""The four generations: which house stands behind them, and which paths they answer."""

from collections.abc import Callable
from functools import partial
from types import MappingProxyType
from typing import Literal, get_args

from sonnen_agent.simulator import hardware_responses, status_responses, system_responses
from sonnen_agent.simulator.firmware import NOT_FOUND_HTML, NOT_FOUND_XHTML, FirmwareState
from sonnen_agent.simulator.parameters import HouseParameters
from sonnen_agent.simulator.routes import CONFIGURATIONS, Generation, Route

GenerationName = Literal["eco8", "sb10", "evo", "eco6"]
GENERATION_NAMES: tuple[GenerationName, ...] = get_args(GenerationName)

_Body = Callable[[FirmwareState], object]


def generation_named(name: GenerationName) -> Generation:
    """Return everything that tells one generation from the others."""
    return {"eco8": _eco8, "sb10": _sb10, "evo": _evo, "eco6": _eco6}[name]()


def _eco8() -> Generation:
    """Return a battery with old firmware: v1 and the legacy API, both open, and no v2."""
    return Generation(
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
                "/api/v1/status": Route(body=status_responses.eco8_status),
                "/api/powermeter": Route(body=hardware_responses.legacy_powermeter),
                "/api/inverter": Route(body=hardware_responses.legacy_inverter),
            }
        ),
        not_found_page=NOT_FOUND_HTML,
    )


def _sb10() -> Generation:
    """Return a sonnenBatterie 10 with the software of 2022."""
    return _with_v2(
        house=HouseParameters(),
        v1_status=status_responses.sb10_v1_status,
        status=status_responses.sb10_status,
        latestdata=system_responses.sb10_latestdata,
        battery=hardware_responses.sb10_battery,
        inverter=hardware_responses.sb10_inverter,
        configurations=system_responses.sb10_configurations,
        unauthorized_error="401 Unauthorized",
    )


def _evo() -> Generation:
    """Return an EVO with the newest software, in a house with one phase."""
    return _with_v2(
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
        v1_status=status_responses.evo_v1_status,
        status=status_responses.evo_status,
        latestdata=system_responses.evo_latestdata,
        battery=hardware_responses.evo_battery,
        inverter=hardware_responses.evo_inverter,
        configurations=system_responses.evo_configurations,
        unauthorized_error="Unauthorized",
    )


def _with_v2(  # noqa: PLR0913 - one for each endpoint that generations answer differently
    *,
    house: HouseParameters,
    v1_status: _Body,
    status: _Body,
    latestdata: _Body,
    battery: _Body,
    inverter: _Body,
    configurations: _Body,
    unauthorized_error: str,
) -> Generation:
    """Return a battery whose status is open on v1 and v2, and that asks for a token for all else of v2."""
    return Generation(
        house=house,
        routes=MappingProxyType(
            {
                "/api/v1/status": Route(body=v1_status),
                "/api/v2/status": Route(body=status),
                "/api/v2/latestdata": Route(body=latestdata, protected=True),
                "/api/v2/powermeter": Route(body=hardware_responses.powermeter_list, protected=True),
                "/api/v2/battery": Route(body=battery, protected=True),
                "/api/v2/inverter": Route(body=inverter, protected=True),
                CONFIGURATIONS: Route(body=configurations, protected=True),
            }
        ),
        session_paths=frozenset({"/api/powermeter", "/api/inverter"}),
        not_found_page=NOT_FOUND_HTML,
        unauthorized_error=unauthorized_error,
    )


def _eco6() -> Generation:
    """Return a battery of the port 7979 generation, which knows numbered values only."""
    base = "/rest/devices/battery"
    codes = {
        f"{base}/{code}": Route(body=partial(status_responses.eco6_one_code, code=code))
        for code in status_responses.ECO6_CODES
    }
    return Generation(
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
        routes=MappingProxyType({base: Route(body=status_responses.eco6_all_codes), **codes}),
        not_found_page=NOT_FOUND_XHTML,
    )
