import json
import logging
from datetime import date
from pathlib import Path

import pytest

from sonnen_agent.energy.counters import FLOWS, EnergyCounters, TariffCounts
from sonnen_agent.energy.days import FinishedDay
from sonnen_agent.state.ledger import Ledger, LedgerDay


def day(number: int, battery: str = "home", *, bought: float = 1000, observed: float = 86_400) -> LedgerDay:
    return LedgerDay(
        battery=battery,
        finished=FinishedDay(
            day=date(2026, 6, number),
            length_seconds=86_400,
            energies=EnergyCounters(
                totals_watt_hours={"grid_import": bought},
                flows_watt_hours=dict.fromkeys(FLOWS, 0.0) | {("grid", "home"): bought},
                observed_seconds=observed,
            ),
            tariffs=TariffCounts(cost={"EUR": 0.31}),
        ),
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


def test_a_ledger_that_is_not_there_has_no_days(ledger: Ledger) -> None:
    assert ledger.days() == ()


def test_days_come_back_as_they_were_written(ledger: Ledger) -> None:
    ledger.append((day(1), day(1, "barn")))
    ledger.append((day(2),))

    assert ledger.days() == (day(1), day(1, "barn"), day(2))


def test_a_day_that_is_met_again_after_a_crash_is_not_written_twice(ledger: Ledger, file: Path) -> None:
    ledger.append((day(1),))
    ledger.append((day(1, bought=999), day(2)))

    assert ledger.days() == (day(1), day(2))
    assert len(file.read_text().splitlines()) == 2


def test_a_line_is_readable_and_begins_with_day_battery_and_coverage(ledger: Ledger, file: Path) -> None:
    ledger.append((day(1, "Küche", observed=43_200),))

    line = file.read_text()
    assert line.startswith('{"day": "2026-06-01", "battery": "Küche", "coverage_percent": 50.0, ')
    assert json.loads(line)["energies"]["totals_watt_hours"] == {"grid_import": 1000}


@pytest.mark.parametrize("damage", ['{"day": "2026-06-0', "garbage\n", "\0\0\0\0", '{"day": 7, "battery": "home"}\n'])
def test_a_damaged_line_costs_only_itself(
    ledger: Ledger, file: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    caplog.set_level(logging.WARNING)
    ledger.append((day(1),))
    with file.open("a") as stream:
        stream.write(damage)
    ledger.append((day(2),))

    assert ledger.days() == (day(1), day(2))
    if damage.strip("\0"):
        assert "1 damaged line is left out, the first of them line 2: " in caplog.text


def test_coverage_is_the_observed_share_of_the_day() -> None:
    assert day(1, observed=21_600).finished.coverage_percent == 25
    assert day(1, observed=86_401).finished.coverage_percent == 100
