"""Every query of every panel, asked as Grafana asks it, of a Prometheus that holds a year whose truth is known.

At several moments: nothing is empty without a reason, nothing is wrong by more than a thousandth where
the truth is known, shares are shares, and panels that speak of the same thing agree.
"""

import math
import os
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from golden_events import LINK_GAP, NOW, OFF_GRID, START, UNTOLD, ZONE, local
from golden_house import BACKUP_BUFFER_PERCENT, CAPACITY_WATT_HOURS
from golden_truth import FLOWS, Truth
from grafana_viewer import LAG, Key, Viewer, boards, calendar, close_to, key_of, targets, title_of, unit_of

from golden import Golden, GoldenPrometheus

pytestmark = pytest.mark.system

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

SOMETIMES: Final[dict[tuple[str, str], str]] = {
    ("Battery", "A"): "only while it charges",
    ("Battery", "B"): "only while it discharges",
    ("Battery", "C"): "only while it rests",
    ("Grid", "A"): "only while it is imported from",
    ("Grid", "B"): "only while it is fed into",
    ("Grid", "C"): "only while nothing flows",
    ("Grid", "D"): "only while it is not there",
    ("Now", "G"): "only while the grid is not there",
    ("Now", "C"): "only while the battery charges",
    ("Now", "D"): "only while the battery discharges",
    ("Now", "E"): "only while the grid is imported from",
    ("Now", "F"): "only while the grid is fed into",
    ("Full or at its reserve", "A"): "only where that comes first, within a day",
    ("Full or at its reserve", "B"): "only where that comes first, within a day",
    ("Full or at its reserve", "C"): "only while it is full or at its reserve, and stays so",
    ("Against the grid today", "A"): "only while more was fed in than imported",
    ("Against the grid today", "B"): "only while more was imported than fed in",
    ("Why is it at this charge?", "A"): "only where it was full within a fortnight",
    ("Why is it at this charge?", "B"): "only where it was full within a fortnight",
    ("What fires now", "A"): "only while an alert fires",
    **{("Same days a year before", letter): "only where there are numbers of it" for letter in "ABCDE"},
    **{("Same days a month before", letter): "only where there are numbers of it" for letter in "ABCDE"},
    ("Beside the time before", "C"): "only where as much of the time before was counted",
    **{("Last outage", letter): "only where there was an outage" for letter in "AB"},
    ("Volts and hertz now", "E"): "an island has no limits",
    ("Outages", "A"): "only where there was an outage",
    ("Outages", "B"): "only where there was an outage",
    ("Requests to the battery that failed", "A"): "only where some failed",
    ("Spool", "B"): "only while something waits",
    ("Shares today", "B"): "not before the sun has risen",
}
"""What may be empty, and why; at one of the moments it must not be."""


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
        elif (title_of(panel), target["refId"]) not in SOMETIMES:
            empty.append(key)
    assert empty == []
    _ASKED.add(str(viewer.now))


def test_what_may_be_empty_is_not_always() -> None:
    if len(_ASKED) < len(MOMENTS):
        # Where all of it should run, a test that does not is a failure.
        assert "CI" not in os.environ, "not all moments were looked at"
        pytest.skip("not all moments were looked at")
    assert {key for key in (key_of(*one) for one in targets()) if key not in _SEEN} == set()


def test_every_reason_is_about_a_query_that_is_there() -> None:
    assert set(SOMETIMES) <= {(title_of(panel), target["refId"]) for _, panel, target in targets()}


def test_no_number_is_infinite_or_none(viewer: Viewer) -> None:
    wrong = [
        key
        for key in (key_of(*one) for one in targets())
        for found in viewer[key]
        if not all(math.isfinite(float(value)) for _, value in found["values"])
    ]
    assert wrong == []


@pytest.mark.parametrize(("unit", "whole"), [("percentunit", 1.0), ("percent", 100.0)])
def test_a_share_is_a_share(viewer: Viewer, unit: str, whole: float) -> None:
    number = 0
    for board, panel, target in targets():
        if unit_of(panel, target) == unit:
            for _, value in viewer.points(key_of(board, panel, target)):
                number += 1
                assert -1e-9 <= value <= whole * (1 + 1e-9), key_of(board, panel, target)
    assert number > 3


