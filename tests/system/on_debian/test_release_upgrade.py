"""Debian 12 becomes Debian 13 below an agent that was installed by hand: before a release, as it takes a while."""

import os

import images
import pytest
from services import Service, readme_row, run_as_pi
from units import Unit

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


def python_of(service: Service) -> str:
    return service.pi.run(f"basename $(readlink /proc/{service.unit.main_pid}/exe)").stdout


def test_the_agent_runs_on_and_after_the_reboot_with_the_new_python(service: Service, unit: Unit) -> None:
    service.wait_for_push()
    before = service.counters()
    assert python_of(service) == "python3.11\n"

    service.pi.run(_UPGRADE, seconds=3600)

    unit.wait_for("ActiveState", "active")
    service.check_counters_go_on(before)
    before = service.counters()
    service.pi.reboot()
    unit.wait_for("ActiveState", "active")
    assert python_of(service) == "python3.13\n"
    assert unit.restarts == 0
    service.check_counters_go_on(before)


def test_there_it_is_installed_as_before(service: Service, unit: Unit) -> None:
    installed = service.pi.run("readlink /opt/sonnen-agent").stdout
    run_as_pi(service.pi, readme_row("upgrade"))
    assert service.pi.run("readlink /opt/sonnen-agent").stdout == installed
    assert unit.show("ActiveState") == "active"
    service.wait_for_push()
