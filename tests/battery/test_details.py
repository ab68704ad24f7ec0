import json
import re
import threading
import time
from collections.abc import Iterator

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from sonnen_agent.battery.client import Address, Client
from sonnen_agent.battery.details import Details
from sonnen_agent.battery.faces import SLOW, Face, Generation
from sonnen_agent.errors import Outcome
from sonnen_agent.reading import Configuration, Endpoint, Inverter, Meter, Pack, System

TOKEN = "the-token"
METERS = [{"deviceid": 4, "channel": 1, "direction": "production", "error": 0, "w_total": 800}]
V2: dict[str, object] = {
    "/api/v2/powermeter": METERS,
    "/api/v2/latestdata": {"ic_status": {"statebms": "ready"}},
    "/api/v2/battery": {"cyclecount": 260},
    "/api/v2/inverter": {"fac": 50, "tmax": 31.5},
    "/api/v2/configurations": {"DE_Software": "1.14.5"},
}
HANG = -1
"""As an answer: none, until the test is over."""

Records = list[tuple[Endpoint, Outcome]]


class Box:
    """A battery that answers what a test has put down for a path, else 404: a status code, a text, or JSON."""

    def __init__(self, server: HTTPServer) -> None:
        self.port = server.port
        self.answers: dict[str, object] = {}
        self.over = threading.Event()
        self._asked: list[tuple[str, str | None]] = []
        server.expect_request(re.compile("")).respond_with_handler(self._answer)

    def asked(self) -> list[tuple[str, str | None]]:
        """Return the paths asked for since the last time, with the token that came along."""
        asked, self._asked = self._asked, []
        return asked

    def _answer(self, request: Request) -> Response:
        self._asked.append((request.path, request.headers.get("Auth-Token")))
        answer = self.answers.get(request.path, 404)
        if answer == HANG:
            self.over.wait(20)
            return Response()
        if isinstance(answer, int):
            return Response(status=answer)
        return Response(answer if isinstance(answer, str) else json.dumps(answer))


@pytest.fixture(scope="module")
def server() -> Iterator[HTTPServer]:
    # Several requests at a time: one that hangs must not keep the others waiting.
    with HTTPServer(threaded=True) as server:
        yield server


