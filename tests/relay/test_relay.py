import logging
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from sonnen_agent import __version__
from sonnen_agent.errors import Outcome
from sonnen_agent.group import GroupKey
from sonnen_agent.relay import PAGE_LIMIT_BYTES, Relay, RelayOptions


class Line:
    """A relay, and what it counted."""

    def __init__(self, url: str, interval_seconds: float = 15) -> None:
        self.outcomes: list[Outcome] = []
        options = RelayOptions(url=url, job="node", interval_seconds=interval_seconds)
        self.relay = Relay(options, instance="pi", record=self.outcomes.append)

    def page(self) -> bytes:
        page = self.relay.read().page
        assert page is not None
        return page


@pytest.fixture
def line(httpserver: HTTPServer) -> Line:
    return Line(httpserver.url_for("/metrics"))


@pytest.fixture(autouse=True)
def informed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.levelno >= logging.INFO and record.name == "sonnen_agent.relay"
    ]


def test_what_is_read_says_whose_it_is_and_of_when(httpserver: HTTPServer, line: Line) -> None:
    httpserver.expect_request("/metrics").respond_with_data("node_load1 0.5\n")
    before = time.monotonic()

    group = line.relay.read()

    assert (group.key, group.page) == (GroupKey(job="node", instance="pi"), b"node_load1 0.5\n")
    assert (group.families, group.counters, group.certain_counters) == ((), (), ())
    assert before <= group.taken_monotonic_seconds <= time.monotonic()
    assert line.outcomes == ["ok"]


def test_what_cannot_be_read_is_an_empty_page(httpserver: HTTPServer, line: Line) -> None:
    httpserver.expect_ordered_request("/metrics").respond_with_data("node_load1 0.5\n")
    httpserver.expect_ordered_request("/metrics").respond_with_data("node_load1 0.5\n", status=500)

    assert line.page() == b"node_load1 0.5\n"
    assert line.page() == b""
    assert line.outcomes == ["ok", "http_error"]


def test_an_exporter_is_asked_for_text_and_for_nothing_that_could_be_a_secret(
    httpserver: HTTPServer, line: Line
) -> None:
    httpserver.expect_request("/metrics", method="GET").respond_with_data(b"node_load1 0.5 1700000000000\r\n")

    assert line.page() == b"node_load1 0.5\n"

    ((request, _),) = httpserver.log
    assert request.headers["Accept"] == "text/plain;version=0.0.4"
    assert request.headers["User-Agent"] == f"sonnen-agent/{__version__}"
    assert {"Authorization", "Cookie"}.isdisjoint(request.headers.keys())


