"""What keeps every test to itself."""

import os
from collections.abc import Iterator
from pathlib import Path

import images
import pytest
from programs import MissingProgramError
from xdist.scheduler import LoadFileScheduling

from golden import Golden, GoldenPrometheus, golden


class _Stories(LoadFileScheduling):  # type: ignore[misc] # xdist has no types for its schedulers
    """Keeps the tests of a file in one process, but for those on two Debians: each of these is a story of its own."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        return next((f"{file} {release}" for release in images.RELEASES if f"[{release}" in test), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _Stories:
    """Say how tests are shared out between several processes."""
    return _Stories(config, log)


@pytest.fixture(autouse=True)
def state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where this test's agents keep their counters, instead of /var/lib."""
    folder = tmp_path / "state"
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    return folder


@pytest.fixture(scope="session")
def golden_house() -> Golden:
    """Return the house whose truth is known (tests/golden/golden.py); the first time it takes a minute."""
    try:
        return golden()
    except MissingProgramError as error:
        # Where all of it should run, a test that does not is a failure.
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def golden_prometheus(tmp_path_factory: pytest.TempPathFactory, golden_house: Golden) -> Iterator[GoldenPrometheus]:
    """Return a real Prometheus with that house's year in it."""
    with GoldenPrometheus(tmp_path_factory.mktemp("golden"), golden_house) as prometheus:
        yield prometheus
