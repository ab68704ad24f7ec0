"""The lifetime registers of the power meters, as counters that neither fall by a dip nor leap by a spike.

A register that falls, or rises by more than a house can use, is not followed until it has gone on from there for some
minutes. Then it has begun anew, as that of a new meter does, and what it adds is counted on top of what was shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sonnen_agent.details import Meter

_MOST_WATTS = 250e3
"""More than a site with such batteries has."""
_STEP_WATT_HOURS = 2000.0
"""Registers move in coarse steps, and their answers are some seconds apart from the beats."""
_DIGIT_WATT_HOURS = 1000.0
"""A fall by no more than this is not that of a new meter: it waits until the register has caught up, however long."""
_LASTING_SECONDS = 300.0
_MOST_KNOWN = 256
"""Registers of meters that are gone are forgotten beyond this."""


@dataclass(slots=True, kw_only=True)
class _Register:
    raw: float
    """What it said when it was believed the last time."""
    shown: float
    at: float | None
    """When that was, by the monotonic clock; None: before this start."""
    new_raw: float = 0.0
    """What it says since it is not believed, and since when."""
    new_since: float | None = None
    new_at: float = 0.0

    def follow(self, raw: float, now: float) -> float:
        """Return what is to be shown of a register that says so."""
        if 0.0 <= raw - self.raw <= _possible(None if self.at is None else now - self.at):
            self._believe(raw, self.shown + raw - self.raw, now)
        elif -_DIGIT_WATT_HOURS <= raw - self.raw < 0.0:
            self.new_since = None
        elif self.new_since is None or not 0.0 <= raw - self.new_raw <= _possible(now - self.new_at):
            self.new_raw, self.new_since, self.new_at = raw, now, now
        elif now - self.new_since < _LASTING_SECONDS:
            self.new_raw, self.new_at = raw, now
        else:
            # What was used while nobody looked has been used; all else is another register.
            gained = max(raw - self.raw, 0.0) if self.at is None else 0.0
            self._believe(raw, self.shown + gained, now)
        return self.shown

    def _believe(self, raw: float, shown: float, now: float) -> None:
        self.raw, self.shown, self.at, self.new_since = raw, shown, now, None


class Registers:
    """The registers of one battery's meters."""

    def __init__(self, raw: Mapping[str, float], shown: Mapping[str, float]) -> None:
        """Go on from what `raw` and `shown` returned."""
        self._registers = {
            name: _Register(raw=value, shown=shown[name], at=None) for name, value in raw.items() if name in shown
        }
        self._answer: tuple[Meter, ...] = ()
        self._believed: tuple[Meter, ...] = ()

    @property
    def raw(self) -> Mapping[str, float]:
        """What each said, by its name."""
        return {name: register.raw for name, register in self._registers.items()}

    @property
    def shown(self) -> Mapping[str, float]:
        """What is shown of each, in watt-hours."""
        return {name: register.shown for name, register in self._registers.items()}

    def follow(self, meters: tuple[Meter, ...], now: float) -> tuple[Meter, ...]:
        """Return the meters with registers that only rise, and no more than a house does."""
        if meters is not self._answer:  # most beats have the answer of the one before
            self._answer = meters
            self._believed = tuple(
                replace(
                    meter,
                    imported_watt_hours=self._follow(meter, "imported", meter.imported_watt_hours, now),
                    exported_watt_hours=self._follow(meter, "exported", meter.exported_watt_hours, now),
                )
                for meter in meters
            )
        return self._believed

    def _follow(self, meter: Meter, way: str, raw: float | None, now: float) -> float | None:
        if raw is None:
            return None
        name = f"{meter.direction} {meter.name} {way}"
        register = self._registers.pop(name, None) or _Register(raw=raw, shown=raw, at=now)
        self._registers[name] = register  # the last to be forgotten
        if len(self._registers) > _MOST_KNOWN:
            self._registers.pop(next(iter(self._registers)))
        return register.follow(raw, now)


def _possible(seconds: float | None) -> float:
    """Return the most that a register can rise in that time; None is a start, after which it may be long."""
    return _STEP_WATT_HOURS + _MOST_WATTS * (seconds or 0.0) / 3600