CALENDAR: Final = {name: time for board in boards() for name, time in calendar(board).items()}
"""The times that the links on top of the dashboards choose."""


@pytest.fixture(
    scope="module", params=[NOW, local("2025-07-09 08:30"), local("2025-03-31 10:00"), local("2025-01-05 00:40")]
)
def calendars(
    request: pytest.FixtureRequest, golden_house: Golden, golden_prometheus: GoldenPrometheus
) -> dict[str, Viewer]:
    """Return those who look at the same moment, each at another of the calendar's times."""
    moment = float(request.param)
    return {
        name: Viewer(golden_prometheus.url, moment, golden_house.truth, time=time) for name, time in CALENDAR.items()
    }


def test_a_share_is_a_share_at_every_link(calendars: dict[str, Viewer]) -> None:
    wrong = []
    for board, panel, target in targets():
        key = key_of(board, panel, target)
        if calendar(board) and unit_of(panel, target) == "percentunit":
            for name, viewer in calendars.items():
                wrong += [(name, key, value) for _, value in viewer.points(key) if not -1e-9 <= value <= 1 + 1e-9]
    assert wrong == []
    assert len(calendars) == 5


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
    return truth.consumption_cost(begin, end) - paid


RANGES: Final[dict[Key, Expected]] = {
    ("sonnen-energy", "Home and solar", "A"): total("consumption"),
    ("sonnen-energy", "Home and solar", "B"): total("production"),
    ("sonnen-energy", "Grid", "A"): total("grid_import"),
    ("sonnen-energy", "Grid", "B"): total("grid_export"),
    ("sonnen-energy", "Battery", "A"): total("battery_charge"),
    ("sonnen-energy", "Battery", "B"): total("battery_discharge"),
    ("sonnen-energy", "Shares in the chosen time", "A"): Truth.self_sufficiency,
    ("sonnen-energy", "Shares in the chosen time", "B"): Truth.self_consumption,
    ("sonnen-energy", "Shares in the chosen time", "C"): coverage,
    ("sonnen-energy", "Grid balance", "B"): lambda truth, begin, end: (
        truth.watt_hours("grid_export", begin, end) - truth.watt_hours("grid_import", begin, end)
    ),
    ("sonnen-money", "Grid costs", "A"): Truth.cost,
    ("sonnen-money", "Grid costs", "B"): Truth.revenue,
    ("sonnen-money", "Grid costs", "C"): lambda truth, begin, end: truth.cost(begin, end) - truth.revenue(begin, end),
    ("sonnen-money", "Grid costs", "D"): coverage,
    ("sonnen-money", "Saved", "A"): saved,
    ("sonnen-money", "Saved", "D"): Truth.consumption_cost,
    ("sonnen-now", "Shares today", "A"): Truth.self_sufficiency,
    ("sonnen-now", "Shares today", "B"): Truth.self_consumption,
    ("sonnen-now", "Shares today", "D"): coverage,
}
"""Numbers of the time that a panel shows."""


TODAY: Final = {("sonnen-now", "Shares today", letter) for letter in "AB"}
"""Of those, what the agent tells of the day: since its midnight, whatever time is chosen."""


def wrong_numbers(viewer: Viewer, *uids: str) -> dict[Key, tuple[float, float]]:
    """Return what a viewer sees and what is true, where these differ."""
    wrong = {}
    for board, panel, target in targets():
        key = key_of(board, panel, target)
        if key in RANGES and (not uids or board["uid"] in uids) and viewer[key]:
            begin, end = viewer.span(key)
            if key in TODAY:
                begin = datetime.fromtimestamp(end, ZONE).replace(hour=0, minute=0, second=0).timestamp()
            truth = RANGES[key](viewer.truth, max(begin - LAG, START), end - LAG)
            # A day that is over ends a millisecond before midnight: its last minute is taken to be like the others.
            share = 1e-3 if end == viewer.now else 2e-3
            unit = unit_of(panel, target)
            truth /= 1000 if unit == "suffix:kWh" else 1
            if viewer.value(key) != close_to(truth, unit, share=share):
                wrong[key] = (viewer.value(key), truth)
    return wrong


