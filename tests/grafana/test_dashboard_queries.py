"""Every query of every panel, asked as Grafana asks it, of a Prometheus that holds a year whose truth is known.

At several moments: nothing is empty without a reason, nothing is wrong by more than a thousandth where
the truth is known, shares are shares, and panels that speak of the same thing agree.
"""

import json
import math
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from golden_events import LOW_FREQUENCY, NOW, OFF_GRID, OVERVOLTAGE, RESTART, START, UNTOLD, ZONE, Window, local
from golden_gauges import FIRMWARE_CHANGE
from golden_truth import FLOWS, Truth

from golden import Golden, GoldenPrometheus
from sketch.asking import Json
from sketch.asking import Prometheus as Grafana

pytestmark = pytest.mark.system

DASHBOARDS: Final = sorted((Path(__file__).parents[2] / "grafana/dashboards").glob("*.json"))
MOMENTS: Final = {
    "a summer evening": NOW,
    "the morning after a night off the grid": local("2025-07-04 09:00"),
    "the day after too many volts": local("2025-07-03 10:00"),
    "two hours after the link came back": local("2025-06-03 15:00"),
    "a winter evening off the grid": local("2025-01-15 18:20"),
    "the morning after a day of 23 hours": local("2025-03-31 10:00"),
    "the morning after a day of 25 hours": local("2024-10-28 10:00"),
    "the night after a day full of faults": local("2025-07-06 22:30"),
}

LAG: Final = 2.7
"""The reading that the gateway holds on a whole minute is so old."""

Key = tuple[str, str, str]
"""Dashboard, panel, query."""

SOMETIMES: Final[dict[tuple[str, str], str]] = {
    ("Battery", "A"): "only while it charges",
    ("Battery", "B"): "only while it discharges",
    ("Battery", "C"): "only while it rests",
    ("Grid", "A"): "only while it is imported from",
    ("Grid", "B"): "only while it is fed into",
    ("Grid", "C"): "only while nothing flows",
    ("Now", "C"): "only while the battery charges",
    ("Now", "D"): "only while the battery discharges",
    ("Now", "E"): "only while the grid is imported from",
    ("Now", "F"): "only while the grid is fed into",
    ("Until when", "A"): "only while the battery charges",
    ("Until when", "B"): "only while the battery discharges",
    ("Outages", "A"): "only where there was an outage",
    ("Outages", "B"): "only where there was an outage",
    ("Requests to the battery that failed", "A"): "only where some failed",
    ("Spool", "B"): "only while something waits",
    ("Shares today", "B"): "not before the sun has risen",
}
"""What may be empty, and why; at one of the moments it must not be."""


def boards() -> Iterator[Json]:
    for path in DASHBOARDS:
        yield json.loads(path.read_text())


def targets() -> Iterator[tuple[Json, Json, Json]]:
    for board in boards():
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield board, panel, target


def key_of(board: Json, panel: Json, target: Json) -> Key:
    return board["uid"], panel["title"], target["refId"]


def close_to(truth: float, unit: str = "watth") -> Any:  # noqa: ANN401 - pytest does not say what it is
    """Return what equals the truth but for a thousandth of it, or two watt-hours, seconds or watts."""
    return pytest.approx(truth, rel=1e-3, abs=1e-3 if unit in {"percentunit", "currencyEUR"} else 2.0)


class Viewer:
    """Somebody in Germany who opens every dashboard at one moment."""

    def __init__(self, url: str, moment: float, truth: Truth) -> None:
        self.now = moment
        self.truth = truth
        self._url = url
        self._answers: dict[Key, list[Json]] = {}
        for board, panel, target in targets():
            self._answers[key_of(board, panel, target)] = self.grafana(board).ask(board, panel, target)

    def grafana(self, board: Json) -> Grafana:
        typed = {one["name"]: str(one["query"]) for one in board["templating"]["list"] if one["type"] == "textbox"}
        choices = {"job": "sonnen", "instance": "home", "agent": "pi"} | typed
        return Grafana(url=self._url, now=datetime.fromtimestamp(self.now, ZONE), choices=choices)

    def span(self, board: Json, panel: Json) -> tuple[float, float]:
        begin, end = self.grafana(board).time_range(board, panel)
        return begin.timestamp(), end.timestamp()

    def __getitem__(self, key: Key) -> list[Json]:
        return self._answers[key]

    def value(self, key: Key, **labels: str) -> float:
        """Return the one number that a query gives."""
        (one,) = [found for found in self[key] if labels.items() <= found["metric"].items()]
        return float(one["values"][-1][1])

    def points(self, key: Key) -> list[tuple[float, float]]:
        """Return all points of a query, of whatever series."""
        return sorted((float(at), float(value)) for found in self[key] for at, value in found["values"])


