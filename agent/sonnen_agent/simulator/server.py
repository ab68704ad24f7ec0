"""A simulated battery on a port of this machine, with the control interface of `control` beside it."""

import threading
import time
from datetime import UTC, datetime
from typing import Self

from sonnen_agent.errors import StartError
from sonnen_agent.simulator.battery import Clock, Delivery, Request, SimulatedBattery
from sonnen_agent.simulator.faults import FaultName
from sonnen_agent.simulator.generations import Endpoint, GenerationName, generation_named
from sonnen_agent.simulator.house import State
from sonnen_agent.simulator.listener import Listener

_HOST = "127.0.0.1"
_LARGEST_PORT = 65_535
_POLL_SECONDS = 0.05


class Simulator:
    """Serves a battery from `with` to the end of the block."""

    def __init__(  # noqa: PLR0913 - the command's options, one for one
        self,
        *,
        generation: GenerationName = "sb10",
        seed: int = 1,
        speed: float = 1.0,
        start: datetime | None = None,
        token: str | None = None,
        port: int = 0,
    ) -> None:
        self._port = port
        self.battery = SimulatedBattery(
            generation=generation_named(generation),
            seed=seed,
            clock=Clock(
                start=datetime.now(UTC) if start is None else start,
                speed=speed,
                monotonic=time.monotonic,
                wall=time.time,
                started=time.monotonic(),
            ),
            token=token,
        )

    def __enter__(self) -> Self:
        if not 0 <= self._port <= _LARGEST_PORT:
            raise StartError(f"--port: should be 0 to {_LARGEST_PORT}, got {self._port!r}; 0 takes any free one")
        try:
            self._listener = Listener((_HOST, self._port), self.battery)
        except OSError as error:
            raise StartError(
                f"cannot listen on {_HOST}:{self._port}: {error.strerror}; "
                "choose another port with --port, or --port 0 for any free one"
            ) from error
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(_POLL_SECONDS,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()
        self._listener.close_connections()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._listener.server_address[1])

    @property
    def url(self) -> str:
        """The address to read the battery at, without a slash at its end."""
        return f"http://{_HOST}:{self.port}"

    @property
    def requests(self) -> tuple[Request, ...]:
        """What the battery was asked, oldest first; control requests are not counted."""
        return self.battery.requests()

    @property
    def house(self) -> State:
        """The truth about the house."""
        return self.battery.state()

    def log(self, after: int = 0) -> tuple[Delivery, ...]:
        """Return the readings that were sent, oldest first."""
        return self.battery.deliveries(after)

    def set_fault(self, fault: FaultName, endpoint: Endpoint | None = None) -> None:
        """Switch a fault on, for one endpoint or for everything."""
        self.battery.switch_on(fault, endpoint)

    def clear_fault(self, fault: FaultName) -> None:
        """Switch a fault off."""
        self.battery.switch_off(fault)

    def clear_faults(self) -> None:
        """Switch every fault off."""
        self.battery.clear_faults()
