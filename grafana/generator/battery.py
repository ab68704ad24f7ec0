"""Battery: how it is used, how it ages, and whether it would carry the house through a night."""

from generator import colours, units
from generator.board import Board, Section
from generator.data_quality import DATA_QUALITY
from generator.now import USABLE, charge
from generator.promql import RANGE, STEP, energy, fresh, select
from generator.tiles import UNREAD, Chart, CountStat, Query, Stat

_ON = "on (job, instance)"
_CAPACITY = (
    f"({select('sonnen:full_charge_capacity_watt_hours:mean5m')} or {_ON} "
    f"{select('sonnen:installed_capacity_watt_hours:mean5m')})"
)
_YEAR = 365 * 86400
_DARK = f"{_ON} ({select('sonnen:production_watts:mean5m')} < 50)"
_STORED = f"0.9 * {select(f'sonnen:{USABLE}:mean5m')} / 100 * {_ON} {_CAPACITY}"
_LOAD = select("sonnen:consumption_watts:mean5m")
# From noon to noon there is one night; a step is the midnight in its middle.
_NIGHT = "[1d:5m] offset -12h"
NEED = f"sum_over_time(({_LOAD} and {_DARK}){_NIGHT}) / 12"
# Dusk is where it was not dark yet a quarter of an hour before: later the grid may have charged the battery.
_DUSK = f"{_ON} ({select('sonnen:production_watts:mean5m')} offset 15m >= 50)"
HAVE = f"max_over_time(({_STORED} and {_DARK} and {_DUSK}){_NIGHT})"
# A night of which a tenth is missing, such as the one that has not ended yet, is not judged.
_SEEN = f"{_ON} (count_over_time({_LOAD}[1d] offset -12h) > 259)"
LASTS = f"3600 * {fresh('usable_watt_hours')} / {_ON} avg_over_time(({_LOAD} and {_DARK})[1d:5m])"

_STRONGEST, _WEAKEST = (select("sonnen:cell_volts:mean5m", f'stat="{stat}"') for stat in ("max", "min"))
_SPREAD = (
    f"1000 * ({_STRONGEST} - ignoring (stat) {_WEAKEST}) and {_ON} abs({select('sonnen:discharge_watts:mean5m')}) < 200"
)

_CHARGE_NOW, _CHARGE_THEN = (
    f"last_over_time({select('sonnen:state_of_charge_percent:mean5m')}[1h]{back})" for back in ("", f" offset {RANGE}")
)
_STILL_STORED = f"({_CHARGE_NOW} - {_CHARGE_THEN}) / 100 * {_ON} {_CAPACITY}"
_GIVEN_BACK = (
    f"({energy('battery_discharge')} + on (instance) ({_STILL_STORED}))"
    f" / on (instance) ({energy('battery_charge')} > on (instance) 5 * {_CAPACITY})"
)


def _peak(which: str, series: str) -> str:
    """Return the highest or the lowest of each step: a look at its end would miss most of them."""
    return f"{which}_over_time({series}[{STEP}])"


_PACK = "Source: the battery's own readings (API v2 with a token), means of five minutes by the rules."


def nights(w: int, h: int) -> CountStat:
    """Return how many nights the battery could have carried the house through."""
    return CountStat(
        title="Nights of the last 30",
        description=(
            "Nights for which the charge at dusk, down to nothing, would have been enough for what the house used "
            "while the sun gave less than 50 W; of those that were seen to nine tenths, and before which the sun gave "
            "50 W at all. Source: USOC, capacity less a tenth, Consumption_W and Production_W, means of five minutes "
            "by the rules."
        ),
        queries=[
            Query(expr=f"({HAVE} >= bool {NEED}) and {_SEEN}", name="survived", colour=colours.GOOD),
            Query(expr=f"{HAVE} * 0 + 1 and {_SEEN}", name="nights seen", colour=colours.NEUTRAL),
        ],
        # Thirty midnights, with the one before the last night.
        span="29d",
        step="1d",
        points=100,
        nothing=UNREAD,
        w=w,
        h=h,
    )


