"""What a person sees of the agent on a real Pushgateway, look by look, and what of it cannot be."""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from houses import HouseBattery
from limits import COUNTER_SHARE, LOOK_BEATS, OLDEST_BEATS
from programs import ServerError
from servers import Group, Pushgateway

Values = Mapping[str, float]
"""By the series as it would stand on a page, without job and instance."""

_PAUSE_SECONDS = 0.3
_OBSERVED = "sonnen_observed_seconds_total"
_STAY = re.compile(
    r"sonnen_(online|endpoint_up|last_reading_timestamp_seconds)\b"
    r"|push_(failure_)?time_seconds|sonnen_\w+_watt_hours_total|sonnen_(observed_seconds|refused_readings)_total"
    r"|sonnen_energy_(today|yesterday)_watt_hours|sonnen_grid_cost_total"
)
"""What is not a reading, and may be shown of a battery that is away."""
_MOVES = re.compile(r"sonnen_(clock_offset_seconds|seconds_since_full_charge|battery_info)\b")
"""What changes though the house stands still: clocks, and which API answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A group at one moment."""

    unix_seconds: float
    beat: int
    """The beats that had begun before the look."""
    values: Values

    @property
    def is_online(self) -> bool:
        return self.values.get("sonnen_online") == 1

    @property
    def read_at(self) -> float:
        """The Unix time of the latest reading."""
        return self.values.get("sonnen_last_reading_timestamp_seconds", 0.0)

    @property
    def readings(self) -> Values:
        """What the battery said, as far as it is shown."""
        return {name: value for name, value in self.values.items() if not _STAY.match(name)}


@dataclass(slots=True)
class Viewer:
    """Looks at a gateway again and again in a thread of its own, from `with` to the end of the block."""

    gateway: Pushgateway
    beats: Callable[[], int]
    looks: dict[str, list[Look]] = field(default_factory=dict)
    """Of each group by its instance, such as a battery's name, and by its job; oldest first."""
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def is_online(self, name: str) -> bool:
        """Return whether a battery was online at the latest look."""
        looks = self.looks.get(name)
        return looks is not None and looks[-1].is_online

    def _run(self) -> None:
        while not self._over.wait(_PAUSE_SECONDS):
            beat = self.beats()
            try:
                groups = self.gateway.groups()
            except ServerError:
                continue
            for group in groups:
                look = Look(unix_seconds=time.time(), beat=beat, values=dict(_series(group)))
                for name in group.labels.values():
                    self.looks.setdefault(name, []).append(look)


def _series(group: Group) -> Iterator[tuple[str, float]]:
    for name, samples in group.samples.items():
        for sample in samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()) if k not in ("job", "instance"))
            yield f"{name}{{{labels}}}" if labels else name, sample.value


def view_problems(
    looks: list[Look],
    battery: HouseBattery,
    beat_at: Callable[[float], int],
    usual: Values,
    *,
    but: tuple[str, ...] = (),
    reached: bool = True,
) -> list[str]:
    """Return what was seen and cannot be: wrong, too old, or a counter that fell or leapt.

    `beat_at` tells how many beats had begun at a Unix time, `usual` has the right readings but for the powers, and
    `but` how the names begin of those that may be others. What does not reach the gateway may grow old there.
    """
    watts = battery.house.watts
    problems = [*_wrong_readings(looks, {**usual, **watts}, but), *_falls(looks), *_wrong_counters(looks, watts, but)]
    for look in looks:
        age = look.beat - beat_at(battery.told_at(look.unix_seconds)) if look.readings and reached else 0
        if age > OLDEST_BEATS + LOOK_BEATS:
            problems.append(f"readings of {age} beats ago")
    return list(dict.fromkeys(problems))


def _wrong_readings(looks: list[Look], right: Values, but: tuple[str, ...]) -> Iterator[str]:
    for look in looks:
        for name, value in look.readings.items():
            power = name.removeprefix("sonnen_").removesuffix("_watts")
            expected = right.get(power, right.get(name))
            if value != expected and not _MOVES.match(name) and not name.startswith(but):
                yield f"{name} was {value:g}, not {expected}"


def _falls(looks: list[Look]) -> Iterator[str]:
    seen: dict[str, float] = {}
    for look in looks:
        for name, value in look.values.items():
            if name.partition("{")[0].endswith("_total"):
                if value < seen.get(name, 0.0):
                    yield f"{name} fell from {seen[name]:g} to {value:g}"
                seen[name] = value


def _wrong_counters(looks: list[Look], watts: Values, but: tuple[str, ...]) -> Iterator[str]:
    """Tell of energy that is not what the house had in the seconds that were observed."""
    before: dict[str, float] = {}
    powers = {
        "sonnen_production_watt_hours_total": watts["production"],
        "sonnen_consumption_watt_hours_total": watts["consumption"],
        "sonnen_grid_export_watt_hours_total": watts["grid_feed_in"],
        "sonnen_grid_import_watt_hours_total": 0.0,
        "sonnen_battery_charge_watt_hours_total": -watts["discharge"],
        "sonnen_battery_discharge_watt_hours_total": 0.0,
    }
    for look in looks:
        seconds = look.values.get(_OBSERVED, 0.0) - before.setdefault(_OBSERVED, look.values.get(_OBSERVED, 0.0))
        for name, power in powers.items():
            now = look.values.get(name, 0.0)
            counted, right = now - before.setdefault(name, now), power * seconds / 3600
            # Four decimals are shown.
            if abs(counted - right) > COUNTER_SHARE * right + 0.001 and not name.startswith(but):
                yield f"{name} rose by {counted:g} in {seconds:g} s of {power:g} W"
