"""The command line's options, and their values: from words to what they mean, or a complaint that names the fix."""

import logging
from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime
from ipaddress import IPv4Network
from pathlib import Path

from sonnen_agent import __version__


def parser(default_config: Path) -> ArgumentParser:
    """Return what reads a command line: its `command` is a name, `level` that of the log."""
    whole = ArgumentParser(
        prog="sonnen-agent", description="Pushes a Sonnen home battery's readings to a Prometheus Pushgateway."
    )
    whole.add_argument("--version", action="version", version=f"sonnen-agent {__version__}")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, text: str, *, with_config: bool = True) -> ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        # What the parts log, doctor and setup say themselves.
        added.set_defaults(command=name, level=logging.CRITICAL if name in ("doctor", "setup") else logging.INFO)
        added.add_argument("--verbose", action="store_true", help="log what is done, not only what changes")
        if with_config:
            where = f"the config file (default: $SONNEN_AGENT_CONFIG, else {default_config})"
            added.add_argument("--config", type=Path, metavar="FILE", help=where)
        return added

    add("run", "read and deliver until stopped")
    add("once", "read every battery once and print what would be pushed")
    add("watch", "show every battery on one screen, redrawn at every beat, until Ctrl-C")
    add("check", "validate the config and name every problem")
    ledger = add("ledger", "print the energy of finished days, months or years")
    ledger.add_argument("--by", choices=("day", "month", "year"), default="day")
    ledger.add_argument("--format", choices=("table", "csv", "openmetrics"), default="table")
    doctor = add("doctor", "look at the whole way and name what is wrong, with its fix")
    doctor.add_argument("--prometheus", metavar="URL", help="look at this Prometheus, too")
    doctor.add_argument("--grafana", metavar="URL", help="look at this Grafana, too")
    doctor.add_argument("--json", action="store_true", help="print JSON, for programs")
    setup = add("setup", "ask for battery, token and gateway, try them, and write config and secrets")
    setup.add_argument("--yes", action="store_true", help="ask nothing; for scripts")
    setup.add_argument("--battery", metavar="URL", help="where the battery's web page is")
    setup.add_argument("--token-file", type=Path, metavar="F", help="the file that holds its API token")
    setup.add_argument("--gateway", metavar="URL", help="where the Pushgateway is")
    discover = add("discover", "find batteries on the networks of this machine")
    network_help = "where to look (default: the networks of this machine up to a /22); may be given several times"
    discover.add_argument("--network", type=_network, action="append", metavar="CIDR", help=network_help)
    verify = add("verify", "compare the energy that Prometheus, the agent and the battery tell of a time")
    where = "where Prometheus is; http://NAME@host where it asks for a login"
    verify.add_argument("--prometheus", required=True, metavar="URL", help=where)
    verify.add_argument(
        "--range", type=_span, default="24h", metavar="TIME", help="10m to 31d until now (default: 24h)"
    )
    verify.add_argument("--password-file", type=Path, metavar="FILE", help="default: prometheus-password in secrets/")
    verify.add_argument("--bearer-token-file", type=Path, metavar="FILE", help="instead of a name and a password")
    verify.add_argument("--ca-file", type=Path, metavar="FILE", help="a private certificate authority's")
    add("dump", "print the raw answers of the batteries, redacted, for a bug report")
    simulate = add("simulate", "serve a simulated house with a battery", with_config=False)
    simulate.add_argument("--port", type=_port, default=8080, metavar="N", help="0 takes a free one (default: 8080)")
    simulate.add_argument("--generation", choices=("eco8", "sb10", "evo", "eco6"), default="sb10")
    simulate.add_argument(
        "--grid", choices=("eu", "us", "au"), default="eu", help="volts, hertz, sun and clock of there"
    )
    simulate.add_argument("--seed", type=int, default=1, metavar="N", help="another seed is another weather")
    simulate.add_argument("--speed", type=_speed, default=1.0, metavar="X", help="simulated seconds per second")
    simulate.add_argument("--start", type=_moment, metavar="ISO8601", help="the simulated time at the start")
    simulate.add_argument("--token", metavar="T", help="the API token to ask for (default: any)")
    simulate.add_argument("--replay", type=Path, metavar="FILE", help="serve the answers of this dump instead")
    return whole


def _port(text: str) -> int:
    """Return the number of a port, 0 for any free one."""
    if not text.isdecimal() or int(text) > 65535:
        raise ArgumentTypeError(f"should be a port from 0 to 65535, got {text!r}")
    return int(text)


def _network(text: str) -> IPv4Network:
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


def _speed(text: str) -> float:
    """Return how many simulated seconds a second has."""
    try:
        factor = float(text)
    except ValueError:
        factor = 0
    if not 0 < factor <= 100_000:
        raise ArgumentTypeError(f"should be a number from above 0 to 100000, got {text!r}")
    return factor


def _span(text: str) -> float:
    """Return the seconds of a time such as 24h."""
    number, unit = text[:-1], text[-1:]
    seconds = int(number) * {"m": 60, "h": 3600, "d": 86_400}.get(unit, 0) if number.isdecimal() else 0
    if not 600 <= seconds <= 31 * 86_400:
        raise ArgumentTypeError(f"should be from 10m to 31d, such as 24h, got {text!r}")
    return float(seconds)


def _moment(text: str) -> datetime:
    """Return a time, local where it has no zone."""
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        told = None
    # Time goes on from there, fast perhaps, and no calendar goes beyond the year 9999.
    if told is None or not 1970 < told.year < 2200:
        raise ArgumentTypeError(f"should be like 2026-06-21T06:00, got {text!r}")
    return told
