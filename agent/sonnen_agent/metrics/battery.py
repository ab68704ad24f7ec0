"""The group of a battery: whether it answers, what it says of itself, what was measured, and what was counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from prometheus_client.core import Metric

from sonnen_agent.details import Configuration, Inverter, Meter, Pack, System
from sonnen_agent.energy.totals import EnergyTotals
from sonnen_agent.group import Group
from sonnen_agent.metrics.exposition import COUNTED_DECIMALS, Family, Known, Sources, families
from sonnen_agent.reading import Endpoint, Mains, Reading, Status
from sonnen_agent.rows import Gauge, Rows, gauge, rows_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What is shown whether the battery could be read or not."""

    online: bool | None = gauge("sonnen_online", "1 if the last reading of the battery succeeded, 0 if it did not.")
    endpoints: Mapping[Endpoint, bool] = gauge(
        "sonnen_endpoint_up",
        "1 if the battery answered the last request to this endpoint, 0 if it did not.",
        "endpoint",
    )
    last_reading_unix_seconds: float | None = gauge(
        "sonnen_last_reading_timestamp_seconds", "Unix time of the last good status reading, by the agent's clock."
    )


HEALTH = rows_of(Health)
PUSH_INTERVAL = Gauge(
    "sonnen_push_interval_seconds",
    "Seconds between two pushes of a battery, where these are more than 15: its values are old after three of them.",
)
"""An output's own, `outputs/pace.py`."""
STATUS, METER, INVERTER, PACK, CONFIGURATION, MAINS = map(
    rows_of, (Status, Meter, Inverter, Pack, Configuration, Mains)
)
# What a battery says of itself is true while it is starting, too; its numbers are not.
STATES = tuple((field, row) for field, row in rows_of(System) if row.labels)
SYSTEM = tuple((field, row) for field, row in rows_of(System) if not row.labels)
# A page has the capacities of a battery side by side.
CAPACITY, REST = rows_of(Reading)[:1], rows_of(Reading)[1:]
ENERGY = rows_of(EnergyTotals)

METER_LABELS = ("direction", "meter")
"""The labels of a meter's series beside those of its rows."""

_MEASURED = (*STATUS, *METER, *INVERTER, *PACK, *CAPACITY, *CONFIGURATION, *SYSTEM, *REST, *MAINS)
BATTERY = (*HEALTH, *STATES, *_MEASURED, ("seconds", PUSH_INTERVAL))
"""Everything but the energy, in the order of the page."""

BATTERY_LABELS = frozenset(("job", "instance", *METER_LABELS)).union(
    *((*row.labels, *row.at) for _, row in (*BATTERY, *ENERGY))
)
"""All label names of a battery's series."""


def battery_families(  # noqa: PLR0913 - a group has these parts
    *,
    reading: Reading | None,
    states: System | None,
    endpoints: Mapping[Endpoint, bool],
    last_reading_unix_seconds: float | None,
    labels: Mapping[str, str],
    known: Known | None = None,
) -> tuple[Metric, ...]:
    """Return everything but the energy; `states` is what a starting battery says of itself, without a reading.

    `known` is a place to remember families in, for the next call.
    """
    known = known or Known()

    def of(rows: Rows, part: object, sources: Sources = ()) -> Sequence[Metric]:
        (_, first), *_ = rows
        before, found = known.parts.get(first, (None, ()))
        if before is not part:
            found = families(rows, sources or [(part, labels)], known=known)
            known.parts[first] = part, found
        return found

    online = reading is not None
    health = Health(online=online, endpoints=endpoints, last_reading_unix_seconds=last_reading_unix_seconds)
    if reading is None:
        return (*of(HEALTH, health), *(() if states is None else of(STATES, states)))
    meters = ((meter, {**labels, "direction": meter.direction, "meter": meter.name}) for meter in reading.meters)
    return (
        *of(HEALTH, health),
        *of(STATES, reading.system),
        *of(STATUS, reading.status),
        *of(METER, reading.meters, meters),
        *of(INVERTER, reading.inverter),
        *of(PACK, reading.pack),
        *of(CAPACITY, reading),
        *of(CONFIGURATION, reading.configuration),
        *of(SYSTEM, reading.system),
        *of(REST, reading),
        *of(MAINS, reading.mains),
    )


def energy_families(totals: EnergyTotals, labels: Mapping[str, str], known: Known | None = None) -> tuple[Metric, ...]:
    """Return what was counted, which is shown while the battery is offline, too."""
    return tuple(families(ENERGY, [(totals, labels)], decimals=COUNTED_DECIMALS, known=known))


def offline(group: Group, *, stopped: bool = False) -> Group:
    """Return what may be shown of a battery whose loop is late: nothing measured.

    When the agent has `stopped`, nobody knows of its endpoints any more, either.
    """
    (_, online), (_, endpoint_up), *others = HEALTH
    kept = {row.name for _, row in others} | (set() if stopped else {endpoint_up.name})
    shown: list[Metric] = []
    for family in group.families:
        if family.name == online.name:
            shown.append(Family(online, [sample._replace(value=0.0) for sample in family.samples]))
        elif family.name in kept:
            shown.append(family)
    return replace(group, families=tuple(shown))
