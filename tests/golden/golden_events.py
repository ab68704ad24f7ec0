"""When the golden house's year begins and ends, and what happens in it.

Times are Unix seconds; in the source they are local times in Europe/Berlin. What is staged, is
staged in the symptom that an alert looks at; what changes the house's energy (outages, a tripped
inverter, a stopped agent) is part of the house, so that the truth knows of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

ZONE: Final = ZoneInfo("Europe/Berlin")


def local(text: str) -> float:
    """Return the moment of a local time, as in `2025-07-10 18:30`."""
    return datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp()


START: Final = local("2024-07-10 00:00")
"""When the house and its agent begin."""
NOW: Final = local("2025-07-10 18:30")
"""When a viewer looks at the house: nothing is known of what comes after."""
SPRING: Final = "2025-03-30"
"""The day with 23 hours."""
AUTUMN: Final = "2024-10-27"
"""The day with 25 hours."""


@dataclass(frozen=True, slots=True)
class Window:
    """From a moment to another one, both in it."""

    begin: float
    end: float

    @classmethod
    def between(cls, begin: str, end: str) -> "Window":
        """Return the window between two local times."""
        return cls(local(begin), local(end))

    @property
    def middle(self) -> float:
        """The moment halfway, on a whole minute."""
        return (self.begin + self.end) / 2 // 60 * 60

    def __contains__(self, moment: float) -> bool:
        return self.begin <= moment <= self.end


def inside(windows: Iterable[Window], moment: float) -> bool:
    """Return whether a moment is in one of the windows."""
    return any(moment in window for window in windows)


OFF_GRID: Final = (
    Window.between("2025-01-15 18:05", "2025-01-15 18:35"),
    Window.between("2025-07-03 22:10", "2025-07-04 05:40"),
)
"""The house is an island; the second one is the off-grid night."""
LINK_GAP: Final = Window.between("2025-06-03 10:00", "2025-06-03 13:00")
"""The agent reads and counts, but reaches nobody: the gateway repeats its last push."""
DAYS_OF_LINK_GAP: Final = Window.between("2025-04-08 15:00", "2025-04-11 09:00")
"""The same, over three midnights."""
LINK_GAPS: Final = (DAYS_OF_LINK_GAP, LINK_GAP)
UNTOLD: Final = Window.between("2025-04-08 15:00", "2025-04-10 00:00")
"""What no calendar day tells of that has arrived: once the link is back, there is the day before. Counters have all."""
PROMETHEUS_GAP: Final = Window.between("2024-08-20 10:00", "2024-08-20 12:00")
"""Nobody scrapes, no rule is evaluated."""
GATEWAY_DOWN: Final = Window.between("2025-06-02 20:00", "2025-06-02 20:15")
"""Nothing can be scraped, but rules are evaluated."""
STOPPED: Final = Window.between("2025-06-04 02:00", "2025-06-04 02:20")
"""The agent is stopped, its groups are deleted; nobody counts."""
REBOOT: Final = Window.between("2025-06-03 05:00", "2025-06-03 05:05")
"""The same, for as long as a reboot or an upgrade takes."""
STOPS: Final = (REBOOT, STOPPED)
RESTART: Final = Window(local("2025-07-08 14:00") - 10, local("2025-07-08 14:00") + 30)
"""The agent is restarted: its own counters begin at 0, those of energy go on."""
SILENT: Final = Window.between("2025-07-05 03:35", "2025-07-05 04:05")
"""The battery does not answer; nothing can be counted."""
UPDATE: Final = Window.between("2025-05-20 03:00", "2025-05-20 03:20")
"""The same, while new firmware is installed."""
SILENCES: Final = (UPDATE, SILENT)
INVERTER_TRIP: Final = Window.between("2025-06-30 10:30", "2025-06-30 14:30")
"""The PV produces nothing at noon."""
FROZEN: Final = Window.between("2025-07-07 02:30", "2025-07-07 03:45")
"""The consumption does not change by a watt."""

UNBALANCED: Final = Window.between("2025-07-01 09:00", "2025-07-01 10:30")
WARNING: Final = Window.between("2025-07-01 11:00", "2025-07-01 12:00")
ALARM: Final = Window.between("2025-07-01 13:00", "2025-07-01 13:30")
SHUTDOWN: Final = Window.between("2025-07-01 15:00", "2025-07-01 15:30")
RED_RING: Final = Window.between("2025-07-01 17:00", "2025-07-01 17:30")
FAULT: Final = Window.between("2025-07-01 19:00", "2025-07-01 19:30")
"""Of the battery's cell management, while the meters go on."""
OVERVOLTAGE: Final = Window.between("2025-07-02 13:00", "2025-07-02 13:40")
"""On phase 2."""
LOW_FREQUENCY: Final = Window.between("2025-07-02 18:00", "2025-07-02 18:10")
HOT_CELLS: Final = Window.between("2025-07-02 15:00", "2025-07-02 16:00")
WARM_MODULE: Final = Window.between("2025-07-02 16:30", "2025-07-02 17:30")
UNEVEN_CELLS: Final = Window.between("2025-07-08 23:00", "2025-07-09 05:00")
UNDER_VOLTAGE: Final = Window.between("2025-07-05 12:00", "2025-07-05 12:30")
HOT_PI: Final = Window.between("2025-07-05 14:00", "2025-07-05 15:00")
FULL_DISK: Final = Window.between("2025-07-05 16:00", "2025-07-05 18:00")
READ_ONLY_DISK: Final = Window.between("2025-07-05 20:00", "2025-07-05 20:30")
SPOOLING: Final = Window.between("2025-07-06 10:00", "2025-07-06 12:00")
DROPPING: Final = Window.between("2025-07-06 11:30", "2025-07-06 12:00")
REJECTED: Final = Window.between("2025-07-06 14:00", "2025-07-06 14:20")
"""The gateway refuses the agent's own group."""
WRONG_CLOCK: Final = Window.between("2025-07-06 16:00", "2025-07-06 17:00")
REFUSED_TOKEN: Final = Window.between("2025-07-06 18:00", "2025-07-06 20:00")
FLAKY_LINK: Final = Window.between("2025-07-09 10:00", "2025-07-09 11:00")
"""A third of the pushes is lost."""

