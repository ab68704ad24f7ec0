"""Fixtures of booted machines: a boot is dear, so that all tests of a module share them."""

from collections.abc import Iterator
from pathlib import Path

import images
import pytest
from machines import Machine
from playbooks import other_version
from services import Service, installed_service
from sites import OLD_VERSION, Site, bare_site
from units import Unit


@pytest.fixture(scope="module", params=images.RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    """Return the Debian release that the Pi runs."""
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
    """Return the machine that gathers the numbers, of the other release; from its network, no way leads to the Pi."""
    (other,) = set(images.RELEASES) - {release}
    with Machine(other, "central", machine_folder) as machine:
        yield machine


@pytest.fixture(scope="session")
def old_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the sources of a version before ours."""
    return other_version(tmp_path_factory.mktemp("sources"), version=OLD_VERSION)


@pytest.fixture(scope="module")
def site(pi: Machine, central: Machine, machine_folder: Path, old_version: Path) -> Iterator[Site]:
    """Return the two machines as they are before the first run of the playbook."""
    with bare_site(pi, central, machine_folder, old_version) as site:
        yield site


@pytest.fixture(scope="module")
def service(pi: Machine, central: Machine, machine_folder: Path) -> Iterator[Service]:
    """Return the agent as it was installed by hand."""
    with installed_service(pi, central, machine_folder) as service:
        yield service


@pytest.fixture
def unit(service: Service) -> Iterator[Unit]:
    """Return the running service, with the config it was installed with."""
    cursor = service.unit.cursor()
    yield service.unit
    # pytest shows it where the test has failed.
    print("\n".join(service.unit.journal(after=cursor)))  # noqa: T201 # for pytest
    service.restore()
