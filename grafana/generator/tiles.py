"""Panels described as data, and how each kind becomes a panel of Grafana's classic model."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from grafana_foundation_sdk.models import (
    barchart,
    bargauge,
    common,
    dashboard,
    gauge,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)

from generator import colours, units

_OWN_TIME = (
    "It has a time of its own, told beside the title, unless a stretch from one moment to another is chosen, above or "
    "in a chart: then that counts instead."
)
DATASOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
# Grafana shows three significant digits where it is told nothing, and of a duration only its first part.
_DECIMALS = {units.DURATION: 1, units.MONEY: 2, units.KILOWATT_HOUR: 1, **dict.fromkeys(units.CURRENCIES.values(), 2)}
POINTS = 6000
"""Grafana rounds steps down, too, by up to a factor of 1.75, and Prometheus gives no more than 11,000 points."""
UNTOLD = "\N{EN DASH}"
"""In a table's cell of which nothing is known."""
UNREAD = "no data, or no token"
"""Where the battery tells it only to who has a token."""
_COLUMN_PIXELS = 70
"""A column is at least so wide; with Grafana's 150 the last ones would be outside of the panel."""
Look = Mapping[str, object]
"""Properties of a field, such as {"custom.lineWidth": 2}."""
States = Mapping[float, tuple[str, str]]
"""What a number means, and its colour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query, and how its values look."""

    expr: str
    name: str
    """What the legend says; may hold labels, as in {{phase}}."""
    colour: str = ""
    """Fixed; without one Grafana takes a colour by the name."""
    unit: str = ""
    """Where it is not the panel's."""
    look: Look = field(default_factory=dict)

    def override(self, letter: str) -> dashboard.DashboardFieldConfigSourceOverrides | None:
        """Return what sets this query's values apart from the panel's others, if anything does."""
        fixed = {"color": {"mode": "fixed", "fixedColor": self.colour}} if self.colour else {}
        unit = {"unit": self.unit} if self.unit else {}
        look = {**fixed, **unit, **self.look}
        if not look:
            return None
        matcher = ("byFrameRefID", letter) if "{{" in self.name else ("byName", self.name)
        return override(*matcher, look)


