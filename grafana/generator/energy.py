"""Energy: what a chosen time brought, by day, month and year, and against the time before."""

from collections.abc import Mapping

from grafana_foundation_sdk.models import dashboard

from generator import colours, units
from generator.board import Board, Section
from generator.data_quality import DATA_QUALITY, covered
from generator.promql import (
    RANGE,
    by_month,
    by_year,
    day,
    energy,
    increase,
    self_consumption,
    self_sufficiency,
)
from generator.tiles import Bars, Chart, Query, Stat, Table, columns, override, transformation

_COUNTED = "Source: energy counted by the agent, so that no gap of the link is missing; 1-minute copies by the rules."
_DAYS = (
    "A bar stands for the calendar day that begins at it, in the agent's time zone, with 23, 24 or 25 hours. "
    "Source: sonnen_energy_yesterday_watt_hours, told by the agent the day after; the present day from the "
    "counters."
)

TOTALS: Mapping[str, tuple[str, str]] = {
    "consumption": ("used", colours.HOUSE),
    "production": ("from the sun", colours.SUN),
    "grid_import": ("imported", colours.FROM_GRID),
    "grid_export": ("fed in", colours.TO_GRID),
    "battery_charge": ("charged", colours.CHARGING),
    "battery_discharge": ("discharged", colours.BATTERY),
}
TO_HOUSE = {
    "From the sun": ("solar", "home", colours.SUN),
    "From the battery": ("battery", "home", colours.BATTERY),
    "From the grid": ("grid", "home", colours.FROM_GRID),
}
FROM_SUN = {
    "To the house": ("solar", "home", colours.HOUSE),
    "To the battery": ("solar", "battery", colours.CHARGING),
    "To the grid": ("solar", "grid", colours.TO_GRID),
}
FlowMatchers = Mapping[str, tuple[str, str, str]]


def totals(w: int, h: int) -> Stat:
    """Return the six totals of the chosen time, and how much of it they cover."""
    queries = [Query(expr=energy(what), name=name, colour=colour) for what, (name, colour) in TOTALS.items()]
    return Stat(
        title="Energy in the chosen time",
        description=(
            "Used by the house, produced by the sun, imported from and fed into the grid, charged into and discharged "
            "from the battery; beside them the share of the chosen time that was counted. All are gross: nothing is "
            f"netted. {_COUNTED}"
        ),
        queries=[*queries, covered()],
        unit=units.WATT_HOUR,
        w=w,
        h=h,
    )


def shares(w: int, h: int) -> Stat:
    """Return the two shares of the chosen time."""
    return Stat(
        title="Shares in the chosen time",
        description=(
            "Self-sufficient: 1 - grid to house / all to house. Own use of the sun: 1 - sun to grid / all from the "
            "sun. Quotients of energies, never means of momentary shares, so that they stay between 0 and 100 % "
            f"also where the grid charges the battery. {_COUNTED}"
        ),
        queries=[
            Query(expr=self_sufficiency(), name="self-sufficient", colour=colours.GOOD),
            Query(expr=self_consumption(), name="own use of the sun", colour=colours.SUN),
        ],
        unit=units.SHARE,
        decimals=1,
        w=w,
        h=h,
    )


def balance(w: int, h: int) -> Stat:
    """Return what was fed in more than imported."""
    return Stat(
        title="Grid balance",
        description=(
            "Fed in - imported in the last 24 hours and in the chosen time, in watt-hours: above 0 the house gave more "
            f"than it took. Both are netted; the totals are not. {_COUNTED}"
        ),
        queries=[
            Query(expr=f"{energy('grid_export', '24h')} - {energy('grid_import', '24h')}", name="last 24 h"),
            Query(expr=f"{energy('grid_export')} - {energy('grid_import')}", name="chosen time"),
        ],
        unit=units.WATT_HOUR,
        thresholds=[(-1e12, colours.FROM_GRID), (0, colours.TO_GRID)],
        w=w,
        h=h,
    )


def comparison(w: int, h: int) -> Table:
    """Return the totals beside those of the time before."""

    def rows(back: str = "") -> str:
        lines = {name: energy(what, back=back) for what, (name, _) in TOTALS.items()}
        return " or ".join(f'label_replace({expr}, "what", "{name}", "", "")' for name, expr in lines.items())

    return Table(
        title="Compared with the time before",
        description=(
            "The six totals of the chosen time, those of the time of the same length just before it, and how much "
            f"of those they are. Nothing is said where the time before has no counters. {_COUNTED}"
        ),
        queries=[
            Query(expr=rows(), name="chosen"),
            Query(expr=rows(RANGE), name="before"),
        ],
        unit=units.WATT_HOUR,
        transformations=[
            transformation("merge"),
            transformation(
                "calculateField",
                mode="binary",
                alias="Share",
                binary={"left": "Value #A", "operator": "/", "right": "Value #B"},
            ),
            columns(
                ["what", "Value #A", "Value #B", "Share"],
                {"what": "Energy", "Value #A": "Chosen time", "Value #B": "Time before", "Share": "Of the time before"},
                hidden=["Time", "instance"],
            ),
        ],
        overrides=[override("byName", "Of the time before", {"unit": units.SHARE, "decimals": 0})],
        w=w,
        h=h,
    )


