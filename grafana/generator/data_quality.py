"""How far to believe what a dashboard shows: the strip on top of each, and the coverage beside totals."""

from generator import colours, units
from generator.promql import STEP, coverage, select
from generator.tiles import Query, States, Timeline

STATES: States = {
    0: ("fine", colours.GOOD),
    1: ("stale", colours.NEUTRAL),
    2: ("battery silent", colours.COLD),
    3: ("meter stuck", colours.WARNING),
    4: ("does not add up", colours.BAD),
}


DATA_QUALITY = Timeline(
    title="Can these numbers be believed?",
    description=(
        "Fine, or the worst that happened in each stretch: stale (nothing was pushed), battery silent (it does not "
        "answer the agent), meter stuck (the consumption has not changed for half an hour), does not add up "
        "(production + discharge - consumption - feed-in is more than 200 W: a clamp is turned or missing). Empty: "
        "nothing is known. Source: recording rule sonnen:trust:code, every five minutes."
    ),
    queries=[Query(expr=f"max_over_time({select('sonnen:trust:code')}[{STEP}])", name="trust")],
    states=STATES,
    step="5m",
    w=24,
    h=3,
)


def covered() -> Query:
    """Return the share of the chosen time in which energy was counted, to be shown beside its totals."""
    return Query(
        expr=coverage(),
        name="coverage",
        unit=units.SHARE,
        colour=colours.NEUTRAL,
        look={"decimals": 1},
    )
