"""The time zone whose midnight ends a day."""

from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from sonnen_agent.config.section import Section, nearest

_SYSTEM_ZONE = Path("/etc/localtime")


def read_timezone(section: Section, key: str) -> str | None:
    """Return the name of a zone that exists, or None where the key is absent."""
    name = section.text(key)
    if name is None:
        return None
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        guess = nearest(name, available_timezones())
        section.problem(key, f"no such time zone, got {name!r}; {guess}write for example Europe/Berlin")
        return None
    return name


def zone_named(name: str | None, system_zone: Path = _SYSTEM_ZONE) -> tzinfo:
    """Return a zone by its name; without one, that of this machine, and UTC where it has none."""
    if name is not None:
        return ZoneInfo(name)
    try:
        with system_zone.open("rb") as data:
            return ZoneInfo.from_file(data)
    except (OSError, ValueError):
        return UTC
