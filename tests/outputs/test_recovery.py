import json
import logging
import math
import socket
import threading
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC
from itertools import chain
from pathlib import Path

import pytest
from by_hand import deliver, methods, said
from prometheus_client.samples import Sample
from pytest_httpserver import HTTPServer
from sample_groups import BARN, HOME, battery_group, counters_of, shared_meter, surroundings
from werkzeug import Request, Response

from sonnen_agent.clock import Deadline
from sonnen_agent.destination import Destination
from sonnen_agent.energy.counters import Counters, EnergyCounters, TariffCounts
from sonnen_agent.energy.meter import EnergyMeter
from sonnen_agent.energy.state import MeterState
from sonnen_agent.energy.tariffs import TariffPeriod, Tariffs
from sonnen_agent.group import Group, GroupKey
from sonnen_agent.metrics.battery import energy_families
from sonnen_agent.metrics.energy import recovered_counters
from sonnen_agent.outputs import Retain
from sonnen_agent.outputs.gateway import Gateway
from sonnen_agent.outputs.pushgateway import Options, PushgatewayOutput
from sonnen_agent.shared_meter import SharedMeter
from sonnen_agent.state.store import StateStore, peek

_PATH = "/prefix/metrics/job/sonnen/instance/home"


def family(value: str, **labels: str) -> dict[str, object]:
    return {"type": "COUNTER", "metrics": [{"labels": {**labels, "job": "sonnen", "instance": "home"}, "value": value}]}


HELD = {
    "status": "success",
    "data": [
        {"labels": {"job": "other"}, "sonnen_grid_import_watt_hours_total": family("999999")},
        {
            "labels": {"instance": "home", "job": "sonnen"},
            "last_push_successful": True,
            "push_time_seconds": family("1.7955e+09"),
            "sonnen_grid_import_watt_hours_total": family("1234.5678901234567"),
            "sonnen_observed_seconds_total": family("3600"),
            "sonnen_production_watts": family("2000"),
            "sonnen_flow_watt_hours_total": {
                "metrics": [
                    {"labels": {"from": "grid", "to": "home"}, "value": "1234.5"},
                    {"labels": {"from": "moon", "to": "home"}, "value": "7"},
                ]
            },
            "some_histogram": {"type": "HISTOGRAM", "metrics": [{"labels": {}, "buckets": {}}]},
        },
    ],
}


@pytest.fixture(autouse=True)
def log_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@pytest.fixture(autouse=True)
def gateway(httpserver: HTTPServer) -> HTTPServer:
    """Let the gateway take every push and every deletion."""
    httpserver.expect_request(_PATH).respond_with_data(status=202)
    httpserver.expect_request("/prefix/metrics/job/sonnen/instance/barn").respond_with_data(status=202)
    return httpserver


def answers(httpserver: HTTPServer, body: object, status: int = 200) -> None:
    """Let the gateway tell this of its groups; it was started long ago."""
    httpserver.expect_request("/prefix/metrics").respond_with_data("process_start_time_seconds 1.7e+09\n")
    httpserver.expect_request("/prefix/api/v1/metrics", method="GET").respond_with_data(
        body if isinstance(body, str) else json.dumps(body), status=status
    )


def pushing(url: str, meters: dict[GroupKey, SharedMeter], *, interval_seconds: float = 5) -> PushgatewayOutput:
    """Return an output that leaves its groups when it ends."""
    options = Options(destination=Destination(url=url), on_stop="keep")
    return PushgatewayOutput(options, surroundings(meters, interval_seconds=interval_seconds))


def beats(meter: SharedMeter, count: int, key: GroupKey = HOME) -> Iterable[Group]:
    """Return so many groups, each made when the one before was dealt with."""
    return (battery_group(key, counters=counters_of(meter)) for _ in range(count))


def bought(meter: SharedMeter) -> float | None:
    """Return the watt-hours taken from the grid that are shown."""
    shown, _ = meter.totals()
    assert shown is not None
    return shown.watt_hours.get("grid_import")


