"""The golden house: a year whose truth is known, in a real Prometheus.

A deterministic house (golden_house) is sampled by a right agent (golden_agent), pushed (golden_pushed),
scraped and recorded by the rules of prometheus/rules/recording.yml (golden_recorded), and written into
blocks by promtool (golden_store, kept in .cache/golden). The truth (golden_truth) is integrated from the
house second by second and knows nothing of all that.

    from golden import GoldenPrometheus, golden
    import golden_events as events

    house = golden()                                    # some seconds; the first time a minute
    with GoldenPrometheus(folder, house) as prometheus: # some tenths of a second
        prometheus.query('sum(increase(sonnen:production_watt_hours_total:copy1m[1d]))', at=events.NOW)
        prometheus.query_range('sonnen:production_watts:mean5m', begin, end, step)
    house.truth.watt_hours("production", begin, end)
    house.truth.flow("solar", "*", begin, end)          # "*" is any place
    house.truth.day(date(2025, 3, 30))                  # begin and end of a local day
    house.truth.cost(begin, end), .revenue(…), .self_sufficiency(…), .self_consumption(…), .coverage(…), .cycles(…)
    house.truth.watts("feed_in", moment), .state_of_charge_percent(moment)

In tests, the fixtures `golden_house` and `golden_prometheus` are the two. All times are Unix seconds,
`golden_events.local("2025-07-10 18:30")` makes them; `golden_events` lists everything that happens.

What is not as in life: a series that ends is seen by instant queries for up to five minutes longer, since
backfilling knows no stale markers; and raw data is thinned, see `golden_events.RAW_WINDOWS`.
"""

import json
import urllib.parse
import urllib.request
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from golden_events import NOW, START
from golden_house import House, golden_house
from golden_store import golden_blocks, link_blocks
from golden_truth import Truth, golden_truth
from servers import Labels, Prometheus

Points = list[tuple[float, float]]
"""Moments and values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """The house, what is true of it, and the blocks of a Prometheus that watched it."""

    house: House
    truth: Truth
    blocks: Path


@cache
def golden() -> Golden:
    """Return the golden house; the same at each call."""
    house = golden_house()
    return Golden(house=house, truth=golden_truth(house), blocks=golden_blocks(house))


class GoldenPrometheus(Prometheus):
    """A real Prometheus with the golden house's year; it scrapes nothing and evaluates no rules."""

    def __init__(self, folder: Path, house: Golden) -> None:
        # The year is over: with the usual retention it would be deleted at once.
        super().__init__(folder, scrape=[], flags=["--storage.tsdb.retention.time=50y", "--web.enable-admin-api"])
        link_blocks(house.blocks, folder / f"prometheus-{self.port}")

    def forget_after(self, moment: float) -> None:
        """Delete all samples after a moment: who looks at the house then must not see what comes."""
        self._forget(moment + 0.001, NOW + 86_400)

    def forget_before(self, moment: float) -> None:
        """Delete all samples before a moment, as if the agent had begun then."""
        self._forget(START - 86_400, moment - 0.001)

    def _forget(self, begin: float, end: float) -> None:
        chosen = urllib.parse.urlencode({"match[]": '{__name__=~".+"}', "start": begin, "end": end})
        address = f"{self.url}/api/v1/admin/tsdb/delete_series?{chosen}"
        with urllib.request.urlopen(urllib.request.Request(address, method="POST"), timeout=60):
            pass

    def query(self, expression: str, *, at: float = NOW) -> list[tuple[Labels, float]]:
        """Return the labels and the value of each series of an instant query."""
        return [(one["metric"], float(one["value"][1])) for one in self._ask("query", query=expression, time=at)]

    def query_range(self, expression: str, begin: float, end: float, step: float) -> list[tuple[Labels, Points]]:
        """Return the labels and the points of each series of a range query."""
        found = self._ask("query_range", query=expression, start=begin, end=end, step=step)
        return [(one["metric"], [(float(at), float(value)) for at, value in one["values"]]) for one in found]

    def _ask(self, kind: str, **parameters: object) -> list[dict[str, Any]]:
        answer = self.request(f"/api/v1/{kind}", **{name: str(value) for name, value in parameters.items()})
        data = json.loads(answer)["data"]
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": data["result"]}]
        result: list[dict[str, Any]] = data["result"]
        return result
