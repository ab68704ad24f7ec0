"""Fixtures of real servers: everything they start has ended when the test has."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from programs import MissingProgramError
from sandbox import denied, watch_denied_calls
from servers import Agent, FaultySimulator, Prometheus, Pushgateway, RunAgent


@pytest.fixture(autouse=True)
def nothing_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail the test if one of its agents needed a system call that the service may not make."""
    trace = tmp_path / "denied-calls"
    trace.touch()
    try:
        monkeypatch.setattr(Agent, "wrapper", watch_denied_calls(trace))
    except MissingProgramError:
        if "CI" in os.environ:
            raise
    yield
    assert denied(trace) == []


@pytest.fixture
def pushgateway(running: ExitStack, tmp_path: Path) -> Pushgateway:
    return running.enter_context(Pushgateway(tmp_path))


@pytest.fixture
def prometheus(running: ExitStack, tmp_path: Path, pushgateway: Pushgateway) -> Prometheus:
    return running.enter_context(Prometheus(tmp_path, scrape=[pushgateway.url]))


@pytest.fixture
def simulator(running: ExitStack, tmp_path: Path) -> FaultySimulator:
    """Return a battery whose token is in `home.token`, beside the config of the agent."""
    battery = running.enter_context(FaultySimulator(tmp_path))
    battery.write_token(tmp_path / "home.token")
    return battery


@pytest.fixture
def run_agent(running: ExitStack, tmp_path: Path) -> RunAgent:
    def run(config: str, *, name: str = "config") -> Agent:
        file = tmp_path / f"{name}.yml"
        file.write_text(config)
        return running.enter_context(Agent(file))

    return run
