"""From a JSON value to a believable quantity, or None (docs/battery-api.md 9, rules 1, 2 and 7).

Firmware sends the same quantity as int, float or string, and fills in null, "nan" or a sentinel
where it does not know. A bool is not a number.
"""

import math
import re
from collections.abc import Callable, Mapping

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_TEXT_LIMIT = 120
_GREATEST_WATTS = 1e6

Fields = Mapping[str, object]
"""A JSON object."""

Parse = Callable[[object], float | None]
"""What makes a quantity of a JSON value."""


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
    # A minus in front of nothing is gone by adding nothing.
    return quantity + 0.0 if math.isfinite(quantity) else None


def _between(low: float, high: float) -> Parse:
    def within(value: object) -> float | None:
        quantity = number(value)
        return quantity if quantity is not None and low <= quantity <= high else None

    return within


percent = _between(0, 100)
hertz = _between(40, 70)
"""A mains frequency; 0 Hz is not a reading."""
volts = _between(0, 2_000)
amperes = _between(-2_000, 2_000)
celsius = _between(-60, 150)
"""A temperature; -273.15 is a sensor that is not there."""
count = _between(0, 1e12)
"""What cannot be negative: a count, a duration, an energy meter."""


def watts(value: object) -> float | None:
    """Return a power in W or VA; 65525 and its like are small negative numbers that lost their sign.

    A cascade of batteries may have a power that is hardly less (docs/battery-api.md 10).
    """
    quantity = number(value)
    if quantity is None or abs(quantity) > _GREATEST_WATTS or 65_400 <= abs(quantity) <= 65_536:
        return None
    return quantity


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
