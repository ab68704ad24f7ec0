import gzip
import logging
import re
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from by_hand import deliver, methods, said
from prometheus_client.core import GaugeMetricFamily
from pytest_httpserver import HTTPServer
from sample_groups import (
    AGENT,
    BARN,
    HOME,
    Sends,
    agent_group,
    battery_group,
    counters_of,
    relayed_group,
    shared_meter,
    surroundings,
)
from werkzeug import Request, Response

from sonnen_agent.config.secrets import Secrets
from sonnen_agent.config.section import Section
from sonnen_agent.destination import Destination, Secret
from sonnen_agent.energy.totals import EnergyTotals
from sonnen_agent.group import Group, GroupKey
from sonnen_agent.metrics.battery import energy_families
from sonnen_agent.outputs import Retain, Surroundings
from sonnen_agent.outputs.pushgateway import ConflatingQueue, Options, PushgatewayOutput
from sonnen_agent.reading import Status
from sonnen_agent.scheduler import Threads

_PATH = "/metrics/job/sonnen/instance/home"
_BARN_PATH = "/metrics/job/sonnen/instance/barn"
_AGENT_PATH = "/metrics/job/sonnen_agent/instance/pi"
_RELAYED_PATH = "/metrics/job/node/instance/pi"
_EXAMPLE = "http://gateway.example:9091"


@pytest.fixture(autouse=True)
def log_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@pytest.fixture
def output(httpserver: HTTPServer) -> PushgatewayOutput:
    """Return an output that leaves its groups when it ends."""
    return PushgatewayOutput(
        Options(destination=Destination(url=httpserver.url_for("")), on_stop="keep"), surroundings({})
    )


def deleting(httpserver: HTTPServer, around: Surroundings | None = None) -> PushgatewayOutput:
    """Return an output that deletes its groups when it ends."""
    return stopping(httpserver, around, on_stop="delete")


def stopping(
    httpserver: HTTPServer, around: Surroundings | None = None, *, on_stop: Literal["counters", "delete"] = "counters"
) -> PushgatewayOutput:
    """Return an output that leaves its counters when it ends, as by default."""
    httpserver.expect_request("/api/v1/metrics").respond_with_json({"data": []})
    httpserver.expect_request("/metrics").respond_with_data("process_start_time_seconds 1.7e+09\n")
    options = Options(destination=Destination(url=httpserver.url_for("")), on_stop=on_stop)
    return PushgatewayOutput(options, around or surroundings())


def pages(httpserver: HTTPServer) -> list[str]:
    return [gzip.decompress(request.data).decode() for request, _ in httpserver.log if request.method == "PUT"]


def read(values: Mapping[object, object], folder: Path = Path("/etc/sonnen-agent")) -> tuple[Options, list[str]]:
    """Return the options, and what was found wrong with them."""
    section = Section(values, "pushgateway", [])
    options = Options.read(section, Secrets(folder=folder))
    section.close()
    return options, section.problems


def test_the_smallest_config_pushes_compressed_and_leaves_the_counters_at_the_end() -> None:
    options, problems = read({"url": _EXAMPLE})

    assert problems == []
    assert options == Options(
        destination=Destination(url=_EXAMPLE), job="sonnen", on_stop="counters", compression="gzip"
    )
    assert options.summary == "pushing to http://gateway.example:9091"


def test_everything_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hidden")
    (tmp_path / "password").chmod(0o600)
    options, problems = read(
        {
            "url": _EXAMPLE,
            "username": "pi",
            "password_file": "password",
            "job": "house",
            "on_stop": "keep",
            "compression": "none",
        },
        tmp_path,
    )

    assert problems == []
    assert options == Options(
        destination=Destination(url=_EXAMPLE, username="pi", password=Secret("hidden")),
        job="house",
        on_stop="keep",
        compression="none",
    )


