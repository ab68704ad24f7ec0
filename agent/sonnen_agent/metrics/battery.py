"""The battery group: everything that METRICS.md says of one battery.

A row's source is a snapshot. Measured rows see only the reading of an online battery; the
others are shown always.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from prometheus_client.core import Metric

from sonnen_agent.metrics.energy import ENERGY
from sonnen_agent.metrics.family import Labelled, Row, build, single
from sonnen_agent.reading import Inverter, Meter, Pack, Phases, Reading, Status, System
from sonnen_agent.snapshot import Snapshot

_PHASES = ("1", "2", "3")


def battery_families(snapshots: Iterable[Snapshot], *, with_instance: bool = False) -> Iterator[Metric]:
    """Yield the families of one group, or of several batteries on one page, then told apart by `instance`."""
    sources = tuple(
        (snapshot, {"instance": snapshot.battery, **snapshot.labels} if with_instance else snapshot.labels)
        for snapshot in snapshots
    )
    readings = tuple((snapshot.reading, labels) for snapshot, labels in sources if snapshot.reading is not None)
    systems = tuple((system, labels) for snapshot, labels in sources if (system := _states_of(snapshot)) is not None)
    energies = tuple((snapshot.energy, labels) for snapshot, labels in sources if snapshot.energy is not None)
    return chain(build(HEALTH, sources), build(STATES, systems), build(MEASURED, readings), build(ENERGY, energies))


def _states_of(snapshot: Snapshot) -> System | None:
    return snapshot.states if snapshot.reading is None else snapshot.reading.system


def _status(value: Callable[[Status], float | bool | None]) -> Callable[[Reading], Labelled]:
    return single(lambda reading: value(reading.status))


def _inverter(value: Callable[[Inverter], Labelled]) -> Callable[[Reading], Labelled]:
    return lambda reading: value(reading.inverter)


def _pack(value: Callable[[Pack], float | None]) -> Callable[[Reading], Labelled]:
    return single(lambda reading: value(reading.pack))


def _system(value: Callable[[System], float | None]) -> Callable[[Reading], Labelled]:
    return single(lambda reading: value(reading.system))


def _meters(value: Callable[[Meter], float | None]) -> Callable[[Reading], Labelled]:
    return lambda reading: (((meter.direction, meter.name), value(meter)) for meter in reading.meters)


def _meter_phases(phases: Callable[[Meter], Phases]) -> Callable[[Reading], Labelled]:
    return lambda reading: (
        ((meter.direction, phase, meter.name), value)
        for meter in reading.meters
        for phase, value in zip(_PHASES, phases(meter), strict=True)
    )


def _by_name(values: Mapping[str, float] | Mapping[str, bool]) -> Labelled:
    return (((name,), value) for name, value in values.items())


def _by_phase(phases: Phases) -> Labelled:
    return (((phase,), value) for phase, value in zip(_PHASES, phases, strict=True))


def _full_charge_capacity(reading: Reading) -> float | None:
    capacity = reading.pack.full_charge_capacity_watt_hours
    return reading.system.full_charge_capacity_watt_hours if capacity is None else capacity


def _info(reading: Reading) -> Labelled:
    # No firmware tells its model in words over the local API; the label waits for one that does.
    return (((reading.configuration.firmware or "", "", reading.generation), 1),)


HEALTH: tuple[Row[Snapshot], ...] = (
    Row(
        name="sonnen_online",
        help="1 if the last reading of the battery succeeded, 0 if it did not.",
        values=single(lambda snapshot: snapshot.reading is not None),
    ),
    Row(
        name="sonnen_endpoint_up",
        help="1 if the battery answered the last request to this endpoint, 0 if it did not.",
        labels=("endpoint",),
        values=lambda snapshot: (((endpoint,), up) for endpoint, up in snapshot.endpoints.items()),
    ),
    Row(
        name="sonnen_last_reading_timestamp_seconds",
        help="Unix time of the last good status reading, by the agent's clock.",
        values=single(lambda snapshot: snapshot.last_reading_unix_seconds),
    ),
)
"""Shown whether the battery could be read or not."""

STATES: tuple[Row[System], ...] = (
    Row(
        name="sonnen_eclipse_led",
        help="1 if the light on the battery's front shows this, 0 if not.",
        labels=("led",),
        values=lambda system: _by_name(system.leds),
    ),
    Row(
        name="sonnen_dc_shutdown_reason",
        help="1 if the battery shut its DC side down for this reason, 0 if not.",
        labels=("reason",),
        values=lambda system: _by_name(system.shutdown_reasons),
    ),
    Row(
        name="sonnen_component_state",
        help="1 for the present state of a component of the battery.",
        labels=("component", "state"),
        values=lambda system: (((component, state), 1) for component, state in system.states.items()),
    ),
)
"""What a battery says of itself is true while it is starting, too; its numbers are not."""

MEASURED: tuple[Row[Reading], ...] = (
    Row(
        name="sonnen_production_watts",
        help="PV production in watts.",
        values=_status(lambda status: status.production_watts),
    ),
    Row(
        name="sonnen_consumption_watts",
        help="Consumption of the house in watts.",
        values=_status(lambda status: status.consumption_watts),
    ),
    Row(
        name="sonnen_grid_feed_in_watts",
        help="Grid power in watts, positive for export to the grid, negative for import from it.",
        values=_status(lambda status: status.grid_feed_in_watts),
    ),
    Row(
        name="sonnen_discharge_watts",
        help="Battery power in watts, positive while it discharges, negative while it charges.",
        values=_status(lambda status: status.discharge_watts),
    ),
    Row(
        name="sonnen_state_of_charge_percent",
        help="Charge in percent of the whole pack.",
        values=_status(lambda status: status.state_of_charge_percent),
    ),
    Row(
        name="sonnen_usable_state_of_charge_percent",
        help="Charge in percent as the owner sees it, without the deep-discharge reserve.",
        values=_status(lambda status: status.usable_state_of_charge_percent),
    ),
    Row(
        name="sonnen_backup_buffer_percent",
        help="Reserve set by the owner, in percent of the usable charge.",
        values=_status(lambda status: status.backup_buffer_percent),
    ),
    Row(
        name="sonnen_consumption_average_watts",
        help="Consumption of the house in watts, mean of the last 60 seconds.",
        values=_status(lambda status: status.consumption_average_watts),
    ),
    Row(
        name="sonnen_inverter_ac_volts",
        help="AC voltage at the inverter in volts.",
        values=_status(lambda status: status.inverter_ac_volts),
    ),
    Row(
        name="sonnen_battery_volts",
        help="DC voltage of the battery stack in volts.",
        values=_status(lambda status: status.battery_volts),
    ),
    Row(
        name="sonnen_frequency_inverter",
        help="AC frequency at the inverter in hertz.",
        values=_status(lambda status: status.inverter_hertz),
    ),
    Row(
        name="sonnen_apparent_output_voltamperes",
        help="Apparent power of the inverter in volt-amperes, by phase.",
        labels=("phase",),
        values=lambda reading: _by_phase(reading.status.apparent_output_voltamperes),
    ),
    Row(
        name="sonnen_on_grid",
        help="1 on grid, 0 off grid.",
        values=_status(lambda status: status.on_grid),
    ),
    Row(
        name="sonnen_discharge_not_allowed",
        help="1 while the battery may not discharge, such as during battery care, 0 otherwise.",
        values=_status(lambda status: status.discharge_not_allowed),
    ),
    Row(
        name="sonnen_operating_mode",
        help="Operating mode as the battery numbers it: 1 manual, 2 self-consumption, 10 time of use.",
        values=_status(lambda status: status.operating_mode),
    ),
    Row(
        name="sonnen_flow_active",
        help="1 while the battery says that power flows this way, 0 while not.",
        labels=("from", "to"),
        values=lambda reading: reading.status.flows.items(),
    ),
    Row(
        name="sonnen_power_balance_watts",
        help="Production + discharge - consumption - feed-in in watts; near 0 when the clamps are right.",
        values=_status(lambda status: status.power_balance_watts),
    ),
    Row(
        name="sonnen_meter_current",
        help="Current at a power meter in amperes, by phase.",
        labels=("direction", "phase", "meter"),
        values=_meter_phases(lambda meter: meter.amperes),
    ),
    Row(
        name="sonnen_meter_volts",
        help="Voltage from phase to neutral at a power meter in volts.",
        labels=("direction", "phase", "meter"),
        values=_meter_phases(lambda meter: meter.volts),
    ),
    Row(
        name="sonnen_meter_watts",
        help="Power at a power meter in watts, by phase.",
        labels=("direction", "phase", "meter"),
        values=_meter_phases(lambda meter: meter.watts),
    ),
    Row(
        name="sonnen_meter_total_watts",
        help="Power at a power meter in watts, all phases.",
        labels=("direction", "meter"),
        values=_meters(lambda meter: meter.total_watts),
    ),
    Row(
        name="sonnen_meter_imported_watt_hours_total",
        kind="counter",
        help="Lifetime energy of a power meter in watt-hours: all production, or all consumption of the house.",
        labels=("direction", "meter"),
        values=_meters(lambda meter: meter.imported_watt_hours),
    ),
    Row(
        name="sonnen_meter_exported_watt_hours_total",
        kind="counter",
        help="Lifetime energy of a power meter against its direction, in watt-hours.",
        labels=("direction", "meter"),
        values=_meters(lambda meter: meter.exported_watt_hours),
    ),
    Row(
        name="sonnen_meter_error",
        help="Error code of a power meter, 0 if it is fine; with an error it shows no values.",
        labels=("direction", "meter"),
        values=_meters(lambda meter: meter.error),
    ),
    Row(
        name="sonnen_frequency_grid",
        help="Grid frequency in hertz.",
        values=_inverter(lambda inverter: (((), inverter.grid_hertz),)),
    ),
    Row(
        name="sonnen_grid_volts",
        help="Grid voltage in volts, by phase.",
        labels=("phase",),
        values=_inverter(lambda inverter: _by_phase(inverter.grid_volts)),
    ),
    Row(
        name="sonnen_temperature",
        help="Temperature inside the inverter in degrees Celsius, by probe.",
        labels=("probe",),
        values=_inverter(lambda inverter: _by_name(inverter.temperatures)),
    ),
    Row(
        name="sonnen_pv_watts",
        help="DC-coupled PV power in watts.",
        values=_inverter(lambda inverter: (((), inverter.pv_watts),)),
    ),
    Row(
        name="sonnen_microgrid_watts",
        help="Off-grid output in watts, positive out of the battery.",
        values=_inverter(lambda inverter: (((), inverter.microgrid_watts),)),
    ),
    Row(
        name="sonnen_battery_cycles_total",
        kind="counter",
        help="Full charge cycles of the battery.",
        values=_pack(lambda pack: pack.cycles),
    ),
    Row(
        name="sonnen_battery_current_amperes",
        help="DC current of the battery stack in amperes, sign as the battery reports it.",
        values=_pack(lambda pack: pack.current_amperes),
    ),
    Row(
        name="sonnen_cell_temperature_celsius",
        help="Temperature of the coldest and the warmest cell in degrees Celsius.",
        labels=("stat",),
        values=lambda reading: (
            (("min",), reading.pack.cell_temperature_min_celsius),
            (("max",), reading.pack.cell_temperature_max_celsius),
        ),
    ),
    Row(
        name="sonnen_cell_volts",
        help="Voltage of the weakest and the strongest cell in volts.",
        labels=("stat",),
        values=lambda reading: (
            (("min",), reading.pack.cell_min_volts),
            (("max",), reading.pack.cell_max_volts),
        ),
    ),
    Row(
        name="sonnen_system_alarm",
        help="Alarm bits of the battery, 0 if it is fine.",
        values=_pack(lambda pack: pack.alarm),
    ),
    Row(
        name="sonnen_system_warning",
        help="Warning bits of the battery, 0 if it is fine.",
        values=_pack(lambda pack: pack.warning),
    ),
    Row(
        name="sonnen_full_charge_capacity_watt_hours",
        help="Energy of the pack when full, in watt-hours, as the battery measures it today.",
        values=single(_full_charge_capacity),
    ),
    Row(
        name="sonnen_installed_capacity_watt_hours",
        help="Energy of the pack as sold, in watt-hours: modules times capacity of a module.",
        values=single(lambda reading: reading.configuration.installed_capacity_watt_hours),
    ),
    Row(
        name="sonnen_battery_modules",
        help="Number of battery modules.",
        values=_system(lambda system: system.battery_modules),
    ),
    Row(
        name="sonnen_seconds_since_full_charge",
        help="Seconds since the battery was last full.",
        values=_system(lambda system: system.seconds_since_full_charge),
    ),
    Row(
        name="sonnen_battery_info",
        help="1; the labels say which firmware the battery runs and which API generation answers.",
        labels=("firmware", "model", "generation"),
        values=_info,
    ),
    Row(
        name="sonnen_clock_offset_seconds",
        help="The battery's clock minus the agent's, in seconds, positive if the battery's is ahead.",
        values=single(lambda reading: reading.clock_offset_seconds),
    ),
)
"""Shown only while they are true: from a reading of this beat."""
