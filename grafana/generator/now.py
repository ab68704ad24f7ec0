"""Now: what the house, the sun, the battery and the grid are doing, and for how long."""

from collections.abc import Callable, Mapping

from generator import colours, units
from generator.alerts import firing
from generator.board import Board, Section
from generator.data_quality import DATA_QUALITY, covered
from generator.promql import (
    FLOWS,
    RANGE,
    STEP,
    flow_matchers,
    flow_watts,
    fresh,
    money,
    select,
    self_consumption_today,
    self_sufficiency_today,
    today,
    yesterday,
)
from generator.tiles import (
    UNTOLD,
    BarGauge,
    Bars,
    Chart,
    Gauge,
    Query,
    Stat,
    States,
    Table,
    columns,
    mapping,
    matrix,
    override,
    transformation,
)

PLACES = {"solar": "Solar", "battery": "Battery", "grid": "Grid", "home": "Home"}
COLOUR_FROM = {"solar": colours.SUN, "battery": colours.BATTERY, "grid": colours.FROM_GRID}
USABLE = "usable_state_of_charge_percent"
_ON = "on (job, instance)"
_DAY = 86_400


def _surplus(at: str = "") -> str:
    """Return what the sun has ever given more than the house used, up to a moment."""
    production, consumption = (
        f"max by (job, instance) ({select(f'sonnen:{name}_watt_hours_total:copy1m')}{at})"
        for name in ("production", "consumption")
    )
    return f"({production} - {consumption})"


def _reached(percent: str, change: str) -> str:
    """Return when so much charge will have come or gone, if the day goes on as the last one did at the same time.

    It is found out when the surplus had changed by so much a day ago. If it did not within a day, there is no answer.
    """
    capacity, installed = (f"{fresh(f'{kind}_capacity_watt_hours')} @ end()" for kind in ("full_charge", "installed"))
    # A tenth less than the battery says of itself, as in the rules' sonnen:usable_watt_hours:fresh.
    watt_hours = f"max by (job, instance) (0.9 * ({percent}) / 100 * {_ON} ({capacity} or {_ON} {installed}))"
    return f"({_DAY} + min_over_time((time() + 0 * ({change} >= {watt_hours}))[1d:10m]))"


# What is left to 100 % is rounded, and filled slowly: from 99 % on the battery counts as full.
_FULL = f"{fresh(USABLE)} >= 99"
_AT_RESERVE = f"{fresh(USABLE)} <= on (job, instance) {fresh('backup_buffer_percent')}"
_FULL_AT = _reached(f"100 - ({fresh(USABLE)} @ end() < 99)", f"({_surplus()} - {_surplus(' @ end() offset 1d')})")
_RESERVE_AT = _reached(
    f"({fresh(USABLE)} @ end() - {_ON} {fresh('backup_buffer_percent')} @ end()) > 0",
    f"({_surplus(' @ end() offset 1d')} - {_surplus()})",
)
# Whichever comes first: what happens later depends on it.
FULL_AT = f"1000 * ({_FULL_AT} unless {_ON} {_FULL_AT} > {_RESERVE_AT})"
RESERVE_AT = f"1000 * ({_RESERVE_AT} unless {_ON} {_RESERVE_AT} > {_FULL_AT})"

MODES: States = {
    1: ("manual", colours.NEUTRAL),
    2: ("self-consumption", colours.NEUTRAL),
    10: ("time of use", colours.NEUTRAL),
}
OFF_GRID = Query(
    expr=f"abs({fresh('grid_feed_in_watts')}) and {_ON} {fresh('on_grid')} == 0", name="off grid", colour=colours.BAD
)
_STATUS = "Source: the battery's status API, every 5 s; shown only while it is pushed."


def sun(w: int, h: int) -> Stat:
    """Return the sun's power now."""
    return Stat(
        title="Solar",
        description=f"PV production now, in watts. {_STATUS}",
        queries=[Query(expr=fresh("production_watts"), name="solar", colour=colours.SUN)],
        unit=units.WATT,
        w=w,
        h=h,
    )


def house(w: int, h: int) -> Stat:
    """Return the house's power now."""
    return Stat(
        title="Home",
        description=f"What the house uses now, in watts. {_STATUS}",
        queries=[Query(expr=fresh("consumption_watts"), name="home", colour=colours.HOUSE)],
        unit=units.WATT,
        w=w,
        h=h,
    )


