"""Money: what the grid cost and paid, and what sun and battery saved."""

from generator import colours, units
from generator.board import Board, Section, textbox
from generator.data_quality import DATA_QUALITY, covered
from generator.promql import RANGE, STEP, by_month, day, energy, flow, increase, select
from generator.tiles import UNTOLD, Bars, Chart, Query, Stat, Table, columns, matrix, override, transformation

_BOXES = (
    textbox("price_import", "Price per kWh (with a point)", "0.31", "Only where the agent's config has no tariffs"),
    textbox("price_export", "Paid for a kWh (with a point)", "0.08", "Only where the agent's config has no tariffs"),
    textbox("currency", "Currency", "EUR", "Only where the agent's config has no tariffs"),
)
"""What a house without tariffs types in. Prometheus takes a comma for something else, and each panel would say so."""
_MONEY = ("instance", "currency")
_DAY = "1d:15m"
_PRICED = (
    "Source: tariffs in the agent's config, at the price of the time of use (sonnen_grid_cost_total, "
    "sonnen_grid_revenue_total); without tariffs there, the energy at the prices in the boxes above."
)
_PRESENT = "at the dearest import price and the best feed-in price of now"


def _typed(expression: str, price: str) -> str:
    """Return watt-hours as money at a price in the boxes."""
    return f'label_replace(({expression}) * ${price} / 1000, "currency", "$currency", "", "")'


def cost(window: str = RANGE) -> str:
    """Return what the energy from the grid cost."""
    typed = _typed(energy("grid_import", window), "price_import")
    return f"({increase('grid_cost_total', window, by=_MONEY)} or on (instance) {typed})"


def revenue(window: str = RANGE) -> str:
    """Return what the energy to the grid brought."""
    typed = _typed(energy("grid_export", window), "price_export")
    return f"({increase('grid_revenue_total', window, by=_MONEY)} or on (instance) {typed})"


def cost_of_day() -> str:
    """Return the cost of the 24 hours that begin at the step."""
    counted = increase("grid_cost_total", _DAY, back="-1d", by=_MONEY)
    return f"({counted} or on (instance) {_typed(day('grid'), 'price_import')})"


def revenue_of_day() -> str:
    """Return what the energy to the grid brought in the 24 hours that begin at the step."""
    counted = increase("grid_revenue_total", _DAY, back="-1d", by=_MONEY)
    return f"({counted} or on (instance) {_typed(day('', 'grid'), 'price_export')})"


def _priced(watt_hours: str, direction: str, box: str) -> str:
    """Return watt-hours as money at the highest of the agent's present prices, or at the one in the box."""
    told = select("sonnen_tariff_price_per_kilowatt_hour", f'direction="{direction}"')
    # Something that is there wherever there are days, to give the box's price to.
    known = select("sonnen:energy_yesterday_watt_hours:copy5m", 'from="grid"', 'to="home"')
    typed = f"0 * max by (instance) (last_over_time({known}[30d] @ end())) + ${box}"
    price = (
        f"(max by (instance, currency) (last_over_time({told}[1h] @ end()))"
        f' or on (instance) label_replace({typed}, "currency", "$currency", "", ""))'
    )
    return f"(({watt_hours}) / 1000 * on (instance) group_right () {price})"


def without(window: str = RANGE) -> str:
    """Return what a house with neither sun nor battery would have paid."""
    return _priced(flow("", "home", window), "import", "price_import")


def saved(window: str = RANGE) -> str:
    """Return what it would have paid more than this one."""
    return f"{without(window)} - {cost(window)} + {revenue(window)}"


def saved_by_sun(window: str = RANGE) -> str:
    """Return what the sun alone would have saved: what the battery took would have been sold."""
    sold = f"{flow('solar', 'grid', window)} + {flow('solar', 'battery', window)}"
    used = _priced(flow("solar", "home", window), "import", "price_import")
    return f"({used} + {_priced(sold, 'export', 'price_export')})"


def _by_tariff() -> Table:
    def bought(way: str) -> str:
        series = select(f"sonnen:tariff_{way}_watt_hours_total:copy1m")
        grown = f"sum by (instance, tariff) (increase({series}[{RANGE}:{STEP}]))"
        return f'label_replace({grown}, "direction", "{way}", "", "")'

    by_tariff = f"({bought('import')} or {bought('export')}) / 1000"
    told = select("sonnen_tariff_price_per_kilowatt_hour")
    price = f"max by (instance, tariff, direction, currency) (last_over_time({told}[1h]))"
    energies = f"{by_tariff} * on (instance, tariff, direction) group_right () ({price} ^ 0)"
    return Table(
        title="By tariff",
        description=(
            "Energy of each tariff in the chosen time, its price now, and the product: import is paid, export is "
            "earned. Source: tariffs in the agent's config; empty without tariffs there."
        ),
        queries=[
            Query(expr=energies, name="energy"),
            Query(expr=price, name="price"),
            Query(expr=f"{energies} * on (instance, tariff, direction, currency) {price}", name="money"),
        ],
        nothing="no tariffs in the agent's config",
        transformations=[
            transformation("merge"),
            columns(
                ["tariff", "Value #A", "Value #B", "Value #C", "currency"],
                {
                    "tariff": "Tariff",
                    "Value #A": "Energy",
                    "Value #B": "Price per kWh",
                    "Value #C": "Amount",
                    "currency": "Currency",
                },
                hidden=["Time", "instance", "direction"],
            ),
        ],
        overrides=[
            override("byName", "Energy", {"unit": units.KILOWATT_HOUR, "noValue": UNTOLD}),
            override("byName", "Price per kWh", {"decimals": 4, "noValue": UNTOLD}),
            override("byName", "Amount", {"decimals": 2, "noValue": UNTOLD}),
        ],
        w=12,
        h=8,
    )


