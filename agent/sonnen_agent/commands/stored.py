"""What a Prometheus has stored of a battery, asked for in pieces, so that no answer is large."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sonnen_agent.commands.peer import Peer, dig, items
from sonnen_agent.errors import ExchangeError
from sonnen_agent.group import GroupKey

_LONGEST_GAP_SECONDS = 150.0
"""Between two points of a power that count as covered: two scrapes of the slowest that is usual."""
_DAY_SECONDS = 86_400


@dataclass(slots=True)
class Points:
    """The stored points of one power, in watts."""

    count: int = 0
    above: float = 0.0
    """The sum of what is above zero."""
    below: float = 0.0
    """The sum of what is below zero, as a number above it."""
    first: float = math.inf
    last: float = -math.inf
    """Unix time of both."""
    covered_seconds: float = 0.0
    """The time between points that are not too far apart."""
    steps: int = 0
    """How many such pairs there are."""

    def add(self, unix_seconds: float, watts: float) -> None:
        """Count one point more; what is no later than the last is none."""
        if unix_seconds <= self.last or not math.isfinite(watts):
            return
        if unix_seconds - self.last <= _LONGEST_GAP_SECONDS:
            self.covered_seconds += unix_seconds - self.last
            self.steps += 1
        self.count += 1
        self.above += max(watts, 0.0)
        self.below += max(-watts, 0.0)
        self.first, self.last = min(self.first, unix_seconds), unix_seconds


def query(peer: Peer, expression: str, **at: str) -> list[object]:
    """Return the result of an instant query, now or `time`, or raise ExchangeError."""
    document = peer.json("/api/v1/query", query=expression, **at)
    if dig(document, "status") != "success":
        raise ExchangeError("invalid", "what answers there is no Prometheus: is the URL, and its path, right?")
    return items(dig(document, "data", "result"))


def label(name: str, value: str) -> str:
    """Return what selects the series with a label."""
    escaped = value.replace("\\", r"\\").replace('"', r"\"")
    return f'{name}="{escaped}"'


class StoredBattery:
    """The series of one battery in a Prometheus. Its questions raise ExchangeError."""

    def __init__(self, peer: Peer, key: GroupKey) -> None:
        self._peer = peer
        self._labels = f"{label('job', key.job)},{label('instance', key.instance)}"

    def series(self, name: str, more: str = "") -> str:
        """Return the selector of a metric's series."""
        return f"{name}{{{self._labels}{more}}}"

    def value(self, expression: str, at: float) -> float | None:
        """Return the value of an instant query, or None where it has none."""
        for one in self._result(expression, at):
            pair = items(dig(one, "value"))
            if len(pair) == 2 and math.isfinite(value := _number(pair[1])):
                return value
        return None

    def points(self, name: str, begin: float, end: float) -> Points:
        """Return what is stored of a power; asked for day by day, so that no answer is large."""
        points = Points()
        for seconds, at in _days(begin, end):
            found = self._result(f"{self.series(name)}[{seconds}s]", at)
            pairs = (pair for one in found for pair in map(items, items(dig(one, "values"))) if len(pair) == 2)
            # Series of which a label has changed follow one another, and may come in any order.
            for moment, watts in sorted((_number(pair[0]), _number(pair[1])) for pair in pairs):
                if begin <= moment <= end:
                    points.add(moment, watts)
        return points

    def mean(self, expression: str, resolution: str, begin: float, end: float) -> float | None:
        """Return what avg_over_time tells of a time, day by day and also where the points are those of two series.

        The resolution, such as `:5s`, makes a subquery of it.
        """
        total = count = 0.0
        for seconds, at in _days(begin, end):
            span = f"{expression}[{seconds}s{resolution}]"
            total += self.value(f"sum(sum_over_time({span}))", at) or 0.0
            count += self.value(f"sum(count_over_time({span}))", at) or 0.0
        return total / count if count else None

    def _result(self, expression: str, at: float) -> list[object]:
        return query(self._peer, expression, time=f"{at:.3f}")


def _days(begin: float, end: float) -> Iterator[tuple[int, float]]:
    """Yield the length in seconds and the end of each day of a time, or of what is left of one."""
    while begin < end:
        seconds = math.ceil(min(_DAY_SECONDS, end - begin))
        begin += seconds
        yield seconds, begin


def _number(value: object) -> float:
    """Return a number of an answer, NaN where it is none."""
    try:
        return float(value) if isinstance(value, str | int | float) else math.nan
    except ValueError:
        return math.nan
