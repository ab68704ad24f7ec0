"""The queries' building blocks: which series, which time, and never two batteries in one number."""

SELECTOR = 'job=~"$job",instance=~"$instance"'
AGENT = 'job=~"${job}_agent",instance=~"$agent"'
RANGE = "$__range"
STEP = "$__interval"
FLOWS = (
    ("solar", "home"),
    ("solar", "battery"),
    ("solar", "grid"),
    ("battery", "home"),
    ("battery", "grid"),
    ("grid", "home"),
    ("grid", "battery"),
)
# Noon of the step's day: its date is the same in every time zone but the easternmost and westernmost.
_NOON = "vector(time() + 43200)"
_YEAR_AND_MONTH = f"year({_NOON}) * 100 + month({_NOON})"
MONTH = f'label_replace(count_values("month", {_YEAR_AND_MONTH}), "month", "$1-$2", "month", "(....)(..)")'
YEAR = f'count_values("year", year({_NOON}))'


def select(name: str, *matchers: str) -> str:
    """Return the series of the chosen batteries."""
    return f"{name}{{{','.join((SELECTOR, *matchers))}}}"


def agent(name: str, *matchers: str) -> str:
    """Return the series of the chosen agents' own groups."""
    return f"{name}{{{','.join((AGENT, *matchers))}}}"


def fresh(gauge: str) -> str:
    """Return a gauge that has gaps where the battery was not heard of, from the recording rules."""
    return select(f"sonnen:{gauge}:fresh")


def while_fresh(expression: str) -> str:
    """Return what is only true while pushes arrive; a gateway never forgets what a dead machine said."""
    return f"({expression}) and on (job, instance) ({select('sonnen:fresh:bool')} == 1)"


def while_steady(expression: str, window: str) -> str:
    """Return a sum by instance only where pushes arrived all the window long: after a gap its counters jump."""
    return f"{expression} and on (instance) (min_over_time({select('sonnen:fresh:bool')}[{window}]) == 1)"


def increase(counter: str, window: str = RANGE, *matchers: str, back: str = "") -> str:
    """Return how much a counter grew in a window, from the recorded copy; `back` moves the window into the past."""
    offset = f" offset {back}" if back else ""
    # Of a year's half million samples, some thousand are enough.
    seen = f"{window}:{STEP}" if window == RANGE else window
    return f"sum by (instance) (increase({select(f'sonnen:{counter}:copy1m', *matchers)}[{seen}]{offset}))"


def energy(quantity: str, window: str = RANGE, *, back: str = "") -> str:
    """Return the watt-hours of one of the six totals in a window."""
    return increase(f"{quantity}_watt_hours_total", window, back=back)


def flow_matchers(source: str = "", target: str = "") -> tuple[str, ...]:
    """Return the matchers of the flows from a source, to a target, or both."""
    return tuple(f'{label}="{place}"' for label, place in (("from", source), ("to", target)) if place)


def flow(source: str = "", target: str = "", window: str = RANGE, *, back: str = "") -> str:
    """Return the watt-hours that went from a source to a target in a window; an empty name is all of them."""
    return increase("flow_watt_hours_total", window, *flow_matchers(source, target), back=back)


def day(source: str = "", target: str = "") -> str:
    """Return a flow's watt-hours in the calendar day that begins at the step.

    Exact also where clocks change: the agent closes its days itself and tells the finished one the day after. It is
    looked up between 32 and 40 hours after the step, in the middle of that day, however the clocks were changed. The
    present day, and one of which nothing was told then, is what the agent told of it last.
    """
    yesterday = select("sonnen:energy_yesterday_watt_hours:copy5m", *flow_matchers(source, target))
    today_so_far = select("sonnen:energy_today_watt_hours:copy5m", *flow_matchers(source, target))
    # Ten minutes after midnight nobody tells of the day before any more.
    return (
        f"{_summed(f'last_over_time({yesterday}[8h] offset -40h)')}"
        f" or {_summed(f'max_over_time({today_so_far}[1430m] offset -1d)')}"
    )


def _summed(flows: str) -> str:
    """Return the sum of a battery's flows, each of them once: a battery that was given a label has two series then."""
    return f"sum by (instance) (max by (job, instance, from, to) ({flows}))"


def by_month(expression: str) -> str:
    """Return a day's value with the label `month`, such as 2026-03."""
    return f"({expression}) * on () group_left (month) {MONTH}"


def by_year(expression: str) -> str:
    """Return a day's value with the label `year`."""
    return f"({expression}) * on () group_left (year) {YEAR}"


def today(source: str = "", target: str = "") -> str:
    """Return a flow's watt-hours since the agent's midnight."""
    told = select("sonnen_energy_today_watt_hours", *flow_matchers(source, target))
    return _summed(while_fresh(told))


def self_sufficiency_today() -> str:
    """Return the share of what the house used since the agent's midnight that did not come straight from the grid."""
    return f"1 - {today('grid', 'home')} / ({today('', 'home')} > 0)"


def self_consumption_today() -> str:
    """Return the share of the sun's energy since the agent's midnight that did not go straight to the grid."""
    return f"1 - {today('solar', 'grid')} / ({today('solar')} > 0)"


def self_sufficiency(window: str = RANGE, *, back: str = "") -> str:
    """Return the share of the house's energy that did not come straight from the grid."""
    return f"1 - {flow('grid', 'home', window, back=back)} / ({flow('', 'home', window, back=back)} > 0)"


def self_consumption(window: str = RANGE, *, back: str = "") -> str:
    """Return the share of the sun's energy that did not go straight to the grid."""
    return f"1 - {flow('solar', 'grid', window, back=back)} / ({flow('solar', '', window, back=back)} > 0)"


def coverage() -> str:
    """Return the share of the chosen time in which the agent could count energy."""
    return f"clamp_max({increase('observed_seconds_total')} / $__range_s, 1)"
