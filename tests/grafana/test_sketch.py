"""The previews ask as Grafana does, and show what it would."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra: grafana)")

from golden_events import NOW
from PIL import Image

from golden import GoldenPrometheus
from sketch.asking import Json, Prometheus, moment
from sketch.drawing import Canvas
from sketch.frames import Row, transformed
from sketch.words import words

ZONE = ZoneInfo("Europe/Berlin")
DASHBOARDS = Path(__file__).parents[2] / "grafana/dashboards"
UIDS = sorted(path.stem for path in DASHBOARDS.glob("*.json"))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


def board(uid: str) -> Json:
    loaded: Json = json.loads((DASHBOARDS / f"{uid}.json").read_text())
    return loaded


def prometheus(now: str = "2025-07-10T18:30", url: str = "") -> Prometheus:
    return Prometheus(url=url, now=at(now), choices={"job": "sonnen", "instance": "home", "agent": "pi"})


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", "2026-03-29T14:10"),
        ("now-24h", "2026-03-28T14:10"),
        ("now/d", "2026-03-29T00:00"),
        ("now-1d/d", "2026-03-28T00:00"),
        ("now/M", "2026-03-01T00:00"),
        ("now-3M/M", "2025-12-01T00:00"),
        ("now/y", "2026-01-01T00:00"),
        ("now-1y/M", "2025-03-01T00:00"),
        ("now-1M", "2026-02-28T14:10"),
        ("2026-01-02T03:04", "2026-01-02T03:04"),
    ],
)
def test_times_are_grafana_s(text: str, meant: str) -> None:
    assert moment(text, at("2026-03-29T14:10")) == at(meant)


@pytest.mark.parametrize(
    ("text", "after"),
    [("now-1d/d", "2026-03-29T00:00"), ("now/d", "2026-03-30T00:00"), ("now-1M/M", "2026-03-01T00:00")],
)
def test_a_range_ends_with_the_end_of_its_last_day_or_month(text: str, after: str) -> None:
    assert moment(text, at("2026-03-29T14:10"), last=True) == at(after) - timedelta(milliseconds=1)
    assert moment("now", at("2026-03-29T14:10"), last=True) == at("2026-03-29T14:10")


def test_a_time_of_its_own_counts_where_the_dashboard_s_is_relative() -> None:
    asked = prometheus("2026-03-29T14:10")
    today = {"timeFrom": "now/d"}
    relative = {"time": {"from": "now-1M/M", "to": "now-1M/M"}}
    absolute = {"time": {"from": "2026-01-02T03:00", "to": "2026-01-02T04:00"}}
    assert asked.time_range(relative, today) == (at("2026-03-29T00:00"), at("2026-03-29T14:10"))
    assert asked.time_range(absolute, today) == (at("2026-01-02T03:00"), at("2026-01-02T04:00"))
    assert asked.time_range(relative, {}) == (
        at("2026-02-01T00:00"),
        at("2026-03-01T00:00") - timedelta(milliseconds=1),
    )


def test_a_year_s_increase_is_made_from_hours_and_a_month_s_from_five_minutes() -> None:
    panel = {"interval": "1m", "maxDataPoints": 10_000, "gridPos": {"w": 8}}
    asked = prometheus()
    end = asked.now
    assert asked.step(panel, at("2024-07-10T18:30"), end) == 3600
    assert asked.step(panel, at("2025-06-10T18:30"), end) == 300
    assert asked.step(panel, at("2025-07-10T18:00"), end) == 60


def test_words_of_grafana_are_filled_in_and_those_of_promql_are_left() -> None:
    asked = prometheus().filled_in(
        'label_replace(x{instance=~"$instance"}[$__range:$__interval], "m", "$1", "", "")', 60, 5
    )
    assert asked == 'label_replace(x{instance=~"home"}[60s:5s], "m", "$1", "", "")'
    assert prometheus().filled_in('{job=~"${job}_agent"}[$__rate_interval]', 60, 5) == '{job=~"sonnen_agent"}[20s]'


def test_days_become_months() -> None:
    panel = next(one for one in board("sonnen-energy")["panels"] if one["title"] == "Used by month")
    days = [("2026-08", 1.0), ("2026-08", 2.0), ("2026-09", 3.0)]
    tables: list[list[Row]] = [
        [{"Time": 0.0, "instance": "home", "month": month, f"Value #{letter}": value * factor} for month, value in days]
        for letter, factor in (("A", 1), ("B", 10), ("C", 100))
    ]
    assert transformed(panel, tables) == [
        {"month": "2026-08", "From the sun": 3, "From the battery": 30, "From the grid": 300},
        {"month": "2026-09", "From the sun": 3, "From the battery": 30, "From the grid": 300},
    ]


def test_an_outage_is_one_line() -> None:
    panel = next(one for one in board("sonnen-grid")["panels"] if one["title"] == "Outages")

    def table(letter: str, values: Mapping[float, float]) -> list[Row]:
        return [{"Time": time, "instance": "home", f"Value #{letter}": value} for time, value in values.items()]

    everywhere = {float(time): float(time) for time in range(10)}
    tables = [table("A", {2: 1.0, 3: 1.0, 7: 6.0}), table("B", {2: 200.0, 3: 500.0, 7: 90.0}), table("C", everywhere)]
    assert transformed(panel, [*tables, table("D", everywhere)]) == [
        {"Start": 1, "Length": 500, "Lowest charge": 2, "Mean load": 2.5},
        {"Start": 6, "Length": 90, "Lowest charge": 7, "Mean load": 7},
    ]


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (4250, "watt", "4.25 kW"),
        (12345, "watth", "12.3 kWh"),
        (0.967, "percentunit", "96.7%"),
        (27600, "dtdurations", "7 hours, 40 minutes"),
        (1752156000000, "dateTimeAsLocalNoDateIfToday", "16:00"),
        (1751580600000, "dateTimeAsLocal", "2025-07-04 00:10"),
        (-14.3, "currencyEUR", "€-14.30"),
        (0.042, "s", "42 ms"),
    ],
)
def test_numbers_are_said_as_grafana_says_them(value: float, unit: str, said: str) -> None:
    assert words(value, unit, None, at("2025-07-10T18:30")) == said


@pytest.mark.parametrize("uid", UIDS)
def test_a_preview_is_committed_and_small(uid: str) -> None:
    path = DASHBOARDS.parent / f"previews/{uid}.png"
    assert path.stat().st_size < 150_000


@pytest.mark.system
@pytest.mark.parametrize("uid", UIDS)
def test_every_dashboard_can_be_drawn(uid: str, golden_prometheus: GoldenPrometheus, tmp_path: Path) -> None:
    shown = board(uid)
    now = datetime.fromtimestamp(NOW, ZONE)
    typed = {one["name"]: str(one["query"]) for one in shown["templating"]["list"] if one["type"] == "textbox"}
    choices = {"job": "sonnen", "instance": "home", "agent": "pi", **typed}
    asked = Prometheus(url=golden_prometheus.url, now=now, choices=choices)
    Canvas(board=shown, prometheus=asked).draw(tmp_path / "drawn.png")
    with Image.open(tmp_path / "drawn.png") as drawn:
        # Text and lines, not an empty page.
        assert len(drawn.convert("RGB").getcolors(1000) or ()) > 40
