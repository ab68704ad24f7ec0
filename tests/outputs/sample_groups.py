"""Groups as a beat makes them, and what an output finds around itself."""

import time
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path

from prometheus_client.core import Metric

from sonnen_agent.energy.counters import Counters, EnergyCounters
from sonnen_agent.energy.meter import EnergyMeter
from sonnen_agent.energy.state import MeterState
from sonnen_agent.errors import Outcome
from sonnen_agent.group import SHOWN_BEATS, Group, GroupKey
from sonnen_agent.metrics.battery import battery_families, energy_families
from sonnen_agent.outputs import Surroundings
from sonnen_agent.reading import Reading, Status
from sonnen_agent.shared_meter import NOBODY_SAW_MORE, NOTHING_KEPT, SharedMeter

INTERVAL_SECONDS = 5
NOW = 1_795_500_100.0
HOME = GroupKey(job="sonnen", instance="home")
BARN = GroupKey(job="sonnen", instance="barn")
AGENT = GroupKey(job="sonnen_agent", instance="pi")
NODE = GroupKey(job="node", instance="pi")

Sends = list[tuple[str, Outcome, int]]
"""Deliveries that were recorded: output, outcome, bytes."""


def battery_group(
    key: GroupKey = HOME,
    status: Status | None = None,
    *,
    counters: tuple[Metric, ...] | None = (),
    certain_counters: tuple[Metric, ...] = (),
    age_seconds: float = 0,
) -> Group:
    """Return the group of a battery, offline without a status."""
    reading = None
    if status is not None:
        reading = Reading(status=status, generation="v2", unix_seconds=NOW, monotonic_seconds=0)
    families = battery_families(
        reading=reading, states=None, endpoints={"status": True}, last_reading_unix_seconds=NOW, labels={}
    )
    return Group(
        key=key,
        families=tuple(families),
        counters=counters,
        certain_counters=certain_counters,
        taken_monotonic_seconds=time.monotonic() - age_seconds,
        shown_seconds=SHOWN_BEATS * INTERVAL_SECONDS,
    )


def agent_group(*families: Metric) -> Group:
    """Return a group of the agent's own."""
    return Group(key=AGENT, families=families, taken_monotonic_seconds=time.monotonic(), shown_seconds=45)


def relayed_group(page: bytes = b"a 1\n", *, age_seconds: float = 0, shown_seconds: float = 30) -> Group:
    """Return the page of another exporter as a group."""
    return Group(
        key=NODE, page=page, taken_monotonic_seconds=time.monotonic() - age_seconds, shown_seconds=shown_seconds
    )


def shared_meter(produced_watt_hours: float | None = None, *, settled: bool = True) -> SharedMeter:
    """Return a meter that has counted so much in ten seconds, or nothing."""
    state = None
    if produced_watt_hours is not None:
        energies = EnergyCounters(totals_watt_hours={"production": produced_watt_hours}, observed_seconds=10)
        state = MeterState(tally=Counters(energies=energies))
    start = NOBODY_SAW_MORE if settled else NOTHING_KEPT
    return SharedMeter(EnergyMeter(zone=UTC, state=state), lambda: NOW, start, asks=not settled)


def counters_of(meter: SharedMeter) -> tuple[Metric, ...] | None:
    """Return what a group shows of a meter."""
    totals, _ = meter.totals()
    return None if totals is None else tuple(energy_families(totals, {}))


def surroundings(
    meters: Mapping[GroupKey, SharedMeter] | None = None,
    sends: Sends | None = None,
    *,
    interval_seconds: float = INTERVAL_SECONDS,
    state_directory: Path = Path("/nowhere"),
) -> Surroundings:
    """Return an agent around an output: one with the battery `home`, unless told otherwise."""

    def record(output: str, outcome: Outcome, seconds: float, sent_bytes: int) -> None:
        del seconds
        if sends is not None:
            sends.append((output, outcome, sent_bytes))

    return Surroundings(
        interval_seconds=interval_seconds,
        state_directory=state_directory,
        meters={HOME: shared_meter()} if meters is None else meters,
        record=record,
        clock=lambda: NOW,
    )
