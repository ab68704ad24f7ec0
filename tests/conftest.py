"""What keeps every test to itself."""

import os
import signal
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import images
import pytest
from box import Box
from hypothesis import settings
from programs import MissingProgramError, free_port
from pytest_httpserver import HTTPServer
from xdist.scheduler import LoadFileScheduling

from golden import Golden, GoldenPrometheus, golden
from sonnen_agent.battery import slow_endpoints

# On a busy machine every example may take long.
settings.register_profile("unhurried", settings.default, deadline=None)
settings.load_profile("unhurried")

_MACHINES = "tests/system/on_debian/"
_SERVERS = "tests/system/"
_CASES = f"{_SERVERS}test_cases.py"
LONGEST = (
    f"{_MACHINES}test_playbook",
    f"{_MACHINES}test_unit",
    _MACHINES,
    "tests/faults/",
    _CASES,
    f"{_SERVERS}test_energy.py",
    "tests/grafana/test_letters.py",
    "tests/grafana/test_dashboard_queries.py",
    f"{_SERVERS}test_rules.py",
    f"{_SERVERS}test_demo.py",
    "tests/ansible/",
    "tests/faults/",
    _SERVERS,
    "tests/prometheus/",
)
"""The files and folders whose tests take longest, in the order in which they are begun; all others come after them."""


class _MachineScenarios(LoadFileScheduling):  # type: ignore[misc] # xdist has no types for its schedulers
    """Keeps together the tests that share what is dear: those of a file, and of a file on each of two Debians.

    The tests with servers share nothing, but for the cases, which are played side by side: each may run anywhere.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        if file.startswith(_MACHINES):
            return next((f"{file} {release}" for release in images.RELEASES if f"[{release}" in test), file)
        return nodeid if file.startswith(_SERVERS) and file != _CASES else file


def pytest_configure() -> None:
    """Let the programs that tests start hear Ctrl-C, also where a shell started the tests in its background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _MachineScenarios:
    """Say how tests are shared out between several processes: in their own order."""
    config.option.loadscopereorder = False
    return _MachineScenarios(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest where there are several processes: one that begins last would run alone."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: next((i for i, begin in enumerate(LONGEST) if item.nodeid.startswith(begin)), 99))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    return (yield from _without_missing_programs())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    return (yield from _without_missing_programs())


def _without_missing_programs() -> Generator[None, object, object]:
    try:
        return (yield)
    except MissingProgramError as error:
        # Where all of it should run, a test that does not is a failure.
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where this test's agents keep their counters, instead of /var/lib."""
    folder = tmp_path / "state"
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    return folder


@pytest.fixture(autouse=True)
def _signal_mask() -> Iterator[None]:
    """Let no signal stay blocked that a command blocks in this process: what later tests start would not hear it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.fixture
def unused_port() -> int:
    """Return a port of loopback that nobody listens on."""
    return free_port()


@pytest.fixture
def running() -> Iterator[ExitStack]:
    """Return what ends the programs that a test starts by itself: `running.enter_context(Pushgateway(…))`."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def threaded_server() -> Iterator[HTTPServer]:
    """Return a server that answers several requests at a time: one that hangs keeps no other waiting."""
    with HTTPServer(threaded=True) as server:
        yield server


@pytest.fixture
def box(threaded_server: HTTPServer) -> Iterator[Box]:
    """Return a battery that answers what the test puts down."""
    with Box(threaded_server) as box:
        yield box


@pytest.fixture
def unhurried_battery(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the deadline of a test alone decide how long a battery may take, however busy the machine."""
    monkeypatch.setattr(slow_endpoints, "_LONGEST_SECONDS", 60)


@pytest.fixture(scope="session")
def golden_house() -> Golden:
    """Return the house whose truth is known (tests/golden/golden.py); the first time it takes a minute."""
    return golden()


@pytest.fixture(scope="session")
def golden_prometheus(tmp_path_factory: pytest.TempPathFactory, golden_house: Golden) -> Iterator[GoldenPrometheus]:
    """Return a real Prometheus with that house's year in it."""
    with GoldenPrometheus(tmp_path_factory.mktemp("golden"), golden_house) as prometheus:
        yield prometheus
