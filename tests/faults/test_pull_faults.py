"""What somebody can do to the pull page (pull_faults.py), one after the other, while somebody else reads it."""

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from houses import HouseBattery
from limits import Footprint, forget_peak, log_problems
from programs import HOST, PATIENCE_SECONDS, free_port, wait_until
from pull_faults import PULL_FAULTS, PullFault
from servers import Agent
from stage import agent_of, battery_config, config, footprint_problems, log_lines

pytestmark = pytest.mark.system

THREADS = 40
"""More than these, for whoever knocks, are too many."""


@dataclass(slots=True, kw_only=True, repr=False)
class Stage:
    """A running agent."""

    agent: Agent
    battery: HouseBattery
    port: int

    def page(self) -> str:
        with urllib.request.urlopen(f"http://{HOST}:{self.port}/metrics", timeout=30) as response:
            return str(response.read().decode())

    def observed(self) -> float:
        (value,) = [
            line.split()[1] for line in self.page().splitlines() if line.startswith("sonnen_observed_seconds_total ")
        ]
        return float(value)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("pull")
    with ExitStack() as running:
        battery = running.enter_context(HouseBattery(1))
        port = free_port()
        text = config([battery_config("home", battery, folder)], f"pull: {{listen: '{HOST}:{port}'}}")
        agent = running.enter_context(agent_of(folder / "pull.yml", text))
        agent.wait_for_log("serving /metrics")
        stage = Stage(agent=agent, battery=battery, port=port)
        wait_until(lambda: "\nsonnen_observed_seconds_total " in stage.page(), "a page with counters")
        yield stage
        assert agent.stop() == 0


@pytest.mark.parametrize("row", PULL_FAULTS, ids=[row.name.replace(" ", "-") for row in PULL_FAULTS])
def test_the_page_is_served_whatever_another_client_does(stage: Stage, row: PullFault) -> None:
    agent, watts = stage.agent, stage.battery.house.watts
    before, lines = Footprint.of(agent.pid), len(log_lines(agent))
    forget_peak(agent.pid)
    observed = stage.observed()

    with ExitStack() as opened:
        client = threading.Thread(target=row.client, args=(stage.port, opened), daemon=True)
        client.start()
        wait_until(lambda: stage.observed() > observed, "another beat on the page")
        client.join(timeout=PATIENCE_SECONDS)
        page = stage.page()
        during = Footprint.of(agent.pid)

    assert not client.is_alive()
    assert f"\nsonnen_production_watts {watts['production']}\n" in page
    assert f"\nsonnen_consumption_watts {watts['consumption']}\n" in page
    assert during.threads <= before.threads + THREADS
    assert footprint_problems(agent, before) == []
    assert log_problems(log_lines(agent)[lines:], [stage.battery.house.token]) == []
