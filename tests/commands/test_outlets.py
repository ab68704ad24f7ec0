import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from programs import free_port, wait_until
from pytest_httpserver import HTTPServer
from receivers import FakeReceiver

from sonnen_agent.commands.outlets import PullOutlet, RemoteWriteOutlet
from sonnen_agent.commands.wiring import Parts
from sonnen_agent.config.model import BatteryConfig, Config, PullConfig, RemoteWriteConfig
from sonnen_agent.energy import EnergyTotals
from sonnen_agent.scheduler import Threads
from sonnen_agent.snapshot import RelayedPage, Snapshot

PULL = PullConfig(host="127.0.0.1", port=0)
SEEN = EnergyTotals(
    production_watt_hours=5_000,
    consumption_watt_hours=None,
    grid_import_watt_hours=None,
    grid_export_watt_hours=None,
    battery_charge_watt_hours=None,
    battery_discharge_watt_hours=None,
    flows_watt_hours={},
    observed_seconds=10,
    today_watt_hours=None,
    yesterday_watt_hours=None,
    tariff_import_watt_hours={},
    tariff_export_watt_hours={},
    cost={},
    revenue={},
    prices=(),
)


RELAYED = RelayedPage(
    relay="node",
    host="pi",
    page=b"node_load1 0.5\n",
    interval_seconds=15,
    taken_monotonic_seconds=10,
)


@pytest.fixture
def pull() -> Iterator[tuple[PullOutlet, str]]:
    """Return the outlet, and where its page is."""
    config = replace(PULL, port=free_port())
    battery = BatteryConfig(name="home", url="http://192.168.1.20")
    outlet = PullOutlet(config, Parts(Config(batteries=(battery,), pull=config)))
    yield outlet, f"http://127.0.0.1:{config.port}/metrics"
    outlet.close(counters_saved=True, successor=None)


def test_the_pull_page_shows_no_counter_that_may_be_below_what_was_seen(pull: tuple[PullOutlet, str]) -> None:
    outlet, url = pull
    certain = replace(SEEN, production_watt_hours=None)
    outlet.put(
        Snapshot(
            battery="home",
            reading=None,
            energy=SEEN,
            certain_energy=certain,
            taken_monotonic_seconds=time.monotonic(),
        )
    )

    with urllib.request.urlopen(url, timeout=10) as response:
        page = response.read().decode()

    assert "sonnen_observed_seconds_total 10.0" in page
    assert "sonnen_production_watt_hours_total" not in page


def test_the_pages_of_others_are_not_on_the_pull_page(pull: tuple[PullOutlet, str]) -> None:
    outlet, url = pull
    outlet.put(RELAYED)

    with urllib.request.urlopen(url, timeout=10) as response:
        assert b"node_load1" not in response.read()


def test_the_pages_of_others_are_not_written_remotely(httpserver: HTTPServer, tmp_path: Path) -> None:
    receiver = FakeReceiver(httpserver)
    remote_write = RemoteWriteConfig(url=receiver.url)
    config = Config(
        batteries=(BatteryConfig(name="home", url="http://192.168.1.20"),),
        remote_write=remote_write,
        state_directory=tmp_path,
    )
    outlet = RemoteWriteOutlet(remote_write, Parts(config), timeout_seconds=5)
    threads = Threads()
    outlet.start(threads)

    outlet.put(RELAYED)
    outlet.put(Snapshot(battery="home", reading=None, taken_monotonic_seconds=time.monotonic()))
    wait_until(lambda: bool(receiver.stored), "a request")
    outlet.close(counters_saved=True, successor=None)
    threads.join(20)

    assert not threads.crashed
    assert {dict(labels)["__name__"] for labels in receiver.stored} == {"sonnen_online"}
