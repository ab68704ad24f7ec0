import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from sonnen_agent.shared_meter import SharedMeter
from sonnen_agent.energy import EnergyMeter, EnergyTotals
from sonnen_agent.errors import PushError
from sonnen_agent.metrics.energy import ENERGY, HeldSample, recovered_counters
from sonnen_agent.metrics.groups import Grouping, GroupKey
from sonnen_agent.scheduler import ProgressWatch
from sonnen_agent.outputs.access import Access
from sonnen_agent.outputs.delivery import Delivery
from sonnen_agent.outputs.held import held_group
from sonnen_agent.outputs.mailbox import Mailbox
from sonnen_agent.outputs.pushgateway import Pushgateway
from sonnen_agent.outputs.recovery import Recovery
from sonnen_agent.snapshot import Outgoing, Snapshot
from sonnen_agent.state.keeper import Keeper, peek

HOME = GroupKey(job="sonnen", instance="home")
BARN = GroupKey(job="sonnen", instance="barn")


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


@pytest.fixture
def gateway(httpserver: HTTPServer) -> Iterator[Pushgateway]:
    gateway = Pushgateway(Access(url=httpserver.url_for("/prefix")), timeout_seconds=5, record=lambda *_: None)
    yield gateway
    gateway.close()


def account(*, settled: bool = False) -> SharedMeter:
    return SharedMeter(EnergyMeter(zone=UTC), lambda: 1_795_500_100.0, settled=settled)


def snapshot(energy: EnergyTotals | None = None) -> Snapshot:
    return Snapshot(battery="home", reading=None, energy=energy, taken_monotonic_seconds=time.monotonic())


def answers(httpserver: HTTPServer, body: object, status: int = 200) -> None:
    httpserver.expect_request("/prefix/api/v1/metrics", method="GET").respond_with_data(
        body if isinstance(body, str) else json.dumps(body), status=status
    )


def test_the_first_snapshot_waits_until_the_counters_of_the_gateway_are_taken_over(
    httpserver: HTTPServer, gateway: Pushgateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    answers(httpserver, HELD)
    home = account()
    recovery = Recovery(gateway, {"home": home})

    assert not recovery.ready(snapshot(home.totals()), HOME)

    totals = home.totals()
    assert totals is not None
    assert totals.grid_import_watt_hours == 1234.5678901234567
    assert totals.observed_seconds == 3600
    assert recovery.ready(snapshot(totals), HOME)
    assert len(httpserver.log) == 1
    assert "home: counting goes on from the counters on the gateway" in caplog.text


def test_a_gateway_that_holds_nothing_lets_counting_begin_at_zero(httpserver: HTTPServer, gateway: Pushgateway) -> None:
    answers(httpserver, {"status": "success", "data": []})
    home = account()
    recovery = Recovery(gateway, {"home": home})

    assert not recovery.ready(snapshot(), HOME)

    assert home.settled
    assert recovery.ready(snapshot(home.totals()), HOME)


def test_an_account_that_knows_its_counters_asks_nobody(httpserver: HTTPServer, gateway: Pushgateway) -> None:
    home = account(settled=True)

    assert Recovery(gateway, {"home": home}).ready(snapshot(home.totals()), HOME)
    assert httpserver.log == []


def test_a_snapshot_from_before_the_counters_were_settled_replaces_nothing(gateway: Pushgateway) -> None:
    assert not Recovery(gateway, {"home": account(settled=True)}).ready(snapshot(None), HOME)


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
    httpserver: HTTPServer, gateway: Pushgateway, body: object, status: int, message: str
) -> None:
    answers(httpserver, body, status)
    home = account()

    with pytest.raises(PushError, match=message):
        Recovery(gateway, {"home": home}).ready(snapshot(), HOME)
    assert not home.settled


def test_a_gateway_that_never_tells_holds_up_no_push(
    httpserver: HTTPServer, gateway: Pushgateway, caplog: pytest.LogCaptureFixture
) -> None:
    answers(httpserver, "pushes only", 403)
    home = account()
    recovery = Recovery(gateway, {"home": home})
    for _ in range(2):
        with pytest.raises(PushError):
            recovery.ready(snapshot(), HOME)

    recovery.ready(snapshot(), HOME)

    assert home.settled
    assert recovery.ready(snapshot(home.totals()), HOME)
    assert "home: counting goes on from this machine's copy, the gateway does not tell: " in caplog.text


def test_a_gateway_that_is_away_is_waited_for() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        gateway = Pushgateway(Access(url=url), timeout_seconds=5, record=lambda *_: None)
        home = account()
        recovery = Recovery(gateway, {"home": home})

        for _ in range(5):
            with pytest.raises(PushError, match="cannot connect"):
                recovery.ready(snapshot(), HOME)
        gateway.close()

    assert not home.settled


