import http.client
import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
import urllib3

from sonnen_agent.errors import StartError
from sonnen_agent.simulator.generations import GENERATION_NAMES, GenerationName
from sonnen_agent.simulator.server import Simulator

START = datetime(2024, 6, 20, 10, 0, tzinfo=UTC)
PATHS = {
    "eco8": "/api/v1/status",
    "sb10": "/api/v2/status",
    "evo": "/api/v2/status",
    "eco6": "/rest/devices/battery",
}


@pytest.fixture
def http_client() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False, timeout=10) as manager:
        yield manager


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    # So slow that the clock stands still.
    with Simulator(generation="sb10", seed=1, start=START, token="right", speed=1e-6) as running:
        yield running


@pytest.mark.parametrize("name", GENERATION_NAMES)
def test_each_generation_answers_over_http(name: GenerationName, http_client: urllib3.PoolManager) -> None:
    with Simulator(generation=name, start=START) as simulator:
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
    with Simulator(generation="evo", start=START) as simulator:
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
    assert [(request.method, request.path) for request in simulator.requests] == [(method, "/api/v2/configurations")]


def test_a_connection_serves_many_requests(simulator: Simulator) -> None:
    where = urlsplit(simulator.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=10)
    try:
        for path in ("/api/v2/status", "/nonsense", "/api/v1/status", "/simulator/fault"):
            connection.request("GET", path)
            connection.getresponse().read()
        first = connection.sock
        connection.request("PUT", "/simulator/fault/nulls", body=b"some body nobody needs")
        connection.getresponse().read()
        connection.request("GET", "/api/v2/status")
        assert json.loads(connection.getresponse().read())["Production_W"] is None
        assert connection.sock is first is not None
    finally:
        connection.close()


def test_a_reader_that_asks_for_it_gets_its_connection_closed(simulator: Simulator) -> None:
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=10) as connection:
        connection.sendall(b"GET /api/v2/status HTTP/1.1\r\nHost: battery\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert b"\r\nConnection: close\r\n" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["SystemStatus"] == "OnGrid"


def test_the_requests_are_remembered_with_their_tokens(simulator: Simulator, http_client: urllib3.PoolManager) -> None:
    http_client.request("GET", f"{simulator.url}/api/v2/status")
    http_client.request("GET", f"{simulator.url}/api/v2/battery", headers={"Auth-Token": "right"})
    http_client.request("GET", f"{simulator.url}/simulator/house")
    asked = [(request.method, request.path, request.auth_token) for request in simulator.requests]
    assert asked == [("GET", "/api/v2/status", None), ("GET", "/api/v2/battery", "right")]


def test_the_log_holds_exactly_the_readings_that_were_sent(
    simulator: Simulator, http_client: urllib3.PoolManager
) -> None:
    status = json.loads(http_client.request("GET", f"{simulator.url}/api/v2/status").data)
    http_client.request("GET", f"{simulator.url}/api/v2/battery")
    http_client.request("GET", f"{simulator.url}/nonsense")
    meters = json.loads(
        http_client.request("GET", f"{simulator.url}/api/v2/powermeter", headers={"Auth-Token": "right"}).data
    )
    log = json.loads(http_client.request("GET", f"{simulator.url}/simulator/log").data)
    assert [(entry["number"], entry["endpoint"], entry["path"]) for entry in log] == [
        (1, "status", "/api/v2/status"),
        (2, "powermeter", "/api/v2/powermeter"),
    ]
    assert [entry["body"] for entry in log] == [status, meters]
    assert log[0]["unix_time"] <= log[1]["unix_time"]
    assert log[0]["unix_time"] > datetime(2025, 1, 1, tzinfo=UTC).timestamp()
    assert log[0]["simulated_time"].startswith("2024-06-20T10:0")
    later = json.loads(http_client.request("GET", f"{simulator.url}/simulator/log?after=1").data)
    assert later == log[1:]
    assert [delivery.body for delivery in simulator.log(after=1)] == [meters]


def test_the_log_of_an_eco6_holds_the_text_as_sent(http_client: urllib3.PoolManager) -> None:
    with Simulator(generation="eco6", start=START) as simulator:
        text = http_client.request("GET", f"{simulator.url}/rest/devices/battery/M05").data.decode()
        assert text == "50\n"
        (entry,) = json.loads(http_client.request("GET", f"{simulator.url}/simulator/log").data)
        assert (entry["endpoint"], entry["body"]) == ("status", text)


@pytest.mark.parametrize("after", ["x", "-1", "1.5"])
def test_a_log_position_that_is_no_number_is_refused(
    simulator: Simulator, http_client: urllib3.PoolManager, after: str
) -> None:
    reply = http_client.request("GET", f"{simulator.url}/simulator/log?after={after}")
    assert (reply.status, json.loads(reply.data)) == (400, {"error": f"after: should be a number, got {after!r}"})


def test_the_house_is_told_as_it_is(simulator: Simulator, http_client: urllib3.PoolManager) -> None:
    told = json.loads(http_client.request("GET", f"{simulator.url}/simulator/house").data)
    assert told["time"] == simulator.house.time.isoformat()
    assert datetime.fromisoformat(told["time"]) <= datetime.fromisoformat(told["now"])
    balance = told["production_watts"] + told["discharge_watts"] - told["consumption_watts"]
    assert balance == pytest.approx(told["grid_feed_in_watts"])
    assert told["state_of_charge_percent"] == pytest.approx(50, abs=1)
    integrals = ("production", "consumption", "grid_import", "grid_export", "battery_charge", "battery_discharge")
    assert all(told[f"{name}_watt_hours"] >= 0 for name in integrals)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/simulator/nonsense"), ("POST", "/simulator/fault/html"), ("PUT", "/simulator/house")],
)
def test_a_control_request_that_means_nothing_is_refused(
    simulator: Simulator, http_client: urllib3.PoolManager, method: str, path: str
) -> None:
    reply = http_client.request(method, simulator.url + path)
    assert (reply.status, json.loads(reply.data)) == (404, {"error": f"cannot {method} {path}"})