@pytest.fixture(scope="module", params=MOMENTS, ids=[name.replace(" ", "-") for name in MOMENTS])
def viewer(request: pytest.FixtureRequest, golden_house: Golden, golden_prometheus: GoldenPrometheus) -> Viewer:
    return Viewer(golden_prometheus.url, MOMENTS[request.param], golden_house.truth)


_SEEN: Final[set[Key]] = set()
_ASKED: Final[set[str]] = set()


def test_nothing_is_empty_without_a_reason(viewer: Viewer) -> None:
    empty = []
    for board, panel, target in targets():
        key = key_of(board, panel, target)
        if viewer[key]:
            _SEEN.add(key)
        elif (panel["title"], target["refId"]) not in SOMETIMES:
            empty.append(key)
    assert empty == []
    _ASKED.add(str(viewer.now))


def test_what_may_be_empty_is_not_always() -> None:
    if len(_ASKED) < len(MOMENTS):
        pytest.skip("not all moments were looked at")
    assert {key for key in (key_of(*one) for one in targets()) if key not in _SEEN} == set()


def test_every_reason_is_about_a_query_that_is_there() -> None:
    assert set(SOMETIMES) <= {(panel["title"], target["refId"]) for _, panel, target in targets()}


def test_no_number_is_infinite_or_none(viewer: Viewer) -> None:
    wrong = [
        key
        for key in (key_of(*one) for one in targets())
        for found in viewer[key]
        if not all(math.isfinite(float(value)) for _, value in found["values"])
    ]
    assert wrong == []


def unit_of(panel: Json, target: Json) -> str:
    """Return the unit that a panel gives a query: its own, or one that an override gives to its name."""
    config = panel["fieldConfig"]
    unit = str(config["defaults"].get("unit", ""))
    for override in config["overrides"]:
        if override["matcher"].get("options") in (target.get("legendFormat"), target["refId"]):
            unit = next((str(one["value"]) for one in override["properties"] if one["id"] == "unit"), unit)
    return unit


@pytest.mark.parametrize(("unit", "whole"), [("percentunit", 1.0), ("percent", 100.0)])
def test_a_share_is_a_share(viewer: Viewer, unit: str, whole: float) -> None:
    number = 0
    for board, panel, target in targets():
        if unit_of(panel, target) == unit:
            for _, value in viewer.points(key_of(board, panel, target)):
                number += 1
                assert -1e-9 <= value <= whole * (1 + 1e-9), key_of(board, panel, target)
    assert number > 3


Expected = Callable[[Truth, float, float], float]
"""What is true between two moments."""


def total(quantity: str) -> Expected:
    return lambda truth, begin, end: truth.watt_hours(quantity, begin, end)


def flow(source: str, target: str) -> Expected:
    return lambda truth, begin, end: truth.flow(source, target, begin, end)


def coverage(truth: Truth, begin: float, end: float) -> float:
    return truth.observed_seconds(max(begin, START), end) / (end - begin)


def saved(truth: Truth, begin: float, end: float) -> float:
    paid = truth.cost(begin, end) - truth.revenue(begin, end)
    return 0.31 * truth.flow("*", "home", begin, end) / 1000 - paid