UNOBSERVED: Final = (*STOPS, *SILENCES)
"""What nobody could count: neither the agent nor the truth it is compared with."""

RAW_WINDOWS: Final = (
    Window.between("2024-10-26 00:00", "2024-10-28 12:00"),
    Window.between("2025-01-15 00:00", "2025-01-16 00:00"),
    Window.between("2025-03-29 00:00", "2025-03-31 12:00"),
    Window.between("2025-04-08 12:00", "2025-04-08 18:00"),
    Window.between("2025-04-09 22:00", "2025-04-10 02:00"),
    Window.between("2025-04-11 06:00", "2025-04-11 12:00"),
    Window.between("2025-05-20 00:00", "2025-05-20 06:00"),
    Window.between("2025-06-02 12:00", "2025-06-04 12:00"),
    Window(local("2025-06-29 00:00"), NOW),
)
"""Where there is raw data, once a minute. Elsewhere there are recorded series only, those of long ranges:
whoever asks for a year of raw data finds most of it missing."""
FINE_WINDOW: Final = Window(NOW - 26 * 3600, NOW)
"""Where there is raw data every 5 seconds."""

GRID_CHARGING_MONTHS: Final = (12, 1, 2)
NIGHT_PRICE: Final = 0.22
DAY_PRICE: Final = 0.31
FEED_IN_PRICE: Final = 0.08
NIGHT_BEGINS: Final = 22
"""The hour, local time."""
NIGHT_ENDS: Final = 6

TROUBLES: Final[Mapping[str, tuple[Window, ...]]] = MappingProxyType(
    {
        "SonnenGatewayDown": (GATEWAY_DOWN,),
        "SonnenAgentSilent": LINK_GAPS,
        "SonnenPushFailing": (REJECTED,),
        "SonnenDeliveryFlaky": (FLAKY_LINK,),
        "SonnenSpoolGrowing": (SPOOLING,),
        "SonnenSpoolDropping": (DROPPING,),
        "SonnenAgentMissing": (STOPPED,),
        "SonnenTokenRefused": (REFUSED_TOKEN,),
        "SonnenClockWrong": (WRONG_CLOCK,),
        "SonnenBatteryUnreachable": SILENCES,
        "SonnenMeterStuck": (FROZEN,),
        "SonnenPowerBalance": (UNBALANCED,),
        "SonnenOffGrid": OFF_GRID,
        "SonnenBackOnGrid": tuple(Window(window.end, window.end + 900) for window in OFF_GRID),
        "SonnenSystemAlarm": (ALARM,),
        "SonnenSystemWarning": (WARNING,),
        "SonnenShutdown": (SHUTDOWN,),
        "SonnenRedRing": (RED_RING,),
        "SonnenFault": (FAULT,),
        "SonnenCellTemperature": (HOT_CELLS,),
        "SonnenCellTemperatureSpread": (WARM_MODULE,),
        "SonnenCellVoltageSpread": (UNEVEN_CELLS,),
        "SonnenVoltageOutOfBand": (OVERVOLTAGE,),
        "SonnenFrequencyOutOfBand": (LOW_FREQUENCY,),
        "SonnenNoProduction": (INVERTER_TRIP,),
        "SonnenPiUnderVoltage": (UNDER_VOLTAGE,),
        "SonnenPiHot": (HOT_PI,),
        "SonnenPiDiskFull": (FULL_DISK,),
        "SonnenPiDiskReadOnly": (READ_ONLY_DISK,),
    }
)
"""What each alert is about, when it is the case. Reserve and full charge come and go with the sun."""
