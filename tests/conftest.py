"""What keeps every test to itself."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import MissingProgramError

from golden import Golden, GoldenPrometheus, golden


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
