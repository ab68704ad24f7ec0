from collections.abc import Iterator

import pytest
from box import HANG, Box, no_errors_left, said

from sonnen_agent.battery import BatteryOptions
from sonnen_agent.battery.client import Client
from sonnen_agent.battery.slow_endpoints import SlowEndpoints
from sonnen_agent.battery.variants import SLOW_ENDPOINTS, ApiVariant, Generation
from sonnen_agent.clock import Deadline
from sonnen_agent.destination import Destination, Secret
from sonnen_agent.details import Configuration, Inverter, Meter, Pack, System
from sonnen_agent.errors import Outcome
from sonnen_agent.reading import Endpoint

pytestmark = pytest.mark.usefixtures("unhurried_battery")

TOKEN = "the-token"
METERS = [{"deviceid": 4, "channel": 1, "direction": "production", "error": 0, "w_total": 800}]
V2: dict[str, object] = {
    "/api/v2/powermeter": METERS,
    "/api/v2/latestdata": {"ic_status": {"statebms": "ready"}},
    "/api/v2/battery": {"cyclecount": 260},
    "/api/v2/inverter": {"fac": 50, "tmax": 31.5},
    "/api/v2/configurations": {"DE_Software": "1.14.5"},
}

Records = list[tuple[Endpoint, Outcome]]


@pytest.fixture
def records() -> Records:
    return []


def open_slow(box: Box, records: Records, token: str | None) -> Iterator[SlowEndpoints]:
    destination = Destination(url=f"http://127.0.0.1:{box.port}")
    options = BatteryOptions(name="home", destination=destination, token=Secret(token) if token else None)
    client = Client(options, lambda endpoint, outcome, _: records.append((endpoint, outcome)))
    yield SlowEndpoints(client, interval_seconds=5)
    client.close()


@pytest.fixture
def slow(box: Box, records: Records) -> Iterator[SlowEndpoints]:
    yield from open_slow(box, records, TOKEN)


@pytest.fixture
def slow_without_token(box: Box, records: Records) -> Iterator[SlowEndpoints]:
    yield from open_slow(box, records, None)


def read(slow: SlowEndpoints, box: Box, generation: Generation = "v2", *, seconds: float = 60) -> None:
    slow.read_due(ApiVariant(generation=generation, port=box.port), Deadline(seconds))


def test_with_a_token_every_endpoint_is_asked_with_it(box: Box, slow: SlowEndpoints, records: Records) -> None:
    box.answers |= V2

    read(slow, box)

    assert box.asked_with_tokens() == [(path, TOKEN) for path in V2]
    assert records == [(endpoint, "ok") for endpoint in SLOW_ENDPOINTS]
    assert slow.up() == dict.fromkeys(SLOW_ENDPOINTS, True)
    assert slow.fresh() == {
        "meters": (Meter(direction="production", name="4_1", error=0, total_watts=800),),
        "system": System(states={"bms": "ready"}),
        "pack": Pack(cycles=260),
        "inverter": Inverter(grid_hertz=50, temperatures={"max": 31.5}),
        "configuration": Configuration(firmware="1.14.5"),
    }


def test_nothing_is_asked_again_at_the_next_beat(box: Box, slow: SlowEndpoints) -> None:
    box.answers |= {**V2, "/api/v2/battery": 500, "/api/v2/configurations": 401}
    read(slow, box)
    box.asked_with_tokens()
    before = slow.fresh()

    read(slow, box)

    assert box.asked_with_tokens() == []
    assert slow.fresh() == before


def test_before_anything_was_asked_nothing_is_known(slow: SlowEndpoints) -> None:
    assert slow.up() == {}
    assert slow.fresh() == {}


@pytest.mark.parametrize("answer", [404, 401, 403])
def test_what_v2_lacks_or_refuses_is_asked_of_the_legacy_api_without_the_token(
    box: Box, slow: SlowEndpoints, records: Records, answer: int
) -> None:
    box.answers |= {**V2, "/api/v2/powermeter": answer, "/api/powermeter": {"4_1": METERS[0]}}

    read(slow, box)

    assert box.asked_with_tokens()[:2] == [("/api/v2/powermeter", TOKEN), ("/api/powermeter", None)]
    assert records[:2] == [("powermeter", "not_found" if answer == 404 else "unauthorized"), ("powermeter", "ok")]
    assert slow.up()["powermeter"]
    assert len(slow.fresh()) == 5


