"""A simulated battery with faults, and a record of what it was asked and said.

A test switches them in its own process (`FaultySimulator`), or from another one (this file is a program too, with the
options of `sonnen-agent simulate`) by a control interface under `/simulator/`, which no real battery has:

* `PUT /simulator/fault/NAME` switches a fault on for everything, `?endpoint=status` for one endpoint
  (status, powermeter, inverter, battery, latestdata, configurations).
* `DELETE /simulator/fault/NAME` switches it off, `DELETE /simulator/fault` all of them.
* `GET /simulator/fault` lists those that are on, with their endpoints.
* `GET /simulator/log?after=N` lists the readings that were sent after the Nth.
* `GET /simulator/house` tells the truth about the house.

| fault | what a reader meets |
|---|---|
| timeout | the connection stands, the answer never comes; closed when the fault is switched off |
| reset | RST |
| drip | a whole valid answer, headers included, a byte each 0.3 s; the rest at once when switched off |
| unauthorized, error | 401, 500 |
| html | 200 with a page |
| truncated | less than Content-Length promises |
| garbage | no HTTP at all |
| huge | 16 MB of JSON without a Content-Length |
| deep | JSON nested 20000 levels deep |
| redirect | 301 to another port |
| nulls | the usual fields, every value null |
| boot | the zeros of a booting battery |
| frozen | the same answer for ever, Timestamp included |
| clock_jump | a Timestamp one year ahead |
"""

import argparse
import signal
import sys
from dataclasses import asdict
from datetime import datetime
from functools import partial
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from faulty_battery import Delivery, FaultyBattery, Request
from faulty_wire import Line, send_faulty, wire_fault
from simulator_faults import ENDPOINTS, FAULT_NAMES, Endpoint, FaultName, known_endpoint, known_fault

from sonnen_agent.simulator.battery import Answer, json_answer, refused_order, simulated_clock
from sonnen_agent.simulator.generations import GENERATION_NAMES, GenerationName, generation_named
from sonnen_agent.simulator.house import State
from sonnen_agent.simulator.profiles import battery_zone
from sonnen_agent.simulator.server import Handler, Simulator, rendered

_PREFIX = "/simulator/"


class FaultySimulator(Simulator):
    """Serves a battery with faults from `with` to the end of the block."""

    def __init__(
        self,
        *,
        generation: GenerationName = "sb10",
        seed: int = 1,
        speed: float = 1.0,
        start: datetime | None = None,
        token: str | None = None,
        port: int = 0,
    ) -> None:
        clock = simulated_clock(start, speed)
        self.faulty = FaultyBattery(generation=generation_named(generation), seed=seed, clock=clock, token=token)
        super().__init__(self.faulty, port=port, handler=_FaultyHandler)

    @property
    def requests(self) -> tuple[Request, ...]:
        """What the battery was asked, oldest first; control requests are not counted."""
        return self.faulty.requests()

    @property
    def house(self) -> State:
        """The truth about the house."""
        return self.faulty.firmware_state().state

    def log(self, after: int = 0) -> tuple[Delivery, ...]:
        """Return the readings that were sent, oldest first."""
        return self.faulty.deliveries(after)

    def set_fault(self, fault: FaultName, endpoint: Endpoint | None = None) -> None:
        """Switch a fault on, for one endpoint or for everything."""
        self.faulty.switch_on(fault, endpoint)

    def clear_fault(self, fault: FaultName) -> None:
        """Switch a fault off."""
        self.faulty.switch_off(fault)

    def clear_faults(self) -> None:
        """Switch every fault off."""
        self.faulty.clear_faults()


class _FaultyHandler(Handler):
    """One connection of a battery with faults."""

    server: FaultySimulator

    def respond(self) -> None:
        if self.path.startswith(_PREFIX):
            self.send(control(self.server.faulty, self.command, self.path))
            return
        token = self.headers.get("Auth-Token")
        self.server.faulty.asked(Request(method=self.command, path=self.path, auth_token=token))
        if self.command != "GET":
            self.send(refused_order())
            return
        path = self.path.partition("?")[0]
        faults = self.server.faulty.faults_at(path)
        reply = self.server.faulty.reply(path, token, faults)
        fault = wire_fault(faults)
        if fault is None:
            # First the record, then the answer: a reader that looks right after its answer finds it there.
            self.server.faulty.delivered(path, reply)
            self.send(reply.answer)
            return
        self.close_connection = True
        line = Line(connection=self.connection, is_on=partial(self._is_on, path))
        whole = rendered(reply.answer, close=True)
        send_faulty(line, fault, whole, lambda: self.server.faulty.delivered(path, reply))

    def _is_on(self, path: str, fault: FaultName) -> bool:
        return fault in self.server.faulty.faults_at(path)


def control(battery: FaultyBattery, method: str, target: str) -> Answer:
    """Do what a control request asks for, and return its answer."""
    parts = urlsplit(target)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    match method, parts.path.removeprefix(_PREFIX).split("/"):
        case "GET", ["log"]:
            return _log(battery, query.get("after", "0"))
        case "GET", ["house"]:
            state = battery.firmware_state().state
            return json_answer(asdict(state) | {"time": state.time.isoformat(), "now": battery.clock().isoformat()})
        case "GET", ["fault"]:
            return json_answer(battery.faults.listing())
        case "DELETE", ["fault"]:
            battery.clear_faults()
            return json_answer(battery.faults.listing())
        case (("PUT" | "DELETE"), ["fault", name]):
            return _switch(battery, name, on=method == "PUT", endpoint=query.get("endpoint"))
        case _:
            return _refusal(f"cannot {method} {parts.path}")


def _log(battery: FaultyBattery, after: str) -> Answer:
    if not after.isdecimal():
        return _refusal(f"after: should be a number, got {after!r}", HTTPStatus.BAD_REQUEST)
    return json_answer([asdict(delivery) for delivery in battery.deliveries(int(after))])


def _switch(battery: FaultyBattery, name: str, *, on: bool, endpoint: str | None) -> Answer:
    fault = known_fault(name)
    if fault is None:
        return _refusal(f"no such fault: {name!r}", known=FAULT_NAMES)
    limit = None if endpoint is None else known_endpoint(endpoint)
    if endpoint is not None and limit is None:
        return _refusal(f"no such endpoint: {endpoint!r}", known=ENDPOINTS)
    if on:
        battery.switch_on(fault, limit)
    else:
        battery.switch_off(fault)
    return json_answer(battery.faults.listing())


def _refusal(error: str, status: HTTPStatus = HTTPStatus.NOT_FOUND, known: tuple[str, ...] = ()) -> Answer:
    return json_answer({"error": error} | ({"known": known} if known else {}), status)


def main() -> None:
    """Serve a battery with faults until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="Serves a simulated battery with faults, for tests.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--generation", choices=GENERATION_NAMES, default="sb10")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--start", type=_local_time)
    parser.add_argument("--token")
    options = parser.parse_args()
    # Blocked before the first thread starts, so that none of them is interrupted in place of this one.
    signals = (signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with FaultySimulator(**vars(options)) as simulator:
        sys.stdout.write(f"simulating a sonnen battery ({options.generation}) with faults at {simulator.url}\n")
        sys.stdout.flush()
        signal.sigwait(signals)


def _local_time(text: str) -> datetime:
    start = datetime.fromisoformat(text)
    return start.replace(tzinfo=battery_zone()) if start.tzinfo is None else start


if __name__ == "__main__":
    main()
