"""What all firmware has in common: what it knows, how it writes times and numbers, and what it shows to browsers."""

import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import hypot

from sonnen_agent.simulator.house import State
from sonnen_agent.simulator.parameters import HouseParameters

_CORE_LAG = timedelta(seconds=1)
"""The core controller's clock is read a little before the rest."""
_FILTER_VOLTAMPERES = 97.0
"""What the inverter's filter draws at rest."""

# The pages that are no readings (docs/battery-api.md 3).
NOT_FOUND_HTML = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>sonnenBatterie</title></head>
<body><h1>Something went wrong</h1><p>Page not found</p></body>
</html>
"""
NOT_FOUND_XHTML = """<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
<head><title>404 - Not Found</title></head>
<body><h1>404 - Not Found</h1></body>
</html>
"""
START_HTML = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>sonnenBatterie</title></head>
<body><h1>Welcome</h1><p>{"Production_W": 1234} is what this page would say if it were a reading.</p></body>
</html>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareState:
    """The house at one moment, by the battery's clock."""

    house: HouseParameters
    state: State
    clock: datetime
    """Local time with its zone; normally the moment of the answer, not the beginning of the step."""

    @property
    def timestamp(self) -> str:
        """The wall clock as `Timestamp` shows it: local, without a zone (docs/battery-api.md 4)."""
        return f"{self.clock:%Y-%m-%d %H:%M:%S}"

    @property
    def core_timestamp(self) -> str:
        """The wall clock as `ic_status.timestamp` shows it (docs/battery-api.md 5.2)."""
        core = self.clock - _CORE_LAG
        return f"{core:%a %b} {core.day} {core:%H:%M:%S %Y}"

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
    def inverter_voltamperes(self) -> float:
        """The apparent power of the battery's inverter."""
        return hypot(self.state.discharge_watts, _FILTER_VOLTAMPERES)

    @property
    def production_kilowatt_hours(self) -> float:
        """The lifetime of the production meter; the meters step by 100 Wh."""
        return round((self.house.earlier_production_watt_hours + self.state.production_watt_hours) / 1000.0, 1)

    @property
    def consumption_kilowatt_hours(self) -> float:
        """The lifetime of the consumption meter: the whole house, not the grid (docs/battery-api.md 5.3)."""
        return round((self.house.earlier_consumption_watt_hours + self.state.consumption_watt_hours) / 1000.0, 1)


def single(value: float) -> float | int:
    """Return a number as firmware prints its single-precision floats: 49.994998931884766, and 3 for 3.0."""
    narrowed: float = struct.unpack("f", struct.pack("f", value))[0]
    return int(narrowed) if narrowed.is_integer() else narrowed


def plain(value: float) -> float | int:
    """Return a whole number without its fraction, as firmware before the EVO writes it."""
    return int(value) if value.is_integer() else value
