"""What the slow endpoints of one battery told us, in our words and units, with the metric that shows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from sonnen_agent.rows import Gauge, counter, gauge

Number: TypeAlias = float | None
"""A quantity that may not be known."""

Phases: TypeAlias = tuple[Number, Number, Number]
"""A quantity of L1, L2 and L3."""

NOT_CONNECTED = 3
"""The error of a meter without clamps, which is no fault: a hybrid measures its PV inside (docs/battery-api.md 5.3)."""

_CELL_CELSIUS = "sonnen_cell_temperature_celsius", "Temperature of the coldest and the warmest cell in degrees Celsius."
_CELL_VOLTS = "sonnen_cell_volts", "Voltage of the weakest and the strongest cell in volts."


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """One power meter; a meter with an error has no values. Its series have its direction and its name as labels."""

    direction: str
    """`production` or `consumption`."""
    name: str
    """Device and channel, such as `4_1`: unique per battery."""
    amperes: Phases = gauge("sonnen_meter_current", "Current at a power meter in amperes, by phase.", "phase")
    volts: Phases = gauge("sonnen_meter_volts", "Voltage from phase to neutral at a power meter in volts.", "phase")
    watts: Phases = gauge("sonnen_meter_watts", "Power at a power meter in watts, by phase.", "phase")
    total_watts: Number = gauge("sonnen_meter_total_watts", "Power at a power meter in watts, all phases.")
    imported_watt_hours: Number = counter(
        "sonnen_meter_imported_watt_hours_total",
        "Lifetime energy of a power meter in watt-hours: all production, or all consumption of the house.",
    )
    exported_watt_hours: Number = counter(
        "sonnen_meter_exported_watt_hours_total",
        "Lifetime energy of a power meter against its direction, in watt-hours.",
    )
    error: Number = gauge(
        "sonnen_meter_error", "Error code of a power meter, 0 if it is fine; with an error it shows no values."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Inverter:
    """The inverter's own measurements."""

    grid_hertz: Number = gauge("sonnen_frequency_grid", "Grid frequency in hertz.")
    grid_volts: Phases = gauge("sonnen_grid_volts", "Grid voltage in volts, by phase.", "phase")
    temperatures: Mapping[str, float] = gauge(
        "sonnen_temperature", "Temperature inside the inverter in degrees Celsius, by probe.", "probe"
    )
    pv_watts: Number = gauge("sonnen_pv_watts", "DC-coupled PV power in watts.")
    string_watts: Mapping[str, float] = gauge(
        "sonnen_pv_string_watts", "DC-coupled PV power in watts, by string, where there are two.", "string"
    )
    microgrid_watts: Number = gauge("sonnen_microgrid_watts", "Off-grid output in watts, positive out of the battery.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """The battery modules as the battery management system sees them."""

    cycles: Number = counter("sonnen_battery_cycles_total", "Full charge cycles of the battery.")
    current_amperes: Number = gauge(
        "sonnen_battery_current_amperes", "DC current of the battery stack in amperes, sign as the battery reports it."
    )
    cell_temperature_min_celsius: Number = gauge(*_CELL_CELSIUS, at={"stat": "min"})
    cell_temperature_max_celsius: Number = gauge(*_CELL_CELSIUS, at={"stat": "max"})
    cell_min_volts: Number = gauge(*_CELL_VOLTS, at={"stat": "min"})
    cell_max_volts: Number = gauge(*_CELL_VOLTS, at={"stat": "max"})
    alarm: Number = gauge("sonnen_system_alarm", "Alarm bits of the battery, 0 if it is fine.")
    warning: Number = gauge("sonnen_system_warning", "Warning bits of the battery, 0 if it is fine.")
    state_of_health_percent: Number = gauge(
        "sonnen_state_of_health_percent", "Health of the pack in percent, where the battery tells it."
    )
    full_charge_capacity_watt_hours: Number = None


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """States of the control software, lights and faults."""

    states: Mapping[str, str] = field(default_factory=dict)
    """State by component: `bms`, `core`, `inverter`."""
    leds: Mapping[str, bool] = gauge(
        "sonnen_eclipse_led", "1 if the light on the battery's front shows this, 0 if not.", "led"
    )
    shutdown_reasons: Mapping[str, bool] = gauge(
        "sonnen_dc_shutdown_reason", "1 if the battery shut its DC side down for this reason, 0 if not.", "reason"
    )
    battery_modules: Number = gauge("sonnen_battery_modules", "Number of battery modules.")
    seconds_since_full_charge: Number = gauge(
        "sonnen_seconds_since_full_charge", "Seconds since the battery was last full."
    )
    full_charge_capacity_watt_hours: Number = None
    utc_offset_hours: Number = None

    @property
    @Gauge("sonnen_component_state", "1 for the present state of a component of the battery.", "component", "state")
    def component_states(self) -> Mapping[tuple[str, str], float]:
        """A 1 for each component and its state."""
        return dict.fromkeys(self.states.items(), 1)

    @property
    def booting(self) -> bool:
        """Whether the battery says itself that its values are not ready (docs/battery-api.md 9, rule 5)."""
        return self.states.get("core") in ("config", "init")

    @property
    def faults(self) -> tuple[tuple[str, str], ...]:
        """Each part that is at fault, with what the battery says of it."""
        states = [(part, state) for part, state in self.states.items() if "error" in state or state == "not ready"]
        shown = [reason for reason, on in self.shutdown_reasons.items() if on]
        reasons = [("bms" if "bms" in reason.lower() else "dc", reason) for reason in shown]
        ring = [("system", led) for led, on in self.leds.items() if on and "red" in led.lower()]
        return (*states, *reasons, *ring)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What the battery is, as far as it tells."""

    firmware: str | None = None
    installed_capacity_watt_hours: Number = gauge(
        "sonnen_installed_capacity_watt_hours",
        "Energy of the pack as sold, in watt-hours: modules times capacity of a module.",
    )
