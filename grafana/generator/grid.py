"""Grid: what comes out of the wall, and when it did not."""

from collections.abc import Iterator

from generator import colours, units
from generator.board import Board, Section
from generator.data_quality import DATA_QUALITY
from generator.promql import RANGE, STEP, fresh, select
from generator.tiles import (
    UNREAD,
    Chart,
    CourseTable,
    Query,
    Stat,
    Timeline,
    columns,
    mapping,
    override,
    transformation,
)

_BAND = (
    "Healthy are 207 to 253 V in Europe, 216 to 253 V in Australia, 114 to 126 V on an American leg, and 1 % around 50 "
    "or 60 Hz; the agent finds out which"
)
_STATES = {0: ("healthy", colours.GOOD), 1: ("out of band", colours.BAD)}
_OUT_OF_BAND = " or ".join(select(f"sonnen:{quantity}_out_of_band:bool") for quantity in ("volts", "hertz"))
_SECONDS = f"300 * sum_over_time({{}}[{RANGE}])"
_BY_DAY = "5 * sum_over_time({}[1d] offset -1d)"


def _phases(series: str, *matchers: str) -> Iterator[Query]:
    """Return a query for each phase; what several meters measure is added up."""
    for phase, colour in zip("123", colours.PHASES, strict=True):
        matched = select(series, *matchers, f'phase="{phase}"')
        expr = f"sum by (instance) (avg_over_time({matched}[{STEP}]))"
        yield Query(expr=expr, name=f"L{phase}", colour=colour)


def _volts() -> Iterator[Query]:
    """Return the highest and the lowest voltage of each phase: a mean would hide what is out of band."""
    for phase, colour in zip("123", colours.PHASES, strict=True):
        of_phase = f'phase="{phase}"'
        highest, lowest = (
            f"{which} by (instance) ({which}_over_time({select(f'sonnen:phase_volts:{which}5m', of_phase)}[{STEP}]))"
            for which in ("max", "min")
        )
        band: dict[str, object] = {"custom.fillBelowTo": f"L{phase} lowest", "custom.fillOpacity": 30}
        yield Query(expr=highest, name=f"L{phase} highest", colour=colour, look=band)
        yield Query(expr=lowest, name=f"L{phase} lowest", colour=colour)


def _outages() -> CourseTable:
    """Return a line for each outage: its start tells them apart, and is the same at all of its moments."""
    window = f"[{STEP}]"
    return CourseTable(
        title="Outages",
        description=(
            "One line for each time the battery was off grid in the chosen time: when it began, how long it "
            "lasted, the lowest charge and the mean load meanwhile. Source: SystemStatus, USOC, Consumption_W; "
            "start and length by the rules."
        ),
        queries=[
            Query(
                expr=f"last_over_time({select('sonnen:off_grid_since_timestamp_seconds')}{window}) * 1000", name="start"
            ),
            Query(expr=f"max_over_time({select('sonnen:off_grid_seconds')}{window})", name="length"),
            Query(
                expr=f"min_over_time({select('sonnen:usable_state_of_charge_percent:min5m')}{window})",
                name="charge",
            ),
            Query(expr=f"avg_over_time({select('sonnen:consumption_watts:mean5m')}{window})", name="load"),
        ],
        nothing="no outage in this time",
        step="5m",
        transformations=[
            transformation("merge"),
            # A moment of no outage has no start.
            transformation(
                "filterByValue",
                filters=[{"fieldName": "Value #A", "config": {"id": "isNotNull", "options": {}}}],
                type="include",
                match="all",
            ),
            transformation(
                "groupBy",
                fields={
                    "Value #A": {"operation": "groupby", "aggregations": []},
                    "Value #B": {"operation": "aggregate", "aggregations": ["max"]},
                    "Value #C": {"operation": "aggregate", "aggregations": ["min"]},
                    "Value #D": {"operation": "aggregate", "aggregations": ["mean"]},
                },
            ),
            # The last one first.
            transformation("sortBy", fields={}, sort=[{"field": "Value #A", "desc": True}]),
            columns(
                ["Value #A", "Value #B (max)", "Value #C (min)", "Value #D (mean)"],
                {
                    "Value #A": "Start",
                    "Value #B (max)": "Length",
                    "Value #C (min)": "Lowest charge",
                    "Value #D (mean)": "Mean load",
                },
            ),
        ],
        overrides=[
            override("byName", "Start", {"unit": units.DATE}),
            override("byName", "Length", {"unit": units.DURATION}),
            override("byName", "Lowest charge", {"unit": units.PERCENT}),
            override("byName", "Mean load", {"unit": units.WATT}),
        ],
        w=16,
        h=8,
    )