def battery(w: int, h: int) -> Stat:
    """Return what the battery does now, in a word and in watts."""
    watts = fresh("discharge_watts")
    return Stat(
        title="Battery",
        description=f"Charging, discharging or idle (below 20 W), in watts without a sign. {_STATUS}",
        queries=[
            Query(expr=f"-1 * ({watts} < -20)", name="charging", colour=colours.CHARGING),
            Query(expr=f"{watts} > 20", name="discharging", colour=colours.BATTERY),
            Query(expr=f"abs({watts}) <= 20", name="idle", colour=colours.NEUTRAL),
        ],
        unit=units.WATT,
        one=True,
        w=w,
        h=h,
    )


def grid(w: int, h: int) -> Stat:
    """Return what the grid does now, in a word and in watts."""
    watts = fresh("grid_feed_in_watts")
    there = f"unless {_ON} {fresh('on_grid')} == 0"
    return Stat(
        title="Grid",
        description=(
            "Grid import, feed-in or balanced (below 20 W), in watts without a sign; or off grid, while the battery "
            f"carries the house alone. {_STATUS}"
        ),
        queries=[
            Query(expr=f"-1 * ({watts} < -20) {there}", name="importing", colour=colours.FROM_GRID),
            Query(expr=f"{watts} > 20 {there}", name="feeding in", colour=colours.TO_GRID),
            Query(expr=f"abs({watts}) <= 20 {there}", name="balanced", colour=colours.NEUTRAL),
            OFF_GRID,
        ],
        unit=units.WATT,
        one=True,
        w=w,
        h=h,
    )


def charge(w: int, h: int) -> Gauge:
    """Return the charge as a dial."""
    return Gauge(
        title="Charge",
        description=(
            "Charge of the battery as its owner sees it, in percent, without the part it keeps from deep "
            f"discharge. Source: USOC. {_STATUS}"
        ),
        queries=[Query(expr=fresh(USABLE), name="charge")],
        unit=units.PERCENT,
        low=0,
        high=100,
        thresholds=[(0, colours.BAD), (10, colours.WARNING), (25, colours.GOOD)],
        w=w,
        h=h,
    )


def outlook(w: int, h: int) -> Stat:
    """Return when the battery will be full or at its reserve, or that it is."""
    reached: States = {1: ("full", colours.CHARGING), 2: ("at the reserve", colours.RESERVE)}
    return Stat(
        title="Full or at its reserve",
        description=(
            "Which comes first, and when: the battery full, or down to the reserve its owner set, if sun and house go "
            "on as they did a day ago from this hour on; to ten minutes. Where that is not within a day, whether it is "
            "full (99 % or more), or at its reserve. There is no forecast where neither is, on the first day, and "
            "where the capacity is not known, as without a token. Source: USOC, BackupBuffer, full charge capacity "
            "(installed capacity where the battery does not tell it); energy counted by the agent."
        ),
        queries=[
            Query(expr=FULL_AT, name="full at", colour=colours.CHARGING),
            Query(expr=RESERVE_AT, name="reserve at", colour=colours.RESERVE),
            Query(
                # One value is all that can be read in a small tile.
                expr=f"(0 * ({_FULL}) + 1 or 0 * ({_AT_RESERVE}) + 2)"
                f" unless {_ON} {_FULL_AT} unless {_ON} {_RESERVE_AT}",
                name="battery",
                unit=units.COUNT,
                look={"mappings": [mapping(reached)]},
            ),
        ],
        unit=units.MOMENT,
        nothing="no forecast",
        one=True,
        w=w,
        h=h,
    )


