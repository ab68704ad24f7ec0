import http.client
import platform
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from sonnen_agent.errors import StartError
from sonnen_agent.metrics.groups import Grouping
from sonnen_agent.reading import Reading, Status
from sonnen_agent.outputs.pull import PullPage, PullServer
from sonnen_agent.snapshot import AgentReport, Snapshot
from sonnen_agent.telemetry import Counts


def report() -> AgentReport:
    return AgentReport(
        host="pi",
        version="1",
        revision="r",
        python_version=platform.python_version(),
        start_unix_seconds=1.0,
        counts=Counts(),
    )


def pull_page(*batteries: str) -> PullPage:
    return PullPage(batteries, report, Grouping(job="sonnen"), 5)


def snapshot(battery: str, watts: float, *, age_seconds: float = 0) -> Snapshot:
    status = Status(production_watts=watts)
    return Snapshot(
        battery=battery,
        reading=Reading(status=status, generation="v2", unix_seconds=0, monotonic_seconds=0),
        taken_monotonic_seconds=time.monotonic() - age_seconds,
    )


@pytest.fixture
def page() -> PullPage:
    return pull_page("home")


@pytest.fixture
def server(page: PullPage) -> Iterator[PullServer]:
    with closing(PullServer(page, "127.0.0.1", 0)) as server:
        yield server


def get(server: PullServer, path: str, method: str = "GET") -> tuple[int, str, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.headers.get("Content-Type", ""), response.read().decode()


def test_the_page_of_one_battery_has_the_series_of_sonnen_exporter_without_an_instance(page: PullPage) -> None:
    page.put(snapshot("home", 100))

    text = page.page().decode()

    assert "\nsonnen_production_watts 100.0\n" in text
    assert "sonnen_build_info{" in text
    assert "instance=" not in text


def test_several_batteries_are_told_apart_by_instance(page: PullPage) -> None:
    page = pull_page("home", "barn")
    page.put(snapshot("home", 100))
    page.put(snapshot("barn", 200))

    text = page.page().decode()

    assert 'sonnen_production_watts{instance="home"} 100.0' in text
    assert 'sonnen_production_watts{instance="barn"} 200.0' in text
    assert text.count("# TYPE sonnen_production_watts") == 1


def test_a_battery_whose_loop_is_late_shows_no_old_watts(page: PullPage) -> None:
    page.put(snapshot("home", 100, age_seconds=16))

    text = page.page().decode()

    assert "\nsonnen_online 0.0\n" in text
    assert "sonnen_production_watts" not in text


def test_a_scraper_gets_the_page_in_the_text_format(page: PullPage, server: PullServer) -> None:
    page.put(snapshot("home", 100))

    status, content_type, body = get(server, "/metrics")

    assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "sonnen_production_watts 100.0" in body


def test_the_root_links_to_the_page_and_anything_else_is_not_found(server: PullServer) -> None:
    assert '<a href="metrics">' in get(server, "/")[2]
    assert get(server, "/api")[0] == 404
    assert get(server, "/metrics", "DELETE")[0] == 405


def test_an_address_in_use_is_an_error_with_the_reason(page: PullPage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"pull.listen: cannot listen on 127.0.0.1:{port}: Address already in use"):
            PullServer(page, "127.0.0.1", port)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 on this machine")
def test_an_ipv6_address_can_be_listened_on(page: PullPage) -> None:
    try:
        server = PullServer(page, "::1", 0)
    except StartError as error:
        pytest.skip(f"no IPv6 loopback: {error}")
    with closing(server), socket.create_connection(("::1", server.port), timeout=10):
        pass
