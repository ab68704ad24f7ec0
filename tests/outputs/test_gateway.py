import base64
import gzip
import json
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from prometheus_client.samples import Sample
from pytest_httpserver import HTTPServer
from sample_groups import BARN, HOME, Sends, surroundings

from sonnen_agent.clock import Deadline
from sonnen_agent.destination import Destination, Secret
from sonnen_agent.errors import ExchangeError, Outcome
from sonnen_agent.group import GroupKey
from sonnen_agent.metrics.energy import recovered_counters
from sonnen_agent.outputs.gateway import Gateway, group_path, held_groups

_PATH = "/metrics/job/sonnen/instance/home"
_PAGE = b"sonnen_online 1.0\n"


@pytest.fixture
def sends() -> Sends:
    return []


@pytest.fixture
def gateway(httpserver: HTTPServer, sends: Sends) -> Iterator[Gateway]:
    with closing(open_gateway(Destination(url=httpserver.url_for("/some/prefix/")), sends)) as gateway:
        yield gateway


def open_gateway(destination: Destination, sends: Sends, *, compress: bool = True) -> Gateway:
    return Gateway(destination, compress=compress, record=surroundings(sends=sends).record)


def in_time() -> Deadline:
    return Deadline(5)


def test_a_group_is_put_compressed_under_the_path_prefix(
    httpserver: HTTPServer, gateway: Gateway, sends: Sends
) -> None:
    httpserver.expect_request(f"/some/prefix{_PATH}", method="PUT").respond_with_data(status=200)

    gateway.push(HOME, _PAGE, in_time())

    request = httpserver.log[0][0]
    assert gzip.decompress(request.data) == _PAGE
    assert request.headers["Content-Encoding"] == "gzip"
    # A gateway takes what is not protobuf for text; what it needs no more costs bytes at every beat.
    assert set(request.headers.keys()) <= {"Host", "Content-Length", "Content-Encoding", "Accept-Encoding"}
    assert sends == [("pushgateway", "ok", len(request.data))]


def test_compression_can_be_switched_off(httpserver: HTTPServer, sends: Sends) -> None:
    httpserver.expect_request(_PATH).respond_with_data(status=202)

    with closing(open_gateway(Destination(url=httpserver.url_for("")), sends, compress=False)) as gateway:
        gateway.push(HOME, _PAGE, in_time())

    assert httpserver.log[0][0].data == _PAGE
    assert "Content-Encoding" not in httpserver.log[0][0].headers


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_answer_of_success_says_that_a_group_was_taken(
    httpserver: HTTPServer, gateway: Gateway, sends: Sends, status: int
) -> None:
    httpserver.expect_request(f"/some/prefix{_PATH}").respond_with_data(status=status)

    gateway.push(HOME, _PAGE, in_time())
    gateway.delete(HOME, in_time())

    assert [outcome for _, outcome, _ in sends] == ["ok"]


def test_a_group_is_deleted(httpserver: HTTPServer, gateway: Gateway) -> None:
    httpserver.expect_request(f"/some/prefix{_PATH}", method="DELETE").respond_with_data(status=202)

    gateway.delete(HOME, in_time())

    assert len(httpserver.log) == 1


def test_basic_authentication_travels_with_every_request(httpserver: HTTPServer, sends: Sends) -> None:
    httpserver.expect_request(_PATH).respond_with_data(status=200)
    destination = Destination(url=httpserver.url_for(""), username="pi", password=Secret("secrät"))

    with closing(open_gateway(destination, sends)) as gateway:
        gateway.push(HOME, _PAGE, in_time())
        gateway.delete(HOME, in_time())

    expected = "Basic " + base64.b64encode("pi:secrät".encode()).decode()
    assert [request.headers["Authorization"] for request, _ in httpserver.log] == [expected, expected]


def test_a_bearer_token_travels_with_every_request(httpserver: HTTPServer, sends: Sends) -> None:
    httpserver.expect_request(_PATH).respond_with_data(status=200)

    with closing(open_gateway(Destination(url=httpserver.url_for(""), bearer_token=Secret("abc")), sends)) as gateway:
        gateway.push(HOME, _PAGE, in_time())
        gateway.delete(HOME, in_time())

    assert [request.headers["Authorization"] for request, _ in httpserver.log] == ["Bearer abc", "Bearer abc"]


