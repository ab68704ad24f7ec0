"""A house whose physics hold: what flows, what the battery stores and loses, and what went through so far."""

from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from sonnen_agent.simulator import profiles
from sonnen_agent.simulator.profiles import STEP_SECONDS, HouseParameters

_HOURS = STEP_SECONDS / 3600.0
_AVERAGE_STEPS = 60 // STEP_SECONDS
_LAZINESS_SECONDS = 3_600.0
"""Of what gets warm."""
_DEAD_BAND_WATTS = 25.0
"""A need smaller than this does not wake the inverter."""
_TAPER_FROM = 0.95
"""The share of the capacity from which charging slows down."""
_TAPER_LEAST = 0.04
"""The share of the charge limit that is left just below full."""
_OPEN_CIRCUIT_VOLTS = (
    (0.0, 2.98), (5.0, 3.10), (10.0, 3.19), (20.0, 3.24), (50.0, 3.28), (90.0, 3.32), (97.0, 3.34), (100.0, 3.36),
)  # fmt: skip
"""Of an iron-phosphate cell, by state of charge in percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A house at the beginning of one step; its powers stand still until the next one."""

    time: datetime
    """When the step began, in UTC."""
    production_watts: float
    consumption_watts: float
    consumption_average_watts: float
    """Mean of the last minute."""
    consumption_peak_watts: float
    """The highest since the simulation began."""
    grid_feed_in_watts: float
    """> 0 export, < 0 import: exactly production + discharge - consumption."""
    discharge_watts: float
    """AC, > 0 discharging, < 0 charging; idle is the electronics' own use."""
    cell_watts: float
    """DC, > 0 into the cells: what the stored energy changes by."""
    stored_watt_hours: float
    state_of_charge_percent: float
    """Of the whole pack."""
    usable_state_of_charge_percent: float
    """On the owner's scale, the deep-discharge reserve taken off."""
    seconds_since_full_charge: int
    cycles: float

    grid_hertz: float
    phase_volts: tuple[float, float, float]
    """Phase to neutral; all three exist in the street, even where the house has one, but for the legs of America."""
    stack_volts: float
    stack_amperes: float
    """> 0 into the cells."""
    cell_volts: tuple[float, float]
    """Lowest and highest cell; the same for the temperatures."""
    cell_celsius: tuple[float, float]
    inverter_celsius: float

    production_watt_hours: float = 0.0
    """Integral since the simulation began; the same for those below."""
    consumption_watt_hours: float = 0.0
    grid_import_watt_hours: float = 0.0
    grid_export_watt_hours: float = 0.0
    battery_charge_watt_hours: float = 0.0
    """AC side, own use included; the same for the discharge."""
    battery_discharge_watt_hours: float = 0.0


