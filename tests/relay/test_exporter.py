import socket
from collections.abc import Iterator

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from sonnen_agent.errors import ExporterError, Outcome
from sonnen_agent.relay.exporter import PAGE_LIMIT_BYTES, Exporter


@pytest.fixture
def exporter(httpserver: HTTPServer) -> Exporter:
    return Exporter(httpserver.url_for("/metrics"))


def test_an_exporter_is_asked_for_text_and_for_nothing_that_could_be_a_secret(
    httpserver: HTTPServer, exporter: Exporter
) -> None:
    httpserver.expect_request("/metrics", method="GET").respond_with_data(b"node_load1 0.5 1700000000000\r\n")

    assert exporter.page(5) == b"node_load1 0.5\n"

    ((request, _),) = httpserver.log
    assert request.headers["Accept"] == "text/plain;version=0.0.4"
    assert request.headers["User-Agent"].startswith("sonnen-agent/")
    assert {"Authorization", "Cookie"}.isdisjoint(request.headers.keys())


def test_the_page_of_a_host_alone_is_its_root(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data(b"up 1\n")
    assert Exporter(httpserver.url_for("").rstrip("/")).page(5) == b"up 1\n"


@pytest.mark.parametrize(
    ("status", "outcome", "said"),
    [
        (
            302,
            "http_error",
            "answered 302: a redirect to http://192.0.2.1, which is not followed; write the final URL",
        ),
        (401, "unauthorized", "answered 401: it asks for a password, and the relay has none"),
        (404, "not_found", "answered 404: no page there; mend the URL's path, which most often is /metrics"),
        (500, "http_error", "answered 500: out of order"),
    ],
)
def test_another_answer_than_a_page_is_told_with_the_fix(
    httpserver: HTTPServer, exporter: Exporter, status: int, outcome: Outcome, said: str
) -> None:
    httpserver.expect_request("/metrics").respond_with_data(
        "out of order", status=status, headers={"Location": "http://192.0.2.1"}
    )

    with pytest.raises(ExporterError) as caught:
        exporter.page(5)

    assert caught.value.outcome == outcome
    assert str(caught.value) == f"{httpserver.url_for('/metrics')}: {said}"
    assert len(httpserver.log) == 1


def test_what_is_no_page_is_told_with_the_fix(httpserver: HTTPServer, exporter: Exporter) -> None:
    httpserver.expect_request("/metrics").respond_with_data("<html>", content_type="text/html")

    with pytest.raises(ExporterError) as caught:
        exporter.page(5)

    assert caught.value.outcome == "invalid"
    assert str(caught.value) == (
        f"{httpserver.url_for('/metrics')}: line 1 is not in Prometheus's text format: '<html>'; "
        "the URL of an exporter's page most often ends in /metrics"
    )


def test_a_page_may_have_4_mib_and_not_a_byte_more(httpserver: HTTPServer, exporter: Exporter) -> None:
    # Without an end: an exporter gone mad.
    def more(sent: int) -> Iterator[bytes]:
        line = b"# " + b"x" * 4093 + b"\n"
        for _ in range(sent // len(line)):
            yield line

    httpserver.expect_ordered_request("/metrics").respond_with_handler(lambda _: Response(more(PAGE_LIMIT_BYTES)))
    httpserver.expect_ordered_request("/metrics").respond_with_handler(lambda _: Response(more(1024**3)))

    assert len(exporter.page(30)) == PAGE_LIMIT_BYTES
    with pytest.raises(ExporterError, match="the answer is larger than 4194304 bytes") as caught:
        exporter.page(30)
    assert caught.value.outcome == "invalid"


def test_an_exporter_that_is_not_there_refuses() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/metrics"

        with pytest.raises(ExporterError, match=rf"^{url}: cannot connect: Connection refused$") as caught:
            Exporter(url).page(5)

    assert caught.value.outcome == "refused"


def test_an_exporter_that_says_nothing_is_given_up(request: pytest.FixtureRequest) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    request.addfinalizer(listener.close)

    with pytest.raises(ExporterError, match="no answer in time") as caught:
        Exporter(f"http://127.0.0.1:{listener.getsockname()[1]}/metrics").page(0.1)

    assert caught.value.outcome == "timeout"
