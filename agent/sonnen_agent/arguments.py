"""The values of the command line's options: from words to what they mean, or a complaint that names the fix."""

from argparse import ArgumentTypeError
from datetime import datetime
from ipaddress import IPv4Network


def port(text: str) -> int:
    """Return the number of a port, 0 for any free one."""
    if not text.isdecimal() or int(text) > 65535:
        raise ArgumentTypeError(f"should be a port from 0 to 65535, got {text!r}")
    return int(text)


def network(text: str) -> IPv4Network:
    """Return a network to look through."""
    try:
        found = IPv4Network(text, strict=False)
    except ValueError:
        found = None
    if found is None or found.prefixlen < 16 or found.is_global:
        raise ArgumentTypeError(
            f"should be a private IPv4 network of /16 or smaller, such as 192.168.1.0/24, got {text!r}"
        )
    return found


def speed(text: str) -> float:
    """Return how many simulated seconds a second has."""
    try:
        factor = float(text)
    except ValueError:
        factor = 0
    if not 0 < factor <= 100_000:
        raise ArgumentTypeError(f"should be a number from above 0 to 100000, got {text!r}")
    return factor


def span(text: str) -> float:
    """Return the seconds of a time such as 24h."""
    number, unit = text[:-1], text[-1:]
    seconds = int(number) * {"m": 60, "h": 3600, "d": 86_400}.get(unit, 0) if number.isdecimal() else 0
    if not 600 <= seconds <= 31 * 86_400:
        raise ArgumentTypeError(f"should be from 10m to 31d, such as 24h, got {text!r}")
    return float(seconds)


def moment(text: str) -> datetime:
    """Return a time, local where it has no zone."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"should be like 2026-06-21T06:00, got {text!r}") from None
