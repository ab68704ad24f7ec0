"""What one battery told us, in our words and units. The API's own names stop at the parsers.

Every field is None (or empty) where the battery did not report a believable value: no reading
is never the same as zero. The comments name no API field; `battery/` maps them, and the
last column of docs/metrics.md is the reference.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

Endpoint = Literal["status", "powermeter", "inverter", "battery", "latestdata", "configurations"]
"""The kinds of answers a battery gives; the values of the `endpoint` label."""

Place = Literal["solar", "battery", "grid", "home"]
"""Where energy comes from or goes to."""

Phases = tuple[float | None, float | None, float | None]
"""A quantity of L1, L2 and L3."""

NO_PHASES: Phases = (None, None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The power values of one moment, and what belongs to them."""

    production_watts: float | None = None
    """PV production."""
    consumption_watts: float | None = None
    """House consumption."""
    grid_feed_in_watts: float | None = None
    """Above zero: export to the grid; below: import."""
    discharge_watts: float | None = None
    """Above zero: the battery discharges; below: it charges."""
    state_of_charge_percent: float | None = None
    """Of the whole pack."""
    usable_state_of_charge_percent: float | None = None
    """As the owner sees it, without the deep-discharge reserve."""
    backup_buffer_percent: float | None = None
    """The reserve set by the owner, on the usable scale."""
    consumption_average_watts: float | None = None
    """House consumption, mean of the last 60 s."""
    inverter_ac_volts: float | None = None
    battery_volts: float | None = None
    """DC voltage of the stack."""
    inverter_hertz: float | None = None
    apparent_output_voltamperes: Phases = NO_PHASES
    on_grid: bool | None = None
    discharge_not_allowed: bool | None = None
    operating_mode: float | None = None
    """The number as reported; new ones appear with new firmware."""
    flows: Mapping[tuple[Place, Place], bool] = field(default_factory=dict)
    """Which flows the battery says are running, as (from, to)."""
    local_time: str | None = None
    """The battery's wall clock, `YYYY-MM-DD HH:MM:SS` without a zone."""
    booting: bool = False
    """The answer's zeros are those of a battery that has not measured anything yet."""

    @property
    def power_balance_watts(self) -> float | None:
        """Production + discharge - consumption - feed-in; near zero when all clamps are right."""
        terms = (self.production_watts, self.discharge_watts, self.consumption_watts, self.grid_feed_in_watts)
        production, discharge, consumption, feed_in = terms
        if production is None or discharge is None or consumption is None or feed_in is None:
            return None
        return production + discharge - consumption - feed_in

    @property
    def has_power(self) -> bool:
        """Whether at least one of the four power values was reported."""
        terms = (self.production_watts, self.discharge_watts, self.consumption_watts, self.grid_feed_in_watts)
        return any(term is not None for term in terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """One power meter; a meter with an error has no values."""

    direction: str
    """`production` or `consumption`."""
    name: str
    """Device and channel, such as `4_1`: unique per battery."""
    error: float | None = None
    """0 is fine."""
    amperes: Phases = NO_PHASES
    volts: Phases = NO_PHASES
    """Phase to neutral."""
    watts: Phases = NO_PHASES
    total_watts: float | None = None
    imported_watt_hours: float | None = None
    """Lifetime production, or lifetime consumption: not grid import."""
    exported_watt_hours: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inverter:
    """The inverter's own measurements."""

    grid_hertz: float | None = None
    grid_volts: Phases = NO_PHASES
    temperatures: Mapping[str, float] = field(default_factory=dict)
    """Degrees Celsius by probe: `bdc`, `hmi`, `pu` (old firmware) or `max`."""
    pv_watts: float | None = None
    """DC-coupled PV."""
    microgrid_watts: float | None = None
    """Off-grid output, above zero out of the battery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """The battery modules as the battery management system sees them."""

    cycles: float | None = None
    current_amperes: float | None = None
    cell_temperature_min_celsius: float | None = None
    cell_temperature_max_celsius: float | None = None
    cell_min_volts: float | None = None
    cell_max_volts: float | None = None
    alarm: float | None = None
    """Bit field, 0 is fine."""
    warning: float | None = None
    """Bit field, 0 is fine."""
    full_charge_capacity_watt_hours: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """States of the control software, lights and faults."""

    states: Mapping[str, str] = field(default_factory=dict)
    """State by component: `bms`, `core`, `inverter`."""
    leds: Mapping[str, bool] = field(default_factory=dict)
    shutdown_reasons: Mapping[str, bool] = field(default_factory=dict)
    battery_modules: float | None = None
    seconds_since_full_charge: float | None = None
    full_charge_capacity_watt_hours: float | None = None
    utc_offset_hours: float | None = None

    @property
    def booting(self) -> bool:
        """Whether the battery says itself that its values are not ready (docs/battery-api.md 9, rule 5)."""
        return self.states.get("bms") == "not ready" or self.states.get("core") == "config"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What the battery is, as far as it tells."""

    firmware: str | None = None
    installed_capacity_watt_hours: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All that is known of one battery at one moment: a fresh status, and the slower parts that are still true."""

    status: Status
    unix_seconds: float
    """When the status arrived, by our wall clock."""
    monotonic_seconds: float
    """The same by the monotonic clock."""
    generation: str
    """How it answers: `v2`, `v1` or `eco6` (docs/battery-api.md 1)."""
    meters: tuple[Meter, ...] = ()
    inverter: Inverter = field(default_factory=Inverter)
    pack: Pack = field(default_factory=Pack)
    system: System = field(default_factory=System)
    configuration: Configuration = field(default_factory=Configuration)

    @property
    def clock_offset_seconds(self) -> float | None:
        """The battery's clock minus ours, or None while its zone is unknown; good to a second."""
        if self.system.utc_offset_hours is None or self.status.local_time is None:
            return None
        if not -12 <= self.system.utc_offset_hours <= 14:  # no zone has it
            return None
        try:
            local = datetime.strptime(self.status.local_time, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        except ValueError:
            return None
        return local.timestamp() - self.system.utc_offset_hours * 3600 - self.unix_seconds
