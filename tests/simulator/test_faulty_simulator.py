import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import urllib3
from faulty_simulator import FaultySimulator
from simulator_faults import ENDPOINTS, FAULT_NAMES, Endpoint, FaultName, FaultSwitches, all_null, booting, endpoint_of

from sonnen_agent.simulator.generations import GENERATION_NAMES, GenerationName, generation_named

START = datetime(2024, 6, 20, 10, 0, tzinfo=UTC)
TOKEN = {"Auth-Token": "right"}
NO_TOKEN: dict[str, str] = {}
PROGRAM = Path(__file__).with_name("faulty_simulator.py")
STATUS = "/api/v2/status"


@pytest.fixture
def http_client() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False, timeout=10, headers=TOKEN) as manager:
        yield manager


@pytest.fixture
def simulator() -> Iterator[FaultySimulator]:
    # So slow that the clock stands still.
    with FaultySimulator(generation="sb10", seed=1, start=START, token="right", speed=1e-6) as running:
        yield running


def asked(simulator: FaultySimulator, path: str = STATUS) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", simulator.port), timeout=10)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: battery\r\n\r\n".encode())
    return connection


def everything_from(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65_536), b""))


def get(http_client: urllib3.PoolManager, simulator: FaultySimulator, path: str = STATUS) -> "urllib3.BaseHTTPResponse":
    return http_client.request("GET", simulator.url + path, redirect=False)


def test_timeout_never_answers(simulator: FaultySimulator) -> None:
    simulator.set_fault("timeout")
    with urllib3.PoolManager(retries=False, timeout=0.5) as hasty, pytest.raises(urllib3.exceptions.ReadTimeoutError):
        hasty.request("GET", simulator.url + STATUS)
    assert simulator.log() == ()
    assert [request.path for request in simulator.requests] == [STATUS]


def test_timeout_closes_the_connection_without_a_word_when_it_is_switched_off(simulator: FaultySimulator) -> None:
    simulator.set_fault("timeout")
    with asked(simulator) as connection:
        while not simulator.requests:
            pass
        simulator.clear_fault("timeout")
        assert connection.recv(1) == b""
    assert simulator.log() == ()


def test_a_simulator_ends_in_spite_of_a_reader_that_waits() -> None:
    with FaultySimulator(start=START) as simulator:
        simulator.set_fault("timeout")
        connection = asked(simulator)
        while not simulator.requests:
            pass
    with connection:
        assert connection.recv(1) == b""


def test_reset_resets_the_connection(simulator: FaultySimulator) -> None:
    simulator.set_fault("reset")
    with asked(simulator) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)


def test_drip_sends_a_whole_answer_byte_by_byte(simulator: FaultySimulator) -> None:
    simulator.set_fault("drip")
    with asked(simulator) as connection:
        first = connection.recv(65_536)
        # One byte, or a few on a machine that is busy elsewhere.
        assert 0 < len(first) < 20
        assert simulator.log() == ()
        simulator.clear_faults()
        head, _, body = (first + everything_from(connection)).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body) == simulator.log()[0].body


@pytest.mark.parametrize(
    ("fault", "status", "header", "begin"),
    [
        ("unauthorized", 401, ("Content-Type", "application/json"), b'{"error":"401 Unauthorized"}'),  # to any token
        ("error", 500, ("Content-Type", "application/json"), b'{"error":"internal server error"}'),
        ("html", 200, ("Content-Type", "text/html; charset=utf-8"), b"<!DOCTYPE html>"),
        ("redirect", 301, ("Location", "http://127.0.0.1:9/"), b""),
    ],
)
def test_a_fault_that_is_an_answer(
    simulator: FaultySimulator,
    http_client: urllib3.PoolManager,
    fault: FaultName,
    status: int,
    header: tuple[str, str],
    begin: bytes,
) -> None:
    simulator.set_fault(fault)
    for path in (STATUS, "/api/v2/battery"):
        reply = get(http_client, simulator, path)
        assert (reply.status, reply.headers[header[0]]) == (status, header[1])
        assert reply.data.startswith(begin)


