import http.client
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
import urllib3

from sonnen_agent.errors import StartError
from sonnen_agent.simulator.battery import SimulatedBattery, simulated_clock
from sonnen_agent.simulator.generations import GENERATION_NAMES, GenerationName, generation_named
from sonnen_agent.simulator.server import Simulator

START = datetime(2024, 6, 20, 10, 0, tzinfo=UTC)
PATHS = {
    "eco8": "/api/v1/status",
    "sb10": "/api/v2/status",
    "evo": "/api/v2/status",
    "eco6": "/rest/devices/battery",
}


def simulated(
    generation: GenerationName = "sb10", *, seed: int = 1, speed: float = 1.0, token: str | None = None
) -> SimulatedBattery:
    clock = simulated_clock(START, speed)
    return SimulatedBattery(generation=generation_named(generation), seed=seed, clock=clock, token=token)


@pytest.fixture
def http_client() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False, timeout=10) as manager:
        yield manager


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    # So slow that the clock stands still.
    with Simulator(simulated(token="right", speed=1e-6)) as running:
        yield running


@pytest.mark.parametrize("name", GENERATION_NAMES)
def test_each_generation_answers_over_http(name: GenerationName, http_client: urllib3.PoolManager) -> None:
    with Simulator(simulated(name)) as simulator:
        reply = http_client.request("GET", simulator.url + PATHS[name])
        assert reply.status == 200
        assert reply.headers["Content-Type"] == "application/json"
        assert reply.headers["Content-Length"] == str(len(reply.data))
        assert isinstance(json.loads(reply.data), dict)


def test_only_the_right_token_opens_what_is_protected(simulator: Simulator, http_client: urllib3.PoolManager) -> None:
    url = f"{simulator.url}/api/v2/latestdata"
    for headers in ({}, {"Auth-Token": ""}, {"Auth-Token": "wrong"}):
        refused = http_client.request("GET", url, headers=headers)
        assert refused.status == 401
        assert refused.data == b'{"error":"401 Unauthorized"}'
        assert "WWW-Authenticate" not in refused.headers
    assert http_client.request("GET", url, headers={"auth-token": "right"}).status == 200
    assert http_client.request("GET", f"{simulator.url}/api/v2/status").status == 200


def test_without_a_token_of_its_own_the_battery_takes_any_that_is_not_empty(http_client: urllib3.PoolManager) -> None:
    with Simulator(simulated("evo")) as simulator:
        url = f"{simulator.url}/api/v2/battery"
        assert http_client.request("GET", url).data == b'{"error":"Unauthorized"}'
        assert http_client.request("GET", url, headers={"Auth-Token": "anything"}).status == 200


def test_the_start_page_redirects_over_http(simulator: Simulator, http_client: urllib3.PoolManager) -> None:
    reply = http_client.request("GET", f"{simulator.url}/", redirect=False)
    assert (reply.status, reply.headers["Location"]) == (301, "/dash")


def test_a_query_does_not_change_the_answer(simulator: Simulator, http_client: urllib3.PoolManager) -> None:
    assert http_client.request("GET", f"{simulator.url}/api/v2/status?x=1").status == 200


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_the_battery_takes_no_orders(simulator: Simulator, http_client: urllib3.PoolManager, method: str) -> None:
    reply = http_client.request(method, f"{simulator.url}/api/v2/configurations", body=b"EM_OperatingMode=1")
    assert (reply.status, json.loads(reply.data)) == (403, {"error": "VPP has priority"})


def test_a_battery_knows_nothing_of_the_faults_that_tests_let_loose(
    simulator: Simulator, http_client: urllib3.PoolManager
) -> None:
    assert http_client.request("GET", f"{simulator.url}/simulator/fault").status == 404
    assert http_client.request("PUT", f"{simulator.url}/simulator/fault/error").status == 403
    assert http_client.request("GET", f"{simulator.url}/api/v2/status").status == 200


def test_a_connection_serves_many_requests(simulator: Simulator) -> None:
    where = urlsplit(simulator.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=10)
    try:
        for path in ("/api/v2/status", "/nonsense", "/api/v1/status"):
            connection.request("GET", path)
            connection.getresponse().read()
        first = connection.sock
        connection.request("PUT", "/api/v2/configurations", body=b"some body nobody needs")
        connection.getresponse().read()
        connection.request("GET", "/api/v2/status")
        assert json.loads(connection.getresponse().read())["SystemStatus"] == "OnGrid"
        assert connection.sock is first is not None
    finally:
        connection.close()


def test_a_reader_that_asks_for_it_gets_its_connection_closed(simulator: Simulator) -> None:
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=10) as connection:
        connection.sendall(b"GET /api/v2/status HTTP/1.1\r\nHost: battery\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert b"\r\nConnection: close\r\n" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["SystemStatus"] == "OnGrid"


def test_speed_runs_the_clock_faster(http_client: urllib3.PoolManager) -> None:
    battery = simulated(speed=86_400.0)
    with Simulator(battery) as simulator:
        first = battery.firmware_state().state.time
        while battery.firmware_state().state.time < first + timedelta(minutes=10):
            pass
        shown = json.loads(http_client.request("GET", f"{simulator.url}/api/v2/status").data)["Timestamp"]
        assert datetime.fromisoformat(shown) >= datetime(2024, 6, 20, 12, 10)  # noqa: DTZ001 - the battery names no zone


def test_two_simulators_with_one_seed_agree(http_client: urllib3.PoolManager) -> None:
    bodies = []
    for _ in range(2):
        with Simulator(simulated(seed=5, speed=1e-6)) as simulator:
            bodies.append(http_client.request("GET", f"{simulator.url}/api/v2/status").data)
    assert bodies[0] == bodies[1]


def test_a_port_in_use_names_the_fix(simulator: Simulator) -> None:
    with pytest.raises(StartError) as caught, Simulator(simulated(), port=simulator.port):
        pass
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{simulator.port}: Address already in use; "
        "choose another port with --port, or --port 0 for any free one"
    )


def test_a_port_behind_the_last_one_names_the_fix() -> None:
    # As of the second battery of a dump that is replayed from the last port on.
    with pytest.raises(StartError, match=r"cannot listen on .*:65536: there is no such port; choose another"):
        Simulator(simulated(), port=65536)


def test_the_port_is_free_again_and_every_connection_closed_afterwards() -> None:
    with Simulator(simulated()) as simulator:
        port = simulator.port
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        connection.sendall(b"GET /api/v2/status HTTP/1.1\r\nHost: battery\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
    with connection:
        while connection.recv(65_536):
            pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)
    with Simulator(simulated(), port=port) as again:
        assert again.port == port