class House:
    """Advances on a fixed grid, so that it is the same however often and whenever it is asked."""

    def __init__(self, parameters: HouseParameters, seed: int, start: datetime) -> None:
        self.parameters = parameters
        self._seed = seed
        self._time = int(start.timestamp()) // STEP_SECONDS * STEP_SECONDS
        self._stored = parameters.capacity_watt_hours * parameters.initial_state_of_charge_percent / 100.0
        self._since_full = parameters.initial_seconds_since_full_charge
        self._cycles = parameters.earlier_cycles
        self._effort = 0.0
        """How hard the battery has worked lately, as a share of what it can."""
        self._recent: deque[float] = deque(maxlen=_AVERAGE_STEPS)
        self._peak = 0.0
        self._through: defaultdict[str, float] = defaultdict(float)
        self._production = self._consumption = 0.0
        self._enter()

    def at(self, moment: datetime) -> State:
        """Return the state of the step around a moment; time never goes back, an earlier one gets the present step."""
        while self._time + STEP_SECONDS <= moment.timestamp():
            self._leave()
            self._enter()
        return self._state()

    def _enter(self) -> None:
        """Find the powers of the step that begins now."""
        # The battery's controller sees the meters of the step before: a kettle's first seconds come from the grid.
        self._cells = cell_watts(self.parameters, self._stored, self._consumption - self._production)
        self._production = profiles.production_watts(self.parameters, self._seed, self._time)
        self._consumption = profiles.consumption_watts(self.parameters, self._seed, self._time)
        self._discharge = discharge_watts(self.parameters, self._cells)
        self._feed_in = self._production + self._discharge - self._consumption
        self._recent.append(self._consumption)
        self._peak = max(self._peak, self._consumption)

    def _leave(self) -> None:
        """Count what flowed during the step, and go to the next."""
        flows = {
            "production_watt_hours": self._production,
            "consumption_watt_hours": self._consumption,
            "grid_import_watt_hours": max(0.0, -self._feed_in),
            "grid_export_watt_hours": max(0.0, self._feed_in),
            "battery_charge_watt_hours": max(0.0, -self._discharge),
            "battery_discharge_watt_hours": max(0.0, self._discharge),
        }
        for name, watts in flows.items():
            self._through[name] += watts * _HOURS
        capacity = self.parameters.capacity_watt_hours
        self._stored = min(capacity, self._stored + self._cells * _HOURS)
        self._cycles += max(0.0, -self._cells) * _HOURS / capacity
        self._since_full = 0 if self._stored >= capacity - 1.0 else self._since_full + STEP_SECONDS
        effort = abs(self._cells) / self.parameters.max_charge_watts
        self._effort += (effort - self._effort) * STEP_SECONDS / _LAZINESS_SECONDS
        self._time += STEP_SECONDS

    def _state(self) -> State:
        parameters = self.parameters
        hertz, one, two, three, lowest, highest = profiles.jitter(f"{self._seed}/grid/{self._time}")
        percent = 100.0 * self._stored / parameters.capacity_watt_hours
        deep = parameters.deep_discharge_reserve_percent
        volts = cell_volts(parameters, percent, self._cells)
        stack = volts * parameters.cells_in_series
        scale = parameters.mains_volts / 230.0
        street = 230.5 + 0.0004 * self._feed_in
        legs = parameters.phases == 2
        cellar = profiles.cellar_celsius(parameters, self._time)
        warm = cellar + 3.0 + 10.0 * self._effort**2
        return State(
            time=datetime.fromtimestamp(self._time, UTC),
            production_watts=self._production,
            consumption_watts=self._consumption,
            consumption_average_watts=sum(self._recent) / len(self._recent),
            consumption_peak_watts=self._peak,
            grid_feed_in_watts=self._feed_in,
            discharge_watts=self._discharge,
            cell_watts=self._cells,
            stored_watt_hours=self._stored,
            state_of_charge_percent=percent,
            usable_state_of_charge_percent=max(0.0, (percent - deep) / (100.0 - deep) * 100.0),
            seconds_since_full_charge=self._since_full,
            cycles=self._cycles,
            grid_hertz=parameters.mains_hertz + 0.05 * hertz,
            phase_volts=(scale * (street + one), scale * (street + two), 0.0 if legs else scale * (street + three)),
            stack_volts=stack,
            stack_amperes=self._cells / stack,
            cell_volts=(volts - 0.004 + 0.002 * lowest, volts + 0.004 + 0.002 * highest),
            cell_celsius=(warm - 0.6, warm + 0.7),
            inverter_celsius=cellar + 9.0 + 25.0 * self._effort,
            **self._through,
        )


def cell_watts(parameters: HouseParameters, stored_watt_hours: float, need_watts: float) -> float:
    """Return the DC power into the cells during a step in which the house needs power (> 0) or has too much (< 0)."""
    own, spare = parameters.own_use_watts, stored_watt_hours - parameters.stored_minimum_watt_hours
    if abs(need_watts) < _DEAD_BAND_WATTS or (need_watts > 0 and spare <= 0):
        return 0.0
    if need_watts > 0:
        return -min((min(need_watts, parameters.max_discharge_watts) + own) / parameters.efficiency, spare / _HOURS)
    fullness = stored_watt_hours / parameters.capacity_watt_hours
    taper = max(_TAPER_LEAST, min(1.0, (1.0 - fullness) / (1.0 - _TAPER_FROM)))
    offered = min(-need_watts, parameters.max_charge_watts * taper)
    room = max(0.0, parameters.capacity_watt_hours - stored_watt_hours) / _HOURS
    return min(max(0.0, offered - own) * parameters.efficiency, room)


def discharge_watts(parameters: HouseParameters, cells: float) -> float:
    """Return the AC power out of the battery; the electronics' own use included, so idle is slightly negative."""
    outside = cells / parameters.efficiency if cells > 0 else cells * parameters.efficiency
    return -outside - parameters.own_use_watts


def cell_volts(parameters: HouseParameters, state_of_charge_percent: float, cell_watts: float) -> float:
    """Return the mean voltage of a cell under the present power."""
    spread = cell_watts / parameters.max_charge_watts * 0.04
    for (low, low_volts), (high, high_volts) in pairwise(_OPEN_CIRCUIT_VOLTS):
        if state_of_charge_percent <= high:
            share = (state_of_charge_percent - low) / (high - low)
            return low_volts + share * (high_volts - low_volts) + spread
    return _OPEN_CIRCUIT_VOLTS[-1][1] + spread
