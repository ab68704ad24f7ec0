"""The numbers of a v2 status, by all their names: a new one is a row here for all tests that follow it."""

from typing import NamedTuple


class StatusField(NamedTuple):
    """One number on its way from the battery to the page."""

    api: str
    """What the battery calls it."""
    ours: str
    """The field of Status."""
    metric: str
    recorded: str
    """The column in the table of what a right reader makes of the recorded answers."""


STATUS_FIELDS = (
    StatusField("Production_W", "production_watts", "sonnen_production_watts", "production_w"),
    StatusField("Consumption_W", "consumption_watts", "sonnen_consumption_watts", "consumption_w"),
    StatusField(
        "Consumption_Avg", "consumption_average_watts", "sonnen_consumption_average_watts", "consumption_avg_w"
    ),
    StatusField("GridFeedIn_W", "grid_feed_in_watts", "sonnen_grid_feed_in_watts", "grid_feed_in_w"),
    StatusField("Pac_total_W", "discharge_watts", "sonnen_discharge_watts", "battery_discharge_w"),
    StatusField("RSOC", "state_of_charge_percent", "sonnen_state_of_charge_percent", "rsoc_percent"),
    StatusField("USOC", "usable_state_of_charge_percent", "sonnen_usable_state_of_charge_percent", "usoc_percent"),
    StatusField("BackupBuffer", "backup_buffer_percent", "sonnen_backup_buffer_percent", "backup_buffer_percent"),
    StatusField("Uac", "inverter_ac_volts", "sonnen_inverter_ac_volts", "ac_volts"),
    StatusField("Ubat", "battery_volts", "sonnen_battery_volts", "battery_volts"),
    StatusField("Fac", "inverter_hertz", "sonnen_frequency_inverter", "inverter_hz"),
    StatusField("OperatingMode", "operating_mode", "sonnen_operating_mode", "operating_mode"),
)

FLOWS = {
    "FlowConsumptionBattery": ("battery", "home"),
    "FlowConsumptionGrid": ("grid", "home"),
    "FlowConsumptionProduction": ("solar", "home"),
    "FlowGridBattery": ("grid", "battery"),
    "FlowProductionBattery": ("solar", "battery"),
    "FlowProductionGrid": ("solar", "grid"),
}
"""From and to of each flow that a status tells of."""
