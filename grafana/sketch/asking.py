"""How Grafana asks Prometheus: relative times, steps, and the words it puts into queries."""

import json
import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import urllib3

# The words that Grafana's JSON uses for things, with whatever is in them.
Json = dict[str, Any]

SCRAPE_SECONDS = 5
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_ROUND_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800)


def moment(text: str, now: datetime, *, last: bool = False) -> datetime:
    """Return what a time means: one that is relative, such as now-1d/d, or one by the clock, such as 2025-06-03T12:00.

    The first moment of its day, month or year, or the last one, where the range ends. Months and years are the
    calendar's.
    """
    if not text.startswith("now"):
        return datetime.fromisoformat(text).replace(tzinfo=now.tzinfo)
    match = re.fullmatch(r"now(?:-(\d+)([smhdwMy]))?(?:/([dMy]))?", text)
    if match is None:
        raise ValueError(text)
    count, unit, whole = match.groups()
    if unit in {"M", "y"}:
        now = _months_later(now, -int(count) * (12 if unit == "y" else 1))
    elif unit:
        now -= timedelta(seconds=int(count) * _UNITS[unit])
    if not whole:
        return now
    first = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if whole == "d":
        after = first + timedelta(days=1)
    else:
        first = first.replace(day=1, month=1 if whole == "y" else first.month)
        after = _months_later(first, 12 if whole == "y" else 1)
    return after - timedelta(milliseconds=1) if last else first


def _months_later(at: datetime, count: int) -> datetime:
    months = at.year * 12 + at.month - 1 + count
    year, month = months // 12, months % 12 + 1
    return at.replace(year=year, month=month, day=min(at.day, monthrange(year, month)[1]))


def seconds(text: str) -> int:
    """Return the seconds of a duration such as 5m."""
    return int(text[:-1]) * _UNITS[text[-1]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """A server to ask, and the moment that is taken for now, in the viewer's time zone."""

    url: str
    now: datetime
    choices: Mapping[str, str]
    """Values of the dashboard's variables."""

    def time_range(self, board: Json, panel: Json) -> tuple[datetime, datetime]:
        """Return the time of a panel: the dashboard's, or its own one where the dashboard's is relative."""
        start, end = board["time"]["from"], board["time"]["to"]
        own = panel.get("timeFrom")
        if own and start.startswith("now"):
            start, end = own if own.startswith("now") else f"now-{own}", "now"
        return moment(start, self.now), moment(end, self.now, last=True)

    def step(self, panel: Json, start: datetime, end: datetime) -> int:
        """Return the seconds between two points: no more points than pixels, in round steps."""
        points = panel.get("maxDataPoints") or panel["gridPos"]["w"] * 50
        needed = (end.timestamp() - start.timestamp()) / points
        rounded = next((step for step in _ROUND_SECONDS if step >= needed), _ROUND_SECONDS[-1])
        return max(rounded, seconds(panel["interval"]) if panel.get("interval") else SCRAPE_SECONDS)

    def filled_in(self, expr: str, range_seconds: int, step: int) -> str:
        """Return a query with Grafana's words and the variables replaced."""
        words = {
            "__range_s": str(range_seconds),
            "__range": f"{range_seconds}s",
            "__interval": f"{step}s",
            "__rate_interval": f"{max(step + SCRAPE_SECONDS, 4 * SCRAPE_SECONDS)}s",
            **self.choices,
        }
        return re.sub(r"\$\{?([a-z_]+)\}?", lambda match: words.get(match[1], match[0]), expr)

    def ask(self, board: Json, panel: Json, target: Json) -> list[Json]:
        """Return the series of a query, each with its samples as `values`."""
        start, end = self.time_range(board, panel)
        step = self.step(panel, start, end)
        # By the clock of the world: a difference of local times has an hour too much or too little where clocks change.
        query = self.filled_in(target["expr"], round(end.timestamp() - start.timestamp()), step)
        if target["instant"]:
            found = self._get("query", query=query, time=end.timestamp())
            return [{"metric": one["metric"], "values": [one["value"]]} for one in found]
        # Grafana aligns steps to the viewer's midnight, by the offset of the end.
        shift = int((end.utcoffset() or timedelta()).total_seconds())
        first, last = ((int(at.timestamp()) + shift) // step * step - shift for at in (start, end))
        return self._get("query_range", query=query, start=first, end=last, step=step)

    def _get(self, path: str, **fields: object) -> list[Json]:
        answer = urllib3.request("GET", f"{self.url}/api/v1/{path}?{urlencode(fields)}")
        body = json.loads(answer.data)
        if body["status"] != "success":
            raise ValueError(f"{body['error']}: {fields['query']}")
        result: list[Json] = body["data"]["result"]
        return result
