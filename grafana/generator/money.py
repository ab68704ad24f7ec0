"""Money: what the grid cost and paid, and what sun and battery saved."""

from dataclasses import replace

from generator import colours, units
from generator.board import Board, Section, textbox
from generator.data_quality import DATA_QUALITY, covered
from generator.energy import added_up
from generator.promql import RANGE, STEP, by_month, day, energy, flow, increase, select
from generator.tiles import Bars, Chart, Query, Stat, Table, columns, override, transformation

_POINT = "(with a point)"
"""Prometheus takes a comma for something else, and each panel would say so at length."""
_PRICES = (
    textbox("price_import", f"Price of a kWh {_POINT}", "0.31", "What it costs, but in the low tariff's hours"),
    textbox("low_tariff", "Low tariff", "night", "Its name in the agent's config, or none; several as night|weekend"),
    textbox("price_low", f"its price {_POINT}", "0.22", "What a kWh costs in the low tariff's hours"),
    textbox("price_export", f"Paid for a kWh {_POINT}", "0.08", "What a kWh fed into the grid brings"),
)
_ADJUSTABLE = "The prices are those in the boxes above, for the whole time, and can be changed for the past, too."
_COUNTED = "Source: energy counted by the agent, by flow and by tariff."
_CONFIGURED = "Source: tariffs in the agent's config, at the price of the time of use; empty without tariffs there."


def cost(window: str = RANGE) -> str:
    """Return what the energy from the grid cost at the prices in the boxes, with or without a low tariff."""
    return f"({energy('grid_import', window)} * $price_import - {_less(window)}) / 1000"


def _less(window: str, back: str = "") -> str:
    """Return what the low tariff took off the price, in thousandths; nothing where there is none."""
    low = increase("tariff_import_watt_hours_total", window, 'tariff=~"$low_tariff"', back=back)
    none = f"0 * {energy('grid_import', window)}"
    if back:
        # On many days, what is recorded less often is much faster.
        none = f"0 * max by (instance) (last_over_time({select('sonnen:fresh:mean5m')}[{window}] offset {back}))"
    return f"({low} or {none}) * ($price_import - $price_low)"


def revenue(window: str = RANGE) -> str:
    """Return what the energy to the grid brought."""
    return f"{energy('grid_export', window)} * $price_export / 1000"


def saved(window: str = RANGE) -> str:
    """Return what a house with neither sun nor battery would have paid more; what cancels out is left out."""
    own = f"{flow('solar', 'home', window)} + {flow('battery', 'home', window)} - {flow('grid', 'battery', window)}"
    return f"(({own}) * $price_import + {_less(window)}) / 1000 + {revenue(window)}"


def saved_by_sun(window: str = RANGE) -> str:
    """Return what the sun alone would have saved: what the battery took would have been sold."""
    sold = f"({flow('solar', 'grid', window)} + {flow('solar', 'battery', window)}) * $price_export"
    return f"({flow('solar', 'home', window)} * $price_import + {sold}) / 1000"


def saved_by_battery(window: str = RANGE) -> str:
    """Return what the battery and the low tariff added to that."""
    own = f"({flow('battery', 'home', window)} - {flow('grid', 'battery', window)}) * $price_import"
    sold = f"({flow('battery', 'grid', window)} - {flow('solar', 'battery', window)}) * $price_export"
    return f"({own} + {sold} + {_less(window)}) / 1000"


def cost_of_day() -> str:
    """Return the cost of the calendar day that begins at the step."""
    return f"(({day('grid')}) * $price_import - {_less('1d', '-1d')}) / 1000"


def revenue_of_day() -> str:
    """Return what the energy to the grid brought on that day."""
    return f"({day('', 'grid')}) * $price_export / 1000"


def spared_on_day() -> str:
    """Return what sun, battery and low tariff saved on that day, without what was sold."""
    own = f"({day('solar', 'home')}) + ({day('battery', 'home')}) - ({day('grid', 'battery')})"
    return f"(({own}) * $price_import + {_less('1d', '-1d')}) / 1000"


def _by_tariff() -> Table:
    def bought(way: str) -> str:
        series = select(f"sonnen:tariff_{way}_watt_hours_total:copy1m")
        grown = f"sum by (instance, tariff) (increase({series}[{RANGE}:{STEP}]))"
        return f'label_replace({grown}, "direction", "{way}", "", "")'

    by_tariff = f"{bought('import')} or {bought('export')}"
    price = f"max by (instance, tariff, direction) ({select('sonnen_tariff_price_per_kilowatt_hour')})"
    return Table(
        title="By tariff",
        description=(
            "Energy of each tariff in the chosen time, its price in the agent's config, and the product. Import is "
            f"paid, export is earned. {_CONFIGURED}"
        ),
        queries=[
            Query(expr=by_tariff, name="energy"),
            Query(expr=price, name="price"),
            Query(expr=f"({by_tariff}) / 1000 * on (instance, tariff, direction) {price}", name="money"),
        ],
        unit=units.MONEY,
        nothing="no tariffs in the agent's config",
        transformations=[
            transformation("merge"),
            columns(
                ["direction", "tariff", "Value #A", "Value #B", "Value #C"],
                {
                    "direction": "Direction",
                    "tariff": "Tariff",
                    "Value #A": "Energy",
                    "Value #B": "Price of a kWh",
                    "Value #C": "Money",
                },
                hidden=["Time", "instance"],
            ),
        ],
        overrides=[
            override("byName", "Energy", {"unit": units.WATT_HOUR}),
            override("byName", "Price of a kWh", {"decimals": 3}),
        ],
        w=12,
        h=8,
    )


