"""A simulated battery without its network: clock, house, faults, and a record of what it was asked and said."""

import threading
from collections import deque
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sonnen_agent.simulator.answers import Answer, answer, endpoint_of
from sonnen_agent.simulator.faces.view import View
from sonnen_agent.simulator.faults import FaultName, FaultSwitches
from sonnen_agent.simulator.generations import Endpoint, Generation
from sonnen_agent.simulator.house import House, State
from sonnen_agent.simulator.loads import battery_zone

_REMEMBERED = 20_000
_YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it arrived."""

    method: str
    path: str
    auth_token: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One reading that went out: the truth about what a reader was told."""

    number: int
    """Counts from 1."""
    unix_time: float
    simulated_time: str
    endpoint: Endpoint
    path: str
    body: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Simulated time, which passes `speed` times as fast as that of the machine."""

    start: datetime
    """When the simulation begins, in simulated time."""
    speed: float
    monotonic: Callable[[], float]
    wall: Callable[[], float]
    """The machine's Unix time."""
    started: float
    """What `monotonic` said when the simulation began."""

    def now(self) -> datetime:
        """Return the simulated time, in UTC."""
        elapsed = timedelta(seconds=(self.monotonic() - self.started) * self.speed)
        return self.start.astimezone(UTC) + elapsed


class SimulatedBattery:
    """Answers from several threads at once."""

    def __init__(self, *, generation: Generation, seed: int, clock: Clock, token: str | None) -> None:
        self.generation = generation
        self.clock = clock
        self.faults = FaultSwitches()
        self._house = House(generation.house, seed, clock.start)
        self._token = token
        self._lock = threading.Lock()
        self._frozen: View | None = None
        self._requests: deque[Request] = deque(maxlen=_REMEMBERED)
        self._deliveries: deque[Delivery] = deque(maxlen=_REMEMBERED)
        self._delivered = 0

    def state(self) -> State:
        """Return the house as it is now."""
        with self._lock:
            return self._house.at(self.clock.now())

    def switch_on(self, fault: FaultName, endpoint: Endpoint | None = None) -> None:
        """Switch a fault on for one endpoint, or for everything."""
        with self._lock:
            if fault == "frozen" and self._frozen is None:
                self._frozen = self._present()
            self.faults.switch_on(fault, endpoint)

    def switch_off(self, fault: FaultName) -> None:
        """Switch a fault off."""
        with self._lock:
            if fault == "frozen":
                self._frozen = None
            self.faults.switch_off(fault)

    def clear_faults(self) -> None:
        """Switch every fault off."""
        with self._lock:
            self._frozen = None
            self.faults.clear()

    def faults_at(self, path: str) -> frozenset[FaultName]:
        """Return the faults in force for a path."""
        return self.faults.at(endpoint_of(self.generation, path))

    def answer(self, path: str, token: str | None, faults: AbstractSet[FaultName]) -> Answer:
        """Return the answer to a GET; `delivered` is to be called when it goes out."""
        with self._lock:
            view = self._present()
            if "frozen" in faults and self._frozen is not None:
                view = self._frozen
        if "clock_jump" in faults:
            view = View(house=view.house, state=view.state, clock=view.clock + _YEAR)
        # Without a token of its own, the battery takes any that is not empty.
        granted = bool(token) if self._token is None else token == self._token
        return answer(self.generation, path, view, faults, granted=granted)

    def asked(self, request: Request) -> None:
        """Remember a request."""
        self._requests.append(request)

    def delivered(self, path: str, answer: Answer) -> None:
        """Remember a reading; an answer that is none is not remembered."""
        if answer.endpoint is None:
            return
        with self._lock:
            self._delivered += 1
            self._deliveries.append(
                Delivery(
                    number=self._delivered,
                    unix_time=self.clock.wall(),
                    simulated_time=self.clock.now().isoformat(),
                    endpoint=answer.endpoint,
                    path=path,
                    body=answer.body,
                )
            )

    def requests(self) -> tuple[Request, ...]:
        """Return the latest requests, oldest first."""
        return tuple(self._requests)

    def deliveries(self, after: int = 0) -> tuple[Delivery, ...]:
        """Return the latest readings with a higher number than `after`, oldest first."""
        with self._lock:
            return tuple(delivery for delivery in self._deliveries if delivery.number > after)

    def _present(self) -> View:
        now = self.clock.now()
        return View(house=self.generation.house, state=self._house.at(now), clock=now.astimezone(battery_zone()))