def test_the_page_of_a_host_alone_is_its_root(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data(b"up 1\n")
    assert Line(httpserver.url_for("").rstrip("/")).page() == b"up 1\n"


def test_a_path_is_asked_for_as_it_was_written(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/probe/").respond_with_data(b"up 1\n")
    assert Line(httpserver.url_for("/probe/")).page() == b"up 1\n"


@pytest.mark.parametrize(
    ("status", "outcome", "expected"),
    [
        (
            302,
            "http_error",
            "answered 302: a redirect to http://192.0.2.1, which is not followed; write the final URL",
        ),
        (401, "unauthorized", "answered 401: it asks for a password, and the relay has none"),
        (403, "unauthorized", "answered 403: it asks for a password, and the relay has none"),
        (404, "not_found", "answered 404: no page there; mend the URL's path, which most often is /metrics"),
        (500, "http_error", "answered 500: out of order"),
    ],
)
def test_another_answer_than_a_page_is_told_with_the_fix(
    httpserver: HTTPServer,
    line: Line,
    caplog: pytest.LogCaptureFixture,
    status: int,
    outcome: Outcome,
    expected: str,
) -> None:
    httpserver.expect_request("/metrics").respond_with_data(
        "out of order", status=status, headers={"Location": "http://192.0.2.1"}
    )

    assert line.page() == b""

    assert line.outcomes == [outcome]
    url = httpserver.url_for("/metrics")
    assert said(caplog) == [("WARNING", f"relay node: not readable ({outcome}): {url}: {expected}")]
    assert len(httpserver.log) == 1


def test_what_is_no_page_is_told_with_the_fix(
    httpserver: HTTPServer, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    httpserver.expect_request("/metrics").respond_with_data("<html>", content_type="text/html")

    assert line.page() == b""

    assert line.outcomes == ["invalid"]
    ((_, message),) = said(caplog)
    assert message == (
        f"relay node: not readable (invalid): {httpserver.url_for('/metrics')}: "
        "line 1 is not in Prometheus's text format: '<html>'; "
        "the URL of an exporter's page most often ends in /metrics"
    )


def test_a_page_may_have_4_mib_and_not_a_byte_more(httpserver: HTTPServer, caplog: pytest.LogCaptureFixture) -> None:
    # Without an end: an exporter gone mad.
    def more(sent: int) -> Iterator[bytes]:
        line = b"# " + b"x" * 4093 + b"\n"
        for _ in range(sent // len(line)):
            yield line

    httpserver.expect_ordered_request("/metrics").respond_with_handler(lambda _: Response(more(PAGE_LIMIT_BYTES)))
    httpserver.expect_ordered_request("/metrics").respond_with_handler(lambda _: Response(more(1024**3)))
    line = Line(httpserver.url_for("/metrics"), interval_seconds=3600)

    assert len(line.page()) == PAGE_LIMIT_BYTES
    assert line.page() == b""
    assert line.outcomes == ["ok", "invalid"]
    assert "the answer is larger than 4194304 bytes" in caplog.text


def test_an_exporter_that_is_not_there_refuses(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/metrics"
        line = Line(url)

        assert line.page() == b""

    assert line.outcomes == ["refused"]
    assert [message for _, message in said(caplog)] == [
        f"relay node: not readable (refused): {url}: cannot connect: Connection refused"
    ]


def test_an_exporter_that_hangs_up_counts_as_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line = Line(f"http://127.0.0.1:{listener.getsockname()[1]}/metrics")
        thread = threading.Thread(target=hang_up_twice, args=(listener,))
        thread.start()
        assert line.page() == b""
        thread.join()

    assert line.outcomes == ["refused"]


def hang_up_twice(listener: socket.socket) -> None:
    for _ in range(2):
        peer, _ = listener.accept()
        with peer:
            peer.recv(65536)


def test_an_exporter_that_says_nothing_is_given_up_within_the_beat(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    request.addfinalizer(listener.close)
    line = Line(f"http://127.0.0.1:{listener.getsockname()[1]}/metrics", interval_seconds=0.2)
    begin = time.monotonic()

    assert line.page() == b""

    assert 0.1 < time.monotonic() - begin < 5
    assert line.outcomes == ["timeout"]
    assert "no answer in time" in caplog.text


def test_the_log_has_a_line_when_an_exporter_goes_and_one_when_it_is_back(
    httpserver: HTTPServer, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    for body, status in (("a 1\n", 200), ("away", 500), ("{}", 200), ("away", 500), ("a 1\n", 200), ("a 1\n", 200)):
        httpserver.expect_ordered_request("/metrics").respond_with_data(body, status=status)

    for _ in range(6):
        line.relay.read()

    url = httpserver.url_for("/metrics")
    assert said(caplog) == [
        ("WARNING", f"relay node: not readable (http_error): {url}: answered 500: away"),
        ("INFO", "relay node: readable again"),
    ]
    assert line.outcomes == ["ok", "http_error", "invalid", "http_error", "ok", "ok"]


def test_an_exporter_that_was_never_there_is_told_too(
    httpserver: HTTPServer, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    httpserver.expect_request("/metrics").respond_with_data(status=404)

    line.relay.read()

    assert [level for level, _ in said(caplog)] == ["WARNING"]


@pytest.mark.parametrize(("interval_seconds", "shown_seconds"), [(1, 3), (5, 15), (15, 30), (3600, 30)])
def test_a_page_is_shown_for_three_beats_and_at_most_half_a_minute(
    httpserver: HTTPServer, interval_seconds: float, shown_seconds: float
) -> None:
    httpserver.expect_request("/metrics").respond_with_data("a 1\n")

    group = Line(httpserver.url_for("/metrics"), interval_seconds).relay.read()

    assert group.is_current(group.taken_monotonic_seconds + shown_seconds - 0.001)
    assert not group.is_current(group.taken_monotonic_seconds + shown_seconds + 0.5)
