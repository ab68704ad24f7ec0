"""Phone: one column of big panels."""

from dataclasses import replace

from generator import colours, units
from generator.board import Board, Section
from generator.data_quality import DATA_QUALITY
from generator.now import OFF_GRID, charge, cost_today, course, grid_today, last_outage, outlook, shares, totals
from generator.promql import fresh
from generator.tiles import Query, Stat


def _watts(gauge: str) -> dict[str, str]:
    watts = fresh(gauge)
    return {"above": f"{watts} > 20", "below": f"-1 * ({watts} < -20)"}


_BATTERY, _GRID = _watts("discharge_watts"), _watts("grid_feed_in_watts")

POWERS = Stat(
    title="Now",
    description=(
        "Power of sun and house now, and what battery and grid do if it is more than 20 W, in watts without a "
        "sign; and whether the house is off grid. Source: the battery's status API, every 5 s; shown only while it "
        "is pushed."
    ),
    queries=[
        Query(expr=fresh("production_watts"), name="solar", colour=colours.SUN),
        Query(expr=fresh("consumption_watts"), name="home", colour=colours.HOUSE),
        Query(expr=_BATTERY["below"], name="battery charging", colour=colours.CHARGING),
        Query(expr=_BATTERY["above"], name="battery discharging", colour=colours.BATTERY),
        Query(expr=_GRID["below"], name="importing", colour=colours.FROM_GRID),
        Query(expr=_GRID["above"], name="feeding in", colour=colours.TO_GRID),
        OFF_GRID,
    ],
    unit=units.WATT,
    w=24,
    h=8,
)

BOARD = Board(
    uid="sonnen-phone",
    title="Phone",
    description="One column of big panels, to be kept on a phone's home screen.",
    start="now-12h",
    refresh="10s",
    sections=[
        Section(
            title="$instance",
            tiles=[
                *DATA_QUALITY,
                charge(24, 7),
                POWERS,
                outlook(24, 4),
                replace(course(24, 10), title="Power and charge"),
                totals(24, 10),
                shares(24, 7),
                grid_today(24, 4),
                cost_today(24, 5),
                last_outage(24, 5),
            ],
        )
    ],
)