RANGES: Final[dict[Key, Expected]] = {
    ("sonnen-energy", "Energy in the chosen time", "A"): total("consumption"),
    ("sonnen-energy", "Energy in the chosen time", "B"): total("production"),
    ("sonnen-energy", "Energy in the chosen time", "C"): total("grid_import"),
    ("sonnen-energy", "Energy in the chosen time", "D"): total("grid_export"),
    ("sonnen-energy", "Energy in the chosen time", "E"): total("battery_charge"),
    ("sonnen-energy", "Energy in the chosen time", "F"): total("battery_discharge"),
    ("sonnen-energy", "Energy in the chosen time", "G"): coverage,
    ("sonnen-energy", "Shares in the chosen time", "A"): Truth.self_sufficiency,
    ("sonnen-energy", "Shares in the chosen time", "B"): Truth.self_consumption,
    ("sonnen-energy", "Grid balance", "B"): lambda truth, begin, end: (
        truth.watt_hours("grid_export", begin, end) - truth.watt_hours("grid_import", begin, end)
    ),
    ("sonnen-money", "Grid, at the prices above", "A"): Truth.cost,
    ("sonnen-money", "Grid, at the prices above", "B"): Truth.revenue,
    ("sonnen-money", "Grid, at the prices above", "C"): lambda truth, begin, end: (
        truth.cost(begin, end) - truth.revenue(begin, end)
    ),
    ("sonnen-money", "Grid, at the prices above", "D"): coverage,
    ("sonnen-money", "Grid, at the agent's prices", "A"): Truth.cost,
    ("sonnen-money", "Grid, at the agent's prices", "B"): Truth.revenue,
    ("sonnen-money", "Saved, at the prices above", "A"): saved,
    ("sonnen-money", "Saved, at the prices above", "D"): lambda truth, begin, end: (
        0.31 * truth.flow("*", "home", begin, end) / 1000
    ),
    ("sonnen-now", "Today", "A"): flow("*", "home"),
    ("sonnen-now", "Today", "B"): flow("solar", "*"),
    ("sonnen-now", "Today", "C"): flow("grid", "*"),
    ("sonnen-now", "Today", "D"): flow("*", "grid"),
    ("sonnen-now", "Today", "E"): flow("*", "battery"),
    ("sonnen-now", "Today", "F"): flow("battery", "*"),
    ("sonnen-now", "Today", "G"): coverage,
    ("sonnen-now", "Shares today", "A"): Truth.self_sufficiency,
    ("sonnen-now", "Shares today", "B"): Truth.self_consumption,
}
"""Numbers of the panel's own time."""


def test_a_number_of_a_range_is_the_truth(viewer: Viewer) -> None:
    wrong = {}
    for board, panel, target in targets():
        key = key_of(board, panel, target)
        if key in RANGES and viewer[key]:
            begin, end = viewer.span(board, panel)
            truth = RANGES[key](viewer.truth, max(begin - LAG, START), end - LAG)
            if viewer.value(key) != close_to(truth, unit_of(panel, target)):
                wrong[key] = (viewer.value(key), truth)
    assert wrong == {}
    assert set(RANGES) <= {key_of(*one) for one in targets()}


def test_the_grid_balance_of_a_day_is_the_truth(viewer: Viewer) -> None:
    end = viewer.now - LAG
    sold, bought = (viewer.truth.watt_hours(f"grid_{way}", end - 86_400, end) for way in ("export", "import"))
    assert viewer.value(("sonnen-energy", "Grid balance", "A")) == close_to(sold - bought)


def test_what_happens_now_is_the_truth(viewer: Viewer) -> None:
    read = viewer.now - LAG
    watts = {name: viewer.truth.watts(name, read) for name in ("production", "consumption", "discharge", "feed_in")}
    assert viewer.value(("sonnen-now", "Sun", "A")) == pytest.approx(watts["production"], abs=0.06)
    assert viewer.value(("sonnen-now", "House", "A")) == pytest.approx(watts["consumption"], abs=0.06)
    for panel, name in (("Battery", "discharge"), ("Grid", "feed_in")):
        shown = {ref: viewer[("sonnen-now", panel, ref)] for ref in "ABC"}
        assert sum(map(len, shown.values())) == 1
        ref = next(ref for ref, found in shown.items() if found)
        sign = -1.0 if ref == "A" or watts[name] < 0 else 1.0
        assert viewer.value(("sonnen-now", panel, ref)) == pytest.approx(sign * watts[name], abs=0.06)
    usable = viewer.truth.usable_percent(read)
    assert viewer.value(("sonnen-now", "Charge", "A")) == pytest.approx(usable, abs=0.51)


def test_what_flows_where_now_adds_up(viewer: Viewer) -> None:
    begin, end = viewer.now - LAG - 120, viewer.now - LAG
    for ref, (source, target) in zip("ABCDEFG", FLOWS, strict=True):
        truth = viewer.truth.flow(source, target, begin, end) * 30
        assert viewer.value(("sonnen-now", "Flows, mean of two minutes", ref)) == close_to(truth)


