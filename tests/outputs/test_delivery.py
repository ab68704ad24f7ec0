import gzip
import logging
import socket
import time
from collections.abc import Iterator

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from sonnen_agent.shared_meter import SharedMeter
from sonnen_agent.metrics.groups import Grouping, GroupKey
from sonnen_agent.scheduler import ProgressWatch
from sonnen_agent.outputs.access import Access
from sonnen_agent.outputs.delivery import Delivery
from sonnen_agent.outputs.mailbox import Mailbox
from sonnen_agent.outputs.pushgateway import Pushgateway
from sonnen_agent.outputs.recovery import Recovery
from sonnen_agent.snapshot import Outgoing, RelayedPage, Snapshot

_PATH = "/metrics/job/sonnen/instance/home"
_RELAYED_PATH = "/metrics/job/node/instance/pi"


def snapshot(battery: str = "home", *, age_seconds: float = 0) -> Snapshot:
    return Snapshot(battery=battery, reading=None, taken_monotonic_seconds=time.monotonic() - age_seconds)


def relayed(page: bytes | None = b"a 1\n", *, age_seconds: float = 0) -> RelayedPage:
    return RelayedPage(
        relay="node",
        host="pi",
        page=page,
        interval_seconds=3600,
        taken_monotonic_seconds=time.monotonic() - age_seconds,
    )


class Line:
    """A delivery that is run by hand: each item put is delivered when the test says so."""

    def __init__(self, httpserver: HTTPServer, delete: tuple[GroupKey, ...] = ()) -> None:
        self.gateway = Pushgateway(Access(url=httpserver.url_for("")), timeout_seconds=5, record=lambda *_: None)
        self.delete = delete
        self.accounts: dict[str, SharedMeter] = {}
        self.leaves_counters = False

    def deliver(self, *items: Outgoing) -> None:
        mailbox = OneByOne(items)
        delivery = Delivery(
            self.gateway,
            mailbox,
            Grouping(job="sonnen"),
            Recovery(self.gateway, self.accounts),
            interval_seconds=5,
            delete_on_stop=self.delete,
        )
        if self.leaves_counters:
            delivery.leave_counters()
        delivery.run(ProgressWatch())


class OneByOne(Mailbox[Outgoing]):
    """Gives each item once, in order, and then is closed."""

    def __init__(self, items: tuple[Outgoing, ...]) -> None:
        super().__init__()
        self._waiting: Iterator[Outgoing] = iter(items)

    def take(self) -> Outgoing | None:
        return next(self._waiting, None)


@pytest.fixture
def line(httpserver: HTTPServer) -> Line:
    return Line(httpserver)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.INFO and "werkzeug" not in record.name
    ]


def test_every_item_becomes_a_push(httpserver: HTTPServer, line: Line) -> None:
    httpserver.expect_request(_PATH, method="PUT").respond_with_data(status=200)

    line.deliver(snapshot(), snapshot())

    assert [request.method for request, _ in httpserver.log] == ["PUT", "PUT"]


def test_a_snapshot_that_waited_for_more_than_three_beats_is_not_shown_as_the_present(
    httpserver: HTTPServer, line: Line
) -> None:
    line.deliver(snapshot(age_seconds=16))

    assert httpserver.log == []