@pytest.mark.parametrize("answer", [500, "<html>", []])
def test_what_v2_fails_to_answer_is_not_asked_elsewhere(box: Box, slow: SlowEndpoints, answer: object) -> None:
    box.answers |= {**V2, "/api/v2/inverter": answer, "/api/inverter": {"status": {"fac": "50"}}}

    read(slow, box)

    assert "/api/inverter" not in dict(box.asked_with_tokens())
    assert not slow.up()["inverter"]


def test_an_endpoint_that_fails_is_its_own_affair(box: Box, slow: SlowEndpoints, records: Records) -> None:
    box.answers |= {**V2, "/api/v2/powermeter": 500, "/api/v2/battery": 404, "/api/v2/inverter": "<html>"}

    read(slow, box)

    assert records == [
        ("powermeter", "http_error"),
        ("latestdata", "ok"),
        ("battery", "not_found"),
        ("battery", "not_found"),  # in the old API
        ("inverter", "invalid"),
        ("configurations", "ok"),
    ]
    assert slow.up() == {
        "powermeter": False,
        "latestdata": True,
        "battery": False,
        "inverter": False,
        "configurations": True,
    }
    assert slow.fresh() == {
        "system": System(states={"bms": "ready"}),
        "configuration": Configuration(firmware="1.14.5"),
    }


@pytest.mark.parametrize("generation", ["v2", "v1"])
def test_without_a_token_only_the_legacy_api_is_asked(
    box: Box, slow_without_token: SlowEndpoints, generation: Generation
) -> None:
    box.answers |= {"/api/powermeter": {"4_1": METERS[0]}, "/api/inverter": {"status": {"fac": "50"}}}
    box.answers["/api/battery"] = {"measurements": {"battery_status": {"cyclecount": "260"}}}

    read(slow_without_token, box, generation)

    assert box.asked_with_tokens() == [("/api/powermeter", None), ("/api/battery", None), ("/api/inverter", None)]
    assert slow_without_token.up() == {"powermeter": True, "battery": True, "inverter": True}
    assert slow_without_token.fresh()["pack"] == Pack(cycles=260)


def test_an_eco6_has_no_slow_endpoints(box: Box, slow: SlowEndpoints) -> None:
    read(slow, box, "eco6")

    assert box.asked_with_tokens() == []
    assert slow.up() == {}


def test_a_refused_token_is_told_once_with_what_to_do(
    box: Box, slow: SlowEndpoints, caplog: pytest.LogCaptureFixture
) -> None:
    box.answers |= dict.fromkeys(V2, 401)

    with caplog.at_level("INFO", logger="sonnen_agent"):
        read(slow, box)
        for endpoint in SLOW_ENDPOINTS:
            slow.expect_change(endpoint)
        read(slow, box)

    [(level, message)] = said(caplog)
    assert level == "WARNING"
    assert message == (
        f"home: no powermeter: http://127.0.0.1:{box.port}/api/v2/powermeter: answered 401: "
        "the API token is wrong or its read access is switched off; look it up in the battery's web page "
        "(Software-Integration, JSON API) and update token_file"
    )
    assert TOKEN not in caplog.text


def test_a_missing_token_is_told_once_with_what_to_do(
    box: Box, slow_without_token: SlowEndpoints, caplog: pytest.LogCaptureFixture
) -> None:
    box.answers |= {"/api/powermeter": 401, "/api/battery": 401, "/api/inverter": 401}

    with caplog.at_level("INFO", logger="sonnen_agent"):
        read(slow_without_token, box)

    [(level, message)] = said(caplog)
    assert level == "WARNING"
    assert message.startswith(f"home: no powermeter: http://127.0.0.1:{box.port}/api/powermeter: answered 401: ")
    assert "it needs an API token; switch the read API on in the battery's web page" in message


def test_a_token_refused_anew_is_told_anew(box: Box, slow: SlowEndpoints, caplog: pytest.LogCaptureFixture) -> None:
    for answers in (dict.fromkeys(V2, 401), V2, dict.fromkeys(V2, 401)):
        box.answers |= answers
        read(slow, box)
        for endpoint in SLOW_ENDPOINTS:
            slow.expect_change(endpoint)

    assert [level for level, _ in said(caplog)].count("WARNING") == 2


