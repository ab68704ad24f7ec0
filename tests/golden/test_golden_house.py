"""The golden house itself: its physics, its truth, and that a right agent's counters agree with it."""

from datetime import date

import pytest
from golden_events import SPRING, local

from golden import Golden, GoldenPrometheus

pytestmark = pytest.mark.system


def test_a_counter_of_the_year_is_the_truth(golden_house: Golden, golden_prometheus: GoldenPrometheus) -> None:
    truth = golden_house.truth
    for begin, end in ((local("2024-08-01 00:00"), local("2025-07-01 00:00")), truth.day(date.fromisoformat(SPRING))):
        span = f"{end - begin:.0f}s"
        for quantity in ("production", "consumption", "grid_import", "grid_export"):
            copy = f"sonnen:{quantity}_watt_hours_total:copy1m"
            ((_, found),) = golden_prometheus.query(f"increase({copy}[{span}])", at=end)
            assert found == pytest.approx(truth.watt_hours(quantity, begin, end), rel=1e-3), quantity
