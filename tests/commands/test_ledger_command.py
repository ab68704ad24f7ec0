import csv
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from sonnen_agent.cli import main
from sonnen_agent.energy import FLOWS, Energies, FinishedDay, TariffCounts
from sonnen_agent.state.ledger import Ledger, LedgerDay

UNPACKED = Path(__file__).parents[2] / ".cache/debian/usr/bin"

Run = Callable[..., str]


def day(when: date, battery: str = "home", *, observed: float = 86_400) -> LedgerDay:
    totals = {"production": 4_000.0, "consumption": 2_500.0, "grid_import": 1_000.0, "grid_export": 2_500.0}
    return LedgerDay(
        battery=battery,
        finished=FinishedDay(
            day=when,
            length_seconds=86_400,
            energies=Energies(
                totals_watt_hours=totals,  # type: ignore[arg-type]  # the names are right
                flows_watt_hours=dict.fromkeys(FLOWS, 0.0) | {("grid", "home"): 1_000.0},
                observed_seconds=observed,
            ),
            tariffs=TariffCounts(import_watt_hours={"day": 1_000}, cost={"EUR": 0.31}),
        ),
    )


@pytest.fixture
def ledger(state_directory: Path) -> Ledger:
    state_directory.mkdir()
    return Ledger(state_directory)


@pytest.fixture
def run(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Return what runs the command with some options and gives what it prints."""
    file = tmp_path / "config.yml"
    file.write_text(
        "timezone: Europe/Berlin\nbatteries: [{name: home, url: 'http://192.168.1.20'}]\n"
        "pushgateway: {url: 'http://gateway.example:9091'}\n"
        "tariffs: {currency: EUR, import: [{name: day, price: 0.31}]}\n"
    )

    def run(*options: str) -> str:
        assert main(["ledger", "--config", str(file), *options]) == 0
        return capfdbinary.readouterr().out.decode()

    return run


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_days_are_rows_in_kilowatt_hours_with_money_and_coverage(ledger: Ledger, run: Run) -> None:
    ledger.append((day(date(2026, 6, 1)), day(date(2026, 6, 2), observed=43_200)))

    first, second = rows(run("--format", "csv"))

    assert (first["battery"], first["period"]) == ("home", "2026-06-01")
    assert (first["production_kwh"], first["grid_import_kwh"], first["cost_EUR"]) == ("4.000", "1.000", "0.310")
    assert first["battery_charge_kwh"] == ""
    assert (first["coverage_percent"], second["coverage_percent"]) == ("100.0", "50.0")


def test_months_and_years_are_sums_by_battery(ledger: Ledger, run: Run) -> None:
    days = (date(2026, 6, 29), date(2026, 6, 30), date(2026, 7, 1))
    ledger.append((*(day(when) for when in days), day(date(2026, 6, 30), "barn")))

    by_month = {
        (row["battery"], row["period"]): row["production_kwh"] for row in rows(run("--format", "csv", "--by", "month"))
    }
    by_year = {
        (row["battery"], row["period"]): row["production_kwh"] for row in rows(run("--format", "csv", "--by", "year"))
    }

    assert by_month == {("barn", "2026-06"): "4.000", ("home", "2026-06"): "8.000", ("home", "2026-07"): "4.000"}
    assert by_year == {("barn", "2026"): "4.000", ("home", "2026"): "12.000"}


def test_the_table_is_aligned_for_people(ledger: Ledger, run: Run) -> None:
    ledger.append((day(date(2026, 6, 1)), day(date(2026, 6, 1), "a-barn-with-a-long-name")))

    heading, *lines = run().splitlines()

    assert heading.split()[:3] == ["battery", "period", "production_kwh"]
    assert [line.index("2026-06-01") for line in lines] == [heading.index("period")] * 2


def test_an_empty_ledger_says_so_and_is_no_error(
    run: Run, capfdbinary: pytest.CaptureFixture[bytes], ledger: Ledger
) -> None:
    assert ledger.days() == ()
    assert run().startswith("battery")
    assert rows(run("--format", "csv")) == []
    assert run("--format", "openmetrics") == "# EOF\n"
    assert capfdbinary.readouterr().out == b""


def test_openmetrics_holds_the_counters_at_local_midnights(ledger: Ledger, run: Run) -> None:
    ledger.append((day(date(2026, 6, 1)), day(date(2026, 6, 2))))

    found = re.findall(
        r"^sonnen_production_watt_hours_total\{(.*)\} (\S+) (\S+)$", run("--format", "openmetrics"), re.MULTILINE
    )

    assert [(labels, float(value), float(when)) for labels, value, when in found] == [
        ('instance="home",job="sonnen"', 4_000, 1_780_351_200),  # 2026-06-02 00:00 in Berlin
        ('instance="home",job="sonnen"', 8_000, 1_780_437_600),
    ]


def test_promtool_makes_blocks_of_the_openmetrics(ledger: Ledger, run: Run, tmp_path: Path) -> None:
    promtool = shutil.which("promtool") or shutil.which("promtool", path=UNPACKED)
    if promtool is None:
        pytest.skip("promtool is not on this machine: run scripts/test, which gets it")
    ledger.append(tuple(day(date(2026, 6, number)) for number in range(1, 11)))
    (tmp_path / "ledger.om").write_text(run("--format", "openmetrics"))

    made = subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", tmp_path / "ledger.om", tmp_path / "blocks"],
        capture_output=True,
        check=False,
    )

    assert made.returncode == 0, made.stderr
    assert list((tmp_path / "blocks").glob("*/meta.json"))
