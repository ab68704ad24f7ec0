"""Every alert in the golden house: it is raised by its trouble, and by nothing else in all the days with raw data."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from golden_events import GATEWAY_DOWN, INVERTER_TRIP, OFF_GRID, RAW_WINDOWS, RESTART, STOPS, TROUBLES, Window

from golden import Golden, GoldenPrometheus

pytestmark = pytest.mark.system

RULES: Final = Path(__file__).parents[2] / "prometheus/rules/alerts.yml"
ALERTS: Final[dict[str, dict[str, Any]]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
BY_THE_SUN: Final = {"SonnenBatteryAtReserve", "SonnenNotFull"}
"""Not staged: the house's charge decides."""
NOT_STAGED: Final = {"SonnenHonorLabels", "SonnenTwoAgents", "SonnenGatewayClockWrong", "SonnenBackupOld"}
"""Not staged, either: this house is set up well."""
LINGERING: Final = 1800
"""For so long after a trouble an expression over the past may still see it."""
STEP: Final = 60
AT_ONCE: Final = 2 * 86_400
"""Longer answers would take Prometheus long."""
NO_STALE_MARKERS: Final = tuple(Window(gone.begin, gone.begin + 360) for gone in (GATEWAY_DOWN, *STOPS, RESTART))
"""Here a group ends at once in life, while a backfilled one grows old for five minutes."""


def pending_seconds(alert: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([smh])", ALERTS[alert].get("for", "0s")).groups()  # type: ignore[union-attr]  # or the rule is broken
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit]


def raised(alert: str, moments: list[float]) -> list[float]:
    """Return those moments at which an expression has been true for long enough."""
    pending = -(-pending_seconds(alert) // STEP) * STEP
    return [moment for moment in moments if set(range(int(moment) - pending, int(moment), STEP)) <= set(moments)]


def seen(prometheus: GoldenPrometheus, alert: str, window: Window) -> Iterator[tuple[dict[str, str], list[float]]]:
    """Yield what an alert's expression finds, and when; asked piece by piece."""
    moments: dict[frozenset[tuple[str, str]], list[float]] = {}
    for begin in range(int(window.begin), int(window.end) + 1, AT_ONCE):
        end = min(begin + AT_ONCE - STEP, window.end)
        for labels, points in prometheus.query_range(ALERTS[alert]["expr"], begin, end, STEP):
            moments.setdefault(frozenset(labels.items()), []).extend(moment for moment, _ in points)
    for labels_of, found in moments.items():
        yield dict(labels_of), found


def test_every_alert_has_its_trouble_in_the_golden_house() -> None:
    assert set(TROUBLES) | BY_THE_SUN | NOT_STAGED == set(ALERTS)


@pytest.mark.parametrize("alert", sorted(TROUBLES))
def test_an_alert_is_raised_once_by_its_trouble(golden_prometheus: GoldenPrometheus, alert: str) -> None:
    for trouble in TROUBLES[alert]:
        found = list(seen(golden_prometheus, alert, trouble))
        assert found, "nothing"
        for labels, moments in found:
            assert raised(alert, moments), (labels, "not for long enough")
        who = [(labels.get("job"), labels.get("instance")) for labels, _ in found]
        assert len(who) == len(set(who)), found


@pytest.mark.parametrize("alert", sorted({*TROUBLES, *NOT_STAGED}))
def test_an_alert_is_raised_by_nothing_else(golden_prometheus: GoldenPrometheus, alert: str) -> None:
    troubled = [Window(trouble.begin, trouble.end + LINGERING) for trouble in TROUBLES.get(alert, ())]
    troubled += [*NO_STALE_MARKERS]
    for window in RAW_WINDOWS:
        # Expressions look back for an hour or two.
        for labels, moments in seen(golden_prometheus, alert, Window(window.begin + 7200, window.end)):
            wrong = [moment for moment in raised(alert, moments) if not any(moment in trouble for trouble in troubled)]
            assert wrong == [], labels


def test_the_battery_is_at_its_reserve_when_it_is(golden_house: Golden, golden_prometheus: GoldenPrometheus) -> None:
    number = 0
    for window in RAW_WINDOWS:
        for _, moments in seen(golden_prometheus, "SonnenBatteryAtReserve", window):
            number += len(moments)
            # It was within the last quarter of an hour.
            lowest = (
                min(map(golden_house.truth.usable_percent, range(int(at) - 840, int(at) + 1, 60))) for at in moments
            )
            assert max(lowest) < 11.0
    assert number > 100


def test_the_battery_was_not_full_for_a_fortnight_in_winter_only(golden_prometheus: GoldenPrometheus) -> None:
    for window in RAW_WINDOWS:
        found = [moment for _, moments in seen(golden_prometheus, "SonnenNotFull", window) for moment in moments]
        winter = OFF_GRID[0].begin in window
        assert bool(found) == winter


def test_production_is_missed_while_the_inverter_is_tripped(golden_prometheus: GoldenPrometheus) -> None:
    ((_, moments),) = seen(golden_prometheus, "SonnenNoProduction", INVERTER_TRIP)
    assert moments[0] == pytest.approx(INVERTER_TRIP.begin + 7200, abs=300)


def test_how_long_the_charge_lasts_is_what_is_left_over_what_is_used(
    golden_house: Golden, golden_prometheus: GoldenPrometheus
) -> None:
    night = OFF_GRID[-1]
    ((_, seconds),) = golden_prometheus.query("sonnen:backup_seconds:fresh", at=night.middle + 2.5)
    truth = golden_house.truth
    load = truth.watt_hours("consumption", night.middle - 300, night.middle) * 12
    usable = 0.9 * round(truth.usable_percent(night.middle)) / 100 * 11_000
    assert seconds == pytest.approx(3600 * usable / load, rel=0.05)
    assert seconds > night.end - night.middle, "it did last"
