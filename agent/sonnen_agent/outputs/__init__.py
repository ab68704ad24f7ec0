"""The ways out. Each is one module here (or a folder) with its `Options`, and one line in OUTPUTS.

    Options.read(section, secrets)   from the config file
    options.open(surroundings)       an Output, ready to start

A module is imported only where the config has its key: who only pushes has no remote write in memory.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Protocol

from sonnen_agent.config.secrets import Secrets
from sonnen_agent.config.section import Section
from sonnen_agent.errors import Outcome
from sonnen_agent.group import Group, GroupKey
from sonnen_agent.scheduler import Threads
from sonnen_agent.shared_meter import SharedMeter
from sonnen_agent.telemetry import Waiting

OUTPUTS = ("pushgateway", "remote_write", "pull")
"""The keys of the config, which are names of modules here and the values of the `sink` label."""

RecordSend = Callable[[str, Outcome, float, int], None]
"""Told of every delivery: output, outcome, duration in seconds, bytes of the body as sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retain:
    """What a stop leaves with the receiver."""

    groups: frozenset[GroupKey] = frozenset()
    """Another process goes on with these: they stay as they are."""
    unchanged: frozenset[GroupKey] = frozenset()
    """Of these, even the labels of the series will be the same."""
    returns: bool = True
    """The agent stops, to come back some day: its counters can wait there."""
    counters: bool = False
    """The counters could not be saved on this machine: the receiver has the only copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an output may need to know of the agent around it."""

    interval_seconds: float
    """The beat of the batteries."""
    state_directory: Path
    runtime_directory: Path | None = None
    """Not on the card; what is there survives the end of the process, but not that of the machine."""
    meters: Mapping[GroupKey, SharedMeter] = field(default_factory=dict)
    """The energy of each battery, by the key of its group."""
    record: RecordSend
    clock: Callable[[], float | None]
    """Tells Unix time in seconds, or None while the clock is not set."""


class Output(Protocol):
    """A way out for groups; nothing but its own threads ever waits for a network."""

    @property
    def verb(self) -> str | None:
        """What it has done with what is sent, for the status line (`pushed`); None where nothing is sent."""

    def start(self, threads: Threads) -> None:
        """Begin to deliver."""

    def put(self, group: Group) -> None:
        """Hand over what a beat has brought; never waits."""

    def waiting(self) -> Waiting | None:
        """Return what waits for the link to come back, None where nothing ever waits."""

    def stop(self, retain: Retain) -> None:
        """Begin to end: send what is to be sent, and leave with the receiver what is to be retained."""


class OutputOptions(Protocol):
    """What the config says of an output."""

    @property
    def summary(self) -> str:
        """What it does, for `check` and the log: `pushing to http://gateway.example:9091`."""

    def open(self, surroundings: Surroundings) -> Output:
        """Return the output, or raise StartError."""


def read_options(name: str, section: Section, secrets: Secrets) -> OutputOptions:
    """Return the options of one of OUTPUTS; what is wrong with them is noted in the section."""
    options: OutputOptions = import_module(f"{__name__}.{name}").Options.read(section, secrets)
    return options