def test_the_first_group_waits_until_the_counters_of_the_gateway_are_taken_over(
    gateway: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    answers(gateway, HELD)
    home = shared_meter(settled=False)

    deliver(pushing(gateway.url_for("/prefix"), {HOME: home}), beats(home, 2))

    assert methods(gateway) == ["GET", "GET", "PUT", "PUT"]
    assert bought(home) == 1234.5678901234567
    shown, _ = home.totals()
    assert shown is not None
    assert shown.observed_seconds == 3600
    assert said(caplog) == ["home: counting goes on from the counters on the gateway"]


def test_a_gateway_that_holds_nothing_lets_counting_begin_at_zero(gateway: HTTPServer) -> None:
    answers(gateway, {"status": "success", "data": []})
    home = shared_meter(settled=False)

    deliver(pushing(gateway.url_for("/prefix"), {HOME: home}), beats(home, 2))

    assert home.settled
    assert methods(gateway) == ["GET", "GET", "PUT", "PUT"]


def test_the_gateway_is_asked_at_every_start_and_its_higher_counters_count(
    gateway: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    # As an image of the card of a clean stop, put back in the same boot, would have it.
    answers(gateway, HELD)
    home = shared_meter(4_000)
    old = battery_group(counters=counters_of(home), age_seconds=1)

    deliver(pushing(gateway.url_for("/prefix"), {HOME: home}), chain([old], beats(home, 1)))

    # What was made before the answer would let them fall.
    assert methods(gateway) == ["GET", "GET", "PUT"]
    assert home.state().tally.energies.totals_watt_hours["grid_import"] == 1234.5678901234567
    assert said(caplog) == ["home: counting goes on from the counters on the gateway"]


def test_where_nobody_can_have_seen_more_a_gateway_that_does_not_tell_is_not_asked_again(gateway: HTTPServer) -> None:
    answers(gateway, "pushes only", 403)
    home = shared_meter(4_000)

    deliver(pushing(gateway.url_for("/prefix"), {HOME: home}), beats(home, 2))

    assert methods(gateway) == ["GET", "PUT", "PUT"]


def test_a_group_from_before_the_counters_were_settled_replaces_nothing(gateway: HTTPServer) -> None:
    answers(gateway, HELD)

    deliver(pushing(gateway.url_for("/prefix"), {HOME: shared_meter()}), [battery_group(counters=None)])

    assert methods(gateway) == ["GET", "GET"]


@pytest.mark.parametrize(
    ("page", "status", "started"),
    [
        (
            'go_threads 7\nprocess_start_time_seconds{job="sonnen_agent"} 1\nprocess_start_time_seconds 1.75e+09\n',
            200,
            1.75e9,
        ),
        ('process_start_time_seconds{job="sonnen_agent"} 1\n', 200, -math.inf),
        ("process_start_time_seconds many\n", 200, -math.inf),
        ("not for you", 403, -math.inf),
    ],
)
def test_when_the_gateway_was_started_is_what_it_says_of_itself(
    httpserver: HTTPServer, page: str, status: int, started: float
) -> None:
    httpserver.expect_request("/metrics").respond_with_data(page, status=status)
    destination = Destination(url=httpserver.url_for(""))
    with closing(Gateway(destination, compress=False, record=surroundings().record)) as asked:
        assert asked.started_unix_seconds(Deadline(10)) == started


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("<html>", 200, "/api/v1/metrics is no Pushgateway's: "),
        ("[]", 200, "it holds no list of groups"),
        ({"data": {}}, 200, "it holds no list of groups"),
        ("away", 503, "answered 503: away"),
    ],
)
def test_a_gateway_that_cannot_tell_is_a_push_that_failed(
    gateway: HTTPServer, caplog: pytest.LogCaptureFixture, body: object, status: int, message: str
) -> None:
    answers(gateway, body, status)
    home = shared_meter(settled=False)

    deliver(pushing(gateway.url_for("/prefix"), {HOME: home}), beats(home, 1))

    assert not home.settled
    assert methods(gateway) == ["GET", "GET"]
    [line] = said(caplog)
    assert line.startswith("push of sonnen/home failed: ")
    assert message in line


def test_a_gateway_that_never_tells_holds_up_no_push(gateway: HTTPServer, caplog: pytest.LogCaptureFixture) -> None:
    answers(gateway, "pushes only", 403)
    home = shared_meter(settled=False)

    deliver(pushing(gateway.url_for("/prefix"), {HOME: home}), beats(home, 4))

    assert home.settled
    assert methods(gateway) == ["GET", "GET", "GET", "GET", "PUT"]
    assert "home: counting goes on from this machine's copy, the gateway does not tell: " in caplog.text


