import base64
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import snappy
from decoding import value_bytes
from pytest_httpserver import HTTPServer
from receivers import FakeReceiver, always

from sonnen_agent.destination import Destination, Secret
from sonnen_agent.errors import Outcome
from sonnen_agent.outputs.remote_write import Options
from sonnen_agent.outputs.remote_write.client import RemoteWriteClient, WriteError
from sonnen_agent.outputs.remote_write.wire import series_of, write_request

LABELS = {"__name__": "sonnen_online", "job": "sonnen", "instance": "home"}
SAMPLE = (series_of(LABELS), 1_795_000_000_000, value_bytes(1))
BODY = snappy.compress(write_request([SAMPLE]))


@pytest.fixture
def fake(httpserver: HTTPServer) -> FakeReceiver:
    return FakeReceiver(httpserver)


def write(
    url: str,
    *,
    record: Callable[..., None] = lambda *_: None,
    interval_seconds: float = 5,
    heard: Callable[[str | None], None] = lambda _: None,
) -> WriteError | None:
    options = Options(destination=Destination(url=url))
    client = RemoteWriteClient(options, interval_seconds=interval_seconds, record=record, heard=heard)
    try:
        return client.write([SAMPLE])
    finally:
        client.close()


def test_a_request_is_what_the_protocol_says(fake: FakeReceiver) -> None:
    destination = Destination(url=fake.url, username="pi", password=Secret("geheim"))
    options = Options(destination=destination, headers={"X-Scope-OrgID": "home"})
    client = RemoteWriteClient(options, interval_seconds=5, record=lambda *_: None, heard=lambda _: None)

    error = client.write([SAMPLE])
    client.close()

    assert error is None
    headers = fake.requests[0].headers
    assert fake.requests[0].method == "POST"
    assert headers["Content-Encoding"] == "snappy"
    assert headers["Content-Type"] == "application/x-protobuf"
    assert headers["X-Prometheus-Remote-Write-Version"] == "0.1.0"
    assert headers["User-Agent"].startswith("sonnen-agent/")
    assert headers["X-Scope-OrgID"] == "home"
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"pi:geheim").decode()
    assert fake.of("sonnen_online") == {1_795_000_000_000: 1.0}


def test_the_query_of_the_url_goes_along(fake: FakeReceiver) -> None:
    write(f"{fake.url}?extra_label=site%3Dhome")
    assert fake.requests[0].query_string == b"extra_label=site%3Dhome"


def test_every_request_is_recorded(fake: FakeReceiver) -> None:
    records: list[tuple[object, ...]] = []
    write(fake.url, record=lambda *record: records.append(record))
    ((sink, outcome, seconds, size),) = records
    assert (sink, outcome) == ("remote_write", "ok")
    assert isinstance(seconds, float)
    assert size == int(fake.requests[0].headers["Content-Length"])


@pytest.mark.parametrize(("status", "text"), [(200, ""), (204, ""), (200, "OK\x00\xff garbage")])
def test_what_is_answered_with_a_success_is_stored(fake: FakeReceiver, status: int, text: str) -> None:
    fake.reply = always(status, text)
    outcomes, dates = list[Outcome](), list[str | None]()
    assert write(fake.url, record=lambda _, outcome, *__: outcomes.append(outcome), heard=dates.append) is None
    assert (outcomes, len(dates)) == (["ok"], 1)
    assert dates[0] is not None


@pytest.mark.parametrize(
    ("status", "text", "later", "outcome", "words"),
    [
        (200, " <html>Welcome to the hotel</html>", True, "invalid", "a login page is in between"),
        (301, "", True, "http_error", "a redirect to https://elsewhere/, which is not followed"),
        (400, "duplicate sample for timestamp", False, "rejected", "duplicate sample for timestamp"),
        (400, "out of order sample", False, "rejected", "storage.tsdb.out_of_order_time_window"),
        (409, "conflict", False, "rejected", "conflict"),
        (413, "too large", False, "rejected", "too large"),
        (422, "label value too long", False, "rejected", "label value too long"),
        (401, "", True, "unauthorized", "mend the config"),
        (403, "", True, "unauthorized", "mend the config"),
        (404, "", True, "not_found", "--web.enable-remote-write-receiver"),
        (415, "", True, "http_error", "answered 415"),
        (429, "slow down", True, "http_error", "slow down"),
        (500, "disk full", True, "http_error", "disk full"),
        (500, "too old sample", False, "rejected", "too old sample"),
        (503, "starting", True, "http_error", "starting"),
    ],
)
def test_an_answer_decides_about_the_samples(
    fake: FakeReceiver, status: int, text: str, later: bool, outcome: Outcome, words: str
) -> None:
    fake.reply = always(status, text, Location="https://elsewhere/")
    outcomes, dates = list[Outcome](), list[str | None]()
    error = write(fake.url, record=lambda _, outcome, *__: outcomes.append(outcome), heard=dates.append)
    assert error is not None
    assert (error.later, error.outcome, error.status) == (later, outcome, status)
    assert words in str(error)
    assert (outcomes, len(dates)) == ([outcome], 1)
    assert dates[0] is not None


