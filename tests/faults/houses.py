"""A battery whose truth is known: every power stands still, and no two houses have the same."""

import json
import time
from bisect import bisect
from dataclasses import dataclass, replace
from datetime import datetime

from peers import Peer, Request

from sonnen_agent.simulator.battery import SimulatedBattery, answer
from sonnen_agent.simulator.generations import generation_named
from sonnen_agent.simulator.profiles import battery_zone
from sonnen_agent.simulator.server import rendered

SECRET = "a-made-up/secret+of="
"""How each token and password of the matrix begins; base64 and URL quoting change it."""

_GENERATION = generation_named("sb10")
_NOON = datetime(2026, 6, 21, 12, tzinfo=battery_zone())
_FIRMWARE = SimulatedBattery(generation=_GENERATION, seed=1, clock=lambda: _NOON, token=None).firmware_state()


@dataclass(frozen=True, slots=True)
class House:
    """What is true of it, in watts."""

    number: int

    @property
    def watts(self) -> dict[str, float]:
        """By the name of the metric, without its ending."""
        return {
            "production": 2000.0 + self.number,
            "consumption": 1500.0 + self.number,
            "grid_feed_in": 300.0,
            "discharge": -200.0,
        }

    @property
    def token(self) -> str:
        return f"{SECRET}{self.number}"

    def answer(self, request: Request) -> bytes:
        """Return what its battery says, as bytes of HTTP."""
        path = request.path.partition("?")[0]
        said = answer(_GENERATION, path, replace(_FIRMWARE, clock=datetime.now(battery_zone())))
        if path.endswith("/status") and said.status == 200:
            watts = self.watts
            body = json.loads(said.payload) | {
                "Production_W": watts["production"],
                "Consumption_W": watts["consumption"],
                "GridFeedIn_W": watts["grid_feed_in"],
                "Pac_total_W": watts["discharge"],
            }
            said = replace(said, payload=json.dumps(body).encode())
        return rendered(said, close=False)


class HouseBattery(Peer):
    """The battery of a house; it remembers when it was asked for its status, and when it told the truth."""

    def __init__(self, number: int) -> None:
        self.house = House(number)
        self._asked: list[float] = []
        self._told: list[float] = []
        super().__init__(self.house.answer)

    def hear(self, request: Request) -> None:
        if request.path.endswith("/status"):
            self._asked.append(time.time())

    def note(self, request: Request) -> None:
        if request.path.endswith("/status"):
            self._told.append(time.time())

    @property
    def beats(self) -> int:
        """How often it was asked: as long as it is healthy, the beats of the agent."""
        return len(self._asked)

    def beat_at(self, unix_seconds: float) -> int:
        """Return how often it had been asked by then."""
        return bisect(self._asked, unix_seconds)

    def told_at(self, unix_seconds: float) -> float:
        """Return when it had told the truth the last time by then; 0 if never."""
        told = bisect(self._told, unix_seconds)
        return self._told[told - 1] if told else 0.0

    def told_between(self, begin: float, end: float) -> list[float]:
        """Return the Unix times within these two at which it told the truth."""
        return [moment for moment in self._told if begin <= moment <= end]