def blackout(w: int, h: int) -> Stat:
    """Return how long the battery would carry the house now."""
    return Stat(
        title="A blackout now would last",
        description=(
            "How long the present charge, down to nothing, would carry the house without any sun: at the mean load "
            "of the last dark hours, and at the load of the last five minutes. Source: USOC, capacity less a "
            "tenth, Consumption_W."
        ),
        queries=[
            Query(expr=f"floor({LASTS} / 600) * 600", name="at last night's load", colour=colours.BATTERY),
            Query(
                expr=f"floor({fresh('backup_seconds')} / 600) * 600", name="at the present load", colour=colours.HOUSE
            ),
        ],
        unit=units.DURATION,
        nothing=UNREAD,
        w=w,
        h=h,
    )


BOARD = Board(
    uid="sonnen-battery",
    title="Battery",
    description="How the battery is used, how it ages, and whether it would carry the house through a night.",
    start="now-30d",
    refresh="5m",
    calendar=True,
    sections=[
        Section(
            title="$instance",
            tiles=[
                *DATA_QUALITY,
                charge(4, 6),
                blackout(7, 6),
                nights(5, 6),
                Stat(
                    title="Use",
                    description=(
                        "Full cycles of the battery's life as it counts them; in the chosen time, energy discharged "
                        "divided by the full charge capacity; and the round trip: of the energy charged, what was "
                        "discharged, or still stored and not before, divided by charged. The last one only where five "
                        "times the capacity was charged and the charge at the beginning is known, or it would tell "
                        "of roundings. Source: cyclecount, RSOC, and energy counted by the agent."
                    ),
                    queries=[
                        Query(
                            expr=f"last_over_time({select('sonnen:battery_cycles_total:copy5m')}[1h])",
                            name="cycles of its life",
                            colour=colours.BATTERY,
                        ),
                        Query(
                            expr=f"{energy('battery_discharge')} / on (instance) {_CAPACITY}",
                            name="cycles in the chosen time",
                            colour=colours.CHARGING,
                            look={"decimals": 1},
                        ),
                        Query(expr=_GIVEN_BACK, name="round trip", unit=units.SHARE, colour=colours.NEUTRAL),
                    ],
                    nothing=UNREAD,
                    w=8,
                    h=6,
                ),
                Stat(
                    title="Capacity",
                    description=(
                        "Full charge capacity as the battery reports it, its share of what was installed, and the "
                        "change in a year if the trend of the chosen time goes on (a time shorter than some months "
                        "tells little). Source: fullchargecapacitywh or FullChargeCapacity; modules times capacity "
                        "of a module."
                    ),
                    queries=[
                        Query(
                            expr=fresh("full_charge_capacity_watt_hours"), name="full charge", colour=colours.BATTERY
                        ),
                        Query(
                            expr=f"{fresh('full_charge_capacity_watt_hours')}"
                            f" / {_ON} {fresh('installed_capacity_watt_hours')}",
                            name="of installed",
                            unit=units.SHARE,
                            colour=colours.CHARGING,
                        ),
                        Query(
                            expr=f"{_YEAR} * deriv({select('sonnen:full_charge_capacity_watt_hours:mean5m')}[{RANGE}])",
                            name="trend in a year",
                            colour=colours.NEUTRAL,
                        ),
                    ],
                    unit=units.WATT_HOUR,
                    nothing=UNREAD,
                    w=12,
                    h=8,
                ),
                Chart(
                    title="Charge by day",
                    description=(
                        "Lowest and highest charge of each day of 24 hours, in percent as the owner sees it, and "
                        "the reserve at its end. Source: USOC, BackupBuffer; minima and maxima of five minutes by "
                        "the rules."
                    ),
                    queries=[
                        Query(
                            expr=f"max_over_time({select(f'sonnen:{USABLE}:max5m')}[1d] offset -1d)",
                            name="highest charge",
                            colour=colours.CHARGE,
                            look={"custom.fillBelowTo": "lowest charge", "custom.fillOpacity": 40},
                        ),
                        Query(
                            expr=f"min_over_time({select(f'sonnen:{USABLE}:min5m')}[1d] offset -1d)",
                            name="lowest charge",
                            colour=colours.CHARGE,
                            look={"custom.fillOpacity": 0},
                        ),
                        Query(
                            expr=f"last_over_time({select('sonnen:backup_buffer_percent:mean5m')}[1d] offset -1d)",
                            name="Reserve",
                            colour=colours.RESERVE,
                            look={"custom.lineStyle": {"fill": "dash", "dash": [8, 8]}, "custom.fillOpacity": 0},
                        ),
                    ],
                    unit=units.PERCENT,
                    low=0,
                    high=100,
                    step="1d",
                    points=1000,
                    w=12,
                    h=8,
                ),
                Chart(
                    title="Nights, one by one",
                    long=True,
                    description=(
                        "For each night, at its midnight: what the battery held at dusk, and what the house used "
                        "until dawn, while the sun gave less than 50 W. Where the line is above the bars the night "
                        "was covered. Nights of which a tenth was not seen are left out, and so is the charge after a "
                        "day without 50 W, which had no dusk. Source: USOC, capacity less a tenth, Consumption_W and "
                        "Production_W, means of five minutes by the rules."
                    ),
                    queries=[
                        Query(
                            expr=f"{NEED} and {_SEEN}",
                            name="used until dawn",
                            colour=colours.HOUSE,
                            look={"custom.drawStyle": "bars", "custom.fillOpacity": 60, "custom.barAlignment": 0},
                        ),
                        Query(
                            expr=f"{HAVE} and {_SEEN}",
                            name="held at dusk",
                            colour=colours.BATTERY,
                            look={"custom.lineWidth": 2},
                        ),
                    ],
                    unit=units.WATT_HOUR,
                    low=0,
                    step="1d",
                    points=100,
                    span="29d",
                    fill=0,
                    w=12,
                    h=8,
                ),
                Chart(
                    title="Cycles by day",
                    description=(
                        "Energy discharged on each day of 24 hours, divided by the full charge capacity. Source: "
                        "energy counted by the agent."
                    ),
                    queries=[
                        Query(
                            expr=f"{energy('battery_discharge', '1d', back='-1d')} / on (instance) {_CAPACITY}",
                            name="cycles",
                            colour=colours.BATTERY,
                        )
                    ],
                    decimals=2,
                    nothing=UNREAD,
                    low=0,
                    bars=True,
                    calcs=["sum", "mean"],
                    step="1d",
                    points=1000,
                    w=12,
                    h=8,
                ),
                Chart(
                    title="Temperatures",
                    description=(
                        "Of the coldest and the warmest cell, and of the inverter's probes, the extremes of each "
                        "step, in degrees Celsius. "
                        f"Source: the battery's battery and inverter readings. {_PACK}"
                    ),
                    queries=[
                        Query(
                            expr=_peak("max", select("sonnen:cell_temperature_celsius:max5m", 'stat="max"')),
                            name="warmest cell",
                            colour=colours.WARNING,
                        ),
                        Query(
                            expr=_peak("min", select("sonnen:cell_temperature_celsius:min5m", 'stat="min"')),
                            name="coldest cell",
                            colour=colours.COLD,
                        ),
                        Query(expr=_peak("max", select("sonnen:temperature:max5m")), name="inverter {{probe}}"),
                    ],
                    unit=units.CELSIUS,
                    nothing=UNREAD,
                    fill=0,
                    step="5m",
                    w=12,
                    h=8,
                ),
                Chart(
                    title="Spread of the cells at rest",
                    description=(
                        "Voltage of the strongest less that of the weakest cell, the most of each step, only while the "
                        "battery gives or takes less than 200 W: under load it says nothing. A spread that grows over "
                        f"weeks is a cell that ages. {_PACK}"
                    ),
                    queries=[
                        Query(
                            expr=f"max_over_time(({_SPREAD})[{STEP}:5m])",
                            name="spread",
                            colour=colours.BATTERY,
                        )
                    ],
                    unit=units.MILLIVOLT,
                    nothing=UNREAD,
                    low=0,
                    fill=0,
                    step="5m",
                    w=12,
                    h=8,
                ),
                Chart(
                    title="Capacity over a year",
                    long=True,
                    description=f"Full charge capacity and what was installed, in a year. {_PACK}",
                    queries=[
                        Query(
                            expr=select("sonnen:full_charge_capacity_watt_hours:mean5m"),
                            name="full charge",
                            colour=colours.BATTERY,
                        ),
                        Query(
                            expr=select("sonnen:installed_capacity_watt_hours:mean5m"),
                            name="installed",
                            colour=colours.NEUTRAL,
                        ),
                    ],
                    unit=units.WATT_HOUR,
                    nothing=UNREAD,
                    fill=0,
                    step="1h",
                    span="1y",
                    w=24,
                    h=8,
                ),
            ],
        )
    ],
)
