import gc
import socket
import ssl
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from sonnen_agent import __version__
from sonnen_agent.battery import BatteryOptions
from sonnen_agent.battery.client import BODY_LIMIT_BYTES, Client
from sonnen_agent.battery.parsers import parse_status, parse_system
from sonnen_agent.battery.variants import Location
from sonnen_agent.clock import Deadline
from sonnen_agent.destination import Destination, Secret
from sonnen_agent.errors import BatteryError, Outcome
from sonnen_agent.reading import Endpoint

TOKEN = "6c1f0a52-the-token"
PATH = "/api/v2/battery"

Records = list[tuple[Endpoint, Outcome, float]]


def as_is(document: object) -> object:
    return document


@contextmanager
def client_for(url: str, records: Records, token: str | None = None) -> Iterator[Client]:
    options = BatteryOptions(name="home", destination=Destination(url=url), token=Secret(token) if token else None)
    client = Client(options, lambda *record: records.append(record))
    yield client
    client.close()


@pytest.fixture
def records() -> Records:
    return []


@pytest.fixture
def client(httpserver: HTTPServer, records: Records) -> Iterator[Client]:
    with client_for(httpserver.url_for(""), records, TOKEN) as client:
        yield client


def ask(client: Client, port: int, path: str = PATH, *, with_token: bool = False) -> object:
    return client.get("battery", Location(port=port, path=path, with_token=with_token), as_is, Deadline(60))


def failure(client: Client, port: int, *, timeout_seconds: float = 60) -> BatteryError:
    with pytest.raises(BatteryError) as caught:
        client.get("battery", Location(port=port, path=PATH, with_token=True), as_is, Deadline(timeout_seconds))
    return caught.value


def test_an_answer_is_what_the_parser_makes_of_it(httpserver: HTTPServer, client: Client, records: Records) -> None:
    httpserver.expect_request(PATH).respond_with_json({"cyclecount": 260})

    assert ask(client, httpserver.port) == {"cyclecount": 260}
    [(endpoint, outcome, seconds)] = records
    assert (endpoint, outcome) == ("battery", "ok")
    assert 0 < seconds < 5


def test_the_content_type_does_not_matter(httpserver: HTTPServer, client: Client) -> None:
    httpserver.expect_request(PATH).respond_with_data("1234\n", content_type="text/plain")

    assert ask(client, httpserver.port) == 1234


def test_a_request_says_who_asks_and_for_what(httpserver: HTTPServer, client: Client) -> None:
    httpserver.expect_request(PATH).respond_with_json({})

    ask(client, httpserver.port)

    request = httpserver.log[0][0]
    assert request.method == "GET"
    assert request.headers["Accept"] == "application/json"
    assert request.headers["User-Agent"] == f"sonnen-agent/{__version__}"


def test_the_token_goes_along_only_where_it_is_asked_for(httpserver: HTTPServer, client: Client) -> None:
    httpserver.expect_request(PATH).respond_with_json({})

    ask(client, httpserver.port)
    ask(client, httpserver.port, with_token=True)
    ask(client, httpserver.port)

    assert [request.headers.get("Auth-Token") for request, _ in httpserver.log] == [None, TOKEN, None]


def test_without_a_token_none_is_sent(httpserver: HTTPServer, records: Records) -> None:
    httpserver.expect_request(PATH).respond_with_json({})

    with client_for(httpserver.url_for(""), records) as client:
        ask(client, httpserver.port, with_token=True)

    assert "Auth-Token" not in httpserver.log[0][0].headers


def test_the_token_is_never_shown(client: Client, httpserver: HTTPServer, caplog: pytest.LogCaptureFixture) -> None:
    httpserver.expect_request(PATH).respond_with_json({"error": "401 Unauthorized"}, status=401)

    with caplog.at_level("DEBUG", logger="sonnen_agent"):
        shown = repr(client) + str(failure(client, httpserver.port))

    assert TOKEN not in shown + caplog.text


def test_a_reverse_proxys_prefix_stands_before_the_path(httpserver: HTTPServer, records: Records) -> None:
    httpserver.expect_request("/cellar/api/v2/battery").respond_with_json([1])

    with client_for(httpserver.url_for("/cellar/"), records) as client:
        assert ask(client, httpserver.port) == [1]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_names_the_fix(httpserver: HTTPServer, client: Client, records: Records, status: int) -> None:
    httpserver.expect_request(PATH).respond_with_json({"error": "Unauthorized"}, status=status)

    error = failure(client, httpserver.port)

    assert str(error) == (
        f"http://localhost:{httpserver.port}/api/v2/battery: answered {status}: "
        "the API token is wrong or its read access is switched off; look it up in the battery's web page "
        "(Software-Integration, JSON API) and update token_file"
    )
    assert error.outcome == "unauthorized"
    assert records[0][:2] == ("battery", "unauthorized")


def test_a_missing_token_names_the_fix(httpserver: HTTPServer, records: Records) -> None:
    httpserver.expect_request(PATH).respond_with_json({"error": "Unauthorized"}, status=401)

    with client_for(httpserver.url_for(""), records) as client:
        error = failure(client, httpserver.port)

    assert str(error).endswith(
        "answered 401: it needs an API token; switch the read API on in the battery's web page "
        "(Software-Integration, JSON API), put the token into a file and name that as token_file"
    )


