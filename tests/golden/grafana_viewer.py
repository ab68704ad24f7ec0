"""Somebody in Germany who opens the dashboards at one moment, and sees what Prometheus answers to Grafana."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
from golden_events import ZONE
from golden_truth import Truth
from grafana_asking import Json
from grafana_asking import Prometheus as Grafana

DASHBOARDS: Final = sorted((Path(__file__).parents[2] / "grafana/dashboards").glob("*.json"))
LAG: Final = 2.7
"""The reading that the gateway holds on a whole minute is so old."""

Key = tuple[str, str, str]
"""Dashboard, panel, query."""


def boards() -> Iterator[Json]:
    """Yield the dashboards, with everything unfolded."""
    for path in DASHBOARDS:
        board = json.loads(path.read_text())
        board["panels"] = [one for panel in board["panels"] for one in (panel, *panel.pop("panels", ()))]
        yield board


def targets() -> Iterator[tuple[Json, Json, Json]]:
    for board in boards():
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield board, panel, target


def title_of(panel: Json) -> str:
    """Return a panel's title without what Grafana fills in."""
    return str(panel["title"]).removesuffix("$since")


def key_of(board: Json, panel: Json, target: Json) -> Key:
    return board["uid"], title_of(panel), target["refId"]


def calendar(board: Json) -> dict[str, tuple[str, str]]:
    """Return the times that a dashboard's links choose, by their names."""
    found = {}
    for link in board["links"]:
        if link["type"] == "link":
            begin, end = (part.split("=")[1] for part in link["url"].split("?")[1].split("&"))
            found[link["title"]] = (begin, end)
    return found


def unit_of(panel: Json, target: Json) -> str:
    """Return the unit that a panel gives a query: its own, or one that an override gives to its name."""
    config = panel["fieldConfig"]
    unit = str(config["defaults"].get("unit", ""))
    for override in config["overrides"]:
        if override["matcher"].get("options") in (target.get("legendFormat"), target["refId"]):
            unit = next((str(one["value"]) for one in override["properties"] if one["id"] == "unit"), unit)
    return unit


def close_to(truth: float, unit: str = "watth", *, share: float = 1e-3) -> Any:  # noqa: ANN401 - pytest's own
    """Return what equals the truth but for a thousandth of it or of a euro, or two watt-hours, seconds or watts."""
    return pytest.approx(
        truth, rel=share, abs={"percentunit": share, "suffix:": share, "suffix:kWh": 2 * share}.get(unit, 2000 * share)
    )


class Viewer:
    """A person with a moment, perhaps with a time chosen on top of the dashboards, and words typed there."""

    def __init__(
        self, url: str, moment: float, truth: Truth, *, time: tuple[str, str] | None = None, **typed: str
    ) -> None:
        self.now = moment
        self.truth = truth
        self._url = url
        self._typed = typed
        self._answers: dict[Key, list[Json]] = {}
        self._asked: dict[Key, tuple[Json, Json, Json]] = {}
        for board, panel, target in targets():
            chosen = {**board, "time": {"from": time[0], "to": time[1]}} if time else board
            self._asked[key_of(board, panel, target)] = chosen, panel, target

    def span(self, key: Key) -> tuple[float, float]:
        """Return the time of a query's panel."""
        board, panel, _ = self._asked[key]
        begin, end = self._grafana(board).time_range(board, panel)
        return begin.timestamp(), end.timestamp()

    def filled_in(self, board: Json, expr: str) -> str:
        """Return a query of a dashboard's variable as it is asked."""
        return self._grafana(board).filled_in(expr, 0, 60)

    def __getitem__(self, key: Key) -> list[Json]:
        if key not in self._answers:
            board, panel, target = self._asked[key]
            self._answers[key] = self._grafana(board).ask(board, panel, target)
        return self._answers[key]

    def value(self, key: Key, **labels: str) -> float:
        """Return the one number that a query gives."""
        (one,) = [found for found in self[key] if labels.items() <= found["metric"].items()]
        return float(one["values"][-1][1])

    def points(self, key: Key) -> list[tuple[float, float]]:
        """Return all points of a query, of whatever series."""
        return sorted((float(at), float(value)) for found in self[key] for at, value in found["values"])

    def _grafana(self, board: Json) -> Grafana:
        boxes = {one["name"]: str(one["query"]) for one in board["templating"]["list"] if one["type"] == "textbox"}
        choices = {"job": "sonnen", "instance": "home", "agent": "pi"} | boxes | self._typed
        return Grafana(url=self._url, now=datetime.fromtimestamp(self.now, ZONE), choices=choices)
