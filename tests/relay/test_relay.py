import logging
import time

import pytest
from pytest_httpserver import HTTPServer

from sonnen_agent.errors import Outcome
from sonnen_agent.relay.relay import Relay
from sonnen_agent.snapshot import RelayedPage


class Line:
    """A relay, and what it counted."""

    def __init__(self, url: str, interval_seconds: float = 15) -> None:
        self.outcomes: list[Outcome] = []
        self.relay = Relay("node", url, host="pi", interval_seconds=interval_seconds, record=self.outcomes.append)


@pytest.fixture
def line(httpserver: HTTPServer) -> Line:
    return Line(httpserver.url_for("/metrics"))


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.levelno >= logging.INFO and record.name == "sonnen_agent.relay.relay"
    ]


def test_what_is_read_says_whose_it_is_and_of_when(httpserver: HTTPServer, line: Line) -> None:
    httpserver.expect_request("/metrics").respond_with_data("node_load1 0.5\n")
    before = time.monotonic()

    page = line.relay.read()

    assert (page.relay, page.host, page.page, page.interval_seconds) == ("node", "pi", b"node_load1 0.5\n", 15)
    assert before <= page.taken_monotonic_seconds <= time.monotonic()
    assert line.outcomes == ["ok"]


def test_what_cannot_be_read_is_nothing(httpserver: HTTPServer, line: Line) -> None:
    httpserver.expect_ordered_request("/metrics").respond_with_data("node_load1 0.5\n")
    httpserver.expect_ordered_request("/metrics").respond_with_data("node_load1 0.5\n", status=500)

    assert line.relay.read().page is not None
    assert line.relay.read().page is None
    assert line.outcomes == ["ok", "http_error"]


def test_the_log_has_a_line_when_an_exporter_goes_and_one_when_it_is_back(
    httpserver: HTTPServer, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
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


@pytest.mark.parametrize(("interval_seconds", "current_seconds"), [(1, 3), (5, 15), (15, 30), (3600, 30)])
def test_a_page_is_current_for_three_beats_and_at_most_half_a_minute(
    interval_seconds: float, current_seconds: float
) -> None:
    page = RelayedPage(
        relay="node", host="pi", page=b"", interval_seconds=interval_seconds, taken_monotonic_seconds=100
    )
    assert page.is_current(100 + current_seconds)
    assert not page.is_current(100.5 + current_seconds)