def day_at(moment: float) -> date:
    """Return the local day that begins at a point, or an hour beside it, where the clocks were changed since."""
    return (datetime.fromtimestamp(moment, ZONE) + timedelta(hours=12)).date()


def told(truth: Truth, source: str, target: str, begin: float, end: float) -> float:
    """Return a flow of whole days, less what no day tells of that has arrived."""
    first, last = max(begin, UNTOLD.begin), max(begin, UNTOLD.begin, min(end, UNTOLD.end))
    return truth.flow(source, target, begin, end) - truth.flow(source, target, first, last)


DAYS: Final[dict[Key, Expected]] = {
    ("sonnen-energy", "Used by day", "A"): flow("solar", "home"),
    ("sonnen-energy", "Used by day", "B"): flow("battery", "home"),
    ("sonnen-energy", "Used by day", "C"): flow("grid", "home"),
    ("sonnen-energy", "Produced by day", "A"): flow("solar", "home"),
    ("sonnen-energy", "Produced by day", "B"): flow("solar", "battery"),
    ("sonnen-energy", "Produced by day", "C"): flow("solar", "grid"),
    ("sonnen-money", "Paid and earned by day", "B"): lambda truth, begin, end: -truth.revenue(begin, end),
    ("sonnen-money", "Paid and earned by day", "A"): Truth.cost,
}


def tariff_hour(truth: Truth, moment: float) -> float:
    """Return by how much a day's cost may be wrong, seen after the clocks were changed.

    Grafana then puts a day's point an hour beside midnight. Flows are those of the calendar day all the same; which
    part of them was bought at the low tariff is known from a counter only, and counters know no calendar.
    """
    begin, end = truth.day(day_at(moment))
    if moment == begin and end - begin == 86_400:
        return 0.0
    hours = [truth.tariff_import("night", edge - 3600, edge + 3600) for edge in (begin, end)]
    return sum(hours) * (0.31 - 0.22) / 1000


def test_a_day_is_the_calendar_day_of_the_house(viewer: Viewer) -> None:
    compared = 0
    for key, expected in DAYS.items():
        for moment, value in viewer.points(key):
            truth = expected(viewer.truth, *viewer.truth.day(day_at(moment)))
            money = key[0] == "sonnen-money"
            share, rest = 1e-3, 0.002 + tariff_hour(viewer.truth, moment) if money else 2.0
            if moment + 86_400 >= NOW:
                # What was told of an unfinished day is up to five minutes old.
                share, rest = 0.02, 0.05 if money else 30.0
            assert value == pytest.approx(truth, rel=share, abs=rest), (key, day_at(moment))
            compared += 1
    assert compared >= len(DAYS) * 3


