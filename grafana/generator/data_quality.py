"""How far to believe what a dashboard shows: the strip on top of each, and the coverage beside totals."""

from generator import colours, units
from generator.promql import STEP, coverage, select
from generator.tiles import Query, Stat, States, Tile, Timeline

STATES: States = {
    0: ("fine", colours.GOOD),
    1: ("stale", colours.NEUTRAL),
    2: ("battery silent", colours.COLD),
    3: ("meter stuck", colours.WARNING),
    4: ("does not add up", colours.BAD),
}


_FRESH = select("sonnen:fresh:bool")
_NOW = Stat(
    title="Numbers now",
    description=(
        "Whether the numbers of this moment can be believed: fine, stale (nothing was pushed for 30 s), battery silent "
        "(it does not answer the agent), meter stuck (the consumption has not changed for half an hour), does not add "
        "up (production + discharge - consumption - feed-in is more than 200 W for ten minutes: a clamp is turned or "
        "missing). Source: recording rules sonnen:fresh:bool and sonnen:online:fresh, every 5 s; sonnen:trust:code."
    ),
    queries=[
        Query(
            expr=(
                f"max by (instance) (0 * ({_FRESH} == 0) + 1"
                f" or on (job, instance) 0 * ({select('sonnen:online:fresh')} == 0) + 2"
                f" or on (job, instance) ({select('sonnen:trust:code')} > 2) and on (job, instance) {_FRESH}"
                f" or on (job, instance) 0 * {_FRESH})"
            ),
            name="now",
        )
    ],
    states=STATES,
    nothing="nobody reports",
    filled=True,
    w=4,
    h=3,
)
_COURSE = Timeline(
    title="Can these numbers be believed?",
    description=(
        "Fine, or the worst that happened in each stretch of five minutes or more, up to the last full one; beside it "
        "is what is the case now, and what the words mean. Empty: nothing is known. Source: recording rule "
        "sonnen:trust:code, every five minutes."
    ),
    queries=[Query(expr=f"max_over_time({select('sonnen:trust:code')}[{STEP}])", name="trust")],
    states=STATES,
    step="5m",
    w=20,
    h=3,
)
DATA_QUALITY: tuple[Tile, ...] = (_NOW, _COURSE)
"""The strip on top of each dashboard."""


def covered() -> Query:
    """Return the share of the chosen time in which energy was counted, to be shown beside its totals."""
    return Query(
        expr=coverage(),
        name="coverage",
        unit=units.SHARE,
        colour=colours.NEUTRAL,
        look={"decimals": 1},
    )
