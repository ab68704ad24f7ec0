"""Energy: what a chosen time brought, by day, month and year, and against the time before."""

from collections.abc import Callable, Mapping

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
    first_moment,
    flow,
    increase,
    select,
    self_consumption,
    self_sufficiency,
)
from generator.tiles import POINTS, UNTOLD, Bars, Chart, Query, Stat, Table, columns, override, transformation

_COUNTED = "Source: energy counted by the agent, so that no gap of the link is missing; 1-minute copies by the rules."
_DAYS = (
    "A bar stands for the calendar day that begins at it, in the agent's time zone, with 23, 24 or 25 hours. "
    "Source: sonnen_energy_yesterday_watt_hours, told by the agent the day after; the present day from the "
    "counters."
)

TOTALS: Mapping[str, tuple[str, str]] = {
    "consumption": ("home", colours.HOUSE),
    "production": ("solar", colours.SUN),
    "grid_import": ("import", colours.FROM_GRID),
    "grid_export": ("feed-in", colours.TO_GRID),
    "battery_charge": ("charged", colours.CHARGING),
    "battery_discharge": ("discharged", colours.BATTERY),
}
TO_HOUSE = {
    "From solar": ("solar", "home", colours.SUN),
    "From the battery": ("battery", "home", colours.BATTERY),
    "From the grid": ("grid", "home", colours.FROM_GRID),
}
FROM_SUN = {
    "To the home": ("solar", "home", colours.HOUSE),
    "To the battery": ("solar", "battery", colours.CHARGING),
    "To the grid": ("solar", "grid", colours.TO_GRID),
}
TO_BATTERY = {
    "From solar": ("solar", "battery", colours.SUN),
    "From the grid": ("grid", "battery", colours.FROM_GRID),
}
FlowMatchers = Mapping[str, tuple[str, str, str]]


def totals(w: int, h: int) -> list[Stat]:
    """Return the six totals of the chosen time."""
    queries = [
        Query(expr=f"{energy(what)} / 1000", name=name, colour=colour) for what, (name, colour) in TOTALS.items()
    ]
    return [
        Stat(
            title=title,
            description=f"{description} in the chosen time, in kWh. All are gross: nothing is netted. {_COUNTED}",
            queries=part,
            unit=units.KILOWATT_HOUR,
            w=w,
            h=h,
        )
        for title, description, part in (
            ("Home and solar", "Used by the house, and produced by the sun,", queries[:2]),
            ("Grid", "Imported from and fed into the grid", queries[2:4]),
            ("Battery", "Charged into and discharged from the battery", queries[4:]),
        )
    ]


def shares(w: int, h: int) -> Stat:
    """Return the two shares of the chosen time, and how much of it was counted."""
    return Stat(
        title="Shares in the chosen time",
        description=(
            "Self-sufficiency: the share of what the house used that was not bought, neither at once nor by way of the "
            "battery, whose output is taken to be from sun and grid as its input in the chosen time was. "
            "Self-consumption: 1 - sun to grid / all from the sun. Coverage: the share of the time that was counted. "
            "Quotients of energies, never means of momentary shares, so that they stay between 0 and 100 % "
            f"also where the grid charges the battery. {_COUNTED}"
        ),
        queries=[
            Query(expr=self_sufficiency(), name="self-sufficiency", colour=colours.GOOD),
            Query(expr=self_consumption(), name="self-consumption", colour=colours.SUN),
            covered(),
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
            "Fed in - imported in the last 24 hours and in the chosen time, in kWh: above 0 the house gave more "
            f"than it took. Both are netted; the totals are not. {_COUNTED}"
        ),
        queries=[
            Query(expr=f"({energy('grid_export', '24h')} - {energy('grid_import', '24h')}) / 1000", name="last 24 h"),
            Query(expr=f"({energy('grid_export')} - {energy('grid_import')}) / 1000", name="chosen time"),
        ],
        unit=units.KILOWATT_HOUR,
        thresholds=[(-1e12, colours.FROM_GRID), (0, colours.TO_GRID)],
        w=w,
        h=h,
    )


def comparison(w: int, h: int) -> Table:
    """Return the totals beside those of the time before."""

    def rows(told: Callable[[str], str]) -> str:
        lines = {name: told(what) for what, (name, _) in TOTALS.items()}
        return " or ".join(f'label_replace({expr}, "what", "{name}", "", "")' for name, expr in lines.items())

    counted, counted_before = (increase("observed_seconds_total", back=back) for back in ("", RANGE))
    alike = f"on (instance) (abs({counted_before} / ({counted} > 0) - 1) < 0.1)"
    return Table(
        title="Beside the time before",
        description=(
            "The six totals of the chosen time, those of the time of the same length just before it, and how much "
            "of those they are. The last is said only where as much of both was counted, to a tenth, and nothing of a "
            f"time that has no counters. {_COUNTED}"
        ),
        queries=[
            Query(expr=rows(lambda what: f"{energy(what)} / 1000"), name="chosen"),
            Query(expr=rows(lambda what: f"{energy(what, back=RANGE)} / 1000"), name="before"),
            # A quotient of Grafana's own is NaN or infinite where the time before has nothing.
            Query(
                expr=f"({rows(lambda what: f'{energy(what)} / ({energy(what, back=RANGE)} > 0)')}) and {alike}",
                name="share",
            ),
        ],
        unit=units.KILOWATT_HOUR,
        transformations=[
            transformation("merge"),
            columns(
                ["what", "Value #A", "Value #B", "Value #C"],
                {
                    "what": "Energy",
                    "Value #A": "Chosen",
                    "Value #B": "Before",
                    "Value #C": "Of before",
                },
                hidden=["Time", "instance"],
            ),
        ],
        overrides=[
            override("byName", "Chosen", {"noValue": UNTOLD}),
            override("byName", "Before", {"noValue": UNTOLD}),
            override("byName", "Of before", {"unit": units.SHARE, "decimals": 0, "noValue": UNTOLD}),
        ],
        long=True,
        w=w,
        h=h,
    )


