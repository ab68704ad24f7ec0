"""What one battery told us, in our words and units, with the metric that shows it.

Every field is None (or empty) where the battery did not report a believable value: no reading
is never the same as zero. `battery/` maps the API's fields to these; `details.py` has those of the slow endpoints.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sonnen_agent.details import NOT_CONNECTED, Configuration, Inverter, Meter, Number, Pack, Phases, System
from sonnen_agent.rows import Gauge, gauge

Endpoint = Literal["status", "powermeter", "inverter", "battery", "latestdata", "configurations"]
"""The kinds of answers a battery gives; the values of the `endpoint` label."""

Place = Literal["solar", "battery", "grid", "home"]
"""Where energy comes from or goes to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The power values of one moment, and what belongs to them."""

    production_watts: Number = gauge("sonnen_production_watts", "PV production in watts.")
    consumption_watts: Number = gauge("sonnen_consumption_watts", "Consumption of the house in watts.")
    grid_feed_in_watts: Number = gauge(
        "sonnen_grid_feed_in_watts",
        "Grid power in watts, positive for export to the grid, negative for import from it.",
    )
    discharge_watts: Number = gauge(
        "sonnen_discharge_watts", "Battery power in watts, positive while it discharges, negative while it charges."
    )
    state_of_charge_percent: Number = gauge("sonnen_state_of_charge_percent", "Charge in percent of the whole pack.")
    usable_state_of_charge_percent: Number = gauge(
        "sonnen_usable_state_of_charge_percent",
        "Charge in percent as the owner sees it, without the deep-discharge reserve.",
    )
    backup_buffer_percent: Number = gauge(
        "sonnen_backup_buffer_percent", "Reserve set by the owner, in percent of the usable charge."
    )
    consumption_average_watts: Number = gauge(
        "sonnen_consumption_average_watts", "Consumption of the house in watts, mean of the last 60 seconds."
    )
    inverter_ac_volts: Number = gauge("sonnen_inverter_ac_volts", "AC voltage at the inverter in volts.")
    battery_volts: Number = gauge("sonnen_battery_volts", "DC voltage of the battery stack in volts.")
    inverter_hertz: Number = gauge("sonnen_frequency_inverter", "AC frequency at the inverter in hertz.")
    apparent_output_voltamperes: Phases = gauge(
        "sonnen_apparent_output_voltamperes", "Apparent power of the inverter in volt-amperes, by phase.", "phase"
    )
    on_grid: bool | None = gauge("sonnen_on_grid", "1 on grid, 0 off grid.")
    discharge_not_allowed: bool | None = gauge(
        "sonnen_discharge_not_allowed",
        "1 while the battery may not discharge, such as during battery care, 0 otherwise.",
    )
    operating_mode: Number = gauge(
        "sonnen_operating_mode",
        "Operating mode as the battery numbers it: 1 manual, 2 self-consumption, 10 time of use.",
    )
    flows: Mapping[tuple[Place, Place], bool] = gauge(
        "sonnen_flow_active", "1 while the battery says that power flows this way, 0 while not.", "from", "to"
    )
    local_time: str | None = None
    """The battery's wall clock, `YYYY-MM-DD HH:MM:SS` without a zone."""
    booting: bool = False
    """The answer's zeros are those of a battery that has not measured anything yet."""
    feed_in_is_derived: bool = False
    """The battery did not tell it: it is what the other three leave, and so they always add up."""
    inverter_at_zero: bool = False
    """What the inverter measures is 0 while there is power: it is at fault (docs/battery-api.md 9)."""

    @property
    @Gauge(
        "sonnen_power_balance_watts",
        "Production + discharge - consumption - feed-in in watts; near 0 when the clamps are right.",
    )
    def power_balance_watts(self) -> Number:
        """Near zero when all clamps are right."""
        production, discharge, consumption, feed_in = self.powers
        if production is None or discharge is None or consumption is None or feed_in is None:
            return None
        return production + discharge - consumption - feed_in

    @property
    def powers(self) -> tuple[Number, Number, Number, Number]:
        """The four powers."""
        return self.production_watts, self.discharge_watts, self.consumption_watts, self.grid_feed_in_watts

    @property
    def charge_percent(self) -> Number:
        """The charge as the owner sees it, where the battery says so, else that of the whole pack."""
        usable = self.usable_state_of_charge_percent
        return self.state_of_charge_percent if usable is None else usable

    @property
    def has_power(self) -> bool:
        """Whether at least one of the four power values was reported."""
        return any(term is not None for term in self.powers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mains:
    """What the grid should be where the battery stands (mains.py); nothing until that is known."""

    nominal_volts: Number = gauge(
        "sonnen_nominal_volts",
        "Nominal voltage from phase to neutral in volts, 120 or 230, by what was read for minutes.",
    )
    nominal_hertz: Number = gauge(
        "sonnen_nominal_hertz", "Nominal frequency in hertz, 50 or 60, by what was read for minutes."
    )
    allowed_volts: Mapping[str, float] = gauge(
        "sonnen_allowed_volts", "Lowest and highest healthy voltage from phase to neutral here, in volts.", "limit"
    )
    """By `min` and `max`; the same for the hertz."""
    allowed_hertz: Mapping[str, float] = gauge(
        "sonnen_allowed_hertz", "Lowest and highest healthy frequency here, in hertz.", "limit"
    )


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
    mains: Mains = field(default_factory=Mains)

    @property
    def faults(self) -> Mapping[str, str]:
        """What the battery says of each part that is at fault, by part; what is still measured goes on."""
        said = list(self.system.faults)
        if self.status.inverter_at_zero:
            said.append(("inverter", "its volts and hertz are 0"))
        said += [
            ("meter", f"{meter.direction} {meter.name} error {meter.error:g}")
            for meter in self.meters
            if meter.error and meter.error != NOT_CONNECTED
        ]
        return {part: ", ".join(words for one, words in said if one == part) for part, _ in said}

    @property
    @Gauge(
        "sonnen_full_charge_capacity_watt_hours",
        "Energy of the pack when full, in watt-hours, as the battery measures it today.",
    )
    def full_charge_capacity_watt_hours(self) -> Number:
        """The pack's own, and else the system's."""
        capacity = self.pack.full_charge_capacity_watt_hours
        return self.system.full_charge_capacity_watt_hours if capacity is None else capacity

    @property
    @Gauge(
        "sonnen_fault",
        "1 while the battery reports this part at fault; the powers that are still measured go on.",
        "part",
    )
    def faulty_parts(self) -> Mapping[str, float]:
        """A 1 for each part that is at fault."""
        return dict.fromkeys(self.faults, 1)

    @property
    @Gauge(
        "sonnen_battery_info",
        "1; the labels say which firmware the battery runs and which API generation answers.",
        "firmware",
        "model",
        "generation",
    )
    def info(self) -> Mapping[tuple[str, str, str], float]:
        """A 1 for what the battery is."""
        # No firmware tells its model in words over the local API; the label waits for one that does.
        return {(self.configuration.firmware or "", "", self.generation): 1}

    @property
    @Gauge(
        "sonnen_clock_offset_seconds",
        "The battery's clock minus the agent's, in seconds, positive if the battery's is ahead.",
    )
    def clock_offset_seconds(self) -> Number:
        """None while the battery's zone is unknown; good to a second."""
        hours, text = self.system.utc_offset_hours, self.status.local_time
        if hours is None or text is None or not -12 <= hours <= 14:  # no zone has another
            return None
        try:
            local = datetime.fromisoformat(f"{text}Z")
        except ValueError:
            return None
        return round(local.timestamp() - hours * 3600 - self.unix_seconds, 3)
