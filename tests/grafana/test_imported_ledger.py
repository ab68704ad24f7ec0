"""A ledger that was imported, as the README says, shows on the panels of Energy and Money by day, month and year."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

import pytest
from golden_events import local
from golden_pushed import COUNTERS
from golden_truth import Truth
from grafana_viewer import Viewer, close_to
from programs import find_program
from servers import Prometheus

from golden import Golden

pytestmark = pytest.mark.system

PROGRAM: Final = Path(__file__).parents[2] / "prometheus/recorded_ledger.py"
FIRST, LAST = date(2024, 10, 20), date(2024, 11, 5)
"""The ledger's days; the clocks are put back among them."""
NOW: Final = local("2024-11-07 12:00")


def days(truth: Truth) -> list[tuple[float, float]]:
    return [truth.day(day) for day in truth.days() if FIRST <= day <= LAST]


def told(truth: Truth, name: str, begin: float, end: float) -> float:
    """Return what a counter of the golden house grew by."""
    if name == "cost":
        return truth.cost(begin, end)
    if name == "use_cost":
        return truth.consumption_cost(begin, end)
    if name == "revenue":
        return truth.revenue(begin, end)
    return truth.watt_hours({"observed_seconds": "observed"}.get(name, name), begin, end)


def openmetrics(truth: Truth) -> Iterator[str]:
    """Yield the ledger as the agent prints it: each counter as it stood at the end of each day."""
    begin = days(truth)[0][0]
    for (metric, labels), name in COUNTERS.items():
        selector = ",".join(f'{label}="{value}"' for label, value in (("job", "sonnen"), ("instance", "home"), *labels))
        for _, end in days(truth):
            yield f"{metric}{{{selector}}} {told(truth, name, begin, end):.4f} {end:.0f}\n"
    yield "# EOF\n"


@pytest.fixture(scope="module")
def viewer(golden_house: Golden, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    folder = tmp_path_factory.mktemp("ledger")
    truth = golden_house.truth
    ledger, recorded = folder / "ledger.om", folder / "recorded.om"
    ledger.write_text("".join(openmetrics(truth)))
    with ledger.open() as page, recorded.open("w") as out:
        subprocess.run([sys.executable, PROGRAM], stdin=page, stdout=out, check=True)
    keep = ["--storage.tsdb.retention.time=50y"]
    with Prometheus(folder, scrape=[], flags=keep) as prometheus:
        prometheus.stop()
        create: list[str | Path] = ["tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=744h", "-q"]
        blocks: list[str | Path] = [
            find_program("promtool"),
            *create,
            recorded,
            folder / f"prometheus-{prometheus.port}",
        ]
        subprocess.run(blocks, check=True)
        prometheus.start()
        yield Viewer(prometheus.url, NOW, truth, time=("2024-10-20T00:00:00", "2024-11-06T00:00:00"))


def test_days_are_shown(viewer: Viewer) -> None:
    for letter, source in zip("ABC", ("solar", "battery", "grid"), strict=True):
        shown = [value for _, value in viewer.points(("sonnen-energy", "Used by day", letter))]
        assert shown == [
            pytest.approx(viewer.truth.flow(source, "home", *day), rel=1e-3, abs=2) for day in days(viewer.truth)
        ]


def test_months_and_years_are_shown(viewer: Viewer) -> None:
    for panel, label, names in (("Used by month", "month", ["2024-10", "2024-11"]), ("Used by year", "year", ["2024"])):
        found: dict[str, float] = {}
        for one in viewer["sonnen-energy", panel, "A"]:
            name = one["metric"][label]
            found[name] = found.get(name, 0.0) + sum(float(value) for _, value in one["values"])
        assert sorted(found) == names
        whole = viewer.truth.flow("solar", "home", days(viewer.truth)[0][0], days(viewer.truth)[-1][1])
        assert sum(found.values()) == close_to(whole)


def test_the_totals_and_the_money_of_the_time_are_shown(viewer: Viewer) -> None:
    begin, end = days(viewer.truth)[0][0], days(viewer.truth)[-1][1]
    assert viewer.value(("sonnen-energy", "Home and solar", "A")) == close_to(
        viewer.truth.watt_hours("consumption", begin, end) / 1000, "suffix:kWh", share=3e-3
    )
    assert viewer.value(("sonnen-money", "Grid costs", "A")) == close_to(
        viewer.truth.cost(begin, end), "suffix:", share=3e-3
    )