def test_a_gateway_that_tells_slowly_is_listened_to_for_longer_than_a_push_may_take(httpserver: HTTPServer) -> None:
    asked_late = threading.Event()

    def tell_slowly(_: Request) -> Response:
        asked_late.wait(0.8)
        return Response(json.dumps(HELD))

    httpserver.expect_request("/api/v1/metrics").respond_with_handler(tell_slowly)
    gateway = Pushgateway(Access(url=httpserver.url_for("")), timeout_seconds=0.2, record=lambda *_: None)
    home = account()

    Recovery(gateway, {"home": home}).ready(snapshot(), HOME)
    gateway.close()

    totals = home.totals()
    assert totals is not None
    assert totals.grid_import_watt_hours == 1234.5678901234567


def test_only_the_group_of_that_key_is_read() -> None:
    body = json.dumps(HELD).encode()
    group = held_group(body, HOME)

    assert group is not None
    assert group.pushed_unix_seconds == 1.7955e9
    assert HeldSample(name="sonnen_production_watts", labels={"job": "sonnen", "instance": "home"}, value=2000) in (
        group.samples
    )
    assert held_group(body, BARN) is None


def test_what_is_shown_can_be_taken_back() -> None:
    totals = EnergyTotals(
        production_watt_hours=40_000.1,
        consumption_watt_hours=30_000.2,
        grid_import_watt_hours=5_000.3,
        grid_export_watt_hours=12_000.4,
        battery_charge_watt_hours=9_000.5,
        battery_discharge_watt_hours=8_000.6,
        flows_watt_hours={("solar", "home"): 1.1, ("grid", "battery"): 2.2},
        observed_seconds=86_395.75,
        today_watt_hours={("solar", "home"): 0.5},
        yesterday_watt_hours={("solar", "home"): 0.25},
        tariff_import_watt_hours={"night": 2_000.5},
        tariff_export_watt_hours={"feed_in": 12_000.5},
        cost={"EUR": 1.37},
        revenue={"EUR": 0.96},
        prices=(),
    )
    samples = [
        HeldSample(name=row.name, labels=dict(zip(row.labels, own, strict=True)), value=float(value))
        for row in ENERGY
        for own, value in row.values(totals)
        if value is not None
    ]

    recovered = recovered_counters(samples, 1_795_500_000.0)

    assert recovered is not None
    energies, tariffs = recovered.tally.energies, recovered.tally.tariffs
    assert energies.totals_watt_hours["grid_import"] == 5_000.3
    assert energies.flows_watt_hours == totals.flows_watt_hours
    assert energies.observed_seconds == totals.observed_seconds
    assert recovered.today_watt_hours == totals.today_watt_hours
    assert recovered.yesterday_watt_hours == totals.yesterday_watt_hours
    assert tariffs.import_watt_hours == totals.tariff_import_watt_hours
    assert tariffs.export_watt_hours == totals.tariff_export_watt_hours
    assert (tariffs.cost, tariffs.revenue) == (totals.cost, totals.revenue)
    assert recovered.unix_seconds == 1_795_500_000.0


def test_a_group_without_counters_gives_nothing_back() -> None:
    assert recovered_counters([HeldSample(name="sonnen_online", labels={}, value=1)], None) is None


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

    values = {}
    for key in (HOME, BARN, GroupKey(job="sonnen", instance="nowhere")):
        held = held_group(body, key)
        values[key.instance] = held and [sample.value for sample in held.samples]

    assert values == {"home": [4.0], "barn": [2.0], "nowhere": None}


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

    held = held_group(body, HOME)

    assert held is not None
    recovered = recovered_counters(held.samples, held.pushed_unix_seconds)
    assert recovered is not None
    assert recovered.tally.energies.observed_seconds == 60


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<html>welcome</html>", "Expecting value"),
        ("", "Expecting value"),
        ("null", "it holds no list of groups"),
        ('{"status": "success"}', "it holds no list of groups"),
        (json.dumps({"data": [{"labels": HELD["data"][1]["labels"], "x": family("many")}]}), "many"),  # type: ignore[index]
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_garbage_is_an_invalid_answer_and_named(
    httpserver: HTTPServer, gateway: Pushgateway, body: str, message: str
) -> None:
    answers(httpserver, body)

    with pytest.raises(PushError, match=rf"/prefix: /api/v1/metrics is no Pushgateway's: .*{message}") as failure:
        gateway.fetch(HOME)

    assert failure.value.outcome == "invalid"


