import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import servers
from programs import MissingProgramError

from sonnen_agent.cli import main
from sonnen_agent.energy.counters import FLOWS, EnergyCounters, TariffCounts
from sonnen_agent.energy.days import FinishedDay
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
            energies=EnergyCounters(
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
def config_file(tmp_path: Path) -> Path:
    file = tmp_path / "config.yml"
    file.write_text(
        "timezone: Europe/Berlin\nbatteries: [{name: home, url: 'http://192.168.1.20'}]\n"
        "pushgateway: {url: 'http://gateway.example:9091'}\n"
        "tariffs: {currency: EUR, import: [{name: day, price: 0.31}]}\n"
    )
    return file


@pytest.fixture
def run(config_file: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Return what runs the command with some options and gives what it prints."""

    def run(*options: str) -> str:
        assert main(["ledger", "--config", str(config_file), *options]) == 0
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


def test_money_has_a_column_for_each_currency_that_was_ever_paid_in(ledger: Ledger, run: Run) -> None:
    francs = TariffCounts(cost={"CHF": 1.5}, revenue={"CHF": 0.25})
    other = day(date(2026, 6, 2))
    ledger.append((day(date(2026, 6, 1)), replace(other, finished=replace(other.finished, tariffs=francs))))

    first, second = rows(run("--format", "csv"))

    assert (first["cost_CHF"], first["cost_EUR"], first["revenue_CHF"]) == ("", "0.310", "")
    assert (second["cost_CHF"], second["cost_EUR"], second["revenue_CHF"]) == ("1.500", "", "0.250")
    assert "revenue_EUR" not in first


def test_consumption_cost_and_standing_charge_have_columns_and_credits_are_taken_off(ledger: Ledger, run: Run) -> None:
    whole = TariffCounts(
        cost={"EUR": 1.0},
        cost_credit={"EUR": 1.25},
        revenue={"EUR": 0.5},
        revenue_credit={"EUR": 0.125},
        consumption_cost={"EUR": 3.0},
        standing_charge={"EUR": 0.45},
        consumption_watt_hours={"day": 9_000.5},
    )
    other = day(date(2026, 6, 2))
    ledger.append((day(date(2026, 6, 1)), replace(other, finished=replace(other.finished, tariffs=whole))))

    old, new = rows(run("--format", "csv"))

    names = ("cost_EUR", "revenue_EUR", "consumption_cost_EUR", "standing_charge_EUR")
    assert [old[name] for name in names] == ["0.310", "", "", ""]
    assert [new[name] for name in names] == ["-0.250", "0.375", "3.000", "0.450"]
    page = run("--format", "openmetrics")
    labels = 'currency="EUR",instance="home",job="sonnen"'
    for name, value in (
        ("grid_cost_credit", 1.25),
        ("grid_revenue_credit", 0.125),
        ("consumption_cost", 3.0),
        ("standing_charge", 0.45),
    ):
        assert re.search(rf"^sonnen_{name}_total\{{{labels}\}} {value} 1780437600", page, re.MULTILINE), name
    assert 'sonnen_tariff_consumption_watt_hours_total{instance="home",job="sonnen",tariff="day"} 9000.5 ' in page


def test_a_line_of_the_release_before_is_read(ledger: Ledger, run: Run, state_directory: Path) -> None:
    ledger.append((day(date(2026, 6, 1)),))
    file = state_directory / "ledger.jsonl"
    line = json.loads(file.read_text())
    line["tariffs"] = {
        key: line["tariffs"][key] for key in ("import_watt_hours", "export_watt_hours", "cost", "revenue")
    }
    file.write_text(json.dumps(line) + "\n")

    (row,) = rows(run("--format", "csv"))

    assert row["cost_EUR"] == "0.310"


def test_without_tariffs_there_is_no_column_of_money(ledger: Ledger, run: Run) -> None:
    plain = day(date(2026, 6, 1))
    ledger.append((replace(plain, finished=replace(plain.finished, tariffs=TariffCounts())),))

    heading, _ = run().splitlines()

    assert heading.split() == [
        "battery",
        "period",
        "production_kwh",
        "consumption_kwh",
        "grid_import_kwh",
        "grid_export_kwh",
        "battery_charge_kwh",
        "battery_discharge_kwh",
        "coverage_percent",
    ]


def test_a_month_is_the_sum_of_its_days_in_the_table_too(ledger: Ledger, run: Run) -> None:
    ledger.append((day(date(2026, 6, 1)), day(date(2026, 6, 2), observed=43_200)))

    (by_month,) = run("--by", "month").splitlines()[1:]
    (by_year,) = run("--by", "year").splitlines()[1:]

    figures = ["8.000", "5.000", "2.000", "5.000", "0.620", "75.0"]
    assert by_month.split() == ["home", "2026-06", *figures]
    assert by_year.split() == ["home", "2026", *figures]


def test_days_come_in_their_order_however_they_were_written(ledger: Ledger, run: Run) -> None:
    for when in (date(2026, 6, 3), date(2025, 12, 31), date(2026, 6, 1)):
        ledger.append((day(when),))

    assert [row["period"] for row in rows(run("--format", "csv"))] == ["2025-12-31", "2026-06-01", "2026-06-03"]


def test_a_name_with_a_comma_or_a_quote_is_one_field_of_the_csv(ledger: Ledger, run: Run) -> None:
    ledger.append((day(date(2026, 6, 1), 'Küche, "oben"'),))

    (row,) = rows(run("--format", "csv"))

    assert row["battery"] == 'Küche, "oben"'


def test_a_state_directory_that_is_not_there_is_an_empty_ledger(
    config_file: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["ledger", "--config", str(config_file)]) == 0

    out, err = capfdbinary.readouterr()
    assert out.startswith(b"battery  period")
    assert err == b"no day is finished yet\n"


def test_a_damaged_line_is_left_out_and_told(
    ledger: Ledger, run: Run, state_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.append((day(date(2026, 6, 1)),))
    with (state_directory / "ledger.jsonl").open("a") as file:
        file.write('{"day": "2026-06-02", "battery": "ho\n')

    assert [row["period"] for row in rows(run("--format", "csv"))] == ["2026-06-01"]
    assert "ledger.jsonl: 1 damaged line is left out, the first of them line 2: " in caplog.text


def test_a_ledger_that_cannot_be_read_is_an_error_with_its_place_and_no_traceback(
    config_file: Path, state_directory: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    (state_directory / "ledger.jsonl").mkdir(parents=True)

    assert main(["ledger", "--config", str(config_file)]) == 1

    out, err = capfdbinary.readouterr()
    assert out == b""
    assert err.startswith(b"sonnen-agent: ")
    assert f"{state_directory}/ledger.jsonl: it is no regular file".encode() in err


@pytest.mark.parametrize(("by", "moments"), [("month", [1_782_856_800, 1_783_029_600]), ("year", [1_783_029_600])])
def test_openmetrics_by_period_holds_the_counters_after_its_last_finished_day(
    ledger: Ledger, run: Run, by: str, moments: list[int]
) -> None:
    ledger.append(tuple(day(when) for when in (date(2026, 6, 29), date(2026, 6, 30), date(2026, 7, 2))))

    page = run("--format", "openmetrics", "--by", by)
    found = re.findall(r"^sonnen_grid_import_watt_hours_total\{.*\} (\S+) (\S+)$", page, re.MULTILINE)

    assert [float(when) for _, when in found] == moments
    assert [float(value) for value, _ in found] == [2_000, 3_000][-len(moments) :]


def test_what_is_backfilled_continues_the_series_that_are_pushed(
    ledger: Ledger, config_file: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    config_file.write_text(
        config_file.read_text().replace("{name: home,", "{name: home, labels: {host: sonnen-a, sn: Psb1},")
    )
    ledger.append((day(date(2026, 6, 1)), day(date(2026, 6, 1), "sold-since")))

    assert main(["ledger", "--config", str(config_file), "--format", "openmetrics"]) == 0

    page = capfdbinary.readouterr().out.decode()
    assert re.findall(r"^sonnen_production_watt_hours_total\{(.*)\} ", page, re.MULTILINE) == [
        'host="sonnen-a",instance="home",job="sonnen",sn="Psb1"',
        'instance="sold-since",job="sonnen"',
    ]


@pytest.mark.system
def test_prometheus_tells_from_the_backfilled_blocks_what_the_csv_does(
    ledger: Ledger, run: Run, tmp_path: Path
) -> None:
    # From the 24th to the 27th of October 2025: in Berlin the 26th has 25 hours.
    days = [day(date(2025, 10, number), name) for number in range(24, 28) for name in ("home", 'Küche, "oben"')]
    ledger.append(tuple(replace(one, finished=grown(one.finished)) for one in days))
    csv_rows = {(row["battery"], row["period"]): row for row in rows(run("--format", "csv"))}
    (tmp_path / "ledger.om").write_text(run("--format", "openmetrics"), encoding="utf-8")
    try:
        # Blocks that are a year old are within this time whenever the test runs.
        prometheus = servers.Prometheus(tmp_path, scrape=[], flags=["--storage.tsdb.retention.time=100y"])
    except MissingProgramError as error:
        pytest.skip(str(error))
    promtool = shutil.which("promtool") or shutil.which("promtool", path=UNPACKED)
    assert promtool is not None, "it comes with prometheus"
    made = subprocess.run(
        [
            promtool,
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            tmp_path / "ledger.om",
            tmp_path / f"prometheus-{prometheus.port}",
        ],
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr

    compared = 0
    with prometheus:
        for (battery, period), row in csv_rows.items():
            begin, end = (midnight(date.fromisoformat(period), days_later) for days_later in (0, 1))
            for quantity in ("production", "consumption", "grid_import", "grid_export"):
                # Before the first day there is nothing: counters begin at 0.
                series = f"sonnen_{quantity}_watt_hours_total{{job='sonnen',instance={json.dumps(battery)}}}"
                ((_, after),) = prometheus.query(f"{series} @ {end}")
                before = prometheus.query(f"{series} @ {begin}")
                assert (len(before) == 0) == (period == "2025-10-24")
                grown_by = after - (before[0][1] if before else 0.0)
                assert f"{grown_by / 1000:.3f}" == row[f"{quantity}_kwh"]
                compared += 1
        ((_, cost),) = prometheus.query(f'sonnen_grid_cost_total{{instance="home",currency="EUR"}} @ {end}')
        assert cost == pytest.approx(4 * 0.31)

    assert compared == 2 * 4 * 4


def grown(finished: FinishedDay) -> FinishedDay:
    """Return a day that is like no other."""
    energies = replace(
        finished.energies,
        totals_watt_hours={
            quantity: watt_hours + finished.day.day + index / 7
            for index, (quantity, watt_hours) in enumerate(finished.energies.totals_watt_hours.items())
        },
    )
    return replace(finished, energies=energies)


def midnight(day: date, days_later: int) -> int:
    """Return the Unix time at which a day begins in Berlin."""
    return int(datetime(day.year, day.month, day.day + days_later, tzinfo=ZoneInfo("Europe/Berlin")).timestamp())
