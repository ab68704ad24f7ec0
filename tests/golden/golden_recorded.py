"""What the rules of prometheus/rules/recording.yml record in the golden house, worked out without Prometheus.

Evaluating a year of rules takes Prometheus hours, so they are computed here, and the tests let a real
Prometheus evaluate the rules' own expressions at many moments and compare. A rule is evaluated at a
fixed moment after each full minute or five; each group of rules has such an offset of its own.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from golden_events import FINE_WINDOW, PROMETHEUS_GAP
from golden_gauges import ALLOWED_HERTZ, ALLOWED_VOLTS, Key, Page, key, only, within
from golden_house import Flags, Floats, House
from golden_pushed import Pushed, push_times, scrapes

Batch = tuple[Floats, Page]
"""The values of some series at the same moments."""

FRESH_SECONDS: Final = 30.0
SLOW_OFFSET: Final = 2.5
AGGREGATES_OFFSET: Final = 3.5
"""Later than the slow group, so that five minutes hold five of its samples."""

FAST: Final = frozenset(
    f"sonnen_{name}"
    for name in (
        "production_watts",
        "consumption_watts",
        "grid_feed_in_watts",
        "discharge_watts",
        "state_of_charge_percent",
        "usable_state_of_charge_percent",
        "backup_buffer_percent",
        "on_grid",
        "online",
        "power_balance_watts",
        "frequency_grid",
        "frequency_inverter",
        "meter_volts",
        "meter_current",
        "meter_watts",
        "meter_total_watts",
        "inverter_ac_volts",
        "allowed_volts",
        "allowed_hertz",
    )
)
SLOW: Final = frozenset(
    f"sonnen_{name}"
    for name in (
        "temperature",
        "cell_temperature_celsius",
        "cell_volts",
        "battery_volts",
        "battery_current_amperes",
        "full_charge_capacity_watt_hours",
        "installed_capacity_watt_hours",
        "seconds_since_full_charge",
        "system_alarm",
        "system_warning",
        "discharge_not_allowed",
        "operating_mode",
        "clock_offset_seconds",
    )
)
_ALL: Final = ("mean", "min", "max")
AGGREGATES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "production_watts": _ALL,
        "consumption_watts": _ALL,
        "grid_feed_in_watts": _ALL,
        "discharge_watts": _ALL,
        "state_of_charge_percent": _ALL,
        "usable_state_of_charge_percent": _ALL,
        "hertz": _ALL,
        "phase_volts": _ALL,
        "temperature": _ALL,
        "cell_temperature_celsius": _ALL,
        "frequency_inverter": ("mean",),
        "backup_buffer_percent": ("mean",),
        "power_balance_watts": ("mean",),
        "meter_watts": ("mean",),
        "cell_volts": ("mean",),
        "full_charge_capacity_watt_hours": ("mean",),
        "installed_capacity_watt_hours": ("mean",),
        "on_grid": ("mean", "min"),
        "online": ("mean", "min"),
        "system_alarm": ("max",),
        "system_warning": ("max",),
    }
)
_SHARES: Final = ("sonnen:fresh", "sonnen:volts_out_of_band", "sonnen:hertz_out_of_band")


class Recorded:
    """The recorded series, and the raw ones where they are kept."""

    def __init__(self, house: House, pushed: Pushed) -> None:
        self._minutes = house.seconds
        self._pushed = pushed

    def battery(self) -> Iterator[Batch]:
        """Yield everything about the battery."""
        moments = scrapes()
        gauges = self._pushed.gauges(moments)
        yield moments, gauges
        yield moments, self._pushed.counters(moments)
        fast = fast_fresh(moments, gauges)
        yield moments, fast
        minute = moments % 60 == 0
        slow = slow_fresh({one: values[minute] for one, values in gauges.items()}, fast[_FRESH][minute])
        yield moments[minute] + SLOW_OFFSET, slow | backup(moments, fast, slow)
        yield from self._copies()
        yield from self._aggregates()

    def agent(self) -> Batch:
        """Return the agent's group, and whether it is fresh."""
        moments = scrapes()
        page = self._pushed.agent(moments)
        fresh = is_fresh(moments, page[key("push_time_seconds")])
        return moments, page | {key("sonnen_agent:fresh:bool"): fresh}

    def loaded(self) -> Batch:
        """Return that the rules are evaluated; of no group."""
        there = np.where(within(self._minutes, PROMETHEUS_GAP), np.nan, 1.0)
        return self._minutes, {key(f"sonnen:{what}:loaded"): there for what in ("rules", "alerts")}

    def _copies(self) -> Iterator[Batch]:
        counters = self._pushed.counters(self._minutes)
        totals = {one: values for one, values in counters.items() if one[0].endswith("_total")}
        yield self._minutes, {_copy(one, "copy1m"): values for one, values in totals.items()}
        fives = self._minutes[::5]
        gauges = self._pushed.gauges(fives)
        lifetime = only(gauges, ["sonnen_battery_cycles_total", "sonnen_meter_imported_watt_hours_total"])
        fresh = is_fresh(fives, gauges[key("push_time_seconds")])
        info = {one: np.where(fresh == 1, values, np.nan) for one, values in only(gauges, [_INFO]).items()}
        days = only(counters, ["sonnen_energy_today_watt_hours", "sonnen_energy_yesterday_watt_hours"])
        page = {one: np.where(fresh == 1, values[::5], np.nan) for one, values in days.items()} | lifetime | info
        production = totals[key("sonnen_production_watt_hours_total")]
        nobody = within(fives, PROMETHEUS_GAP)
        seen = _mean(_last(_fives(is_fresh(self._minutes, push_times(self._minutes))), 27)) > 0.9
        rise = np.where(nobody | ~seen, np.nan, _increase2h(production)[::5])
        copies = {_copy(one, "copy5m"): values for one, values in page.items()}
        copies[key("sonnen:production_watt_hours:increase2h")] = rise
        copies[key("sonnen:production_watt_hours:increase2h_best7d")] = np.where(
            nobody, np.nan, _best_of_seven_days(rise)
        )
        yield fives + SLOW_OFFSET, copies

    def _aggregates(self) -> Iterator[Batch]:
        """Yield mean, min and max: of five samples, in the last window of sixty, but for what is slow."""
        evaluated = self._minutes[5::5] + AGGREGATES_OFFSET
        closer = np.arange(FINE_WINDOW.begin + 5, FINE_WINDOW.end + 1, 5.0)
        page = self._whole(self._minutes)
        fine = fast_fresh(closer, self._pushed.gauges(closer))
        result: Page = {}
        for (name, labels), values in page.items():
            quantity = name.removeprefix("sonnen:").removesuffix(":fresh").removesuffix(":bool")
            share = name.removesuffix(":bool") in _SHARES
            for kind in ("mean",) if share else AGGREGATES.get(quantity, ()):
                five = _OF[kind](values[1 : 1 + 5 * evaluated.size].reshape(-1, 5))
                if (name, labels) in fine:
                    parts = _OF[kind](fine[name, labels].reshape(-1, 60))
                    five[-parts.size :] = parts
                nobody = within(evaluated, PROMETHEUS_GAP)
                result[f"sonnen:{quantity}:{kind}5m", labels] = np.where(nobody, np.nan, five)
        nobody = within(evaluated, PROMETHEUS_GAP)
        result[key("sonnen:trust:code")] = np.where(nobody, np.nan, _trust(result))
        yield evaluated, result

    def _whole(self, moments: Floats) -> Page:
        gauges = self._pushed.gauges(moments)
        fast = fast_fresh(moments, gauges)
        return fast | slow_fresh(gauges, fast[_FRESH])