def test_the_thread_of_an_opened_output_pushes_and_ends_with_it(httpserver: HTTPServer) -> None:
    taken = threading.Event()

    def take(_: Request) -> Response:
        taken.set()
        return Response(status=200)

    httpserver.expect_request(_PATH, method="PUT").respond_with_handler(take)
    sends: Sends = []
    options, _ = read({"url": httpserver.url_for("")})
    output, threads = options.open(surroundings(sends=sends)), Threads()

    output.start(threads)
    output.put(battery_group())
    assert taken.wait(20)
    output.stop(Retain())

    assert threads.join(20)
    assert not threads.crashed
    assert methods(httpserver) == ["GET", "PUT", "PUT"]
    assert [(name, outcome) for name, outcome, _ in sends] == 2 * [(output.name, "ok")]
    assert (output.name, output.verb, output.waiting()) == ("pushgateway", "pushed", None)


def test_a_newer_group_takes_the_place_of_an_older_one_of_the_same_key() -> None:
    queue = ConflatingQueue()
    old, other, new = battery_group(HOME), battery_group(BARN), battery_group(HOME)
    for group in (old, other, new):
        queue.put(group)

    assert queue.take() is new
    assert queue.take() is other


def test_taking_waits_for_a_group() -> None:
    queue = ConflatingQueue()
    taken: list[Group | None] = []
    thread = threading.Thread(target=lambda: taken.append(queue.take()))
    thread.start()
    late = battery_group()
    queue.put(late)
    thread.join(10)

    assert taken == [late]


def test_a_closed_queue_wakes_who_waits_and_gives_nothing_more() -> None:
    queue = ConflatingQueue()
    taken: list[Group | None] = [battery_group()]
    thread = threading.Thread(target=lambda: taken.append(queue.take()))
    thread.start()
    queue.close()
    thread.join(10)
    queue.put(battery_group())

    assert taken[1:] == [None]
    assert queue.take() is None


def test_every_group_becomes_a_push(httpserver: HTTPServer, output: PushgatewayOutput) -> None:
    httpserver.expect_request(_PATH, method="PUT").respond_with_data(status=200)

    deliver(output, [battery_group(), battery_group()])

    assert methods(httpserver) == ["PUT", "PUT"]


def paced(httpserver: HTTPServer, interval_seconds: float) -> PushgatewayOutput:
    destination = Destination(url=httpserver.url_for(""))
    options = Options(destination=destination, on_stop="keep", interval_seconds=interval_seconds)
    return PushgatewayOutput(options, surroundings({}))


def test_with_an_interval_a_group_is_pushed_that_often_and_says_so(httpserver: HTTPServer) -> None:
    httpserver.expect_request(_PATH, method="PUT").respond_with_data(status=200)
    httpserver.expect_request(_BARN_PATH, method="PUT").respond_with_data(status=200)
    now = time.monotonic()
    # No beat is quite on time.
    groups = [
        replace(battery_group(key), taken_monotonic_seconds=now + seconds)
        for seconds in (0.4, 5.0, 10.1, 15.2, 20.0, 25.1, 30.0, 35.3, 60.2)
        for key in (HOME, BARN)
    ]

    deliver(paced(httpserver, 30), groups)

    asked = [request.path for request, _ in httpserver.log if request.method == "PUT"]
    assert asked == [_PATH, _BARN_PATH] * 3
    assert all("\nsonnen_push_interval_seconds 30.0\n" in page for page in pages(httpserver))


def test_a_push_that_failed_is_due_again_with_the_next_beat_and_one_that_was_refused_is_not(
    httpserver: HTTPServer,
) -> None:
    statuses = [503, 200, 401, 200]
    httpserver.expect_request(_PATH, method="PUT").respond_with_handler(lambda _: Response(status=statuses.pop(0)))
    now = time.monotonic()
    beats = (0, 5, 10, 35, 40, 65)

    deliver(
        paced(httpserver, 30), [replace(battery_group(), taken_monotonic_seconds=now + seconds) for seconds in beats]
    )

    # 0 fails, 5 is taken, 35 is refused, 65 is taken.
    assert methods(httpserver) == ["PUT"] * 4
    assert statuses == []


