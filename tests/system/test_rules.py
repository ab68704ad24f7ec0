"""The rules on what the installed agent really pushes: names and labels, and a guard against an agent that died."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from programs import free_port, wait_until
from servers import Prometheus, Pushgateway, RunAgent, Simulator

pytestmark = pytest.mark.system

FOLDER: Final = Path(__file__).parents[2] / "prometheus"
RULES: Final = FOLDER / "rules"
NOT_HERE: Final = {
    "sonnen:grid_volts:fresh": "only an eco 8 with old firmware has it",
    "sonnen:off_grid_since_timestamp_seconds": "the house is on the grid",
    "sonnen:off_grid_seconds": "the house is on the grid",
    **{
        f"sonnen:{name}_total:copy1m": "no tariffs are configured"
        for name in (
            "tariff_import_watt_hours",
            "tariff_export_watt_hours",
            "tariff_consumption_watt_hours",
            "grid_cost",
            "grid_cost_credit",
            "grid_revenue",
            "grid_revenue_credit",
            "consumption_cost",
            "consumption_cost_credit",
            "standing_charge",
        )
    },
    "sonnen:energy_yesterday_watt_hours:copy5m": "it is the agent's first day",
    "sonnen:production_watt_hours:increase2h_best7d": "it is the agent's first day",
}


def hurried(folder: Path) -> list[Path]:
    """Return copies of the rules whose groups are all evaluated every second."""
    files = []
    for file in RULES.glob("*.yml"):
        document: dict[str, Any] = yaml.safe_load(file.read_text())
        for group in document["groups"]:
            group["interval"] = "1s"
        files.append(folder / file.name)
        files[-1].write_text(yaml.safe_dump(document))
    return files


def recorded() -> set[str]:
    groups = [group for file in RULES.glob("*.yml") for group in yaml.safe_load(file.read_text())["groups"]]
    return {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}


def everything_is_recorded(prometheus: Prometheus) -> None:
    wanted = recorded() - set(NOT_HERE)

    def present() -> set[str]:
        return {labels["__name__"] for labels, _ in prometheus.query('{__name__=~"sonnen(_agent)?:.+"}')}

    wait_until(lambda: present() >= wanted, "a sample of every rule", seconds=60)
    assert present() == wanted


def pull_jobs(port: int) -> list[dict[str, Any]]:
    """Return the jobs for an agent's page, once a second."""
    jobs: list[dict[str, Any]] = yaml.safe_load((FOLDER / "scrape-pull.yml").read_text())["scrape_configs"]
    for job in jobs:
        job |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
        job["static_configs"][0]["targets"] = [f"127.0.0.1:{port}"]
    return jobs


def test_every_rule_records_what_the_agent_pushes_and_no_alert_fires(
    running: ExitStack, tmp_path: Path, pushgateway: Pushgateway, simulator: Simulator, run_agent: RunAgent
) -> None:
    prometheus = running.enter_context(Prometheus(tmp_path, scrape=[pushgateway.url], rule_files=hurried(tmp_path)))
    agent = run_agent(
        f"interval_seconds: 1\n"
        f"batteries: [{{name: home, url: '{simulator.url}', token_file: home.token, labels: {{host: attic}}}}]\n"
        f"pushgateway: {{url: '{pushgateway.url}'}}\n"
    )
    everything_is_recorded(prometheus)
    raw = prometheus.query("sonnen_meter_watts")
    guarded = prometheus.query("sonnen:meter_watts:fresh")
    assert [labels | {"__name__": ""} for labels, _ in raw] == [labels | {"__name__": ""} for labels, _ in guarded]
    assert prometheus.query('ALERTS{alertstate="firing",alertname!="SonnenBatteryAtReserve"}') == []

    agent.kill()

    prometheus.wait_for('sonnen:fresh:bool{instance="home"} == 0', seconds=60)
    wait_until(lambda: not prometheus.query("sonnen:consumption_watts:fresh"), "the gauge to end")
    assert prometheus.query("sonnen_consumption_watts"), "the gateway goes on repeating it"
    prometheus.wait_for('ALERTS{alertname="SonnenAgentSilent"}', seconds=60)
    assert {labels["alertname"] for labels, _ in prometheus.query("ALERTS")} <= {"SonnenAgentSilent"}


def test_a_page_that_is_pulled_is_a_battery_and_its_agent(
    running: ExitStack, tmp_path: Path, simulator: Simulator, run_agent: RunAgent
) -> None:
    port = free_port()
    prometheus = running.enter_context(
        Prometheus(tmp_path, scrape=[], rule_files=hurried(tmp_path), more_jobs=pull_jobs(port))
    )
    agent = run_agent(
        f"interval_seconds: 1\n"
        f"batteries: [{{name: home, url: '{simulator.url}', token_file: home.token, labels: {{host: attic}}}}]\n"
        f"pull: {{listen: '127.0.0.1:{port}'}}\n"
    )

    everything_is_recorded(prometheus)

    agents = prometheus.query("sonnen_agent:fresh:bool == 1")
    assert [(labels["job"], labels["instance"]) for labels, _ in agents] == [("sonnen_agent", "pi")]
    batteries = prometheus.query("sonnen:fresh:bool == 1")
    assert [(labels["job"], labels["instance"]) for labels, _ in batteries] == [("sonnen", "home")]
    assert prometheus.query('sonnen_build_info{job="sonnen"}') == []
    wait_until(lambda: not prometheus.query('ALERTS{alertname!="SonnenBatteryAtReserve"}'), "the alerts to end")

    agent.kill()

    wait_until(lambda: not prometheus.query("sonnen:consumption_watts:fresh"), "the gauge to end")
    prometheus.wait_for('ALERTS{alertname="SonnenAgentMissing",instance="pi"}')