def is_fresh(moments: Floats, pushed: Floats) -> Floats:
    """Return 1 where the last push is young, 0 where it is not, nothing where there is none."""
    return np.where(np.isnan(pushed), np.nan, moments - pushed < FRESH_SECONDS)


def fast_fresh(moments: Floats, gauges: Page) -> Page:
    """Return what the group sonnen_fresh records."""
    fresh = is_fresh(moments, gauges[key("push_time_seconds")])
    page = {_FRESH: fresh}
    for (name, labels), values in only(gauges, FAST).items():
        page[_fresh_name(name), labels] = np.where(fresh == 0, np.nan, values)
    on_grid = page[key("sonnen:on_grid:fresh")]
    since = _off_grid_since(moments, on_grid)
    page[key("sonnen:off_grid_since_timestamp_seconds")] = since
    page[key("sonnen:off_grid_seconds")] = moments - since
    for phase in ("1", "2", "3"):
        meters = [
            values
            for (name, labels), values in page.items()
            if name == "sonnen:meter_volts:fresh" and ("phase", phase) in labels
        ]
        volts = np.fmax.reduce(meters)
        # Where there is no meter, the inverter's voltage stands for the first phase.
        volts = np.where(np.isnan(volts) & (phase == "1"), page[key("sonnen:inverter_ac_volts:fresh")], volts)
        page[key("sonnen:phase_volts:fresh", phase=phase)] = volts
        page[key("sonnen:volts_out_of_band:bool", phase=phase)] = _outside(
            (volts < ALLOWED_VOLTS["min"]) | (volts > ALLOWED_VOLTS["max"]), volts, on_grid
        )
    grid, inverter = page[key("sonnen:frequency_grid:fresh")], page[key("sonnen:frequency_inverter:fresh")]
    hertz = np.where(np.isnan(grid), inverter, grid)
    page[key("sonnen:hertz:fresh")] = hertz
    far = (hertz < ALLOWED_HERTZ["min"]) | (hertz > ALLOWED_HERTZ["max"])
    page[key("sonnen:hertz_out_of_band:bool")] = _outside(far, hertz, on_grid)
    return page