def daily(title: str, description: str, flow_matchers: FlowMatchers) -> Chart:
    """Return a day's energy as stacked bars."""
    return Chart(
        title=title,
        description=f"{description} {_DAYS}",
        queries=[
            Query(expr=day(source, to), name=name, colour=colour)
            for name, (source, to, colour) in flow_matchers.items()
        ],
        unit=units.WATT_HOUR,
        low=0,
        bars=True,
        stacked=True,
        calcs=["sum"],
        step="1d",
        points=1000,
        w=12,
        h=9,
    )


def calendar_bars(title: str, by: str, flow_matchers: FlowMatchers, span: str) -> Bars:
    """Return a month's or a year's energy as stacked bars."""
    labelled = {"month": by_month, "year": by_year}[by]
    letters = dict(zip("ABC", flow_matchers, strict=True))
    return Bars(
        title=title,
        description=(
            f"Sums of the calendar days of each {by}. Source: sonnen_energy_yesterday_watt_hours, told by the agent "
            "the day after; the present day from the counters."
        ),
        queries=[
            Query(expr=labelled(day(source, to)), name=name, colour=colour)
            for name, (source, to, colour) in flow_matchers.items()
        ],
        by=by,
        unit=units.WATT_HOUR,
        low=0,
        step="1d",
        points=11000,
        span=span,
        transformations=added_up(by, letters),
        w=12,
        h=9,
    )


def added_up(by: str, letters: Mapping[str, str]) -> list[dashboard.DataTransformerConfig]:
    """Return the steps from days with a label to one bar for each of its values."""
    values = [f"Value #{letter}" for letter in letters]
    return [
        transformation(
            "groupBy",
            fields={by: {"operation": "groupby", "aggregations": []}}
            | {value: {"operation": "aggregate", "aggregations": ["sum"]} for value in values},
        ),
        transformation("joinByField", byField=by, mode="outer"),
        columns(
            [by, *(f"{value} (sum)" for value in values)],
            {f"Value #{letter} (sum)": name for letter, name in letters.items()},
        ),
        transformation("sortBy", fields={}, sort=[{"field": by}]),
    ]


def coverage_by_day(w: int, h: int) -> Chart:
    """Return the share of each day that was counted."""
    return Chart(
        title="Coverage by day",
        description=(
            "Share of each day in which energy was counted, of 24 hours; the present day grows. Below 100 % a "
            "day's bars tell less than was used. Source: sonnen_observed_seconds_total."
        ),
        queries=[
            Query(
                expr=f"clamp_max({increase('observed_seconds_total', '1d', back='-1d')} / 86400, 1)",
                name="coverage",
                colour=colours.NEUTRAL,
            )
        ],
        unit=units.SHARE,
        low=0,
        high=1,
        bars=True,
        step="1d",
        points=1000,
        w=w,
        h=h,
    )


def rolling_balance(w: int, h: int) -> Chart:
    """Return the seed's generation offset, from counters."""
    return Chart(
        title="Grid balance of the last 24 hours",
        description=(
            "At each moment, fed in - imported in the 24 hours before it, in watt-hours (the generation offset): above "
            f"0 the house gave more than it took. {_COUNTED}"
        ),
        queries=[
            Query(
                expr=f"{energy('grid_export', '24h')} - {energy('grid_import', '24h')}",
                name="fed in - imported",
                colour=colours.TO_GRID,
            )
        ],
        unit=units.WATT_HOUR,
        fill=20,
        step="30m",
        w=w,
        h=h,
    )


BOARD = Board(
    uid="sonnen-energy",
    title="Energy",
    description="What a chosen time brought, by day, month and year, and against the time before.",
    start="now/M",
    refresh="5m",
    calendar=True,
    sections=[
        Section(
            title="$instance",
            tiles=[
                DATA_QUALITY,
                totals(14, 7),
                shares(5, 7),
                balance(5, 7),
                daily("Used by day", "Where the house's energy came from.", TO_HOUSE),
                daily("Produced by day", "Where the sun's energy went.", FROM_SUN),
                coverage_by_day(12, 6),
                rolling_balance(12, 6),
                comparison(24, 9),
                calendar_bars("Used by month", "month", TO_HOUSE, "now-1y/M"),
                calendar_bars("Produced by month", "month", FROM_SUN, "now-1y/M"),
                calendar_bars("Used by year", "year", TO_HOUSE, "now-9y/y"),
                calendar_bars("Produced by year", "year", FROM_SUN, "now-9y/y"),
            ],
        )
    ],
)
