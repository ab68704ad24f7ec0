import base64
import gc
import socket
import threading
import weakref
from collections.abc import Mapping
from contextlib import closing, suppress
from urllib.parse import quote, quote_plus

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from sonnen_agent import __version__
from sonnen_agent.clock import Deadline
from sonnen_agent.destination import Destination, Secret, expect_success, outcome_of, problem_of
from sonnen_agent.errors import ExchangeError, Outcome
from sonnen_agent.transport import Answer

HINTS: Mapping[Outcome, str] = {"unauthorized": "renew the token", "not_found": "mend the URL's path"}


def answer(status: int, body: bytes = b"", location: str | None = None) -> Answer:
    headers = {} if location is None else {"Location": location}
    return Answer(status=status, headers=headers, body=body)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
@pytest.mark.parametrize("sent", [False, True])
def test_every_2xx_is_a_success(status: int, sent: bool) -> None:
    assert outcome_of(status, sent=sent) == "ok"
    assert problem_of(answer(status), HINTS, sent=sent) is None


@pytest.mark.parametrize(
    ("status", "asked", "sent"),
    [
        (199, "http_error", "http_error"),
        (300, "http_error", "http_error"),
        (301, "http_error", "http_error"),
        (400, "http_error", "rejected"),
        (401, "unauthorized", "unauthorized"),
        (403, "unauthorized", "unauthorized"),
        (404, "not_found", "not_found"),
        (409, "http_error", "rejected"),
        (413, "http_error", "rejected"),
        (422, "http_error", "rejected"),
        (429, "http_error", "http_error"),
        (500, "http_error", "http_error"),
        (503, "http_error", "http_error"),
    ],
)
def test_a_status_means_the_same_of_every_peer_and_only_data_can_be_rejected(
    status: int, asked: Outcome, sent: Outcome
) -> None:
    assert outcome_of(status) == asked
    assert outcome_of(status, sent=True) == sent


class _Headers(dict[str, str]):
    """Headers that can be watched as they go."""


def test_a_refused_answer_goes_with_its_error_and_not_when_the_collector_comes() -> None:
    def refused() -> "weakref.ref[_Headers]":
        headers = _Headers()
        with suppress(ExchangeError):
            expect_success(Answer(status=500, headers=headers, body=b"sorry"), HINTS)
        return weakref.ref(headers)

    gc.disable()
    try:
        assert refused()() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("given", "sent", "message"),
    [
        (answer(500, b"out of\norder"), False, "answered 500: out of order"),
        (answer(500, b"out of\norder"), True, "answered 500: out of order"),
        (answer(500), False, "answered 500"),
        (answer(500), True, "answered 500"),
        # To who only asks, the fix says more than the peer does; who refuses data is quoted.
        (answer(401, b"go away"), False, "answered 401: renew the token"),
        (answer(401, b"go away"), True, "answered 401: go away; renew the token"),
        (answer(404), True, "answered 404: mend the URL's path"),
        (answer(400, b"out of order"), True, "answered 400: out of order"),
        (
            answer(301, b"moved", "https://there.example/"),
            False,
            "answered 301: a redirect to https://there.example/, which is not followed; write the final URL",
        ),
        (
            answer(302, b"moved"),
            True,
            "answered 302: moved; a redirect to elsewhere, which is not followed; write the final URL",
        ),
    ],
)
def test_a_problem_says_what_came_and_what_to_do(given: Answer, sent: bool, message: str) -> None:
    problem = problem_of(given, HINTS, sent=sent)

    assert problem is not None
    assert str(problem) == message
    assert (problem.outcome, problem.status) == (outcome_of(given.status, sent=sent), given.status)


def test_a_problem_is_a_line_for_a_log_whatever_the_peer_says() -> None:
    noise = "\x1b[31m\nWARNING \x00forged\u2028" * 10_000
    problem = problem_of(answer(302, noise.encode(), noise), HINTS, sent=True)

    assert problem is not None
    assert str(problem).isprintable()
    assert len(str(problem)) < 800


@pytest.mark.parametrize(("status", "away"), [(500, False), (502, True), (503, True), (504, True), (401, False)])
def test_a_proxy_that_speaks_for_its_peer_says_that_it_is_away(status: int, away: bool) -> None:
    problem = problem_of(answer(status), {})

    assert problem is not None
    assert problem.away is away


