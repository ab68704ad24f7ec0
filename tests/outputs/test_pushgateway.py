import base64
import gzip
import socket
import threading
from collections.abc import Iterator

import pytest
from pytest_httpserver import HTTPServer

from sonnen_agent.errors import Outcome, PushError
from sonnen_agent.metrics.groups import GroupKey
from sonnen_agent.outputs.access import Access
from sonnen_agent.outputs.pushgateway import Pushgateway, group_path

_HOME = GroupKey(job="sonnen", instance="home")
_PAGE = b"sonnen_online 1.0\n"

Records = list[tuple[str, Outcome, int]]


@pytest.fixture
def records() -> Records:
    return []


@pytest.fixture
def gateway(httpserver: HTTPServer, records: Records) -> Iterator[Pushgateway]:
    yield from open_gateway(Access(url=httpserver.url_for("/some/prefix/")), records)


def open_gateway(access: Access, records: Records, *, compress: bool = True) -> Iterator[Pushgateway]:
    gateway = Pushgateway(
        access,
        timeout_seconds=5,
        compress=compress,
        record=lambda sink, outcome, _, size: records.append((sink, outcome, size)),
    )
    yield gateway
    gateway.close()


def test_a_group_is_put_compressed_under_the_path_prefix(
    httpserver: HTTPServer, gateway: Pushgateway, records: Records
) -> None:
    httpserver.expect_request("/some/prefix/metrics/job/sonnen/instance/home", method="PUT").respond_with_data(
        status=200
    )

    gateway.push(_HOME, _PAGE)

    request = httpserver.log[0][0]
    assert gzip.decompress(request.data) == _PAGE
    assert request.headers["Content-Encoding"] == "gzip"
    assert request.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert records == [("pushgateway", "ok", len(request.data))]


def test_compression_can_be_switched_off(httpserver: HTTPServer, records: Records) -> None:
    httpserver.expect_request("/metrics/job/sonnen/instance/home").respond_with_data(status=202)

    for gateway in open_gateway(Access(url=httpserver.url_for("")), records, compress=False):
        gateway.push(_HOME, _PAGE)

    assert httpserver.log[0][0].data == _PAGE
    assert "Content-Encoding" not in httpserver.log[0][0].headers


def test_a_group_is_deleted(httpserver: HTTPServer, gateway: Pushgateway) -> None:
    httpserver.expect_request("/some/prefix/metrics/job/sonnen/instance/home", method="DELETE").respond_with_data(
        status=202
    )

    gateway.delete(_HOME)

    assert len(httpserver.log) == 1


def test_basic_authentication_travels_with_every_request(httpserver: HTTPServer, records: Records) -> None:
    httpserver.expect_request("/metrics/job/sonnen/instance/home").respond_with_data(status=200)

    for gateway in open_gateway(Access(url=httpserver.url_for(""), username="pi", password="secrät"), records):
        gateway.push(_HOME, _PAGE)
        gateway.delete(_HOME)

    expected = "Basic " + base64.b64encode("pi:secrät".encode()).decode()
    assert [request.headers["Authorization"] for request, _ in httpserver.log] == [expected, expected]


def test_a_bearer_token_travels_with_every_request(httpserver: HTTPServer, records: Records) -> None:
    httpserver.expect_request("/metrics/job/sonnen/instance/home").respond_with_data(status=200)

    for gateway in open_gateway(Access(url=httpserver.url_for(""), bearer_token="abc"), records):
        gateway.push(_HOME, _PAGE)

    assert httpserver.log[0][0].headers["Authorization"] == "Bearer abc"


def test_secrets_do_not_show_in_a_traceback() -> None:
    shown = repr(Access(url="http://g", username="pi", password="hidden", bearer_token="unseen"))

    assert "hidden" not in shown
    assert "unseen" not in shown


@pytest.mark.parametrize(
    ("status", "outcome", "message"),
    [
        (400, "rejected", "answered 400: pushed metrics are invalid or inconsistent"),
        (
            401,
            "unauthorized",
            "answered 401: pushed metrics are invalid or inconsistent: the user name, password or token",
        ),
        (403, "unauthorized", "answered 403"),
        (404, "not_found", "no Pushgateway here; mend the URL's path"),
        (301, "http_error", "a redirect to elsewhere, which is not followed; write the final URL"),
        (503, "http_error", "answered 503: pushed metrics are invalid or inconsistent"),
    ],
)
def test_a_refusal_reaches_the_log_in_the_gateways_words(
    httpserver: HTTPServer, gateway: Pushgateway, records: Records, status: int, outcome: Outcome, message: str
) -> None:
    httpserver.expect_request("/some/prefix/metrics/job/sonnen/instance/home").respond_with_data(
        "pushed metrics are invalid or inconsistent\n", status=status
    )

    with pytest.raises(PushError) as caught:
        gateway.push(_HOME, _PAGE)

    assert caught.value.outcome == outcome
    assert message in str(caught.value)
    assert [(sink, seen) for sink, seen, _ in records] == [("pushgateway", outcome)]


def test_a_connection_closed_without_an_answer_is_reported_with_what_it_may_mean() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_hang_up_twice, args=(listener,), daemon=True).start()
        records: Records = []
        for gateway in open_gateway(Access(url=f"http://127.0.0.1:{listener.getsockname()[1]}"), records):
            with pytest.raises(
                PushError, match=r"the gateway may be rejecting this push \(Pushgateway 1\.11\.0"
            ) as caught:
                gateway.push(_HOME, _PAGE)

    assert caught.value.outcome == "closed"
    assert [outcome for _, outcome, _ in records] == ["closed"]


def _hang_up_twice(listener: socket.socket) -> None:
    for _ in range(2):
        peer, _ = listener.accept()
        with peer:
            peer.recv(65536)


@pytest.mark.parametrize(
    ("instance", "step"),
    [
        ("home", "instance/home"),
        ("pi.lan", "instance/pi.lan"),
        ("", "instance@base64/="),
        ("a/b", "instance@base64/YS9i"),
        ("my home", "instance@base64/bXkgaG9tZQ=="),
        ("Küche", "instance@base64/S8O8Y2hl"),
        ("..", "instance@base64/Li4="),
        ("a%2Fb", "instance@base64/YSUyRmI="),
    ],
)
def test_values_that_a_path_cannot_hold_travel_as_base64(instance: str, step: str) -> None:
    assert group_path(GroupKey(job="sonnen", instance=instance)) == f"/metrics/job/sonnen/{step}"