def course(w: int, h: int) -> Chart:
    """Return the powers by the minute, with the charge on the right."""
    mean = f"avg_over_time({{}}[{STEP}])"

    def watts(gauge: str, name: str, colour: str, fill: int = 0) -> Query:
        return Query(
            expr=mean.format(fresh(gauge)), name=name, colour=colour, look={"custom.fillOpacity": fill} if fill else {}
        )

    def percent(gauge: str, name: str, colour: str, **look: object) -> Query:
        right: dict[str, object] = {"custom.axisPlacement": "right", "min": 0, "max": 100, "custom.fillOpacity": 0}
        return Query(
            expr=mean.format(fresh(gauge)), name=name, colour=colour, unit=units.PERCENT, look=right | dict(look)
        )

    dashes = {"custom.lineStyle": {"fill": "dash", "dash": [8, 8]}}
    return Chart(
        title="Power by the minute",
        description=(
            "Watts on the left, means of a minute (of a longer step when much is shown); percent on the right. "
            "Discharge: above 0 the battery discharges, below it charges. To grid: above 0 is feed-in, below is "
            "import. The dashed line is the reserve kept for an outage. A gap is time the battery was not heard of. "
            "Source: Production_W, Consumption_W, GridFeedIn_W, Pac_total_W, USOC, BackupBuffer."
        ),
        queries=[
            watts("production_watts", "Production", colours.SUN, 25),
            watts("consumption_watts", "Home consumption", colours.HOUSE),
            watts("discharge_watts", "Discharge", colours.BATTERY),
            watts("grid_feed_in_watts", "To grid", colours.TO_GRID),
            percent(USABLE, "State of charge", colours.CHARGE, **{"custom.lineWidth": 2}),
            percent("backup_buffer_percent", "Reserve", colours.RESERVE, **dashes),
        ],
        unit=units.WATT,
        step="1m",
        w=w,
        h=h,
    )


def flows(w: int, h: int) -> BarGauge:
    """Return what flows where now."""
    return BarGauge(
        title="Energy flow, mean of two minutes",
        description=(
            "Power of each of the seven flows in watts, mean of the last two minutes, so not quite the numbers "
            "above, and nothing where the battery was not heard of all that time. The sun feeds the house first, then "
            "the battery and the grid. "
            "Source: sonnen_flow_watt_hours_total and sonnen_observed_seconds_total, counted by the agent."
        ),
        queries=[
            Query(
                expr=flow_watts(source, target),
                name=f"{PLACES[source]} to {PLACES[target].lower()}",
                colour=COLOUR_FROM[source],
            )
            for source, target in FLOWS
        ],
        unit=units.WATT,
        low=0,
        w=w,
        h=h,
    )


SIDES: Mapping[str, tuple[str, str, str, str]] = {
    "Solar": ("from", "solar", "", colours.SUN),
    "Battery": ("from", "battery", "", colours.BATTERY),
    "Import": ("from", "grid", "", colours.FROM_GRID),
    "Home": ("to", "", "home", colours.HOUSE),
    "Charge": ("to", "", "battery", colours.CHARGING),
    "Feed-in": ("to", "", "grid", colours.TO_GRID),
}
"""What energy comes from and goes to: the side, the flows that count, and the colour."""


def balance_of_power(w: int, h: int) -> Bars:
    """Return where energy comes from and where it goes to as two bars, which are equally long."""

    def named(expression: str, **labels: str) -> str:
        for name, value in labels.items():
            expression = f'label_replace({expression}, "{name}", "{value}", "", "")'
        return expression

    parts = (
        named(flow_watts(source, target), place=place, side=side) for place, (side, source, target, _) in SIDES.items()
    )
    return Bars(
        title="Where it comes from, where it goes to",
        description=(
            "Power from sun, battery and grid above, and to house, battery and grid below, mean of two minutes: the "
            "two bars are equally long, for nothing is lost. Source: sonnen_flow_watt_hours_total and "
            "sonnen_observed_seconds_total, counted by the agent."
        ),
        queries=[Query(expr=" or ".join(parts), name="{{place}}")],
        by="side",
        now=True,
        flat=True,
        unit=units.WATT,
        low=0,
        nothing="nobody reports",
        transformations=[
            matrix("place", "side", "Value"),
            columns(["side\\place", *SIDES], {"side\\place": "side"}),
        ],
        overrides=[
            override("byName", "side", {"unit": units.TEXT}),
            *(
                override("byName", place, {"color": {"mode": "fixed", "fixedColor": colour}, "noValue": UNTOLD})
                for place, (*_, colour) in SIDES.items()
            ),
        ],
        w=w,
        h=h,
    )


