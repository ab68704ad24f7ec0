from dataclasses import replace

import pytest

from sonnen_agent.battery.variants import SLOW_ENDPOINTS, ApiVariant, Generation, Location, locations, variants
from sonnen_agent.destination import Destination
from sonnen_agent.reading import Endpoint

ANYWHERE = Destination(url="http://192.168.1.20")
ONE_PORT = Destination(url="http://192.168.1.20:8081")
V2_ONLY: tuple[Endpoint, ...] = ("latestdata", "configurations")


def tried(destination: Destination) -> list[tuple[Generation, int, str]]:
    return [(variant.generation, variant.port, variant.status.path) for variant in variants(destination)]


def asked(
    endpoint: Endpoint, generation: Generation, port: int, destination: Destination, *, has_token: bool
) -> list[Location]:
    return list(locations(endpoint, ApiVariant(generation=generation, port=port), destination, has_token=has_token))


def test_the_usual_ports_are_tried_newest_api_first() -> None:
    assert tried(ANYWHERE) == [
        ("v2", 80, "/api/v2/status"),
        ("v1", 80, "/api/v1/status"),
        ("v1", 8080, "/api/v1/status"),
        ("eco6", 7979, "/rest/devices/battery"),
    ]


def test_a_port_in_the_url_is_the_only_one_tried() -> None:
    assert tried(ONE_PORT) == [
        ("v2", 8081, "/api/v2/status"),
        ("v1", 8081, "/api/v1/status"),
        ("eco6", 8081, "/rest/devices/battery"),
    ]


def test_a_usual_port_in_the_url_is_the_only_one_tried_too() -> None:
    assert {variant.port for variant in variants(Destination(url="http://battery.lan:80"))} == {80}


def test_https_has_a_port_of_its_own() -> None:
    assert tried(Destination(url="https://battery.lan"))[:2] == [
        ("v2", 443, "/api/v2/status"),
        ("v1", 443, "/api/v1/status"),
    ]


@pytest.mark.parametrize("endpoint", SLOW_ENDPOINTS)
def test_with_a_token_v2_is_asked_first(endpoint: Endpoint) -> None:
    first = asked(endpoint, "v2", 80, ANYWHERE, has_token=True)[0]

    assert first == Location(port=80, path=f"/api/v2/{endpoint}", with_token=True)


@pytest.mark.parametrize("endpoint", ["powermeter", "inverter", "battery"])
def test_where_v2_has_nothing_the_legacy_api_is_asked_without_the_token(endpoint: Endpoint) -> None:
    assert asked(endpoint, "v2", 80, ANYWHERE, has_token=True)[1:] == [
        Location(port=80, path=f"/api/{endpoint}", with_token=False),
        Location(port=8080, path=f"/api/{endpoint}", with_token=False),
    ]


@pytest.mark.parametrize("endpoint", ["powermeter", "inverter", "battery"])
@pytest.mark.parametrize("generation", ["v2", "v1"])
def test_without_a_token_only_the_legacy_api_is_asked(endpoint: Endpoint, generation: Generation) -> None:
    assert asked(endpoint, generation, 80, ANYWHERE, has_token=False) == [
        Location(port=80, path=f"/api/{endpoint}", with_token=False),
        Location(port=8080, path=f"/api/{endpoint}", with_token=False),
    ]


@pytest.mark.parametrize("endpoint", V2_ONLY)
@pytest.mark.parametrize("generation", ["v2", "v1", "eco6"])
def test_what_only_v2_has_is_not_asked_without_a_token(endpoint: Endpoint, generation: Generation) -> None:
    assert asked(endpoint, generation, 80, ANYWHERE, has_token=False) == []


@pytest.mark.parametrize("endpoint", ["powermeter", "inverter", "battery"])
def test_the_legacy_api_is_asked_on_the_one_port_of_the_url_only(endpoint: Endpoint) -> None:
    assert asked(endpoint, "v1", 8081, ONE_PORT, has_token=False) == [
        Location(port=8081, path=f"/api/{endpoint}", with_token=False)
    ]


def test_a_configuration_that_is_not_there_as_a_whole_is_asked_for_key_by_key() -> None:
    whole, by_key = asked("configurations", "v2", 80, ANYWHERE, has_token=True)

    assert by_key == replace(whole, keys=("DE_Software", "IC_BatteryModules", "CM_MarketingModuleCapacity"))


def test_the_legacy_port_is_not_asked_twice() -> None:
    assert [location.port for location in asked("powermeter", "v1", 8080, ANYWHERE, has_token=False)] == [8080]


@pytest.mark.parametrize("endpoint", SLOW_ENDPOINTS)
def test_an_eco6_tells_all_in_one_answer(endpoint: Endpoint) -> None:
    assert asked(endpoint, "eco6", 7979, ANYWHERE, has_token=True) == []


@pytest.mark.parametrize("endpoint", SLOW_ENDPOINTS)
@pytest.mark.parametrize("generation", ["v2", "v1", "eco6"])
@pytest.mark.parametrize("destination", [ANYWHERE, ONE_PORT])
def test_the_token_goes_to_v2_paths_only(endpoint: Endpoint, generation: Generation, destination: Destination) -> None:
    for location in asked(endpoint, generation, 80, destination, has_token=True):
        assert location.with_token == location.path.startswith("/api/v2/")


def test_a_slow_endpoint_is_asked_at_most_every_15_seconds() -> None:
    assert min(slow.period_seconds for slow in SLOW_ENDPOINTS.values()) == 15
    # The largest answer of all, whose flags change rarely.
    assert SLOW_ENDPOINTS["latestdata"].period_seconds >= 60