def test_a_missing_endpoint_is_told_once(box: Box, slow: SlowEndpoints, caplog: pytest.LogCaptureFixture) -> None:
    box.answers |= V2
    del box.answers["/api/v2/battery"]

    with caplog.at_level("INFO", logger="sonnen_agent"):
        read(slow, box)
        slow.expect_change("battery")
        read(slow, box)

    url = f"http://127.0.0.1:{box.port}/api/v2/battery"
    assert said(caplog) == [
        ("INFO", f"home: no battery: {url}: answered 404: no such page; this firmware does not have it")
    ]


@pytest.mark.parametrize("page", ["<h3>Page not found</h3>", '{"error":"404 Not Found"}'])
def test_a_read_api_that_is_off_is_one_line_that_names_the_switch(
    box: Box, slow: SlowEndpoints, caplog: pytest.LogCaptureFixture, page: str
) -> None:
    box.not_found = page
    box.answers["/api/powermeter"] = {"4_1": METERS[0]}  # still open on old firmware

    with caplog.at_level("INFO", logger="sonnen_agent"):
        for _ in range(3):
            read(slow, box)
            for endpoint in SLOW_ENDPOINTS:
                slow.expect_change(endpoint)
        off = said(caplog)
        caplog.clear()
        box.answers |= V2
        read(slow, box)

    url = f"http://127.0.0.1:{box.port}/api/v2/latestdata"
    [(level, message)] = off
    assert level == "WARNING"
    assert message == (
        f"home: no details: {url}: answered 404: no such page, and so do all the others: "
        "the read API is switched off, or this firmware has none; "
        "switch it on in the battery's web page (Software-Integration, JSON API)"
    )
    assert said(caplog) == [("INFO", "home: the read API answers again")]
    assert len(slow.fresh()) == 5


@pytest.mark.parametrize("answer", [502, 500, 404, "<html>", {"error": "no data"}])
def test_after_an_outage_details_that_come_later_than_the_status_are_no_news(
    box: Box, slow: SlowEndpoints, caplog: pytest.LogCaptureFixture, answer: object
) -> None:
    box.answers |= V2
    read(slow, box)
    box.answers |= dict.fromkeys(V2, answer)
    variant = ApiVariant(generation="v2", port=box.port)
    for endpoint in SLOW_ENDPOINTS:
        slow.expect_change(endpoint)

    with caplog.at_level("INFO", logger="sonnen_agent"):
        slow.read_due(variant, Deadline(60), settling=True)
        assert slow.up() == dict.fromkeys(SLOW_ENDPOINTS, False)
        box.answers |= V2
        slow.expect_change("powermeter")
        read(slow, box)
        read(slow, box)

    assert slow.up() == dict.fromkeys(SLOW_ENDPOINTS, True)
    assert said(caplog) == []


def test_a_configuration_comes_key_by_key_where_it_is_not_there_as_a_whole(
    box: Box, slow: SlowEndpoints, caplog: pytest.LogCaptureFixture
) -> None:
    path = "/api/v2/configurations"
    box.answers |= {key: answer for key, answer in V2.items() if key != path} | {
        f"{path}/DE_Software": {"DE_Software": "1.5.5"},
        f"{path}/IC_BatteryModules": {"IC_BatteryModules": "3"},
        f"{path}/CM_MarketingModuleCapacity": 403,
    }
    with caplog.at_level("INFO", logger="sonnen_agent"):
        read(slow, box)
    assert slow.fresh()["configuration"] == Configuration(firmware="1.5.5")
    box.answers[f"{path}/CM_MarketingModuleCapacity"] = {"CM_MarketingModuleCapacity": "2500"}
    box.asked()

    slow.expect_change("configurations")
    read(slow, box)

    assert slow.fresh()["configuration"] == Configuration(firmware="1.5.5", installed_capacity_watt_hours=7500)
    assert box.asked_with_tokens() == [
        (f"{path}/{key}", TOKEN) for key in ("DE_Software", "IC_BatteryModules", "CM_MarketingModuleCapacity")
    ]
    assert said(caplog) == []


