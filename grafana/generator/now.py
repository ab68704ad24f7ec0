"""Now: what the house, the sun, the battery and the grid are doing, and for how long."""

from collections.abc import Iterator

from generator import colours, units
from generator.alerts import firing
from generator.board import Board, Section
from generator.data_quality import DATA_QUALITY, covered
from generator.promql import (
    FLOWS,
    STEP,
    fresh,
    select,
    self_consumption_today,
    self_sufficiency_today,
    today,
    while_steady,
)
from generator.tiles import BarGauge, Chart, Gauge, Query, Stat, States, mapping

PLACES = {"solar": "Sun", "battery": "Battery", "grid": "Grid", "home": "House"}
COLOUR_FROM = {"solar": colours.SUN, "battery": colours.BATTERY, "grid": colours.FROM_GRID}
USABLE = "usable_state_of_charge_percent"
_MEAN_DISCHARGE = f"avg_over_time({fresh('discharge_watts')}[15m])"
_CAPACITY = (
    f"({fresh('full_charge_capacity_watt_hours')} or on (job, instance) {fresh('installed_capacity_watt_hours')})"
)


def _moment(percent: str, watts: str) -> str:
    """Return when so much charge will have come or gone at a power, to five minutes, in milliseconds."""
    # A tenth less than the battery says of itself, as in the rules' sonnen:usable_watt_hours:fresh.
    watt_hours = f"0.9 * ({percent}) / 100 * on (job, instance) {_CAPACITY}"
    seconds = f"3600 * ({watt_hours} > 0) / on (job, instance) ({watts} > 100)"
    return f"round(time() + ({seconds} < 86400), 300) * 1000"


# What is left to 100 % is rounded, and filled slowly: from 99 % on the battery counts as full.
_FULL = f"{fresh(USABLE)} >= 99"
_AT_RESERVE = f"{fresh(USABLE)} <= on (job, instance) {fresh('backup_buffer_percent')}"
FULL_AT = _moment(f"100 - ({fresh(USABLE)} < 99)", f"-1 * {_MEAN_DISCHARGE}")
RESERVE_AT = _moment(f"{fresh(USABLE)} - {fresh('backup_buffer_percent')}", _MEAN_DISCHARGE)

_STATUS = "Source: the battery's status API, every 5 s; shown only while it is pushed."


def sun(w: int, h: int) -> Stat:
    """Return the sun's power now."""
    return Stat(
        title="Sun",
        description=f"PV production now, in watts. {_STATUS}",
        queries=[Query(expr=fresh("production_watts"), name="sun", colour=colours.SUN)],
        unit=units.WATT,
        w=w,
        h=h,
    )


def house(w: int, h: int) -> Stat:
    """Return the house's power now."""
    return Stat(
        title="House",
        description=f"What the house uses now, in watts. {_STATUS}",
        queries=[Query(expr=fresh("consumption_watts"), name="house", colour=colours.HOUSE)],
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
        w=w,
        h=h,
    )


def grid(w: int, h: int) -> Stat:
    """Return what the grid does now, in a word and in watts."""
    watts = fresh("grid_feed_in_watts")
    return Stat(
        title="Grid",
        description=f"Grid import, feed-in or balanced (below 20 W), in watts without a sign. {_STATUS}",
        queries=[
            Query(expr=f"-1 * ({watts} < -20)", name="importing", colour=colours.FROM_GRID),
            Query(expr=f"{watts} > 20", name="feeding in", colour=colours.TO_GRID),
            Query(expr=f"abs({watts}) <= 20", name="balanced", colour=colours.NEUTRAL),
        ],
        unit=units.WATT,
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
        title="Until when",
        description=(
            "When the battery will be full, or down to the reserve its owner set, if the mean power of the last 15 "
            "minutes goes on; to five minutes. Or that it is full (99 % or more), or at its reserve. Not foreseeable "
            "below 100 W, beyond a day, and where the capacity is not known, as without a token. Source: USOC, "
            "BackupBuffer, full charge capacity (installed capacity where the battery does not tell it), Pac_total_W."
        ),
        queries=[
            Query(expr=FULL_AT, name="full at", colour=colours.CHARGING),
            Query(expr=RESERVE_AT, name="reserve at", colour=colours.RESERVE),
            Query(
                expr=f"0 * ({_FULL}) + 1 or 0 * ({_AT_RESERVE}) + 2",
                name="battery",
                unit=units.COUNT,
                look={"mappings": [mapping(reached)]},
            ),
        ],
        unit=units.MOMENT,
        nothing="not foreseeable",
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
    expr = "sum by (instance) (rate({}[2m])) * 3600"
    return BarGauge(
        title="Flows, mean of two minutes",
        description=(
            "Power of each of the seven flows in watts, mean of the last two minutes, so not quite the numbers "
            "above, and nothing where the battery was not heard of all that time. The sun feeds the house first, then "
            "the battery and the grid. "
            "Source: sonnen_flow_watt_hours_total, counted by the agent."
        ),
        queries=[
            Query(
                expr=while_steady(
                    expr.format(select("sonnen_flow_watt_hours_total", f'from="{source}"', f'to="{target}"')), "2m"
                ),
                name=f"{PLACES[source]} → {PLACES[target].lower()}",
                colour=COLOUR_FROM[source],
            )
            for source, target in FLOWS
        ],
        unit=units.WATT,
        low=0,
        w=w,
        h=h,
    )


def totals(w: int, h: int) -> Stat:
    """Return today's energy, and how much of today it covers."""

    def queries() -> Iterator[Query]:
        yield Query(expr=today("", "home"), name="used", colour=colours.HOUSE)
        yield Query(expr=today("solar"), name="from the sun", colour=colours.SUN)
        yield Query(expr=today("grid"), name="imported", colour=colours.FROM_GRID)
        yield Query(expr=today("", "grid"), name="fed in", colour=colours.TO_GRID)
        yield Query(expr=today("", "battery"), name="charged", colour=colours.CHARGING)
        yield Query(expr=today("battery"), name="discharged", colour=colours.BATTERY)
        yield covered()

    return Stat(
        title="Today",
        description=(
            "Energy since midnight in the agent's time zone: used by the house, produced by the sun, imported from "
            "and fed into the grid, charged into and discharged from the battery; and the coverage, the share of "
            "today, in the time zone of your browser, that was counted. Source: sonnen_energy_today_watt_hours, sums "
            "of flows; sonnen_observed_seconds_total."
        ),
        queries=list(queries()),
        unit=units.WATT_HOUR,
        span="now/d",
        w=w,
        h=h,
    )


def shares(w: int, h: int) -> Stat:
    """Return today's two shares."""
    return Stat(
        title="Shares today",
        description=(
            "Self-sufficient: the share of what the house used that did not come straight from the grid. Own use: "
            "the share of the sun's energy that did not go straight to the grid. Since midnight in the agent's time "
            "zone; quotients of energies, never means of momentary shares. Source: sonnen_energy_today_watt_hours."
        ),
        queries=[
            Query(expr=self_sufficiency_today(), name="self-sufficient", colour=colours.GOOD),
            Query(expr=self_consumption_today(), name="own use of the sun", colour=colours.SUN),
        ],
        unit=units.SHARE,
        decimals=0,
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
                DATA_QUALITY,
                sun(4, 4),
                house(4, 4),
                battery(4, 4),
                grid(4, 4),
                charge(4, 4),
                outlook(4, 4),
                course(24, 12),
                flows(8, 9),
                totals(10, 9),
                shares(3, 9),
                firing(3, 9),
            ],
        )
    ],
)