def test_a_gateway_that_is_away_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        home = shared_meter(settled=False)
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

        deliver(pushing(url, {HOME: home}), beats(home, 5))

    assert not home.settled
    [line] = said(caplog)
    assert "cannot connect" in line


def test_a_gateway_that_was_away_can_still_refuse_twice(gateway: HTTPServer) -> None:
    for status in (503, 503, 503, 503, 403, 403):
        gateway.expect_ordered_request("/prefix/api/v1/metrics", method="GET").respond_with_data(status=status)
    home = shared_meter(settled=False)

    deliver(pushing(gateway.url_for("/prefix"), {HOME: home}), beats(home, 5))

    assert not home.settled
    assert methods(gateway) == 6 * ["GET"]


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_that_is_still_starting_behind_its_proxy_is_waited_for(
    gateway: HTTPServer, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    # After a power cut both machines start: settling now would push counters below those the gateway holds.
    answers(gateway, "starting", status)
    home = shared_meter(settled=False)

    deliver(pushing(gateway.url_for("/prefix"), {HOME: home}), beats(home, 10))

    assert not home.settled
    assert methods(gateway) == 11 * ["GET"]
    [line] = said(caplog)
    assert line.endswith(f"answered {status}: starting")


def test_a_gateway_that_tells_slowly_is_listened_to_for_longer_than_a_push_may_take(httpserver: HTTPServer) -> None:
    asked_late = threading.Event()

    def tell_slowly(_: Request) -> Response:
        asked_late.wait(0.8)
        return Response(json.dumps(HELD))

    httpserver.expect_request("/api/v1/metrics").respond_with_handler(tell_slowly)
    httpserver.expect_request("/metrics").respond_with_data(status=404)
    httpserver.expect_request("/metrics/job/sonnen/instance/home").respond_with_data(status=202)
    home = shared_meter(settled=False)

    deliver(pushing(httpserver.url_for(""), {HOME: home}, interval_seconds=0.2), beats(home, 1))

    assert bought(home) == 1234.5678901234567


@pytest.mark.parametrize("moment", ["NaN", "+Inf", "-Inf", "1e+300", "-1e+15"])
def test_a_time_of_the_push_that_cannot_be_says_nothing_about_days(gateway: HTTPServer, moment: str) -> None:
    group = {
        "labels": {"job": "sonnen", "instance": "home"},
        "push_time_seconds": family(moment),
        "sonnen_grid_import_watt_hours_total": family("1234"),
    }
    answers(gateway, {"data": [group]})
    home = shared_meter(settled=False)

    deliver(pushing(gateway.url_for("/prefix"), {HOME: home}), beats(home, 1))

    assert bought(home) == 1234


def test_a_battery_without_a_meter_is_pushed_at_once(gateway: HTTPServer) -> None:
    deliver(pushing(gateway.url_for("/prefix"), {}), [battery_group()])

    assert methods(gateway) == ["PUT"]


def test_one_answer_settles_each_battery_from_its_own_group(gateway: HTTPServer) -> None:
    answers(gateway, HELD)
    home, barn = shared_meter(settled=False), shared_meter(settled=False)

    deliver(pushing(gateway.url_for("/prefix"), {HOME: home, BARN: barn}), ())

    assert methods(gateway) == ["GET", "GET"]
    assert (home.settled, barn.settled) == (True, True)
    assert bought(home) == 1234.5678901234567
    assert bought(barn) is None


def test_each_battery_has_three_questions_of_its_own(gateway: HTTPServer, caplog: pytest.LogCaptureFixture) -> None:
    answers(gateway, "not now", 403)
    keys = [GroupKey(job="sonnen", instance=name) for name in ("home", "barn", "mill")]
    meters = {key: shared_meter(settled=False) for key in keys}

    deliver(pushing(gateway.url_for("/prefix"), meters), [battery_group(key, counters=None) for key in keys])

    assert methods(gateway) == 4 * ["GET"]
    assert not any(meter.settled for meter in meters.values())
    assert "answered 403: not now" in said(caplog)[0]


def deleting(httpserver: HTTPServer, home: SharedMeter) -> PushgatewayOutput:
    """Return an output that deletes the group when it ends."""
    options = Options(destination=Destination(url=httpserver.url_for("/prefix")), on_stop="delete")
    return PushgatewayOutput(options, surroundings({HOME: home}))


def test_the_group_that_found_the_counters_is_not_pushed_and_the_next_one_is(gateway: HTTPServer) -> None:
    gateway.expect_oneshot_request("/prefix/api/v1/metrics").respond_with_data(status=503)
    answers(gateway, HELD)
    home = shared_meter(settled=False)

    deliver(deleting(gateway, home), beats(home, 2))

    assert methods(gateway) == ["GET", "GET", "GET", "PUT", "DELETE"]


def test_a_stop_never_deletes_counters_that_nobody_has_taken_home_yet(gateway: HTTPServer) -> None:
    answers(gateway, "<html>", 200)
    home = shared_meter(settled=False)

    deliver(deleting(gateway, home), beats(home, 1))

    assert not home.settled
    assert methods(gateway) == ["GET", "GET"]


def test_nor_those_that_were_taken_home_and_could_not_be_saved_there(gateway: HTTPServer) -> None:
    answers(gateway, HELD)
    home = shared_meter(settled=False)

    deliver(deleting(gateway, home), beats(home, 1), Retain(counters=True))

    assert home.settled
    assert methods(gateway) == ["GET", "GET", "PUT", "PUT"]


def test_a_clean_stop_before_the_gateway_could_be_asked_leaves_the_question_open(tmp_path: Path) -> None:
    # A clean checkpoint is believed without asking: it would hide what the gateway saw before a crash.
    with closing(StateStore(tmp_path)) as store:
        store.keep({"home": shared_meter(settled=False)}, None)
        store.save(clean=True)

    stored = peek(tmp_path)

    assert stored is not None
    assert not stored.clean


def test_what_is_shown_can_be_taken_back() -> None:
    night = TariffPeriod(name="night", price_per_kilowatt_hour=0.22)
    feed_in = TariffPeriod(name="feed_in", price_per_kilowatt_hour=0.08)
    tally = Counters(
        energies=EnergyCounters(
            totals_watt_hours={
                "production": 40_000.1,
                "consumption": 30_000.2,
                "grid_import": 5_000.3,
                "grid_export": 12_000.4,
                "battery_charge": 9_000.5,
                "battery_discharge": 8_000.6,
            },
            flows_watt_hours={("solar", "home"): 1.1, ("grid", "battery"): 2.2},
            observed_seconds=86_395.75,
        ),
        tariffs=TariffCounts(
            import_watt_hours={"night": 2_000.5},
            export_watt_hours={"feed_in": 12_000.5},
            cost={"EUR": 1.37},
            revenue={"EUR": 0.96},
            consumption_watt_hours={"night": 30_000.2},
            consumption_cost={"EUR": 6.6},
            standing_charge={"EUR": 4.05},
        ),
        refused={"spike": 3.0, "balance": 0.0, "frozen": 0.0, "meter_error": 1.0},
    )
    tariffs = Tariffs(currency="EUR", import_periods=(night,), export_periods=(feed_in,), standing_price_per_day=0.45)
    totals = replace(
        EnergyMeter(zone=UTC, tariffs=tariffs, state=MeterState(tally=tally)).totals(wall_seconds=None),
        today_watt_hours={("solar", "home"): 0.5},
        yesterday_watt_hours={("solar", "home"): 0.25},
    )
    samples = [
        Sample(name=sample.name, labels=sample.labels, value=sample.value)
        for family in energy_families(totals, {})
        for sample in family.samples
    ]

    recovered = recovered_counters(samples, 1_795_500_000.0)

    assert recovered is not None
    assert recovered.tally == tally
    assert recovered.today_watt_hours == totals.today_watt_hours
    assert recovered.yesterday_watt_hours == totals.yesterday_watt_hours
    assert recovered.unix_seconds == 1_795_500_000.0


def test_a_group_without_counters_gives_nothing_back() -> None:
    assert recovered_counters([Sample(name="sonnen_online", labels={}, value=1)], None) is None