def test_a_number_of_a_range_is_the_truth(viewer: Viewer) -> None:
    assert wrong_numbers(viewer) == {}
    assert set(RANGES) <= {key_of(*one) for one in targets()}


def test_a_number_of_a_day_a_month_or_a_year_is_the_truth(calendars: dict[str, Viewer]) -> None:
    boards_with_links = [board["uid"] for board in boards() if calendar(board)]
    assert {
        name: wrong for name, viewer in calendars.items() if (wrong := wrong_numbers(viewer, *boards_with_links))
    } == {}


def test_where_a_stretch_is_picked_its_numbers_are_the_truth_and_today_is_still_today(
    golden_house: Golden, golden_prometheus: GoldenPrometheus
) -> None:
    stretch = ("2025-07-09T12:00", "2025-07-09T18:00")
    viewer = Viewer(golden_prometheus.url, NOW, golden_house.truth, time=stretch)
    assert viewer.span(("sonnen-energy", "Used by month", "A")) == (local(stretch[0]), local(stretch[1]))
    assert wrong_numbers(viewer) == {}


@pytest.mark.parametrize("moment", [NOW, local("2025-01-31 18:30"), local("2024-10-31 08:00")])
def test_what_a_battery_gives_back_is_what_it_does_not_lose(
    golden_house: Golden, golden_prometheus: GoldenPrometheus, moment: float
) -> None:
    truth = golden_house.truth
    viewer = Viewer(golden_prometheus.url, moment, truth)
    key = ("sonnen-battery", "Use", "C")
    begin, end = viewer.span(key)
    charged, discharged = (truth.watt_hours(f"battery_{way}", begin, end) for way in ("charge", "discharge"))
    stored = CAPACITY_WATT_HOURS / 100 * (truth.state_of_charge_percent(end) - truth.state_of_charge_percent(begin))
    # The charge is told in whole percents.
    assert viewer.value(key) == pytest.approx((discharged + stored) / charged, abs=0.005)


OUTLOOK: Final = ("sonnen-now", "Full or at its reserve")


def test_the_outlook_says_full_or_at_the_reserve_or_a_moment_to_come(viewer: Viewer) -> None:
    full, reserve, reached = ([value for _, value in viewer.points((*OUTLOOK, letter))] for letter in "ABC")
    usable = round(viewer.truth.usable_percent(viewer.now - LAG))
    if usable >= 99:
        assert full == []
        assert reached == ([] if reserve else [1.0])
    elif usable <= BACKUP_BUFFER_PERCENT:
        assert reserve == []
        assert reached == ([] if full else [2.0])
    else:
        assert reached == []
    assert len(full + reserve) <= 1
    for moment in full + reserve:
        assert viewer.now - 600 <= moment / 1000 <= viewer.now + 86_400


def reached(truth: Truth, begin: float, percent: float) -> float:
    """Return when the charge will have crossed a percentage."""
    above = truth.usable_percent(begin) > percent
    return next(at for at in np.arange(begin, NOW, 300.0) if (truth.usable_percent(at) > percent) != above)


@pytest.mark.parametrize("day", ["2025-06-30", "2025-07-04", "2025-07-06", "2025-07-09"])
@pytest.mark.parametrize("hour", ["07:00", "09:00", "20:30", "23:00"])
def test_the_outlook_is_right_within_hours_where_one_day_is_like_the_other(
    golden_house: Golden, golden_prometheus: GoldenPrometheus, day: str, hour: str
) -> None:
    truth = golden_house.truth
    viewer = Viewer(golden_prometheus.url, local(f"{day} {hour}"), truth)
    full, reserve = (viewer.points((*OUTLOOK, letter)) for letter in "AB")
    for found, percent in ((full, 98.5), (reserve, BACKUP_BUFFER_PERCENT)):
        for _, moment in found:
            assert moment / 1000 == pytest.approx(reached(truth, viewer.now, percent), abs=2.7 * 3600)
    assert full or reserve


