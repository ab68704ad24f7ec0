"""Fixtures of booted machines: a boot is dear, so that all tests of a module share them."""

from collections.abc import Iterator
from pathlib import Path

import images
import pytest
from machines import Machine


@pytest.fixture(scope="module", params=images.RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    """Return the Debian release that the machines run."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def machine_folder(tmp_path_factory: pytest.TempPathFactory, release: str) -> Path:
    return tmp_path_factory.mktemp(release)


@pytest.fixture(scope="module")
def pi(release: str, machine_folder: Path) -> Iterator[Machine]:
    """Return the machine beside the battery: what it should reach, it reaches by `pi.reach(…)`."""
    with Machine(release, "pi", machine_folder) as machine:
        yield machine


@pytest.fixture(scope="module")
def central(release: str, machine_folder: Path) -> Iterator[Machine]:
    """Return the machine that gathers the numbers; from its network, no way leads to the Pi."""
    with Machine(release, "central", machine_folder) as machine:
        yield machine