def test_truncated_promises_more_than_it_sends(simulator: FaultySimulator) -> None:
    simulator.set_fault("truncated")
    with asked(simulator) as connection:
        head, _, body = everything_from(connection).partition(b"\r\n\r\n")
    promised = int(next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length")).split()[1])
    assert 0 < len(body) < promised
    assert head.startswith(b"HTTP/1.1 200 OK")
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    assert simulator.log() == ()


def test_garbage_is_no_http(simulator: FaultySimulator, http_client: urllib3.PoolManager) -> None:
    simulator.set_fault("garbage")
    with pytest.raises(urllib3.exceptions.ProtocolError, match="BadStatusLine"):
        get(http_client, simulator)


def test_huge_is_many_megabytes_of_valid_json_without_a_length(
    simulator: FaultySimulator, http_client: urllib3.PoolManager
) -> None:
    simulator.set_fault("huge")
    reply = get(http_client, simulator)
    assert "Content-Length" not in reply.headers
    assert len(reply.data) > 16_000_000
    assert set(json.loads(reply.data)["filler"]) == {"x"}


def test_a_reader_may_leave_in_the_middle_of_huge(
    http_client: urllib3.PoolManager, capfd: pytest.CaptureFixture[str]
) -> None:
    with FaultySimulator(start=START) as simulator:
        simulator.set_fault("huge")
        with asked(simulator) as connection:
            assert connection.recv(12) == b"HTTP/1.1 200"
        simulator.clear_faults()
        assert get(http_client, simulator).status == 200
    assert capfd.readouterr() == ("", "")


def test_deep_is_nested_deeper_than_a_parser_likes(
    simulator: FaultySimulator, http_client: urllib3.PoolManager
) -> None:
    simulator.set_fault("deep")
    data = get(http_client, simulator).data
    assert len(data) < 64_000
    with pytest.raises(RecursionError):
        json.loads(data)


def test_nulls_leaves_every_field_without_a_value(simulator: FaultySimulator, http_client: urllib3.PoolManager) -> None:
    usual = json.loads(get(http_client, simulator).data)
    simulator.set_fault("nulls")
    status = json.loads(get(http_client, simulator).data)
    assert status == dict.fromkeys(usual)
    meters = json.loads(get(http_client, simulator, "/api/v2/powermeter").data)
    assert [set(meter.values()) for meter in meters] == [{None}, {None}]
    latest = json.loads(get(http_client, simulator, "/api/v2/latestdata").data)
    assert latest["ic_status"]["Eclipse Led"]["Pulsing White"] is None
    assert simulator.log()[1].body == status


def test_nulls_of_one_code_is_a_text(http_client: urllib3.PoolManager) -> None:
    with FaultySimulator(generation="eco6", start=START) as simulator:
        simulator.set_fault("nulls")
        assert get(http_client, simulator, "/rest/devices/battery/M03").data == b"null\n"
        assert set(json.loads(get(http_client, simulator, "/rest/devices/battery").data).values()) == {None}


@pytest.mark.parametrize(("name", "path"), [("eco8", "/api/v1/status"), ("sb10", STATUS), ("evo", STATUS)])
def test_boot_zeroes_the_status(http_client: urllib3.PoolManager, name: GenerationName, path: str) -> None:
    with FaultySimulator(generation=name, start=START, speed=1e-6) as simulator:
        usual = json.loads(get(http_client, simulator, path).data)
        simulator.set_fault("boot")
        status = json.loads(get(http_client, simulator, path).data)
    assert status.keys() == usual.keys()
    assert status["Uac"] == status["Fac"] == status["Ubat"] == status["RSOC"] == status["Production_W"] == 0
    assert status["Timestamp"] == usual["Timestamp"]
    assert status["SystemStatus"] == "Init"
    assert {key: type(value) for key, value in status.items()} == {key: type(value) for key, value in usual.items()}


@pytest.mark.parametrize("name", ["sb10", "evo"])
def test_boot_makes_latestdata_that_of_a_booting_battery(
    http_client: urllib3.PoolManager, name: GenerationName
) -> None:
    with FaultySimulator(generation=name, start=START) as simulator:
        simulator.set_fault("boot")
        latest = json.loads(get(http_client, simulator, "/api/v2/latestdata").data)
    core = latest["ic_status"]
    assert {latest[key] for key in ("Consumption_W", "FullChargeCapacity", "RSOC", "USOC", "Pac_total_W")} == {0}
    assert latest["UTC_Offet"] == 2
    assert core["statebms"] == core["stateinverter"] == "not ready"
    assert core["statecorecontrolmodule"] == "config"
    assert core["timestamp"] == "Thu Jan 1 01:00:00 1970"
    assert core["nrbatterymodules"] == core["secondssincefullcharge"] == 0
    assert [led for led, value in core["Eclipse Led"].items() if value is True] == ["Pulsing Orange"]


def test_boot_says_that_the_powermeters_are_not_ready(
    simulator: FaultySimulator, http_client: urllib3.PoolManager
) -> None:
    simulator.set_fault("boot")
    for meter in json.loads(get(http_client, simulator, "/api/v2/powermeter").data):
        assert meter.pop("error") == -1
        assert meter.pop("deviceid") == 4
        assert meter.pop("channel") == {"production": 1, "consumption": 2}[meter.pop("direction")]
        assert set(meter.values()) == {0}


def test_boot_says_so_in_the_legacy_form_too(http_client: urllib3.PoolManager) -> None:
    with FaultySimulator(generation="eco8", start=START) as simulator:
        simulator.set_fault("boot")
        keyed = json.loads(get(http_client, simulator, "/api/powermeter").data)
        inverter = json.loads(get(http_client, simulator, "/api/inverter").data)["status"]
    assert {meter["error"] for meter in keyed.values()} == {"-1"}
    assert keyed["4_1"]["channel"] == "1"
    assert {float(keyed["4_2"][key]) for key in ("w_total", "kwh_imported", "v_l1_n")} == {0}
    assert inverter["fac"] == inverter["tempbdc"] == "0.00"
    assert inverter["mode"] == "connected"


def test_boot_leaves_the_settings_alone_and_zeroes_the_hardware(
    simulator: FaultySimulator, http_client: urllib3.PoolManager
) -> None:
    settings = json.loads(get(http_client, simulator, "/api/v2/configurations").data)
    simulator.set_fault("boot")
    assert json.loads(get(http_client, simulator, "/api/v2/configurations").data) == settings
    for path in ("/api/v2/battery", "/api/v2/inverter"):
        assert set(json.loads(get(http_client, simulator, path).data).values()) == {0}


def test_boot_zeroes_the_codes_of_an_eco6(http_client: urllib3.PoolManager) -> None:
    with FaultySimulator(generation="eco6", start=START) as simulator:
        simulator.set_fault("boot")
        codes = json.loads(get(http_client, simulator, "/rest/devices/battery").data)
        text = get(http_client, simulator, "/rest/devices/battery/M04").data
    assert {value for code, value in codes.items() if code.startswith("M")} == {0}
    assert codes["S65"] == 2500
    assert text == b"0\n"


def test_frozen_gives_the_same_answer_for_ever(http_client: urllib3.PoolManager) -> None:
    with FaultySimulator(start=START, speed=3600.0, token="right") as simulator:
        simulator.set_fault("frozen")
        first = get(http_client, simulator).data
        began = simulator.house.time
        while simulator.house.time < began + timedelta(minutes=10):
            pass
        assert get(http_client, simulator).data == first
        assert (
            json.loads(get(http_client, simulator, "/api/v2/latestdata").data)["Timestamp"]
            == json.loads(first)["Timestamp"]
        )
        assert [delivery.number for delivery in simulator.log()] == [1, 2, 3]
        simulator.clear_fault("frozen")
        assert json.loads(get(http_client, simulator).data)["Timestamp"] > json.loads(first)["Timestamp"]


def test_frozen_again_is_another_moment(http_client: urllib3.PoolManager) -> None:
    with FaultySimulator(start=START, speed=3600.0) as simulator:
        shown = set()
        for _ in range(2):
            simulator.set_fault("frozen")
            shown.add(json.loads(get(http_client, simulator).data)["Timestamp"])
            simulator.clear_faults()
            began = simulator.house.time
            while simulator.house.time < began + timedelta(minutes=1):
                pass
        assert len(shown) == 2


def test_clock_jump_puts_the_clock_ahead_and_nothing_else(http_client: urllib3.PoolManager) -> None:
    with FaultySimulator(start=START, speed=1e-6, token="right") as simulator:
        usual = json.loads(get(http_client, simulator).data)
        simulator.set_fault("clock_jump")
        jumped = json.loads(get(http_client, simulator).data)
        assert usual.pop("Timestamp") == "2024-06-20 12:00:00"
        assert jumped.pop("Timestamp") == "2025-06-20 12:00:00"
        assert jumped == usual
        latest = json.loads(get(http_client, simulator, "/api/v2/latestdata").data)
        assert latest["Timestamp"] == "2025-06-20 12:00:00"
        assert latest["ic_status"]["timestamp"] == "Fri Jun 20 11:59:59 2025"


def test_a_fault_may_concern_one_endpoint(simulator: FaultySimulator, http_client: urllib3.PoolManager) -> None:
    simulator.set_fault("error", "battery")
    assert get(http_client, simulator, "/api/v2/battery").status == 500
    for path in (STATUS, "/api/v1/status", "/api/v2/powermeter", "/api/v2/configurations"):
        assert get(http_client, simulator, path).status == 200


def test_a_fault_without_an_endpoint_concerns_every_path(
    simulator: FaultySimulator, http_client: urllib3.PoolManager
) -> None:
    simulator.set_fault("error")
    for path in (STATUS, "/api/v2/battery", "/", "/nonsense"):
        assert get(http_client, simulator, path).status == 500
    assert get(http_client, simulator, "/simulator/house").status == 200


def test_faults_combine(simulator: FaultySimulator, http_client: urllib3.PoolManager) -> None:
    simulator.set_fault("nulls")
    simulator.set_fault("truncated", "battery")
    assert json.loads(get(http_client, simulator).data)["RSOC"] is None
    with pytest.raises(urllib3.exceptions.ProtocolError, match="IncompleteRead"):
        get(http_client, simulator, "/api/v2/battery")


@pytest.mark.parametrize("name", GENERATION_NAMES)
def test_a_spoiled_answer_is_no_reading_in_the_log(http_client: urllib3.PoolManager, name: GenerationName) -> None:
    path = {"eco8": "/api/v1/status", "eco6": "/rest/devices/battery"}.get(name, STATUS)
    with FaultySimulator(generation=name, start=START) as simulator:
        for fault in ("unauthorized", "error", "html", "deep", "redirect"):
            simulator.set_fault(fault)
            get(http_client, simulator, path)
            simulator.clear_faults()
        assert simulator.log() == ()
        assert get(http_client, simulator, path).status == 200
        assert len(simulator.log()) == 1


def test_faults_are_switched_over_http(simulator: FaultySimulator, http_client: urllib3.PoolManager) -> None:
    base = f"{simulator.url}/simulator/fault"
    everywhere = list(ENDPOINTS)
    assert json.loads(http_client.request("GET", base).data) == {}
    assert json.loads(http_client.request("PUT", f"{base}/error?endpoint=battery").data) == {"error": ["battery"]}
    assert json.loads(http_client.request("PUT", f"{base}/error?endpoint=status").data) == {
        "error": ["status", "battery"]
    }
    assert get(http_client, simulator).status == 500
    listing = {"error": ["status", "battery"], "nulls": everywhere}
    assert json.loads(http_client.request("PUT", f"{base}/nulls").data) == listing
    assert json.loads(http_client.request("GET", base).data) == listing
    assert json.loads(http_client.request("DELETE", f"{base}/error").data) == {"nulls": everywhere}
    assert json.loads(get(http_client, simulator).data)["RSOC"] is None
    assert json.loads(http_client.request("DELETE", base).data) == {}
    assert json.loads(get(http_client, simulator).data)["RSOC"] == 50


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_an_unknown_fault_is_answered_with_the_known_ones(
    simulator: FaultySimulator, http_client: urllib3.PoolManager, method: str
) -> None:
    reply = http_client.request(method, f"{simulator.url}/simulator/fault/flood")
    assert reply.status == 404
    assert json.loads(reply.data) == {"error": "no such fault: 'flood'", "known": list(FAULT_NAMES)}


def test_an_unknown_endpoint_is_answered_with_the_known_ones(
    simulator: FaultySimulator, http_client: urllib3.PoolManager
) -> None:
    reply = http_client.request("PUT", f"{simulator.url}/simulator/fault/error?endpoint=io")
    assert reply.status == 404
    assert json.loads(reply.data) == {"error": "no such endpoint: 'io'", "known": list(ENDPOINTS)}
    assert get(http_client, simulator).status == 200


def test_a_fault_that_is_on_everywhere_stays_so_when_one_endpoint_is_named() -> None:
    switches = FaultSwitches()
    switches.switch_on("html", None)
    switches.switch_on("html", "battery")
    assert switches.at(None) == switches.at("status") == {"html"}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_fault_at_one_endpoint_is_on_nowhere_else(endpoint: Endpoint) -> None:
    switches = FaultSwitches()
    switches.switch_on("frozen", endpoint)
    assert [name for name in (*ENDPOINTS, None) if switches.at(name)] == [endpoint]


def test_nulls_keep_the_shape() -> None:
    assert all_null({"a": [1, {"b": "x"}], "c": True}) == {"a": [None, {"b": None}], "c": None}


def test_boot_keeps_the_type_of_a_number() -> None:
    body = booting("battery", {"a": 3, "b": 2.5, "c": "4", "d": "4.25", "e": True, "f": None, "g": "text"})
    assert repr(body) == "{'a': 0, 'b': 0.0, 'c': '0', 'd': '0.00', 'e': False, 'f': None, 'g': 'text'}"


def test_the_requests_are_remembered_with_their_tokens(
    simulator: FaultySimulator, http_client: urllib3.PoolManager
) -> None:
    http_client.request("GET", f"{simulator.url}/api/v2/status", headers=NO_TOKEN)
    http_client.request("GET", f"{simulator.url}/api/v2/battery", headers={"Auth-Token": "right"})
    for method in ("PUT", "POST", "DELETE"):
        http_client.request(method, f"{simulator.url}/api/v2/configurations", headers=NO_TOKEN)
    http_client.request("GET", f"{simulator.url}/simulator/house")
    asked = [(request.method, request.path, request.auth_token) for request in simulator.requests]
    orders = [(method, "/api/v2/configurations", None) for method in ("PUT", "POST", "DELETE")]
    assert asked == [("GET", "/api/v2/status", None), ("GET", "/api/v2/battery", "right"), *orders]


def test_the_log_holds_exactly_the_readings_that_were_sent(
    simulator: FaultySimulator, http_client: urllib3.PoolManager
) -> None:
    status = json.loads(http_client.request("GET", f"{simulator.url}/api/v2/status").data)
    http_client.request("GET", f"{simulator.url}/api/v2/battery", headers=NO_TOKEN)
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
    with FaultySimulator(generation="eco6", start=START) as simulator:
        text = http_client.request("GET", f"{simulator.url}/rest/devices/battery/M05").data.decode()
        assert text == "50\n"
        (entry,) = json.loads(http_client.request("GET", f"{simulator.url}/simulator/log").data)
        assert (entry["endpoint"], entry["body"]) == ("status", text)


@pytest.mark.parametrize("after", ["x", "-1", "1.5"])
def test_a_log_position_that_is_no_number_is_refused(
    simulator: FaultySimulator, http_client: urllib3.PoolManager, after: str
) -> None:
    reply = http_client.request("GET", f"{simulator.url}/simulator/log?after={after}")
    assert (reply.status, json.loads(reply.data)) == (400, {"error": f"after: should be a number, got {after!r}"})


def test_the_house_is_told_as_it_is(simulator: FaultySimulator, http_client: urllib3.PoolManager) -> None:
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
    simulator: FaultySimulator, http_client: urllib3.PoolManager, method: str, path: str
) -> None:
    reply = http_client.request(method, simulator.url + path)
    assert (reply.status, json.loads(reply.data)) == (404, {"error": f"cannot {method} {path}"})


