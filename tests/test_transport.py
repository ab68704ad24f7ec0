import gc
import socket
import ssl
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from pytest_httpserver import HTTPServer

from sonnen_agent.clock import Deadline
from sonnen_agent.errors import ExchangeError
from sonnen_agent.transport import Answer, Connection

Talk = Callable[[socket.socket], None]

_FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class TalkingServer:
    """Speaks whatever a test wants, once per connection; the last talk goes on for further connections."""

    def __init__(self, talks: tuple[Talk, ...], context: ssl.SSLContext | None = None) -> None:
        self._talks = list(talks)
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            talk = self._talks.pop(0) if len(self._talks) > 1 else self._talks[0]
            with peer:
                try:
                    if self._context is not None:
                        peer = self._context.wrap_socket(peer, server_side=True)
                    talk(peer)
                except OSError:
                    pass  # the client hung up, which is what most of these tests are about
                finally:
                    peer.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@contextmanager
def talking(*talks: Talk, context: ssl.SSLContext | None = None) -> Iterator[TalkingServer]:
    server = TalkingServer(talks, context)
    try:
        yield server
    finally:
        server.close()


def say(answer: bytes) -> Talk:
    def talk(peer: socket.socket) -> None:
        peer.recv(65536)
        peer.sendall(answer)

    return talk


def hang_up(peer: socket.socket) -> None:
    peer.recv(65536)


def drip(answer: bytes, pause: float = 0.1) -> Talk:
    def talk(peer: socket.socket) -> None:
        peer.recv(65536)
        for position in range(len(answer)):
            peer.sendall(answer[position : position + 1])
            time.sleep(pause)

    return talk


def request(port: int, *, timeout_seconds: float = 10, body_limit: int = 1000, scheme: str = "http") -> Answer:
    connection = Connection(scheme, "127.0.0.1", port)
    try:
        return connection.request("GET", "/x", headers={}, deadline=Deadline(timeout_seconds), body_limit=body_limit)
    finally:
        connection.close()


def failure(port: int, *, timeout_seconds: float = 10) -> ExchangeError:
    with pytest.raises(ExchangeError) as caught:
        request(port, timeout_seconds=timeout_seconds)
    return caught.value


def test_many_requests_share_one_connection() -> None:
    def answer_often(peer: socket.socket) -> None:
        while peer.recv(65536):
            peer.sendall(_FINE)

    with talking(answer_often) as server:
        connection = Connection("http", "127.0.0.1", server.port)
        for _ in range(5):
            connection.request("GET", "/x", headers={}, deadline=Deadline(5), body_limit=10)
        connection.close()

        assert server.connections == 1


def test_head_and_body_of_a_small_request_travel_in_one_packet() -> None:
    first: list[bytes] = []

    def answer_often(peer: socket.socket) -> None:
        while piece := peer.recv(65536):
            first.append(piece)
            peer.sendall(_FINE)

    with talking(answer_often) as server:
        connection = Connection("http", "127.0.0.1", server.port)
        for _ in range(5):
            connection.request("PUT", "/x", headers={}, deadline=Deadline(5), body_limit=10, body=b"a page")
        connection.close()

    assert [piece.endswith(b"\r\n\r\na page") for piece in first] == [True] * 5


