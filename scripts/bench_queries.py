"""How long the dashboards take on a year: the slowest ten panels, and what the recorded series save.

Every query of every panel is asked as Grafana asks it, of a Prometheus with the golden house's year, at its default
range and at the longest that a dashboard's links choose, this year, and those of Now at the last year; a panel takes as
long as its queries one after the other. usage: scripts/bench queries [-h]
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
from golden_agent import golden_counters
from golden_events import NOW, START, ZONE
from golden_gauges import key
from golden_store import make_blocks
from grafana_asking import Json
from grafana_asking import Prometheus as Grafana
from grafana_viewer import calendar
from programs import find_program

from golden import Golden, GoldenPrometheus, golden

DASHBOARDS = Path(__file__).parents[1] / "grafana/dashboards"
GOAL_SECONDS = 0.2
LONGEST = "This year"
LAST_YEAR = "now-1y", "now"
LAST_YEAR_GOAL_SECONDS = 0.5
ROUNDS = 3
DAY = 86_400
YEAR_BEGINS = NOW - 365 * DAY


def seconds_for(ask: Callable[[], object]) -> float:
    """Return the median of some rounds, after one that nobody counts."""
    ask()
    taken = []
    for _ in range(ROUNDS):
        begin = time.monotonic()
        ask()
        taken.append(time.monotonic() - begin)
    return statistics.median(taken)


Chosen = tuple[str, str]
"""Where a dashboard's time begins and ends."""


def default(board: Json) -> Chosen:
    return board["time"]["from"], board["time"]["to"]


def longest(board: Json) -> Chosen | None:
    return calendar(board).get(LONGEST)


def last_year(board: Json) -> Chosen | None:
    return LAST_YEAR if board["uid"] == "sonnen-now" else None


def panels(url: str, choose: Callable[[Json], Chosen | None] = default) -> list[tuple[float, str, str]]:
    """Return how long each panel takes at a chosen time, the slowest first; a dashboard without one is left out."""
    found = []
    for path in sorted(DASHBOARDS.glob("*.json")):
        board = json.loads(path.read_text())
        chosen = choose(board)
        if chosen is None:
            continue
        board["time"] = dict(zip(("from", "to"), chosen, strict=True))
        typed = {one["name"]: str(one["query"]) for one in board["templating"]["list"] if one["type"] == "textbox"}
        choices = {"job": "sonnen", "instance": "home", "agent": "pi"} | typed
        grafana = Grafana(url=url, now=datetime.fromtimestamp(NOW, ZONE), choices=choices)
        for panel in board["panels"]:
            asks = [partial(grafana.ask, board, panel, target) for target in panel.get("targets", ())]
            found.append((sum(map(seconds_for, asks)), board["uid"], panel["title"]))
    return sorted(found, reverse=True)


def tell(timed: list[tuple[float, str, str]], where: str, goal_seconds: float = GOAL_SECONDS) -> None:
    print(f"\nthe slowest ten of {len(timed)} panels {where}")
    for taken, board, title in timed[:10]:
        print(f"  {taken * 1000:6.0f} ms  {board}: {title}")
    over = sum(taken > goal_seconds for taken, _, _ in timed)
    print(f"  {over} of {len(timed)} take longer than {goal_seconds * 1000:.0f} ms")


def raw_year(house: Golden, folder: Path) -> Path:
    """Return blocks with one raw counter, a sample every 5 seconds for the year."""
    moments = np.arange(START, NOW, 5.0)
    values = np.interp(moments, house.house.seconds, golden_counters(house.house).at_minutes["production"])
    group = {"job": "sonnen", "instance": "home"}
    blocks = folder / "raw"
    series = {key("sonnen_production_watt_hours_total"): np.round(values, 4)}
    make_blocks([(group, (moments, series))], blocks, folder)
    return blocks


def year_bars(prometheus: GoldenPrometheus, expression: str) -> float:
    return seconds_for(lambda: prometheus.query_range(expression, YEAR_BEGINS, NOW, DAY))


def main() -> None:
    argparse.ArgumentParser(prog="scripts/bench queries", description=__doc__).parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, {find_program('prometheus')}")
    house = golden()
    with tempfile.TemporaryDirectory(prefix="sonnen-bench-") as temporary:
        folder = Path(temporary)
        with GoldenPrometheus(folder, house) as prometheus:
            tell(panels(prometheus.url), f"at their default range (goal: {GOAL_SECONDS * 1000:.0f} ms)")
            tell(panels(prometheus.url, longest), f"where the link {LONGEST} was followed (no goal)")
            goal = LAST_YEAR_GOAL_SECONDS
            tell(panels(prometheus.url, last_year), f"of Now at the last year (goal: {goal * 1000:.0f} ms)", goal)
            copies = year_bars(prometheus, "increase(sonnen:production_watt_hours_total:copy1m[1d])")
            told = "last_over_time(sonnen:energy_yesterday_watt_hours:copy5m[8h] offset -40h)"
            days = year_bars(prometheus, told)
        with GoldenPrometheus(folder, replace(house, blocks=raw_year(house, folder))) as raw:
            unrecorded = year_bars(raw, "increase(sonnen_production_watt_hours_total[1d])")
    print("\n365 day bars of the production")
    print(f"  {unrecorded * 1000:6.0f} ms  from the counter itself, every 5 seconds")
    print(f"  {copies * 1000:6.0f} ms  from its copy, every minute: {unrecorded / copies:.0f} times as fast")
    print(f"  {days * 1000:6.0f} ms  from the days that the agent told, all seven flows")


if __name__ == "__main__":
    main()
