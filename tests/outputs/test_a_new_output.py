"""What it takes to send the readings one more way: this module, up to the first test, and its name in `OUTPUTS`."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

import pytest
from programs import wait_until
from pytest_httpserver import HTTPServer

from sonnen_agent.agent import Agent
from sonnen_agent.battery import BatteryOptions
from sonnen_agent.config.load import Config
from sonnen_agent.config.secrets import Secrets
from sonnen_agent.config.section import Section
from sonnen_agent.destination import Destination
from sonnen_agent.group import Group
from sonnen_agent.outputs import OUTPUTS, Output, OutputOptions, Retain, Surroundings
from sonnen_agent.relay import RelayOptions
from sonnen_agent.scheduler import Threads
from sonnen_agent.telemetry import Waiting

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The config's `log`."""

    prefix: str = "sonnen_"
    """How the names of the metrics begin that are logged."""

    @classmethod
    def read(cls, section: Section, _: Secrets) -> Self:
        """Return what a section says; what is wrong with it is noted there."""
        return cls(prefix=section.text("prefix") or "sonnen_")

    @property
    def summary(self) -> str:
        """What it does, in words."""
        return f"logging {self.prefix}*"

    def open(self, surroundings: Surroundings) -> "LogOutput":
        """Return the output."""
        return LogOutput(self, surroundings)


class LogOutput:
    """Logs every value."""

    name = "log"
    verb: str | None = "logged"

    def __init__(self, options: Options, surroundings: Surroundings) -> None:
        self._options = options
        self._record = surroundings.record

    def start(self, threads: Threads) -> None:
        """Do nothing: a line in the log needs no thread of its own."""

    def put(self, group: Group) -> None:
        """Log the group."""
        for family in (*group.families, *(group.counters or ())):
            for sample in family.samples:
                if sample.name.startswith(self._options.prefix):
                    _log.info("%s %s %s %s", group.key, sample.name, json.dumps(sample.labels), sample.value)
        self._record(self.name, "ok", 0.0, 0)

    def waiting(self) -> Waiting | None:
        """Return None: nothing ever waits."""
        return None

    def stop(self, retain: Retain) -> None:
        """Say goodbye."""
        _log.info("stopped, with %d groups to be left alone", len(retain.groups))


STATUS = {"Production_W": 2000, "Consumption_W": 900, "GridFeedIn_W": 300, "Pac_total_W": -800, "USOC": 58}


@pytest.fixture
def config(httpserver: HTTPServer, tmp_path: Path) -> Config:
    httpserver.expect_request("/api/v2/status").respond_with_json(STATUS)
    httpserver.expect_request("/metrics").respond_with_data("node_load1 0.5\n")
    return Config(
        interval_seconds=1,
        state_directory=tmp_path / "state",
        batteries=(BatteryOptions(name="home", destination=Destination(url=httpserver.url_for(""))),),
        relays=(RelayOptions(url=httpserver.url_for("/metrics"), job="node", interval_seconds=1),),
        outputs={"log": Options()},
    )


@pytest.fixture
def agent(config: Config, caplog: pytest.LogCaptureFixture) -> Iterator[Agent]:
    """Return an agent that is to be started."""
    caplog.set_level(logging.INFO)
    agent = Agent(config)
    yield agent
    agent.stop()


def test_it_is_given_the_groups_of_batteries_and_agent(agent: Agent, caplog: pytest.LogCaptureFixture) -> None:
    agent.start()

    for text in (
        "sonnen/home sonnen_online {} 1.0",
        "sonnen/home sonnen_production_watts {} 2000.0",
        "sonnen/home sonnen_observed_seconds_total {} ",
        'sonnen_agent_reads_total {"battery": "home", "endpoint": "status", "outcome": "ok"} ',
    ):
        wait_until(partial(_is_told, caplog, text), text)
    assert not agent.crashed


def _is_told(caplog: pytest.LogCaptureFixture, text: str) -> bool:
    return text in caplog.text


def test_the_agent_tells_what_it_does_when_it_starts_and_how_it_is_while_it_runs(
    agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    assert "nothing logged yet" in agent.status()
    agent.start()
    wait_until(lambda: "2 000 W solar" in agent.status(), "a reading")

    assert "every 1 s from home, logging sonnen_*" in caplog.text
    assert "; logged " in agent.status()


def test_it_is_told_of_the_end(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    agent = Agent(config)
    agent.start()
    wait_until(lambda: agent.has_read, "a reading")

    agent.stop(successor=config)

    assert "stopped, with 3 groups to be left alone" in caplog.text


def test_it_knows_where_the_agent_keeps_things(config: Config, tmp_path: Path) -> None:
    known: list[Surroundings] = []

    class Curious(Options):
        def open(self, surroundings: Surroundings) -> LogOutput:
            known.append(surroundings)
            return super().open(surroundings)

    (tmp_path / "runtime").mkdir()
    agent = Agent(replace(config, outputs={"log": Curious()}), tmp_path / "runtime")
    agent.stop()

    (surroundings,) = known
    assert surroundings.interval_seconds == 1
    assert surroundings.state_directory == tmp_path / "state"
    assert surroundings.runtime_directory == tmp_path / "runtime"
    assert list(surroundings.meters) == [config.battery_key("home")]


def test_it_reads_its_options_from_the_config(tmp_path: Path) -> None:
    section = Section({"prefix": "sonnen_agent_", "colour": "red"}, "log", [])

    assert Options.read(section, Secrets(folder=tmp_path)) == Options(prefix="sonnen_agent_")
    section.close()
    assert section.problems == ["log.colour: unknown key; known here are prefix"]


def test_it_is_an_output_by_its_form_alone(tmp_path: Path) -> None:
    options: OutputOptions = Options()
    output: Output = options.open(
        Surroundings(interval_seconds=5, state_directory=tmp_path, record=lambda *_: None, clock=lambda: None)
    )
    assert (options.summary, output.verb) == ("logging sonnen_*", "logged")
    # Nobody has to ask which outputs there are: the config goes through the table.
    assert OUTPUTS == ("pushgateway", "remote_write", "pull")