def slow_fresh(gauges: Page, fresh: Floats) -> Page:
    """Return what the group sonnen_fresh_slow records, but for what is derived."""
    return {
        (_fresh_name(name), labels): np.where(fresh == 0, np.nan, values)
        for (name, labels), values in only(gauges, SLOW).items()
    }


def backup(moments: Floats, fast: Page, slow: Page) -> Page:
    """Return what is left to be used, and for how long, at the moments of the slow group."""
    minute = moments % 60 == 0
    capacity = slow[key("sonnen:full_charge_capacity_watt_hours:fresh")]
    installed = slow[key("sonnen:installed_capacity_watt_hours:fresh")]
    percent = fast[key("sonnen:usable_state_of_charge_percent:fresh")][minute]
    usable = 0.9 * percent / 100.0 * np.where(np.isnan(capacity), installed, capacity)
    load = fast[key("sonnen:consumption_watts:fresh")]
    there = ~np.isnan(load)
    sums = np.concatenate(([0.0], np.cumsum(np.where(there, load, 0.0))))
    counts = np.concatenate(([0.0], np.cumsum(there)))
    evaluated = moments[minute] + SLOW_OFFSET
    first, last = np.searchsorted(moments, evaluated - 300.0), np.searchsorted(moments, evaluated)
    number = counts[last] - counts[first]
    mean = np.where(number > 0, (sums[last] - sums[first]) / np.maximum(number, 1.0), np.nan)
    return {
        key("sonnen:usable_watt_hours:fresh"): usable,
        key("sonnen:backup_seconds:fresh"): 3600.0 * usable / np.maximum(mean, 50.0),
    }


def _off_grid_since(moments: Floats, on_grid: Floats) -> Floats:
    """Return, while off grid, when that began."""
    off = on_grid == 0
    began = off & ~np.concatenate(([False], off[:-1]))
    return np.where(off, moments[np.maximum.accumulate(np.where(began, np.arange(moments.size), 0))], np.nan)


