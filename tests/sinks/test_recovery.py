import json
import logging
import socket
import time
from collections.abc import Iterator
from datetime import UTC

import pytest
from pytest_httpserver import HTTPServer

from sonnen_agent.account import Account
from sonnen_agent.energy import EnergyMeter, EnergyTotals
from sonnen_agent.errors import PushError
from sonnen_agent.metrics.energy import ENERGY, HeldSample, recovered_counters
from sonnen_agent.metrics.groups import GroupKey
from sonnen_agent.sinks.access import Access
from sonnen_agent.sinks.held import held_group
from sonnen_agent.sinks.pushgateway import Pushgateway
from sonnen_agent.sinks.recovery import Recovery
from sonnen_agent.snapshot import Snapshot

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


def account(*, settled: bool = False) -> Account:
    return Account(EnergyMeter(zone=UTC), lambda: 1_795_500_100.0, settled=settled)


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
