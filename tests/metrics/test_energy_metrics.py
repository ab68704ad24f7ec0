import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import servers
from programs import MissingProgramError
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Sample

from sonnen_agent.energy.counters import FLOWS, Counters, EnergyCounters, Quantity, TariffCounts
from sonnen_agent.energy.totals import EnergyTotals
from sonnen_agent.metrics.battery import ENERGY, energy_families
from sonnen_agent.metrics.energy import cumulative_families, recovered_counters
from sonnen_agent.metrics.exposition import render, render_openmetrics

CONTRACT = Path(__file__).parents[2] / "docs/metrics.md"
MIDNIGHT = 1_780_351_200.0

NOTHING = EnergyTotals(
    watt_hours={},
    flows_watt_hours={},
    observed_seconds=None,
    today_watt_hours=None,
    yesterday_watt_hours=None,
    tariff_import_watt_hours={},
    tariff_export_watt_hours={},
    cost={},
    revenue={},
    prices={},
)
# With four decimals, as all that is shown.
ALL = EnergyTotals(
    watt_hours={
        "production": 40_000.1,
        "consumption": round(1e9 / 3, 4),
        "grid_import": 5_000.3,
        "grid_export": 12_000.4,
        "battery_charge": 0.0,
        "battery_discharge": 8_000.6,
    },
    flows_watt_hours={flow: round(number / 7, 4) for number, flow in enumerate(FLOWS)},
    observed_seconds=86_395.75,
    today_watt_hours={flow: round(number / 11, 4) for number, flow in enumerate(FLOWS)},
    yesterday_watt_hours={flow: round(number / 13, 4) for number, flow in enumerate(FLOWS)},
    tariff_import_watt_hours={'cheap "night"\\': 2_000.5, "Tag ☀": 0.0},
    tariff_export_watt_hours={"feed_in": 12_000.5},
    cost={"EUR": 1.37, "CHF": 0.5},
    revenue={"EUR": 0.96},
    standing_prices={"EUR": 0.45},
    tariff_consumption_watt_hours={'cheap "night"\\': 9_000.25},
    consumption_cost={"EUR": 3.25},
    cost_credit={"EUR": 0.125},
    revenue_credit={"EUR": 0.0625},
    consumption_cost_credit={"EUR": 0.25},
    standing_charge={"EUR": 12.45},
    cost_today={"EUR": 0.5, "CHF": -0.25},
    cost_yesterday={"EUR": 0.75},
    revenue_today={"EUR": 0.0},
    revenue_yesterday={"EUR": 1.5},
    consumption_cost_today={"EUR": 2.5},
    consumption_cost_yesterday={"EUR": 2.75},
    prices={("feed_in", "export", "EUR"): 0.08},
)


def held(totals: EnergyTotals) -> list[Sample]:
    """Return what a gateway would hold of a page with these totals."""
    page = render(energy_families(totals, {"host": "sonnen-a"})).decode()
    return [
        Sample(name=sample.name, labels=sample.labels, value=sample.value)
        for family in parse_text(page)
        for sample in family.samples
    ]


