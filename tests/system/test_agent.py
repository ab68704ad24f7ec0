"""The installed agent, a simulated battery, a real Pushgateway and a real Prometheus."""

import json
import re
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from programs import wait_until
from servers import FaultySimulator, Labels, Prometheus, Pushgateway, RunAgent
from status_fields import FLOWS, STATUS_FIELDS

pytestmark = pytest.mark.system

_BEATS = 20

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""Values by metric name and the labels that are not of the group."""


def config(battery: str, gateway: str, more: str = "") -> str:
    return f"""\
interval_seconds: 1
batteries:
  - name: home
    url: {battery}
    token_file: home.token
pushgateway:
  url: {gateway}
{more}"""


def key(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


def of_status(body: Mapping[str, Any]) -> Series:
    """What docs/metrics.md says of a v2 status, worked out here without the agent's code."""
    series = {
        **{key(field.metric): body[field.api] for field in STATUS_FIELDS},
        key("sonnen_apparent_output_voltamperes", phase="1"): body["Sac1"],
        key("sonnen_apparent_output_voltamperes", phase="2"): body["Sac2"],
        key("sonnen_apparent_output_voltamperes", phase="3"): body["Sac3"],
        key("sonnen_on_grid"): body["SystemStatus"] == "OnGrid",
        key("sonnen_discharge_not_allowed"): body["dischargeNotAllowed"],
        key("sonnen_power_balance_watts"): (
            body["Production_W"] + body["Pac_total_W"] - body["Consumption_W"] - body["GridFeedIn_W"]
        ),
        **{
            key("sonnen_flow_active", **{"from": source, "to": target}): body[flow]
            for flow, (source, target) in FLOWS.items()
        },
    }
    return {name: float(value) for name, value in series.items() if value is not None}


def of_powermeter(body: list[Mapping[str, Any]]) -> Series:
    series: Series = {}
    for meter in body:
        labels = {"direction": meter["direction"], "meter": f"{meter['deviceid']}_{meter['channel']}"}
        series[key("sonnen_meter_error", **labels)] = meter["error"]
        series[key("sonnen_meter_total_watts", **labels)] = meter["w_total"]
        series[key("sonnen_meter_imported_watt_hours_total", **labels)] = meter["kwh_imported"] * 1000
        series[key("sonnen_meter_exported_watt_hours_total", **labels)] = meter["kwh_exported"] * 1000
        for phase in "123":
            if meter[f"v_l{phase}_n"] != 0:
                series[key("sonnen_meter_current", phase=phase, **labels)] = meter[f"a_l{phase}"]
                series[key("sonnen_meter_volts", phase=phase, **labels)] = meter[f"v_l{phase}_n"]
                series[key("sonnen_meter_watts", phase=phase, **labels)] = meter[f"w_l{phase}"]
    return series


def of_battery(body: Mapping[str, Any]) -> Series:
    return {
        key("sonnen_battery_cycles_total"): body["cyclecount"],
        key("sonnen_battery_current_amperes"): body["systemcurrent"],
        key("sonnen_cell_temperature_celsius", stat="min"): body["minimumcelltemperature"],
        key("sonnen_cell_temperature_celsius", stat="max"): body["maximumcelltemperature"],
        key("sonnen_cell_volts", stat="min"): body["minimumcellvoltage"],
        key("sonnen_cell_volts", stat="max"): body["maximumcellvoltage"],
        key("sonnen_system_alarm"): body["systemalarm"],
        key("sonnen_system_warning"): body["systemwarning"],
    }


def of_inverter(body: Mapping[str, Any]) -> Series:
    return {
        key("sonnen_frequency_grid"): body["fac"],
        key("sonnen_temperature", probe="max"): body["tmax"],
        key("sonnen_pv_watts"): body["ppv"],
        key("sonnen_microgrid_watts"): body["pac_microgrid"],
    }


def of_latestdata(body: Mapping[str, Any]) -> Series:
    inner = body["ic_status"]
    return {
        # This generation tells it here and not at its battery endpoint.
        key("sonnen_full_charge_capacity_watt_hours"): body["FullChargeCapacity"],
        key("sonnen_battery_modules"): inner["nrbatterymodules"],
        key("sonnen_seconds_since_full_charge"): inner["secondssincefullcharge"],
        key("sonnen_component_state", component="bms", state=inner["statebms"]): 1,
        key("sonnen_component_state", component="core", state=inner["statecorecontrolmodule"]): 1,
        key("sonnen_component_state", component="inverter", state=inner["stateinverter"]): 1,
        **{key("sonnen_eclipse_led", led=led): float(on) for led, on in inner["Eclipse Led"].items() if on in (0, 1)},
        **{key("sonnen_dc_shutdown_reason", reason=why): float(on) for why, on in inner["DC Shutdown Reason"].items()},
    }


def of_configurations(body: Mapping[str, Any]) -> Series:
    info = {"firmware": body["DE_Software"], "generation": "v2"}
    return {
        key("sonnen_installed_capacity_watt_hours"): (
            float(body["IC_BatteryModules"]) * float(body["CM_MarketingModuleCapacity"])
        ),
        key("sonnen_battery_info", **info): 1,
    }