def test_a_body_that_drips_ends_at_the_deadline() -> None:
    # All of it would take 40 s; every single byte comes in time.
    with talking(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n" + 400 * b"x")) as server:
        error = failure(server.port, timeout_seconds=0.5)

    assert (error.outcome, str(error)) == ("timeout", "no answer in time")


def test_a_head_that_drips_ends_at_the_deadline() -> None:
    with talking(drip(b"HTTP/1.1 200 OK\r\nX-Padding: " + 400 * b"x" + b"\r\nContent-Length: 0\r\n\r\n")) as server:
        error = failure(server.port, timeout_seconds=0.5)

    assert error.outcome == "timeout"


def test_a_server_that_never_answers_times_out() -> None:
    over = threading.Event()

    def say_nothing(_: socket.socket) -> None:
        over.wait()

    with talking(say_nothing) as server:
        error = failure(server.port, timeout_seconds=0.3)
        over.set()

    assert error.outcome == "timeout"


def test_interim_answers_do_not_extend_the_deadline() -> None:
    with talking(drip(50 * b"HTTP/1.1 100 Continue\r\n\r\n" + _FINE, pause=0.01)) as server:
        error = failure(server.port, timeout_seconds=0.5)

    assert error.outcome == "timeout"


def test_a_deadline_that_has_passed_leaves_no_time_for_a_request() -> None:
    with talking(say(_FINE)) as server:
        error = failure(server.port, timeout_seconds=0)

    assert error.outcome == "timeout"


def test_two_requests_can_share_a_deadline() -> None:
    deadline = Deadline(0.5)
    with talking(drip(_FINE, pause=0.005), drip(_FINE, pause=0.1)) as server:
        connection = Connection("http", "127.0.0.1", server.port)
        first = connection.request("GET", "/x", headers={}, deadline=deadline, body_limit=10)
        with pytest.raises(ExchangeError) as caught:
            connection.request("GET", "/x", headers={}, deadline=deadline, body_limit=10)
        connection.close()

    assert first.body == b"ok"
    assert caught.value.outcome == "timeout"


def test_a_closed_connection_is_tried_once_more_on_a_fresh_one() -> None:
    with talking(hang_up, say(_FINE)) as server:
        answer = request(server.port)

        assert (answer.status, answer.body) == (200, b"ok")
        assert server.connections == 2


def test_a_second_close_without_an_answer_is_an_error() -> None:
    with talking(hang_up) as server:
        error = failure(server.port)

        assert (error.outcome, str(error)) == ("closed", "the connection was closed without an answer")
        # The third one asks, once, whether it speaks TLS.
        assert server.connections == 3


def test_a_reset_counts_as_closed() -> None:
    def reset(peer: socket.socket) -> None:
        peer.recv(65536)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    with talking(reset) as server:
        assert failure(server.port).outcome == "closed"


@pytest.mark.parametrize(
    "answer",
    [
        b"\x80\x81\x82 this is not HTTP\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + 70000 * b"x",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-ffffffffffffffffffffff\r\nx",
    ],
    ids=["rubbish", "no-status", "endless-header", "impossible-chunk"],
)
def test_what_is_not_http_is_invalid(answer: bytes) -> None:
    with talking(say(answer)) as server:
        assert failure(server.port).outcome == "invalid"


_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_FLOOD = [64 * (1022 * b"x" + b"\r\n")] * 1000
"""64 MiB, in pieces."""


def rush(begin: bytes, flood: Iterable[bytes]) -> Talk:
    def talk(peer: socket.socket) -> None:
        peer.recv(65536)
        peer.sendall(begin)
        for piece in flood:
            peer.sendall(piece)

    return talk


@pytest.mark.parametrize(
    ("begin", "flood"),
    [
        *(
            (_CHUNKED + size + b"\r\n", _FLOOD)
            for size in (b"-1", b"-7fffffffffffffff", b"-0", b"+9999999", b"0x9999999")
        ),
        *((_CHUNKED + size + b"\r\n", _FLOOD) for size in (b"ffffffffffffffffffff", b"9_999_999", b"9999999 ;x=y")),
        (_CHUNKED + b"-1\r\nx\r\n-1\r\n", _FLOOD),
        (_CHUNKED, _FLOOD),
        (_CHUNKED, [b"f" * 65536] * 1000),
        (_CHUNKED, [b"1\r\nx\r\n" * 10000] * 1000),
        (_CHUNKED + b"0\r\n", [b"X: y\r\n" * 10000] * 1000),
        (_CHUNKED + b"0\r\nX: ", [b"x" * 65536] * 1000),
        (b"HTTP/1.1 200 OK\r\n", [b"X: y\r\n" * 10000] * 1000),
        (b"HTTP/1.1 200 OK\r\nX: ", [b"x" * 65536] * 1000),
        (b"HTTP/1.1 200 ", [b"x" * 65536] * 1000),
        (b"", [b"\r\n" * 30000] * 1000),
        (b"", [b"\0" * 65536] * 1000),
        (b"", [b"HTTP/1.1 100 Continue\r\n\r\n" * 1000] * 1000),
        (b"", [b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" * 1000] * 1000),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", _FLOOD),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n", _FLOOD),
        (b"HTTP/1.0 200 OK\r\n\r\n", _FLOOD),
    ],
)
def test_no_answer_takes_more_memory_than_it_may_have_bytes(begin: bytes, flood: Iterable[bytes]) -> None:
    with talking(rush(begin, flood)) as server:
        tracemalloc.start()
        try:
            error = failure(server.port)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert error.outcome == "invalid"
    assert len(str(error)) < 400
    # Some 130 KiB are read; pieces of a byte take several each in memory.
    assert peak_bytes < 2 << 20


@pytest.mark.parametrize("status", [b"101 Switching Protocols", b"103 Early Hints", b"199 What"])
def test_an_interim_answer_is_not_taken_for_the_one_to_the_next_request(status: bytes) -> None:
    def answer_late(peer: socket.socket) -> None:
        peer.recv(65536)
        peer.sendall(b"HTTP/1.1 " + status + b"\r\n\r\n")
        peer.recv(65536)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")

    with talking(answer_late, say(_FINE)) as server:
        connection = Connection("http", "127.0.0.1", server.port)
        answers = [
            connection.request("GET", "/x", headers={}, deadline=Deadline(10), body_limit=1000) for _ in range(2)
        ]
        connection.close()

        assert [(answer.status // 100, answer.body) for answer in answers] == [(1, b""), (2, b"ok")]
        assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + 5_000_000 * b"x", "too early"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + 9_000_000 * b"x", "larger than 8000000 bytes"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n" + 5_000_000 * b"x", "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n500000\r\n" + 5_000_000 * b"x", "IncompleteRead"),
    ],
    ids=["truncated", "too-large", "chunk-of-all", "truncated-chunk"],
)
def test_an_error_that_is_kept_keeps_nothing_of_the_body(answer: bytes, words: str) -> None:
    with talking(say(answer)) as server:
        connection = Connection("http", "127.0.0.1", server.port)
        # Whatever only the collector of cycles would find stays, until it comes.
        gc.disable()
        tracemalloc.start()
        try:
            with pytest.raises(ExchangeError, match=words) as kept:
                connection.request("GET", "/x", headers={}, deadline=Deadline(60), body_limit=8_000_000)
            stays_bytes, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.enable()
        connection.close()

    assert kept.value.outcome == "invalid"
    assert stays_bytes < 200_000


def test_a_truncated_body_is_invalid() -> None:
    with talking(say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")) as server:
        assert failure(server.port).outcome == "invalid"


def test_a_body_beyond_the_limit_is_invalid_and_the_next_request_is_clean() -> None:
    huge = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + 100_000 * b"x"
    with talking(say(huge), say(_FINE)) as server:
        connection = Connection("http", "127.0.0.1", server.port)
        with pytest.raises(ExchangeError, match="larger than 1000 bytes") as caught:
            connection.request("GET", "/x", headers={}, deadline=Deadline(10), body_limit=1000)
        answer = connection.request("GET", "/x", headers={}, deadline=Deadline(10), body_limit=1000)
        connection.close()

    assert caught.value.outcome == "invalid"
    assert answer.body == b"ok"


def test_an_answer_without_an_end_is_not_listened_to_any_longer_than_its_limit() -> None:
    hung_up = threading.Event()

    def rush(peer: socket.socket) -> None:
        peer.recv(65536)
        try:
            peer.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + 100_000 * b"x")
            peer.recv(65536)
        finally:
            hung_up.set()

    with talking(rush) as server:
        error = failure(server.port)
        # Also while somebody holds the error, with the frames that it came from.
        assert hung_up.wait(5)

    assert error.outcome == "invalid"


def test_a_compressed_body_is_not_blown_up() -> None:
    with talking(
        say(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00")
    ) as server:
        assert request(server.port).body == b"\x1f\x8b\x08\x00"


def test_a_redirect_is_an_answer_and_is_not_followed(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/x").respond_with_data(status=301, headers={"Location": httpserver.url_for("/y")})

    assert request(httpserver.port).status == 301
    assert [request.path for request, _ in httpserver.log] == ["/x"]


def test_a_port_without_a_server_is_refused(unused_port: int) -> None:
    error = failure(unused_port)

    assert (error.outcome, str(error)) == ("refused", "cannot connect: Connection refused")


def test_a_name_without_an_address_is_refused() -> None:
    connection = Connection("http", "no-such-host.invalid", 80)
    with pytest.raises(ExchangeError, match="cannot connect: ") as caught:
        connection.request("GET", "/", headers={}, deadline=Deadline(10), body_limit=10)
    connection.close()

    assert caught.value.outcome == "refused"


def test_an_excerpt_is_one_printable_line() -> None:
    answer = Answer(status=400, headers={}, body=b"text format parsing error\n\tin line 3:\x00 \xff" + 2000 * b"x")

    assert answer.excerpt.startswith("text format parsing error in line 3:\\x00 \N{REPLACEMENT CHARACTER}xxx")
    assert len(answer.excerpt) == 300


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_a_private_authority_is_trusted_when_it_is_named(
    authority: trustme.CA, server_context: ssl.SSLContext, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    with talking(say(_FINE), context=server_context) as server:
        connection = Connection("https", "127.0.0.1", server.port, ca_file=str(ca_file))
        answer = connection.request("GET", "/x", headers={}, deadline=Deadline(10), body_limit=10)
        connection.close()

    assert answer.body == b"ok"


def test_a_dripping_body_over_tls_ends_at_the_deadline(
    authority: trustme.CA, server_context: ssl.SSLContext, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    dripping = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n" + 400 * b"x")
    with talking(dripping, context=server_context) as server:
        connection = Connection("https", "127.0.0.1", server.port, ca_file=str(ca_file))
        with pytest.raises(ExchangeError) as caught:
            connection.request("GET", "/x", headers={}, deadline=Deadline(0.5), body_limit=1000)
        connection.close()

    assert caught.value.outcome == "timeout"


def test_an_unknown_authority_is_refused(server_context: ssl.SSLContext) -> None:
    with (
        talking(say(_FINE), context=server_context) as server,
        pytest.raises(ExchangeError, match="TLS failed") as caught,
    ):
        request(server.port, scheme="https")

    assert caught.value.outcome == "refused"


def test_a_peers_very_own_certificate_is_proof_enough_whatever_name_it_has(
    authority: trustme.CA, tmp_path: Path
) -> None:
    def ask(connection: Connection) -> bytes:
        return connection.request("GET", "/", headers={}, deadline=Deadline(10), body_limit=10).body

    own, other = (authority.issue_cert("sonnenbatterie") for _ in range(2))
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "own.pem"))
    other.cert_chain_pems[0].write_to_path(str(tmp_path / "other.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.configure_cert(context)
    with HTTPServer(host="127.0.0.1", ssl_context=context) as server:
        server.expect_request("/").respond_with_data("secure")
        answers = list[bytes]()
        for file in ("own", "other"):
            connection = Connection("https", "127.0.0.1", server.port, ca_file=str(tmp_path / f"{file}.pem"))
            try:
                answers += [ask(connection), ask(connection)]
            except ExchangeError as error:
                assert str(error).startswith("TLS failed: ")  # noqa: PT017 - of the other one only
            connection.close()
    assert answers == [b"secure", b"secure"]
    assert len(server.log) == 2


def test_a_certificate_for_another_host_is_refused(authority: trustme.CA, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("gateway.example").configure_cert(context)
    with talking(say(_FINE), context=context) as server:
        connection = Connection("https", "127.0.0.1", server.port, ca_file=str(ca_file))
        with pytest.raises(ExchangeError, match="TLS failed"):
            connection.request("GET", "/x", headers={}, deadline=Deadline(10), body_limit=10)
        connection.close()


def ask_in_plain_http(port: int, times: int) -> set[tuple[str, str]]:
    """Return how requests that carry a page end, over connections of their own and over one."""
    told: set[tuple[str, str]] = set()
    shared = Connection("http", "127.0.0.1", port)
    for number in range(times):
        connection = shared if number % 2 else Connection("http", "127.0.0.1", port)
        with pytest.raises(ExchangeError) as caught:
            connection.request("PUT", "/", headers={}, deadline=Deadline(10), body_limit=1000, body=bytes(100_000))
        connection.close()
        told.add((caught.value.outcome, str(caught.value)))
    return told


_SPEAKS_TLS = {("refused", "the port speaks TLS: write https:// instead of http://")}


def test_who_hangs_up_because_it_speaks_tls_is_told_as_that(server_context: ssl.SSLContext) -> None:
    with talking(say(_FINE), context=server_context) as server:
        assert ask_in_plain_http(server.port, 4) == _SPEAKS_TLS


def test_who_says_so_in_tls_is_told_as_that() -> None:
    with talking(say(b"\x15\x03\x03\x00\x02\x02\x0a")) as server:
        assert ask_in_plain_http(server.port, 4) == _SPEAKS_TLS


def test_who_demands_a_certificate_speaks_tls(server_context: ssl.SSLContext) -> None:
    server_context.verify_mode = ssl.CERT_REQUIRED
    with talking(say(_FINE), context=server_context) as server:
        assert ask_in_plain_http(server.port, 2) == _SPEAKS_TLS


def test_a_400_without_tls_is_an_answer_and_is_doubted_once() -> None:
    def refuse(peer: socket.socket) -> None:
        while peer.recv(65536).startswith(b"GET "):
            peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with talking(refuse) as server:
        connection = Connection("http", "127.0.0.1", server.port)
        for _ in range(3):
            answer = connection.request("GET", "/x", headers={}, deadline=Deadline(10), body_limit=1000)
            assert answer.status == 400
        connection.close()

        assert server.connections == 3


def test_what_a_peer_says_before_it_hangs_up_is_heard() -> None:
    # As who refuses a request for its head, and does not read the rest.
    def refuse(peer: socket.socket) -> None:
        peer.recv(100)
        peer.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large")

    with talking(refuse) as server:
        connection = Connection("http", "127.0.0.1", server.port)
        answer = connection.request(
            "PUT", "/x", headers={}, deadline=Deadline(10), body_limit=1000, body=bytes(20_000_000)
        )
        connection.close()

    assert (answer.status, answer.body) == (413, b"too large")
