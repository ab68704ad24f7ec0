"""How far to believe what a dashboard shows: the strip on top of each, and the coverage beside totals."""

from generator import colours, units
from generator.promql import RANGE, STEP, coverage, select
from generator.tiles import Query, States, Timeline

STATES: States = {
    0: ("fine", colours.GOOD),
    1: ("stale", colours.NEUTRAL),
    2: ("meter stuck", colours.WARNING),
    3: ("does not add up", colours.BAD),
}

STRIP = Timeline(
    title="Can these numbers be believed?",
    about=(
        "Fine, or the worst that happened in each stretch: stale (nothing was pushed for 30 s), meter stuck (the "
        "consumption has not changed for half an hour), does not add up (production + discharge - consumption - "
        "feed-in is far from 0, a clamp is turned or missing). White: nothing is known. Source: recording rule "
        "sonnen:trust:code."
    ),
    queries=[Query(expr=f"max_over_time({select('sonnen:trust:code')}[{STEP}])", name="trust")],
    states=STATES,
    step="1m",
    w=24,
    h=3,
)


def covered(window: str = RANGE, seconds: str = "$__range_s") -> Query:
    """Return the share of a time in which energy was counted, to be shown beside its totals."""
    return Query(
        expr=coverage(window, seconds),
        name="covered",
        unit=units.SHARE,
        colour=colours.NEUTRAL,
        look={"decimals": 1},
    )
