"""Queries in houses that are not like the golden one: a battery that was given a label, a second meter."""

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from grafana_asking import Prometheus as Grafana
from grafana_viewer import key_of, targets
from programs import find_program

pytestmark = pytest.mark.system

ASKED = Grafana(
    url="",
    now=datetime.now(UTC),
    choices={"job": "sonnen", "instance": "home", "price_import": "0.25", "price_export": "0.1", "currency": "GBP"},
)
BATTERY = 'job="sonnen",instance="home"'


def expr_of(uid: str, panel: str, letter: str) -> str:
    """Return a query as it stands in a dashboard."""
    (expr,) = (
        str(target["expr"]) for board, one, target in targets() if key_of(board, one, target) == (uid, panel, letter)
    )
    return expr


def query_of(uid: str, panel: str, letter: str) -> str:
    """Return a query as it is asked at a step of five minutes."""
    return ASKED.filled_in(expr_of(uid, panel, letter), 86_400, 300)


def hold(
    folder: Path, series: Mapping[str, str], asked: Mapping[str, tuple[str, float | None]], *, interval: str = "5m"
) -> None:
    """Let promtool hold what queries answer, or not, at a moment, about series with a value at each interval."""
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
        "interval": interval,
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
    rows = query_of("sonnen-now", "Today and yesterday", "A")
    hold(
        tmp_path, series, {f'({rows}) and on (what) label_replace(vector(1), "what", "Solar", "", "")': ("62m", 1.001)}
    )


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
        f'sonnen:phase_volts:max5m{{{BATTERY},phase="1"}}': "230x8 255 230x3",
    }
    asked = {
        query_of("sonnen-grid", "Power of the house by phase", "A"): ("30m", 400.0),
        query_of("sonnen-grid", "Voltage", "A"): ("50m", 255.0),
    }
    hold(tmp_path, series, asked)


FRESH = f"sonnen:fresh:bool{{{BATTERY}}}"
FLOW = f'sonnen_flow_watt_hours_total{{{BATTERY},from="solar",to="home"}}'
SECONDS = f"sonnen_observed_seconds_total{{{BATTERY}}}"
SOLAR_TO_HOME = query_of("sonnen-now", "Energy flow, mean of two minutes", "A")


def test_flows_are_right_from_a_start_on_and_end_with_a_stop(tmp_path: Path) -> None:
    # 3600 W: a watt-hour a second. The agent starts after a minute, and its groups are deleted after five.
    beats = 48
    series = {
        FRESH: f"_x12 1x{beats} stale",
        FLOW: f"_x12 100+5x{beats} stale",
        SECONDS: f"_x12 1000+5x{beats} stale",
    }
    shown = {f"{SOLAR_TO_HOME} + 0 * {second}": (f"{second}s", 3600.0) for second in (80, 120, 180, 300)}
    hold(tmp_path, series, {**shown, f"{SOLAR_TO_HOME} + 0": ("315s", None)}, interval="5s")


def test_flows_are_not_what_counters_jump_by_after_a_gap(tmp_path: Path) -> None:
    series = {FRESH: "1x12 0x24 1x60", FLOW: "0+5x12 60x23 660+5x60", SECONDS: "0+5x12 60x23 180+5x60"}
    asked = {f"{SOLAR_TO_HOME} + 0 * {second}": (f"{second}s", None) for second in (90, 190, 280)}
    hold(tmp_path, series, {**asked, SOLAR_TO_HOME: ("320s", 3600.0)}, interval="5s")


NOW = query_of("sonnen-now", "Numbers now", "A")


def test_the_word_on_the_numbers_changes_with_them(tmp_path: Path) -> None:
    code = f"sonnen:trust:code{{{BATTERY}}}"
    series = {
        FRESH: "1x60 0x60 1x60",
        f"sonnen:online:fresh{{{BATTERY}}}": "1x20 0x40 stale _x59 1x60",
        # What is recorded every five minutes still says what was the case then.
        code: "0x70 1x110",
    }
    words = {50: 0.0, 150: 2.0, 310: 1.0, 340: 1.0, 610: 0.0}
    asked = {f"{NOW} + 0 * {second}": (f"{second}s", word) for second, word in words.items()}
    hold(tmp_path, series, asked, interval="5s")


def test_a_meter_that_is_stuck_is_named(tmp_path: Path) -> None:
    hold(tmp_path, {FRESH: "1x60", f"sonnen:trust:code{{{BATTERY}}}": "3x60"}, {NOW: ("60s", 3.0)}, interval="5s")


FIRING = query_of("sonnen-system", "Off grid", "A")


