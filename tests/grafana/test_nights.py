"""Nights, as the Battery dashboard tells them, held against the house itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pytest
from golden_events import DAYS_OF_LINK_GAP, NOW, UNOBSERVED, local
from golden_gauges import within
from golden_house import CAPACITY_WATT_HOURS, minute_of
from grafana_viewer import Viewer

from golden import Golden, GoldenPrometheus

pytestmark = pytest.mark.system

_HALF_A_DAY: Final = 720
"""Minutes."""
_USED, _HELD = (("sonnen-battery", "Nights, one by one", letter) for letter in "AB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What a night was like; Wh."""

    used: float
    least: float
    """Held at dusk: dusk is found some minutes late, the charge is told in whole percents, and the capacity shrinks."""
    most: float


def night_at(house: Golden, midnight: float) -> Night:
    """Return what the house used in the dark around a midnight, and what could be used of the battery at dusk."""
    middle = minute_of(midnight)
    around = slice(middle - _HALF_A_DAY, middle + _HALF_A_DAY)
    dark = house.house.production[around] < 50
    seen = ~np.logical_or.reduce([within(house.house.seconds[around], window) for window in UNOBSERVED])
    dusk = around.start + int(np.flatnonzero(~dark[:_HALF_A_DAY])[-1]) + 1
    held = 0.9 * house.house.usable_percent[dusk : dusk + 20] / 100 * CAPACITY_WATT_HOURS
    return Night(
        used=float(house.house.consumption[around][dark & seen].sum()) / 60,
        least=0.96 * float(held.min()) - 60,
        most=float(held.max()) + 60,
    )


MOMENTS: Final = [NOW, local("2025-01-31 20:00"), local("2025-04-20 12:30")]


@pytest.fixture(params=MOMENTS, ids=["summer", "winter", "spring"])
def viewer(request: pytest.FixtureRequest, golden_house: Golden, golden_prometheus: GoldenPrometheus) -> Viewer:
    return Viewer(golden_prometheus.url, request.param, golden_house.truth)


def judged(viewer: Viewer, house: Golden) -> Iterator[tuple[Night, float, float]]:
    """Yield each night that is told, with what is told of it."""
    held = dict(viewer.points(_HELD))
    for midnight, used in viewer.points(_USED):
        yield night_at(house, midnight), used, held[midnight]


def test_a_night_is_told_as_it_was(viewer: Viewer, golden_house: Golden) -> None:
    told = list(judged(viewer, golden_house))
    assert len(told) > 24
    for night, used, held in told:
        assert used == pytest.approx(night.used, rel=0.05, abs=50)
        assert night.least <= held <= night.most


def test_nights_survived_are_those_for_which_the_charge_at_dusk_was_enough(
    viewer: Viewer, golden_house: Golden
) -> None:
    told = list(judged(viewer, golden_house))
    survived_for_sure = sum(night.least > 1.05 * night.used for night, _, _ in told)
    perhaps = sum(night.most > 0.95 * night.used for night, _, _ in told)
    survived, seen = (
        sum(value for _, value in viewer.points(("sonnen-battery", "Nights of the last 30", letter))) for letter in "AB"
    )
    assert seen == len(told)
    assert survived_for_sure <= survived <= perhaps < survived_for_sure + 5


def test_a_night_that_was_not_seen_is_not_told(golden_house: Golden, golden_prometheus: GoldenPrometheus) -> None:
    viewer = Viewer(golden_prometheus.url, local("2025-04-20 12:30"), golden_house.truth)
    told = {midnight for midnight, _ in viewer.points(_USED)}
    nights = {local(f"2025-04-{day:02}") for day in range(1, 21)}
    gap = DAYS_OF_LINK_GAP
    unseen = {night for night in nights if gap.begin - 43_200 < night < gap.end + 43_200}
    assert len(unseen) == 3
    assert nights - told == unseen
