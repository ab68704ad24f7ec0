"""Debian 12 becomes Debian 13 below an agent, by hand and by the role: before a release, as it takes a while."""

import os
from collections.abc import Iterator
from pathlib import Path

import images
import pytest
from machines import Machine
from services import Service, install_by_hand, install_by_role, installed_service, readme_row, run_as_pi

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(images.SLOW not in os.environ, reason="only with scripts/test --slow"),
    pytest.mark.parametrize("release", ["bookworm"], indirect=True, scope="module"),
]

_UPGRADE = """
set -e
sed -i s/bookworm/trixie/g /etc/apt/sources.list
apt-get update
apt-get -y -o Dpkg::Options::=--force-confold dist-upgrade
"""


@pytest.fixture(scope="module", params=["hand", "role"])
def way(request: pytest.FixtureRequest) -> str:
    """Return how the agent is installed."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def machine_folder(tmp_path_factory: pytest.TempPathFactory, way: str) -> Path:
    """Return a folder, and with it machines, for each way."""
    return tmp_path_factory.mktemp(way)


@pytest.fixture(scope="module")
def service(pi: Machine, central: Machine, machine_folder: Path, way: str) -> Iterator[Service]:
    install = install_by_hand if way == "hand" else install_by_role
    with installed_service(pi, central, machine_folder, install) as service:
        yield service


def python_of(service: Service) -> str:
    return service.pi.run(f"basename $(readlink /proc/{service.unit.main_pid}/exe)").stdout


def test_the_agent_runs_on_and_after_the_reboot_with_the_new_python(service: Service) -> None:
    service.wait_for_push()
    before = service.counters()
    assert python_of(service) == "python3.11\n"

    service.pi.run(_UPGRADE, seconds=3600)

    service.unit.wait_for("ActiveState", "active")
    service.check_counters_go_on(before)
    before = service.counters()
    service.pi.reboot()
    service.unit.wait_for("ActiveState", "active")
    assert python_of(service) == "python3.13\n"
    assert service.unit.restarts == 0
    service.check_counters_go_on(before)


def test_there_it_is_installed_as_before(service: Service, way: str, machine_folder: Path) -> None:
    installed = service.pi.run("readlink /opt/sonnen-agent").stdout
    if way == "hand":
        run_as_pi(service.pi, readme_row("upgrade"))
    else:
        pid = service.unit.main_pid
        again = install_by_role(service, machine_folder)
        assert again.count("raspberry", "changed") == 0, again.output
        assert service.unit.main_pid == pid
    assert service.pi.run("readlink /opt/sonnen-agent").stdout == installed
    assert service.unit.show("ActiveState") == "active"
    service.wait_for_push()
