import http.client
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from programs import wait_until
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from sample_groups import BARN, HOME, agent_group, battery_group, counters_of, relayed_group, shared_meter, surroundings

from sonnen_agent.config.secrets import Secrets
from sonnen_agent.config.section import Section
from sonnen_agent.errors import StartError
from sonnen_agent.group import Group, GroupKey
from sonnen_agent.outputs import Retain
from sonnen_agent.outputs.pull import Options, PullOutput
from sonnen_agent.reading import Status
from sonnen_agent.scheduler import Threads


@contextmanager
def serving(*keys: GroupKey, host: str = "127.0.0.1") -> Iterator[PullOutput]:
    """Return an output for these batteries, on a free port, until the end of the block."""
    around = surroundings({key: shared_meter() for key in keys})
    output = PullOutput(Options(host=host, port=0), around)
    output.start(Threads())
    try:
        yield output
    finally:
        output.stop(Retain())


@pytest.fixture
def output() -> Iterator[PullOutput]:
    with serving(HOME) as output:
        yield output


def producing(watts: float, key: GroupKey = HOME, *, age_seconds: float = 0) -> Group:
    return battery_group(key, Status(production_watts=watts), age_seconds=age_seconds)


def get(output: PullOutput, path: str, method: str = "GET") -> tuple[int, str, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", output.port, timeout=10)) as connection:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.headers.get("Content-Type", ""), response.read().decode()


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [("127.0.0.1:9422", "127.0.0.1", 9422), ("[::1]:1", "::1", 1), ("pi.lan:65535", "pi.lan", 65535)],
)
def test_an_address_and_a_port_are_listened_on(listen: str, host: str, port: int) -> None:
    options = Options.read(Section({"listen": listen}, "pull", []), Secrets(folder=Path("/etc/sonnen-agent")))

    assert options == Options(host=host, port=port)
    assert options.summary == f"serving /metrics on {host} port {port}"


