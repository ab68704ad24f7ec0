"""Money: what the grid cost and paid, and what sun and battery saved."""

from generator import colours, units
from generator.board import Board, Section, textbox
from generator.data_quality import DATA_QUALITY, covered
from generator.promql import MONEY, RANGE, STEP, by_month, day, energy, flow, increase, money, select
from generator.tiles import UNTOLD, Bars, Chart, Query, Stat, Table, columns, matrix, override, transformation

_BOXES = (
    textbox("price_import", "Price per kWh (with a point)", "0.31", "Only where the agent's config has no tariffs"),
    textbox("price_export", "Paid for a kWh (with a point)", "0.08", "Only where the agent's config has no tariffs"),
    textbox("currency", "Currency", "EUR", "Only where the agent's config has no tariffs"),
)
"""What a house without tariffs types in. Prometheus takes a comma for something else, and each panel would say so."""
_DAY = "1d"
_PRICED = (
    "Source: tariffs in the agent's config, at the price of the time of use (sonnen_grid_cost_total, "
    "sonnen_grid_revenue_total, less what prices below 0 turned round); without tariffs there, the energy at the "
    "prices in the boxes above, and where they have prices of import alone, feed-in earns nothing."
)
_STANDING = "with the standing charge, if the agent's tariffs have one (sonnen_standing_charge_total)"
_PRESENT = "at the dearest import price and the best feed-in price of now"


def _typed(expression: str, price: str) -> str:
    """Return watt-hours as money at a price in the boxes."""
    return f'label_replace(({expression}) * ${price} / 1000, "currency", "$currency", "", "")'


def _earned(typed: str, window: str, back: str = "") -> str:
    """Return what the agent counted; else nothing where it counts costs, for then nobody pays; else what was typed."""
    unpaid = f"0 * {increase('grid_cost_total', window, back=back, by=MONEY)}"
    return f"({money('grid_revenue', window, back)} or on (instance) {unpaid} or on (instance) {typed})"


def cost(window: str = RANGE, *, standing: bool = False) -> str:
    """Return what the energy from the grid cost; with `standing` also the standing charge, which nothing saves."""
    typed = _typed(energy("grid_import", window), "price_import")
    return f"({money('grid_cost', window, standing=standing)} or on (instance) {typed})"


def revenue(window: str = RANGE) -> str:
    """Return what the energy to the grid brought."""
    return _earned(_typed(energy("grid_export", window), "price_export"), window)


def cost_of_day(*, standing: bool = False) -> str:
    """Return the cost of the 24 hours that begin at the step."""
    counted = money("grid_cost", _DAY, "-1d", standing=standing)
    return f"({counted} or on (instance) {_typed(day('grid'), 'price_import')})"


def revenue_of_day() -> str:
    """Return what the energy to the grid brought in the 24 hours that begin at the step."""
    return _earned(_typed(day("", "grid"), "price_export"), _DAY, "-1d")


def _told_price(direction: str) -> str:
    """Return the highest of the agent's present prices.

    They are looked for a month back: a time that was picked may end in the future.
    """
    told = select("sonnen_tariff_price_per_kilowatt_hour", f'direction="{direction}"')
    return f"max by (instance, currency) (last_over_time({told}[32d:10m] @ end()))"


def _priced(watt_hours: str, direction: str, box: str) -> str:
    """Return watt-hours as money at the highest of the agent's present prices, or at the one in the box."""
    # Something that is there wherever there are days, to give the box's price to.
    known = select("sonnen:energy_yesterday_watt_hours:copy5m", 'from="grid"', 'to="home"')
    typed = f"0 * max by (instance) (last_over_time({known}[30d] @ end())) + ${box}"
    unpaid = f" or on (instance) 0 * {_told_price('import')}" if direction == "export" else ""
    price = (
        f'({_told_price(direction)}{unpaid} or on (instance) label_replace({typed}, "currency", "$currency", "", ""))'
    )
    return f"(({watt_hours}) / 1000 * on (instance) group_right () {price})"


def without(window: str = RANGE) -> str:
    """Return what a house with neither sun nor battery would have paid."""
    guessed = _priced(flow("", "home", window), "import", "price_import")
    return f"({money('consumption_cost', window)} or on (instance) {guessed})"


def without_of_day() -> str:
    """Return the same of the 24 hours that begin at the step."""
    guessed = _priced(day("", "home"), "import", "price_import")
    return f"({money('consumption_cost', _DAY, '-1d')} or on (instance) {guessed})"


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
    price = f"max by (instance, tariff, direction, currency) (last_over_time({told}[32d:10m]))"
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
                    "Value #A": "kWh",
                    "Value #B": "Per kWh",
                    "Value #C": "Amount",
                    "currency": "Currency",
                },
                hidden=["Time", "instance", "direction"],
            ),
        ],
        overrides=[
            override("byName", "kWh", {"decimals": 1, "noValue": UNTOLD}),
            override("byName", "Per kWh", {"decimals": 4, "noValue": UNTOLD}),
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
                        f"Paid for grid import, {_STANDING}, earned with feed-in, and the difference (above 0 was "
                        f"paid), in the chosen time; beside them the share of it that was counted. {_PRICED}"
                    ),
                    queries=[
                        Query(expr=cost(standing=True), name="paid {{currency}}", colour=colours.FROM_GRID),
                        Query(expr=revenue(), name="earned {{currency}}", colour=colours.TO_GRID),
                        Query(
                            expr=f"{cost(standing=True)} - {revenue()}",
                            name="balance {{currency}}",
                            colour=colours.HOUSE,
                        ),
                        covered(),
                    ],
                    unit=units.MONEY,
                    w=12,
                    h=7,
                ),
                Stat(
                    title="Saved",
                    description=(
                        "Against a house with neither sun nor battery, which buys all it uses, at the price of its "
                        "time (sonnen_consumption_cost_total): that, less paid, plus earned. By solar, an estimate: "
                        f"what it gave the house, and the rest sold, {_PRESENT}. By the battery: the rest, what it and "
                        f"low tariffs added to that. {_PRICED}"
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
                        f"Above 0 paid, {_STANDING}, below 0 earned, in the 24 hours that begin at the bar, the "
                        f"agent's midnight; where clocks change, an hour of the neighbour's. {_PRICED}"
                    ),
                    queries=[
                        Query(expr=cost_of_day(standing=True), name="paid {{currency}}", colour=colours.FROM_GRID),
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
                    f"Paid {_STANDING}. ",
                    ("paid", cost_of_day(standing=True), colours.FROM_GRID),
                    ("earned", revenue_of_day(), colours.TO_GRID),
                    stacked=False,
                ),
                _months(
                    "Saved by month",
                    "Against a house with neither sun nor battery, which buys all it uses: what was not bought, at the "
                    "price of its time (sonnen_consumption_cost_total), and what feed-in earned. ",
                    ("not bought", f"({without_of_day()} - {cost_of_day()})", colours.GOOD),
                    ("earned", revenue_of_day(), colours.TO_GRID),
                ),
            ],
        )
    ],
)
