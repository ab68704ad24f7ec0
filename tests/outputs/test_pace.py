import pytest
from prometheus_client.core import GaugeMetricFamily
from sample_groups import agent_group, battery_group, relayed_group

from sonnen_agent.config.section import Section
from sonnen_agent.group import Group
from sonnen_agent.outputs.pace import Pace, read_interval


@pytest.mark.parametrize(
    ("beat", "interval", "seconds", "pause"),
    [
        (5, None, 5, 0),
        (5, 5, 5, 0),
        (5, 1, 5, 0),
        (60, 30, 60, 0),
        (5, 30, 30, 27.5),
        (5, 7, 10, 7.5),
        (2.5, 60, 60, 58.75),
        (0.1 * 30, 9, 9, 7.5),
    ],
)
def test_a_pace_is_a_whole_number_of_beats_and_never_less_than_one(
    beat: float, interval: float | None, seconds: float, pause: float
) -> None:
    pace = Pace.of(beat, interval)
    assert (pace.seconds, pace.pause_seconds) == pytest.approx((seconds, pause))


def told(group: Group, beat: float, interval: float | None) -> dict[str, float]:
    families = Pace.of(beat, interval).told(group).families
    return {sample.name: sample.value for family in families for sample in family.samples if "interval" in sample.name}


def test_a_group_that_leaves_seldom_says_so_and_no_other() -> None:
    of_agent = agent_group(GaugeMetricFamily("sonnen_agent_start_time_seconds", "", 1))

    assert told(battery_group(), 5, None) == {}
    assert told(battery_group(), 5, 15) == {}
    assert told(battery_group(), 5, 30) == {"sonnen_push_interval_seconds": 30}
    assert told(battery_group(), 5, 32) == {"sonnen_push_interval_seconds": 35}
    assert told(of_agent, 5, None) == {}
    assert told(of_agent, 5, 60) == {"sonnen_agent_push_interval_seconds": 60}
    assert told(relayed_group(), 5, 60) == {}


def test_a_slow_beat_is_told_without_any_interval() -> None:
    assert told(battery_group(), 20, None) == {"sonnen_push_interval_seconds": 20}


@pytest.mark.parametrize(("values", "interval"), [({}, None), ({"interval_seconds": 30}, 30)])
def test_the_interval_is_read_from_the_section(values: dict[object, object], interval: float | None) -> None:
    section = Section(values, "pushgateway", [])
    assert read_interval(section) == interval
    assert section.problems == []


@pytest.mark.parametrize("value", [0, 0.5, 3601, "30", True])
def test_an_interval_out_of_bounds_is_named(value: object) -> None:
    section = Section({"interval_seconds": value}, "pushgateway", [])
    assert read_interval(section) is None
    assert section.problems == [f"pushgateway.interval_seconds: should be a number from 1 to 3600, got {value!r}"]