def sums_by(viewer: Viewer, key: Key, label: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in viewer[key]:
        name = one["metric"][label]
        found[name] = found.get(name, 0.0) + sum(float(value) for _, value in one["values"])
    return found


@pytest.mark.parametrize(
    ("panel", "flows"),
    [
        ("Used by {}", [("solar", "home"), ("battery", "home"), ("grid", "home")]),
        ("Produced by {}", [("solar", "home"), ("solar", "battery"), ("solar", "grid")]),
    ],
    ids=["used", "produced"],
)
def test_months_and_years_are_the_sums_of_their_days(
    golden_house: Golden, golden_prometheus: GoldenPrometheus, panel: str, flows: list[tuple[str, str]]
) -> None:
    truth = golden_house.truth
    viewer = Viewer(golden_prometheus.url, NOW, truth)
    for ref, (source, target) in zip("ABC", flows, strict=True):
        months = sums_by(viewer, ("sonnen-energy", panel.format("month"), ref), "month")
        # The first and the last one are in the range in part only.
        for month in sorted(months)[1:-1]:
            days = [truth.day(day) for day in truth.days() if day.isoformat().startswith(month)]
            sure = told(truth, source, target, days[0][0], days[-1][1])
            assert months[month] == close_to(sure), month
        years = sums_by(viewer, ("sonnen-energy", panel.format("year"), ref), "year")
        whole = told(truth, source, target, START, NOW)
        assert sum(years.values()) == pytest.approx(whole, rel=1e-3)
        turn = local("2025-01-01 00:00")
        assert years["2024"] == pytest.approx(truth.flow(source, target, START, turn), rel=1e-3)


def test_panels_agree_with_one_another(viewer: Viewer) -> None:
    energy, money = "sonnen-energy", "sonnen-money"
    used, produced, bought, sold = (viewer.value((energy, "Energy in the chosen time", ref)) for ref in "ABCD")
    for row, value in (("used", used), ("from the sun", produced), ("imported", bought), ("fed in", sold)):
        assert viewer.value((energy, "Compared with the time before", "A"), what=row) == pytest.approx(value)
    tariffs = sum(viewer.value((money, "By tariff", "A"), tariff=name) for name in ("night", "day"))
    assert tariffs == close_to(bought)
    assert viewer.value((money, "By tariff", "A"), tariff="feed_in") == close_to(sold)
    paid, earned, rest = (viewer.value((money, "Grid, at the prices above", ref)) for ref in "ABC")
    assert rest == pytest.approx(paid - earned, abs=1e-6)
    saved, sun, battery, neither = (viewer.value((money, "Saved, at the prices above", ref)) for ref in "ABCD")
    assert saved == pytest.approx(sun + battery, rel=1e-3, abs=0.01)
    assert neither - rest == pytest.approx(saved, rel=1e-3, abs=0.01)
    now = {ref: viewer.value(("sonnen-now", "Today", ref)) for ref in "ABCDEF"}
    # What comes from sun, grid and battery goes to home, grid and battery.
    assert now["B"] + now["C"] + now["F"] == close_to(now["A"] + now["D"] + now["E"])
    for ref in "ABCDEF":
        assert viewer.value(("sonnen-phone", "Today", ref)) == now[ref]


def test_an_outage_has_its_line_with_begin_and_length(
    golden_prometheus: GoldenPrometheus, golden_house: Golden
) -> None:
    viewer = Viewer(golden_prometheus.url, MOMENTS["the morning after a night off the grid"], golden_house.truth)
    began = {value / 1000 for _, value in viewer.points(("sonnen-grid", "Outages", "A"))}
    lasted = max(value for _, value in viewer.points(("sonnen-grid", "Outages", "B")))
    night = OFF_GRID[-1]
    assert sorted(began) == [pytest.approx(night.begin, abs=60)]
    assert lasted == pytest.approx(night.end - night.begin, abs=60)


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("Outages", OFF_GRID[-1]),
        ("Alerts", OFF_GRID[-1]),
        ("Firmware", Window(FIRMWARE_CHANGE - 1800, FIRMWARE_CHANGE + 1800)),
        ("Agent started", Window(RESTART.begin - 1800, RESTART.end + 1800)),
    ],
)
def test_an_annotation_marks_what_happened_and_nothing_else(
    golden_prometheus: GoldenPrometheus, name: str, window: Window
) -> None:
    choices = {"job": "sonnen", "instance": "home"}
    for board in boards():
        (mark,) = [one for one in board["annotations"]["list"] if one["name"] == name]
        expr = Grafana(url="", now=datetime.now(ZONE), choices=choices).filled_in(mark["expr"], 86_400, 60)
        begin, end = window.begin // 60 * 60, window.end + 1200
        assert golden_prometheus.query_range(expr, begin, end, 60), board["uid"]
        assert not golden_prometheus.query_range(expr, begin - 7200, begin, 60), board["uid"]


def test_seconds_out_of_band_are_those_of_the_troubles(
    golden_prometheus: GoldenPrometheus, golden_house: Golden
) -> None:
    viewer = Viewer(golden_prometheus.url, MOMENTS["the day after too many volts"], golden_house.truth)
    title = "Out of band in the chosen time"
    volts, hertz = OVERVOLTAGE, LOW_FREQUENCY
    assert viewer.value(("sonnen-grid", title, "B")) == pytest.approx(volts.end - volts.begin, abs=61)
    assert viewer.value(("sonnen-grid", title, "D")) == pytest.approx(hertz.end - hertz.begin, abs=61)
    assert viewer.value(("sonnen-grid", title, "A")) == 0
    assert viewer.value(("sonnen-grid", title, "C")) == 0
