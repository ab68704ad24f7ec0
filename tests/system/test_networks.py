"""The agent's connections over cables that are cut, with addresses that swallow everything, and without a name service.

All of it is real: the kernel's TCP, its routes, and the C library's resolver.
"""

import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme
from networks import Network, cable
from programs import wait_until

from sonnen_agent.clock import Deadline
from sonnen_agent.errors import ExchangeError
from sonnen_agent.transport import Connection

pytestmark = pytest.mark.system

METHODS = ("PUT", "POST", "DELETE")
THERE = "10.77.0.2"


class Gateway(ThreadingHTTPServer):
    """Takes every request, and tells which have arrived, in their order."""

    daemon_threads = True

    def __init__(self, host: str, context: ssl.SSLContext | None = None) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, 0), _Taking)
        self.context = context
        self.arrived: list[str] = []
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        self.thread.start()

    def finish_request(self, request: object, address: object) -> None:
        assert isinstance(request, socket.socket)
        if self.context is not None:
            request = self.context.wrap_socket(request, server_side=True)
        with request:
            super().finish_request(request, address)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: connections are cut here."""

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()


class _Taking(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _take(self) -> None:
        assert isinstance(self.server, Gateway)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.arrived.append(f"{self.command} {self.path} {len(body)}")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PUT = do_POST = do_DELETE = _take  # noqa: N815 - as http.server wants it

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def lan() -> Iterator[tuple[Network, Network]]:
    with cable() as (here, there):
        yield here, there


def ask(connection: Connection, method: str, path: str, *, seconds: float = 30) -> str:
    """Return how a request ended."""
    body = None if method in ("GET", "DELETE") else bytes(3000)
    try:
        connection.request(method, path, headers={}, deadline=Deadline(seconds), body_limit=1000, body=body)
    except ExchangeError as error:
        return f"{error.outcome}: {error}"
    return "ok"


@pytest.mark.parametrize("cut_seconds", [4, 20])
def test_what_was_given_up_while_the_link_was_cut_never_arrives(
    lan: tuple[Network, Network], running: ExitStack, tmp_path: Path, cut_seconds: float
) -> None:
    here, there = lan
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(THERE).configure_cert(context)
    gateways = {
        "http": running.enter_context(closing(there.inside(lambda: Gateway(THERE)))),
        "https": running.enter_context(closing(there.inside(lambda: Gateway(THERE, context)))),
    }
    connections = {
        (scheme, method): running.enter_context(
            closing(Connection(scheme, THERE, gateway.server_port, ca_file=str(tmp_path / "ca.pem")))
        )
        for scheme, gateway in gateways.items()
        for method in METHODS
    }
    knocking = running.enter_context(closing(Connection("http", THERE, gateways["http"].server_port)))
    for (_, method), connection in connections.items():
        assert here.inside(lambda c=connection, m=method: ask(c, m, "/before")) == "ok"  # type: ignore[misc]

    there.run("ip", "link", "set", "lan0", "down")
    cut_at = time.monotonic()
    for (_, method), connection in connections.items():
        given_up = here.inside(lambda c=connection, m=method: ask(c, m, "/old", seconds=0.3))  # type: ignore[misc]
        assert given_up == "timeout: no answer in time"
    time.sleep(max(cut_at + cut_seconds - time.monotonic(), 0))
    there.run("ip", "link", "set", "lan0", "up")
    # What the kernel looked for in vain it takes for lost a moment longer.
    wait_until(lambda: here.inside(lambda: ask(knocking, "GET", "/")) == "ok", "a link")
    for (_, method), connection in connections.items():
        assert here.inside(lambda c=connection, m=method: ask(c, m, "/new")) == "ok"  # type: ignore[misc]

    # What the kernel still had to send, it has sent.
    wait_until(lambda: here.unfinished() == 0, "the end of the connections that were given up")
    for gateway in gateways.values():
        arrived = [line.rpartition(" ")[0] for line in gateway.arrived if not line.startswith("GET")]
        assert sorted(arrived) == sorted(f"{method} /{when}" for method in METHODS for when in ("before", "new"))


_ASKING = """\
import sys
from sonnen_agent.clock import Deadline
from sonnen_agent.destination import Destination
from sonnen_agent.errors import ExchangeError