def test_a_stop_leaves_the_counters_of_the_last_reading_also_those_that_were_not_pushed(httpserver: HTTPServer) -> None:
    httpserver.expect_request(_PATH, method="PUT").respond_with_data(status=200)
    httpserver.expect_request("/api/v1/metrics").respond_with_json({"data": []})
    httpserver.expect_request("/metrics").respond_with_data("process_start_time_seconds 1.7e+09\n")
    options = Options(destination=Destination(url=httpserver.url_for("")), interval_seconds=60)
    now = time.monotonic()
    groups = [
        replace(battery_group(counters=counters_of(shared_meter(watt_hours))), taken_monotonic_seconds=now + seconds)
        for seconds, watt_hours in ((1, 1000), (6, 2000), (11, 3000))
    ]

    deliver(PushgatewayOutput(options, surroundings()), groups)

    first, last = pages(httpserver)
    assert "sonnen_production_watt_hours_total 1000.0" in first
    assert "sonnen_production_watt_hours_total 3000.0" in last
    assert "interval" not in last


def test_a_page_has_what_was_measured_and_what_was_counted(httpserver: HTTPServer, output: PushgatewayOutput) -> None:
    httpserver.expect_request(_PATH, method="PUT").respond_with_data(status=200)
    counters = counters_of(shared_meter(5_000))

    deliver(output, [battery_group(status=Status(production_watts=100), counters=counters)])

    [page] = pages(httpserver)
    assert "\nsonnen_production_watts 100.0\n" in page
    assert "\nsonnen_production_watt_hours_total 5000.0\n" in page


def test_a_group_that_waited_for_more_than_three_beats_is_not_shown_as_the_present(
    httpserver: HTTPServer, output: PushgatewayOutput
) -> None:
    deliver(output, [battery_group(age_seconds=16)])

    assert httpserver.log == []


def test_an_outage_is_two_lines_in_the_log(
    httpserver: HTTPServer, output: PushgatewayOutput, caplog: pytest.LogCaptureFixture
) -> None:
    for status in (503, 503, 503, 200, 200):
        httpserver.expect_ordered_request(_PATH).respond_with_data("away", status=status)

    deliver(output, [battery_group() for _ in range(5)])

    assert said(caplog) == [
        f"push of sonnen/home failed: {httpserver.url_for('')}: answered 503: away",
        "pushing works again; 3 pushes were lost",
    ]


def test_another_reason_while_it_fails_is_told(
    httpserver: HTTPServer, output: PushgatewayOutput, caplog: pytest.LogCaptureFixture
) -> None:
    for status in (503, 401, 401):
        httpserver.expect_ordered_request(_PATH).respond_with_data(status=status)

    deliver(output, [battery_group() for _ in range(3)])

    lines = said(caplog)
    assert len(lines) == 2
    assert "the user name, password or token is missing" in lines[1]


