from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonnen_agent.energy.counters import EnergyCounters
from sonnen_agent.energy.days import Interval, UndatedEnergy


def block(start: float, end: float, watt_hours: float = 1.0) -> Interval:
    return Interval(
        start_seconds=start, end_seconds=end, energies=EnergyCounters(totals_watt_hours={"production": watt_hours})
    )


def held(pending: UndatedEnergy) -> float:
    return sum(block.energies.totals_watt_hours["production"] for block in pending.intervals)


def after(seconds: float, step: float) -> UndatedEnergy:
    pending, start = UndatedEnergy(), 100.0
    while start < 100 + seconds:
        pending = pending.holding(block(start, start + step))
        start += step
    return pending


def test_intervals_of_a_minute_are_one_block() -> None:
    pending = after(180, 5)
    assert [(b.start_seconds, b.end_seconds) for b in pending.intervals] == [(100, 160), (160, 220), (220, 280)]
    assert held(pending) == 36


def test_a_gap_is_not_part_of_a_block() -> None:
    pending = UndatedEnergy().holding(block(0, 5)).holding(block(20, 25))
    assert [(b.start_seconds, b.end_seconds) for b in pending.intervals] == [(0, 5), (20, 25)]


def test_a_week_without_a_clock_is_held_in_a_few_hundred_blocks_of_an_hour_or_so() -> None:
    pending = after(7 * 86_400, 60)
    assert len(pending.intervals) <= 240
    assert pending.interval_seconds <= 2 * 3600
    assert held(pending) == 7 * 1440


def test_after_a_reboot_what_waits_was_just_before_it() -> None:
    pending = UndatedEnergy().holding(block(1000, 1060)).holding(block(1100, 1150)).before_boot()
    assert [(b.start_seconds, b.end_seconds) for b in pending.intervals] == [(-150, -90), (-50, 0)]
    assert UndatedEnergy().before_boot() == UndatedEnergy()


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 5000), st.floats(0.1, 60)), min_size=20, max_size=30))
def test_however_the_intervals_lie_all_is_held_in_order_and_in_bounds(intervals: list[tuple[float, float]]) -> None:
    pending, end = UndatedEnergy(), 0.0
    for gap, seconds in intervals * 20:
        start = end + gap
        end = start + seconds
        pending = pending.holding(block(start, end))
    assert held(pending) == pytest.approx(20 * len(intervals))
    assert len(pending.intervals) <= 240
    assert all(first.end_seconds <= second.start_seconds for first, second in pairwise(pending.intervals))
    assert pending.intervals[-1].end_seconds == end
