"""Every recorded answer of a real battery, from the network to the page that would be pushed.

The answers are not part of this project. Who has some names their folder in SONNEN_RECORDED_ANSWERS: each is a
file, and the table EXPECTED.json beside them says what a right reader makes of it.
"""

import json
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pytest_httpserver import HTTPServer
from status_fields import FLOWS, STATUS_FIELDS

from sonnen_agent.cli import main

if "SONNEN_RECORDED_ANSWERS" not in os.environ:
    pytest.skip(
        "SONNEN_RECORDED_ANSWERS names no folder: set it to one with recorded answers of real batteries (JSON) and an"
        " EXPECTED.json that says what each means, to test that they are read so",
        allow_module_level=True,
    )
FOLDER = Path(os.environ["SONNEN_RECORDED_ANSWERS"])

Case = Mapping[str, Any]
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""Values by name and sorted labels."""

CASES: list[Case] = json.loads((FOLDER / "EXPECTED.json").read_text())
TOKEN = "the-token"

PATHS = {
    "status": "/api/v2/status",
    "latestdata": "/api/v2/latestdata",
    "powermeter": "/api/v2/powermeter",
    "battery": "/api/v2/battery",
    "inverter": "/api/v2/inverter",
    "configurations": "/api/v2/configurations",
    "io": "/api/v2/io",
    "legacy_inverter": "/api/inverter",
}
STATUS = {"Production_W": 800, "Consumption_W": 500, "GridFeedIn_W": 300, "Pac_total_W": 0}
"""A status for the answers of other endpoints, which come to nothing without one."""

STATUS_METRICS = {field.recorded: field.metric for field in STATUS_FIELDS} | {
    "on_grid": "sonnen_on_grid",
    "discharge_not_allowed": "sonnen_discharge_not_allowed",
    "power_balance_w": "sonnen_power_balance_watts",
}
BATTERY_METRICS = {
    "cycles": "sonnen_battery_cycles_total",
    "current_a": "sonnen_battery_current_amperes",
    "alarm": "sonnen_system_alarm",
    "warning": "sonnen_system_warning",
    "full_charge_wh": "sonnen_full_charge_capacity_watt_hours",
}
ALWAYS = {"sonnen_online", "sonnen_endpoint_up", "sonnen_last_reading_timestamp_seconds"}
OF_EVERY_READING = {*ALWAYS, "sonnen_battery_info"}


def cases(*kinds: str) -> list[Any]:
    """Return the files of some kinds."""
    return [pytest.param(case, id=case["file"]) for case in CASES if case["kind"] in kinds]


def body_of(case: Case) -> bytes:
    return FOLDER.joinpath(case["file"]).read_bytes()


def document_of(case: Case) -> Any:  # noqa: ANN401 - recorded JSON
    return json.loads(body_of(case))


def path_of(case: Case) -> str:
    return "/api/v1/status" if "-v1status-" in case["file"] else PATHS[case["kind"]]


class Page:
    """What `once` printed for the battery."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        group = text.partition('# group job="sonnen" instance="home"\n')[2].partition("# group ")[0]
        samples = [sample for family in text_string_to_metric_families(group) for sample in family.samples]
        self.series: Series = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}
        assert len(self.series) == len(samples), "a series stands twice on the page"

    def names(self) -> set[str]:
        return {name for name, _ in self.series}

    def without(self, *names: str) -> Series:
        """Return the series of all other metrics."""
        return {key: value for key, value in self.series.items() if key[0] not in names}

    def one(self, name: str, **labels: str) -> float:
        return self.series[name, tuple(sorted(labels.items()))]