def test_the_grid_balance_of_a_day_is_the_truth(viewer: Viewer) -> None:
    end = viewer.now - LAG
    sold, bought = (viewer.truth.watt_hours(f"grid_{way}", end - 86_400, end) for way in ("export", "import"))
    assert viewer.value(("sonnen-energy", "Grid balance", "A")) == close_to((sold - bought) / 1000, "suffix:kWh")


def test_grafana_s_own_today_which_ends_at_midnight_shows_what_is_the_case_now(
    golden_house: Golden, golden_prometheus: GoldenPrometheus
) -> None:
    so_far, whole = (
        Viewer(golden_prometheus.url, NOW, golden_house.truth, time=("now/d", end)) for end in ("now", "now/d")
    )
    asked = [key_of(board, panel, target) for board, panel, target in targets() if panel.get("hideTimeOverride")]
    assert len(asked) > 100
    assert {key for key in asked if so_far[key] != whole[key]} == set()
    # Prices of now are those of the tariffs then, too, and not those in the boxes.
    for panel, letters in (("Grid costs", "ABC"), ("Saved", "ABCD"), ("By tariff", "A")):
        for letter in letters:
            key = ("sonnen-money", panel, letter)
            labels = {"tariff": "day"} if panel == "By tariff" else {}
            assert whole.value(key, **labels) == pytest.approx(so_far.value(key, **labels), rel=2e-3), key


@pytest.mark.parametrize(("begin", "day"), [("2024-07-10 00:00", "2024-07-10"), ("2024-12-24 08:15", "2024-12-24")])
def test_the_first_day_is_that_of_the_first_number(golden_house: Golden, tmp_path: Path, begin: str, day: str) -> None:
    with GoldenPrometheus(tmp_path, golden_house) as prometheus:
        prometheus.forget_before(local(begin))
        (board,) = (board for board in boards() if board["uid"] == "sonnen-energy")
        (since,) = (one["query"]["query"] for one in board["templating"]["list"] if one["name"] == "since")
        viewer = Viewer(prometheus.url, NOW, golden_house.truth)
        asked = viewer.filled_in(board, since.removeprefix("query_result"))
        ((labels, _),) = prometheus.query(asked)
        assert labels["since"] == f", since {day}"
        first = viewer.value(("sonnen-energy", "How far back the numbers go", "A"))
        assert 0 <= first / 1000 - local(begin) <= 3 * 3600


def test_what_happens_now_is_the_truth(viewer: Viewer) -> None:
    read = viewer.now - LAG
    watts = {name: viewer.truth.watts(name, read) for name in ("production", "consumption", "discharge", "feed_in")}
    assert viewer.value(("sonnen-now", "Solar", "A")) == pytest.approx(watts["production"], abs=0.06)
    assert viewer.value(("sonnen-now", "Home", "A")) == pytest.approx(watts["consumption"], abs=0.06)
    for panel, name in (("Battery", "discharge"), ("Grid", "feed_in")):
        shown = {ref: viewer[("sonnen-now", panel, ref)] for ref in ("ABCD" if panel == "Grid" else "ABC")}
        assert sum(map(len, shown.values())) == 1
        ref = next(ref for ref, found in shown.items() if found)
        assert (ref == "D") == (panel == "Grid" and any(viewer.now in outage for outage in OFF_GRID))
        sign = -1.0 if ref == "A" or watts[name] < 0 else 1.0
        assert viewer.value(("sonnen-now", panel, ref)) == pytest.approx(sign * watts[name], abs=0.06)
    usable = viewer.truth.usable_percent(read)
    assert viewer.value(("sonnen-now", "Charge", "A")) == pytest.approx(usable, abs=0.51)


def test_what_flows_where_now_adds_up(viewer: Viewer) -> None:
    begin, end = viewer.now - LAG - 120, viewer.now - LAG
    for ref, (source, target) in zip("ABCDEFG", FLOWS, strict=True):
        truth = viewer.truth.flow(source, target, begin, end) * 30
        assert viewer.value(("sonnen-now", "Energy flow, mean of two minutes", ref)) == close_to(truth)


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