destination = Destination(url=sys.argv[1])
connection = destination.connect()
for line in sys.stdin:
    seconds, *last = line.split()
    try:
        connection.request("PUT", "/", headers={}, body=b"", deadline=Deadline(float(seconds)), body_limit=1000)
        print("ok", flush=True)
    except ExchangeError as error:
        print(f"{error.outcome}: {error}", flush=True)
    if last:
        connection.close()
"""


class Asker:
    """A process in a network, with name servers of its own."""

    def __init__(self, network: Network, url: str, folder: Path, *, hosts: str = "") -> None:
        files = {
            "resolv.conf": "nameserver 127.0.0.1\n",
            "hosts": f"127.0.0.1 localhost\n{hosts}\n",
            "nsswitch.conf": "hosts: files dns\n",
        }
        mounts = ""
        for name, text in files.items():
            (folder / name).write_text(text)
            mounts += f"mount --bind {folder / name} /etc/{name} && "
        script = f'{mounts} exec "$0" "$@"'
        command = network.command("unshare", "--mount", "sh", "-c", script, sys.executable, "-c", _ASKING, url)
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def begin(self, *, seconds: float = 30, last: bool = False) -> None:
        """Begin a request that may take so long; the next one is over another socket than the `last` one."""
        assert self._process.stdin is not None
        print(seconds, "last" if last else "", file=self._process.stdin, flush=True)

    def ask(self, *, seconds: float = 30, last: bool = True) -> str:
        """Return how such a request ended."""
        self.begin(seconds=seconds, last=last)
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self._process.pid}/task").iterdir()))

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


class NameServer:
    """Knows one name; answers, stays silent, or says that there is no such name."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))
        self.address: str | None = THERE
        """None: there is no such name."""
        self.silent = False
        self.asked = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            question, peer = self._socket.recvfrom(512)
            if not question:
                return
            self.asked += 1
            if self.silent:
                continue
            name_end = question.index(b"\0", 12) + 1
            record = b""
            if self.address is not None and question[name_end : name_end + 2] == b"\0\1":
                record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(self.address)
            flags = b"\x81\x83" if self.address is None else b"\x81\x80"
            head = question[:2] + flags + b"\0\1\0" + bytes([bool(record)]) + bytes(4)
            self._socket.sendto(head + question[12 : name_end + 4] + record, peer)

    def close(self) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()


def swallow(network: Network, address: str) -> None:
    """Let every packet to an address vanish, as in a network that lost a host or a family of addresses."""
    network.run("ip", "neighbor", "replace", address, "lladdr", "02:00:00:00:00:99", "dev", "lan0")


def connects(network: Network) -> int:
    """Return how many TCP connections were begun in a network."""
    lines = network.inside(lambda: Path("/proc/thread-self/net/snmp").read_text()).splitlines()
    names, numbers = (line.split() for line in lines if line.startswith("Tcp:"))
    return int(numbers[names.index("ActiveOpens")])


# The C library names the nearer address first.
@pytest.mark.parametrize("dead", ["fd77::3", "10.77.0.3"])
def test_a_name_with_an_address_that_swallows_everything_costs_one_look(
    lan: tuple[Network, Network], running: ExitStack, tmp_path: Path, dead: str
) -> None:
    here, there = lan
    there.run("ip", "address", "add", "10.77.0.200/24", "dev", "lan0")
    gateway = running.enter_context(closing(there.inside(lambda: Gateway("10.77.0.200"))))
    swallow(here, dead)
    hosts = f"{dead} gateway.test\n10.77.0.200 gateway.test"
    asker = running.enter_context(
        closing(Asker(here, f"http://gateway.test:{gateway.server_port}", tmp_path, hosts=hosts))
    )

    assert asker.ask() == "ok"
    begun = connects(here)
    assert [asker.ask(), asker.ask()] == ["ok", "ok"]
    # What worked is tried first, and is quick.
    assert connects(here) == begun + 2


def test_a_name_with_an_address_where_nobody_answers_costs_one_request(
    lan: tuple[Network, Network], running: ExitStack, tmp_path: Path
) -> None:
    here, there = lan
    there.run("ip", "address", "add", "10.77.0.3/24", "dev", "lan0")
    there.run("ip", "address", "add", "10.77.0.200/24", "dev", "lan0")
    gateway = running.enter_context(closing(there.inside(lambda: Gateway("10.77.0.200"))))
    running.enter_context(there.inside(lambda: socket.create_server(("10.77.0.3", gateway.server_port))))
    hosts = "10.77.0.3 gateway.test\n10.77.0.200 gateway.test"
    asker = running.enter_context(
        closing(Asker(here, f"http://gateway.test:{gateway.server_port}", tmp_path, hosts=hosts))
    )

    assert asker.ask(seconds=1) == "timeout: no answer in time"
    assert asker.ask() == "ok"