@pytest.mark.parametrize("status", [500, 503])
def test_a_gateway_that_is_away_is_told_once_for_all_groups(
    httpserver: HTTPServer, output: PushgatewayOutput, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    httpserver.expect_request(_PATH).respond_with_data(status=status)
    httpserver.expect_request(_BARN_PATH).respond_with_data(status=status)

    deliver(output, [battery_group(HOME), battery_group(BARN), battery_group(HOME), battery_group(BARN)])

    assert len(said(caplog)) == 1


def test_pushing_works_again_only_when_all_groups_are_taken(
    httpserver: HTTPServer, output: PushgatewayOutput, caplog: pytest.LogCaptureFixture
) -> None:
    for path, status in ((_PATH, 503), (_BARN_PATH, 503), (_PATH, 200), (_BARN_PATH, 200)):
        httpserver.expect_ordered_request(path).respond_with_data(status=status)

    deliver(output, [battery_group(HOME), battery_group(BARN), battery_group(HOME), battery_group(BARN)])

    httpserver.check_assertions()
    assert said(caplog)[1:] == ["pushing works again; 2 pushes were lost"]


def test_a_link_that_flaps_is_no_more_than_five_lines(
    httpserver: HTTPServer, output: PushgatewayOutput, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(60):
        status = (503, 200, 500, 401, 200, 404)[number % 6]
        httpserver.expect_ordered_request(_PATH).respond_with_data(status=status)

    deliver(output, [battery_group() for _ in range(60)])

    lines = said(caplog)
    assert lines[0].startswith("push of sonnen/home failed: ")
    assert lines[1] == "pushing works again; 1 push was lost"
    assert len(lines) <= 5
    assert sum("works again" in line for line in lines) == 1


def test_a_refusal_is_no_success(
    httpserver: HTTPServer, output: PushgatewayOutput, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(20):
        httpserver.expect_ordered_request(_PATH).respond_with_data(status=(503, 400)[number % 2])

    deliver(output, [battery_group() for _ in range(20)])

    assert [line.partition(" failed: ")[0] for line in said(caplog)] == 2 * ["push of sonnen/home"]


def test_a_gateway_that_rejects_every_group_is_told_of_some(
    httpserver: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    keys = [GroupKey(job="sonnen", instance=f"house{number}") for number in range(20)]
    httpserver.expect_request(re.compile("/metrics/.*")).respond_with_data("no", status=400)
    around = surroundings({key: shared_meter() for key in keys})
    options = Options(destination=Destination(url=httpserver.url_for("")), on_stop="keep")

    deliver(PushgatewayOutput(options, around), [battery_group(key) for key in 2 * keys])

    assert len(said(caplog)) == 3


def test_a_rejected_page_is_told_for_each_group(
    httpserver: HTTPServer, output: PushgatewayOutput, caplog: pytest.LogCaptureFixture
) -> None:
    httpserver.expect_request(_PATH).respond_with_data("inconsistent", status=400)
    httpserver.expect_request(_BARN_PATH).respond_with_data("inconsistent", status=400)

    deliver(output, [battery_group(HOME), battery_group(BARN), battery_group(HOME), battery_group(BARN)])

    assert [message.partition(" failed")[0] for message in said(caplog)] == [
        "push of sonnen/home",
        "push of sonnen/barn",
    ]


def test_a_relayed_page_that_waited_for_long_is_not_pushed_any_more(
    httpserver: HTTPServer, output: PushgatewayOutput
) -> None:
    deliver(output, [relayed_group(age_seconds=31)])

    assert httpserver.log == []


def test_an_exporter_that_cannot_be_read_empties_its_group(httpserver: HTTPServer, output: PushgatewayOutput) -> None:
    httpserver.expect_request(_RELAYED_PATH, method="PUT").respond_with_data(status=200)

    deliver(output, [relayed_group(), relayed_group(b"")])

    assert pages(httpserver) == ["a 1\n", ""]


def test_of_a_relayed_page_that_is_rejected_no_older_values_stay(
    httpserver: HTTPServer, output: PushgatewayOutput, caplog: pytest.LogCaptureFixture
) -> None:
    httpserver.expect_ordered_request(_RELAYED_PATH, method="PUT").respond_with_data(status=200)
    httpserver.expect_ordered_request(_RELAYED_PATH, method="PUT").respond_with_data("inconsistent", status=400)
    httpserver.expect_ordered_request(_RELAYED_PATH, method="DELETE").respond_with_data(status=202)
    # From now on the group has nothing but the time of the latest failure, which is worth keeping.
    httpserver.expect_ordered_request(_RELAYED_PATH, method="PUT").respond_with_data("inconsistent", status=400)
    httpserver.expect_ordered_request(_PATH, method="PUT").respond_with_data(status=200)

    deliver(output, [relayed_group(), relayed_group(), relayed_group(), battery_group()])

    httpserver.check_assertions()
    assert methods(httpserver) == ["PUT", "PUT", "DELETE", "PUT", "PUT"]
    assert said(caplog) == [f"push of node/pi failed: {httpserver.url_for('')}: answered 400: inconsistent"]


def test_nor_do_those_of_a_page_that_is_rejected_after_an_outage(
    httpserver: HTTPServer, output: PushgatewayOutput
) -> None:
    # A gateway may keep on disk what it held.
    for method, status in (("PUT", 200), ("PUT", 503), ("PUT", 400), ("DELETE", 202)):
        httpserver.expect_ordered_request(_RELAYED_PATH, method=method).respond_with_data(status=status)

    deliver(output, [relayed_group(), relayed_group(), relayed_group()])

    httpserver.check_assertions()
    assert len(httpserver.log) == 4


def test_of_a_battery_that_is_rejected_the_counters_stay(httpserver: HTTPServer, output: PushgatewayOutput) -> None:
    httpserver.expect_request(_PATH, method="PUT").respond_with_data("inconsistent", status=400)

    deliver(output, [battery_group()])

    assert methods(httpserver) == ["PUT"]


def test_a_page_that_a_gateway_hangs_up_on_does_not_hide_a_later_outage(
    httpserver: HTTPServer, output: PushgatewayOutput, caplog: pytest.LogCaptureFixture
) -> None:
    # As Pushgateway 1.11.0 rejects.
    httpserver.expect_request(_RELAYED_PATH, method="PUT").respond_with_handler(hang_up)
    httpserver.expect_request(_RELAYED_PATH, method="DELETE").respond_with_data(status=202)
    httpserver.expect_request(_PATH).respond_with_data("away", status=503)

    deliver(output, [relayed_group(), battery_group(), relayed_group(), battery_group()])

    first, second = said(caplog)
    assert first.startswith("push of node/pi failed: ")
    assert second == f"push of sonnen/home failed: {httpserver.url_for('')}: answered 503: away"


def hang_up(request: Request) -> Response:
    connection: socket.socket = request.environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    return Response()


def test_all_groups_are_deleted_at_the_end_also_that_of_a_battery_that_was_never_read(httpserver: HTTPServer) -> None:
    for path in (_AGENT_PATH, _RELAYED_PATH):
        httpserver.expect_request(path, method="PUT").respond_with_data(status=200)
    for path in (_PATH, _AGENT_PATH, _RELAYED_PATH):
        httpserver.expect_request(path, method="DELETE").respond_with_data(status=202)

    deliver(deleting(httpserver), [agent_group(), relayed_group()])

    deleted = [request.path for request, _ in httpserver.log if request.method == "DELETE"]
    assert deleted == [_PATH, _AGENT_PATH, _RELAYED_PATH]


def test_where_the_config_says_so_all_groups_stay(httpserver: HTTPServer, output: PushgatewayOutput) -> None:
    httpserver.expect_request(_PATH, method="PUT").respond_with_data(status=200)

    deliver(output, [battery_group()], Retain(counters=True))

    assert methods(httpserver) == ["PUT"]


def test_a_gateway_that_is_away_at_the_end_is_asked_once_and_told(
    httpserver: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    httpserver.expect_request(_PATH, method="DELETE").respond_with_data(status=500)

    deliver(deleting(httpserver, surroundings({HOME: shared_meter(), BARN: shared_meter()})), [])

    assert methods(httpserver) == ["GET", "GET", "DELETE"]
    assert "the groups stay on the gateway" in caplog.text


def test_the_groups_that_another_process_goes_on_with_stay_as_they_are(httpserver: HTTPServer) -> None:
    for path in (_PATH, _AGENT_PATH, _RELAYED_PATH):
        httpserver.expect_request(path, method="PUT").respond_with_data(status=200)
    httpserver.expect_request(_RELAYED_PATH, method="DELETE").respond_with_data(status=202)

    retain = Retain(groups=frozenset({HOME, AGENT}))
    deliver(deleting(httpserver), [battery_group(), agent_group(), relayed_group()], retain)

    assert methods(httpserver) == ["GET", "GET", "PUT", "PUT", "PUT", "DELETE"]
    httpserver.check_assertions()


def test_counters_that_could_not_be_saved_stay_and_all_that_was_measured_goes(httpserver: HTTPServer) -> None:
    for path in (_PATH, _AGENT_PATH, _RELAYED_PATH):
        httpserver.expect_request(path).respond_with_data(status=200)
    battery = battery_group(status=Status(production_watts=100), counters=counters_of(shared_meter(5_000)))
    agent = agent_group(GaugeMetricFamily("sonnen_agent_start_time_seconds", "Unix time.", value=1))

    deliver(deleting(httpserver), [battery, agent, relayed_group()], Retain(counters=True))

    assert [(request.method, request.path) for request, _ in httpserver.log[5:]] == [
        ("DELETE", _AGENT_PATH),
        ("DELETE", _RELAYED_PATH),
        ("PUT", _PATH),
    ]
    samples = [line.partition("{")[0].partition(" ")[0] for line in pages(httpserver)[-1].splitlines()]
    assert {name for name in samples if name != "#"} == {
        "sonnen_online",
        "sonnen_last_reading_timestamp_seconds",
        "sonnen_production_watt_hours_total",
        "sonnen_refused_readings_total",
        "sonnen_standby_watt_hours_total",
        "sonnen_observed_seconds_total",
    }
    assert "\nsonnen_online 0.0\n" in pages(httpserver)[-1]
    assert "\nsonnen_production_watt_hours_total 5000.0\n" in pages(httpserver)[-1]


def test_a_group_that_another_process_goes_on_with_stays_as_it_is_also_if_nothing_could_be_saved(
    httpserver: HTTPServer,
) -> None:
    httpserver.expect_request(_PATH, method="PUT").respond_with_data(status=200)
    battery = battery_group(status=Status(production_watts=100), counters=counters_of(shared_meter(5_000)))

    deliver(deleting(httpserver), [battery], Retain(groups=frozenset({HOME}), counters=True))

    assert methods(httpserver) == ["GET", "GET", "PUT"]


def test_a_stop_takes_away_what_was_measured_and_leaves_what_was_counted(httpserver: HTTPServer) -> None:
    for path in (_PATH, _AGENT_PATH, _RELAYED_PATH):
        httpserver.expect_request(path).respond_with_data(status=200)
    counted = energy_families(
        EnergyTotals(
            watt_hours={"production": 5_000},
            observed_seconds=10,
            today_watt_hours={("solar", "home"): 7},
            prices={("flat", "import", "EUR"): 0.3},
        ),
        {},
    )
    battery = battery_group(status=Status(production_watts=100), counters=counted)

    deliver(stopping(httpserver), [battery, agent_group(), relayed_group()])

    # The agent comes back some day, and today is yesterday then.
    assert [(request.method, request.path) for request, _ in httpserver.log[5:]] == [
        ("DELETE", _AGENT_PATH),
        ("DELETE", _RELAYED_PATH),
        ("PUT", _PATH),
    ]
    assert [line for line in pages(httpserver)[-1].splitlines() if not line.startswith("#")] == [
        "sonnen_online 0.0",
        "sonnen_last_reading_timestamp_seconds 1.7955001e+09",
        "sonnen_production_watt_hours_total 5000.0",
        "sonnen_observed_seconds_total 10.0",
    ]


def test_what_a_successor_does_without_is_taken_away_with_its_counters(httpserver: HTTPServer) -> None:
    httpserver.expect_request(_PATH).respond_with_data(status=200)

    deliver(stopping(httpserver), [battery_group()], Retain(returns=False))

    assert methods(httpserver) == ["GET", "GET", "PUT", "DELETE"]


def test_what_was_counted_last_stays_also_if_it_was_not_pushed_any_more(httpserver: HTTPServer) -> None:
    httpserver.expect_request(_PATH).respond_with_data(status=200)
    last = battery_group(counters=counters_of(shared_meter(5_000)))
    output = stopping(httpserver)

    def groups() -> Iterable[Group]:
        yield battery_group(counters=counters_of(shared_meter(4_000)))
        output.put(last)
        output.stop(Retain())

    deliver(output, groups())

    assert "\nsonnen_production_watt_hours_total 5000.0\n" in pages(httpserver)[-1]