def test_many_readers_get_one_truth(simulator: FaultySimulator) -> None:
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


@pytest.mark.parametrize(
    ("name", "endpoints"),
    [
        ("eco8", {"status", "powermeter", "inverter"}),
        ("sb10", set(ENDPOINTS)),
        ("evo", set(ENDPOINTS)),
        ("eco6", {"status"}),
    ],
)
def test_every_path_that_a_battery_answers_belongs_to_an_endpoint(
    name: GenerationName, endpoints: set[Endpoint | None]
) -> None:
    generation = generation_named(name)
    assert {endpoint_of(generation, path) for path in generation.routes} == endpoints


@pytest.mark.parametrize(
    ("name", "path", "endpoint"),
    [
        ("sb10", "/api/v2/configurations/DE_Software", "configurations"),
        ("eco8", "/api/v2/configurations/DE_Software", None),
        # A page of the dashboard, which wants a login.
        ("sb10", "/api/powermeter", None),
        ("eco8", "/api/powermeter", "powermeter"),
        ("eco6", "/rest/devices/battery/M99", None),
        ("sb10", "/nonsense/status", None),
    ],
)
def test_a_fault_of_an_endpoint_concerns_its_paths(name: GenerationName, path: str, endpoint: Endpoint | None) -> None:
    assert endpoint_of(generation_named(name), path) == endpoint


def test_a_test_of_another_process_runs_it_as_a_program_that_ends_in_spite_of_a_reader_that_waits(
    http_client: urllib3.PoolManager,
) -> None:
    with subprocess.Popen(
        [sys.executable, PROGRAM, "--generation=evo", "--speed=1e-6", "--start=2024-07-01T12:00", "--token=right"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("simulating a sonnen battery (evo) with faults at http://127.0.0.1:")
            url = line.split()[-1]
            status = json.loads(http_client.request("GET", f"{url}{STATUS}").data)
            assert status["Timestamp"].startswith("2024-07-01 12:00")
            assert http_client.request("GET", f"{url}/api/v2/battery", headers=NO_TOKEN).status == 401
            http_client.request("PUT", f"{url}/simulator/fault/timeout")
            with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=30) as connection:
                connection.sendall(f"GET {STATUS} HTTP/1.1\r\nHost: battery\r\n\r\n".encode())
                process.send_signal(signal.SIGTERM)
                # Whether its request was read before the end or not.
                with contextlib.suppress(ConnectionResetError):
                    assert connection.recv(1) == b""
            assert process.communicate(timeout=30) == ("", "")
            assert process.returncode == 0
        finally:
            process.kill()
