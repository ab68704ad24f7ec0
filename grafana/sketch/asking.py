"""How Grafana asks Prometheus: relative times, steps, and the words it puts into queries."""

import json
import re
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


def moment(text: str, now: datetime) -> datetime:
    """Return what a relative time such as now-1d/d means; a month is a calendar month."""
    match = re.fullmatch(r"now(?:-(\d+)([smhdwMy]))?(?:/([dMy]))?", text)
    if match is None:
        raise ValueError(text)
    count, unit, whole = match.groups()
    if unit == "M":
        months = now.year * 12 + now.month - 1 - int(count)
        now = now.replace(year=months // 12, month=months % 12 + 1, day=1)
    elif unit:
        now -= timedelta(seconds=int(count) * _UNITS[unit])
    if whole:
        now = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if whole in {"M", "y"}:
        now = now.replace(day=1)
    return now.replace(month=1) if whole == "y" else now


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
        """Return the time of a panel: its own, or the dashboard's."""
        own = panel.get("timeFrom")
        start = (own if own.startswith("now") else f"now-{own}") if own else board["time"]["from"]
        return moment(start, self.now), self.now

    def step(self, panel: Json, start: datetime, end: datetime) -> int:
        """Return the seconds between two points: no more points than pixels, in round steps."""
        points = panel.get("maxDataPoints") or panel["gridPos"]["w"] * 50
        needed = (end - start).total_seconds() / points
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
        query = self.filled_in(target["expr"], int((end - start).total_seconds()), step)
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
