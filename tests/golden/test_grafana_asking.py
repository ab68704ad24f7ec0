"""What is taken for Grafana in the tests asks as it does: times, steps, and words in queries."""

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from grafana_asking import Prometheus, moment

ZONE = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


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
    zone = {"timezone": "Europe/Berlin"}
    relative = {"time": {"from": "now-1M/M", "to": "now-1M/M"}, **zone}
    absolute = {"time": {"from": "2026-01-02T03:00", "to": "2026-01-02T04:00"}, **zone}
    assert asked.time_range(relative, today) == (at("2026-03-29T00:00"), at("2026-03-29T14:10"))
    assert asked.time_range(absolute, today) == (at("2026-01-02T03:00"), at("2026-01-02T04:00"))
    assert asked.time_range(relative, {}) == (
        at("2026-02-01T00:00"),
        at("2026-03-01T00:00") - timedelta(milliseconds=1),
    )


@pytest.mark.parametrize("viewer", ["Etc/GMT+12", "America/Los_Angeles", "Pacific/Kiritimati"])
def test_days_are_those_of_the_dashboard_s_zone_whoever_looks_from_where(viewer: str) -> None:
    now = at("2026-03-29T14:10")
    asked = replace(prometheus(), now=now.astimezone(ZoneInfo(viewer)))
    board = {"timezone": "Europe/Berlin", "time": {"from": "now/d", "to": "now"}}
    assert asked.time_range(board, {}) == (at("2026-03-29T00:00"), now)


@pytest.mark.parametrize(
    ("length", "step"), [(89, 60), (91, 120), (209, 120), (5399, 3600), (86_399, 43_200), (604_799, 86_400)]
)
def test_a_step_is_rounded_as_grafana_rounds_it_also_down(length: int, step: int) -> None:
    begin = at("2025-01-10T00:00")
    assert prometheus().step({"maxDataPoints": 1}, begin, begin + timedelta(seconds=length)) == step


def test_a_year_s_increase_is_made_from_hours_and_a_month_s_from_ten_minutes() -> None:
    panel = {"interval": "1m", "maxDataPoints": 6000, "gridPos": {"w": 8}}
    asked = prometheus()
    end = asked.now
    assert asked.step(panel, at("2024-07-10T18:30"), end) == 3600
    assert asked.step(panel, at("2025-06-10T18:30"), end) == 300
    assert asked.step(panel, at("2025-07-10T18:00"), end) == 60


def test_words_of_grafana_are_filled_in_and_those_of_promql_are_left() -> None:
    asked = prometheus().filled_in(
        'label_replace(x{instance=~`${instance:regex}`}[$__range:$__interval], "m", "$1", "", "")', 60, 5
    )
    assert asked == 'label_replace(x{instance=~`home`}[60s:5s], "m", "$1", "", "")'
    of_agent = "{job=~`${job:regex}_agent`}[$__rate_interval]"
    assert prometheus().filled_in(of_agent, 60, 5) == "{job=~`sonnen_agent`}[20s]"