def test_speed_runs_the_clock_faster(http_client: urllib3.PoolManager) -> None:
    with Simulator(start=START, speed=86_400.0) as simulator:
        first = simulator.house.time
        while simulator.house.time < first + timedelta(minutes=10):
            pass
        shown = json.loads(http_client.request("GET", f"{simulator.url}/api/v2/status").data)["Timestamp"]
        assert datetime.fromisoformat(shown) >= datetime(2024, 6, 20, 12, 10)  # noqa: DTZ001 - the battery names no zone


def test_two_simulators_with_one_seed_agree(http_client: urllib3.PoolManager) -> None:
    bodies = []
    for _ in range(2):
        with Simulator(seed=5, start=START, speed=1e-6) as simulator:
            bodies.append(http_client.request("GET", f"{simulator.url}/api/v2/status").data)
    assert bodies[0] == bodies[1]


def test_many_readers_get_one_truth(simulator: Simulator) -> None:
    bodies: list[bytes] = []

    def read() -> None:
        with urllib3.PoolManager(retries=False, timeout=10) as manager:
            bodies.extend(manager.request("GET", f"{simulator.url}/api/v2/status").data for _ in range(20))

    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    log = simulator.log()
    assert [delivery.number for delivery in log] == list(range(1, 161))
    sent = sorted(json.dumps(delivery.body, sort_keys=True, separators=(",", ":")).encode() for delivery in log)
    assert sorted(bodies) == sent


def test_a_port_in_use_names_the_fix(simulator: Simulator) -> None:
    with pytest.raises(StartError) as caught, Simulator(port=simulator.port):
        pass
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{simulator.port}: Address already in use; "
        "choose another port with --port, or --port 0 for any free one"
    )


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_that_cannot_be_names_the_bounds(port: int) -> None:
    with pytest.raises(StartError) as caught, Simulator(port=port):
        pass
    assert str(caught.value) == f"--port: should be 0 to 65535, got {port}; 0 takes any free one"


def test_the_port_is_free_again_and_every_connection_closed_afterwards() -> None:
    with Simulator(start=START) as simulator:
        port = simulator.port
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        connection.sendall(b"GET /api/v2/status HTTP/1.1\r\nHost: battery\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 200"
    with connection:
        while connection.recv(65_536):
            pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)
    with Simulator(start=START, port=port) as again:
        assert again.port == port
