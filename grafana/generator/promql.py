"""The queries' building blocks: which series, which time, and never two batteries in one number."""

from collections.abc import Sequence

# Between backticks nothing is escaped but what is special in a regular expression: a name may hold quotes.
SELECTOR = "job=~`${job:regex}`,instance=~`${instance:regex}`"
AGENT = "job=~`${job:regex}_agent`,instance=~`${agent:regex}`"
RANGE = "$__range"
STEP = "$__interval"
MONEY = ("instance", "currency")
"""Two currencies are never added up."""
FLOWS = (
    ("solar", "home"),
    ("solar", "battery"),
    ("solar", "grid"),
    ("battery", "home"),
    ("battery", "grid"),
    ("grid", "home"),
    ("grid", "battery"),
)
# The early afternoon of the step's day: there UTC has the same date as every time zone from -10:30 to +13:30.
_NOON = "vector(time() + 48600)"
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


def flow_watts(source: str, target: str, window: str = "2m") -> str:
    """Return the mean power of a flow while it was counted, only where pushes arrived all the window long and do now.

    Of a window in which the agent was started only a part was counted: so energy is divided by the time that was, and
    not by the window. Where there is no push, nothing is fresh; a gap that is over makes counters jump.
    """
    energy_rate = f"rate({select('sonnen_flow_watt_hours_total', *flow_matchers(source, target))}[{window}])"
    counted_rate = f"rate({select('sonnen_observed_seconds_total')}[{window}])"
    fresh_now = select("sonnen:fresh:bool")
    return (
        f"3600 * sum by (instance) ({energy_rate}) / on (instance) (sum by (instance) ({counted_rate}) > 0)"
        f" and on (instance) (min_over_time({fresh_now}[{window}]) == 1) and on (instance) ({fresh_now} == 1)"
    )


def increase(
    counter: str, window: str = RANGE, *matchers: str, back: str = "", by: Sequence[str] = ("instance",)
) -> str:
    """Return how much a counter grew in a window, from the recorded copy; `back` moves the window into the past."""
    offset = f" offset {back}" if back else ""
    # Of a year's half million samples, some thousand are enough.
    seen = f"{window}:{STEP}" if window == RANGE else window
    return f"sum by ({', '.join(by)}) (increase({select(f'sonnen:{counter}:copy1m', *matchers)}[{seen}]{offset}))"


def energy(quantity: str, window: str = RANGE, *, back: str = "") -> str:
    """Return the watt-hours of one of the six totals in a window."""
    return increase(f"{quantity}_watt_hours_total", window, back=back)


def money(name: str, window: str = RANGE, back: str = "", *, standing: bool = False) -> str:
    """Return money that the agent counted, less what prices below zero turned round, which most houses do not have.

    With `standing`, what the days themselves cost is in it. Each is asked for once only: a year is much to ask for.
    """
    signs = {name: "", f"{name}_credit": "-1 * "} | ({"standing_charge": ""} if standing else {})
    parts = (
        f'label_replace({sign}{increase(f"{part}_total", window, back=back, by=MONEY)}, "part", "{part}", "", "")'
        for part, sign in signs.items()
    )
    return f"sum by (instance, currency) ({' or '.join(parts)})"


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
    # The dashboard's midnight is up to two hours before the agent's where that was left at UTC, or clocks were changed:
    # what is told until then is the day before. Ten minutes after midnight nobody tells of the day before any more.
    later = f"max_over_time({today_so_far}[1305m] offset -1430m)"
    just_begun = f"last_over_time({today_so_far}[125m] offset -125m)"
    before = f"max_over_time({today_so_far}[2h])"
    return (
        f"{_summed(f'last_over_time({yesterday}[8h] offset -40h)')}"
        f" or {_summed(later)}"
        f" or {_summed(f'{just_begun} unless {just_begun} >= ({before} > 0)')}"
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


def yesterday(source: str = "", target: str = "") -> str:
    """Return a flow's watt-hours in the agent's day before."""
    told = select("sonnen_energy_yesterday_watt_hours", *flow_matchers(source, target))
    return _summed(while_fresh(told))


def _own(solar: str, battery: str, from_solar: str, stored: str, used: str) -> str:
    """Return the share of what was used that came from the sun, at once or by way of the battery.

    What the battery gave is taken to be from sun and grid as what it took in the same time was.
    """
    return f"({solar} + ({battery} * {from_solar} / ({stored} > 0) or {battery})) / ({used} > 0)"


def self_sufficiency_today() -> str:
    """Return the share of what the house used since the agent's midnight that was not bought."""
    return _own(
        today("solar", "home"),
        today("battery", "home"),
        today("solar", "battery"),
        today("", "battery"),
        today("", "home"),
    )


def self_consumption_today() -> str:
    """Return the share of the sun's energy since the agent's midnight that did not go straight to the grid."""
    return f"1 - {today('solar', 'grid')} / ({today('solar')} > 0)"


def self_sufficiency(window: str = RANGE, *, back: str = "") -> str:
    """Return the share of the house's energy that was not bought."""
    return _own(
        flow("solar", "home", window, back=back),
        flow("battery", "home", window, back=back),
        flow("solar", "battery", window, back=back),
        flow("", "battery", window, back=back),
        flow("", "home", window, back=back),
    )


def self_consumption(window: str = RANGE, *, back: str = "") -> str:
    """Return the share of the sun's energy that did not go straight to the grid."""
    return f"1 - {flow('solar', 'grid', window, back=back)} / ({flow('solar', '', window, back=back)} > 0)"


def first_moment() -> str:
    """Return when the oldest number was recorded that Prometheus still has, to three hours; one takes longer."""
    copy = select("sonnen:consumption_watt_hours_total:copy1m")
    return f"min_over_time((time() + 0 * max by (instance) ({copy}))[10y:3h])"


def coverage() -> str:
    """Return the share of the chosen time in which the agent could count energy."""
    return f"clamp_max({increase('observed_seconds_total')} / $__range_s, 1)"
