"""What was scraped before the rules were there is filled in by the command of the README."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Final

import pytest
from programs import find_program
from servers import Prometheus

pytestmark = pytest.mark.system

FOLDER: Final = Path(__file__).parents[2] / "prometheus"
BEGIN: Final = 1_772_323_200
"""2026-03-01T00:00:00Z, when the README's stretch begins."""
SCRAPED_SECONDS: Final = 2 * 3600
WATTS: Final = 1200.0


def scraped() -> str:
    """Return two hours of a battery, every half a minute, that produces always the same."""
    moments = range(BEGIN, BEGIN + SCRAPED_SECONDS + 1, 30)
    series: dict[str, dict[int, float]] = {
        "sonnen_online": dict.fromkeys(moments, 1.0),
        "sonnen_production_watts": dict.fromkeys(moments, WATTS),
        "sonnen_production_watt_hours_total": {moment: (moment - BEGIN) / 3600 * WATTS for moment in moments},
        "push_time_seconds": {moment: moment for moment in moments},
    }
    lines = [
        f'{name}{{job="sonnen",instance="home"}} {value} {moment}\n'
        for name, values in series.items()
        for moment, value in values.items()
    ]
    return "".join([*lines, "# EOF\n"])


def command(prometheus: Prometheus, data: Path) -> list[str]:
    """Return the README's command, for two hours of its day and these places."""
    readme = (FOLDER / "README.md").read_text()
    (found,) = re.findall(r"^\$ (promtool tsdb create-blocks-from rules .*?[^\\])$", readme, re.MULTILINE | re.DOTALL)
    told = shlex.split(found.replace("\\\n", " "))
    places = {
        "promtool": str(find_program("promtool")),
        "http://127.0.0.1:9090": prometheus.url,
        "2026-03-02T00:00:00Z": "2026-03-01T02:00:00Z",
        "/var/lib/prometheus/metrics2": str(data),
        "rules/recording.yml": str(FOLDER / "rules/recording.yml"),
    }
    assert places.keys() <= set(told)
    return [places.get(word, word) for word in told]


def test_what_was_before_the_rules_is_filled_in(tmp_path: Path) -> None:
    page = tmp_path / "scraped.om"
    page.write_text(scraped())
    with Prometheus(tmp_path, scrape=[], flags=["--storage.tsdb.retention.time=50y"]) as prometheus:
        data = tmp_path / f"prometheus-{prometheus.port}"
        prometheus.stop()
        promtool = find_program("promtool")
        subprocess.run([promtool, "tsdb", "create-blocks-from", "openmetrics", "-q", page, data], check=True)
        prometheus.start()
        fill = command(prometheus, data)
        for _ in range(3):
            subprocess.run(fill, check=True, capture_output=True)
            # It finds new blocks at its start, or within a minute.
            prometheus.stop()
            prometheus.start()

        (labels, watts), *more = prometheus.query(
            f"avg_over_time(sonnen:production_watts:mean5m[100m] @ {BEGIN + 7000})"
        )
        (_, copied), *_ = prometheus.query(f"increase(sonnen:production_watt_hours_total:copy1m[1h] @ {BEGIN + 7000})")
    assert more == []
    assert labels["instance"] == "home"
    assert watts == pytest.approx(WATTS)
    assert copied == pytest.approx(WATTS, rel=1e-3)
