"""`sonnen-agent verify`: the energy of a time, got in ways that have little in common, side by side.

Means of power times hours, out of what Prometheus has stored; the growth of the agent's counters and of the battery's
own meters; and, for whole days, the agent's ledger. What agrees is right. Where they do not, it says which to believe.
"""

import math
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta

from sonnen_agent.clock import Deadline
from sonnen_agent.commands.peer import Peer
from sonnen_agent.commands.stored import Points, StoredBattery
from sonnen_agent.config.load import Config
from sonnen_agent.destination import Destination
from sonnen_agent.energy.counters import QUANTITIES, Power, Quantity
from sonnen_agent.energy.days import Calendar, FinishedDay
from sonnen_agent.errors import Outcome
from sonnen_agent.state.ledger import Ledger

_PATIENCE_SECONDS = 300
"""For all questions together, of which a month has some hundreds."""
_AGREED = 0.01
_SMALLEST_WATT_HOURS, _METER_WATT_HOURS = 2.0, 100.0
"""What no comparison can tell from nothing; a meter's register counts in steps of this."""
_NEAR_DAYS_SECONDS = 25 * 3600
"""So much before the time a day may begin that the ledger is compared by: at least yesterday."""
_ALL_WELL = "All agree to 1 %: believe the counters, which miss nothing between two points."
_WAYS = ("points", "average", "counters", "meters")
_HINTS: Mapping[Outcome, str] = {
    "unauthorized": "it asks for a login: write http://NAME@host and --password-file FILE, or --bearer-token-file FILE",
    "not_found": "no Prometheus here; is a prefix missing in the URL?",
}

_Row = dict[str, float | None]
"""A quantity's watt-hours by each of the ways; None where that way has nothing to say."""


def run(config: Config, server: Destination, *, range_seconds: float) -> int:
    """Print the comparison of each battery; return 0 when all agree to 1 %, else 1, or raise ExchangeError."""
    peer, end = Peer(server, Deadline(_PATIENCE_SECONDS), _HINTS), time.time()
    agreed = True
    for battery in config.batteries:
        prometheus = StoredBattery(peer, config.battery_key(battery.name))
        powers = sorted({definition.power for definition in QUANTITIES.values()})
        points = {power: prometheus.points(f"sonnen_{power}", end - range_seconds, end) for power in powers}
        if not any(one.count for one in points.values()):
            print(
                f"{battery.name}: nothing is stored of {prometheus.series('sonnen_production_watts')} in this time: "
                f"does Prometheus scrape it, with honor_labels? `sonnen-agent doctor --prometheus` looks closer"
            )
            agreed = False
            continue
        sentences = list(_compare(prometheus, config, battery.name, points))
        print(*(sentences or [_ALL_WELL]), "", sep="\n")
        agreed = agreed and not sentences
    return 0 if agreed else 1


def _compare(prometheus: StoredBattery, config: Config, name: str, points: Mapping[Power, Points]) -> Iterator[str]:
    """Print the tables of a battery, and yield what does not agree and which to believe."""
    local, longest = Calendar(config.zone).local, max(points.values(), key=lambda one: one.count)
    # Before the first point and after the last there is nothing that could agree.
    begin, end = longest.first, longest.last
    seconds = max(math.ceil(end - begin), 1)
    observed = prometheus.value(f"sum(increase({prometheus.series('sonnen_observed_seconds_total')}[{seconds}s]))", end)
    coverage, stored = (observed or 0.0) / seconds, longest.covered_seconds / seconds
    print(f"{name}, {local(begin):%Y-%m-%d %H:%M:%S} to {local(end):%Y-%m-%d %H:%M:%S}, in kWh:")
    rows = {
        quantity: _row(prometheus, quantity, points[definition.power], seconds, end)
        for quantity, definition in QUANTITIES.items()
    }
    _print_table(rows)
    print(f"coverage: counters {coverage:.1%}, {longest.count} stored points {stored:.1%}".replace("%", " %"))
    off = {way: [q for q, row in rows.items() if _is_off(row, way)] for way in _WAYS}
    if all(row["counters"] is None for row in rows.values()):
        yield "There are no counters of ours to compare with: believe the average, and look why with doctor."
        return
    means = [quantity for quantity in rows if quantity in (*off["points"], *off["average"])]
    if coverage < 1 - _AGREED and (means or off["meters"]):
        yield _about_gaps(coverage, stored)
    elif means:
        yield (
            f"A mean of points differs in {', '.join(means)}: believe the counters. The agent counts at every beat, "
            "by its own clock, also what never reached Prometheus; a mean knows what is stored, and weighs it wrongly."
        )
    elif off["meters"]:
        yield (
            f"The battery's own meters differ in {', '.join(off['meters'])}, in a time without gaps: believe neither. "
            "A clamp may be turned or missing, which `sonnen-agent doctor` looks into, or a meter was replaced."
        )
    yield from _compare_ledger(prometheus, config, name, begin, end)


