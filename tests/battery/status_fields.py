"""A v2 status by all its names: what a new field needs in the tests stands here, and in the golden page."""

from typing import Any, NamedTuple

from sonnen_agent.reading import Status

RAW_STATUS: dict[str, Any] = {
    "Apparent_output": 1206,
    "BackupBuffer": "10",
    "BatteryCharging": True,
    "BatteryDischarging": False,
    "Consumption_Avg": 911,
    "Consumption_W": 902,
    "Fac": 50.012,
    "FlowConsumptionBattery": False,
    "FlowConsumptionGrid": False,
    "FlowConsumptionProduction": True,
    "FlowGridBattery": False,
    "FlowProductionBattery": True,
    "FlowProductionGrid": False,
    "GridFeedIn_W": 303,
    "IsSystemInstalled": 1,
    "OperatingMode": "2",
    "Pac_total_W": -804.25,
    "Production_W": 2001.5,
    "RSOC": 61,
    "RemainingCapacity_Wh": 4321,
    "Sac1": 401,
    "Sac2": 402,
    "Sac3": 403,
    "SystemStatus": "OnGrid",
    "Timestamp": "2024-06-20 12:00:02",
    "USOC": 58,
    "Uac": 231,
    "Ubat": 212,
    "dischargeNotAllowed": False,
    "generator_autostart": False,
}
"""What a battery says,"""
WHOLE_STATUS = Status(
    production_watts=2001.5,
    consumption_watts=902,
    grid_feed_in_watts=303,
    discharge_watts=-804.25,
    state_of_charge_percent=61,
    usable_state_of_charge_percent=58,
    backup_buffer_percent=10,
    consumption_average_watts=911,
    inverter_ac_volts=231,
    battery_volts=212,
    inverter_hertz=50.012,
    apparent_output_voltamperes=(401, 402, 403),
    on_grid=True,
    discharge_not_allowed=False,
    operating_mode=2,
    flows={
        ("solar", "home"): True,
        ("solar", "battery"): True,
        ("solar", "grid"): False,
        ("battery", "home"): False,
        ("grid", "home"): False,
        ("grid", "battery"): False,
    },
    local_time="2024-06-20 12:00:02",
)
"""and the same in our words: the status of the golden page."""


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