def test_an_opened_output_listens_at_once_and_says_where(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    output = Options(host="127.0.0.1", port=0).open(surroundings())
    status, _, _ = get(output, "/metrics")
    output.stop(Retain())

    assert status == 200
    assert caplog.messages == [f"serving /metrics on 127.0.0.1 port {output.port}"]
    assert (output.verb, output.waiting()) == (None, None)


def test_the_page_of_one_battery_has_the_series_of_sonnen_exporter_without_an_instance(output: PullOutput) -> None:
    build = GaugeMetricFamily("sonnen_build_info", "1; the labels say which build.", labels=["version"])
    build.add_metric(["1"], 1)
    output.put(producing(100))
    output.put(agent_group(build))

    text = output.page().decode()

    assert "\nsonnen_production_watts 100.0\n" in text
    assert 'sonnen_build_info{version="1"} 1.0' in text
    assert "instance=" not in text


def test_several_batteries_are_told_apart_by_instance() -> None:
    with serving(HOME, BARN) as output:
        output.put(producing(200, BARN))
        output.put(producing(100, HOME))
        output.put(agent_group(CounterMetricFamily("sonnen_agent_sends", "Deliveries.", value=7)))

        text = output.page().decode()

    home, barn = 'sonnen_production_watts{instance="home"} 100.0', 'sonnen_production_watts{instance="barn"} 200.0'
    assert home in text
    assert barn in text
    # In the order of the config, whichever comes first.
    assert text.index(home) < text.index(barn)
    assert text.count("# TYPE sonnen_production_watts") == 1
    assert "\nsonnen_agent_sends_total 7.0\n" in text


def test_a_newer_group_takes_the_place_of_the_one_before(output: PullOutput) -> None:
    output.put(producing(100))
    output.put(battery_group())

    text = output.page().decode()

    assert "\nsonnen_online 0.0\n" in text
    assert "sonnen_production_watts" not in text


def test_a_battery_whose_loop_is_late_shows_no_old_watts(output: PullOutput) -> None:
    output.put(producing(100, age_seconds=16))

    text = output.page().decode()

    assert "\nsonnen_online 0.0\n" in text
    assert "sonnen_production_watts" not in text


def test_the_page_shows_no_counter_that_may_be_below_what_was_seen(output: PullOutput) -> None:
    seen = counters_of(shared_meter(5_000))
    assert seen is not None
    certain = tuple(family for family in seen if family.name != "sonnen_production_watt_hours")
    output.put(battery_group(counters=seen, certain_counters=certain))

    page = output.page().decode()

    assert "\nsonnen_observed_seconds_total 10.0\n" in page
    assert "sonnen_production_watt_hours_total" not in page


def test_the_pages_of_others_are_not_on_the_page(output: PullOutput) -> None:
    output.put(relayed_group(b"node_load1 0.5\n"))

    assert b"node_load1" not in output.page()


def test_a_scraper_gets_the_page_in_the_text_format(output: PullOutput) -> None:
    output.put(producing(100))

    status, content_type, body = get(output, "/metrics")

    assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "sonnen_production_watts 100.0" in body


def test_the_root_links_to_the_page_and_anything_else_is_not_found(output: PullOutput) -> None:
    assert '<a href="metrics">' in get(output, "/")[2]
    assert get(output, "/api")[0] == 404
    assert get(output, "/metrics", "DELETE")[0] == 405


def test_two_hundred_slow_connections_keep_no_good_client_waiting_and_leave_nothing_behind(output: PullOutput) -> None:
    output.put(producing(100))
    threads = threading.active_count()
    with ExitStack() as stack:
        most = 0
        for number in range(200):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", output.port), timeout=10))
            slow.sendall(b"GET /metrics HTTP/1.1\r\nX-Slow: " if number % 2 else b"")
            most = max(most, threading.active_count())
            if number % 20 == 0:
                assert get(output, "/metrics")[0] == 200
        wait_until(lambda: threading.active_count() <= threads + 16, "the end of the threads of the oldest")
        assert get(output, "/metrics")[0] == 200
        # Some of those whose connection was ended may not have noticed yet.
        assert most <= threads + 50
    wait_until(lambda: threading.active_count() <= threads, "the end of all threads")


def test_a_slow_client_is_cut_off_by_nobody_who_has_gone(output: PullOutput) -> None:
    with socket.create_connection(("127.0.0.1", output.port), timeout=10) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n")
        for _ in range(40):
            assert get(output, "/metrics")[0] == 200
        client.sendall(b"\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.0 200 OK")


def test_who_has_asked_is_answered_whoever_comes_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, crowded = threading.Event(), threading.Event()

    def slow_page(_: PullOutput) -> bytes:
        asked.set()
        crowded.wait(10)
        return b"a page\n"

    monkeypatch.setattr(PullOutput, "page", slow_page)
    with serving(HOME) as output, ExitStack() as stack:
        address = ("127.0.0.1", output.port)
        client = stack.enter_context(socket.create_connection(address, timeout=10))
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert asked.wait(10)
        crowd = [stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(40)]
        assert crowd[20].recv(1) == b"", "one that says nothing makes room"
        crowded.set()
        assert client.recv(4096).startswith(b"HTTP/1.0 200 OK")


def test_of_a_request_that_does_not_end_no_more_than_a_bound_is_read(output: PullOutput) -> None:
    with socket.create_connection(("127.0.0.1", output.port), timeout=10) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n" + b"X-Long: ".ljust(16 * 1024, b"x"))
        assert client.recv(4096).startswith(b"HTTP/1.0 200 OK")


def test_a_request_without_an_end_of_its_lines_as_they_should_be_is_answered(output: PullOutput) -> None:
    with socket.create_connection(("127.0.0.1", output.port), timeout=10) as client:
        client.sendall(b"GET /metrics HTTP/1.0\n\n")
        assert client.recv(4096).startswith(b"HTTP/1.0 200 OK")


def test_an_output_that_was_stopped_listens_no_more() -> None:
    with serving(HOME) as output:
        port = output.port

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)


def test_an_address_in_use_is_an_error_with_the_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"pull.listen: cannot listen on 127.0.0.1:{port}: Address already in use"):
            Options(host="127.0.0.1", port=port).open(surroundings())


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 on this machine")
def test_an_ipv6_address_can_be_listened_on() -> None:
    try:
        with serving(HOME, host="::1") as output, socket.create_connection(("::1", output.port), timeout=10):
            pass
    except StartError as error:
        pytest.skip(f"no IPv6 loopback: {error}")