def test_an_alert_is_not_fine_where_nobody_evaluates_the_alerts(tmp_path: Path) -> None:
    recording_only = {"sonnen:rules:loaded": "1x12"}
    held = f'label_replace({FIRING}, "instance", "home", "", "")'
    hold(tmp_path, recording_only, {held: ("10m", None)})
    hold(tmp_path, {**recording_only, "sonnen:alerts:loaded": "1x12"}, {held: ("10m", 0.0)})


def by_currency(expr: str, currency: str) -> str:
    return f'({expr}) and on (currency) label_replace(vector(1), "currency", "{currency}", "", "")'


def test_money_of_two_currencies_is_not_added_up(tmp_path: Path) -> None:
    # One a day, and two.
    series = {
        f'sonnen:grid_cost_total:copy1m{{{BATTERY},currency="EUR"}}': f"0+{1 / 288}x600",
        f'sonnen:grid_cost_total:copy1m{{{BATTERY},currency="CHF"}}': f"0+{2 / 288}x600",
    }
    paid = query_of("sonnen-money", "Grid costs", "A")
    rounded = {by_currency(f"round({paid}, 0.01)", name): ("2d", value) for name, value in (("EUR", 1.0), ("CHF", 2.0))}
    hold(tmp_path, series, rounded)


def test_what_was_paid_has_credit_and_standing_charge_in_it_and_saved_is_what_the_agent_counted(tmp_path: Path) -> None:
    by_day = {
        "grid_cost": 1.0,
        "grid_cost_credit": 0.25,
        "grid_revenue": 0.5,
        "consumption_cost": 3.0,
        "standing_charge": 0.45,
    }
    series = {
        f'sonnen:{name}_total:copy1m{{{BATTERY},currency="EUR"}}': f"0+{money / 288}x600"
        for name, money in by_day.items()
    }
    board = "sonnen-money"
    expected = {
        (board, "Grid costs", "A"): 1.2,
        (board, "Grid costs", "C"): 0.7,
        ("sonnen-now", "Grid costs", "A"): 0.7,
    }
    expected |= {(board, "Saved", "A"): 2.75, (board, "Saved", "D"): 3.0}
    asked = {query_of(*panel): money for panel, money in expected.items()}
    hold(tmp_path, series, {by_currency(f"round({expr}, 0.01)", "EUR"): ("2d", money) for expr, money in asked.items()})


def test_without_tariffs_the_prices_and_the_currency_are_those_in_the_boxes(tmp_path: Path) -> None:
    # Ten kilowatt-hours a day.
    series = {f"sonnen:grid_import_watt_hours_total:copy1m{{{BATTERY}}}": f"0+{10_000 / 288}x600"}
    paid = query_of("sonnen-money", "Grid costs", "A")
    hold(tmp_path, series, {by_currency(f"round({paid}, 0.01)", "GBP"): ("2d", 2.5)})


def test_who_is_paid_nothing_for_feed_in_does_not_earn_what_the_box_says(tmp_path: Path) -> None:
    # By the day: ten kilowatt-hours fed in, and one euro paid.
    price = f'{BATTERY},direction="import",tariff="day",currency="EUR"'
    series = {
        f"sonnen:grid_export_watt_hours_total:copy1m{{{BATTERY}}}": f"0+{10_000 / 288}x600",
        f'sonnen:flow_watt_hours_total:copy1m{{{BATTERY},from="solar",to="grid"}}': f"0+{10_000 / 288}x600",
        f'sonnen:flow_watt_hours_total:copy1m{{{BATTERY},from="solar",to="home"}}': f"0+{5_000 / 288}x600",
        f'sonnen:flow_watt_hours_total:copy1m{{{BATTERY},from="solar",to="battery"}}': "0x600",
        f'sonnen:grid_cost_total:copy1m{{{BATTERY},currency="EUR"}}': f"0+{1 / 288}x600",
        f"sonnen_tariff_price_per_kilowatt_hour{{{price}}}": "0.3x600",
    }
    expected = {("Grid costs", "B"): 0.0, ("Grid costs", "C"): 1.0, ("Saved", "B"): 1.5}
    asked = {f"round({query_of('sonnen-money', *panel)}, 0.01)": value for panel, value in expected.items()}
    asked[f"round({query_of('sonnen-money', 'Paid and earned by day', 'B')}, 0.01)"] = 0.0
    hold(tmp_path, series, {by_currency(expr, "EUR"): ("2d", value) for expr, value in asked.items()})