def test_an_outage_is_two_lines_in_the_log(
    httpserver: HTTPServer, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for status in (503, 503, 503, 200, 200):
        httpserver.expect_ordered_request(_PATH).respond_with_data("away", status=status)

    line.deliver(*(snapshot() for _ in range(5)))

    assert said(caplog) == [
        f"push of sonnen/home failed: {httpserver.url_for('')}: answered 503: away",
        "pushing works again; 3 pushes were lost",
    ]


def test_another_reason_while_it_fails_is_told(
    httpserver: HTTPServer, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for status in (503, 401, 401):
        httpserver.expect_ordered_request(_PATH).respond_with_data(status=status)

    line.deliver(*(snapshot() for _ in range(3)))

    lines = said(caplog)
    assert len(lines) == 2
    assert "the user name, password or token is wrong" in lines[1]


def test_a_gateway_that_is_away_is_told_once_for_all_groups(
    httpserver: HTTPServer, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    httpserver.expect_request(_PATH).respond_with_data(status=500)
    httpserver.expect_request("/metrics/job/sonnen/instance/barn").respond_with_data(status=500)

    line.deliver(snapshot("home"), snapshot("barn"), snapshot("home"), snapshot("barn"))

    assert len(said(caplog)) == 1


def test_a_rejected_page_is_told_for_each_group(
    httpserver: HTTPServer, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    httpserver.expect_request(_PATH).respond_with_data("inconsistent", status=400)
    httpserver.expect_request("/metrics/job/sonnen/instance/barn").respond_with_data("inconsistent", status=400)

    line.deliver(snapshot("home"), snapshot("barn"), snapshot("home"), snapshot("barn"))

    assert [message.partition(" failed")[0] for message in said(caplog)] == [
        "push of sonnen/home",
        "push of sonnen/barn",
    ]


def test_the_groups_are_deleted_at_the_end(httpserver: HTTPServer) -> None:
    httpserver.expect_request(_PATH, method="DELETE").respond_with_data(status=202)
    httpserver.expect_request("/metrics/job/sonnen_agent/instance/pi", method="DELETE").respond_with_data(status=202)

    Line(httpserver, (GroupKey(job="sonnen", instance="home"), GroupKey(job="sonnen_agent", instance="pi"))).deliver()

    assert [request.method for request, _ in httpserver.log] == ["DELETE", "DELETE"]


def test_a_gateway_that_is_away_at_the_end_is_asked_once_and_told(
    httpserver: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    httpserver.expect_request(_PATH, method="DELETE").respond_with_data(status=500)

    Line(httpserver, (GroupKey(job="sonnen", instance="home"), GroupKey(job="sonnen_agent", instance="pi"))).deliver()

    assert len(httpserver.log) == 1
    assert "the groups stay on the gateway" in caplog.text


def test_a_relayed_page_that_waited_for_long_is_not_pushed_any_more(httpserver: HTTPServer, line: Line) -> None:
    line.deliver(relayed(age_seconds=31))

    assert httpserver.log == []


def test_an_exporter_that_cannot_be_read_empties_its_group(httpserver: HTTPServer, line: Line) -> None:
    httpserver.expect_request(_RELAYED_PATH, method="PUT").respond_with_data(status=200)

    line.deliver(relayed(), relayed(None))

    bodies = [gzip.decompress(request.data) for request, _ in httpserver.log]
    assert bodies == [b"a 1\n", b""]


def test_of_a_relayed_page_that_is_rejected_no_older_values_stay(
    httpserver: HTTPServer, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    httpserver.expect_ordered_request(_RELAYED_PATH, method="PUT").respond_with_data(status=200)
    httpserver.expect_ordered_request(_RELAYED_PATH, method="PUT").respond_with_data("inconsistent", status=400)
    httpserver.expect_ordered_request(_RELAYED_PATH, method="DELETE").respond_with_data(status=202)
    # From now on the group has nothing but the time of the latest failure, which is worth keeping.
    httpserver.expect_ordered_request(_RELAYED_PATH, method="PUT").respond_with_data("inconsistent", status=400)
    httpserver.expect_ordered_request(_PATH, method="PUT").respond_with_data(status=200)

    line.deliver(relayed(), relayed(), relayed(), snapshot())

    httpserver.check_assertions()
    assert [request.method for request, _ in httpserver.log] == ["PUT", "PUT", "DELETE", "PUT", "PUT"]
    assert said(caplog) == [f"push of node/pi failed: {httpserver.url_for('')}: answered 400: inconsistent"]


def test_nor_do_those_of_a_page_that_is_rejected_after_an_outage(httpserver: HTTPServer, line: Line) -> None:
    # A gateway may keep on disk what it held.
    for method, status in (("PUT", 200), ("PUT", 503), ("PUT", 400), ("DELETE", 202)):
        httpserver.expect_ordered_request(_RELAYED_PATH, method=method).respond_with_data(status=status)

    line.deliver(relayed(), relayed(), relayed())

    httpserver.check_assertions()
    assert len(httpserver.log) == 4


def test_of_a_battery_that_is_rejected_the_counters_stay(httpserver: HTTPServer, line: Line) -> None:
    httpserver.expect_request(_PATH, method="PUT").respond_with_data("inconsistent", status=400)

    line.deliver(snapshot())

    assert [request.method for request, _ in httpserver.log] == ["PUT"]


def test_a_page_that_a_gateway_hangs_up_on_does_not_hide_a_later_outage(
    httpserver: HTTPServer, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    # As Pushgateway 1.11.0 rejects.
    httpserver.expect_request(_RELAYED_PATH, method="PUT").respond_with_handler(hang_up)
    httpserver.expect_request(_RELAYED_PATH, method="DELETE").respond_with_data(status=202)
    httpserver.expect_request(_PATH).respond_with_data("away", status=503)

    line.deliver(relayed(), snapshot(), relayed(), snapshot())

    first, second = said(caplog)
    assert first.startswith("push of node/pi failed: ")
    assert second == f"push of sonnen/home failed: {httpserver.url_for('')}: answered 503: away"


def hang_up(request: Request) -> Response:
    connection: socket.socket = request.environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    return Response()