@pytest.mark.parametrize("moment", ["NaN", "+Inf", "-Inf", "1e+300", "-1e+15"])
def test_a_time_of_the_push_that_cannot_be_says_nothing_about_days(
    httpserver: HTTPServer, gateway: Pushgateway, moment: str
) -> None:
    group = {
        "labels": {"job": "sonnen", "instance": "home"},
        "push_time_seconds": family(moment),
        "sonnen_production_watt_hours_total": family("1234"),
    }
    answers(httpserver, {"data": [group]})
    home = account()

    assert not Recovery(gateway, {"home": home}).ready(snapshot(), HOME)

    totals = home.totals()
    assert totals is not None
    assert totals.production_watt_hours == 1234


def test_a_battery_without_an_account_is_pushed_at_once(httpserver: HTTPServer, gateway: Pushgateway) -> None:
    assert Recovery(gateway, {}).ready(snapshot(), HOME)
    assert httpserver.log == []


def test_each_battery_is_settled_from_its_own_group(httpserver: HTTPServer, gateway: Pushgateway) -> None:
    answers(httpserver, HELD)
    home, barn = account(), account()
    recovery = Recovery(gateway, {"home": home, "barn": barn})

    assert not recovery.ready(snapshot(), HOME)
    assert (home.settled, barn.settled) == (True, False)
    assert not recovery.ready(Snapshot(battery="barn", reading=None, taken_monotonic_seconds=0), BARN)

    totals = barn.totals()
    assert totals is not None
    assert totals.grid_import_watt_hours is None


def test_each_battery_has_three_questions_of_its_own(httpserver: HTTPServer, gateway: Pushgateway) -> None:
    answers(httpserver, "not now", 403)
    accounts = {name: account() for name in ("home", "barn", "mill")}
    recovery = Recovery(gateway, accounts)

    for name in accounts:
        asked = Snapshot(battery=name, reading=None, taken_monotonic_seconds=0)
        with pytest.raises(PushError, match="answered 403: not now"):
            recovery.ready(asked, GroupKey(job="sonnen", instance=name))

    assert not any(account.settled for account in accounts.values())


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_that_is_still_starting_behind_its_proxy_is_waited_for(
    httpserver: HTTPServer, gateway: Pushgateway, status: int
) -> None:
    # After a power cut both machines start: settling now would push counters below those the gateway holds.
    answers(httpserver, "starting", status)
    home = account()
    recovery = Recovery(gateway, {"home": home})

    for _ in range(10):
        with pytest.raises(PushError, match=f"answered {status}: starting"):
            recovery.ready(snapshot(), HOME)

    assert not home.settled


class OneByOne(Mailbox[Outgoing]):
    """Gives each item once, in order, and then is closed."""

    def __init__(self, *items: Snapshot) -> None:
        super().__init__()
        self._waiting: Iterator[Snapshot] = iter(items)

    def take(self) -> Snapshot | None:
        return next(self._waiting, None)


def deliver(gateway: Pushgateway, home: SharedMeter, *items: Snapshot) -> None:
    """Deliver, and delete the group at the end."""
    delivery = Delivery(
        gateway,
        OneByOne(*items),
        Grouping(job="sonnen"),
        Recovery(gateway, {"home": home}),
        interval_seconds=5,
        delete_on_stop=(HOME,),
    )
    delivery.run(ProgressWatch())


def test_the_snapshot_that_found_the_counters_is_not_pushed_and_the_next_one_is(
    httpserver: HTTPServer, gateway: Pushgateway
) -> None:
    answers(httpserver, HELD)
    httpserver.expect_request("/prefix/metrics/job/sonnen/instance/home").respond_with_data(status=202)
    home, known = account(), account(settled=True)

    deliver(gateway, home, snapshot(), snapshot(known.totals()))

    assert [request.method for request, _ in httpserver.log] == ["GET", "PUT", "DELETE"]


def test_a_stop_never_deletes_counters_that_nobody_has_taken_home_yet(
    httpserver: HTTPServer, gateway: Pushgateway
) -> None:
    answers(httpserver, "<html>", 200)
    httpserver.expect_request("/prefix/metrics/job/sonnen/instance/home").respond_with_data(status=202)
    home = account()

    deliver(gateway, home, snapshot())

    assert not home.settled
    assert [request.method for request, _ in httpserver.log] == ["GET"]


def test_a_clean_stop_before_the_gateway_could_be_asked_leaves_the_question_open(tmp_path: Path) -> None:
    # A clean checkpoint is believed without asking: it would hide what the gateway saw before a crash.
    with closing(Keeper(tmp_path)) as keeper:
        keeper.keep({"home": account(settled=False)}, None)
        keeper.save(clean=True)

    kept = peek(tmp_path)

    assert kept is not None
    assert not kept.clean
