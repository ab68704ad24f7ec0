"""`sonnen-agent ledger`: the energy of finished days, months or years, from this machine's own records."""

import csv
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import date

from sonnen_agent.config.load import Config
from sonnen_agent.energy.counters import QUANTITIES, Counters
from sonnen_agent.energy.days import Calendar, FinishedDay
from sonnen_agent.energy.meter import EnergyMeter
from sonnen_agent.energy.state import MeterState
from sonnen_agent.errors import StartError
from sonnen_agent.metrics.energy import cumulative_families
from sonnen_agent.metrics.exposition import render_openmetrics
from sonnen_agent.state.ledger import Ledger, LedgerDay

_PERIODS: dict[str, Callable[[date], str]] = {
    "day": date.isoformat,
    "month": lambda day: f"{day:%Y-%m}",
    "year": lambda day: f"{day:%Y}",
}

_MONEY = ("cost", "revenue", "consumption_cost", "standing_charge")
"""The columns of money, a group per currency. At prices below zero the first three may be below zero, too."""

_Periods = dict[tuple[str, str], FinishedDay]
"""By battery and period its days together, as long as those that are in the ledger, under the date of the last."""


def run(config: Config, *, by: str, output_format: str) -> int:
    """Print the ledger and return 0, or raise StartError; an empty one is no error."""
    try:
        days = Ledger(config.state_directory).days()
    except OSError as error:
        raise StartError(f"{error.filename}: {error.strerror}; run this as the agent's user or as root") from error
    periods = _periods(days, _PERIODS[by])
    if output_format == "openmetrics":
        _print_openmetrics(config, periods)
    elif output_format == "csv":
        csv.writer(sys.stdout).writerows(_rows(periods))
    else:
        _print_table(_rows(periods))
    return 0


def _periods(days: Iterable[LedgerDay], period_of: Callable[[date], str]) -> _Periods:
    found: _Periods = {}
    for day in sorted(days, key=lambda day: (day.battery, day.finished.day)):
        key = day.battery, period_of(day.finished.day)
        found[key] = found[key].plus(day.finished) if key in found else day.finished
    return found


def _rows(periods: _Periods) -> Iterator[tuple[str, ...]]:
    """Yield the heading and a row per battery and period; energy in kWh, money in its currency."""
    wholes = periods.values()
    money = [
        (what, currency)
        for what in _MONEY
        for currency in sorted({currency for whole in wholes for currency in whole.tariffs.net(what)})
    ]
    yield (
        "battery",
        "period",
        *(f"{quantity}_kwh" for quantity in QUANTITIES),
        *(f"{what}_{currency}" for what, currency in money),
        "coverage_percent",
    )
    for (battery, period), whole in periods.items():
        totals = whole.energies.totals_watt_hours
        yield (
            battery,
            period,
            *(_figure(totals.get(quantity), 1000) for quantity in QUANTITIES),
            *(_figure(whole.tariffs.net(what).get(currency)) for what, currency in money),
            f"{whole.coverage_percent:.1f}",
        )


def _figure(value: float | None, divisor: float = 1) -> str:
    return "" if value is None else f"{value / divisor:.3f}"


def _print_table(rows: Iterable[tuple[str, ...]]) -> None:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        names = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        figures = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        print("  ".join(names + figures).rstrip())
    if len(rows) == 1:
        print("no day is finished yet", file=sys.stderr)


def _print_openmetrics(config: Config, periods: _Periods) -> None:
    """Print the counters at the end of each period, for `promtool tsdb create-blocks-from openmetrics`."""
    calendar = Calendar(config.zone)
    points = []
    running: dict[str, Counters] = {}
    for (battery, _), whole in periods.items():
        counted = Counters(energies=whole.energies, tariffs=whole.tariffs)
        running[battery] = running.get(battery, Counters()).plus(counted)
        end = calendar.start_of(calendar.day_after(whole.day))
        meter = EnergyMeter(zone=config.zone, tariffs=config.tariffs, state=MeterState(tally=running[battery]))
        points.append((battery, end, meter.totals(wall_seconds=None)))
    labels_of = {battery.name: battery.labels for battery in config.batteries}
    sys.stdout.buffer.write(render_openmetrics(cumulative_families(points, job=config.job, labels_of=labels_of)))
