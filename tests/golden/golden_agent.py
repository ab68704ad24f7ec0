"""What a right agent makes of the golden house: a reading every 5 seconds, and counters of what it saw.

Only the rule of docs/metrics.md is used, not the code that is under test: between two good readings at most
60 s apart the trapezoid of a power's positive part. The restart is bridged, as it is by the agent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from golden_events import DAY_PRICE, FEED_IN_PRICE, NIGHT_BEGINS, NIGHT_ENDS, NIGHT_PRICE, START, UNOBSERVED
from golden_house import Floats, House, local_days, local_minutes
from golden_truth import FLOWS, TOTALS

BEAT_SECONDS: Final = 5.0
PHASE_SECONDS: Final = 2.3
"""The first reading comes so long after START."""
BEATS: Final = 12
"""In a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenCounters:
    """What the counters stand at on every whole minute; Wh, seconds, EUR."""

    at_minutes: Mapping[str, Floats]
    today: Mapping[str, Floats]
    """By flow: the calendar day so far."""
    yesterday: Mapping[str, Floats]
    """By flow: the day before, where one is finished."""


def reading_before(moments: Floats) -> Floats:
    """Return when the last reading before each moment was taken."""
    return np.asarray(START + PHASE_SECONDS + np.floor((moments - START - PHASE_SECONDS) / BEAT_SECONDS) * BEAT_SECONDS)


def beat_energies(house: House, minutes: slice) -> Mapping[str, Floats]:
    """Return what is added to each counter at each beat of the given minutes, a row of twelve for each.

    A minute's beats come after it has begun; the interval that a beat ends began 5 s before.
    """
    first, count = minutes.start, minutes.stop - minutes.start
    beats = house.seconds[first] + PHASE_SECONDS + BEAT_SECONDS * np.arange(-1, count * BEATS)
    beats = np.clip(beats, START, None)
    knots = slice(max(0, first - 1), minutes.stop + 2)

    def at_beats(values: Floats) -> Floats:
        return np.asarray(np.interp(beats, house.seconds[knots], values[knots]))

    powers = _split(*(at_beats(values) for values in (house.production, house.consumption, house.discharge)))
    hours = np.diff(beats) / 3600.0
    energies = {name: (watts[1:] + watts[:-1]) / 2.0 * hours for name, watts in powers.items()}
    energies["observed_seconds"] = np.diff(beats)
    minute = np.repeat(local_minutes(house.seconds[minutes]), BEATS)
    night = (minute >= 60 * NIGHT_BEGINS) | (minute < 60 * NIGHT_ENDS)
    energies["import_night"] = np.where(night, energies["grid_import"], 0.0)
    energies["import_day"] = np.where(night, 0.0, energies["grid_import"])
    energies["use_night"] = np.where(night, energies["consumption"], 0.0)
    energies["use_day"] = np.where(night, 0.0, energies["consumption"])
    energies["use_cost"] = (NIGHT_PRICE * energies["use_night"] + DAY_PRICE * energies["use_day"]) / 1000.0
    energies["cost"] = (NIGHT_PRICE * energies["import_night"] + DAY_PRICE * energies["import_day"]) / 1000.0
    energies["revenue"] = FEED_IN_PRICE * energies["grid_export"] / 1000.0
    for window in UNOBSERVED:
        unseen = (beats[1:] > window.begin) & (beats[:-1] < window.end)
        for values in energies.values():
            values[unseen] = 0.0
    return {name: values.reshape(count, BEATS) for name, values in energies.items()}


def _split(sun: Floats, home: Floats, battery: Floats) -> dict[str, Floats]:
    """Return the totals and the flows at some moments, by a way of its own: what comes in is shared out in order."""
    grid = home - sun - battery
    into = {"solar": sun, "battery": np.maximum(battery, 0.0), "grid": np.maximum(grid, 0.0)}
    out = {"home": home, "battery": np.maximum(-battery, 0.0), "grid": np.maximum(-grid, 0.0)}
    powers = dict(zip(TOTALS, (sun, home, into["grid"], out["grid"], out["battery"], into["battery"]), strict=True))
    left_in, left_out = dict(into), dict(out)
    for source, sink in FLOWS:
        watts = np.maximum(np.minimum(left_in[source], left_out[sink]), 0.0)
        left_in[source] = left_in[source] - watts
        left_out[sink] = left_out[sink] - watts
        powers[f"{source}_{sink}"] = watts
    return powers


def golden_counters(house: House) -> GoldenCounters:
    """Return all counters of the year."""
    chunk = 30 * 1440
    sums: dict[str, list[Floats]] = {}
    for begin in range(0, house.seconds.size - 1, chunk):
        part = slice(begin, min(begin + chunk, house.seconds.size - 1))
        for name, energies in beat_energies(house, part).items():
            sums.setdefault(name, []).append(energies.sum(axis=1))
    at_minutes = {name: np.concatenate(([0.0], np.cumsum(np.concatenate(parts)))) for name, parts in sums.items()}
    today, yesterday = _days(at_minutes)
    return GoldenCounters(at_minutes=at_minutes, today=today, yesterday=yesterday)


def _days(at_minutes: Mapping[str, Floats]) -> tuple[dict[str, Floats], dict[str, Floats]]:
    begins = [minute for _, minute in local_days()]
    today, yesterday = {}, {}
    for source, sink in FLOWS:
        name = f"{source}_{sink}"
        counter = at_minutes[name]
        running, finished = np.empty_like(counter), np.full_like(counter, np.nan)
        for begin, end, before in zip(begins, [*begins[1:], counter.size], [None, *begins[:-1]], strict=True):
            running[begin:end] = counter[begin:end] - counter[begin]
            if before is not None:
                finished[begin:end] = counter[begin] - counter[before]
        today[name], yesterday[name] = running, finished
    return today, yesterday


def counter_between(house: House, counters: GoldenCounters, name: str, window: slice) -> Floats:
    """Return a counter after each beat of the given minutes, a row of twelve for each minute."""
    energies = beat_energies(house, window)[name]
    start = counters.at_minutes[name][window]
    return np.asarray(start[:, None] + np.cumsum(energies, axis=1))
