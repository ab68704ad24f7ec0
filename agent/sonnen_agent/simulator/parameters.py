"""What a simulated house is built from."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

STEP_SECONDS = 5
"""The grid of simulated time; within a step every power stands still."""


def battery_zone() -> ZoneInfo:
    """Return the time zone in which the house lives and its battery shows the time."""
    return ZoneInfo("Europe/Berlin")


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseParameters:
    """A house in the middle of Germany with a roof, a family, sometimes a car, and a battery."""

    latitude_degrees: float = 51.2
    longitude_degrees: float = 10.4
    roof_tilt_degrees: float = 30.0
    """Of panels that face south."""
    pv_peak_watts: float = 9800.0
    """AC power under full sun at right angles."""

    base_load_watts: float = 210.0
    """What the house draws when nobody does anything, the fridge excepted."""
    car_watts: float = 7400.0
    """What a car draws on the evenings it charges."""
    phases: int = 3
    """Phases of the house connection: 1 or 3."""

    capacity_watt_hours: float = 11800.0
    """Of the whole pack, the deep-discharge reserve included."""
    marketing_capacity_watt_hours: int = 5500
    """Per module, as the type plate says."""
    modules: int = 2
    cells_in_series: int = 64
    max_charge_watts: float = 4600.0
    """AC limit of the battery inverter, charging."""
    max_discharge_watts: float = 4600.0
    """AC limit of the battery inverter, discharging."""
    efficiency: float = 0.95
    """One way, AC to cells or cells to AC."""
    own_use_watts: float = 5.0
    """What the battery's electronics draw, always."""
    deep_discharge_reserve_percent: float = 7.0
    """Of the whole pack; hidden from the owner, whose 0 % starts above it."""
    backup_buffer_percent: int = 10
    """Reserve for a power cut, on the owner's scale."""

    initial_state_of_charge_percent: float = 50.0
    initial_seconds_since_full_charge: int = 93_600
    earlier_production_watt_hours: float = 14_213_400.0
    """Lifetime energy on the meters before the simulation starts; the same for those below."""
    earlier_consumption_watt_hours: float = 11_874_900.0
    earlier_grid_import_watt_hours: float = 3_951_200.0
    earlier_charge_watt_hours: float = 4_402_700.0
    earlier_cycles: float = 371.6

    @property
    def stored_minimum_watt_hours(self) -> float:
        """The energy below which the battery does not discharge for the house."""
        deep = self.deep_discharge_reserve_percent
        percent = deep + self.backup_buffer_percent * (100.0 - deep) / 100.0
        return self.capacity_watt_hours * percent / 100.0

    @property
    def nominal_volts(self) -> float:
        """Of the whole stack of iron-phosphate cells."""
        return self.cells_in_series * 3.2