@pytest.mark.parametrize(
    ("status", "outcome", "message"),
    [
        (400, "rejected", "answered 400: pushed metrics are invalid or inconsistent"),
        (
            401,
            "unauthorized",
            "answered 401: pushed metrics are invalid or inconsistent; the user name, password or token",
        ),
        (403, "unauthorized", "answered 403"),
        (404, "not_found", "no Pushgateway here; mend the URL's path"),
        (301, "http_error", "a redirect to elsewhere, which is not followed; write the final URL"),
        (503, "http_error", "answered 503: pushed metrics are invalid or inconsistent"),
    ],
)
def test_a_refusal_reaches_the_log_in_the_gateways_words(
    httpserver: HTTPServer, gateway: Gateway, sends: Sends, status: int, outcome: Outcome, message: str
) -> None:
    httpserver.expect_request(f"/some/prefix{_PATH}").respond_with_data(
        "pushed metrics are invalid or inconsistent\n", status=status
    )

    with pytest.raises(ExchangeError) as caught:
        gateway.push(HOME, _PAGE, in_time())

    assert caught.value.outcome == outcome
    assert message in str(caught.value)
    assert [(output, seen) for output, seen, _ in sends] == [("pushgateway", outcome)]


def test_a_connection_closed_without_an_answer_is_reported_with_what_it_may_mean(sends: Sends) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_hang_up_twice, args=(listener,), daemon=True).start()
        destination = Destination(url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        with (
            closing(open_gateway(destination, sends)) as gateway,
            pytest.raises(
                ExchangeError, match=r"the gateway may be rejecting this push \(Pushgateway 1\.11\.0"
            ) as caught,
        ):
            gateway.push(HOME, _PAGE, in_time())

    assert caught.value.outcome == "closed"
    assert [outcome for _, outcome, _ in sends] == ["closed"]


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


def family(value: str) -> dict[str, object]:
    return {"type": "COUNTER", "metrics": [{"labels": {"job": "sonnen", "instance": "home"}, "value": value}]}


def test_only_the_group_of_that_key_is_read() -> None:
    groups = [
        {"labels": {"job": "other"}, "sonnen_grid_import_watt_hours_total": family("999999")},
        {
            "labels": {"instance": "home", "job": "sonnen"},
            "last_push_successful": True,
            "push_time_seconds": family("1.7955e+09"),
            "sonnen_production_watts": family("2000"),
            "some_histogram": {"type": "HISTOGRAM", "metrics": [{"labels": {}, "buckets": {}}]},
        },
    ]
    body = json.dumps({"status": "success", "data": groups}).encode()
    group = held_groups(body, [HOME]).get(HOME)

    assert group is not None
    assert group.pushed_unix_seconds == 1.7955e9
    assert Sample(name="sonnen_production_watts", labels={"job": "sonnen", "instance": "home"}, value=2000) in (
        group.samples
    )
    assert held_groups(body, [BARN]) == {}


@pytest.mark.parametrize("value", [b"{},", b"[[],", b"300,"])
def test_a_list_of_more_values_than_any_gateway_has_is_not_built(value: bytes) -> None:
    body = b'{"data": [' + value * 4_000_000 + b"1]}"

    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="more values than any gateway's"):
            held_groups(body, [HOME])
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most_bytes < 1_000_000


def test_several_groups_are_told_apart_by_job_and_instance() -> None:
    def group(job: str, instance: str, value: str) -> dict[str, object]:
        return {"labels": {"job": job, "instance": instance}, "sonnen_grid_import_watt_hours_total": family(value)}

    groups = [
        group("sonnen_agent", "home", "1"),
        group("sonnen", "barn", "2"),
        {**group("sonnen", "home", "3"), "labels": {"job": "sonnen", "instance": "home", "shard": "a"}},
        group("sonnen", "home", "4"),
    ]
    body = json.dumps({"data": groups}).encode()

    held = held_groups(body, (HOME, BARN, GroupKey(job="sonnen", instance="nowhere")))

    values = {key.instance: [sample.value for sample in group.samples] for key, group in held.items()}
    assert values == {"home": [4.0], "barn": [2.0]}