def test_details_that_fail_alike_are_told_once(box: Box, slow: SlowEndpoints, caplog: pytest.LogCaptureFixture) -> None:
    box.answers |= V2
    read(slow, box)
    box.answers |= dict.fromkeys(V2, 404)
    for endpoint in SLOW_ENDPOINTS:
        slow.expect_change(endpoint)

    with caplog.at_level("INFO", logger="sonnen_agent"):
        read(slow, box)
        box.answers |= V2
        slow.expect_change("powermeter")
        read(slow, box)
        read(slow, box)

    url = f"http://127.0.0.1:{box.port}/api/v2/powermeter"
    assert said(caplog) == [
        ("INFO", f"home: no powermeter: {url}: answered 404: no such page; the battery may be restarting"),
        ("INFO", "home: powermeter answers again"),
    ]
    assert slow.up() == dict.fromkeys(SLOW_ENDPOINTS, True)


def test_an_endpoint_that_is_back_is_told(box: Box, slow: SlowEndpoints, caplog: pytest.LogCaptureFixture) -> None:
    box.answers |= {**V2, "/api/v2/latestdata": 500}
    read(slow, box)
    box.answers |= V2

    with caplog.at_level("INFO", logger="sonnen_agent"):
        slow.expect_change("latestdata")
        read(slow, box)

    assert said(caplog) == [("INFO", "home: latestdata answers again")]
    assert slow.up()["latestdata"]


def test_a_value_outlives_a_failure(box: Box, slow: SlowEndpoints) -> None:
    box.answers |= V2
    read(slow, box)
    box.answers["/api/v2/battery"] = 500

    slow.expect_change("battery")
    read(slow, box)

    assert not slow.up()["battery"]
    assert slow.fresh()["pack"] == Pack(cycles=260)


def test_an_endpoint_expected_to_change_is_asked_at_the_next_beat(box: Box, slow: SlowEndpoints) -> None:
    box.answers |= V2
    read(slow, box)
    box.asked_with_tokens()

    slow.expect_change("latestdata")
    read(slow, box)
    read(slow, box)

    assert box.asked_with_tokens() == [("/api/v2/latestdata", TOKEN)]


def test_another_variant_is_another_battery(box: Box, slow: SlowEndpoints) -> None:
    box.answers |= {**V2, "/api/powermeter": {"4_1": METERS[0]}}
    read(slow, box)
    box.asked_with_tokens()

    read(slow, box, "v1")

    assert box.asked_with_tokens() == [("/api/powermeter", None), ("/api/battery", None), ("/api/inverter", None)]
    assert slow.up() == {"powermeter": True, "inverter": False}
    assert len(slow.fresh()) == 1


def test_what_another_variant_does_not_have_is_no_trouble_any_more(
    box: Box, slow: SlowEndpoints, caplog: pytest.LogCaptureFixture
) -> None:
    box.answers |= {**V2, "/api/v2/latestdata": 401}
    read(slow, box)
    read(slow, box, "v1")
    read(slow, box)

    assert [message.partition(":")[2][:12] for level, message in said(caplog) if level == "WARNING"] == [
        " no latestda",
        " no latestda",
    ]


def test_a_failure_leaves_no_exception_behind(box: Box, slow: SlowEndpoints) -> None:
    box.answers |= dict.fromkeys(V2, "<html>")

    with no_errors_left():
        read(slow, box)


def test_without_time_left_nothing_is_asked(box: Box, slow: SlowEndpoints) -> None:
    box.answers |= V2

    read(slow, box, seconds=0.1)
    assert box.asked_with_tokens() == []
    assert slow.up() == {}

    read(slow, box)
    assert len(box.asked_with_tokens()) == 5


def test_an_endpoint_that_hangs_takes_its_beat_and_no_more(box: Box, slow: SlowEndpoints, records: Records) -> None:
    box.answers |= {**V2, "/api/v2/powermeter": HANG}

    read(slow, box, seconds=1)
    assert records == [("powermeter", "timeout")]
    assert slow.up() == {"powermeter": False}

    read(slow, box)
    assert slow.up() == dict.fromkeys(SLOW_ENDPOINTS, True) | {"powermeter": False}