def _about_gaps(coverage: float, stored: float) -> str:
    seen = f"The counters have seen {coverage:.1%} of this time".replace("%", " %")
    if stored >= 1 - _AGREED:
        return f"{seen}, the points all of it: believe the average. Counters are held back for a while after a crash."
    return (
        f"{seen}. They take the rest for nothing, a mean takes it for as much as the average: "
        "believe the meters, which went on counting, else the counters as a lower bound."
    )


def _row(prometheus: StoredBattery, quantity: Quantity, points: Points, seconds: int, end: float) -> _Row:
    definition = QUANTITIES[quantity]
    power, hours = prometheus.series(f"sonnen_{definition.power}"), seconds / 3600
    wanted, other = (points.above, points.below) if definition.sign > 0 else (points.below, points.above)
    resolution = ""
    if other > 0:
        # Only the part on one side of zero, which a range of raw points cannot be asked for.
        power = f"clamp_min({power} * {definition.sign}, 0)"
        resolution = f":{max(round(points.covered_seconds / max(points.steps, 1)), 1)}s"
    mean = prometheus.mean(power, resolution, end - seconds, end)
    meters = None
    if quantity in ("production", "consumption"):
        registers = prometheus.series("sonnen_meter_imported_watt_hours_total", f',direction="{quantity}"')
        meters = prometheus.value(f"sum(increase({registers}[{seconds}s]))", end)
    return {
        "points": wanted / points.count * hours if points.count else None,
        "average": None if mean is None else abs(mean) * hours,
        "counters": prometheus.value(_growth(prometheus, quantity, seconds), end),
        "meters": meters,
    }


def _growth(prometheus: StoredBattery, quantity: Quantity, seconds: float) -> str:
    return f"sum(increase({prometheus.series(f'sonnen_{quantity}_watt_hours_total')}[{math.ceil(seconds)}s]))"


def _is_off(row: _Row, way: str) -> bool:
    value, base = row[way], row["counters"]
    if value is None or base is None:
        return False
    steps = _METER_WATT_HOURS if way == "meters" else _SMALLEST_WATT_HOURS
    return abs(value - base) > max(_AGREED * base, steps)


def _print_table(rows: Mapping[Quantity, _Row]) -> None:
    ways = next(iter(rows.values()), {})
    print(f"{'':<18}", *(f"{way:>10}" for way in ways), f"{'deviation':>10}")
    for quantity, row in rows.items():
        known = [value for value in row.values() if value is not None]
        if not known:
            continue
        base = known[0] if row["counters"] is None else row["counters"]
        furthest = max(known, key=lambda value: abs(value - base))
        deviation = f"{(furthest - base) / base * 100:+.2f} %" if base else "-"
        figures = ("-" if value is None else f"{value / 1000:.3f}" for value in row.values())
        print(f"{quantity:<18}", *(f"{figure:>10}" for figure in figures), f"{deviation:>10}")


def _compare_ledger(prometheus: StoredBattery, config: Config, name: str, begin: float, end: float) -> Iterator[str]:
    """Print the ledger of the days that it and Prometheus have whole, and yield what does not agree."""
    calendar = Calendar(config.zone)
    try:
        days = sorted(
            (one.finished for one in Ledger(config.state_directory).days() if one.battery == name),
            key=lambda day: day.day,
        )
    except OSError as error:
        print(f"ledger: {error.filename}: {error.strerror}; run this as the agent's user or as root to compare it, too")
        return
    together: FinishedDay | None = None
    start_of_all = 0.0
    for day in days:
        start = calendar.start_of(day.day)
        if start < begin - _NEAR_DAYS_SECONDS or start + day.length_seconds > end:
            continue
        if together is not None and day.day == together.day + timedelta(days=1):
            together = together.plus(day)
        elif _has_beginning(prometheus, start):
            together, start_of_all = day, start
    if together is None:
        print("ledger: it has no finished day that Prometheus has, too")
        return
    finish, first = start_of_all + together.length_seconds, calendar.day_of(start_of_all)
    print(f"ledger, {first} to {together.day}, in kWh, {together.coverage_percent:.1f} % observed:")
    rows: dict[Quantity, _Row] = {
        quantity: {
            "ledger": watt_hours,
            "counters": prometheus.value(_growth(prometheus, quantity, together.length_seconds), finish),
        }
        for quantity, watt_hours in together.energies.totals_watt_hours.items()
    }
    _print_table(rows)
    if off := [quantity for quantity, row in rows.items() if _is_off(row, "ledger")]:
        yield (
            f"The ledger differs in {', '.join(off)}: believe the ledger. It is written where the energy is counted; "
            "what Prometheus has of the counters has gaps, or was held back for a time after a crash."
        )


def _has_beginning(prometheus: StoredBattery, start: float) -> bool:
    """Return whether Prometheus has our counters at the beginning of a day, before which nothing can be compared."""
    counter = prometheus.series("sonnen_observed_seconds_total")
    return prometheus.value(f"sum(count_over_time({counter}[10m]))", start + 300) is not None
