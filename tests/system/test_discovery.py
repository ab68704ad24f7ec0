"""`sonnen-agent discover` in a network of its own, with batteries, other devices, and hosts that are not there."""

import json
import re
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from networks import Network, cable, networks

from sonnen_agent.simulator.battery import SimulatedBattery, simulated_clock
from sonnen_agent.simulator.generations import GenerationName, generation_named
from sonnen_agent.simulator.server import Simulator

pytestmark = pytest.mark.system

AGENT = Path(sys.executable).with_name("sonnen-agent")
_TCP, _SYN, _ACK = 6, 2, 16
STATUS = {"Production_W": 1, "Consumption_W": 2, "GridFeedIn_W": -1, "Pac_total_W": 0, "USOC": 50, "RSOC": 51}
Answers = dict[str, tuple[int, str]]
"""By path: status and body."""


class Device(ThreadingHTTPServer):
    """Answers what it is told to; another path with a page of its own."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], answers: Answers) -> None:
        super().__init__(address, _Answering)
        self.answers = answers
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing about who hangs up."""


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Device)
        status, body = self.server.answers.get(self.path, (404, "<title>Router</title>"))
        self.send_response(status)
        if body == "endless":
            self.send_header("Content-Length", str(4 << 30))
            self.end_headers()
            with suppress(OSError):
                while True:
                    self.wfile.write(b" " * 65536)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


class Lan:
    """A network of 254 addresses: half of them are there, and refuse what nobody listens to."""

    def __init__(self, here: Network, there: Network, stack: ExitStack) -> None:
        self.here, self._there, self._stack = here, there, stack
        there.run("ip", "route", "add", "local", "10.77.0.128/25", "dev", "lo")
        self._packets = there.inside(self._listen)

    def _listen(self) -> socket.socket:
        packets = self._stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)))
        packets.bind(("lan0", 0))
        packets.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE: it is read at the end
        packets.setblocking(False)
        return packets

    def battery(self, address: str, port: int, generation: GenerationName) -> None:
        clock = simulated_clock(None, 1)
        battery = SimulatedBattery(generation=generation_named(generation), seed=1, clock=clock, token="t0ken")
        simulator = self._there.inside(lambda: Simulator(battery, host=address, port=port))
        self._stack.enter_context(simulator)

    def device(self, address: str, port: int, answers: Answers) -> None:
        device = self._there.inside(lambda: Device((address, port), answers))
        self._stack.callback(device.server_close)
        self._stack.callback(device.shutdown)

    def connections(self) -> Counter[str]:
        """Return how often each host was asked for a connection."""
        asked = Counter[str]()
        while True:
            try:
                packet = self._packets.recv(2048)
            except BlockingIOError:
                return asked
            header = (packet[0] & 15) * 4
            if packet[9] == _TCP and packet[header + 13] & (_SYN | _ACK) == _SYN:
                asked[socket.inet_ntoa(packet[16:20])] += 1

    def discover(self, *options: str | Path) -> subprocess.CompletedProcess[str]:
        return discover(self.here, *options)


def discover(network: Network, *options: str | Path) -> subprocess.CompletedProcess[str]:
    command = network.command(str(AGENT), "discover", *map(str, options))
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
        env={"PATH": "/bin"},
    )


@pytest.fixture
def lan() -> Iterator[Lan]:
    with ExitStack() as stack:
        here, there = stack.enter_context(cable())
        yield Lan(here, there, stack)


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[[str], Path]:
    def write(batteries: str) -> Path:
        file = tmp_path / "config.yml"
        file.write_text(f"batteries: [{batteries}]\npushgateway: {{url: http://127.0.0.1:9}}\n")
        return file

    return write


def test_two_batteries_are_found_among_all_addresses_with_at_most_three_connections_to_a_host(lan: Lan) -> None:
    lan.battery("10.77.0.157", 80, "sb10")
    lan.battery("10.77.0.203", 7979, "eco6")
    ended = lan.discover()
    assert ended.stderr == "looking for batteries in 10.77.0.0/24\n"
    assert ended.returncode == 0
    assert ended.stdout == (
        "10.77.0.157: a battery with API v2: a sonnenBatterie 10, EVO, hybrid, or an eco 8 with newer firmware "
        "(port 80)\n"
        "  For the config, under batteries:\n"
        "    - name: home\n"
        "      url: http://10.77.0.157\n"
        "      #token_file: home.token   # the API token of its web page, menu Software-Integration\n"
        "10.77.0.203: a battery with the API of eco 4 to 6 (port 7979, serial 100200)\n"
        "  For the config, under batteries:\n"
        "    - name: home-2\n"
        "      url: http://10.77.0.203\n"
        '      labels: {sn: "100200"}\n'
    )
    asked = lan.connections()
    assert len(asked) >= 127
    assert set(asked.values()) <= {1, 2, 3}
    assert asked["10.77.0.130"] == 3


