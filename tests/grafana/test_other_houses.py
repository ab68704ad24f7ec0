"""Queries in houses that are not like the golden one: a battery that was given a label, a second meter."""

import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from grafana_viewer import targets
from programs import find_program

from sketch.asking import Prometheus as Grafana

pytestmark = pytest.mark.system

ASKED = Grafana(url="", now=datetime.now(UTC), choices={"job": "sonnen", "instance": "home"})
BATTERY = 'job="sonnen",instance="home"'


def query_of(uid: str, panel: str, letter: str) -> str:
    """Return a query as it is asked at a step of five minutes."""
    (expr,) = (
        target["expr"]
        for board, one, target in targets()
        if (board["uid"], one["title"], target["refId"]) == (uid, panel, letter)
    )
    return ASKED.filled_in(expr, 86_400, 300)


def hold(folder: Path, series: Mapping[str, str], asked: Mapping[str, tuple[str, float | None]]) -> None:
    """Let promtool hold what queries answer, or not, at a moment, about series with a value every five minutes."""
    # It knows what comes after a moment only where it is asked about that, too.
    end = {"expr": "vector(1)", "eval_time": "5d", "exp_samples": [{"labels": "{}", "value": 1}]}
    questions = [
        {
            # Whatever labels an answer has, it is about the instance.
            "expr": f"max by (instance) ({expr})",
            "eval_time": moment,
            "exp_samples": [] if value is None else [{"labels": '{instance="home"}', "value": value}],
        }
        for expr, (moment, value) in asked.items()
    ]
    test = {
        "interval": "5m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [*questions, end],
    }
    file = folder / "test.yml"
    # Prometheus reads YAML, and JSON is YAML.
    file.write_text(json.dumps({"evaluation_interval": "5m", "tests": [test]}))
    held = subprocess.run(
        [find_program("promtool"), "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert held.returncode == 0, held.stdout + held.stderr


def test_a_day_counts_once_where_the_battery_was_given_a_label_on_the_next(tmp_path: Path) -> None:
    def told(when: str, label: str = "") -> str:
        return f'sonnen:energy_{when}_watt_hours:copy5m{{{BATTERY},from="solar",to="home"{label}}}'

    noon_of_the_second_day = 432
    series = {
        told("yesterday"): f"1000x{noon_of_the_second_day}",
        told("yesterday", ',sn="1"'): f"_x{noon_of_the_second_day} 1000x300",
        told("today"): f"0+1x{noon_of_the_second_day}",
        told("today", ',sn="1"'): f"_x{noon_of_the_second_day} 433+1x100",
    }
    query = query_of("sonnen-energy", "Used by day", "A")
    # Of the second day nothing is told on the third; all of it is in what was told last of the day itself.
    hold(tmp_path, series, {query: ("0d", 1000)})


def test_energy_of_today_counts_once_where_the_battery_was_given_a_label(tmp_path: Path) -> None:
    series = {
        f'sonnen_energy_today_watt_hours{{{BATTERY},from="solar",to="home"}}': "700x12",
        f'sonnen_energy_today_watt_hours{{{BATTERY},from="solar",to="home",sn="1"}}': "_x12 701x12",
        f'sonnen_energy_today_watt_hours{{{BATTERY},from="solar",to="grid"}}': "300x12",
        f"sonnen:fresh:bool{{{BATTERY}}}": "1x24",
    }
    hold(tmp_path, series, {query_of("sonnen-now", "Today", "B"): ("62m", 1001)})


def night(load: str) -> dict[str, str]:
    """Return two days from midnight on, dark from eight in the evening to six, with what the house used then."""
    sun = f"0x{6 * 12 - 1} 1000x{14 * 12 - 1} 0x{10 * 12 - 1} 1000x{14 * 12 - 1} 0x{4 * 12 - 1}"
    return {
        f"sonnen:production_watts:mean5m{{{BATTERY}}}": sun,
        f"sonnen:consumption_watts:mean5m{{{BATTERY}}}": load,
        f"sonnen:usable_state_of_charge_percent:mean5m{{{BATTERY}}}": "40x576",
        f"sonnen:full_charge_capacity_watt_hours:mean5m{{{BATTERY}}}": "10000x576",
        # It is there, as 0, also while nobody is heard of.
        f"sonnen:fresh:mean5m{{{BATTERY}}}": "1x576",
    }


USED, HELD = (query_of("sonnen-battery", "Nights, one by one", letter) for letter in "AB")


def test_a_night_s_need_is_what_was_used_in_the_dark(tmp_path: Path) -> None:
    hold(tmp_path, night("1000x576"), {USED: ("24h", 10_000.0), HELD: ("24h", 3600.0)})


def test_a_night_of_which_eight_hours_were_not_seen_is_not_judged(tmp_path: Path) -> None:
    unseen = f"1000x{22 * 12 - 1} _x{8 * 12} 1000x{18 * 12}"
    hold(tmp_path, night(unseen), {USED: ("24h", None), HELD: ("24h", None)})


def test_two_meters_of_consumption_are_added_up_but_not_their_volts(tmp_path: Path) -> None:
    series = {
        f'sonnen:meter_watts:mean5m{{{BATTERY},direction="consumption",phase="1",meter="4_2"}}': "300x12",
        f'sonnen:meter_watts:mean5m{{{BATTERY},direction="consumption",phase="1",meter="5_2"}}': "100x12",
        f'sonnen:phase_volts:mean5m{{{BATTERY},phase="1"}}': "230x12",
    }
    asked = {
        query_of("sonnen-grid", "Power of the house by phase", "A"): ("30m", 400.0),
        query_of("sonnen-grid", "Voltage", "A"): ("30m", 230.0),
    }
    hold(tmp_path, series, asked)