@pytest.mark.parametrize(
    "foreign",
    [
        {"type": "SUMMARY", "metrics": [{"labels": {}, "count": "3", "sum": "4", "quantiles": {"0.5": "1"}}]},
        {"type": "GAUGE", "metrics": [{"labels": {"a": 1}, "value": "NaN"}]},
        {"type": "GAUGE", "metrics": [{"value": 7}]},
        {"type": "GAUGE", "metrics": [None, "text", []]},
        {"type": "GAUGE", "metrics": {}},
        {"metrics": None},
        [],
        "text",
        None,
    ],
)
def test_what_somebody_else_left_in_our_group_is_no_obstacle(foreign: object) -> None:
    group = {"labels": {"job": "sonnen", "instance": "home"}, "foreign": foreign}
    body = json.dumps({"data": [None, group | {"sonnen_observed_seconds_total": family("60")}]}).encode()

    held = held_groups(body, [HOME]).get(HOME)

    assert held is not None
    recovered = recovered_counters(held.samples, held.pushed_unix_seconds)
    assert recovered is not None
    assert recovered.tally.energies.observed_seconds == 60


@pytest.mark.parametrize("moment", ["NaN", "+Inf", "-Inf", "1e+300", "-1e+15"])
def test_a_time_of_the_push_that_cannot_be_is_none(moment: str) -> None:
    group = {"labels": {"job": "sonnen", "instance": "home"}, "push_time_seconds": family(moment)}

    held = held_groups(json.dumps({"data": [group]}).encode(), [HOME]).get(HOME)

    assert held is not None
    assert held.pushed_unix_seconds is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<html>welcome</html>", "Expecting value"),
        ("", "Expecting value"),
        ("null", "it holds no list of groups"),
        ("[]", "it holds no list of groups"),
        ('{"status": "success"}', "it holds no list of groups"),
        ('{"data": {}}', "it holds no list of groups"),
        (json.dumps({"data": [{"labels": {"job": "sonnen", "instance": "home"}, "x": family("many")}]}), "many"),
        ("[" * 100_000, "nested too deeply"),
    ],
    ids=lambda value: value[:20],
)
def test_garbage_is_an_invalid_answer_and_named(
    httpserver: HTTPServer, gateway: Gateway, body: str, message: str
) -> None:
    httpserver.expect_request("/some/prefix/api/v1/metrics", method="GET").respond_with_data(body)

    with pytest.raises(
        ExchangeError, match=rf"/some/prefix/: /api/v1/metrics is no Pushgateway's: .*{message}"
    ) as failure:
        gateway.held([HOME], in_time())

    assert failure.value.outcome == "invalid"


@pytest.fixture
def stalling() -> Iterator[tuple[str, list[str], threading.Event]]:
    """Yield the URL of a gateway, how it was asked, and an event without which it keeps its answers to itself."""
    asked: list[str] = []
    answers = threading.Event()

    def serve(connection: socket.socket) -> None:
        # What is given up ends with a reset.
        with suppress(ConnectionResetError), connection, connection.makefile("rb") as requests:
            while first := requests.readline():
                asked.append(first.decode().rpartition(" ")[0])
                length = 0
                while (line := requests.readline()).strip():
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                requests.read(length)
                if answers.is_set():
                    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/prefix", asked, answers
        listener.shutdown(socket.SHUT_RDWR)


def test_what_was_given_up_is_let_pass_before_anything_follows(
    stalling: tuple[str, list[str], threading.Event],
) -> None:
    url, asked, answers = stalling
    gateway = Gateway(Destination(url=url), compress=False, record=lambda *_: None)
    with closing(gateway):
        for _ in range(2):
            with pytest.raises(ExchangeError, match="no answer in time"):
                gateway.push(HOME, _PAGE, Deadline(1.5))
        answers.set()
        # Any answer is one, also that of a proxy that knows only pushes.
        for _ in range(2):
            with pytest.raises(ExchangeError, match="answered 404"):
                gateway.push(HOME, _PAGE, in_time())

    assert asked == [f"PUT /prefix{_PATH}", *2 * ["GET /prefix/-/ready"], *2 * [f"PUT /prefix{_PATH}"]]


def test_a_token_that_has_changed_is_the_one_of_the_next_push(httpserver: HTTPServer, sends: Sends) -> None:
    httpserver.expect_request(_PATH).respond_with_data("Bearer new-new-new", status=401)
    tokens = ["old"]
    destination = Destination(url=httpserver.url_for(""), bearer_token=Secret("old", "read on", lambda _: tokens[-1]))

    with closing(open_gateway(destination, sends)) as gateway:
        for token in ("old", "new-new-new"):
            tokens.append(token)
            with pytest.raises(ExchangeError) as caught:
                gateway.push(HOME, _PAGE, in_time())

    assert [request.headers["Authorization"] for request, _ in httpserver.log] == ["Bearer old", "Bearer new-new-new"]
    assert str(caught.value).endswith(
        "answered 401: Bearer ***; the user name, password or token is wrong; mend the config, or read on"
    )
