import gzip
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest
from faulty_simulator import FaultySimulator
from programs import wait_until
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from sonnen_agent.agent import Agent
from sonnen_agent.battery import BatteryOptions
from sonnen_agent.battery.battery import Battery
from sonnen_agent.clock import Deadline
from sonnen_agent.config.load import Config
from sonnen_agent.destination import Destination, Secret
from sonnen_agent.energy.counters import Counters, EnergyCounters
from sonnen_agent.energy.meter import EnergyMeter
from sonnen_agent.energy.state import MeterState
from sonnen_agent.errors import StartError
from sonnen_agent.group import GroupKey
from sonnen_agent.outputs import Output, Surroundings
from sonnen_agent.outputs.pushgateway import Options
from sonnen_agent.reading import Reading
from sonnen_agent.relay import RelayOptions
from sonnen_agent.shared_meter import SharedMeter
from sonnen_agent.state.store import StateStore, peek

_HOME = "/metrics/job/sonnen/instance/home"
_BARN = "/metrics/job/sonnen/instance/barn"


class FakeGateway:
    """Takes every push and every deletion, holds nothing, and remembers what it was asked."""

    def __init__(self, httpserver: HTTPServer) -> None:
        self.url = httpserver.url_for("")
        self._requests: list[tuple[str, str, bytes]] = []
        httpserver.expect_request("/api/v1/metrics").respond_with_json({"data": []})
        httpserver.expect_request("/node/metrics").respond_with_data("node_load1 0.5\n")
        httpserver.expect_request(re.compile("/.*")).respond_with_handler(self._take)

    def pages(self, path: str) -> list[str]:
        """Return what was pushed to a group."""
        return [gzip.decompress(data).decode() for method, at, data in self._requests if (method, at) == ("PUT", path)]

    def deleted(self) -> set[str]:
        """Return the groups that were deleted."""
        return {path for method, path, _ in self._requests if method == "DELETE"}

    def of_agents(self) -> list[str]:
        """Return the paths of the agent's own group, one for each push."""
        return [path for method, path, _ in self._requests if method == "PUT" and "/job/sonnen_agent/" in path]

    def _take(self, request: Request) -> Response:
        self._requests.append((request.method, request.path, request.get_data()))
        return Response(status=202)


@pytest.fixture
def gateway(httpserver: HTTPServer) -> FakeGateway:
    return FakeGateway(httpserver)


@pytest.fixture
def config(gateway: FakeGateway, tmp_path: Path) -> Iterator[Config]:
    """Return the config of a house with two batteries, of which one does not answer."""
    with FaultySimulator(generation="sb10", seed=1, token="right") as simulator:
        home = BatteryOptions(name="home", destination=Destination(url=simulator.url), token=Secret("right"))
        barn = BatteryOptions(name="barn", destination=Destination(url="http://127.0.0.1:9"))
        yield Config(
            batteries=(home, barn),
            # By which each second beat is almost a whole interval after the first.
            name="tests",
            interval_seconds=1,
            timezone="UTC",
            state_directory=tmp_path / "state",
            outputs={"pushgateway": Options(destination=Destination(url=gateway.url))},
            relays=(RelayOptions(url=f"{gateway.url}/node/metrics", job="node"),),
        )


@contextmanager
def running(config: Config, successor: Config | None = None, runtime_directory: Path | None = None) -> Iterator[Agent]:
    """Run an agent to the end of the block, and stop it for a successor."""
    agent = Agent(config, runtime_directory)
    agent.start()
    try:
        yield agent
    finally:
        agent.stop(successor)
    assert not agent.crashed


def test_batteries_are_pushed_at_every_beat_and_the_agents_own_group_every_fifteen_seconds(
    config: Config, gateway: FakeGateway
) -> None:
    with running(config):
        wait_until(lambda: len(gateway.pages(_HOME)) >= 4, "four beats")
        last = gateway.pages(_HOME)[-1]

    assert len(gateway.of_agents()) == 1
    assert len(gateway.pages(_BARN)) >= 3
    assert "\nsonnen_online 1.0\n" in last
    assert "\nsonnen_observed_seconds_total " in last
    assert "\nsonnen_online 0.0\n" in gateway.pages(_BARN)[-1]


def test_the_first_beat_is_at_once_and_the_second_comes_sooner_by_the_agents_name(
    config: Config, gateway: FakeGateway
) -> None:
    # By its name, 5 seconds after the first.
    with running(replace(config, name="house0466", interval_seconds=3600, relays=())):
        # The first is not pushed where it is read before the gateway has told of its counters.
        counted = re.compile(r"\nsonnen_observed_seconds_total [1-9]").search
        wait_until(lambda: any(map(counted, gateway.pages(_HOME))), "two beats of the hour")
        wait_until(lambda: len(gateway.of_agents()) == 2, "two of the agent's own group")


def test_the_agent_says_how_all_is_in_one_line(config: Config, gateway: FakeGateway) -> None:
    with running(config) as agent:
        wait_until(lambda: agent.has_read and bool(gateway.pages(_HOME)), "a push")
        wait_until(lambda: agent.status().split("; ")[2].startswith("pushed"), "its success")
        status, hung = agent.status(), agent.hung()

    assert status.startswith("home: ")
    assert " W solar, " in status
    assert "; barn: not readable; pushed " in status
    assert hung == ()


