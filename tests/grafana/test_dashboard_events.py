"""What happens in the golden house, as the dashboards tell it: outages, marks, a link that is gone."""

from datetime import datetime
from typing import Final

import pytest
from golden_events import (
    LINK_GAP,
    LOW_FREQUENCY,
    OFF_GRID,
    OVERVOLTAGE,
    REBOOT,
    RESTART,
    STOPPED,
    UPDATE,
    ZONE,
    Window,
    local,
)
from grafana_asking import Prometheus as Grafana
from grafana_viewer import Viewer, boards, key_of, targets

from golden import Golden, GoldenPrometheus

pytestmark = pytest.mark.system


def test_an_outage_has_its_line_with_begin_and_length(
    golden_prometheus: GoldenPrometheus, golden_house: Golden
) -> None:
    viewer = Viewer(golden_prometheus.url, local("2025-07-04 09:00"), golden_house.truth)
    began = {value / 1000 for _, value in viewer.points(("sonnen-grid", "Outages", "A"))}
    lasted = max(value for _, value in viewer.points(("sonnen-grid", "Outages", "B")))
    night = OFF_GRID[-1]
    assert sorted(began) == [pytest.approx(night.begin, abs=60)]
    assert lasted == pytest.approx(night.end - night.begin, abs=60)


def mark(name: str) -> str:
    """Return the query of an annotation, which is the same on all dashboards."""
    choices = {"job": "sonnen", "instance": "home"}
    (expr,) = {one["expr"] for board in boards() for one in board["annotations"]["list"] if one["name"] == name}
    return Grafana(url="", now=datetime.now(ZONE), choices=choices).filled_in(expr, 86_400, 60)


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("Outages", OFF_GRID[-1]),
        ("Alerts", OFF_GRID[-1]),
        # Of an update that silences the battery, the new firmware is seen at its end.
        ("Firmware", Window(UPDATE.begin, UPDATE.end + 1800)),
        ("Agent started", Window(RESTART.begin, RESTART.end + 1800)),
        ("Agent started", Window(REBOOT.begin, REBOOT.end + 1800)),
    ],
)
def test_an_annotation_marks_what_happened_and_nothing_else(
    golden_prometheus: GoldenPrometheus, name: str, window: Window
) -> None:
    begin, end = window.begin // 60 * 60, window.end
    marks = golden_prometheus.query_range(mark(name), begin, end, 60)
    # Grafana draws those points only whose value is above 0.
    assert [value for _, points in marks for _, value in points if value > 0]
    assert not golden_prometheus.query_range(mark(name), begin - 7200, begin, 60)
    assert not golden_prometheus.query_range(mark(name), end + 7200, end + 14_400, 60)


@pytest.mark.parametrize(
    ("name", "moment"),
    [("Firmware", UPDATE.end), ("Agent started", RESTART.end), ("Agent started", REBOOT.end)],
    ids=["firmware", "restart", "reboot"],
)
def test_an_annotation_is_seen_where_a_year_is_shown_by_the_hour(
    golden_prometheus: GoldenPrometheus, name: str, moment: float
) -> None:
    first = moment // 3600 * 3600
    ((_, points),) = golden_prometheus.query_range(mark(name), first - 86_400, first + 36_000, 3600)
    assert [at for at, value in points if value > 0] == [first + 3600]


def test_alerts_that_only_tell_something_are_not_marked(golden_prometheus: GoldenPrometheus) -> None:
    back = OFF_GRID[-1].end + 300
    assert "info" in {labels["severity"] for labels, _ in golden_prometheus.query("ALERTS", at=back)}
    assert "info" not in {labels["severity"] for labels, _ in golden_prometheus.query(mark("Alerts"), at=back)}


def test_seconds_out_of_band_are_those_of_the_troubles(
    golden_prometheus: GoldenPrometheus, golden_house: Golden
) -> None:
    viewer = Viewer(golden_prometheus.url, local("2025-07-03 10:00"), golden_house.truth)
    title = "Out of band in the chosen time"
    volts, hertz = OVERVOLTAGE, LOW_FREQUENCY
    assert viewer.value(("sonnen-grid", title, "B")) == pytest.approx(volts.end - volts.begin, abs=61)
    assert viewer.value(("sonnen-grid", title, "D")) == pytest.approx(hertz.end - hertz.begin, abs=61)
    assert viewer.value(("sonnen-grid", title, "A")) == 0
    assert viewer.value(("sonnen-grid", title, "C")) == 0


ALIVE: Final = {
    "Endpoints of the battery",
    "Memory and CPU of the agent",
    "Relayed exporters",
    "Spool",
    "Pi now",
    "Temperature of the Pi",
    "Load of the Pi",
}
"""Panels of the System dashboard that show what a gateway repeats while nobody pushes."""


def test_nothing_looks_alive_where_the_link_is_gone(golden_prometheus: GoldenPrometheus, golden_house: Golden) -> None:
    viewer = Viewer(golden_prometheus.url, LINK_GAP.middle, golden_house.truth)
    late = LINK_GAP.begin + 900 + 300
    shown = {
        key: last
        for key in (key_of(*one) for one in targets())
        if key[0] == "sonnen-system" and key[1] in ALIVE and (points := viewer.points(key))
        for last in [points[-1][0]]
    }
    assert {key: last for key, last in shown.items() if last > late} == {}
    assert {key[1] for key in shown} == ALIVE - {"Pi now"}


@pytest.mark.parametrize("moment", [LINK_GAP.middle, LINK_GAP.end + 60])
def test_no_power_is_made_of_what_a_gap_s_counters_jump(
    golden_prometheus: GoldenPrometheus, golden_house: Golden, moment: float
) -> None:
    viewer = Viewer(golden_prometheus.url, moment, golden_house.truth)
    assert [viewer["sonnen-now", "Energy flow, mean of two minutes", letter] for letter in "ABCDEFG"] == [[]] * 7


def test_alerts_are_known_also_where_the_agent_is_gone(
    golden_prometheus: GoldenPrometheus, golden_house: Golden
) -> None:
    viewer = Viewer(golden_prometheus.url, STOPPED.end - 60, golden_house.truth)
    assert viewer.value(("sonnen-now", "Alerts", "A")) == 1
    assert viewer.value(("sonnen-system", "Agent missing", "A")) == 1
    assert viewer.value(("sonnen-system", "Off grid", "A")) == 0
