#!/usr/bin/env python3
"""Turn a ledger into what the recording rules would have recorded of it, so that the dashboards show it.

    sonnen-agent ledger --config FILE --format openmetrics | ./recorded_ledger.py > recorded.om
    promtool tsdb create-blocks-from openmetrics --max-block-duration=744h recorded.om /var/lib/prometheus/metrics2

`promtool tsdb create-blocks-from rules` would do that as well, but makes a block for each rule and two hours.
"""

import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import TextIO

STEP_SECONDS = 240
"""Prometheus looks back five minutes for a sample."""
HOUR = 3600
_SAMPLE = re.compile(r"(?P<name>sonnen_\w+)(?P<labels>\{.*\}) (?P<value>\S+) (?P<moment>[\d.]+)$")
Points = list[tuple[float, float]]
"""Moments and values: a counter at the end of each finished day."""


def read(page: TextIO) -> dict[tuple[str, str], Points]:
    """Return the counters of a ledger by name and labels."""
    counters: dict[tuple[str, str], Points] = {}
    for line in page:
        if match := _SAMPLE.match(line.strip()):
            point = float(match["moment"]), float(match["value"])
            counters.setdefault((match["name"], match["labels"]), []).append(point)
    return counters


def copies(points: Points) -> Iterator[tuple[float, float]]:
    """Yield a counter that stands still until the day's end, from the ledger's first day to its last."""
    first = points[0][0] - 24 * HOUR
    for (begin, value), (end, _) in pairwise([(first, 0.0), *points, (points[-1][0] + STEP_SECONDS, 0.0)]):
        # A day that nobody counted is a longer stretch. Each begins with its midnight.
        for moment in range(int(begin), int(end), STEP_SECONDS):
            yield moment, value


def days_before(points: Points) -> Iterator[tuple[float, float]]:
    """Yield what each day brought, on the day after, as the agent tells it."""
    for (_, before), (end, value) in pairwise([(0.0, 0.0), *points]):
        for hour in range(1, 23):
            yield end + hour * HOUR, value - before


def write(series: str, points: Iterator[tuple[float, float]]) -> None:
    """Write the samples of a series."""
    sys.stdout.writelines(f"{series} {value:.4f} {moment:.0f}\n" for moment, value in points)


def main() -> None:
    """Write the recorded series of the ledger on standard input to standard output."""
    for (name, labels), points in read(sys.stdin).items():
        quantity = name.removeprefix("sonnen_")
        write(f"sonnen:{quantity}:copy1m{labels}", copies(points))
        if quantity == "flow_watt_hours_total":
            write(f"sonnen:energy_yesterday_watt_hours:copy5m{labels}", days_before(points))
    sys.stdout.write("# EOF\n")


if __name__ == "__main__":
    main()
