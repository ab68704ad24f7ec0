import base64
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import snappy
from pytest_httpserver import HTTPServer
from receivers import FakeReceiver, always

from sonnen_agent.destination import Destination, Secret
from sonnen_agent.errors import Outcome
from sonnen_agent.outputs.remote_write.client import RemoteWriteClient, WriteResult
from sonnen_agent.outputs.remote_write.wire import series_of, value_bytes, write_request

LABELS = {"__name__": "sonnen_online", "job": "sonnen", "instance": "home"}
SAMPLE = (series_of(LABELS), 1_795_000_000_000, value_bytes(1))
BODY = snappy.compress(write_request([SAMPLE]))


@pytest.fixture
def fake(httpserver: HTTPServer) -> FakeReceiver:
    return FakeReceiver(httpserver)


def write(url: str, *, record: Callable[..., None] = lambda *_: None, interval_seconds: float = 5) -> WriteResult:
    client = RemoteWriteClient(Destination(url=url), {}, interval_seconds=interval_seconds, record=record)
    try:
        return client.write([SAMPLE])
    finally:
        client.close()


def test_a_request_is_what_the_protocol_says(fake: FakeReceiver) -> None:
    destination = Destination(url=fake.url, username="pi", password=Secret("geheim"))
    client = RemoteWriteClient(destination, {"X-Scope-OrgID": "home"}, interval_seconds=5, record=lambda *_: None)

    result = client.write([SAMPLE])
    client.close()

    assert (result.kind, result.outcome, result.words) == ("written", "ok", "")
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


@pytest.mark.parametrize(
    ("status", "text", "kind", "outcome", "words"),
    [
        (200, "", "written", "ok", ""),
        (204, "", "written", "ok", ""),
        (200, "OK\x00\xff garbage", "written", "ok", ""),
        (200, " <html>Welcome to the hotel</html>", "later", "invalid", "a login page is in between"),
        (301, "", "later", "http_error", "a redirect to https://elsewhere/, which is not followed"),
        (400, "duplicate sample for timestamp", "rejected", "rejected", "duplicate sample for timestamp"),
        (400, "out of order sample", "rejected", "rejected", "storage.tsdb.out_of_order_time_window"),
        (409, "conflict", "rejected", "rejected", "conflict"),
        (413, "too large", "rejected", "rejected", "too large"),
        (422, "label value too long", "rejected", "rejected", "label value too long"),
        (401, "", "later", "unauthorized", "mend the config"),
        (403, "", "later", "unauthorized", "mend the config"),
        (404, "", "later", "not_found", "--web.enable-remote-write-receiver"),
        (415, "", "later", "http_error", "answered 415"),
        (429, "slow down", "later", "http_error", "slow down"),
        (500, "disk full", "later", "http_error", "disk full"),
        (500, "too old sample", "rejected", "rejected", "too old sample"),
        (503, "starting", "later", "http_error", "starting"),
    ],
)
def test_an_answer_decides_about_the_samples(
    fake: FakeReceiver, status: int, text: str, kind: str, outcome: Outcome, words: str
) -> None:
    fake.reply = always(status, text, Location="https://elsewhere/")
    result = write(fake.url)
    assert (result.kind, result.outcome, result.status) == (kind, outcome, status)
    assert words in result.words
    assert result.date is not None


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
    assert write(fake.url).too_old


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
    result = write(raw_answer(head.encode()))
    assert (result.wait_seconds, result.date) == (seconds, date)


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
    result = write(raw_answer(answer))
    assert (result.kind, result.outcome, result.status) == ("later", outcome, None)
    assert words in result.words


def test_silence_ends_with_the_time_out(raw_answer: Callable[[bytes | None], str]) -> None:
    result = write(raw_answer(None), interval_seconds=0.2)
    assert (result.kind, result.outcome) == ("later", "timeout")
