"""Simulated weeks in Europe, America and Australia, by the agent's own parsers and metrics, judged by all rules.

A healthy house raises no alert; on a hot afternoon an American leg raises one, and the dashboard counts the minutes.
"""

import json
import subprocess
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
import yaml
from grafana_asking import Prometheus as Grafana
from grafana_viewer import key_of, targets
from programs import find_program

from sonnen_agent.battery.parsers import parse_status
from sonnen_agent.battery.variants import SLOW_ENDPOINTS
from sonnen_agent.mains import MainsWatch
from sonnen_agent.metrics.battery import battery_families
from sonnen_agent.reading import Reading
from sonnen_agent.simulator.battery import answer
from sonnen_agent.simulator.generations import FirmwareState, generation_named
from sonnen_agent.simulator.house import House
from sonnen_agent.simulator.profiles import GridName, battery_zone

pytestmark = pytest.mark.system

RULES: Final = Path(__file__).parents[2] / "prometheus/rules"
FIRST_DAYS: Final[Mapping[GridName, tuple[int, int]]] = {"eu": (6, 17), "us": (7, 15), "au": (1, 13)}
"""Month and day in summer."""
Asked = Mapping[tuple[str, int], Mapping[str, float]]
"""Expression and seconds, with the answer by its labels."""
NO_INFO: Final = 'ALERTS{alertstate="firing",severity!="info"}'


def simulated(grid: GridName, days: int, step_seconds: int) -> dict[str, list[str]]:
    """Return what an agent shows of a house from a midnight on, series by series; the first moment is 0."""
    battery = f'job="sonnen",instance="{grid}"'
    kind = generation_named("sb10", grid)
    zone = battery_zone(kind.house)
    month, day = FIRST_DAYS[grid]
    midnight = datetime(2024, month, day, tzinfo=zone).astimezone(UTC)
    house, watch = House(kind.house, 1, midnight), MainsWatch(zone.key)
    steps = days * 86_400 // step_seconds + 1
    shown: defaultdict[str, list[str]] = defaultdict(lambda: ["_"] * steps)
    for step in range(steps):
        seconds = step * step_seconds
        moment = midnight + timedelta(seconds=seconds)
        seen = FirmwareState(house=kind.house, state=house.at(moment), clock=moment.astimezone(zone))
        said = {path: json.loads(answer(kind, f"/api/v2/{path}", seen).payload) for path in ("status", *SLOW_ENDPOINTS)}
        parts: dict[str, object] = {one.part: one.parse(said[path]) for path, one in SLOW_ENDPOINTS.items()}
        reading = Reading(
            status=parse_status(said["status"]),
            unix_seconds=moment.timestamp(),
            monotonic_seconds=seconds,
            generation="v2",
            **parts,  # type: ignore[arg-type]  # the table says which part it is
        )
        families = battery_families(
            reading=replace(reading, mains=watch.judge(reading)),
            states=None,
            endpoints=dict.fromkeys(("status", *SLOW_ENDPOINTS), True),
            last_reading_unix_seconds=seconds,
            labels={},
        )
        for family in families:
            for sample in family.samples:
                labels = "".join(f',{name}="{value}"' for name, value in sample.labels.items())
                shown[f"{sample.name}{{{battery}{labels}}}"][step] = f"{sample.value:.10g}"
        produced = seen.state.production_watt_hours
        shown[f"sonnen_production_watt_hours_total{{{battery}}}"][step] = f"{produced:.10g}"
        for group in (battery, 'job="sonnen_agent",instance="pi"'):
            shown[f"push_time_seconds{{{group}}}"][step] = str(seconds)
        shown['up{job="pushgateway",instance="gateway:9091"}'][step] = "1"
    return shown


