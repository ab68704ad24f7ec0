"""The generation on port 7979 (eco 4 to 6): letters and numbers instead of names (SONNEN_API 7)."""

from collections.abc import Mapping

from sonnen_agent.battery import values
from sonnen_agent.errors import BatteryError
from sonnen_agent.reading import Status

CODES = ("M01", "M02", "M03", "M04", "M05", "M30", "M34", "M35", "M38", "M39", "S65")
"""What a status needs, for units that answer only code by code."""
_NEVER_ALL_ZERO = ("M03", "M04", "M05", "M34", "M35")
"""Its voltages are not known; but a house without any consumption around an empty battery is not measured yet."""


def parse_codes(document: object) -> Status:
    """Return the powers from an object of codes; 65525 W and what exceeds the inverter are not readings."""
    if not isinstance(document, dict):
        raise BatteryError(
            "invalid", f"answered a JSON {type(document).__name__} where an object of codes was expected"
        )
    production = _flow(document, "M03", None)
    consumption = _flow(document, "M04", None)
    limit = values.watts(document.get("S65"))
    discharge = _difference(_flow(document, "M34", limit), _flow(document, "M35", limit))
    if discharge is None and "M34" not in document and "M35" not in document:
        discharge = _difference(_flow(document, "M01", limit), _flow(document, "M02", limit))
    feed_in = _difference(_flow(document, "M38", None), _flow(document, "M39", None))
    if feed_in is None and production is not None and discharge is not None and consumption is not None:
        feed_in = production + discharge - consumption
    return Status(
        production_watts=production,
        consumption_watts=consumption,
        grid_feed_in_watts=feed_in,
        discharge_watts=discharge,
        state_of_charge_percent=values.percent(document.get("M05")),
        usable_state_of_charge_percent=values.percent(document.get("M30")),
        booting=all(values.number(document.get(code)) == 0 for code in _NEVER_ALL_ZERO),
    )


def _flow(codes: Mapping[str, object], code: str, limit: float | None) -> float | None:
    """Return a power that cannot be negative."""
    power = values.watts(codes.get(code))
    if power is None or power < 0 or (limit and power > limit):
        return None
    return power


def _difference(out: float | None, back: float | None) -> float | None:
    return None if out is None or back is None else out - back