@pytest.mark.parametrize(
    "text",
    [
        "out of bounds",
        "too old sample",
        "err-mimir-sample-timestamp-too-old: the sample has been rejected",
        "timestamp is too far in the past",
    ],
)
def test_what_is_refused_for_its_age_is_known_as_such(fake: FakeReceiver, text: str) -> None:
    fake.reply = always(400, text)
    error = write(fake.url)
    assert error is not None
    assert error.too_old


@pytest.mark.parametrize(
    ("wanted", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("99999999999999999999", 600),
        ("-3", 0),
        ("soon", 0),
        ("Sat, 01 Jan 2028 00:00:30 GMT", 30),
        ("Sat, 01 Jan 2028 00:00:30", 0),
        ("Sat, 01 Jan 2000 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 600),
    ],
)
def test_the_receiver_says_how_long_to_wait(
    raw_answer: Callable[[bytes | None], str], wanted: str, seconds: float
) -> None:
    date = "Sat, 01 Jan 2028 00:00:00 GMT"
    head = f"HTTP/1.1 429 Slow\r\nDate: {date}\r\nRetry-After: {wanted}\r\nContent-Length: 0\r\n\r\n"
    dates = list[str | None]()
    error = write(raw_answer(head.encode()), heard=dates.append)
    assert error is not None
    assert (error.wait_seconds, dates) == (seconds, [date])


@pytest.fixture
def raw_answer() -> Iterator[Callable[[bytes | None], str]]:
    """Return what starts a server that sends these bytes to anybody, or with None nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    kept: list[socket.socket] = []

    def serve(answer: bytes | None) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            kept.append(connection)
            # Who asks whether this is TLS hangs up.
            with suppress(ConnectionError):
                if answer is not None:
                    # What is left unread would turn the end of the connection into a reset.
                    request = b""
                    while not request.endswith(BODY) and (piece := connection.recv(1 << 16)):
                        request += piece
                    connection.sendall(answer)
                    connection.close()

    def start(answer: bytes | None) -> str:
        threading.Thread(target=serve, args=(answer,), daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1/write"

    yield start
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for connection in kept:
        connection.close()


@pytest.mark.parametrize(
    ("answer", "outcome", "words"),
    [
        (b"\x00\x01\x02 garbage\r\n\r\n", "invalid", "HTTP answer"),
        (b"", "closed", "closed without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "invalid", "HTTP answer"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000, "invalid", "larger than 65536 bytes"),
    ],
)
def test_no_answer_is_no_result_on_the_samples(
    raw_answer: Callable[[bytes | None], str], answer: bytes, outcome: Outcome, words: str
) -> None:
    dates = list[str | None]()
    error = write(raw_answer(answer), heard=dates.append)
    assert error is not None
    assert (error.later, error.outcome, error.status, dates) == (True, outcome, None, [])
    assert words in str(error)


def test_silence_ends_with_the_time_out(raw_answer: Callable[[bytes | None], str]) -> None:
    error = write(raw_answer(None), interval_seconds=0.2)
    assert error is not None
    assert (error.later, error.outcome) == (True, "timeout")


def test_a_token_that_has_changed_is_the_one_of_the_next_request(fake: FakeReceiver) -> None:
    fake.reply = always(401, "Bearer the-new-token")
    tokens = ["the-old-token"]
    secret = Secret("the-old-token", "read on", lambda _: tokens[-1])
    options = Options(destination=Destination(url=fake.url, bearer_token=secret))
    client = RemoteWriteClient(options, interval_seconds=5, record=lambda *_: None, heard=lambda _: None)

    client.write([SAMPLE])
    tokens.append("the-new-token")
    error = client.write([SAMPLE])
    client.close()

    assert [request.headers["Authorization"] for request in fake.requests] == [
        "Bearer the-old-token",
        "Bearer the-new-token",
    ]
    assert str(error).endswith(
        "answered 401: Bearer ***; the user name, password or token is wrong; mend the config, or read on"
    )
