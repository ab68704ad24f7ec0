"""From Prometheus's answers to what a panel draws, by the few of Grafana's transformations that are used here."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from sketch.asking import Json

Cell = str | float | None
Row = dict[str, Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A line of a chart."""

    name: str
    letter: str
    times: Sequence[float]
    values: Sequence[float]

    @property
    def last(self) -> float | None:
        """Return the last value that is a number."""
        return next((value for value in reversed(self.values) if not math.isnan(value)), None)


def series(target: Json, found: Iterable[Json]) -> list[Series]:
    """Return the lines of a query."""
    return [
        Series(
            name=_named(target["legendFormat"], one["metric"]),
            letter=target["refId"],
            times=[float(time) for time, _ in one["values"]],
            values=[float(value) for _, value in one["values"]],
        )
        for one in found
    ]


def _named(legend: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend)


def rows(panel: Json, target: Json, found: Iterable[Json]) -> list[Row]:
    """Return the table of a query."""
    value = f"Value #{target['refId']}" if len(panel["targets"]) > 1 else "Value"
    return [
        {"Time": float(time) * 1000, **_labels(one["metric"]), value: float(number)}
        for one in found
        for time, number in one["values"]
    ]


def _labels(metric: Mapping[str, str]) -> Row:
    return {name: value for name, value in metric.items() if name != "__name__"}


def transformed(panel: Json, tables: list[list[Row]]) -> list[Row]:
    """Return the one table that is left after a panel's transformations."""
    for step in panel.get("transformations", []):
        tables = _STEPS[step["id"]](tables, step["options"])
    return tables[0] if tables else []


def _merge(tables: list[list[Row]], _: Json) -> list[list[Row]]:
    merged: dict[tuple[tuple[str, Cell], ...], Row] = {}
    for table in tables:
        for row in table:
            key = tuple(sorted((name, cell) for name, cell in row.items() if not name.startswith("Value")))
            merged.setdefault(key, {}).update(row)
    return [list(merged.values())]


def _filter(tables: list[list[Row]], options: Json) -> list[list[Row]]:
    names = [one["fieldName"] for one in options["filters"]]
    return [[row for row in table if all(row.get(name) is not None for name in names)] for table in tables]


_CALCULATIONS: Mapping[str, Callable[[list[float]], float]] = {"sum": math.fsum, "max": max, "min": min, "mean": fmean}


def _group(tables: list[list[Row]], options: Json) -> list[list[Row]]:
    keys = [name for name, one in options["fields"].items() if one["operation"] == "groupby"]
    wanted = {name: one["aggregations"] for name, one in options["fields"].items() if one["aggregations"]}
    grouped = []
    for table in tables:
        groups: dict[tuple[Cell, ...], list[Row]] = {}
        for row in table:
            groups.setdefault(tuple(row.get(key) for key in keys), []).append(row)
        out: list[Row] = []
        for group, members in groups.items():
            line: Row = dict(zip(keys, group, strict=True))
            for name, calculations in wanted.items():
                numbers = [cell for row in members if isinstance(cell := row.get(name), float)]
                line |= {f"{name} ({calc})": _CALCULATIONS[calc](numbers) for calc in calculations if numbers}
            out.append(line)
        grouped.append(out)
    return grouped


def _calculate(tables: list[list[Row]], options: Json) -> list[list[Row]]:
    def quotient(row: Row) -> Cell:
        left, right = (row.get(options["binary"][side]) for side in ("left", "right"))
        return left / right if isinstance(left, float) and isinstance(right, float) and right else None

    return [[{**row, options["alias"]: quotient(row)} for row in table] for table in tables]


def _join(tables: list[list[Row]], options: Json) -> list[list[Row]]:
    joined: dict[Cell, Row] = {}
    for table in tables:
        for row in table:
            joined.setdefault(row[options["byField"]], {}).update(row)
    return [list(joined.values())]


def _organize(tables: list[list[Row]], options: Json) -> list[list[Row]]:
    order, names, hidden = options["indexByName"], options["renameByName"], options["excludeByName"]

    def line(row: Row) -> Row:
        shown = sorted((name for name in row if name not in hidden), key=lambda name: order.get(name, len(order)))
        return {names.get(name, name): row[name] for name in shown}

    return [[line(row) for row in table] for table in tables]


def _sort(tables: list[list[Row]], options: Json) -> list[list[Row]]:
    (by,) = (one["field"] for one in options["sort"])
    return [sorted(table, key=lambda row: str(row.get(by))) for table in tables]


_STEPS: Mapping[str, Callable[[list[list[Row]], Json], list[list[Row]]]] = {
    "merge": _merge,
    "calculateField": _calculate,
    "filterByValue": _filter,
    "groupBy": _group,
    "joinByField": _join,
    "organize": _organize,
    "sortBy": _sort,
}


def reduced(line: Series, calculation: str) -> float | None:
    """Return the one number that a panel shows of a line."""
    if calculation == "lastNotNull":
        return line.last
    return _CALCULATIONS[calculation](list(line.values))


def without_gaps_closed(line: Series, step: float) -> Series:
    """Return a line with a break wherever a point is missing."""
    times: list[float] = []
    values: list[float] = []
    for time, value in zip(line.times, line.values, strict=True):
        if times and time - times[-1] > step * 1.5:
            times.append(times[-1] + step)
            values.append(math.nan)
        times.append(time)
        values.append(value)
    return replace(line, times=times, values=values)
