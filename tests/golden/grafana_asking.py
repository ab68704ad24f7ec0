"""How Grafana asks Prometheus: relative times, steps, and the words it puts into queries."""

import json
import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import urllib3
from programs import PATIENCE_SECONDS

# The words that Grafana's JSON uses for things, with whatever is in them.
Json = dict[str, Any]

SCRAPE_SECONDS = 5
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_ROUND_SECONDS = {
    1.5: 1, 3.5: 2, 7.5: 5, 12.5: 10, 17.5: 15, 25: 20, 45: 30, 90: 60, 210: 120, 450: 300, 750: 600, 1050: 900,
    1500: 1200, 2700: 1800, 5400: 3600, 9000: 7200, 16200: 10800, 32400: 21600, 86400: 43200, 604800: 86400,
    1814400: 604800, 3628800: 2592000,
}  # fmt: skip
"""Below what Grafana takes which step: it rounds down, too."""
MOST_POINTS = 11_000
"""Prometheus refuses more."""


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


def _rounded(seconds: float) -> int:
    return next((step for limit, step in _ROUND_SECONDS.items() if seconds < limit), 31_536_000)


def seconds(text: str) -> int:
    """Return the seconds of a duration such as 5m."""
    return int(text[:-1]) * _UNITS[text[-1]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """A server to ask, and the moment that is taken for now; its zone is of no matter, the dashboard has one."""

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
        now = self.now.astimezone(ZoneInfo(board["timezone"]))
        months = {"1M": -1, "1y": -12}.get(panel.get("timeShift", ""), 0)
        return _months_later(moment(start, now), months), _months_later(moment(end, now, last=True), months)

    def step(self, panel: Json, start: datetime, end: datetime) -> int:
        """Return the seconds between two points: about as many points as pixels, in round steps."""
        points = panel.get("maxDataPoints") or panel["gridPos"]["w"] * 50
        length = end.timestamp() - start.timestamp()
        least = seconds(panel["interval"]) if panel.get("interval") else SCRAPE_SECONDS
        # Grafana's back end tries to keep to what Prometheus gives, and rounds that down as well.
        return max(_rounded(length / points), least, _rounded(length / MOST_POINTS))

    def filled_in(self, expr: str, range_seconds: int, step: int) -> str:
        """Return a query with Grafana's words and the variables replaced."""
        words = {
            "__range_s": str(range_seconds),
            "__range": f"{range_seconds}s",
            "__interval": f"{step}s",
            "__rate_interval": f"{max(step + SCRAPE_SECONDS, 4 * SCRAPE_SECONDS)}s",
            **self.choices,
        }
        return re.sub(r"\$\{?([a-z_]+)(?::regex)?\}?", lambda match: words.get(match[1], match[0]), expr)

    def ask(self, board: Json, panel: Json, target: Json) -> list[Json]:
        """Return the series of a query, each with its samples as `values`."""
        start, end = self.time_range(board, panel)
        step = self.step(panel, start, end)
        # By the clock of the world: a difference of local times has an hour too much or too little where clocks change.
        query = self.filled_in(target["expr"], round(end.timestamp() - start.timestamp()), step)
        if target["instant"]:
            found = self._get("query", query=query, time=end.timestamp())
            return [{"metric": one["metric"], "values": [one["value"]]} for one in found]
        # Grafana aligns steps to the dashboard's midnight, by the offset of the end.
        shift = int((end.utcoffset() or timedelta()).total_seconds())
        first, last = ((int(at.timestamp()) + shift) // step * step - shift for at in (start, end))
        return self._get("query_range", query=query, start=first, end=last, step=step)

    def _get(self, path: str, **fields: object) -> list[Json]:
        answer = urllib3.request("GET", f"{self.url}/api/v1/{path}?{urlencode(fields)}", timeout=PATIENCE_SECONDS)
        body = json.loads(answer.data)
        if body["status"] != "success":
            raise ValueError(f"{body['error']}: {fields['query']}")
        result: list[Json] = body["data"]["result"]
        return result
