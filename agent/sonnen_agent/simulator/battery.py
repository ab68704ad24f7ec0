"""A simulated battery without its network: a clock, a house, and the answers of its generation."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from sonnen_agent.simulator.firmware import FirmwareState
from sonnen_agent.simulator.house import House, State
from sonnen_agent.simulator.parameters import battery_zone
from sonnen_agent.simulator.routes import Answer, Generation, answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Simulated time, which passes `speed` times as fast as that of the machine."""

    start: datetime
    """When the simulation begins, in simulated time."""
    speed: float
    monotonic: Callable[[], float]
    started: float
    """What `monotonic` said when the simulation began."""

    @classmethod
    def starting_now(cls, start: datetime | None, speed: float) -> Self:
        """Return a clock that goes on from `start`, or from the present time."""
        begin = datetime.now(UTC) if start is None else start
        return cls(start=begin, speed=speed, monotonic=time.monotonic, started=time.monotonic())

    def now(self) -> datetime:
        """Return the simulated time, in UTC."""
        elapsed = timedelta(seconds=(self.monotonic() - self.started) * self.speed)
        return self.start.astimezone(UTC) + elapsed


class SimulatedBattery:
    """Answers from several threads at once."""

    def __init__(self, *, generation: Generation, seed: int, clock: Clock, token: str | None) -> None:
        self.generation = generation
        self.clock = clock
        self._house = House(generation.house, seed, clock.start)
        self._token = token
        self._lock = threading.Lock()

    def state(self) -> State:
        """Return the house as it is now."""
        return self.firmware_state().state

    def firmware_state(self) -> FirmwareState:
        """Return what the battery's firmware knows now."""
        with self._lock:
            now = self.clock.now()
            state = self._house.at(now)
        return FirmwareState(house=self.generation.house, state=state, clock=now.astimezone(battery_zone()))

    def answer(self, path: str, token: str | None) -> Answer:
        """Return the answer to a GET."""
        return answer(self.generation, path, self.firmware_state(), granted=self.grants(token))

    def grants(self, token: str | None) -> bool:
        """Return whether a token opens what is protected; without one of its own, any that is not empty does."""
        return bool(token) if self._token is None else token == self._token