@pytest.fixture
def box(server: HTTPServer) -> Iterator[Box]:
    box = Box(server)
    yield box
    box.over.set()
    server.clear()


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return what the agent logged; the server logs, too."""
    return [(record.levelname, record.getMessage()) for record in caplog.records if "sonnen_agent" in record.name]


@pytest.fixture
def records() -> Records:
    return []


def open_details(box: Box, records: Records, token: str | None) -> Iterator[Details]:
    address = Address.from_url(f"http://127.0.0.1:{box.port}")
    client = Client("home", address, token, lambda endpoint, outcome, _: records.append((endpoint, outcome)))
    yield Details(client, interval_seconds=5)
    client.close()


@pytest.fixture
def details(box: Box, records: Records) -> Iterator[Details]:
    yield from open_details(box, records, TOKEN)


@pytest.fixture
def details_without_token(box: Box, records: Records) -> Iterator[Details]:
    yield from open_details(box, records, None)


def read(details: Details, box: Box, generation: Generation = "v2", *, seconds: float = 10) -> None:
    details.read_due(Face(generation=generation, port=box.port), time.monotonic() + seconds)


def test_with_a_token_every_endpoint_is_asked_with_it(box: Box, details: Details, records: Records) -> None:
    box.answers |= V2

    read(details, box)

    assert box.asked() == [(path, TOKEN) for path in V2]
    assert records == [(endpoint, "ok") for endpoint in SLOW]
    assert details.endpoints() == dict.fromkeys(SLOW, True)
    assert details.fresh() == (
        (Meter(direction="production", name="4_1", error=0, total_watts=800),),
        System(states={"bms": "ready"}),
        Pack(cycles=260),
        Inverter(grid_hertz=50, temperatures={"max": 31.5}),
        Configuration(firmware="1.14.5"),
    )


def test_nothing_is_asked_again_at_the_next_beat(box: Box, details: Details) -> None:
    box.answers |= {**V2, "/api/v2/battery": 500, "/api/v2/configurations": 401}
    read(details, box)
    box.asked()
    before = details.fresh()

    read(details, box)

    assert box.asked() == []
    assert details.fresh() == before


def test_before_anything_was_asked_nothing_is_known(details: Details) -> None:
    assert details.endpoints() == {}
    assert details.fresh() == ()


@pytest.mark.parametrize("answer", [404, 401, 403])
def test_what_v2_lacks_or_refuses_is_asked_of_the_legacy_api_without_the_token(
    box: Box, details: Details, records: Records, answer: int
) -> None:
    box.answers |= {**V2, "/api/v2/powermeter": answer, "/api/powermeter": {"4_1": METERS[0]}}

    read(details, box)

    assert box.asked()[:2] == [("/api/v2/powermeter", TOKEN), ("/api/powermeter", None)]
    assert records[:2] == [("powermeter", "not_found" if answer == 404 else "unauthorized"), ("powermeter", "ok")]
    assert details.endpoints()["powermeter"]
    assert len(details.fresh()) == 5


@pytest.mark.parametrize("answer", [500, "<html>", []])
def test_what_v2_fails_to_answer_is_not_asked_elsewhere(box: Box, details: Details, answer: object) -> None:
    box.answers |= {**V2, "/api/v2/inverter": answer, "/api/inverter": {"status": {"fac": "50"}}}

    read(details, box)

    assert "/api/inverter" not in dict(box.asked())
    assert not details.endpoints()["inverter"]


def test_an_endpoint_that_fails_is_its_own_affair(box: Box, details: Details, records: Records) -> None:
    box.answers |= {**V2, "/api/v2/powermeter": 500, "/api/v2/battery": 404, "/api/v2/inverter": "<html>"}

    read(details, box)

    assert records == [
        ("powermeter", "http_error"),
        ("latestdata", "ok"),
        ("battery", "not_found"),
        ("inverter", "invalid"),
        ("configurations", "ok"),
    ]
    assert details.endpoints() == {
        "powermeter": False,
        "latestdata": True,
        "battery": False,
        "inverter": False,
        "configurations": True,
    }
    assert details.fresh() == (System(states={"bms": "ready"}), Configuration(firmware="1.14.5"))


@pytest.mark.parametrize("generation", ["v2", "v1"])
def test_without_a_token_only_the_legacy_api_is_asked(
    box: Box, details_without_token: Details, generation: Generation
) -> None:
    box.answers |= {"/api/powermeter": {"4_1": METERS[0]}, "/api/inverter": {"status": {"fac": "50"}}}

    read(details_without_token, box, generation)

    assert box.asked() == [("/api/powermeter", None), ("/api/inverter", None)]
    assert details_without_token.endpoints() == {"powermeter": True, "inverter": True}


def test_an_eco6_has_no_slow_endpoints(box: Box, details: Details) -> None:
    read(details, box, "eco6")

    assert box.asked() == []
    assert details.endpoints() == {}


def test_a_refused_token_is_told_once_with_what_to_do(
    box: Box, details: Details, caplog: pytest.LogCaptureFixture
) -> None:
    box.answers |= dict.fromkeys(V2, 401)

    with caplog.at_level("INFO", logger="sonnen_agent"):
        read(details, box)
        for endpoint in SLOW:
            details.expect_change(endpoint)
        read(details, box)

    [(level, message)] = said(caplog)
    assert level == "WARNING"
    assert message == (
        f"home: no powermeter: http://127.0.0.1:{box.port}/api/v2/powermeter: answered 401: "
        "the API token is wrong or its read access is switched off; look it up in the battery's web page "
        "(Software-Integration, JSON API) and update token_file"
    )
    assert TOKEN not in caplog.text


def test_a_missing_token_is_told_once_with_what_to_do(
    box: Box, details_without_token: Details, caplog: pytest.LogCaptureFixture
) -> None:
    box.answers |= {"/api/powermeter": 401, "/api/inverter": 401}

    with caplog.at_level("INFO", logger="sonnen_agent"):
        read(details_without_token, box)

    [(level, message)] = said(caplog)
    assert level == "WARNING"
    assert message.startswith(f"home: no powermeter: http://127.0.0.1:{box.port}/api/powermeter: answered 401: ")
    assert "it needs an API token; switch the read API on in the battery's web page" in message


def test_a_token_refused_anew_is_told_anew(box: Box, details: Details, caplog: pytest.LogCaptureFixture) -> None:
    for answers in (dict.fromkeys(V2, 401), V2, dict.fromkeys(V2, 401)):
        box.answers |= answers
        read(details, box)
        for endpoint in SLOW:
            details.expect_change(endpoint)

    assert [level for level, _ in said(caplog)].count("WARNING") == 2


def test_a_missing_endpoint_is_told_once(box: Box, details: Details, caplog: pytest.LogCaptureFixture) -> None:
    box.answers |= V2
    del box.answers["/api/v2/battery"]

    with caplog.at_level("INFO", logger="sonnen_agent"):
        read(details, box)
        details.expect_change("battery")
        read(details, box)

    url = f"http://127.0.0.1:{box.port}/api/v2/battery"
    assert said(caplog) == [("INFO", f"home: no battery: {url}: answered 404: this firmware does not have it")]


def test_an_endpoint_that_is_back_is_told(box: Box, details: Details, caplog: pytest.LogCaptureFixture) -> None:
    box.answers |= {**V2, "/api/v2/latestdata": 500}
    read(details, box)
    box.answers |= V2

    with caplog.at_level("INFO", logger="sonnen_agent"):
        details.expect_change("latestdata")
        read(details, box)

    assert said(caplog) == [("INFO", "home: latestdata answers again")]
    assert details.endpoints()["latestdata"]


def test_a_value_outlives_a_failure(box: Box, details: Details) -> None:
    box.answers |= V2
    read(details, box)
    box.answers["/api/v2/battery"] = 500

    details.expect_change("battery")
    read(details, box)

    assert not details.endpoints()["battery"]
    assert Pack(cycles=260) in details.fresh()


def test_an_endpoint_expected_to_change_is_asked_at_the_next_beat(box: Box, details: Details) -> None:
    box.answers |= V2
    read(details, box)
    box.asked()

    details.expect_change("latestdata")
    read(details, box)
    read(details, box)

    assert box.asked() == [("/api/v2/latestdata", TOKEN)]


def test_another_face_is_another_battery(box: Box, details: Details) -> None:
    box.answers |= {**V2, "/api/powermeter": {"4_1": METERS[0]}}
    read(details, box)
    box.asked()

    read(details, box, "v1")

    assert box.asked() == [("/api/powermeter", None), ("/api/inverter", None)]
    assert details.endpoints() == {"powermeter": True, "inverter": False}
    assert len(details.fresh()) == 1


def test_without_time_left_nothing_is_asked(box: Box, details: Details) -> None:
    box.answers |= V2

    read(details, box, seconds=0.1)
    assert box.asked() == []
    assert details.endpoints() == {}

    read(details, box)
    assert len(box.asked()) == 5


def test_an_endpoint_that_hangs_takes_its_beat_and_no_more(box: Box, details: Details, records: Records) -> None:
    box.answers |= {**V2, "/api/v2/powermeter": HANG}

    read(details, box, seconds=0.4)
    assert records == [("powermeter", "timeout")]
    assert details.endpoints() == {"powermeter": False}

    read(details, box)
    assert details.endpoints() == dict.fromkeys(SLOW, True) | {"powermeter": False}
