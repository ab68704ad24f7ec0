"""Which part of the power goes where, at one moment.

Grid and battery are kept whatever happens: what a bill and a battery see. Solar is kept, too,
as long as it and the grid and the battery can feed what is exported and charged; the home takes
the rest. Where they cannot (meters read a moment apart, an inverter without a meter), the source
that is missing is counted as solar: the one source that can be there without being measured.

The sun feeds the home first; what it has left goes into the battery and the grid. The battery
never charges itself and the grid never feeds itself, which leaves seven flows and one solution.
"""

from typing import Final

from sonnen_agent.reading import Place

Flow = tuple[Place, Place]
"""From where to where."""

FLOWS: Final[tuple[Flow, ...]] = (
    ("solar", "home"),
    ("solar", "battery"),
    ("solar", "grid"),
    ("battery", "home"),
    ("battery", "grid"),
    ("grid", "home"),
    ("grid", "battery"),
)

Powers = tuple[float, float, float]
"""Production, grid feed-in and discharge in watts, with the signs of docs/metrics.md."""


def flow_watts(powers: Powers) -> tuple[float, ...]:
    """Return the power of each of the seven flows, none negative, in the order of FLOWS."""
    production, feed_in, discharge = powers
    sold, bought = max(0.0, feed_in), max(0.0, -feed_in)
    drawn, charged = max(0.0, discharge), max(0.0, -discharge)
    solar = max(0.0, production, sold + charged - bought - drawn)
    home = max(0.0, solar + bought + drawn - sold - charged)
    solar_home = min(solar, home)
    surplus = solar - solar_home
    # Where both take, nothing but the sun feeds them, and the surplus is their sum.
    solar_battery, solar_grid = min(charged, surplus), min(sold, surplus)
    battery_grid, grid_battery = sold - solar_grid, charged - solar_battery
    battery_home, grid_home = max(0.0, drawn - battery_grid), max(0.0, bought - grid_battery)
    return solar_home, solar_battery, solar_grid, battery_home, battery_grid, grid_home, grid_battery