class Once:
    """Runs the command against a battery of a few answers; every other path of it is a 404."""

    def __init__(self, server: HTTPServer, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._server = server
        self._folder = folder
        self._capsys = capsys

    def __call__(self, answers: Mapping[str, bytes], *, status: int = 200) -> Page:
        for path, body in answers.items():
            self._server.expect_request(path).respond_with_data(body, status=status)
        self._server.expect_request(re.compile("")).respond_with_data("Page not found", status=404)
        token_file = self._folder / "token"
        token_file.write_text(TOKEN)
        token_file.chmod(0o600)
        config = self._folder / "config.yml"
        config.write_text(
            f"batteries: [{{name: home, url: '{self._server.url_for('')}', token_file: token}}]\n"
            "pushgateway: {url: 'http://127.0.0.1:9'}\n"
        )
        code = main(["once", "--config", str(config)])
        return Page(code, self._capsys.readouterr().out)

    @property
    def asked(self) -> set[str]:
        return {request.path for request, _ in self._server.log}


@pytest.fixture
def once(httpserver: HTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Once:
    return Once(httpserver, tmp_path, capsys)


def series(name: str, value: float | None, **labels: str) -> Series:
    """Return one series, or none for a null."""
    return {} if value is None else {(name, tuple(sorted(labels.items()))): float(value)}


def of_a_status(case: Case) -> Series:
    expect = case["expect"]
    found: Series = {}
    for key, name in STATUS_METRICS.items():
        found |= series(name, expect[key])
    for phase, voltamperes in enumerate(expect["apparent_va_phase"], 1):
        found |= series("sonnen_apparent_output_voltamperes", voltamperes, phase=str(phase))
    for key, (source, target) in FLOWS.items():
        if key in document_of(case):
            found |= series("sonnen_flow_active", key in expect["flows"], **{"from": source, "to": target})
    return found


def beside_a_status(page: Page) -> Series:
    """Return the series that an answer of another endpoint added to those of `STATUS`."""
    own = {STATUS_METRICS[key] for key in ("production_w", "consumption_w", "grid_feed_in_w", "battery_discharge_w")}
    assert page.code == 0
    assert page.one("sonnen_online") == 1
    assert own <= page.names()
    return page.without(*OF_EVERY_READING, *own, "sonnen_power_balance_watts")


def test_every_recorded_answer_is_of_a_kind_tested_here() -> None:
    assert {case["kind"] for case in CASES} <= {*PATHS, "error"}
    on_disk = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()}
    assert on_disk - {"README.md", "EXPECTED.json"} == {case["file"] for case in CASES}


@pytest.mark.parametrize("case", cases("status"))
def test_a_status_is_exported_as_it_was_meant(once: Once, case: Case) -> None:
    page = once({path_of(case): body_of(case)})

    assert page.code == 0
    assert page.one("sonnen_online") == 1
    assert page.without(*OF_EVERY_READING) == of_a_status(case)
    assert page.one("sonnen_endpoint_up", endpoint="status") == 1
    generation = "v1" if path_of(case) == "/api/v1/status" else "v2"
    assert page.one("sonnen_battery_info", firmware="", model="", generation=generation) == 1


@pytest.mark.parametrize("case", cases("status"))
def test_a_status_means_the_same_at_v1_and_v2(once: Once, case: Case) -> None:
    other = "/api/v1/status" if path_of(case) == "/api/v2/status" else "/api/v2/status"

    assert once({other: body_of(case)}).without(*OF_EVERY_READING) == of_a_status(case)


def states(case: Case) -> Series:
    """Return what latestdata says in words."""
    expect, core = case["expect"], document_of(case)["ic_status"]
    found: Series = {}
    for component in ("bms", "core", "inverter"):
        found |= series("sonnen_component_state", 1, component=component, state=expect[f"state_{component}"])
    for led, lit in core["Eclipse Led"].items():
        if isinstance(lit, bool):
            found |= series("sonnen_eclipse_led", led in expect["led_on"], led=led)
    for reason in core["DC Shutdown Reason"]:
        found |= series("sonnen_dc_shutdown_reason", reason in expect["dc_shutdown_reasons"], reason=reason)
    return found


def is_booting(case: Case) -> bool:
    return bool(case["expect"]["state_bms"] == "not ready")


@pytest.mark.parametrize("case", [case for case in cases("latestdata") if not is_booting(*case.values)])
def test_latestdata_is_exported_without_its_powers(once: Once, case: Case) -> None:
    expect = case["expect"]
    stamped = STATUS | {"Timestamp": expect["timestamp_local"]}
    page = once({PATHS["status"]: json.dumps(stamped).encode(), path_of(case): body_of(case)})

    milliampere_hours = expect["full_charge_capacity_as_reported"] == 48828
    capacity = None if milliampere_hours else expect["full_charge_capacity_as_reported"]
    found = beside_a_status(page)
    offset = found.pop(("sonnen_clock_offset_seconds", ()))
    assert found == {
        **states(case),
        **series("sonnen_battery_modules", expect["battery_modules"]),
        **series("sonnen_seconds_since_full_charge", expect["seconds_since_full_charge"]),
        **series("sonnen_full_charge_capacity_watt_hours", capacity),
    }
    clock = datetime.fromisoformat(expect["timestamp_local"]).replace(tzinfo=UTC).timestamp()
    now = page.one("sonnen_last_reading_timestamp_seconds")
    assert now + offset == pytest.approx(clock - expect["utc_offset_hours"] * 3600, abs=0.01)
    assert page.one("sonnen_production_watts") == 800
    assert page.one("sonnen_endpoint_up", endpoint="latestdata") == 1


@pytest.mark.parametrize("case", [case for case in cases("latestdata") if is_booting(*case.values)])
def test_a_starting_battery_shows_its_states_and_no_readings(once: Once, case: Case) -> None:
    page = once({PATHS["status"]: json.dumps(STATUS).encode(), path_of(case): body_of(case)})

    assert page.code == 1
    assert page.one("sonnen_online") == 0
    assert page.without(*ALWAYS) == states(case)
    assert "sonnen_last_reading_timestamp_seconds" not in page.names()


@pytest.mark.parametrize("case", cases("powermeter"))
def test_power_meters_are_exported_by_direction_phase_and_device(once: Once, case: Case) -> None:
    page = once({PATHS["status"]: json.dumps(STATUS).encode(), path_of(case): body_of(case)})

    expected: Series = {}
    for meter in case["expect"]["meters"]:
        own = {"direction": meter["direction"], "meter": f"{meter['deviceid']}_{meter['channel']}"}
        expected |= series("sonnen_meter_error", meter["error"], **own)
        if not meter["valid"]:
            continue
        expected |= series("sonnen_meter_total_watts", meter["w_total"], **own)
        expected |= series("sonnen_meter_imported_watt_hours_total", meter["kwh_imported"] * 1000, **own)
        expected |= series("sonnen_meter_exported_watt_hours_total", meter["kwh_exported"] * 1000, **own)
        phases = zip(("1", "2", "3"), meter["volts"], meter["amps"], meter["watts"], strict=True)
        for phase, volts, amperes, watts in phases:
            if volts == 0:
                continue
            expected |= series("sonnen_meter_volts", volts, phase=phase, **own)
            expected |= series("sonnen_meter_current", amperes, phase=phase, **own)
            expected |= series("sonnen_meter_watts", watts, phase=phase, **own)
    if any(meter["error"] not in (0, 3) for meter in case["expect"]["meters"]):
        expected |= series("sonnen_fault", 1, part="meter")
    assert expected
    assert beside_a_status(page) == expected


@pytest.mark.parametrize("case", cases("battery"))
def test_the_pack_is_exported(once: Once, case: Case) -> None:
    page = once({PATHS["status"]: json.dumps(STATUS).encode(), path_of(case): body_of(case)})

    expect = case["expect"]
    expected: Series = {}
    for key, name in BATTERY_METRICS.items():
        expected |= series(name, expect[key])
    for stat in ("min", "max"):
        expected |= series("sonnen_cell_temperature_celsius", expect[f"cell_temp_{stat}_c"], stat=stat)
        expected |= series("sonnen_cell_volts", expect[f"cell_volts_{stat}"], stat=stat)
    assert beside_a_status(page) == expected


@pytest.mark.parametrize("case", cases("inverter"))
def test_the_inverter_is_exported(once: Once, case: Case) -> None:
    page = once({PATHS["status"]: json.dumps(STATUS).encode(), path_of(case): body_of(case)})

    expect = case["expect"]
    assert beside_a_status(page) == {
        **series("sonnen_frequency_grid", expect["hz"]),
        **series("sonnen_temperature", expect["tmax_c"], probe="max"),
        **series("sonnen_pv_watts", expect["pv_w"]),
        **series("sonnen_microgrid_watts", expect["pac_microgrid_w"]),
    }


@pytest.mark.parametrize("case", cases("legacy_inverter"))
def test_the_legacy_inverter_is_exported(once: Once, case: Case) -> None:
    page = once({PATHS["status"]: json.dumps(STATUS).encode(), path_of(case): body_of(case)})

    inner = document_of(case)["status"]
    assert beside_a_status(page) == {
        **series("sonnen_frequency_grid", case["expect"]["hz"]),
        **series("sonnen_pv_watts", float(inner["ppv"]) + float(inner["ppv2"])),
        **series("sonnen_pv_string_watts", float(inner["ppv"]), string="1"),
        **series("sonnen_pv_string_watts", float(inner["ppv2"]), string="2"),
        **series("sonnen_microgrid_watts", float(inner["pac_microgrid"])),
    }


@pytest.mark.parametrize("case", cases("configurations"))
def test_the_configuration_is_exported(once: Once, case: Case) -> None:
    page = once({PATHS["status"]: json.dumps(STATUS).encode(), path_of(case): body_of(case)})

    expect = case["expect"]
    capacity = series("sonnen_installed_capacity_watt_hours", expect["installed_capacity_wh"])
    assert beside_a_status(page) == capacity
    assert page.one("sonnen_battery_info", firmware=expect["software"], model="", generation="v2") == 1


@pytest.mark.parametrize("case", cases("io"))
def test_inputs_and_outputs_are_neither_asked_for_nor_exported(once: Once, case: Case) -> None:
    page = once({PATHS["status"]: json.dumps(STATUS).encode(), path_of(case): body_of(case)})

    assert beside_a_status(page) == {}
    assert path_of(case) not in once.asked


@pytest.mark.parametrize("case", cases("error"))
def test_a_failed_answer_is_no_reading(once: Once, case: Case) -> None:
    paths = [*PATHS.values(), "/api/v1/status", "/rest/devices/battery"]
    page = once(dict.fromkeys(paths, body_of(case)), status=case["expect"]["http_status"])

    assert page.code == 1
    assert page.series == {("sonnen_online", ()): 0, ("sonnen_endpoint_up", (("endpoint", "status"),)): 0}


@pytest.mark.parametrize("case", cases("error"))
def test_an_error_with_the_status_of_success_is_no_reading_either(once: Once, case: Case) -> None:
    page = once(dict.fromkeys(["/api/v2/status", "/api/v1/status", "/rest/devices/battery"], body_of(case)))

    assert page.code == 1
    assert page.series == {("sonnen_online", ()): 0, ("sonnen_endpoint_up", (("endpoint", "status"),)): 0}


@pytest.mark.parametrize("case", cases("error"))
@pytest.mark.parametrize("endpoint", ["latestdata", "powermeter", "battery", "inverter", "configurations"])
def test_a_failed_answer_of_a_slow_endpoint_adds_nothing(
    once: Once, httpserver: HTTPServer, case: Case, endpoint: str
) -> None:
    httpserver.expect_request(PATHS["status"]).respond_with_json(STATUS)
    page = once({PATHS[endpoint]: body_of(case)}, status=case["expect"]["http_status"])

    assert beside_a_status(page) == {}
    assert page.one("sonnen_endpoint_up", endpoint=endpoint) == 0
