"""What a battery's firmware knows when it answers, and how it writes times and numbers."""

import struct
from dataclasses import dataclass
from datetime import datetime

from sonnen_agent.simulator.house import State
from sonnen_agent.simulator.parameters import HouseParameters


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The house at one moment, by the battery's clock."""

    house: HouseParameters
    state: State
    clock: datetime
    """Local time with its zone; normally the moment of the answer, not the beginning of the step."""

    @property
    def timestamp(self) -> str:
        """The wall clock as `Timestamp` shows it: local, without a zone (SONNEN_API 4)."""
        return f"{self.clock:%Y-%m-%d %H:%M:%S}"

    @property
    def core_timestamp(self) -> str:
        """The wall clock as `ic_status.timestamp` shows it (SONNEN_API 5.2)."""
        return f"{self.clock:%a %b} {self.clock.day} {self.clock:%H:%M:%S %Y}"

    @property
    def phase_consumption_watts(self) -> tuple[float, float, float]:
        """The house's consumption by phase; L1 has it all in a house with one phase."""
        watts = self.state.consumption_watts
        return (watts, 0.0, 0.0) if self.house.phases == 1 else (watts * 0.44, watts * 0.31, watts * 0.25)

    @property
    def phase_production_watts(self) -> tuple[float, float, float]:
        """The roof's production by phase."""
        watts = self.state.production_watts
        return (watts, 0.0, 0.0) if self.house.phases == 1 else (watts / 3.0, watts / 3.0, watts / 3.0)

    @property
    def production_kilowatt_hours(self) -> float:
        """The lifetime of the production meter; the meters step by 100 Wh."""
        return round((self.house.earlier_production_watt_hours + self.state.production_watt_hours) / 1000.0, 1)

    @property
    def consumption_kilowatt_hours(self) -> float:
        """The lifetime of the consumption meter: the whole house, not the grid (SONNEN_API 5.3)."""
        return round((self.house.earlier_consumption_watt_hours + self.state.consumption_watt_hours) / 1000.0, 1)


def single(value: float) -> float | int:
    """Return a number as firmware prints its single-precision floats: 49.994998931884766, and 3 for 3.0."""
    narrowed: float = struct.unpack("f", struct.pack("f", value))[0]
    return int(narrowed) if narrowed.is_integer() else narrowed