_OF: dict[str, Callable[[Any], Series]] = {
    "status": of_status,
    "powermeter": of_powermeter,
    "battery": of_battery,
    "inverter": of_inverter,
    "latestdata": of_latestdata,
    "configurations": of_configurations,
}
_COUNTED = (
    r"sonnen_(production|consumption|grid_(import|export)|battery_(charge|discharge)|flow|standby)_watt_hours_total"
    r"|sonnen_observed_seconds_total|sonnen_refused_readings_total|sonnen_energy_(today|yesterday)_watt_hours"
)
_ALWAYS_SHOWN = r"sonnen_online|sonnen_endpoint_up|sonnen_last_reading_timestamp_seconds"
_OF_THE_AGENT = re.compile(rf"{_COUNTED}|{_ALWAYS_SHOWN}|sonnen_clock_offset_seconds")
"""What the battery did not say."""
_OFFLINE = re.compile(rf"{_COUNTED}|{_ALWAYS_SHOWN}")


def control(simulator: FaultySimulator, path: str, method: str = "GET") -> Any:  # noqa: ANN401 - JSON
    request = urllib.request.Request(f"{simulator.url}/simulator/{path}", method=method)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.loads(response.read() or "null")


def scrapes(prometheus: Prometheus) -> dict[float, Series]:
    """Return every scrape of the battery's group that Prometheus holds, by its time."""
    found: dict[float, Series] = {}
    for labels, samples in prometheus.query_range_samples('{job="sonnen",instance="home",__name__=~"sonnen_.*"}[10m]'):
        name, own = labels["__name__"], own_labels(labels)
        for timestamp, value in samples:
            found.setdefault(timestamp, {})[key(name, **own)] = value
    return found


def own_labels(labels: Labels) -> Labels:
    return {name: value for name, value in labels.items() if name not in ("__name__", "job", "instance")}


@pytest.fixture
def simulator(running: ExitStack, tmp_path: Path) -> FaultySimulator:
    """Return a battery whose house lives a hundred times faster, so that no two readings are alike."""
    battery = running.enter_context(FaultySimulator(tmp_path, options=["--speed=100", "--start=2026-06-21T05:30"]))
    battery.write_token(tmp_path / "home.token")
    return battery


def test_prometheus_holds_what_the_battery_said_series_by_series(
    simulator: FaultySimulator, pushgateway: Pushgateway, prometheus: Prometheus, run_agent: RunAgent
) -> None:
    agent = run_agent(config(simulator.url, pushgateway.url))
    wait_until(
        lambda: len({moment(series) for series in scrapes(prometheus).values()}) >= _BEATS,
        f"{_BEATS} beats in Prometheus",
        seconds=60,
    )
    assert agent.exit_code is None
    held = scrapes(prometheus)
    log = control(simulator, "log")

    compared = set()
    for series in held.values():
        read_at = moment(series)
        expected: Series = {}
        for endpoint, of in _OF.items():
            # The beat reads the status first, and notes the time, rounded to a millisecond; then what is due: its other
            # answers follow.
            until = read_at + (0.001 if endpoint == "status" else 0.5)
            delivered = [e["body"] for e in log if e["endpoint"] == endpoint and e["unix_time"] <= until]
            bodies = [body for body in delivered if isinstance(body, list | dict)]
            # A status is of this very beat; a slow answer may be given in the moment of the push.
            candidates = [of(body) for body in bodies[-1 if endpoint == "status" else -2 :]]
            expected |= next((one for one in candidates if one.items() <= series.items()), candidates[-1])
        told = {name: value for name, value in series.items() if not _OF_THE_AGENT.fullmatch(name[0])}
        assert told == expected
        assert series[key("sonnen_online")] == 1
        assert abs(series[key("sonnen_clock_offset_seconds")]) > 1000
        compared.add(read_at)
    assert len(compared) >= _BEATS


def moment(series: Series) -> float:
    return series[key("sonnen_last_reading_timestamp_seconds")]


def test_a_silent_battery_takes_its_gauges_away_and_a_stop_takes_all_but_its_counters(
    simulator: FaultySimulator, pushgateway: Pushgateway, prometheus: Prometheus, run_agent: RunAgent
) -> None:
    agent = run_agent(config(simulator.url, pushgateway.url))
    prometheus.wait_for('sonnen_production_watts{job="sonnen",instance="home"}')

    simulator.stop()
    wait_until(lambda: not measured(pushgateway), "the gauges to vanish")
    wait_until(lambda: not prometheus.query("sonnen_production_watts"), "Prometheus to see it")
    assert [value for _, value in prometheus.query('sonnen_online{job="sonnen",instance="home"}')] == [0]

    assert agent.stop() == 0
    [left] = pushgateway.groups()
    assert left.labels == {"job": "sonnen", "instance": "home"}
    assert {name for name in left.samples if not name.endswith("_total")} == {
        "sonnen_online",
        "sonnen_last_reading_timestamp_seconds",
        "push_time_seconds",
        "push_failure_time_seconds",
    }


def measured(pushgateway: Pushgateway) -> set[str]:
    """Return the names of what a battery that cannot be read must not show."""
    return {
        name
        for group in pushgateway.groups()
        if group.labels["job"] == "sonnen"
        for name in group.samples
        if name.startswith("sonnen_") and not _OFFLINE.fullmatch(name)
    }