def test_old_firmware_on_two_ports_is_one_battery_with_serial_and_model(lan: Lan) -> None:
    page = (404, "<html><head><title>sonnenBatterie</title></head></html>")
    lan.device("10.77.0.140", 80, dict.fromkeys(("/api/v2/status", "/api/system_data", "/api/battery_system"), page))
    about = {"DE_Ticket_Number": "0077123", "ERP_ArticleName": "eco 8.2/4", "modules": {"serial": 1}}
    lan.device(
        "10.77.0.140",
        8080,
        {"/api/v1/status": (200, json.dumps(STATUS)), "/api/system_data": (200, json.dumps(about))},
    )
    ended = lan.discover("--network", "10.77.0.140")
    assert ended.stdout == (
        "10.77.0.140: a battery with API v1: an eco 8 or hybrid with older firmware "
        "(port 8080, model eco 8.2/4, serial 0077123)\n"
        "  For the config, under batteries:\n"
        "    - name: home\n"
        "      url: http://10.77.0.140\n"
        '      labels: {sn: "0077123"}\n'
    )
    assert lan.connections()["10.77.0.140"] == 2


@pytest.mark.parametrize("words", ["401 Unauthorized", "Unauthorized"])
def test_a_battery_that_wants_its_token_for_everything_is_told_by_its_refusal(lan: Lan, words: str) -> None:
    refused = (401, json.dumps({"error": words}))
    lan.device("10.77.0.140", 80, {"/api/v2/status": refused, "/api/v1/status": refused})
    ended = lan.discover("--network", "10.77.0.140/32")
    assert ended.returncode == 0
    assert "10.77.0.140: a battery that tells nothing without a token (port 80)\n" in ended.stdout
    assert lan.connections()["10.77.0.140"] <= 3


@pytest.mark.parametrize(
    "answer",
    [
        (200, "{}"),
        (200, "endless"),
        (200, "[" * 5000),
        (200, '{"Production_W": null, "USOC": 5}'),
        (200, '{"Production_W": 5, "USOC": "nan"}'),
        (200, "<title>sonnenBatterie</title>"),
        (400, "The plain HTTP request was sent to HTTPS port"),
        (401, '{"error": "Unauthorized", "realm": "nas"}'),
        (401, "Unauthorized"),
        (404, '{"error": "not found"}'),
        (500, '{"error": "500"}'),
    ],
    ids=str,
)
def test_what_is_no_battery_is_not_shown(lan: Lan, answer: tuple[int, str]) -> None:
    paths = ("/api/v2/status", "/api/v1/status", "/rest/devices/battery")
    for port in (80, 8080, 7979):
        lan.device("10.77.0.140", port, dict.fromkeys(paths, answer))
    ended = lan.discover("--network", "10.77.0.140/32")
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.splitlines()[1:] == [
        "no battery answers in 10.77.0.140/32; is it on, and in the same network? --network CIDR looks in another"
    ]
    assert lan.connections()["10.77.0.140"] == 3


def test_a_battery_of_the_config_that_moved_is_found_by_its_serial(
    lan: Lan, write_config: Callable[[str], Path]
) -> None:
    lan.battery("10.77.0.157", 80, "sb10")
    lan.battery("10.77.0.203", 7979, "eco6")
    config = write_config(
        "{name: shed, url: 'http://10.77.0.9:7979', labels: {host: a, sn: Psb100200}}, "
        "{name: home, url: 'http://10.77.0.157'}"
    )
    ended = lan.discover("--config", config, "--network", "10.77.0.128/25")
    assert ended.returncode == 0
    assert re.findall(r"^ .*", ended.stdout, re.MULTILINE) == [
        "  It is 'home' of the config.",
        "  It is 'shed' of the config, at another address: change the line there to",
        "    url: http://10.77.0.203:7979",
    ]


def test_the_only_stranger_may_be_the_only_battery_that_is_missing(
    lan: Lan, write_config: Callable[[str], Path]
) -> None:
    lan.battery("10.77.0.157", 80, "sb10")
    ended = lan.discover("--config", write_config("{name: home, url: 'http://10.77.0.9'}"), "--network", "10.77.0.157")
    assert ended.stdout.splitlines()[-2:] == [
        "'home' of the config was not found at 10.77.0.9. If this is it, change its line to",
        "    url: http://10.77.0.157",
    ]
    assert "    - name: home-2\n" in ended.stdout


def test_a_large_network_is_left_out_until_it_is_asked_for(lan: Lan) -> None:
    lan.here.run("ip", "address", "flush", "dev", "lan0")
    lan.here.run("ip", "address", "add", "10.77.0.1/21", "dev", "lan0")
    ended = lan.discover()
    assert ended.returncode == 1
    assert ended.stderr == (
        "10.77.0.0/21 is left out, it is large; --network 10.77.0.0/21 looks there, too\n"
        "this machine is in no IPv4 network to look through; name one with --network CIDR\n"
    )


def test_without_a_network_there_is_nothing_to_look_through() -> None:
    with networks(1) as (alone,):
        ended = discover(alone)
        asked = discover(alone, "--network", "192.168.1.0/28")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "this machine is in no IPv4 network to look through; name one with --network CIDR\n"
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "Traceback" not in asked.stderr


@pytest.mark.parametrize("network", ["8.8.8.0/24", "10.0.0.0/8", "fd77::/64", "home", "10.77.0.300", ""])
def test_only_a_private_network_of_some_size_is_looked_through(network: str) -> None:
    ended = subprocess.run(
        [AGENT, "discover", "--network", network], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert "should be a private IPv4 network of /16 or smaller" in ended.stderr
