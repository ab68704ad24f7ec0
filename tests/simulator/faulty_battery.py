"""A simulated battery without its network, with fault switches, and a record of what it was asked and said."""

import threading
import time
from collections import deque
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus

from simulator_faults import Endpoint, FaultName, FaultSwitches, altered_reading, body_of, broken_answer, endpoint_of

from sonnen_agent.simulator.battery import Answer, SimulatedBattery, answer
from sonnen_agent.simulator.generations import FirmwareState, Generation

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
class Reply:
    """An answer before it meets the network."""

    answer: Answer
    endpoint: Endpoint | None = None
    """Set for a reading only."""


class FaultyBattery(SimulatedBattery):
    """Answers from several threads at once, as the faults that are on have it."""

    def __init__(self, *, generation: Generation, seed: int, clock: Callable[[], datetime], token: str | None) -> None:
        super().__init__(generation=generation, seed=seed, clock=clock, token=token)
        self.faults = FaultSwitches()
        self._records = threading.Lock()
        self._frozen: FirmwareState | None = None
        self._requests: deque[Request] = deque(maxlen=_REMEMBERED)
        self._deliveries: deque[Delivery] = deque(maxlen=_REMEMBERED)
        self._delivered = 0

    def switch_on(self, fault: FaultName, endpoint: Endpoint | None = None) -> None:
        """Switch a fault on for one endpoint, or for everything."""
        with self._records:
            if fault == "frozen" and self._frozen is None:
                self._frozen = self.firmware_state()
            self.faults.switch_on(fault, endpoint)

    def switch_off(self, fault: FaultName) -> None:
        """Switch a fault off."""
        with self._records:
            if fault == "frozen":
                self._frozen = None
            self.faults.switch_off(fault)

    def clear_faults(self) -> None:
        """Switch every fault off."""
        with self._records:
            self._frozen = None
            self.faults.clear()

    def faults_at(self, path: str) -> frozenset[FaultName]:
        """Return the faults in force for a path."""
        return self.faults.at(endpoint_of(self.generation, path))

    def reply(self, path: str, token: str | None, faults: AbstractSet[FaultName]) -> Reply:
        """Return the answer to a GET; `delivered` is to be called when it goes out."""
        broken = broken_answer(self.generation, faults)
        if broken is not None:
            return Reply(answer=broken)
        frozen = self._frozen if "frozen" in faults else None
        firmware = frozen or self.firmware_state()
        if "clock_jump" in faults:
            firmware = replace(firmware, clock=firmware.clock + _YEAR)
        usual = answer(self.generation, path, firmware, granted=self.grants(token))
        endpoint = endpoint_of(self.generation, path)
        if endpoint is None or usual.status != HTTPStatus.OK:
            return Reply(answer=usual)
        return Reply(answer=altered_reading(endpoint, usual, faults), endpoint=endpoint)

    def asked(self, request: Request) -> None:
        """Remember a request."""
        self._requests.append(request)

    def delivered(self, path: str, reply: Reply) -> None:
        """Remember a reading; an answer that is none is not remembered."""
        if reply.endpoint is None:
            return
        body = body_of(reply.answer)
        with self._records:
            self._delivered += 1
            self._deliveries.append(
                Delivery(
                    number=self._delivered,
                    unix_time=time.time(),
                    simulated_time=self.clock().isoformat(),
                    endpoint=reply.endpoint,
                    path=path,
                    body=body,
                )
            )

    def requests(self) -> tuple[Request, ...]:
        """Return the latest requests, oldest first."""
        return tuple(self._requests)

    def deliveries(self, after: int = 0) -> tuple[Delivery, ...]:
        """Return the latest readings with a higher number than `after`, oldest first."""
        with self._records:
            return tuple(delivery for delivery in self._deliveries if delivery.number > after)