def hold(folder: Path, shown: Mapping[str, list[str]], step_seconds: int, asked: Asked) -> None:
    """Let promtool evaluate all rules at each moment, and hold what expressions answer after some seconds."""
    test = {
        "interval": f"{step_seconds}s",
        "input_series": [{"series": series, "values": " ".join(values)} for series, values in shown.items()],
        "promql_expr_test": [
            {
                "expr": expr,
                "eval_time": f"{seconds}s",
                "exp_samples": [{"labels": labels, "value": value} for labels, value in answers.items()],
            }
            for (expr, seconds), answers in asked.items()
        ],
    }
    file = folder / "test.yml"
    rules = [RULES / f"{name}.yml" for name in ("recording", "alerts")]
    # Steps are longer than Prometheus looks back: what another group records has to be of the same step.
    order = [group["name"] for rule in rules for group in yaml.safe_load(rule.read_text())["groups"]]
    settings = {"rule_files": [str(rule) for rule in rules], "group_eval_order": order}
    file.write_text(json.dumps({**settings, "evaluation_interval": f"{step_seconds}s", "tests": [test]}))
    ended = subprocess.run(
        [find_program("promtool"), "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_healthy_week_raises_no_alert_in_europe_america_or_australia(tmp_path: Path) -> None:
    # promtool evaluates all rules at each step.
    step_seconds = 1200
    houses = {series: values for grid in FIRST_DAYS for series, values in simulated(grid, 7, step_seconds).items()}
    end = 7 * 86_400
    nominal = {"eu": (230, 50, 207, 253), "us": (120, 60, 114, 126), "au": (230, 50, 216, 253)}
    asked: dict[tuple[str, int], Mapping[str, float]] = {
        (f"count by (alertname) (max_over_time({NO_INFO}[7d]))", end): {},
        **{
            (f"max by (instance) ({expr})", end): {
                f'{{instance="{grid}"}}': facts[fact] for grid, facts in nominal.items()
            }
            for fact, expr in enumerate(
                (
                    "max_over_time(sonnen_nominal_volts[7d])",
                    "min_over_time(sonnen_nominal_hertz[7d])",
                    'min_over_time(sonnen:allowed_volts:fresh{limit="min"}[6d])',
                    'max_over_time(sonnen:allowed_volts:fresh{limit="max"}[6d])',
                )
            )
        },
    }
    hold(tmp_path, houses, step_seconds, asked)


def grid_board(panel: str, letter: str) -> str:
    """Return a query of the Grid dashboard about the American house and a day."""
    viewer = Grafana(url="", now=datetime.now(UTC), choices={"job": "sonnen", "instance": "us"})
    (expr,) = (
        str(target["expr"])
        for board, one, target in targets()
        if key_of(board, one, target) == ("sonnen-grid", panel, letter)
    )
    return f"round(max by (instance) ({viewer.filled_in(expr, 86_400, 300)}), 0.1)"


def test_on_a_hot_american_afternoon_a_leg_is_out_of_band_and_the_dashboard_counts_it(tmp_path: Path) -> None:
    step_seconds = 300
    shown = simulated("us", 1, step_seconds)
    begin, end, evening = 16 * 3600, 17 * 3600, 86_400
    for series, values in shown.items():
        if series.startswith("sonnen_meter_volts") and 'phase="2"' in series:
            hot = slice(begin // step_seconds, end // step_seconds)
            values[hot] = ["126.4"] * len(values[hot])
    count, now = "Out of band in the chosen time", "Volts and hertz now"
    us = '{instance="us"}'
    raised = f"count by (alertname) (max_over_time({NO_INFO}[1d]))"
    asked: dict[tuple[str, int], Mapping[str, float]] = {
        (raised, begin): {},
        (raised, evening): {'{alertname="SonnenVoltageOutOfBand"}': 1},
        (grid_board(now, "E"), begin - 300): {us: 0},
        (grid_board(now, "E"), begin + 1800): {us: 1},
        (grid_board(now, "B"), begin + 1800): {us: 126.4},
        (grid_board(count, "A"), evening): {us: 0},
        (grid_board(count, "B"), evening): {us: end - begin},
        (grid_board(count, "D"), evening): {us: 0},
    }
    hold(tmp_path, shown, step_seconds, asked)