def money_of_an_hour(key: Key, truth: Truth, moment: float) -> float:
    """Return by how much a day's money may be wrong, seen after the clocks were changed.

    Grafana then puts a day's point an hour beside midnight. Flows are those of the calendar day all the same; money is
    known from counters only, and counters know no calendar.
    """
    begin, end = truth.day(day_at(moment))
    if moment == begin and end - begin == 86_400:
        return 0.0
    return sum(abs(DAYS[key](truth, edge - 3600, edge + 3600)) for edge in (begin, end))


def test_a_day_is_the_calendar_day_of_the_house(viewer: Viewer) -> None:
    compared = 0
    for key, expected in DAYS.items():
        for moment, value in viewer.points(key):
            truth = expected(viewer.truth, *viewer.truth.day(day_at(moment)))
            money = key[0] == "sonnen-money"
            share, rest = 1e-3, 0.002 + money_of_an_hour(key, viewer.truth, moment) if money else 2.0
            if moment + 86_400 >= NOW:
                # What was told of an unfinished day is up to five minutes old.
                share, rest = 0.02, 0.05 if money else 30.0
            assert value == pytest.approx(truth, rel=share, abs=rest), (key, day_at(moment))
            compared += 1
    assert compared >= len(DAYS) * 3


def sums_by(viewer: Viewer, key: Key, label: str, **labels: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in (one for one in viewer[key] if labels.items() <= one["metric"].items()):
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
        # The last one is not over, and the house began in the middle of the first one.
        assert min(months) == "2024-07"
        for month in sorted(months)[:-1]:
            days = [truth.day(day) for day in truth.days() if day.isoformat().startswith(month)]
            sure = told(truth, source, target, days[0][0], days[-1][1])
            assert months[month] == close_to(sure), month
        years = sums_by(viewer, ("sonnen-energy", panel.format("year"), ref), "year")
        whole = told(truth, source, target, START, NOW)
        assert sum(years.values()) == pytest.approx(whole, rel=1e-3)
        turn = local("2025-01-01 00:00")
        assert years["2024"] == pytest.approx(truth.flow(source, target, START, turn), rel=1e-3)


MONTHS_OF_MONEY: Final[dict[tuple[str, str], Expected]] = {
    ("Grid costs by month", "paid EUR"): Truth.cost,
    ("Grid costs by month", "earned EUR"): Truth.revenue,
    ("Saved by month", "not bought EUR"): lambda truth, begin, end: (
        saved(truth, begin, end) - truth.revenue(begin, end)
    ),
    ("Saved by month", "earned EUR"): Truth.revenue,
}


def test_the_money_of_a_month_is_that_of_its_days(golden_house: Golden, golden_prometheus: GoldenPrometheus) -> None:
    truth = golden_house.truth
    viewer = Viewer(golden_prometheus.url, NOW, truth)
    for (panel, what), expected in MONTHS_OF_MONEY.items():
        months = sums_by(viewer, ("sonnen-money", panel, "A"), "month", what=what)
        assert min(months) == "2024-07"
        # The last one is not over.
        for month in sorted(months)[:-1]:
            days = [truth.day(day) for day in truth.days() if day.isoformat().startswith(month)]
            begin, end = days[0][0], days[-1][1]
            # Days of 24 hours may begin an hour beside midnight where clocks were changed; one part is told by the day.
            edges = sum(abs(expected(truth, edge - 3600, edge + 3600)) for edge in (begin, end))
            untold = sum(expected(truth, *day) for day in days if day[0] < UNTOLD.end and day[1] > UNTOLD.begin)
            whole = expected(truth, begin, end)
            slack = 1e-3 * whole + edges + 0.01 + (untold if what.startswith("not") else 0)
            assert months[month] == pytest.approx(whole, abs=slack), (panel, what, month)


def test_panels_agree_with_one_another(viewer: Viewer) -> None:
    energy, money = "sonnen-energy", "sonnen-money"
    used, produced = (viewer.value((energy, "Home and solar", ref)) for ref in "AB")
    bought, sold = (viewer.value((energy, "Grid", ref)) for ref in "AB")
    for row, value in (("home", used), ("solar", produced), ("import", bought), ("feed-in", sold)):
        assert viewer.value((energy, "Beside the time before", "A"), what=row) == pytest.approx(value)
    rows = {name: viewer.value((money, "By tariff", "A"), tariff=name) for name in ("night", "day", "feed_in")}
    assert rows["night"] + rows["day"] == close_to(bought, "suffix:kWh")
    assert rows["feed_in"] == close_to(sold, "suffix:kWh")
    paid, earned, rest = (viewer.value((money, "Grid costs", ref)) for ref in "ABC")
    assert rest == pytest.approx(paid - earned, abs=1e-6)
    saved, sun, battery, neither = (viewer.value((money, "Saved", ref)) for ref in "ABCD")
    assert saved == pytest.approx(sun + battery, rel=1e-3, abs=0.01)
    assert neither - rest == pytest.approx(saved, rel=1e-3, abs=0.01)


ROWS: Final = {
    "Solar": ("solar", "*"),
    "Home": ("*", "home"),
    "Import": ("grid", "*"),
    "Feed-in": ("*", "grid"),
    "Charge": ("*", "battery"),
    "from the grid": ("grid", "battery"),
    "Discharge": ("battery", "*"),
}


def test_today_and_yesterday_are_the_house_s_days(viewer: Viewer) -> None:
    end = viewer.now - LAG
    midnight = datetime.fromtimestamp(end, ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    began = (midnight - timedelta(hours=1)).replace(hour=0).timestamp()
    table = ("sonnen-now", "Today and yesterday")
    for row, places in ROWS.items():
        today, yesterday = (viewer.value((*table, ref), what=row) for ref in "AB")
        assert today == close_to(viewer.truth.flow(*places, midnight.timestamp(), end) / 1000, "suffix:kWh")
        assert yesterday == close_to(viewer.truth.flow(*places, began, midnight.timestamp()) / 1000, "suffix:kWh")
        assert viewer.value(("sonnen-phone", table[1], "A"), what=row) == today


def test_what_comes_in_is_what_goes_out(viewer: Viewer) -> None:
    found = viewer["sonnen-now", "Where it comes from, where it goes to", "A"]
    sums = dict.fromkeys(("from", "to"), 0.0)
    for one in found:
        sums[one["metric"]["side"]] += float(one["values"][-1][1])
    assert sums["from"] == pytest.approx(sums["to"], rel=1e-6)
    begin, end = viewer.now - LAG - 120, viewer.now - LAG
    assert sums["from"] == close_to(viewer.truth.flow("*", "*", begin, end) * 30)


def test_the_house_is_ahead_of_the_grid_or_behind_it(viewer: Viewer) -> None:
    end = viewer.now - LAG
    midnight = datetime.fromtimestamp(end, ZONE).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    ahead = viewer.truth.flow("*", "grid", midnight, end) - viewer.truth.flow("grid", "*", midnight, end)
    letter, other = ("A", "B") if ahead >= 0 else ("B", "A")
    panel = ("sonnen-now", "Against the grid today")
    assert viewer.value((*panel, letter)) == close_to(abs(ahead) / 1000, "suffix:kWh")
    assert viewer[(*panel, other)] == []


def test_the_costs_of_today_and_yesterday_are_the_truth(viewer: Viewer) -> None:
    truth, end = viewer.truth, viewer.now - LAG
    midnight = datetime.fromtimestamp(end, ZONE).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    for letter, begin, until in (("A", midnight, end), ("B", midnight - 86_400, midnight)):
        paid = truth.cost(begin, until) - truth.revenue(begin, until)
        assert viewer.value(("sonnen-now", "Grid costs", letter)) == pytest.approx(paid, rel=2e-3, abs=0.005)


def test_the_last_outage_is_told(golden_house: Golden, golden_prometheus: GoldenPrometheus) -> None:
    viewer = Viewer(golden_prometheus.url, local("2025-07-08 12:00"), golden_house.truth)
    night = OFF_GRID[-1]
    assert viewer.value(("sonnen-now", "Last outage", "A")) / 1000 == pytest.approx(night.begin, abs=61)
    assert viewer.value(("sonnen-now", "Last outage", "B")) == pytest.approx(night.end - night.begin, abs=61)


def test_what_went_in_and_out_since_the_battery_was_full_is_told(
    golden_house: Golden, golden_prometheus: GoldenPrometheus
) -> None:
    now = local("2025-07-09 23:00")
    truth = golden_house.truth
    viewer = Viewer(golden_prometheus.url, now, truth)
    full = max(at for at in np.arange(now - 86_400, now, 300.0) if truth.usable_percent(at) >= 98.5)
    for letter, way in (("A", "charge"), ("B", "discharge")):
        told_since = viewer.value(("sonnen-now", "Why is it at this charge?", letter))
        assert told_since == pytest.approx(truth.watt_hours(f"battery_{way}", full, now) / 1000, abs=0.3)


def test_today_s_sun_is_compared_with_the_best_of_thirty_days_at_this_hour(
    golden_house: Golden, golden_prometheus: GoldenPrometheus
) -> None:
    truth = golden_house.truth
    for moment in (NOW, local("2025-07-04 09:00")):
        viewer = Viewer(golden_prometheus.url, moment, truth)
        since_midnight = [
            truth.watt_hours(
                "production", at - (moment - local(datetime.fromtimestamp(moment, ZONE).strftime("%Y-%m-%d"))), at
            )
            for at in (moment - 86_400 * day for day in range(31))
        ]
        told_share = viewer.value(("sonnen-now", "Shares today", "C"))
        assert told_share == pytest.approx(since_midnight[0] / max(since_midnight[1:]), abs=0.02)


@pytest.mark.parametrize(
    ("panel", "begin", "end"), [("month", "2025-06-01", "2025-06-10 18:30"), ("year", "2024-07-01", "2024-07-10 18:30")]
)
def test_the_same_days_before_are_the_same_days(
    golden_house: Golden, golden_prometheus: GoldenPrometheus, panel: str, begin: str, end: str
) -> None:
    viewer = Viewer(golden_prometheus.url, NOW, golden_house.truth)
    key = ("sonnen-energy", f"Same days a {panel} before", "A")
    assert viewer.span(key) == (local(begin), local(end))
    whole = golden_house.truth.watt_hours("consumption", max(local(begin), START), local(end))
    assert viewer.value(key) == close_to(whole / 1000, "suffix:kWh", share=5e-3)
    seen = coverage(golden_house.truth, local(begin), local(end))
    assert viewer.value((*key[:2], "E")) == close_to(seen, "percentunit")


@pytest.mark.parametrize("moment", ["2025-03-30 00:40", "2025-03-30 11:00", "2024-10-27 12:00", "2025-06-03 12:00"])
def test_in_the_middle_of_the_year_the_running_day_is_right_without_its_future(
    golden_house: Golden, tmp_path: Path, moment: str
) -> None:
    now, truth = local(moment), golden_house.truth
    with GoldenPrometheus(tmp_path, golden_house) as prometheus:
        prometheus.forget_after(now)
        viewer = Viewer(prometheus.url, now, truth)
        for letter, source in zip("ABC", ("solar", "battery", "grid"), strict=True):
            at, value = viewer.points(("sonnen-energy", "Used by day", letter))[-1]
            begin, end = truth.day(day_at(at))
            assert day_at(at) == day_at(now - 43_200)
            # While the link is gone, what was told last; otherwise up to five minutes ago.
            until = min(now, LINK_GAP.begin if LINK_GAP.begin < now < LINK_GAP.end else now)
            early, late = (truth.flow(source, "home", begin, min(until, end) - ago) for ago in (400, 0))
            assert early - 3 <= value <= late + 3


def test_the_running_sum_of_the_year_ends_with_the_balance_of_the_year(
    golden_house: Golden, golden_prometheus: GoldenPrometheus
) -> None:
    truth = golden_house.truth
    viewer = Viewer(golden_prometheus.url, NOW, truth)
    points = viewer.points(("sonnen-energy", "Against the grid this year", "A"))
    turn = local("2025-01-01 00:00")
    for at, value in points[:: len(points) // 20]:
        sold, bought = (truth.watt_hours(f"grid_{way}", turn, at) for way in ("export", "import"))
        assert value == pytest.approx(sold - bought, rel=2e-3, abs=300)
    assert points[-1][0] > NOW - 43_200