def test_what_a_killed_process_was_sending_never_arrives(
    lan: tuple[Network, Network], running: ExitStack, tmp_path: Path
) -> None:
    here, there = lan
    gateway = running.enter_context(closing(there.inside(lambda: Gateway(THERE))))
    asker = Asker(here, f"http://{THERE}:{gateway.server_port}", tmp_path)
    assert asker.ask(last=False) == "ok"

    there.run("ip", "link", "set", "lan0", "down")
    asker.begin()
    wait_until(here.unsent, "a request on its way")
    asker.close()
    there.run("ip", "link", "set", "lan0", "up")

    wait_until(lambda: here.unfinished() == 0, "the end of its connection")
    assert len(gateway.arrived) == 1


def test_a_peer_by_name_outlives_the_name_service(
    lan: tuple[Network, Network], running: ExitStack, tmp_path: Path
) -> None:
    here, there = lan
    names = running.enter_context(closing(here.inside(NameServer)))
    gateway = running.enter_context(closing(there.inside(lambda: Gateway(THERE))))
    asker = running.enter_context(closing(Asker(here, f"http://gateway.test:{gateway.server_port}", tmp_path)))
    assert asker.ask() == "ok"

    for silent, address, words in (
        (True, THERE, "the name service does not answer for gateway.test"),
        (False, None, "the name service says of gateway.test: Name or service not known"),
    ):
        names.silent, names.address, asked = silent, address, names.asked
        # A link that is away for a moment lets the name be asked for again.
        there.run("ip", "link", "set", "lan0", "down")
        told = f"timeout: no answer in time, at the address of before: {words}"
        wait_until(lambda told=told: asker.ask(seconds=0.5) == told, told)  # type: ignore[misc]
        asker.ask(seconds=0.5)
        # One asks the name service, however often an address is wanted.
        assert asker.threads() <= 2
        there.run("ip", "link", "set", "lan0", "up")
        # Some of what the kernel looked for in vain it takes for lost a moment longer.
        wait_until(lambda: asker.ask() == "ok", "an answer at the address of before")
        assert names.asked > asked


def test_a_name_that_nobody_tells_is_told_as_that(
    lan: tuple[Network, Network], running: ExitStack, tmp_path: Path
) -> None:
    here, there = lan
    names = running.enter_context(closing(here.inside(NameServer)))
    gateway = running.enter_context(closing(there.inside(lambda: Gateway(THERE))))
    asker = running.enter_context(closing(Asker(here, f"http://gateway.test:{gateway.server_port}", tmp_path)))

    names.silent = True
    told = asker.ask(seconds=0.5)
    assert told == "timeout: cannot connect: the name service does not answer for gateway.test"
    names.silent = False
    assert asker.ask() == "ok"


def test_a_peer_that_has_moved_is_found_by_its_name(
    lan: tuple[Network, Network], running: ExitStack, tmp_path: Path
) -> None:
    here, there = lan
    names = running.enter_context(closing(here.inside(NameServer)))
    gateway = running.enter_context(closing(there.inside(lambda: Gateway(""))))
    asker = running.enter_context(closing(Asker(here, f"http://gateway.test:{gateway.server_port}", tmp_path)))
    assert asker.ask() == "ok"

    there.run("ip", "address", "delete", f"{THERE}/24", "dev", "lan0")
    there.run("ip", "address", "add", "10.77.0.3/24", "dev", "lan0")
    swallow(here, THERE)
    names.address = "10.77.0.3"

    asker.ask(seconds=1)
    assert asker.ask() == "ok"


@pytest.mark.parametrize("host", ["[fe80::2%lan0]", "[fe80::2%25lan0]", "zähler.test", "xn--zhler-gra.test"])
def test_a_host_is_reached_however_it_is_written(
    lan: tuple[Network, Network], running: ExitStack, tmp_path: Path, host: str
) -> None:
    here, there = lan
    gateway = running.enter_context(closing(there.inside(lambda: Gateway("::"))))
    url = f"http://{host}:{gateway.server_port}"
    asker = running.enter_context(closing(Asker(here, url, tmp_path, hosts="fd77::2 xn--zhler-gra.test")))

    assert asker.ask() == "ok"
