import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from status_fields import WHOLE_STATUS

from sonnen_agent.details import Configuration, Inverter, Meter, Pack, System
from sonnen_agent.energy.counters import FLOWS
from sonnen_agent.energy.totals import EnergyTotals
from sonnen_agent.metrics.agent import PUSH_INTERVAL as AGENT_INTERVAL
from sonnen_agent.metrics.agent import agent_families
from sonnen_agent.metrics.battery import PUSH_INTERVAL as BATTERY_INTERVAL
from sonnen_agent.metrics.battery import battery_families, energy_families
from sonnen_agent.metrics.exposition import Family, Known, render
from sonnen_agent.reading import Endpoint, Mains, Reading
from sonnen_agent.telemetry import AgentInfo, Counts, Waiting

GOLDEN = Path(__file__).with_name("golden.txt")
CONTRACT = Path(__file__).parents[2] / "docs/metrics.md"
WRITER = Path(__file__).parents[2] / "scripts/metrics_table.py"
UNPACKED = Path(__file__).parents[2] / ".cache/debian/usr/bin"

LABELS = {"host": 'so"nnen\\a', "sn": "Küche ☀ {1}"}
READING = Reading(
    status=WHOLE_STATUS,
    # 2024-06-20 10:00:00 UTC
    unix_seconds=1718877600.5,
    monotonic_seconds=5000.25,
    generation="v2",
    meters=(
        Meter(
            direction="production",
            name="4_1",
            error=0,
            amperes=(1.1, 1.2, 1.3),
            volts=(230.1, 230.2, 230.3),
            watts=(701, 702, 703),
            total_watts=2106,
            imported_watt_hours=3969800,
            exported_watt_hours=12,
        ),
        Meter(
            direction="consumption",
            name="4_2",
            error=0,
            amperes=(2.1, None, None),
            volts=(229.1, None, None),
            watts=(-481.5, None, None),
            total_watts=-481.5,
            imported_watt_hours=816.5,
            exported_watt_hours=0,
        ),
        Meter(direction="consumption", name="5_1", error=2),
    ),
    inverter=Inverter(
        grid_hertz=49.98,
        grid_volts=(232.1, 232.2, 232.3),
        temperatures={"bdc": 41, "hmi": 42, "pu": 43, "max": 44.5},
        pv_watts=1500,
        string_watts={"1": 600, "2": 900},
        microgrid_watts=-3,
    ),
    pack=Pack(
        cycles=278,
        current_amperes=-3.75,
        cell_temperature_min_celsius=-1.5,
        cell_temperature_max_celsius=23,
        cell_min_volts=3.25,
        cell_max_volts=3.31,
        alarm=16,
        warning=64,
        state_of_health_percent=97,
        full_charge_capacity_watt_hours=9876,
    ),
    system=System(
        states={"bms": "ready", "core": "ongrid", "inverter": "running"},
        leds={"Pulsing White": True, "Solid Red": False},
        shutdown_reasons={"HW_Shutdown": False},
        battery_modules=4,
        seconds_since_full_charge=3720,
        full_charge_capacity_watt_hours=9999,
        utc_offset_hours=2,
    ),
    configuration=Configuration(firmware='1.18.5 "beta"', installed_capacity_watt_hours=10000),
    mains=Mains(
        nominal_volts=230,
        nominal_hertz=50,
        allowed_volts={"min": 207, "max": 253},
        allowed_hertz={"min": 49.5, "max": 50.5},
    ),
)
ENDPOINTS: dict[Endpoint, bool] = {
    "status": True,
    "powermeter": True,
    "inverter": True,
    "battery": True,
    "latestdata": True,
    "configurations": False,
}
TOTALS = EnergyTotals(
    watt_hours={
        "production": 40_000.5,
        "consumption": 30_000.25,
        "grid_import": 5_000,
        "grid_export": 12_000,
        "battery_charge": 9_000,
        "battery_discharge": 8_000,
    },
    flows_watt_hours={flow: 1000.5 * number for number, flow in enumerate(FLOWS, start=1)},
    observed_seconds=86_395.75,
    standby_watt_hours=105.5,
    refused={"spike": 2, "balance": 0},
    today_watt_hours={flow: 10.5 * number for number, flow in enumerate(FLOWS, start=1)},
    yesterday_watt_hours={flow: 100.5 * number for number, flow in enumerate(FLOWS, start=1)},
    tariff_import_watt_hours={"night": 2_000, "day": 3_000},
    tariff_export_watt_hours={"feed_in": 12_000},
    cost={"EUR": 1.37},
    revenue={"EUR": 0.96},
    standing_prices={"EUR": 0.45},
    tariff_consumption_watt_hours={"night": 4_000, "day": 5_000},
    consumption_cost={"EUR": 2.43},
    cost_credit={"EUR": 0.5},
    revenue_credit={"EUR": 0.25},
    consumption_cost_credit={"EUR": 0.75},
    standing_charge={"EUR": 12.45},
    cost_today={"EUR": -0.125},
    cost_yesterday={"EUR": 0.5},
    revenue_today={"EUR": 0.25},
    revenue_yesterday={"EUR": 0.75},
    consumption_cost_today={"EUR": 1.5},
    consumption_cost_yesterday={"EUR": 2.5},
    prices={
        ("night", "import", "EUR"): 0.22,
        ("day", "import", "EUR"): 0.31,
        ("feed_in", "export", "EUR"): 0.08,
    },
)
ABOUT = AgentInfo(
    build={("1.2.3", "0123abc", "3.11.2"): 1},
    start_unix_seconds=1718870000.125,
    timezone={"Europe/Berlin": 1},
    tokens={"home": True, 'Kü"che': False},
)
COUNTS = Counts(
    reads={
        ("home", "status", "ok"): 1500,
        ("home", "inverter", "not_found"): 2,
        ('Kü"che', "status", "timeout"): 3,
    },
    timed_reads={("home", "status"): 1500},
    read_seconds={("home", "status"): 12.5},
    sends={("pushgateway", "ok"): 1490, ("pushgateway", "rejected"): 4},
    timed_sends={"pushgateway": 1494},
    send_seconds={"pushgateway": 7.25},
    sent_bytes={"pushgateway": 2_000_001},
    missed_beats={"home": 0, 'Kü"che': 5},
    relays_up={"node": True, "smart": False},
    relay_reads={("node", "ok"): 700, ("smart", "timeout"): 3},
)
WAITING = {
    "remote_write": Waiting(
        samples=1200,
        bytes=65_536,
        oldest_timestamp_seconds=1718870100.5,
        dropped_samples=7,
        rejected_samples=2,
    )
}