def override(matcher: str, options: str, look: Look) -> dashboard.DashboardFieldConfigSourceOverrides:
    """Return the properties of the fields that a matcher finds."""
    decimals = _DECIMALS.get(str(look.get("unit")))
    if decimals is not None:
        look = {"decimals": decimals, **look}
    return dashboard.DashboardFieldConfigSourceOverrides(
        matcher=dashboard.MatcherConfig(id_val=matcher, options=options),
        properties=[dashboard.DynamicConfigValue(id_val=key, value=value) for key, value in look.items()],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """What all panels have; a subclass is a kind of panel."""

    kind: ClassVar[str]
    instant: ClassVar[bool] = False
    """Whether it shows one moment, the end of the range, instead of a course."""

    title: str
    description: str
    """What it shows, with which sign, from which source."""
    queries: Sequence[Query]
    w: int
    """Of 24 columns."""
    h: int = 8
    unit: str = units.COUNT
    decimals: int | None = None
    low: float | None = None
    high: float | None = None
    thresholds: Sequence[tuple[float, str]] = ()
    """Where good and bad begin; below the first, and where there is no value, is neither."""
    states: States = field(default_factory=dict)
    nothing: str = "no data"
    """Said instead of a value where there is none."""
    step: str | None = None
    points: int | None = None
    """At most so many steps; Grafana otherwise asks for no more than the panel has pixels."""
    shift: str | None = None
    """How far the time is moved into the past, as in 1M."""
    long: bool = False
    """Whether it may reach further back than the numbers do: the title then tells from when on there are any."""
    span: str | None = None
    """A time of its own, instead of the dashboard's where that is relative: now/d is today so far."""
    transformations: Sequence[dashboard.DataTransformerConfig] = ()
    overrides: Sequence[dashboard.DashboardFieldConfigSourceOverrides] = ()

    def options(self) -> object:
        """Return the options of its kind."""
        raise NotImplementedError

    def custom(self) -> object:
        """Return its kind's properties of a field."""
        return {}

    def at_once(self) -> bool:
        """Return whether one moment is asked for."""
        return self.instant

    def tabular(self) -> bool:
        """Return whether each query is a table, with its labels as columns."""
        return False

    def at_present(self) -> bool:
        """Return whether it tells of the present, whatever relative time is chosen.

        Grafana's own Today, This month and This year end at a midnight to come, of which nobody knows anything.
        """
        own = self.span or self.shift
        return self.at_once() and not own and not any("$__range" in query.expr for query in self.queries)

    def mode(self) -> dashboard.FieldColorModeId:
        """Return where colours come from that no query fixes."""
        # Without any value, Grafana 10.4 fails to find the colour of what has no name.
        by_value = self.thresholds or self.states or self.kind in {"stat", "gauge", "bargauge"}
        return dashboard.FieldColorModeId.THRESHOLDS if by_value else dashboard.FieldColorModeId.PALETTE_CLASSIC

    def panel(self) -> dashboard.Panel:
        """Return the panel; the layout gives it its place."""
        letters = [chr(ord("A") + number) for number in range(len(self.queries))]
        own = (query.override(letter) for letter, query in zip(letters, self.queries, strict=True))
        return dashboard.Panel(
            type_val=self.kind,
            # From the title, so that a link to a panel stays right when others are added.
            id_val=zlib.crc32(self.title.encode()) % 1_000_000 + 1,
            title=f"{self.title}$since" if self.long else self.title,
            description=f"{self.description} {_OWN_TIME}" if self.span else self.description,
            datasource=DATASOURCE,
            targets=[self._target(letter, query) for letter, query in zip(letters, self.queries, strict=True)],
            grid_pos=dashboard.GridPos(w=self.w, h=self.h),
            interval=self.step,
            max_data_points=self.points,
            time_from="1m" if self.at_present() else self.span,
            hide_time_override=self.at_present() or None,
            time_shift=self.shift,
            transformations=list(self.transformations) or None,
            options=self.options(),
            field_config=dashboard.FieldConfigSource(
                defaults=dashboard.FieldConfig(
                    unit=self.unit,
                    decimals=self.decimals if self.decimals is not None else _DECIMALS.get(self.unit),
                    min_val=self.low,
                    max_val=self.high,
                    no_value=self.nothing,
                    color=dashboard.FieldColor(mode=self.mode()),
                    thresholds=steps(self.thresholds),
                    mappings=[mapping(self.states)] if self.states else [],
                    custom=self.custom(),
                ),
                overrides=[one for one in own if one] + [*self._currencies(), *self.overrides],
            ),
        )

    def _currencies(self) -> Iterator[dashboard.DashboardFieldConfigSourceOverrides]:
        """Yield what gives money the sign of the currency that its name ends with."""
        if self.unit == units.MONEY:
            for currency, unit in units.CURRENCIES.items():
                yield override("byRegexp", f"/ {currency}$/", {"unit": unit})

    def _target(self, letter: str, query: Query) -> prometheus.Dataquery:
        return prometheus.Dataquery(
            ref_id=letter,
            datasource=DATASOURCE,
            editor_mode=prometheus.QueryEditorMode.CODE,
            expr=query.expr,
            legend_format=query.name,
            instant=self.at_once(),
            range_val=not self.at_once(),
            format_val=prometheus.PromQueryFormat.TABLE if self.tabular() else prometheus.PromQueryFormat.TIME_SERIES,
        )


def mapping(states: States) -> dashboard.ValueMap:
    """Return words and colours for numbers."""
    return dashboard.ValueMap(
        options={
            f"{value:g}": dashboard.ValueMappingResult(text=words, color=colour, index=index)
            for index, (value, (words, colour)) in enumerate(states.items())
        }
    )


def steps(thresholds: Sequence[tuple[float, str]]) -> dashboard.ThresholdsConfig:
    """Return where colours begin; Grafana gives that of the base also to the words for no value."""
    return dashboard.ThresholdsConfig(
        mode=dashboard.ThresholdsMode.ABSOLUTE,
        steps=[
            dashboard.Threshold(value=value, color=colour) for value, colour in ((None, colours.NEUTRAL), *thresholds)
        ],
    )


def legend(*calcs: str, shown: bool = True) -> common.VizLegendOptions:
    """Return a legend below the chart, a table when it shows calculations."""
    mode = common.LegendDisplayMode.TABLE if calcs else common.LegendDisplayMode.LIST
    return common.VizLegendOptions(
        display_mode=mode, placement=common.LegendPlacement.BOTTOM, show_legend=shown, calcs=list(calcs)
    )


def tooltip() -> common.VizTooltipOptions:
    """Return a tooltip that tells all series of the moment."""
    return common.VizTooltipOptions(mode=common.TooltipDisplayMode.MULTI, sort=common.SortOrder.NONE)


def last() -> common.ReduceDataOptions:
    """Return the reduction to the last value, per series."""
    return common.ReduceDataOptions(values=False, calcs=["lastNotNull"], fields="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat(Tile):
    """Big numbers, one for each query."""

    kind: ClassVar[str] = "stat"
    instant: ClassVar[bool] = True

    # What an increase over a long range is made from is so many points apart.
    step: str | None = "1m"
    points: int | None = POINTS
    filled: bool = False
    """Whether the colour is the background's."""
    one: bool = False
    """Whether of its queries only one has an answer at a time, to be shown as large as there is room."""

    def options(self) -> stat.Options:
        """Return the options of a stat panel."""
        named = len(self.queries) > 1
        return stat.Options(
            graph_mode=common.BigValueGraphMode.NONE,
            color_mode=common.BigValueColorMode.BACKGROUND_SOLID if self.filled else common.BigValueColorMode.VALUE,
            justify_mode=common.BigValueJustifyMode.AUTO,
            text_mode=common.BigValueTextMode.VALUE_AND_NAME if named else common.BigValueTextMode.VALUE,
            wide_layout=True,
            # What Grafana chooses for several values is as small as the longest of them has to be.
            text=common.VizTextDisplayOptions(title_size=13, value_size=20) if named and not self.one else None,
            reduce_options=last(),
            # Side by side, all names are as small as the longest one has to be.
            orientation=common.VizOrientation.HORIZONTAL if named else common.VizOrientation.AUTO,
            percent_change_color_mode=common.PercentChangeColorMode.STANDARD,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CountStat(Stat):
    """Big numbers that are sums over the steps of a range."""

    instant: ClassVar[bool] = False

    def options(self) -> stat.Options:
        """Return the options of a stat panel that adds up."""
        options = Stat.options(self)
        options.reduce_options.calcs = ["sum"]
        return options


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge(Tile):
    """A dial."""

    kind: ClassVar[str] = "gauge"
    instant: ClassVar[bool] = True

    def options(self) -> gauge.Options:
        """Return the options of a gauge."""
        return gauge.Options(
            reduce_options=last(), orientation=common.VizOrientation.AUTO, sizing=common.BarGaugeSizing.AUTO
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BarGauge(Tile):
    """Horizontal bars, one for each query."""

    kind: ClassVar[str] = "bargauge"
    instant: ClassVar[bool] = True

    def options(self) -> bargauge.Options:
        """Return the options of a bar gauge."""
        return bargauge.Options(
            display_mode=common.BarGaugeDisplayMode.BASIC,
            value_mode=common.BarGaugeValueMode.TEXT,
            name_placement=common.BarGaugeNamePlacement.TOP,
            sizing=common.BarGaugeSizing.AUTO,
            legend=legend(shown=False),
            reduce_options=last(),
            orientation=common.VizOrientation.HORIZONTAL,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart(Tile):
    """Lines over time; or bars, stacked."""

    kind: ClassVar[str] = "timeseries"

    bars: bool = False
    stacked: bool = False
    fill: int = 10
    calcs: Sequence[str] = ()
    label: str = ""

    def options(self) -> timeseries.Options:
        """Return the options of a time series panel."""
        return timeseries.Options(legend=legend(*self.calcs), tooltip=tooltip())

    def custom(self) -> common.GraphFieldConfig:
        """Return how lines or bars look."""
        stacked = common.StackingMode.NORMAL if self.stacked else common.StackingMode.NONE
        return common.GraphFieldConfig(
            draw_style=common.GraphDrawStyle.BARS if self.bars else common.GraphDrawStyle.LINE,
            fill_opacity=80 if self.bars else self.fill,
            line_width=1,
            # A bar stands behind the moment its day begins.
            bar_alignment=common.BarAlignment.AFTER if self.bars else None,
            stacking=common.StackingConfig(mode=stacked, group="A"),
            show_points=common.VisibilityMode.NEVER,
            # What was not measured is a gap.
            span_nulls=False,
            axis_label=self.label,
            axis_placement=common.AxisPlacement.AUTO,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars(Tile):
    """Stacked bars by a label such as the month, added up from the days of a range."""

    kind: ClassVar[str] = "barchart"

    by: str
    stacked: bool = True
    flat: bool = False
    """Whether the bars lie."""
    now: bool = False
    """Whether it shows one moment instead of a course."""
    tables: bool = True
    """Whether each query is a table; otherwise each series is a frame of its own."""

    def at_once(self) -> bool:
        """Return whether one moment is asked for."""
        return self.now

    def tabular(self) -> bool:
        """Return whether each query is a table."""
        return self.tables

    def options(self) -> barchart.Options:
        """Return the options of a bar chart."""
        return barchart.Options(
            x_field=self.by,
            orientation=common.VizOrientation.HORIZONTAL if self.flat else common.VizOrientation.VERTICAL,
            stacking=common.StackingMode.NORMAL if self.stacked else common.StackingMode.NONE,
            show_value=common.VisibilityMode.NEVER,
            bar_width=0.9,
            legend=legend(),
            tooltip=tooltip(),
        )

    def custom(self) -> barchart.FieldConfig:
        """Return how bars look."""
        return barchart.FieldConfig(fill_opacity=80, axis_placement=common.AxisPlacement.AUTO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline(Tile):
    """States as coloured stretches of time."""

    kind: ClassVar[str] = "state-timeline"

    def options(self) -> statetimeline.Options:
        """Return the options of a state timeline."""
        return statetimeline.Options(
            show_value=common.VisibilityMode.AUTO,
            merge_values=True,
            align_value=common.TimelineValueAlignment.LEFT,
            row_height=0.9,
            legend=legend(shown=len(self.queries) == 1),
            tooltip=tooltip(),
        )

    def custom(self) -> statetimeline.FieldConfig:
        """Return how stretches look."""
        return statetimeline.FieldConfig(fill_opacity=80, line_width=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Tile):
    """Rows of text and numbers."""

    kind: ClassVar[str] = "table"
    instant: ClassVar[bool] = True

    step: str | None = "1m"
    points: int | None = POINTS

    def tabular(self) -> bool:
        """Return that each query is a table."""
        return True

    def options(self) -> table.Options:
        """Return the options of a table."""
        return table.Options(show_header=True, cell_height=common.TableCellHeight.SM)

    def custom(self) -> common.TableFieldOptions:
        """Return how cells look."""
        return common.TableFieldOptions(align=common.FieldTextAlignment.AUTO, inspect=False, min_width=_COLUMN_PIXELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseTable(Table):
    """A table made from a course instead of one moment."""

    instant: ClassVar[bool] = False


def transformation(name: str, **options: object) -> dashboard.DataTransformerConfig:
    """Return a step of Grafana's own between the query and the panel."""
    return dashboard.DataTransformerConfig(id_val=name, options=options)


def matrix(column: str, row: str, value: str) -> dashboard.DataTransformerConfig:
    """Return the step from rows to a table with a column for each value of one field and a row for each of another."""
    return transformation("groupingToMatrix", columnField=column, rowField=row, valueField=value, emptyValue="null")


def columns(
    order: Sequence[str], names: Mapping[str, str], *, hidden: Sequence[str] = ()
) -> dashboard.DataTransformerConfig:
    """Return the step that orders, renames and hides columns."""
    return transformation(
        "organize",
        indexByName={name: number for number, name in enumerate(order)},
        renameByName=dict(names),
        excludeByName=dict.fromkeys(hidden, True),
    )
