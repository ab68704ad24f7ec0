"""Panels as matplotlib draws them: dark, plain, legible."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, Wedge
from PIL import Image

from sketch.asking import Json, Prometheus
from sketch.frames import Row, Series, reduced, rows, series, transformed, without_gaps_closed
from sketch.words import words

COLUMN_PIXELS, PHONE_COLUMN_PIXELS, LINE_PIXELS, DPI = 56, 18, 32, 100
DAY = 86400
"""matplotlib counts time in days."""
PAGE, PANEL, TEXT, FAINT, GRIDLINE = "#111217", "#181B1F", "#D8D9DA", "#8E8E99", "#2C3235"
PALETTE = ("#7EB26D", "#EAB839", "#6ED0E0", "#EF843C", "#E24D42", "#1F78C1", "#BA43A9", "#705DA0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How the values of one query look, after the overrides for it."""

    properties: Mapping[str, Any]

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401  # JSON holds anything
        """Return a property such as custom.lineWidth."""
        value: Any = self.properties
        for part in (key,) if key in self.properties else key.split("."):
            value = value.get(part, default) if isinstance(value, dict) else default
        return value

    def colour(self, value: float | None, number: int = 0) -> str:
        """Return the colour of a value, or of the query's line."""
        for mapping in self.get("mappings") or ():
            state = mapping["options"].get(f"{value:g}") if value is not None else None
            if state and state.get("color"):
                return str(state["color"])
        color = self.get("color") or {}
        if color.get("mode") == "fixed":
            return str(color["fixedColor"])
        if color.get("mode") == "thresholds" and value is not None:
            steps = self.get("thresholds")["steps"]
            return str([one["color"] for one in steps if one["value"] is None or value >= one["value"]][-1])
        return PALETTE[number % len(PALETTE)]

    def mapped(self, value: float) -> str | None:
        """Return the word for a value, where there is one."""
        for mapping in self.get("mappings") or ():
            if state := mapping["options"].get(f"{value:g}"):
                return str(state["text"])
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """A dashboard being drawn."""

    board: Json
    prometheus: Prometheus

    @property
    def zone(self) -> tzinfo:
        """Return the viewer's time zone."""
        zone = self.prometheus.now.tzinfo
        if zone is None:
            raise ValueError("now needs a time zone")
        return zone

    @property
    def width(self) -> int:
        """Return the pixels of a desk's screen; of a phone's, where all panels are in one column."""
        narrow = all(panel["gridPos"]["w"] == 24 for panel in self.board["panels"])
        return 24 * (PHONE_COLUMN_PIXELS if narrow else COLUMN_PIXELS)

    def draw(self, path: Path) -> None:
        """Draw all panels into a PNG file."""
        # A dollar in a legend is a dollar.
        mpl.rcParams["text.parse_math"] = False
        height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in self.board["panels"]) + 1
        figure = Figure(figsize=(self.width / DPI, height * LINE_PIXELS / DPI), dpi=DPI, facecolor=PAGE)
        title = f"{self.board['title']}   ·   a preview from simulated data, not Grafana"
        figure.text(0.006, 1 - 0.5 / height, title, color=FAINT, fontsize=9, va="center")
        for panel in self.board["panels"]:
            place = panel["gridPos"]
            box = (place["x"] / 24, 1 - (place["y"] + place["h"] + 1) / height, place["w"] / 24, place["h"] / height)
            if panel["type"] == "row":
                name = self.prometheus.filled_in(panel["title"], 0, 1)
                figure.text(0.006, box[1] + box[3] / 2, f"⌄ {name}", color=TEXT, fontsize=10, va="center")
            else:
                self._panel(figure, panel, box, height)
        figure.savefig(path)
        # Few colours are enough for lines and letters, and a third of the size.
        Image.open(path).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)

    def _panel(self, figure: Figure, panel: Json, box: tuple[float, float, float, float], height: int) -> None:
        x, y, w, h = box
        gap_x, gap_y = 4 / (self.width), 4 / (height * LINE_PIXELS)
        frame = Rectangle(
            (x + gap_x, y + gap_y), w - 2 * gap_x, h - 2 * gap_y, facecolor=PANEL, edgecolor=GRIDLINE, zorder=-1
        )
        figure.add_artist(frame)
        head = 22 / (height * LINE_PIXELS)
        figure.text(x + 3 * gap_x, y + h - gap_y - head / 2, panel["title"], color=TEXT, fontsize=9, va="center")
        inner = (x + 3 * gap_x, y + 2 * gap_y, w - 6 * gap_x, h - head - 4 * gap_y)
        axes = figure.add_axes(inner)
        axes.set_facecolor(PANEL)
        axes.axis("off")
        found = [(target, self.prometheus.ask(self.board, panel, target)) for target in panel["targets"]]
        size = (inner[2] * self.width, inner[3] * height * LINE_PIXELS)
        if panel["targets"][0]["format"] == "table":
            table = transformed(panel, [rows(panel, target, result) for target, result in found])
            drawn: bool = {"table": self._table, "barchart": self._bars}[panel["type"]](axes, panel, table, size)
        else:
            lines = [line for target, result in found for line in series(target, result)]
            drawn = bool(lines)
            if lines:
                self._lines_of(panel["type"])(axes, panel, lines, size)
        if not drawn:
            nothing = panel["fieldConfig"]["defaults"]["noValue"]
            axes.text(0.5, 0.5, nothing, color=FAINT, ha="center", va="center", transform=axes.transAxes)

    def _lines_of(self, kind: str) -> Callable[[Axes, Json, Sequence[Series], tuple[float, float]], None]:
        kinds = {
            "stat": self._stat,
            "gauge": self._gauge,
            "bargauge": self._bar_gauge,
            "timeseries": self._chart,
            "state-timeline": self._timeline,
        }
        return kinds[kind]

    def _words(self, value: float, look: Look) -> str:
        mapped = look.mapped(value)
        return mapped or words(value, look.get("unit"), look.get("decimals"), self.prometheus.now)

    def _stat(self, axes: Axes, panel: Json, lines: Sequence[Series], size: tuple[float, float]) -> None:
        calculation = panel["options"]["reduceOptions"]["calcs"][0]
        shown = [(line, value) for line in lines if (value := reduced(line, calculation)) is not None]
        count = len(shown)
        across = min(range(1, count + 1), key=lambda n: abs(size[0] / n / (size[1] / math.ceil(count / n)) - 2.2))
        down = math.ceil(count / across)
        axes.set(xlim=(0, across), ylim=(down, 0))
        for number, (line, value) in enumerate(shown):
            look = looked(panel, line)
            text, x, y = self._words(value, look), number % across + 0.5, number // across
            colour = look.colour(value, number)
            if panel["options"]["colorMode"] == "background_solid":
                axes.add_patch(Rectangle((number % across, y), 1, 1, facecolor=colour))
                colour = PAGE
            points = min(26, size[1] / down * 0.30, size[0] / across / max(len(text), 4) * 1.15)
            named = len(panel["targets"]) > 1
            axes.text(x, y + (0.62 if named else 0.5), text, color=colour, fontsize=points, ha="center", va="center")
            if named:
                axes.text(x, y + 0.2, line.name, color=TEXT, fontsize=8, ha="center", va="center")

    def _gauge(self, axes: Axes, panel: Json, lines: Sequence[Series], size: tuple[float, float]) -> None:
        line = lines[0]
        look, value = looked(panel, line), line.last or 0
        low, high = look.get("min"), look.get("max")
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        axes.set(xlim=(-size[0] / size[1], size[0] / size[1]), ylim=(-0.55, 1.05))
        axes.set_aspect("equal")
        axes.add_patch(Wedge((0, 0), 1, -20, 200, width=0.25, facecolor=GRIDLINE))
        axes.add_patch(Wedge((0, 0), 1, 200 - 220 * share, 200, width=0.25, facecolor=look.colour(value)))
        axes.text(0, 0.05, self._words(value, look), color=look.colour(value), fontsize=18, ha="center", va="center")

    def _bar_gauge(self, axes: Axes, panel: Json, lines: Sequence[Series], _: tuple[float, float]) -> None:
        values = [line.last or 0 for line in lines]
        top = max([*values, 1])
        axes.set(xlim=(-0.45, 1.25), ylim=(len(lines), 0))
        for number, (line, value) in enumerate(zip(lines, values, strict=True)):
            look = looked(panel, line)
            axes.add_patch(Rectangle((0, number + 0.15), 1, 0.7, facecolor=GRIDLINE))
            axes.add_patch(Rectangle((0, number + 0.15), value / top, 0.7, facecolor=look.colour(value, number)))
            axes.text(-0.02, number + 0.5, line.name, color=TEXT, fontsize=9, ha="right", va="center")
            text = self._words(value, look)
            axes.text(1.02, number + 0.5, text, color=look.colour(value, number), fontsize=10, va="center")

    def _time_axis(self, axes: Axes, panel: Json) -> None:
        start, end = self.prometheus.time_range(self.board, panel)
        axes.axis("on")
        axes.set_xlim(start.timestamp() / DAY, end.timestamp() / DAY)
        marks = list(_marks(start, end, most=max(2, int(axes.bbox.width / 75))))
        axes.set_xticks([mark.timestamp() / DAY for mark, _ in marks], [label for _, label in marks])
        _plain(axes)

    def _chart(self, axes: Axes, panel: Json, lines: Sequence[Series], size: tuple[float, float]) -> None:
        foot = _legend_pixels(len(lines), size)
        _room(axes, size, left=58, right=8, below=foot)
        step = self.prometheus.step(panel, *self.prometheus.time_range(self.board, panel))
        right: Axes | None = None
        above: dict[float, float] = {}
        below: dict[float, float] = {}
        named = {line.name: line for line in lines}
        for number, line in enumerate(lines):
            look = looked(panel, line)
            colour, target = look.colour(None, number), axes
            if look.get("custom.axisPlacement") == "right":
                if right is None:
                    _room(axes, size, left=58, right=58, below=foot)
                    right = axes.twinx()
                    _plain(right)
                target = right
            self._scale(target, look)
            broken = without_gaps_closed(line, step)
            times = [time / DAY for time in broken.times]
            if look.get("custom.drawStyle") == "bars":
                stacked = look.get("custom.stacking", {}).get("mode") == "normal"
                bottoms = []
                for time, value in zip(broken.times, broken.values, strict=True):
                    pile = above if value >= 0 else below
                    bottoms.append(pile.get(time, 0.0) if stacked else 0.0)
                    pile[time] = bottoms[-1] + (0 if math.isnan(value) else value)
                width = step / DAY * 0.85
                align: Literal["center", "edge"] = "center" if look.get("custom.barAlignment") == 0 else "edge"
                target.bar(times, broken.values, width, bottom=bottoms, align=align, color=colour, label=line.name)
                continue
            dashed = "--" if look.get("custom.lineStyle", {}).get("fill") == "dash" else "-"
            thick = max(0.8, look.get("custom.lineWidth") * 0.9)
            target.plot(times, broken.values, dashed, color=colour, linewidth=thick, label=line.name)
            if to := named.get(str(look.get("custom.fillBelowTo"))):
                target.fill_between(times, broken.values, without_gaps_closed(to, step).values, color=colour, alpha=0.3)
            elif fill := look.get("custom.fillOpacity"):
                target.fill_between(times, broken.values, 0, color=colour, alpha=fill / 150, linewidth=0)
        self._time_axis(axes, panel)
        labels = [label for one in (axes, right) if one for label in zip(*one.get_legend_handles_labels(), strict=True)]
        _legend(axes, labels, size)

    def _scale(self, axes: Axes, look: Look) -> None:
        axes.yaxis.set_major_formatter(lambda value, _: self._words(value, look))
        if look.get("min") is not None and look.get("max") is not None:
            axes.set_ylim(look.get("min"), look.get("max") * 1.02)

    def _timeline(self, axes: Axes, panel: Json, lines: Sequence[Series], size: tuple[float, float]) -> None:
        many = len(lines) > 1
        _room(axes, size, left=110 if many else 8, right=8, below=18)
        step = self.prometheus.step(panel, *self.prometheus.time_range(self.board, panel))
        self._time_axis(axes, panel)
        axes.set(ylim=(len(lines), 0), yticks=[])
        for number, line in enumerate(lines):
            look = looked(panel, line)
            for start, end, value in _stretches(line, step):
                left, right = start / DAY, end / DAY
                axes.add_patch(Rectangle((left, number + 0.08), right - left, 0.84, facecolor=look.colour(value)))
                span = axes.get_xlim()
                if (right - left) / (span[1] - span[0]) * size[0] > 60:
                    word = self._words(value, look)
                    axes.text(left, number + 0.5, f" {word}", color=PAGE, fontsize=8, va="center", clip_on=True)
            if many:
                axes.annotate(
                    line.name,
                    (0, number + 0.5),
                    xytext=(-4, 0),
                    xycoords=("axes fraction", "data"),
                    textcoords="offset points",
                    color=TEXT,
                    fontsize=8,
                    ha="right",
                    va="center",
                )

    def _bars(self, axes: Axes, panel: Json, table: list[Row], size: tuple[float, float]) -> bool:
        by = panel["options"]["xField"]
        names = list(dict.fromkeys(name for row in table for name in row if name != by))
        if not names:
            return False
        stacked = panel["options"]["stacking"] == "normal"
        _room(axes, size, left=58, right=8, below=40)
        axes.axis("on")
        _plain(axes)
        bottoms = [0.0] * len(table)
        width = 0.7 if stacked else 0.7 / len(names)
        for number, name in enumerate(names):
            look = looked(panel, Series(name=name, letter="", times=(), values=()))
            values = [cell if isinstance(cell := row.get(name), float) else 0.0 for row in table]
            places = [
                index + (0 if stacked else (number - (len(names) - 1) / 2) * width) for index in range(len(table))
            ]
            axes.bar(
                places, values, width, bottom=bottoms if stacked else 0, color=look.colour(None, number), label=name
            )
            bottoms = [bottom + value for bottom, value in zip(bottoms, values, strict=True)]
            self._scale(axes, look)
        every = math.ceil(len(table) * 60 / size[0])
        shown = range(0, len(table), every)
        axes.set_xticks(shown, [str(table[number][by]) for number in shown])
        axes.set_xlim(-0.6, max(len(table), 4) - 0.4)
        _legend(axes, list(zip(*axes.get_legend_handles_labels(), strict=True)), size)
        return True

    def _table(self, axes: Axes, panel: Json, table: list[Row], size: tuple[float, float]) -> bool:
        if not table:
            return False
        names = list(dict.fromkeys(name for row in table for name in row))
        for order in panel["options"].get("sortBy") or ():
            table = sorted(table, key=lambda row: str(row.get(order["displayName"])), reverse=order["desc"])
        lines = max(int(size[1] // 24), 2)
        axes.set(xlim=(0, len(names)), ylim=(lines, 0))
        for column, name in enumerate(names):
            look = looked(panel, Series(name=name, letter="", times=(), values=()))
            axes.text(column + 0.03, 0.5, name, color="#6E9FFF", fontsize=9, va="center")
            for line, row in enumerate(table[: lines - 1], start=1):
                cell = row.get(name)
                text = self._words(cell, look) if isinstance(cell, float) else (cell or "")
                axes.text(column + 0.03, line + 0.5, text, color=TEXT, fontsize=9, va="center")
        for line in range(1, lines):
            axes.axhline(line, color=GRIDLINE, linewidth=0.6)
        return True


def looked(panel: Json, line: Series) -> Look:
    """Return the properties of a line: the panel's, with its overrides."""
    config = panel["fieldConfig"]
    properties = dict(config["defaults"])
    for entry in config["overrides"]:
        wanted = {"byName": line.name, "byFrameRefID": line.letter}[entry["matcher"]["id"]]
        if entry["matcher"]["options"] == wanted:
            properties |= {one["id"]: one["value"] for one in entry["properties"]}
    return Look(properties=properties)


def _marks(start: datetime, end: datetime, most: int) -> Iterator[tuple[datetime, str]]:
    """Yield round moments for a time axis, with what stands below them."""
    hours = next((step for step in (1, 2, 3, 6, 12) if (end - start) / timedelta(hours=step) <= most), None)
    mark = start.replace(hour=0, minute=0, second=0, microsecond=0)
    if hours:
        step, form = timedelta(hours=hours), "%H:%M"
    else:
        days = math.ceil((end - start) / timedelta(days=most))
        step, form = timedelta(days=days), "%d %b" if days < 20 else "%b %Y"
    while mark <= end:
        if mark >= start:
            yield mark, mark.strftime(form)
        mark += step


def _stretches(line: Series, step: float) -> Iterator[tuple[float, float, float]]:
    start: float | None = None
    before = math.nan
    end = 0.0
    for time, value in zip(line.times, line.values, strict=True):
        if start is not None and (value != before or time > end + step / 2):
            yield start, min(end, time), before
            start = None
        start = time if start is None else start
        before, end = value, time + step
    if start is not None:
        yield start, end, before


def _plain(axes: Axes) -> None:
    axes.set_facecolor(PANEL)
    axes.tick_params(colors=FAINT, labelsize=8, length=0)
    axes.grid(axis="y", color=GRIDLINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def _room(axes: Axes, size: tuple[float, float], *, left: float, right: float, below: float) -> None:
    """Make the place for the labels of axes and for the legend, in pixels, once."""
    if not hasattr(axes, "whole"):
        axes.whole = axes.get_position()  # type: ignore[attr-defined]  # as it was, for a second call
    whole = axes.whole  # type: ignore[attr-defined]  # the same
    across, up = whole.width / size[0], whole.height / size[1]
    axes.set_position(
        (
            whole.x0 + left * across,
            whole.y0 + below * up,
            whole.width - (left + right) * across,
            whole.height - (below + 8) * up,
        )
    )


def _legend_columns(count: int, size: tuple[float, float]) -> int:
    return max(1, min(count, int(size[0] // 130)))


def _legend_pixels(count: int, size: tuple[float, float]) -> int:
    """Return the room below a chart for the labels of its axis and a legend."""
    return 26 + 14 * math.ceil(count / _legend_columns(count, size))


def _legend(axes: Axes, labels: Sequence[tuple[Any, Any]], size: tuple[float, float]) -> None:
    if not labels:
        return
    handles, names = zip(*labels, strict=True)
    columns = _legend_columns(len(names), size)
    axes.legend(
        handles,
        names,
        loc="upper left",
        bbox_to_anchor=(0, -20 / max(size[1] - _legend_pixels(len(names), size) - 8, 1)),
        ncols=columns,
        fontsize=8,
        frameon=False,
        labelcolor=TEXT,
        borderaxespad=0,
        handlelength=1,
        columnspacing=1,
    )