def families() -> list[Metric]:
    return [
        *battery_families(
            reading=READING,
            states=None,
            endpoints=ENDPOINTS,
            last_reading_unix_seconds=1718877600.5,
            labels=LABELS,
        ),
        Family(BATTERY_INTERVAL, [Sample(BATTERY_INTERVAL.name, LABELS, 30)]),
        *energy_families(TOTALS, LABELS),
        *agent_families(ABOUT, COUNTS, WAITING),
        Family(AGENT_INTERVAL, [Sample(AGENT_INTERVAL.name, {}, 30)]),
    ]


@dataclass(frozen=True, slots=True)
class Row:
    """A metric, as a row of the contract has it."""

    name: str
    kind: str
    labels: frozenset[str]


def contract_rows() -> dict[str, Row]:
    """Return the rows of the document."""
    rows = (line.strip("|").split("|")[:3] for line in CONTRACT.read_text(encoding="utf-8").splitlines())
    return {
        row[0].strip(" `"): Row(row[0].strip(" `"), row[1].strip(), frozenset(re.findall(r"`(\w+)`", row[2])))
        for row in rows
        if row[0].startswith(" `sonnen_")
    }


def golden_rows() -> dict[str, Row]:
    """Return what the golden file shows, under the names of the contract."""
    rows: dict[str, Row] = {}
    for family in text_string_to_metric_families(GOLDEN.read_text(encoding="utf-8")):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = frozenset(label for sample in family.samples for label in sample.labels)
        rows[name] = Row(name, family.type, labels - {"host", "sn"})
    return rows


def test_a_full_snapshot_and_report_look_like_the_golden_file() -> None:
    assert render(families()).decode() == GOLDEN.read_text(encoding="utf-8")


