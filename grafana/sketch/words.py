"""Numbers as Grafana writes them, for the units that the dashboards use."""

from datetime import datetime

_SCALED = {"watt": "W", "watth": "Wh", "bytes": "B", "Bps": "B/s"}
_PLAIN = {
    "volt": " V",
    "mvolt": " mV",
    "amp": " A",
    "hertz": " Hz",
    "celsius": " °C",
    "percent": "%",
    "s": " s",
    "cpm": " cpm",
    "none": "",
}


def words(value: float, unit: str, decimals: int | None, now: datetime) -> str:
    """Return a number with its unit; a moment is told in the time zone of `now`."""
    if unit == "percentunit":
        value, unit = value * 100, "percent"
    if unit.startswith("dateTime"):
        text = _moment(value, unit, now)
    elif unit == "dtdurations" or (unit == "s" and abs(value) >= 60):
        text = _duration(value, 2)
    elif unit in _SCALED:
        text = _scaled(value, _SCALED[unit], decimals)
    elif unit == "currencyEUR":
        text = f"€{value:.{2 if decimals is None else decimals}f}"
    elif unit == "s" and 0 < abs(value) < 1:
        text = f"{_number(value * 1000, 0)} ms"
    else:
        text = _number(value, decimals) + _PLAIN[unit]
    return text


def _moment(value: float, unit: str, now: datetime) -> str:
    at = datetime.fromtimestamp(value / 1000, now.tzinfo)
    if unit == "dateTimeFromNow":
        return f"{_duration((now - at).total_seconds(), 1)} ago"
    return f"{at:%H:%M}" if "NoDate" in unit and at.date() == now.date() else f"{at:%Y-%m-%d %H:%M}"


def _scaled(value: float, unit: str, decimals: int | None) -> str:
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{_number(value / factor, decimals)} {prefix}{unit}"
    return f"{_number(value, decimals)} {unit}"


def _number(value: float, decimals: int | None) -> str:
    if decimals is None:
        size = abs(value)
        decimals = 0 if size >= 100 or value == int(value) else 1 if size >= 10 else 2
    return f"{value:.{decimals}f}"


def _duration(value: float, parts: int) -> str:
    shown: list[str] = []
    for size, name in ((31536000, "year"), (86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        count, value = divmod(value, size)
        if count and len(shown) < parts:
            shown.append(f"{count:.0f} {name}{'s' if count > 1 else ''}")
    return ", ".join(shown) or "0 seconds"
