"""Judges whether a reading can be true, before it becomes energy, money or a gauge (docs/battery-api.md 9, rule 8).

The four powers of a status are of one moment: production + discharge - consumption - feed-in is within some watts of 0,
whatever a house switches on. So a power that leaps while the others stand still is a mistake of the battery's, of any
size from some hundred watts on, and a leap that the others share is a load. Where there is no balance, since a power is
missing or follows from the others, only the scale of the house tells: what was seen within the last days.

A house of which the powers never add up has a clamp missing or turned. That is told once, and what is known is counted.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import compress
from typing import Final, Literal

from sonnen_agent.details import NOT_CONNECTED
from sonnen_agent.energy.counters import Power
from sonnen_agent.reading import Reading, Status

Reason = Literal["spike", "balance", "frozen", "meter_error"]
"""Why a reading is no energy."""
REASONS: Final[tuple[Reason, ...]] = ("spike", "balance", "frozen", "meter_error")

_POWERS: Final[tuple[Power, ...]] = ("production_watts", "discharge_watts", "consumption_watts", "grid_feed_in_watts")
"""In the order of `Status.powers`."""
_OFF_WATTS, _OFF_SHARE = 1500.0, 0.25
"""Out of balance by more than this, and this share of the greatest power, is more than losses and clamps explain."""
_LEAP, _LEAST_WATTS, _LEAST_LEAP_WATTS = 8.0, 100.0, 500.0
"""So many times the power of before, or of these watts, is a leap, if it takes the balance along by more than these."""
_SCALE, _BLIND_WATTS, _SITE_WATTS, _GREATEST_WATTS = 10.0, 30e3, 100e3, 250e3
"""Times the greatest power seen: without a balance, with one, and what no site of such batteries has at all."""
_IDLE_HOUSE_WATTS = 50.0
"""A house that draws exactly 0 W while more than this goes into it is not measured."""
_HALF_LIFE_SECONDS = 2 * 86_400.0
_REMEMBERED_SECONDS = 600.0
"""Older powers are not those of before a leap."""
_LASTING_SECONDS, _LASTING_READINGS = 120.0, 5
"""A leap in balance that lasts is a load; spikes last for one or two beats."""
_FOR_GOOD_SECONDS = 300.0
"""Powers that do not add up for so long never did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is left of a reading."""

    reading: Reading
    """With those of its values that can be true."""
    refused: Reason | None = None
    """Why it is not counted, or not all of it."""
    is_counted: bool = True
    """Whether what is left of it is energy."""
    trouble: str = ""
    """Its kind, for the log."""
    words: str = ""
    """What is wrong, for a person."""


class _Lasting:
    """For how long something has been so, over how many readings."""

    def __init__(self) -> None:
        self.since: float | None = None
        self.readings = 0

    def holds(self, holds: bool, now: float) -> "_Lasting":
        """Take note of whether it is so now."""
        if not holds:
            self.since, self.readings = None, 0
        else:
            self.since = now if self.since is None else self.since
            self.readings += 1
        return self

    def for_seconds(self, seconds: float, now: float) -> bool:
        """Return whether it has been so for that long."""
        return self.since is not None and now - self.since >= seconds and self.readings >= _LASTING_READINGS


class Judge:
    """Remembers of one battery what its house is like."""

    def __init__(self) -> None:
        self._last: Status | None = None
        """The latest that could be true, and when."""
        self._last_at = -math.inf
        self._greatest_watts = 0.0
        self._leaping, self._off, self._balanced = _Lasting(), _Lasting(), _Lasting()
        self._never_adds_up = False
        self._house_is_unknown = False
        self._measured_elsewhere: set[str] = set()
        """The directions whose meter is not connected, and whose power lives all the same."""

    def judge(self, reading: Reading) -> Verdict:
        """Return what can be true of a reading, and whether it is energy."""
        unmeasured = self._unmeasured(reading)
        status = _without(reading.status, unmeasured)
        balance = None if status.on_grid is False else status.power_balance_watts
        if status.inverter_at_zero and status.discharge_watts == 0 and _is_off(status, balance):
            status, balance = _without(status, ["discharge_watts"]), None
        now = reading.monotonic_seconds
        if spikes := self._beyond_scale(status, balance, now):
            return self._spike(reading, status, spikes)
        status, balance = self._without_unknown_house(status, balance)
        if not self._never_adds_up and (spikes := self._leaps(status, balance, now)):
            self._off.holds(True, now)
            return self._spike(reading, status, spikes)
        off = self._off.holds(_is_off(status, balance), now)
        self._learn(status, balance, now)
        if off.since is not None and not self._never_adds_up:
            words = f"production + discharge - consumption - feed-in is {balance:.0f} W, and should be 0"
            return self._verdict(reading, status, "balance", words)
        self._remember(status, now)
        if unmeasured:
            words = f"the meters are in error: {_named(unmeasured)} unknown, and not counted"
            return replace(self._verdict(reading, status, "meter_error", words), is_counted=True)
        trouble, words = "", ""
        if self._house_is_unknown:
            trouble = "no consumption"
            words = "consumption reads 0 W while power goes into the house: its clamp is missing; the rest is counted"
        elif self._never_adds_up:
            trouble = "never adds up"
            words = "the four powers do not add up: a clamp is missing, or turned; they are counted as they are"
        return Verdict(reading=_with(reading, status), trouble=trouble, words=words)

    def _unmeasured(self, reading: Reading) -> list[Power]:
        """Return the powers that are 0 W only because their meters are in error."""
        status, found = reading.status, list[Power]()
        for direction, power in (("production", status.production_watts), ("consumption", status.consumption_watts)):
            errors = {meter.error for meter in reading.meters if meter.direction == direction and meter.error}
            if NOT_CONNECTED not in errors:
                self._measured_elsewhere.discard(direction)
            elif power:
                self._measured_elsewhere.add(direction)
            if power == 0 and errors and not (errors == {NOT_CONNECTED} and direction in self._measured_elsewhere):
                found.append("production_watts" if direction == "production" else "consumption_watts")
        # No meter measures the grid: its power is what the others leave.
        if "consumption_watts" in found and status.grid_feed_in_watts == 0:
            found.append("grid_feed_in_watts")
        return found

    def _beyond_scale(self, status: Status, balance: float | None, now: float) -> list[Power]:
        """Return the powers that are too great for this house."""
        blind = balance is None or status.feed_in_is_derived or self._never_adds_up or self._house_is_unknown
        limit = _GREATEST_WATTS
        if self._greatest_watts:
            limit = min(limit, max(_BLIND_WATTS if blind else _SITE_WATTS, _SCALE * self._greatest_watts))
        found = list(compress(_POWERS, (power is not None and abs(power) > limit for power in status.powers)))
        lasts = self._leaping.holds(bool(found), now).for_seconds(_LASTING_SECONDS, now)
        possible = all(power is None or abs(power) <= _GREATEST_WATTS for power in status.powers)
        return [] if lasts and possible and not _is_off(status, balance) else found

    def _without_unknown_house(self, status: Status, balance: float | None) -> tuple[Status, float | None]:
        """Return a status without the consumption of a house that nobody measures."""
        if status.consumption_watts != 0:
            self._house_is_unknown = False
            return status, balance
        self._house_is_unknown |= balance is not None and balance > _IDLE_HOUSE_WATTS
        return (_without(status, ["consumption_watts"]), None) if self._house_is_unknown else (status, balance)

    def _leaps(self, status: Status, balance: float | None, now: float) -> list[Power]:
        """Return the power that has leapt alone, and taken the balance along."""
        if balance is None or abs(balance) < _LEAST_LEAP_WATTS:
            return []
        known = self._last is not None and now - self._last_at <= _REMEMBERED_SECONDS
        powers = [power or 0.0 for power in status.powers]
        before = [power or 0.0 for power in self._last.powers] if self._last is not None and known else powers
        was = (self._last.power_balance_watts or 0.0) if self._last is not None and known else 0.0
        for name, sign, power, usual in zip(_POWERS, (1, 1, -1, -1), powers, before, strict=True):
            others = max(abs(one) for other, one in zip(_POWERS, powers, strict=True) if other != name)
            least = _LEAST_WATTS if known else _LEAST_LEAP_WATTS
            moved = power - usual if known else power
            alone = abs(balance - was - sign * moved) <= 0.2 * abs(moved)
            if alone and abs(power) >= _LEAP * max(abs(usual) if known else others, least):
                return [name]
        return []

    def _learn(self, status: Status, balance: float | None, now: float) -> None:
        """Find out whether the powers of this house ever add up."""
        if self._off.for_seconds(_FOR_GOOD_SECONDS, now):
            self._never_adds_up = True
        balanced = self._balanced.holds(balance is not None and not _is_off(status, balance), now)
        if balanced.for_seconds(_HALF_LIFE_SECONDS, now):
            self._never_adds_up = False

    def _remember(self, status: Status, now: float) -> None:
        faded = self._greatest_watts
        if math.isfinite(self._last_at):
            faded *= 0.5 ** ((now - self._last_at) / _HALF_LIFE_SECONDS) if now > self._last_at else 1.0
        self._greatest_watts = max(faded, *(abs(power or 0.0) for power in status.powers))
        self._last, self._last_at = status, now

    def _spike(self, reading: Reading, status: Status, spikes: list[Power]) -> Verdict:
        readings = ", ".join(f"{_named([power])} {getattr(status, power):.0f} W" for power in spikes)
        words = f"{readings}: the battery's other powers do not know of it, or no such house is"
        return self._verdict(reading, _without(status, spikes), "spike", words)

    def _verdict(self, reading: Reading, status: Status, reason: Reason, words: str) -> Verdict:
        shown = _with(reading, status)
        return Verdict(reading=shown, refused=reason, is_counted=False, trouble=reason, words=words)


def _is_off(status: Status, balance: float | None) -> bool:
    greatest = max(abs(power or 0.0) for power in status.powers)
    return balance is not None and abs(balance) > _OFF_WATTS + _OFF_SHARE * greatest


def _without(status: Status, powers: Iterable[Power]) -> Status:
    unknown = dict.fromkeys(powers)
    return replace(status, **unknown) if unknown else status  # type: ignore[arg-type]  # each of them may be None


def _with(reading: Reading, status: Status) -> Reading:
    return reading if status is reading.status else replace(reading, status=status)


def _named(powers: Iterable[Power]) -> str:
    return ", ".join(power.removesuffix("_watts").replace("_", " ") for power in powers)