def test_every_request_says_who_asks() -> None:
    assert Destination(url="http://g").headers() == {"User-Agent": f"sonnen-agent/{__version__}"}


def test_a_user_name_and_a_password_travel_as_one() -> None:
    headers = Destination(url="http://g", username="pi", password=Secret("secrät")).headers()

    assert headers["Authorization"] == "Basic " + base64.b64encode("pi:secrät".encode()).decode()


def test_a_token_travels_as_it_is() -> None:
    assert Destination(url="http://g", bearer_token=Secret("abc")).headers()["Authorization"] == "Bearer abc"


def test_secrets_do_not_show_in_a_traceback() -> None:
    shown = repr(Destination(url="http://g", username="pi", password=Secret("hidden"), bearer_token=Secret("unseen")))

    assert "hidden" not in shown
    assert "unseen" not in shown
    assert "hidden" not in str(Secret("hidden"))


@pytest.mark.parametrize("status", [200, 302, 400, 500])
@pytest.mark.parametrize(
    "credentials",
    [
        {"username": "pi", "password": Secret("correct horse/+ä")},
        {"bearer_token": Secret("6c1f0a52.the/token+==")},
    ],
)
def test_a_peer_that_repeats_what_it_was_sent_does_not_bring_a_secret_into_a_message(
    httpserver: HTTPServer, credentials: dict[str, str | Secret], status: int
) -> None:
    def repeat(request: Request) -> Response:
        header = request.headers["Authorization"]
        _, _, sent = header.partition(" ")
        plain = base64.b64decode(sent).decode().partition(":")[2] if header.startswith("Basic") else sent
        body = f"{header} {sent} {quote(sent, safe='')} {plain} {quote(plain)} {quote_plus(plain)}"
        location = f"http://{quote(plain, safe='')}/{sent}?{quote(sent, safe='')}"
        return Response(body, status, headers={"Location": location})

    httpserver.expect_request("/x").respond_with_handler(repeat)
    destination = Destination(url=httpserver.url_for(""), **credentials)  # type: ignore[arg-type]
    with closing(destination.connect()) as connection:
        got = connection.request("PUT", "/x", headers=destination.headers(), deadline=Deadline(5), body_limit=1000)

    problem = problem_of(got, {}, sent=True)
    told = f"{got.excerpt} {problem}"
    assert "***" in told
    for secret in ("correct", "horse", "6c1f", "token", base64.b64encode(b"pi:cor").decode()):
        assert secret not in told


def test_a_status_line_that_repeats_a_secret_is_told_without() -> None:
    def repeat(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            sent = peer.recv(65536)
            peer.sendall(sent[sent.index(b"Bearer") :])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=repeat, args=(listener,))
        thread.start()
        destination = Destination(
            url=f"http://127.0.0.1:{listener.getsockname()[1]}", bearer_token=Secret("6c1f0a52-the-token")
        )
        with closing(destination.connect()) as connection, pytest.raises(ExchangeError) as caught:
            connection.request("GET", "/", headers=destination.headers(), deadline=Deadline(5), body_limit=1000)
        thread.join()

    assert "Bearer ***" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "path", "port"),
    [
        ("http://g", "", 80),
        ("https://g/", "", 443),
        ("http://g:9091/some/prefix/", "/some/prefix", 9091),
        ("http://[::1]:9091/a", "/a", 9091),
    ],
)
def test_the_parts_of_a_url_are_what_a_request_needs(url: str, path: str, port: int) -> None:
    destination = Destination(url=url)

    assert (destination.path, destination.port) == (path, port)


def test_a_connection_goes_to_the_port_of_the_url_or_to_another_of_that_host(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/x").respond_with_data("here")

    for destination, port in (
        (Destination(url=httpserver.url_for("/prefix")), None),
        (Destination(url="http://localhost:1"), httpserver.port),
    ):
        with closing(destination.connect(port)) as connection:
            got = connection.request("GET", "/x", headers=destination.headers(), deadline=Deadline(5), body_limit=10)
        assert got.body == b"here"

    assert {request.headers["User-Agent"] for request, _ in httpserver.log} == {f"sonnen-agent/{__version__}"}
