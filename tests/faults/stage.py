"""A real agent among peers of which several misbehave at a time, and the records from which each fault is judged."""

import json
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from houses import HouseBattery
from limits import Footprint
from programs import PATIENCE_SECONDS, ServerError, wait_until
from servers import Agent

_UNIT = Path(__file__).parents[2] / "systemd/sonnen-agent.service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A point in the course of a stage."""

    unix_seconds: float
    log_lines: int
    """Of the agent, up to here."""


def battery_config(name: str, battery: HouseBattery, folder: Path) -> str:
    """Return a battery's entry of the config, whose token goes to a file in the folder."""
    file = folder / f"{battery.port}.token"
    file.touch(mode=0o600)
    file.write_text(battery.house.token)
    return f"  - {{name: {json.dumps(name)}, url: {battery.url}, token_file: {file.name}}}\n"


def config(batteries: Iterable[str], *more: str) -> str:
    """Return the config of an agent with a beat of a second."""
    return f"interval_seconds: 1\nbatteries:\n{''.join(batteries)}" + "".join(f"{part}\n" for part in more)


def agent_of(file: Path, text: str, **environment: str) -> Agent:
    """Return an agent with the environment that the unit gives it, not started yet."""
    file.write_text(text)
    of_the_unit = re.findall(r"^Environment=(\w+)=(\S*)$", _UNIT.read_text(), re.MULTILINE)
    return Agent(file, environment={**dict(of_the_unit), **environment})


def log_lines(agent: Agent) -> list[str]:
    """Return the lines of its log, each as whoever reads a journal gets it."""
    return agent.log_file.read_bytes().decode("utf-8", "replace").split("\n")[:-1]


def moment(agent: Agent) -> Moment:
    return Moment(unix_seconds=time.time(), log_lines=len(log_lines(agent)))


def settles(measure: Callable[[], list[str]], *, seconds: float = PATIENCE_SECONDS) -> list[str]:
    """Return the problems that are left when they are all gone, or when that takes too long."""
    try:
        wait_until(lambda: not measure(), "settling", seconds=seconds, pause_seconds=0.5)
    except ServerError:
        return measure()
    return []


def footprint_problems(agent: Agent, before: Footprint) -> list[str]:
    """Return what the agent still has more than it had before, once it has had time to tidy up."""
    return settles(lambda: Footprint.of(agent.pid).problems(before), seconds=15)