def _months(title: str, description: str, *of_days: Query, stacked: bool = True) -> Bars:
    """Return the months of what queries tell of days."""
    return Bars(
        title=title,
        description=f"{description}Sums of the days of each month. {_ADJUSTABLE} {_COUNTED}",
        queries=[replace(query, expr=by_month(query.expr)) for query in of_days],
        by="month",
        stacked=stacked,
        unit=units.MONEY,
        step="1d",
        points=1000,
        span="now-1y/M",
        transformations=added_up("month", dict(zip("AB", (query.name for query in of_days), strict=True))),
        w=12,
        h=9,
    )


BOARD = Board(
    uid="sonnen-money",
    title="Money",
    description="What the grid cost and paid, and what sun and battery saved.",
    start="now/M",
    refresh="5m",
    calendar=True,
    variables=_PRICES,
    sections=[
        Section(
            title="$instance",
            tiles=[
                DATA_QUALITY,
                Stat(
                    title="Grid, at the prices above",
                    description=(
                        "Paid for grid import, earned with feed-in, and the difference (above 0 was "
                        f"paid), in the chosen time; beside them the share of it that was counted. {_ADJUSTABLE} "
                        f"{_COUNTED}"
                    ),
                    queries=[
                        Query(expr=cost(), name="paid", colour=colours.FROM_GRID),
                        Query(expr=revenue(), name="earned", colour=colours.TO_GRID),
                        Query(expr=f"{cost()} - {revenue()}", name="paid - earned", colour=colours.HOUSE),
                        covered(),
                    ],
                    unit=units.MONEY,
                    w=8,
                    h=7,
                ),
                Stat(
                    title="Saved, at the prices above",
                    description=(
                        "Against a house with neither sun nor battery, which buys all it uses at the normal price. "
                        "By the sun: what it gave the house, and the rest sold. By battery and low tariff: what "
                        "they added to that. The two add up to the whole. Without solar, without a battery: what "
                        f"the house would have paid. {_ADJUSTABLE} {_COUNTED}"
                    ),
                    queries=[
                        Query(expr=saved(), name="saved", colour=colours.GOOD),
                        Query(expr=saved_by_sun(), name="by the sun", colour=colours.SUN),
                        Query(
                            expr=saved_by_battery(),
                            name="by battery and low tariff",
                            colour=colours.BATTERY,
                        ),
                        Query(
                            expr=f"{flow('', 'home')} * $price_import / 1000",
                            name="paid with neither",
                            colour=colours.NEUTRAL,
                        ),
                    ],
                    unit=units.MONEY,
                    w=8,
                    h=7,
                ),
                Stat(
                    title="Grid, at the agent's prices",
                    description=f"Paid for grid import and earned with feed-in in the chosen time. {_CONFIGURED}",
                    queries=[
                        Query(expr=increase("grid_cost_total"), name="paid", colour=colours.FROM_GRID),
                        Query(expr=increase("grid_revenue_total"), name="earned", colour=colours.TO_GRID),
                    ],
                    unit=units.MONEY,
                    nothing="no tariffs",
                    w=8,
                    h=7,
                ),
                Chart(
                    title="Paid and earned by day",
                    description=(
                        "Above 0 paid, below 0 earned, on the calendar day that begins at the bar; what the low "
                        f"tariff takes off is of 24 hours, also where clocks change. {_ADJUSTABLE} {_COUNTED}"
                    ),
                    queries=[
                        Query(expr=cost_of_day(), name="paid", colour=colours.FROM_GRID),
                        Query(expr=f"-1 * ({revenue_of_day()})", name="earned", colour=colours.TO_GRID),
                    ],
                    unit=units.MONEY,
                    bars=True,
                    stacked=True,
                    calcs=["sum"],
                    step="1d",
                    points=1000,
                    w=12,
                    h=8,
                ),
                _by_tariff(),
                _months(
                    "Paid and earned by month",
                    "",
                    Query(expr=cost_of_day(), name="paid", colour=colours.FROM_GRID),
                    Query(expr=revenue_of_day(), name="earned", colour=colours.TO_GRID),
                    stacked=False,
                ),
                _months(
                    "Saved by month",
                    "Against a house with neither sun nor battery, which buys all it uses at the normal price: what "
                    "it would have bought, or bought dearer, and what feed-in earned. ",
                    Query(expr=spared_on_day(), name="not bought", colour=colours.GOOD),
                    Query(expr=revenue_of_day(), name="earned", colour=colours.TO_GRID),
                ),
            ],
        )
    ],
)
