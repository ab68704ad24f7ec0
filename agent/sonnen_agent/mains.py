"""What the grid should be here: 120 or 230 V, 50 or 60 Hz, and how far from that it is healthy.

Told by what was read for some minutes, so that neither a dip nor a spike is taken for another continent.
The limits are those of the standards, for a phase to neutral:

    230 V   207 to 253 V in Europe (EN 50160, +-10 %), 216 to 253 V in Australia (AS 60038, +10 % and -6 %)
    120 V   114 to 126 V (ANSI C84.1, range A)
    50, 60  +-1 %
"""

from sonnen_agent.details import Number
from sonnen_agent.reading import Mains, Reading

_SECONDS = 180.0
"""For so long every reading has to say the same."""
_CHANGE_SECONDS = 3600.0
"""The same once it is known; a grid does not change, but the first minutes may have been strange ones."""
_DEAD_VOLTS = 50.0
"""A phase that is not there reads 0 V, or what the others induce."""
_BETWEEN_LEGS_VOLTS = 180.0
_HEALTHY_VOLTS = {120.0: (114.0, 126.0), 230.0: (207.0, 253.0)}
_AUSTRALIAN_VOLTS = (216.0, 253.0)


class MainsWatch:
    """Finds out what the grid is by one battery's readings."""

    def __init__(self, zone_name: str) -> None:
        """`zone_name` is that of the time zone, such as `Australia/Sydney`; empty where it is unknown."""
        self._australian = zone_name.startswith("Australia/")
        self._volts, self._hertz = _Nominal(), _Nominal()
        self._mains = Mains()

    def judge(self, reading: Reading) -> Mains:
        """Return what is known with this reading; the same object while that does not change."""
        # An island has the battery's voltage and frequency, which it shifts to slow the solar inverters down.
        island = reading.status.on_grid is False
        volts = self._volts.note(None if island else _volts(reading), reading.monotonic_seconds)
        hertz = self._hertz.note(None if island else _hertz(reading), reading.monotonic_seconds)
        if (volts, hertz) != (self._mains.nominal_volts, self._mains.nominal_hertz):
            self._mains = Mains(
                nominal_volts=volts,
                nominal_hertz=hertz,
                allowed_volts={} if volts is None else _limits(*self._healthy_volts(volts)),
                allowed_hertz={} if hertz is None else _limits(0.99 * hertz, 1.01 * hertz),
            )
        return self._mains

    def _healthy_volts(self, nominal: float) -> tuple[float, float]:
        return _AUSTRALIAN_VOLTS if self._australian and nominal == 230.0 else _HEALTHY_VOLTS[nominal]


class _Nominal:
    """A nominal value: what every reading of some minutes is near to."""

    def __init__(self) -> None:
        self._known: Number = None
        self._near: Number = None
        self._since_seconds = 0.0

    def note(self, near: Number, monotonic_seconds: float) -> Number:
        """Take what a reading is near to, and return what is known."""
        if near is None or near != self._near:
            self._near, self._since_seconds = near, monotonic_seconds
        needed_seconds = _SECONDS if self._known is None else _CHANGE_SECONDS
        if near is not None and monotonic_seconds - self._since_seconds >= needed_seconds:
            self._known = near
        return self._known


def _volts(reading: Reading) -> Number:
    """Return the nominal voltage nearest to a reading's median phase."""
    meters = [volts for meter in reading.meters for volts in meter.volts]
    for source in (meters, reading.inverter.grid_volts):
        if living := sorted(volts for volts in source if volts is not None and volts > _DEAD_VOLTS):
            return _nearest(living[len(living) // 2], 120.0, 230.0)
    volts = reading.status.inverter_ac_volts
    if volts is None or volts <= _DEAD_VOLTS:
        return None
    # A battery for America is connected between two legs of 120 V.
    return _nearest(volts / 2 if volts > _BETWEEN_LEGS_VOLTS and _hertz(reading) == 60.0 else volts, 120.0, 230.0)


def _hertz(reading: Reading) -> Number:
    hertz = reading.inverter.grid_hertz
    hertz = reading.status.inverter_hertz if hertz is None else hertz
    return None if hertz is None else _nearest(hertz, 50.0, 60.0)


def _nearest(value: float, low: float, high: float) -> float:
    return low if 2 * value < low + high else high


def _limits(low: float, high: float) -> dict[str, float]:
    return {"min": round(low, 3), "max": round(high, 3)}