def _trust(page: Page) -> Floats:
    """Return how far the numbers can be believed, from means of five minutes."""
    fresh, online = page[key("sonnen:fresh:mean5m")], page[key("sonnen:online:mean5m")]
    used = _last(page[key("sonnen:consumption_watts:mean5m")], 6)
    stuck = np.all(used == used[:, :1], axis=1)
    rest = np.abs(_mean(_last(page[key("sonnen:power_balance_watts:mean5m")], 2))) > 200
    island = page[key("sonnen:on_grid:min5m")] == 0
    troubles = [fresh < 0.5, online < 0.5, stuck, rest & ~island]
    return np.select(troubles, [1.0, 2.0, 3.0, 4.0], default=np.where(np.isnan(fresh), np.nan, 0.0))


def _fives(minutes: Floats) -> Floats:
    """Return the last mean of five minutes that a copy of each whole five sees: means are recorded a second later."""
    means = _mean(minutes[1 : 1 + (minutes.size - 1) // 5 * 5].reshape(-1, 5))
    return np.concatenate(([np.nan, np.nan], means))[: (minutes.size + 4) // 5]


def _last(values: Floats, count: int) -> Floats:
    """Return, for each moment, the value and those before it."""
    padded = np.concatenate((np.full(count - 1, np.nan), values))
    return np.lib.stride_tricks.sliding_window_view(padded, count)


def _outside(outside: Flags, values: Floats, on_grid: Floats) -> Floats:
    return np.where(np.isnan(values) | (on_grid == 0), np.nan, outside)


def _increase2h(counter: Floats) -> Floats:
    """Return Prometheus's increase() over 120 samples a minute apart, 2.5 s after the last one."""
    there = np.flatnonzero(~np.isnan(counter))
    result = np.full_like(counter, np.nan)
    marks = np.arange(counter.size)
    first = there[np.minimum(np.searchsorted(there, marks - 119), there.size - 1)]
    last = there[np.maximum(np.searchsorted(there, marks, side="right") - 1, 0)]
    span = 60.0 * (last - first)
    # What is missing at an edge is filled up, but where more is missing than one sample: then by half of one.
    lead, tail = 60.0 * (first - marks) + 7200.0 - SLOW_OFFSET, 60.0 * (marks - last) + SLOW_OFFSET
    number = np.searchsorted(there, marks, side="right") - np.searchsorted(there, marks - 119)
    step = span / np.maximum(number - 1, 1)
    rise = counter[last] - counter[first]
    with np.errstate(divide="ignore", invalid="ignore"):
        zero = np.where(rise > 0, span * counter[first] / rise, np.inf)
        lead = np.minimum(lead, zero)
        extended = span + np.where(lead < 1.1 * step, lead, step / 2.0) + np.where(tail < 1.1 * step, tail, step / 2.0)
        good = (number >= 2) & (span > 0)
        result[good] = (rise * extended / span)[good]
    return result


def _best_of_seven_days(fives: Floats) -> Floats:
    """Return the highest value at the same time of the last seven days."""
    day = 86_400 // 300
    before = [np.concatenate((np.full(number * day, np.nan), fives[: -number * day])) for number in range(1, 8)]
    return np.asarray(np.fmax.reduce(before))


def _fresh_name(name: str) -> str:
    return f"sonnen:{name.removeprefix('sonnen_')}:fresh"


def _copy(one: Key, kind: str) -> Key:
    return f"sonnen:{one[0].removeprefix('sonnen_')}:{kind}", one[1]


def _mean(rows: Floats) -> Floats:
    there = ~np.isnan(rows)
    number = there.sum(axis=1)
    return np.where(number > 0, np.where(there, rows, 0.0).sum(axis=1) / np.maximum(number, 1), np.nan)


_FRESH: Final = key("sonnen:fresh:bool")
_INFO: Final = "sonnen_battery_info"
_OF: Final[Mapping[str, Callable[[Floats], Floats]]] = MappingProxyType(
    {
        "mean": _mean,
        "min": lambda rows: np.asarray(np.fmin.reduce(rows, axis=1)),
        "max": lambda rows: np.asarray(np.fmax.reduce(rows, axis=1)),
    }
)
