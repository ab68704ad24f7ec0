"""The recording rules, evaluated by a real Prometheus in the golden house."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from golden_events import DAYS_OF_LINK_GAP, LINK_GAP, NOW, OVERVOLTAGE, Window
from golden_recorded import AGGREGATES_OFFSET, SLOW_OFFSET

from golden import GoldenPrometheus, Points

pytestmark = pytest.mark.system

RULES: Final = Path(__file__).parents[2] / "prometheus/rules/recording.yml"
GROUPS: Final[list[dict[str, Any]]] = yaml.safe_load(RULES.read_text())["groups"]
EMPTY: Final = {
    "sonnen:grid_volts:fresh": "only an eco 8 with old firmware has it",
    "sonnen:standing_charge_total:copy1m": "its tariffs have none",
    **{
        f"sonnen:{name}_credit_total:copy1m": "no price of its is below 0"
        for name in ("grid_cost", "grid_revenue", "consumption_cost")
    },
}
"""What the golden house has no data of, and why."""
OFFSETS: Final = {
    "sonnen_fresh": 0.0,
    "sonnen_fresh_slow": SLOW_OFFSET,
    "sonnen_counters": 0.0,
    "sonnen_copies": SLOW_OFFSET,
    "sonnen_5m": AGGREGATES_OFFSET,
}
LINGERING_SECONDS: Final = 300
"""A backfilled series has no stale marker: where it ends, an expression sees it for so long."""
SECONDS: Final = {"5s": 5.0, "1m": 60.0, "5m": 300.0}


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the year with raw data all over it."""

    name: str
    window: Window
    scrape_seconds: float


STRETCHES: Final = (
    Stretch("the last hours", Window(NOW - 2 * 3600, NOW), 5.0),
    Stretch("the night with an hour twice", Window.between("2024-10-26 23:00", "2024-10-27 05:00"), 60.0),
    Stretch("the link is gone for hours", Window(LINK_GAP.begin - 1800, LINK_GAP.end + 1800), 60.0),
    Stretch("a midnight without the link", Window.between("2025-04-09 23:00", "2025-04-10 01:00"), 60.0),
    Stretch("the link is back after days", Window(DAYS_OF_LINK_GAP.end - 1800, DAYS_OF_LINK_GAP.end + 9000), 60.0),
    Stretch("off the grid and back", Window.between("2025-07-03 21:30", "2025-07-03 23:00"), 60.0),
    Stretch("too many volts", Window(OVERVOLTAGE.begin - 1200, OVERVOLTAGE.end + 1200), 60.0),
)


def rules() -> list[tuple[str, str, str, float]]:
    """Return group, name, expression and interval of each recording rule."""
    return [
        (group["name"], rule["record"], rule["expr"], SECONDS[group["interval"]])
        for group in GROUPS
        for rule in group["rules"]
    ]


def points(found: list[tuple[dict[str, str], Points]]) -> dict[tuple[tuple[str, str], ...], dict[float, float]]:
    return {
        tuple(sorted((name, value) for name, value in labels.items() if name != "__name__")): dict(values)
        for labels, values in found
    }


@pytest.mark.parametrize(("group", "record", "expression", "interval"), rules(), ids=[rule[1] for rule in rules()])
def test_prometheus_evaluates_a_rule_to_what_the_golden_house_has_recorded(
    golden_prometheus: GoldenPrometheus, group: str, record: str, expression: str, interval: float
) -> None:
    compared = 0
    for stretch in STRETCHES:
        step = max(interval, stretch.scrape_seconds)
        begin = (stretch.window.begin + step - 1) // step * step + OFFSETS[group]
        end = stretch.window.end
        evaluated = points(golden_prometheus.query_range(expression, begin, end, step))
        # A sample of this very moment, or none.
        held = points(golden_prometheus.query_range(f"last_over_time({record}[1s])", begin, end, step))
        assert set(evaluated) == set(held), stretch.name
        for labels, samples in held.items():
            seen = {moment: value for moment, value in evaluated[labels].items() if moment in samples}
            assert seen == pytest.approx(samples, rel=1e-8, abs=1e-6), (stretch.name, labels)
            more = evaluated[labels].keys() - samples.keys()
            assert all(any(0 < one - moment <= LINGERING_SECONDS for moment in samples) for one in more), stretch.name
            compared += len(samples)
    assert (compared == 0) == (record in EMPTY)


def test_the_offsets_are_those_of_the_groups() -> None:
    assert list(OFFSETS) == [group["name"] for group in GROUPS]