def test_the_golden_file_shows_the_metrics_of_the_document_with_their_types_and_labels() -> None:
    promised = contract_rows()
    assert len(promised) > 70
    assert golden_rows() == promised


def test_the_tables_of_the_document_are_what_the_rows_give(tmp_path: Path) -> None:
    copy = tmp_path / "metrics.md"
    shutil.copy(CONTRACT, copy)
    subprocess.run([sys.executable, WRITER, copy], check=True, timeout=60)
    assert copy.read_text(encoding="utf-8") == CONTRACT.read_text(encoding="utf-8")


def test_the_tables_of_the_document_are_written_anew_and_what_stands_around_them_is_kept(tmp_path: Path) -> None:
    copy = tmp_path / "metrics.md"
    document = CONTRACT.read_text(encoding="utf-8")
    copy.write_text(re.sub(r" (gauge|counter|summary) ", " nonsense ", document), encoding="utf-8")
    subprocess.run([sys.executable, WRITER, copy], check=True, timeout=60)
    assert copy.read_text(encoding="utf-8") == document


def test_the_document_tells_the_source_of_every_metric_of_a_battery() -> None:
    assert re.findall(r".*\| *\?? *\|$", CONTRACT.read_text(encoding="utf-8"), re.MULTILINE) == []


def test_promtool_finds_no_fault_but_the_hours_in_watt_hours() -> None:
    promtool = shutil.which("promtool") or shutil.which("promtool", path=UNPACKED)
    if promtool is None:
        pytest.skip("promtool is not on this machine: run scripts/test, which gets it")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=render(families()), capture_output=True, timeout=60, check=False
    )
    complaints = (checked.stdout + checked.stderr).decode().splitlines()
    # Watt-hours are the unit of the contract, of the battery and of its owner.
    others = [
        line
        for line in complaints
        if not re.fullmatch(r'sonnen_\w+_watt_hours(_total)? use base unit "seconds" instead of "hours"', line)
    ]
    assert others == []


def test_a_page_can_be_read_back_as_it_was_meant() -> None:
    meant = families()
    read = list(text_string_to_metric_families(render(meant).decode()))
    assert [family.name for family in read] == [family.name for family in meant]
    for family, original in zip(read, meant, strict=True):
        assert (family.type, family.documentation) == (original.type, original.documentation)
        for sample, wanted in zip(family.samples, original.samples, strict=True):
            assert (sample.name, sample.labels, sample.value) == (wanted.name, wanted.labels, wanted.value)


def test_what_is_remembered_of_beats_before_changes_no_page() -> None:
    known = Known()

    def shown(reading: Reading | None, known: Known | None) -> tuple[bytes, list[Sample]]:
        families = battery_families(
            reading=reading,
            states=None,
            endpoints=ENDPOINTS,
            last_reading_unix_seconds=1.5,
            labels=LABELS,
            known=known,
        )
        return render(families), [sample for family in families for sample in family.samples]

    renamed = replace(READING, meters=tuple(replace(meter, name=f"{meter.name}_new") for meter in READING.meters))
    for reading in (READING, READING, renamed, replace(READING, pack=Pack()), None, READING):
        assert shown(reading, known) == shown(reading, None)


def test_no_series_stands_on_a_page_twice() -> None:
    lines = [line.rpartition(" ")[0] for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    shown = [line for line in lines if not line.startswith("#")]
    assert len(shown) == len(set(shown))


def test_no_series_holds_the_labels_of_its_group() -> None:
    # A gateway refuses a page whose own labels contradict the group's.
    assert [
        sample for family in families() for sample in family.samples if {"job", "instance"} & {*sample.labels}
    ] == []


def test_every_help_text_is_a_sentence_of_its_own() -> None:
    texts = [family.documentation for family in families()]
    assert [text for text in texts if not text.endswith(".")] == []
    assert len(texts) == len(set(texts))


def test_no_family_is_an_empty_page() -> None:
    assert render([]) == b""


def test_a_line_break_or_a_quote_cannot_end_a_label_value() -> None:
    family = Metric("x", "A text.", "gauge")
    family.add_sample("x", {"label": 'a"b\\c\nd'}, 1.0)
    assert render([family]).splitlines()[2] == rb'x{label="a\"b\\c\nd"} 1.0'
