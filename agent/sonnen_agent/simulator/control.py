"""The control interface under `/simulator/`, which no real battery has.

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

from dataclasses import asdict
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from sonnen_agent.simulator.answers import Answer, json_answer
from sonnen_agent.simulator.battery import SimulatedBattery
from sonnen_agent.simulator.faults import FAULT_NAMES, known_endpoint, known_fault
from sonnen_agent.simulator.generations import ENDPOINTS

PREFIX = "/simulator/"


def control(battery: SimulatedBattery, method: str, target: str) -> Answer:
    """Do what a control request asks for, and return its answer."""
    parts = urlsplit(target)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    match method, parts.path.removeprefix(PREFIX).split("/"):
        case "GET", ["log"]:
            return _log(battery, query.get("after", "0"))
        case "GET", ["house"]:
            state = battery.state()
            return json_answer(asdict(state) | {"time": state.time.isoformat(), "now": battery.clock.now().isoformat()})
        case "GET", ["fault"]:
            return json_answer(battery.faults.listing())
        case "DELETE", ["fault"]:
            battery.clear_faults()
            return json_answer(battery.faults.listing())
        case (("PUT" | "DELETE"), ["fault", name]):
            return _switch(battery, name, on=method == "PUT", endpoint=query.get("endpoint"))
        case _:
            return _refusal(f"cannot {method} {parts.path}")


def _log(battery: SimulatedBattery, after: str) -> Answer:
    if not after.isdecimal():
        return _refusal(f"after: should be a number, got {after!r}", HTTPStatus.BAD_REQUEST)
    return json_answer([asdict(delivery) for delivery in battery.deliveries(int(after))])


def _switch(battery: SimulatedBattery, name: str, *, on: bool, endpoint: str | None) -> Answer:
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
