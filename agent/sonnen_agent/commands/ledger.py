"""`sonnen-agent ledger`: the energy of finished days, months or years, from this machine's own records."""

import csv
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date

from sonnen_agent.config.load import Config
from sonnen_agent.energy import QUANTITIES, Calendar, Counters, EnergyMeter, MeterState
from sonnen_agent.errors import StartError
from sonnen_agent.metrics.energy import cumulative_families
from sonnen_agent.metrics.exposition import render_openmetrics
from sonnen_agent.state.ledger import Ledger, LedgerDay

_PERIODS: dict[str, Callable[[date], str]] = {
    "day": date.isoformat,
    "month": lambda day: f"{day:%Y-%m}",
    "year": lambda day: f"{day:%Y}",
}


@dataclass(slots=True, kw_only=True)
class _Entry:
    """The days of one period and battery together."""

    battery: str
    period: str
    last_day: date
    tally: Counters = field(default_factory=Counters)
    length_seconds: float = 0.0
    """Of the days that are in the ledger; a day without the agent is in no ledger."""

    @property
    def coverage_percent(self) -> float:
        observed = self.tally.energies.observed_seconds
        return min(100.0, 100.0 * observed / self.length_seconds) if self.length_seconds else 0.0


def run(config: Config, *, by: str, output_format: str) -> int:
    """Print the ledger and return 0, or raise StartError; an empty one is no error."""
    try:
        days = Ledger(config.state_directory).days()
    except OSError as error:
        raise StartError(f"{error.filename}: {error.strerror}; run this as the agent's user or as root") from error
    entries = list(_entries(days, _PERIODS[by]))
    if output_format == "openmetrics":
        _print_openmetrics(config, entries)
    elif output_format == "csv":
        csv.writer(sys.stdout).writerows(_rows(entries))
    else:
        _print_table(_rows(entries))
    return 0


def _entries(days: Iterable[LedgerDay], period_of: Callable[[date], str]) -> Iterator[_Entry]:
    found: dict[tuple[str, str], _Entry] = {}
    for day in sorted(days, key=lambda day: (day.battery, day.finished.day)):
        finished, period = day.finished, period_of(day.finished.day)
        entry = found.setdefault(
            (day.battery, period), _Entry(battery=day.battery, period=period, last_day=finished.day)
        )
        entry.last_day = finished.day
        entry.tally = entry.tally.plus(Counters(energies=finished.energies, tariffs=finished.tariffs))
        entry.length_seconds += finished.length_seconds
    return iter(found.values())


def _rows(entries: list[_Entry]) -> Iterator[tuple[str, ...]]:
    """Yield the heading and a row per entry; energy in kWh, money in its currency."""
    tariffs = [entry.tally.tariffs for entry in entries]
    costs = sorted({currency for tariff in tariffs for currency in tariff.cost})
    revenues = sorted({currency for tariff in tariffs for currency in tariff.revenue})
    yield (
        "battery",
        "period",
        *(f"{quantity}_kwh" for quantity in QUANTITIES),
        *(f"cost_{currency}" for currency in costs),
        *(f"revenue_{currency}" for currency in revenues),
        "coverage_percent",
    )
    for entry in entries:
        totals, money = entry.tally.energies.totals_watt_hours, entry.tally.tariffs
        yield (
            entry.battery,
            entry.period,
            *(_figure(totals.get(quantity), 1000) for quantity in QUANTITIES),
            *(_figure(money.cost.get(currency)) for currency in costs),
            *(_figure(money.revenue.get(currency)) for currency in revenues),
            f"{entry.coverage_percent:.1f}",
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


def _print_openmetrics(config: Config, entries: list[_Entry]) -> None:
    """Print the counters at the end of each period, for `promtool tsdb create-blocks-from openmetrics`."""
    zone = config.zone
    calendar = Calendar(zone)
    points = []
    running: dict[str, Counters] = {}
    for entry in entries:
        running[entry.battery] = running.get(entry.battery, Counters()).plus(entry.tally)
        end = calendar.start_of(calendar.day_after(entry.last_day))
        meter = EnergyMeter(zone=zone, tariffs=config.tariffs, state=MeterState(tally=running[entry.battery]))
        points.append((entry.battery, end, meter.totals(wall_seconds=None)))
    labels_of = {battery.name: battery.labels for battery in config.batteries}
    sys.stdout.buffer.write(render_openmetrics(cumulative_families(points, job=config.job, labels_of=labels_of)))