BOARD = Board(
    uid="sonnen-grid",
    title="Grid",
    description="What comes out of the wall, phase by phase, and when it did not.",
    start="now-24h",
    refresh="1m",
    calendar=True,
    sections=[
        Section(
            title="$instance",
            tiles=[
                *DATA_QUALITY,
                Timeline(
                    title="On grid",
                    description="Whether the battery is on grid, or carries the house alone. Source: SystemStatus.",
                    queries=[Query(expr=f"min_over_time({select('sonnen:on_grid:min5m')}[{STEP}])", name="grid")],
                    states={1: ("on grid", colours.GOOD), 0: ("off grid", colours.BAD)},
                    step="5m",
                    w=24,
                    h=3,
                ),
                Stat(
                    title="Volts and hertz now",
                    description=(
                        "Voltage of each phase and frequency, now, and whether they are healthy. Source: the power "
                        f"meters, else the inverter; shown only while pushed. {_BAND}. An island has no limits."
                    ),
                    queries=[
                        *(
                            Query(
                                expr=select("sonnen:phase_volts:fresh", f'phase="{phase}"'),
                                name=f"L{phase}",
                                unit=units.VOLT,
                            )
                            for phase in "123"
                        ),
                        Query(
                            expr=fresh("hertz"),
                            name="frequency",
                            unit=units.HERTZ,
                            look={"decimals": 2},
                        ),
                        Query(
                            expr=f"max by (instance) ({_OUT_OF_BAND})",
                            name="grid",
                            look={
                                "mappings": [mapping({0: ("healthy", colours.GOOD), 1: ("out of band", colours.BAD)})]
                            },
                        ),
                    ],
                    unit=units.VOLT,
                    decimals=1,
                    w=8,
                    h=8,
                ),
                _outages(),
                Chart(
                    title="Voltage",
                    description=(
                        "Phase to neutral, in volts, the highest and the lowest of each step. "
                        f"{_BAND}. Source: the power meters, else the inverter."
                    ),
                    queries=list(_volts()),
                    unit=units.VOLT,
                    fill=0,
                    step="5m",
                    w=12,
                    h=8,
                ),
                Chart(
                    title="Frequency",
                    description=(
                        f"Lowest and highest of each step, in hertz. {_BAND}. Source: fac of the inverter readings, "
                        "else Fac of the status."
                    ),
                    queries=[
                        Query(
                            expr=f"max_over_time({select('sonnen:hertz:max5m')}[{STEP}])",
                            name="highest",
                            colour=colours.WARNING,
                            look={"custom.fillBelowTo": "lowest", "custom.fillOpacity": 30},
                        ),
                        Query(
                            expr=f"min_over_time({select('sonnen:hertz:min5m')}[{STEP}])",
                            name="lowest",
                            colour=colours.COLD,
                        ),
                    ],
                    unit=units.HERTZ,
                    decimals=2,
                    fill=0,
                    step="5m",
                    w=12,
                    h=8,
                ),
                Chart(
                    title="Power of the house by phase",
                    description=(
                        "Watts at the consumption meters, means of five minutes or a longer step. A phase far above "
                        "the others may be one that a three-phase battery cannot fill. Source: w_l1 to w_l3 of the "
                        "power meters."
                    ),
                    queries=list(_phases("sonnen:meter_watts:mean5m", 'direction="consumption"')),
                    unit=units.WATT,
                    nothing=UNREAD,
                    fill=0,
                    step="5m",
                    w=12,
                    h=8,
                ),
                Chart(
                    title="Current of the house by phase",
                    description=(
                        "Amperes at the consumption meters, means of each step. Source: a_l1 to a_l3 of the meters."
                    ),
                    queries=list(_phases("sonnen:meter_current:fresh", 'direction="consumption"')),
                    unit=units.AMPERE,
                    nothing=UNREAD,
                    fill=0,
                    step="1m",
                    w=12,
                    h=8,
                ),
                Stat(
                    title="Out of band in the chosen time",
                    description=(
                        f"How long voltage and frequency were out of band while on grid. {_BAND}. Source: the rules."
                    ),
                    queries=[
                        *(
                            Query(
                                expr=_SECONDS.format(select("sonnen:volts_out_of_band:mean5m", f'phase="{phase}"')),
                                name=f"L{phase}",
                            )
                            for phase in "123"
                        ),
                        Query(expr=_SECONDS.format(select("sonnen:hertz_out_of_band:mean5m")), name="frequency"),
                    ],
                    unit=units.SECONDS,
                    thresholds=[(0, colours.GOOD), (1, colours.WARNING), (600, colours.BAD)],
                    w=8,
                    h=7,
                ),
                Chart(
                    title="Out of band daily",
                    long=True,
                    description=(
                        f"Minutes of each day of 24 hours outside of what is healthy, while on grid. {_BAND}. "
                        "Source: the rules."
                    ),
                    queries=[
                        *(
                            Query(
                                expr=_BY_DAY.format(select("sonnen:volts_out_of_band:mean5m", f'phase="{phase}"')),
                                name=f"L{phase}",
                                colour=colour,
                            )
                            for phase, colour in zip("123", colours.PHASES, strict=True)
                        ),
                        Query(
                            expr=_BY_DAY.format(select("sonnen:hertz_out_of_band:mean5m")),
                            name="frequency",
                            colour=colours.WARNING,
                        ),
                    ],
                    unit=units.MINUTES,
                    low=0,
                    bars=True,
                    stacked=True,
                    step="1d",
                    points=1000,
                    span="30d",
                    w=16,
                    h=7,
                ),
            ],
        )
    ],
)