@pytest.mark.parametrize(("begins", "moment", "told"), [(0, 48, 1.0), (6, 48, None), (0, 54, None)])
def test_a_time_of_which_less_was_counted_is_no_measure(
    tmp_path: Path, begins: int, moment: int, told: float | None
) -> None:
    # Two days of numbers, but for some hours at the beginning; a time that was chosen may end in the future.
    series = {
        f"sonnen:{name}:copy1m{{{BATTERY}}}": f"_x{begins * 12} 0+{grows}x{(48 - begins) * 12}"
        for name, grows in (("production_watt_hours_total", 10), ("observed_seconds_total", 300))
    }
    share = f"round({query_of('sonnen-energy', 'Beside the time before', 'C')}, 0.1)"
    hold(tmp_path, series, {share: (f"{moment}h", told)})


def test_nothing_is_said_of_a_time_before_of_which_nothing_is_known(tmp_path: Path) -> None:
    series = {f"sonnen:production_watt_hours_total:copy1m{{{BATTERY}}}": "0x100 0+1x288"}
    hold(tmp_path, series, {query_of("sonnen-energy", "Beside the time before", "C"): ("32h", None)})


@pytest.mark.parametrize("hours_ahead", [-1, 0, 1, 2])
def test_the_running_day_is_its_own_whatever_the_dashboard_takes_for_midnight(tmp_path: Path, hours_ahead: int) -> None:
    # The agent's second day begins after 24 hours; 12 kWh on the first, a watt-hour a minute on the second.
    series = {
        f'sonnen:energy_today_watt_hours:copy5m{{{BATTERY},from="solar",to="home"}}': "12000x287 0+5x48",
        f'sonnen:energy_yesterday_watt_hours:copy5m{{{BATTERY},from="solar",to="home"}}': "9000x287 12000x48",
    }
    query = query_of("sonnen-energy", "Used by day", "A")
    begins = 24 - hours_ahead
    looked = {f"last_over_time(({query})[1s:1s] @ {begins * 3600})": ("28h", 240.0)}
    hold(tmp_path, series, looked)


def test_before_the_agent_s_midnight_yesterday_is_not_shown_as_today(tmp_path: Path) -> None:
    series = {f'sonnen:energy_today_watt_hours:copy5m{{{BATTERY},from="solar",to="home"}}': "12000x280"}
    query = query_of("sonnen-energy", "Used by day", "A")
    # The dashboard's day began an hour ago, the agent's begins in one.
    hold(tmp_path, series, {f"last_over_time(({query})[1s:1s] @ {22 * 3600})": ("23h", None)})


def test_what_the_battery_gave_is_bought_as_far_as_what_it_took_was(tmp_path: Path) -> None:
    # By the hour, in Wh: 100 used from the sun, 100 from the battery, which took 60 from the grid and 60 from the sun.
    flows = {("solar", "home"): 100, ("battery", "home"): 100, ("solar", "battery"): 60, ("grid", "battery"): 60}
    series = {
        f'sonnen:flow_watt_hours_total:copy1m{{{BATTERY},from="{source}",to="{to}"}}': f"0+{watts / 12}x600"
        for (source, to), watts in flows.items()
    }
    share = query_of("sonnen-energy", "Shares in the chosen time", "A")
    hold(tmp_path, series, {f"round({share}, 0.0001)": ("2d", 0.75)})


def test_a_peak_between_two_points_of_a_chart_is_seen(tmp_path: Path) -> None:
    probe = f'{BATTERY},stat="max"'
    series = {f"sonnen:cell_temperature_celsius:max5m{{{probe}}}": "20x10 47 20x10"}
    asked = ASKED.filled_in(expr_of("sonnen-battery", "Temperatures", "A"), 86_400, 3600)
    hold(tmp_path, series, {asked: ("1h", 47.0)})


@pytest.mark.parametrize("name", ['the "big" one', "Anna's", "a.b", "a|b"])
def test_a_battery_s_name_may_hold_what_it_likes(tmp_path: Path, name: str) -> None:
    # As Grafana escapes it for ${instance:regex}.
    escaped = re.sub(r"([-/\\^$*+?.()|\[\]{}])", r"\\\1", name)
    asked = replace(ASKED, choices={"job": "sonnen", "instance": escaped})
    query = asked.filled_in(expr_of("sonnen-now", "Solar", "A"), 86_400, 300)
    labels = f"job='sonnen',instance='{name}'" if '"' in name else f'job="sonnen",instance="{name}"'
    series = {
        f"sonnen:production_watts:fresh{{{labels}}}": "100x5",
        f"sonnen:production_watts:fresh{{{BATTERY}}}": "5x5",
    }
    hold(tmp_path, series, {f'label_replace({query}, "instance", "home", "", "")': ("20m", 100.0)})