@pytest.mark.parametrize(
    ("status", "body", "outcome", "message"),
    [
        (404, "<h3>Page not found</h3>", "not_found", "answered 404: no such page"),
        (500, '{"error":"internal server error"}', "http_error", 'answered 500: {"error":"internal server error"}'),
        (502, "", "http_error", "answered 502"),
        (204, "", "invalid", "answered something that is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (
            301,
            "",
            "http_error",
            "answered 301: a redirect to http://localhost:9/dash, which is not followed; write the final URL",
        ),
        (200, "<!DOCTYPE html>", "invalid", "answered a web page instead of JSON"),
        (200, "", "invalid", "answered something that is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (200, "[" * 60_000, "invalid", "answered JSON that nests too deeply"),
        (200, " " * BODY_LIMIT_BYTES + "1", "invalid", f"the answer is larger than {BODY_LIMIT_BYTES} bytes"),
    ],
)
def test_a_useless_answer_is_an_error_with_its_outcome(
    httpserver: HTTPServer,
    client: Client,
    records: Records,
    status: int,
    body: str,
    outcome: Outcome,
    message: str,
) -> None:
    headers = {"Location": "http://localhost:9/dash"} if status == 301 else {}
    httpserver.expect_request(PATH).respond_with_data(body, status=status, headers=headers)

    error = failure(client, httpserver.port)

    assert str(error) == f"http://localhost:{httpserver.port}/api/v2/battery: {message}"
    assert error.outcome == outcome
    assert [record[:2] for record in records] == [("battery", outcome)]
    assert len(httpserver.log) == 1


def test_a_redirect_takes_the_token_nowhere(httpserver: HTTPServer, client: Client) -> None:
    httpserver.expect_request(PATH).respond_with_data(status=302, headers={"Location": "/elsewhere"})
    httpserver.expect_request("/elsewhere").respond_with_json({})

    assert failure(client, httpserver.port).outcome == "http_error"
    assert [request.path for request, _ in httpserver.log] == [PATH]


def test_an_error_page_is_quoted_as_one_short_printable_line(httpserver: HTTPServer, client: Client) -> None:
    httpserver.expect_request(PATH).respond_with_data("bad\n\x1b[31m\x00 gateway " + "x" * 10_000, status=502)

    message = str(failure(client, httpserver.port))

    assert r"answered 502: bad \x1b[31m\x00 gateway xxx" in message
    assert message.isprintable()
    assert len(message) < 400


def test_a_parsers_complaint_says_where(httpserver: HTTPServer, client: Client, records: Records) -> None:
    httpserver.expect_request("/api/v1/status").respond_with_json({"ReturnCode": 13})

    with pytest.raises(BatteryError) as caught:
        client.get("status", Location(port=httpserver.port, path="/api/v1/status"), parse_status, Deadline(60))

    assert str(caught.value) == (
        f"http://localhost:{httpserver.port}/api/v1/status: answered ReturnCode 13 instead of a status"
    )
    assert [record[:2] for record in records] == [("status", "invalid")]


def test_what_a_return_code_says_is_told_in_few_and_printable_characters(
    httpserver: HTTPServer, client: Client
) -> None:
    httpserver.expect_request("/api/v1/status").respond_with_json({"ReturnCode": "\n" * 10_000 + "0" * 60 + "9"})
    with pytest.raises(BatteryError, match=r"answered ReturnCode 9 instead") as caught:
        client.get("status", Location(port=httpserver.port, path="/api/v1/status"), parse_status, Deadline(60))

    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


def test_a_battery_that_repeats_the_token_does_not_spread_it(httpserver: HTTPServer, client: Client) -> None:
    httpserver.expect_request(PATH).respond_with_json({"ic_status": {"statebms": f"token {TOKEN}"}})

    system = client.get("latestdata", Location(port=httpserver.port, path=PATH), parse_system, Deadline(60))

    assert system.states == {"bms": "token ***"}


def test_a_short_token_changes_no_answer(httpserver: HTTPServer, records: Records) -> None:
    httpserver.expect_request(PATH).respond_with_json({"cyclecount": 260})

    with client_for(httpserver.url_for(""), records, "260") as client:
        assert ask(client, httpserver.port) == {"cyclecount": 260}


@pytest.mark.parametrize("body", [b"[" + b"[]," * 20_000 + b"0]", b'"' + b"x" * 60_000, b'{"x": ' + b"9" * 60_000])
def test_an_error_that_is_kept_keeps_nothing_of_the_answer(body: bytes, records: Records) -> None:
    def answer(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(65536)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    with socket.create_server(("127.0.0.1", 0)) as listener, client_for("http://127.0.0.1", records) as client:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        location = Location(port=listener.getsockname()[1], path=PATH)
        # Whatever only the collector of cycles would find stays, until it comes.
        gc.disable()
        tracemalloc.start()
        try:
            with pytest.raises(BatteryError) as kept:
                client.get("status", location, parse_status, Deadline(30))
            stays_bytes, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.enable()
        thread.join()

    assert kept.value.outcome == "invalid"
    # Other threads of the test run take some, too; a document that is kept is megabytes.
    assert stays_bytes < 200_000


def test_a_starting_battery_is_answered_and_counted_as_not_ready(
    httpserver: HTTPServer, client: Client, records: Records
) -> None:
    httpserver.expect_request("/status").respond_with_json({"Uac": 0, "Ubat": 0, "Fac": 0})
    httpserver.expect_request("/latestdata").respond_with_json({"ic_status": {"statecorecontrolmodule": "init"}})

    status = client.get("status", Location(port=httpserver.port, path="/status"), parse_status, Deadline(60))
    system = client.get("latestdata", Location(port=httpserver.port, path="/latestdata"), parse_system, Deadline(60))

    assert status.booting
    assert system.booting
    assert [record[:2] for record in records] == [("status", "not_ready"), ("latestdata", "not_ready")]


def test_a_port_on_which_nobody_listens_is_refused(records: Records, unused_port: int) -> None:
    with client_for("http://127.0.0.1", records) as client:
        error = failure(client, unused_port)

    assert error.outcome == "refused"
    assert str(error) == f"http://127.0.0.1:{unused_port}/api/v2/battery: cannot connect: Connection refused"
    assert records[0][:2] == ("battery", "refused")


def test_a_message_writes_an_ipv6_address_in_brackets(records: Records, unused_port: int) -> None:
    with client_for("http://[::1]", records) as client:
        error = failure(client, unused_port)

    assert str(error).startswith(f"http://[::1]:{unused_port}/api/v2/battery: ")


def test_a_battery_that_hangs_up_counts_as_refused(records: Records) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, client_for("http://127.0.0.1", records) as client:
        thread = threading.Thread(target=hang_up_twice, args=(listener,))
        thread.start()
        error = failure(client, listener.getsockname()[1])
        thread.join()

    assert error.outcome == "refused"
    assert str(error).endswith("the connection was closed without an answer")
    assert [record[:2] for record in records] == [("battery", "refused")]


def hang_up_twice(listener: socket.socket) -> None:
    for _ in range(2):
        peer, _ = listener.accept()
        with peer:
            peer.recv(65536)


def test_where_a_redirect_leads_is_told_in_few_and_printable_characters(records: Records) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, client_for("http://127.0.0.1", records) as client:
        thread = threading.Thread(target=redirect_rudely, args=(listener,))
        thread.start()
        message = str(failure(client, listener.getsockname()[1]))
        thread.join()

    assert r"answered 302: a redirect to http://elsewhere/\x1b[31mxxx" in message
    assert message.endswith("xxx, which is not followed; write the final URL")
    assert message.isprintable()
    assert len(message) < 500


def redirect_rudely(listener: socket.socket) -> None:
    peer, _ = listener.accept()
    with peer:
        peer.recv(65536)
        location = b"http://elsewhere/\x1b[31m" + b"x" * 10_000
        peer.sendall(b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n")


def test_a_certificate_that_nobody_vouches_for_names_the_fix(records: Records) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("sonnenbatterie").configure_cert(context)
    with HTTPServer(ssl_context=context) as server, client_for(server.url_for(""), records) as client:
        error = failure(client, server.port)

    assert error.outcome == "refused"
    assert str(error).endswith("; name the battery's own certificate (PEM) as its ca_file")


def test_a_battery_that_says_nothing_is_timed_out(httpserver: HTTPServer, client: Client, records: Records) -> None:
    given_up = threading.Event()

    def wait(_: Request) -> Response:
        given_up.wait(10)
        return Response()

    httpserver.expect_request(PATH).respond_with_handler(wait)

    error = failure(client, httpserver.port, timeout_seconds=0.2)
    given_up.set()

    assert error.outcome == "timeout"
    assert str(error).endswith("/api/v2/battery: no answer in time (waited 0.2 s)")
    assert [record[:2] for record in records] == [("battery", "timeout")]


class CountingServer(ThreadingHTTPServer):
    """Keeps its connections open, as a battery does, and counts them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), AlwaysJson)
        self.connections = 0

    def verify_request(self, request: object, client_address: object) -> bool:
        del request, client_address
        self.connections += 1
        return True


class AlwaysJson(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def counting_server() -> Iterator[CountingServer]:
    with CountingServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_many_requests_share_one_connection(counting_server: CountingServer, records: Records) -> None:
    with client_for("http://127.0.0.1", records) as client:
        for path in ("/a", "/b", "/missing", "/c"):
            try:
                ask(client, counting_server.server_port, path)
            except BatteryError as error:
                assert (path, error.outcome) == ("/missing", "not_found")  # noqa: PT017 - the others go on

    assert [record[1] for record in records] == ["ok", "ok", "not_found", "ok"]
    assert counting_server.connections == 1


def test_a_closed_client_can_be_used_again(counting_server: CountingServer, records: Records) -> None:
    with client_for("http://127.0.0.1", records) as client:
        ask(client, counting_server.server_port)
        client.close()
        ask(client, counting_server.server_port)

    assert counting_server.connections == 2