def grid_today(w: int, h: int) -> Stat:
    """Return whether the house is ahead of the grid today."""
    ahead = f"({today('', 'grid')} - {today('grid')}) / 1000"
    return Stat(
        title="Against the grid today",
        description=(
            "Feed-in less import since midnight in the agent's time zone, in kWh: ahead where the house gave more than "
            "it took, behind where it took more. Source: sonnen_energy_today_watt_hours."
        ),
        queries=[
            Query(expr=f"{ahead} >= 0", name="ahead", colour=colours.TO_GRID),
            Query(expr=f"-1 * ({ahead} < 0)", name="behind", colour=colours.FROM_GRID),
        ],
        unit=units.KILOWATT_HOUR,
        one=True,
        w=w,
        h=h,
    )


def cost_today(w: int, h: int) -> Stat:
    """Return what the grid costs today, and what it cost yesterday."""

    def paid(window: str, back: str = "") -> str:
        cost, revenue = money("grid_cost", window, back, standing=True), money("grid_revenue", window, back)
        return f"({cost} - ({revenue} or 0 * {cost}))"

    return Stat(
        title="Grid costs",
        description=(
            "What import cost, with the standing charge, if the tariffs have one, less what feed-in earned, at the "
            "price of the time of use: today so far, and in the 24 hours before today. Above 0 was paid. The balance "
            "on Money is the same. Source: tariffs in the agent's config; sonnen_grid_cost_total, "
            "sonnen_grid_revenue_total, less what prices below 0 turned round; sonnen_standing_charge_total."
        ),
        queries=[
            Query(expr=paid(RANGE), name="today {{currency}}", colour=colours.HOUSE),
            Query(expr=paid("1d", back=RANGE), name="yesterday {{currency}}", colour=colours.NEUTRAL),
        ],
        unit=units.MONEY,
        nothing="no tariffs in the agent's config",
        span="now/d",
        w=w,
        h=h,
    )


def last_outage(w: int, h: int) -> Stat:
    """Return when the last outage was, and how long it lasted."""
    return Stat(
        title="Last outage",
        description=(
            "When the battery was off grid last, within a year, and for how long, so far where it still is. "
            "Source: SystemStatus; sonnen:off_grid_seconds by the rules."
        ),
        queries=[
            Query(
                expr=f"1000 * last_over_time({select('sonnen:off_grid_since_timestamp_seconds')}[365d])",
                name="began",
                unit=units.AGO,
                colour=colours.BAD,
            ),
            Query(
                expr=f"last_over_time({select('sonnen:off_grid_seconds')}[365d])",
                name="lasted",
                unit=units.DURATION,
                colour=colours.NEUTRAL,
            ),
        ],
        nothing="none in a year, or none known",
        w=w,
        h=h,
    )


def since_full(w: int, h: int) -> Stat:
    """Return why the battery is at its charge."""

    def since(way: str) -> str:
        counter = f"max by (job, instance) ({select(f'sonnen:battery_{way}_watt_hours_total:copy1m')})"
        full = f"max by (job, instance) ({select(f'sonnen:{USABLE}:mean5m')}) >= 98.5"
        return f"({counter} - last_over_time(({counter} and {_ON} {full})[14d:5m])) / 1000"

    return Stat(
        title="Why is it at this charge?",
        description=(
            "What went in and out since it was full (98.5 % or more, within a fortnight), the highest load of the last "
            "24 hours, the operating mode, and whether discharging is allowed. Source: USOC, energy counted by the "
            "agent, Consumption_W, OperatingMode, dischargeNotAllowed."
        ),
        queries=[
            Query(expr=since("charge"), name="charged since it was full", colour=colours.CHARGING),
            Query(expr=since("discharge"), name="discharged since", colour=colours.BATTERY),
            Query(
                expr=f"max_over_time({select('sonnen:consumption_watts:max5m')}[1d])",
                name="highest load in 24 h",
                unit=units.WATT,
                colour=colours.HOUSE,
            ),
            Query(
                expr=fresh("operating_mode"),
                name="mode",
                unit=units.COUNT,
                colour=colours.HOUSE,
                look={"mappings": [mapping(MODES)]},
            ),
            Query(
                expr=fresh("discharge_not_allowed"),
                name="discharging",
                unit=units.COUNT,
                look={"mappings": [mapping({0: ("allowed", colours.GOOD), 1: ("not allowed", colours.WARNING)})]},
            ),
        ],
        unit=units.KILOWATT_HOUR,
        nothing="no data",
        w=w,
        h=h,
    )