def _months(title: str, description: str, *of_days: tuple[str, str, str], stacked: bool = True) -> Bars:
    """Return the months of what expressions tell of days, each with name and colour, each currency by itself."""
    named = (
        f'label_replace({by_month(expression)}, "what", "{name} $1", "currency", "(.*)")'
        for name, expression, _ in of_days
    )
    return Bars(
        title=title,
        description=f"{description}Sums of the days of 24 hours of each month. {_PRICED}",
        queries=[Query(expr=" or ".join(named), name="{{what}} {{month}}")],
        by="month",
        stacked=stacked,
        tables=False,
        unit=units.MONEY,
        step="1d",
        points=1000,
        span="now-1y/M",
        long=True,
        transformations=[
            transformation("reduce", mode="seriesToRows", reducers=["sum"], labelsToFields=True),
            matrix("what", "month", "Total"),
            columns(["month\\what"], {"month\\what": "month"}),
            transformation("sortBy", fields={}, sort=[{"field": "month"}]),
        ],
        overrides=[
            override("byName", "month", {"unit": units.TEXT}),
            *(
                override("byRegexp", f"/^{name} /", {"color": {"mode": "fixed", "fixedColor": colour}})
                for name, _, colour in of_days
            ),
        ],
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
    variables=_BOXES,
    sections=[
        Section(
            title="$instance",
            tiles=[
                *DATA_QUALITY,
                Stat(
                    title="Grid costs",
                    description=(
                        "Paid for grid import, earned with feed-in, and the difference (above 0 was paid), in the "
                        f"chosen time; beside them the share of it that was counted. {_PRICED}"
                    ),
                    queries=[
                        Query(expr=cost(), name="paid {{currency}}", colour=colours.FROM_GRID),
                        Query(expr=revenue(), name="earned {{currency}}", colour=colours.TO_GRID),
                        Query(expr=f"{cost()} - {revenue()}", name="balance {{currency}}", colour=colours.HOUSE),
                        covered(),
                    ],
                    unit=units.MONEY,
                    w=12,
                    h=7,
                ),
                Stat(
                    title="Saved",
                    description=(
                        "Against a house with neither sun nor battery, which buys all it uses. By solar: what it gave "
                        "the house, and the rest sold. By the battery: what it and low tariffs added to that. The two "
                        f"add up to the whole. What was not bought is counted {_PRESENT}. {_PRICED}"
                    ),
                    queries=[
                        Query(expr=saved(), name="saved {{currency}}", colour=colours.GOOD),
                        Query(expr=saved_by_sun(), name="by solar {{currency}}", colour=colours.SUN),
                        Query(
                            expr=f"{saved()} - {saved_by_sun()}",
                            name="by the battery {{currency}}",
                            colour=colours.BATTERY,
                        ),
                        Query(expr=without(), name="costs without both {{currency}}", colour=colours.NEUTRAL),
                    ],
                    unit=units.MONEY,
                    w=12,
                    h=7,
                ),
                Chart(
                    title="Paid and earned by day",
                    description=(
                        "Above 0 paid, below 0 earned, in the 24 hours that begin at the bar, the agent's midnight; "
                        f"where clocks change, an hour of the neighbour's. {_PRICED}"
                    ),
                    queries=[
                        Query(expr=cost_of_day(), name="paid {{currency}}", colour=colours.FROM_GRID),
                        Query(expr=f"-1 * {revenue_of_day()}", name="earned {{currency}}", colour=colours.TO_GRID),
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
                    "Grid costs by month",
                    "",
                    ("paid", cost_of_day(), colours.FROM_GRID),
                    ("earned", revenue_of_day(), colours.TO_GRID),
                    stacked=False,
                ),
                _months(
                    "Saved by month",
                    "Against a house with neither sun nor battery, which buys all it uses: what was not bought, "
                    f"counted {_PRESENT}, and what feed-in earned. ",
                    (
                        "not bought",
                        f"({_priced(day('', 'home'), 'import', 'price_import')} - {cost_of_day()})",
                        colours.GOOD,
                    ),
                    ("earned", revenue_of_day(), colours.TO_GRID),
                ),
            ],
        )
    ],
)
