"""One colour per meaning, on every dashboard. Two that stand in one panel differ for colour-blind eyes, too."""

SUN = "#F9E40F"
HOUSE = "#3B78F0"
BATTERY = "#A3E29F"
CHARGING = "#0F836C"
FROM_GRID = "#D8B0F5"
TO_GRID = "#E8920C"
CHARGE = "#8FF5E6"
RESERVE = "#D8262A"
GOOD = BATTERY
WARNING = TO_GRID
BAD = RESERVE
COLD = "#80CCFB"
NEUTRAL = "#A1A2A4"
PHASES = ("#A84A19", "#3985AB", "#CFCFDF")
"""L1, L2, L3: brown and grey as the wires are in Europe; black could not be seen."""