ROWS: Mapping[str, tuple[str, str]] = {
    "Solar": ("solar", ""),
    "Home": ("", "home"),
    "Import": ("grid", ""),
    "Feed-in": ("", "grid"),
    "Charge": ("", "battery"),
    "from the grid": ("grid", "battery"),
    "Discharge": ("battery", ""),
}
"""What is told of a day, and between which places it flows."""


def totals(w: int, h: int) -> Table:
    """Return the energy of today beside that of yesterday."""

    def rows(of_day: Callable[[str, str], str]) -> str:
        return " or ".join(
            f'label_replace({of_day(*places)} / 1000, "what", "{name}", "", "")' for name, places in ROWS.items()
        )

    return Table(
        title="Today and yesterday",
        description=(
            "Energy since midnight in the agent's time zone, and of the whole day before, in kWh: produced by the sun, "
            "used by the house, imported from and fed into the grid, charged into and discharged from the battery. "
            "Source: sonnen_energy_today_watt_hours, sonnen_energy_yesterday_watt_hours, sums of flows."
        ),
        queries=[Query(expr=rows(today), name="today"), Query(expr=rows(yesterday), name="yesterday")],
        unit=units.KILOWATT_HOUR,
        nothing="no data: the agent tells it once it reads the battery",
        transformations=[
            transformation("merge"),
            columns(
                ["what", "Value #A", "Value #B"],
                {"what": "Energy", "Value #A": "Today", "Value #B": "Yesterday"},
                hidden=["Time", "instance"],
            ),
        ],
        overrides=[override("byName", name, {"noValue": UNTOLD}) for name in ("Today", "Yesterday")],
        w=w,
        h=h,
    )


_TODAY_S_SUN = select("sonnen:energy_today_watt_hours:copy5m", *flow_matchers("solar"))
_SOLAR_SO_FAR = f"sum by (instance) (max by (job, instance, from, to) ({_TODAY_S_SUN}))"
_TIME_NOW = f"max by (instance) (timestamp({_TODAY_S_SUN} @ end())) % {_DAY}"
# The same time of the day, to some minutes, on each of the days.
_AT_THIS_HOUR = f"{_SOLAR_SO_FAR} and on (instance) (abs(time() % {_DAY} - {_TIME_NOW}) <= 300)"
_OF_THE_BEST_DAY = f"{_SOLAR_SO_FAR} / (max_over_time(({_AT_THIS_HOUR})[30d:10m]) > 0)"


def shares(w: int, h: int) -> Stat:
    """Return today's two shares, and how much of today was counted."""
    return Stat(
        title="Shares today",
        description=(
            "Self-sufficiency: the share of what the house used that was not bought, neither at once nor by way of the "
            "battery, whose output is taken to be from sun and grid as its input was. Self-consumption: the share of "
            "the sun's energy that did not go straight to the grid. Of the best day: the sun's energy until now, "
            "compared with the best of the last 30 days up to this hour. Coverage: the share of today that was "
            "counted. Since midnight in the agent's time zone; quotients of energies, never means of momentary "
            "shares. Source: sonnen_energy_today_watt_hours; sonnen_observed_seconds_total."
        ),
        queries=[
            Query(expr=self_sufficiency_today(), name="self-sufficiency", colour=colours.GOOD),
            Query(expr=self_consumption_today(), name="self-consumption", colour=colours.SUN),
            Query(expr=_OF_THE_BEST_DAY, name="solar, of the best day", colour=colours.SUN),
            covered(),
        ],
        unit=units.SHARE,
        decimals=0,
        span="now/d",
        w=w,
        h=h,
    )


BOARD = Board(
    uid="sonnen-now",
    title="Now",
    description="What the house, the sun, the battery and the grid are doing now, and for how long.",
    start="now-24h",
    refresh="10s",
    sections=[
        Section(
            title="$instance",
            tiles=[
                *DATA_QUALITY,
                sun(4, 4),
                house(4, 4),
                battery(4, 4),
                grid(4, 4),
                charge(4, 4),
                outlook(4, 4),
                course(24, 12),
                balance_of_power(24, 6),
                flows(8, 10),
                totals(8, 10),
                since_full(8, 10),
                shares(6, 7),
                grid_today(4, 7),
                cost_today(5, 7),
                last_outage(6, 7),
                firing(3, 7),
            ],
        )
    ],
)