def test_a_card_that_stalls_is_no_loop_that_hangs_and_holds_up_neither_a_push_nor_the_stop(
    config: Config, gateway: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    works_again, stalled = threading.Event(), threading.Event()

    def stall(_: int) -> None:
        stalled.set()
        works_again.wait(60)

    for name, seconds in (("agent._STALLED_SECONDS", 0.5), ("agent._CARD_SECONDS", 0.1), ("scheduler.HUNG_SECONDS", 3)):
        monkeypatch.setattr(f"sonnen_agent.{name}", seconds)
    agent = Agent(config, runtime)
    monkeypatch.setattr("os.fdatasync", stall)
    agent.start()
    try:
        assert stalled.wait(20)
        wait_until(lambda: agent.stalled_seconds() > 4, "a long stall")
        assert agent.hung() == ()
        assert re.search("; the card stalls, nothing saved for [4-9] s$", agent.status())
        assert len(gateway.pages(_HOME)) >= 3
        agent.stop()
        assert "\nsonnen_online 0.0\n" in gateway.pages(_HOME)[-1]
        # What the next start goes on with.
        assert list(runtime.iterdir()) != []
    finally:
        works_again.set()


def test_a_stop_saves_the_counters_leaves_them_on_the_gateway_and_deletes_all_else(
    config: Config, gateway: FakeGateway, tmp_path: Path
) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    with running(config, runtime_directory=runtime):
        wait_until(lambda: "sonnen_observed_seconds_total" in "".join(gateway.pages(_HOME)), "counters")
        assert list(runtime.iterdir()) != []

    [own] = set(gateway.of_agents())
    assert gateway.deleted() == {own, own.replace("sonnen_agent", "node")}
    for last in (gateway.pages(_HOME)[-1], gateway.pages(_BARN)[-1]):
        assert "\nsonnen_online 0.0\n" in last
        assert "_watts" not in last
    assert "\nsonnen_observed_seconds_total " in gateway.pages(_HOME)[-1]
    stored = peek(config.state_directory)
    assert stored is not None
    assert stored.clean
    assert stored.meters["home"].tally.energies.observed_seconds > 0
    # What is on the disk is all: nothing outlives a clean stop in memory.
    assert list(runtime.iterdir()) == []


def test_what_a_successor_goes_on_with_stays_and_the_rest_is_deleted(config: Config, gateway: FakeGateway) -> None:
    successor = replace(config, batteries=config.batteries[:1], relays=())
    with running(config, successor):
        wait_until(lambda: all(map(gateway.pages, (_HOME, _BARN))) and bool(gateway.of_agents()), "a beat")
        wait_until(lambda: bool(gateway.pages(own_path(gateway, "node"))), "the relay")

    assert gateway.deleted() == {_BARN, own_path(gateway, "node")}


def test_a_successor_that_pushes_elsewhere_goes_on_with_nothing_here(config: Config, gateway: FakeGateway) -> None:
    elsewhere = Options(destination=Destination(url=f"{gateway.url}/other"))
    with running(config, replace(config, outputs={"pushgateway": elsewhere})):
        wait_until(lambda: all(map(gateway.pages, (_HOME, _BARN))) and bool(gateway.of_agents()), "a beat")

    assert {_HOME, _BARN, own_path(gateway, "sonnen_agent")} <= gateway.deleted()


def own_path(gateway: FakeGateway, job: str) -> str:
    """Return the path of a group of this host."""
    return gateway.of_agents()[0].replace("sonnen_agent", job)


class SeenMeters:
    """Options of an output that only looks at the meters."""

    summary = "looking"
    meters: Mapping[GroupKey, SharedMeter]

    def open(self, surroundings: Surroundings) -> Output:
        self.meters = surroundings.meters
        raise StartError("nothing more is needed")


def test_a_state_directory_that_cannot_be_written_is_read_all_the_same(tmp_path: Path) -> None:
    battery = BatteryOptions(name="home", destination=Destination(url="http://127.0.0.1:1"))
    counted = Counters(energies=EnergyCounters(observed_seconds=3600.0))
    with closing(StateStore(tmp_path)) as store:
        meter = SharedMeter(EnergyMeter(zone=UTC, state=MeterState(tally=counted)), lambda: None)
        store.keep({"home": meter}, None)
    # Not even a lock can be had there.
    (tmp_path / "lock").unlink()
    (tmp_path / "lock").mkdir()
    seen = SeenMeters()

    with pytest.raises(StartError, match="nothing more is needed"):
        Agent(Config(batteries=(battery,), state_directory=tmp_path, outputs={"seen": seen}))

    ((_, home),) = seen.meters.items()
    assert home.state().tally == counted


def test_what_was_read_before_a_battery_was_taken_for_offline_comes_too_late(
    config: Config, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where the status is read, and then the request for a detail hangs.
    read, goes_on = Battery.read, threading.Event()

    def reading_that_takes_long(battery: Battery, deadline: Deadline) -> Reading:
        reading = read(battery, deadline)
        if battery.options.name == "home" and gateway.pages(_HOME):
            goes_on.wait(60)
        return reading

    monkeypatch.setattr(Battery, "read", reading_that_takes_long)
    with running(config):
        wait_until(lambda: "\nsonnen_online 0.0\n" in "".join(gateway.pages(_HOME)), "an offline battery")
        seen, goes_on_at = len(gateway.pages(_HOME)), time.time()
        goes_on.set()
        wait_until(lambda: "\nsonnen_online 1.0\n" in "".join(gateway.pages(_HOME)[seen:]), "a battery that is back")

    back = next(page for page in gateway.pages(_HOME)[seen:] if "\nsonnen_online 1.0\n" in page)
    [read_at] = re.findall(r"^sonnen_last_reading_timestamp_seconds (.*)$", back, re.MULTILINE)
    assert float(read_at) > goes_on_at
