"""What Prometheus scrapes from the gateway: three groups, each as it was pushed last."""

from typing import Final

import numpy as np
from golden_agent import BEATS, GoldenCounters, counter_between, reading_before
from golden_events import (
    DAY_PRICE,
    FEED_IN_PRICE,
    FINE_WINDOW,
    GATEWAY_DOWN,
    LINK_GAPS,
    NIGHT_PRICE,
    NOW,
    PROMETHEUS_GAP,
    RAW_WINDOWS,
    REJECTED,
    RESTART,
    START,
    STOPS,
)
from golden_gauges import Page, battery_gauges, key, within
from golden_house import CAPACITY_WATT_HOURS, Flags, Floats, House, minute_of
from golden_machine import agent_page, node_page
from golden_truth import FLOWS, TOTALS
from numpy.typing import NDArray

PUSH_SECONDS: Final = 0.2
"""From a reading to its push."""
COUNTERS: Final = {
    **{key(f"sonnen_{name}_watt_hours_total"): name for name in TOTALS},
    **{key("sonnen_flow_watt_hours_total", from_=one, to=other): f"{one}_{other}" for one, other in FLOWS},
    key("sonnen_observed_seconds_total"): "observed_seconds",
    key("sonnen_tariff_import_watt_hours_total", tariff="night"): "import_night",
    key("sonnen_tariff_import_watt_hours_total", tariff="day"): "import_day",
    key("sonnen_tariff_export_watt_hours_total", tariff="feed_in"): "grid_export",
    key("sonnen_tariff_consumption_watt_hours_total", tariff="night"): "use_night",
    key("sonnen_tariff_consumption_watt_hours_total", tariff="day"): "use_day",
    key("sonnen_consumption_cost_total", currency="EUR"): "use_cost",
    key("sonnen_grid_cost_total", currency="EUR"): "cost",
    key("sonnen_grid_revenue_total", currency="EUR"): "revenue",
}
"""The counters of docs/metrics.md, and what they are called in golden_agent."""
_PRICES: Final = {
    ("night", "import"): NIGHT_PRICE,
    ("day", "import"): DAY_PRICE,
    ("feed_in", "export"): FEED_IN_PRICE,
}


def scrapes() -> Floats:
    """Return when raw data is scraped: every minute in the windows, every 5 s in the last one."""
    minutes: Floats = np.asarray(START + 60.0 * np.arange(minute_of(NOW) + 1), dtype=np.float64)
    kept = np.zeros(minutes.size, dtype=np.bool_)
    for window in RAW_WINDOWS:
        kept |= within(minutes, window)
    fine = np.arange(FINE_WINDOW.begin, FINE_WINDOW.end + 1, 5.0)
    return np.concatenate((minutes[kept & (minutes < FINE_WINDOW.begin)], fine))


def last_reading(moments: Floats) -> Floats:
    """Return when the reading was taken that the gateway holds at each moment."""
    read = reading_before(moments)
    for gap in LINK_GAPS:
        read = np.where(within(moments, gap), reading_before(np.array([gap.begin])), read)
    return read


def hidden(moments: Floats) -> Flags:
    """Return when there is nothing to be scraped."""
    gone = (within(moments, window) for window in (PROMETHEUS_GAP, GATEWAY_DOWN, *STOPS, RESTART))
    return np.asarray(np.logical_or.reduce(list(gone)))


def push_times(moments: Floats) -> Floats:
    """Return when the battery's group that is scraped was pushed."""
    return np.where(hidden(moments), np.nan, np.round(last_reading(moments) + PUSH_SECONDS, 1))


def without(page: Page, gone: Flags) -> Page:
    """Return the page with no samples at some moments."""
    return {one: np.where(gone, np.nan, values) for one, values in page.items()}


class Pushed:
    """The groups on the gateway."""

    def __init__(self, house: House, counters: GoldenCounters) -> None:
        self._house = house
        self._counters = counters
        first, last = minute_of(FINE_WINDOW.begin), minute_of(FINE_WINDOW.end)
        self._fine_seconds = house.seconds[first] + 5.0 * np.arange((last - first) * BEATS + 1)
        self._fine = {
            name: np.append(
                np.column_stack((at[first:last], counter_between(house, counters, name, slice(first, last))[:, :-1])),
                at[last],
            )
            for name, at in counters.at_minutes.items()
        }

    def gauges(self, moments: Floats) -> Page:
        """Return the battery's gauges as they are scraped."""
        read = last_reading(moments)
        cycles = self._counter("battery_discharge", read) / CAPACITY_WATT_HOURS
        page = battery_gauges(self._house, read, cycles)
        page[key("push_time_seconds")] = push_times(moments)
        page[key("push_failure_time_seconds")] = np.zeros_like(read)
        return without(page, hidden(moments))

    def counters(self, moments: Floats) -> Page:
        """Return the battery's counters, and what the agent says of days and prices."""
        read = last_reading(moments)
        page = {one: np.round(self._counter(name, read), 4) for one, name in COUNTERS.items()}
        minute = self._minute(read)
        for source, sink in FLOWS:
            for name, days in (("today", self._counters.today), ("yesterday", self._counters.yesterday)):
                metric = key(f"sonnen_energy_{name}_watt_hours", from_=source, to=sink)
                page[metric] = np.round(days[f"{source}_{sink}"][minute], 3)
        for (tariff, direction), price in _PRICES.items():
            labels = {"tariff": tariff, "direction": direction, "currency": "EUR"}
            page[key("sonnen_tariff_price_per_kilowatt_hour", **labels)] = np.full_like(read, price)
        return without(page, hidden(moments))

    def agent(self, moments: Floats) -> Page:
        """Return the agent's group."""
        refused = within(moments, REJECTED)
        read = last_reading(np.where(refused, REJECTED.begin, moments))
        page = agent_page(read)
        page[key("push_time_seconds")] = np.round(read + PUSH_SECONDS, 1)
        failed = np.round(reading_before(np.minimum(moments, REJECTED.end)) + PUSH_SECONDS, 1)
        page[key("push_failure_time_seconds")] = np.where(moments >= REJECTED.begin, failed, 0.0)
        return without(page, hidden(moments))

    def node(self, moments: Floats) -> Page:
        """Return the group of the relayed node_exporter, pushed every 15 s."""
        read = last_reading(np.floor(moments / 15.0) * 15.0 + 3.0)
        read = np.where(read > moments, read - 15.0, read)
        page = node_page(read)
        page[key("push_time_seconds")] = np.round(read + PUSH_SECONDS, 1)
        page[key("push_failure_time_seconds")] = np.zeros_like(read)
        return without(page, hidden(moments))

    def _minute(self, read: Floats) -> NDArray[np.int_]:
        """Return the whole minute up to which a reading counts: the last beat of a minute completes it."""
        minute = ((read + 5.0 - START) // 60).astype(int)
        return np.asarray(np.clip(minute, 0, self._house.seconds.size - 1))

    def _counter(self, name: str, read: Floats) -> Floats:
        values = self._counters.at_minutes[name][self._minute(read)]
        fine = read > self._fine_seconds[0]
        beat = ((read[fine] + 5.0 - self._fine_seconds[0]) // 5).astype(int)
        values[fine] = self._fine[name][np.minimum(beat, self._fine_seconds.size - 1)]
        return np.asarray(values)