def series(families: Iterable[Metric]) -> dict[tuple[str, frozenset[tuple[str, str]], float], float]:
    return {
        (sample.name, frozenset(sample.labels.items()), float(sample.timestamp or 0)): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_counters_of_a_page_come_back_as_they_were_shown_to_the_last_digit() -> None:
    recovered = recovered_counters(held(ALL), MIDNIGHT)

    assert recovered is not None
    assert recovered.unix_seconds == MIDNIGHT
    assert recovered.today_watt_hours == ALL.today_watt_hours
    assert recovered.yesterday_watt_hours == ALL.yesterday_watt_hours
    # What a day has below zero is no counter, and begins anew.
    assert recovered.today_tariffs == TariffCounts(
        cost={"EUR": 0.5}, revenue={"EUR": 0.0}, consumption_cost={"EUR": 2.5}
    )
    assert recovered.yesterday_tariffs == TariffCounts(
        cost={"EUR": 0.75}, revenue={"EUR": 1.5}, consumption_cost={"EUR": 2.75}
    )
    assert recovered.tally == Counters(
        energies=EnergyCounters(
            totals_watt_hours=ALL.watt_hours,
            flows_watt_hours=ALL.flows_watt_hours,
            observed_seconds=86_395.75,
        ),
        tariffs=TariffCounts(
            import_watt_hours=ALL.tariff_import_watt_hours,
            export_watt_hours=ALL.tariff_export_watt_hours,
            cost=ALL.cost,
            revenue=ALL.revenue,
            consumption_watt_hours=ALL.tariff_consumption_watt_hours,
            consumption_cost=ALL.consumption_cost,
            cost_credit=ALL.cost_credit,
            revenue_credit=ALL.revenue_credit,
            consumption_cost_credit=ALL.consumption_cost_credit,
            standing_charge=ALL.standing_charge,
        ),
    )


def test_a_battery_that_has_counted_nothing_leaves_nothing_to_recover() -> None:
    assert recovered_counters(held(NOTHING), MIDNIGHT) is None


def test_zeros_that_were_counted_are_counters() -> None:
    recovered = recovered_counters(held(replace(NOTHING, watt_hours={"production": 0.0}, observed_seconds=0.0)), None)

    assert recovered is not None
    assert recovered.tally.energies.totals_watt_hours == {"production": 0.0}


def test_what_was_never_counted_does_not_come_back_as_zero() -> None:
    counted: dict[Quantity, float] = dict(ALL.watt_hours)
    del counted["battery_charge"]
    recovered = recovered_counters(held(replace(ALL, watt_hours=counted)), None)

    assert recovered is not None
    assert "battery_charge" not in recovered.tally.energies.totals_watt_hours


@pytest.mark.parametrize("value", [-1.0, float("-inf"), float("nan")])
def test_what_no_counter_can_be_is_not_taken_back(value: float) -> None:
    samples = [Sample(name="sonnen_production_watt_hours_total", labels={}, value=value)]

    assert recovered_counters(samples, None) is None


@pytest.mark.parametrize("labels", [{}, {"from": "grid"}, {"to": "home"}, {"from": "grid", "to": "moon"}])
def test_a_flow_between_unknown_places_is_none_of_ours(labels: dict[str, str]) -> None:
    samples = [Sample(name="sonnen_flow_watt_hours_total", labels=labels, value=5)]

    assert recovered_counters(samples, None) is None


def test_every_counter_of_the_table_is_taken_back_by_somebody() -> None:
    recovered = recovered_counters(held(ALL), None)
    assert recovered is not None
    energies, tariffs = recovered.tally.energies, recovered.tally.tariffs
    numbers = [
        *energies.totals_watt_hours.values(),
        *energies.flows_watt_hours.values(),
        energies.observed_seconds,
        *tariffs.import_watt_hours.values(),
        *tariffs.export_watt_hours.values(),
        *tariffs.cost.values(),
        *tariffs.revenue.values(),
        *tariffs.consumption_watt_hours.values(),
        *tariffs.consumption_cost.values(),
        *tariffs.cost_credit.values(),
        *tariffs.revenue_credit.values(),
        *tariffs.consumption_cost_credit.values(),
        *tariffs.standing_charge.values(),
    ]

    shown = [
        sample.value for family in energy_families(ALL, {}) for sample in family.samples if family.type == "counter"
    ]

    assert sorted(numbers) == sorted(shown)


def test_only_counters_are_told_of_the_past_each_with_its_moment() -> None:
    found = series(cumulative_families([("home", MIDNIGHT, ALL)], job="sonnen", labels_of={}))

    assert len(found) == 6 + len(FLOWS) + 1 + 2 + 1 + 2 + 1 + 6
    assert {moment for _, _, moment in found} == {MIDNIGHT}
    assert all(name.endswith("_total") for name, _, _ in found)
    labels = frozenset({"job": "sonnen", "instance": "home", "currency": "CHF"}.items())
    assert found["sonnen_grid_cost_total", labels, MIDNIGHT] == 0.5


def test_nothing_that_was_counted_is_no_family() -> None:
    assert list(cumulative_families([("home", MIDNIGHT, NOTHING)], job="sonnen", labels_of={})) == []
    assert list(cumulative_families([], job="sonnen", labels_of={})) == []


def test_batteries_and_moments_are_told_apart() -> None:
    later = replace(ALL, watt_hours={**ALL.watt_hours, "production": 50_000.0})
    points = [("barn", MIDNIGHT, ALL), ("home", MIDNIGHT, ALL), ("home", MIDNIGHT + 86_400, later)]

    found = series(cumulative_families(iter(points), job="sonnen", labels_of={}))

    assert {
        (dict(labels)["instance"], moment): value
        for (name, labels, moment), value in found.items()
        if name == "sonnen_production_watt_hours_total"
    } == {("barn", MIDNIGHT): 40_000.1, ("home", MIDNIGHT): 40_000.1, ("home", MIDNIGHT + 86_400): 50_000.0}


def test_the_past_is_openmetrics_in_which_no_series_is_interleaved_with_another() -> None:
    # The specification: "Metrics MUST NOT be interleaved."
    points = [("home", MIDNIGHT + day * 86_400, ALL) for day in range(3)]
    page = render_openmetrics(cumulative_families(points, job="sonnen", labels_of={})).decode()

    read = series(parse_openmetrics(page))  # type: ignore[no-untyped-call]  # in 0.26

    assert read == series(cumulative_families(points, job="sonnen", labels_of={}))


def promised() -> Iterator[tuple[str, str, set[str]]]:
    """Yield name, type and labels of the contract's section on energy."""
    section = (
        CONTRACT.read_text(encoding="utf-8").partition("\n## Energy, counted by the agent")[2].partition("\n## ")[0]
    )
    for line in section.splitlines():
        if line.startswith("| `"):
            names, kind, labels = (cell.strip() for cell in line.split("|")[1:4])
            for name in re.findall(r"`(\w+)`", names):
                yield name, kind, set(re.findall(r"`(\w+)`", labels))


def test_the_rows_are_those_of_the_contract_with_their_types_and_labels() -> None:
    contract = list(promised())

    assert len(contract) > 12
    assert sorted((row.name, row.kind, set(row.labels)) for _, row in ENERGY) == sorted(contract)


def test_a_counter_that_is_not_finite_is_not_shown() -> None:
    counted = {**ALL.watt_hours, "production": float("nan")}
    broken = replace(ALL, watt_hours=counted, cost={"EUR": float("inf"), "CHF": 0.5})

    shown = {(sample.name, *sample.labels.values()) for sample in held(broken)}

    assert ("sonnen_production_watt_hours_total", "sonnen-a") not in shown
    assert [name for name in shown if name[0] == "sonnen_grid_cost_total"] == [
        ("sonnen_grid_cost_total", "CHF", "sonnen-a")
    ]


def test_what_the_battery_counts_is_not_taken_for_what_the_agent_counted() -> None:
    samples = [
        Sample(name=name, labels={"direction": "production", "meter": "4_1"}, value=5)
        for name in ("sonnen_meter_imported_watt_hours_total", "sonnen_production_watts", "push_time_seconds")
    ]

    assert recovered_counters(samples, MIDNIGHT) is None


@pytest.mark.system
def test_a_real_gateway_gives_back_every_counter_as_it_was_shown_to_the_last_digit(tmp_path: Path) -> None:
    # Numbers that are long, tiny, huge or whole: each has its own way of being written.
    awkward = [0.1 + 0.2, 1e-7 / 3, 123_456_789.123_456_78, 2.0**39 - 1, 1e12, 5e-324, 1e12 / 3]
    totals = replace(
        ALL,
        watt_hours={**ALL.watt_hours, "production": 98_765_432.109_876_54},
        flows_watt_hours=dict(zip(FLOWS, awkward, strict=True)),
        today_watt_hours=dict(zip(FLOWS, reversed(awkward), strict=True)),
    )
    page = render(energy_families(totals, {"host": "sonnen-a"}))
    try:
        server = servers.Pushgateway(tmp_path)
    except MissingProgramError as error:
        pytest.skip(str(error))
    with server:
        request = Request(f"{server.url}/metrics/job/sonnen/instance/home", data=page, method="PUT")
        with urlopen(request, timeout=10) as answer:
            assert answer.status == 200
        (group,) = server.groups()

    samples = [
        Sample(name=name, labels=sample.labels, value=sample.value)
        for name, held_samples in group.samples.items()
        for sample in held_samples
    ]
    recovered = recovered_counters(samples, MIDNIGHT)
    assert recovered == recovered_counters(held(totals), MIDNIGHT)
    assert recovered is not None
    shown = {flow: round(watt_hours, 4) for flow, watt_hours in totals.flows_watt_hours.items()}
    assert recovered.tally.energies.flows_watt_hours == shown
