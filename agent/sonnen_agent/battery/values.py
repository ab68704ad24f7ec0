"""From a JSON value to a believable quantity, or None (docs/battery-api.md 9, rules 1, 2 and 7).

Firmware sends the same quantity as int, float or string, and fills in null, "nan" or a sentinel
where it does not know. A bool is not a number.
"""

import math
import re
from collections.abc import Callable, Mapping

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_TEXT_LIMIT = 120
_LOST_SIGN_WATTS = (65_000, 65_536)
_GREATEST_WATTS = 1e6

Fields = Mapping[str, object]
"""A JSON object."""

Parse = Callable[[object], float | None]
"""One of the functions below."""


def number(value: object) -> float | None:
    """Return a finite number, also from text."""
    if isinstance(value, str):
        text = value.strip()
        value = float(text) if _NUMBER.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        quantity = float(value)
    except OverflowError:
        return None
    return quantity if math.isfinite(quantity) else None


def watts(value: object) -> float | None:
    """Return a power in W or VA; 65525 and its like are small negative numbers that lost their sign."""
    low, high = _LOST_SIGN_WATTS
    quantity = _within(value, -_GREATEST_WATTS, _GREATEST_WATTS)
    return None if quantity is None or low <= abs(quantity) <= high else quantity


def percent(value: object) -> float | None:
    """Return a percentage between 0 and 100."""
    return _within(value, 0, 100)


def hertz(value: object) -> float | None:
    """Return a mains frequency; 0 Hz is not a reading."""
    return _within(value, 40, 70)


def volts(value: object) -> float | None:
    """Return a voltage in V."""
    return _within(value, 0, 2_000)


def amperes(value: object) -> float | None:
    """Return a current in A."""
    return _within(value, -2_000, 2_000)


def celsius(value: object) -> float | None:
    """Return a temperature; -273.15 is a sensor that is not there."""
    return _within(value, -60, 150)


def count(value: object) -> float | None:
    """Return a number that cannot be negative: a count, a duration, an energy meter."""
    return _within(value, 0, 1e12)


def boolean(value: object) -> bool | None:
    """Return a truth value from true, 0/1, or their texts."""
    if isinstance(value, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower())
    return bool(value) if value in (0, 1) else None


def text(value: object) -> str | None:
    """Return printable text fit for a label value, or None when nothing is left of it."""
    if not isinstance(value, str):
        return None
    return "".join(c for c in value if c.isprintable()).strip()[:_TEXT_LIMIT] or None


def fields(value: object) -> Fields:
    """Return a JSON object, empty where there is none."""
    return value if isinstance(value, dict) else {}


def _within(value: object, low: float, high: float) -> float | None:
    quantity = number(value)
    return quantity if quantity is not None and low <= quantity <= high else None