def same_days(span: str, shift: str, w: int, h: int) -> Stat:
    """Return what the same days brought a month or a year before."""
    return Stat(
        title=f"Same days a {span} before",
        description=(
            f"Home, solar, import and feed-in of the chosen time moved by a calendar {span}: of the same days of the "
            f"{span} before, in kWh, and how much of that time was counted. {_COUNTED}"
        ),
        queries=[
            Query(expr=f"{energy(what)} / 1000", name=name, colour=colour)
            for what, (name, colour) in list(TOTALS.items())[:4]
        ]
        + [covered()],
        unit=units.KILOWATT_HOUR,
        nothing="nothing is known of it",
        shift=shift,
        long=True,
        w=w,
        h=h,
    )


def by_hour(w: int, h: int) -> Chart:
    """Return the energy of each hour of a day."""
    return Chart(
        title="Used by the hour",
        description=(
            f"Where the house's energy came from, hour by hour: a bar stands for the hour that begins at it. {_COUNTED}"
        ),
        queries=[
            Query(expr=flow(source, to, "1h", back="-1h"), name=name, colour=colour)
            for name, (source, to, colour) in TO_HOUSE.items()
        ],
        unit=units.WATT_HOUR,
        low=0,
        bars=True,
        stacked=True,
        step="1h",
        points=1000,
        span="24h",
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
        points=POINTS,
        span=span,
        long=True,
        transformations=added_up(by, letters),
        # Else Grafana would take the year 2024 for 2.02 kWh.
        overrides=[override("byName", by, {"unit": units.TEXT})],
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


def running_balance(w: int, h: int) -> Chart:
    """Return how far ahead of the grid the house is in the course of the year."""

    def grown(way: str) -> str:
        counter = f"max by (job, instance) ({select(f'sonnen:grid_{way}_watt_hours_total:copy1m')})"
        # A counter never falls: its least is what it began with.
        return f"sum by (instance) ({counter} - min_over_time({counter}[{RANGE}:1h] @ end()))"

    return Chart(
        title="Against the grid this year",
        description=(
            "Feed-in less import, added up from the beginning of the year: above 0 the house is ahead of the grid, "
            f"below it is behind. {_COUNTED}"
        ),
        queries=[Query(expr=f"{grown('export')} - {grown('import')}", name="feed-in - import", colour=colours.TO_GRID)],
        unit=units.WATT_HOUR,
        fill=20,
        step="1h",
        points=1000,
        span="now/y",
        w=w,
        h=h,
    )


def history(w: int, h: int) -> Stat:
    """Return how far back the numbers go."""
    return Stat(
        title="How far back the numbers go",
        description=(
            "The day of the oldest number that Prometheus still has of this battery, and how many days there are "
            "since. What lies before it is missing in every month and year. Prometheus keeps 15 days unless it is told "
            "otherwise: --storage.tsdb.retention.time. Source: the oldest sample of the counters' copies by the rules."
        ),
        queries=[
            Query(expr=f"{first_moment()} * 1000", name="first day", unit=units.DAY, colour=colours.NEUTRAL),
            Query(expr=f"floor((time() - {first_moment()}) / 86400)", name="days", colour=colours.NEUTRAL),
        ],
        nothing="nothing yet: after the first hour",
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
                name="feed-in - import",
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
                *DATA_QUALITY,
                *totals(5, 6),
                shares(5, 6),
                balance(4, 6),
                daily("Used by day", "Where the house's energy came from.", TO_HOUSE),
                daily("Produced by day", "Where the sun's energy went.", FROM_SUN),
                daily("Charged by day", "Where the battery's energy came from.", TO_BATTERY),
                by_hour(12, 9),
                coverage_by_day(9, 6),
                rolling_balance(9, 6),
                history(6, 6),
                running_balance(24, 7),
                comparison(10, 9),
                same_days("month", "1M", 7, 9),
                same_days("year", "1y", 7, 9),
                calendar_bars("Used by month", "month", TO_HOUSE, "now-1y/M"),
                calendar_bars("Produced by month", "month", FROM_SUN, "now-1y/M"),
                calendar_bars("Used by year", "year", TO_HOUSE, "now-9y/y"),
                calendar_bars("Produced by year", "year", FROM_SUN, "now-9y/y"),
            ],
        )
    ],
)
