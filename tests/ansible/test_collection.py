"""The roles as a collection, which Ansible installs from a git repository of what is here."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from playbooks import REPOSITORY, Controller, Played, on_a_debian

import sonnen_agent

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="the files are root's: run the tests as root"),
]

_PLAYBOOK = on_a_debian(
    """\
    - ansible.builtin.set_fact:
        sonnen_agent_installed: {stat: {exists: false}}
    - ansible.builtin.import_role: {name: sonnen.agent.sonnen_agent, tasks_from: program}
    - ansible.builtin.import_role: {name: sonnen.agent.sonnen_central, tasks_from: grafana}
    - ansible.builtin.import_role: {name: sonnen.agent.sonnen_host, tasks_from: before}
""",
    more="""\
  environment:
    PATH: "{{ playbook_dir }}/bin:{{ lookup('ansible.builtin.env', 'PATH') }}"
""",
)
_SYSTEMCTL = "#!/bin/sh\necho LoadState=loaded\necho ActiveState=active\n"


@dataclass(frozen=True, kw_only=True)
class Installed:
    """The collection in a folder of a controller that has no checkout, and what was played from it there."""

    controller: Path
    """The folder in which all of it happens."""
    folder: Path
    """That of the collection."""
    looked: Played
    """What its own playbook would do."""
    played: Played
    """A play of the user's own, with parts of its roles on this machine."""


@pytest.fixture(scope="module", params=["oldest", "newest"])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("controller")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TMPDIR", str(folder))
        controller = Controller(folder, {})
    if request.param == "oldest":
        controller.use_oldest_ansible()
    collection = controller.install_collection()
    looked = controller.play(
        {"pi": {"hosts": {"raspberry": {}}}, "central": {"hosts": {"prometheus": {}}}},
        "--list-tasks",
    )
    (folder / "bin").mkdir()
    (folder / "bin/systemctl").write_text(_SYSTEMCTL)
    (folder / "bin/systemctl").chmod(0o755)
    playbook = folder / "playbook.yml"
    playbook.write_text(_PLAYBOOK)
    variables = {
        "sonnen_central_grafana_etc": str(folder / "central"),
        "sonnen_central_dashboards_folder": str(folder / "central/dashboards"),
        "sonnen_central_grafana_group": "root",
        "sonnen_central_data_source_access": {"url": "http://192.0.2.1:9090"},
        "sonnen_central_timezone": "Australia/Sydney",
        "sonnen_host_before_file": str(folder / "before.json"),
        "sonnen_host_before_paths": [],
    }
    options = f"--extra-vars={json.dumps(variables)}"
    played = controller.play({"all": {"hosts": {"here": {}}}}, options, playbook=playbook, as_users_do=True)
    return Installed(controller=folder, folder=collection, looked=looked, played=played)


def test_its_playbook_is_called_by_its_full_name(installed: Installed) -> None:
    assert installed.looked.exit_code == 0, installed.looked.output
    for task in (
        "sonnen.agent.sonnen_central : Make our folder",
        "sonnen.agent.sonnen_central : Wait until those of each battery are there",
        "sonnen.agent.sonnen_agent : Pack the agent into one program",
        "sonnen.agent.sonnen_host : Stop unless the host can be set up",
    ):
        assert task in installed.looked.output


def test_the_agent_is_packed_from_what_is_in_it(installed: Installed, tmp_path: Path) -> None:
    script = REPOSITORY / "roles/sonnen_agent/files/package.py"
    subprocess.run([sys.executable, script, REPOSITORY, tmp_path / "program"], stdout=subprocess.DEVNULL, check=True)
    (packed,) = installed.controller.glob("sonnen-agent-*/sonnen-agent")
    assert packed.read_bytes() == (tmp_path / "program").read_bytes()


def test_its_filters_and_its_dashboards_are_found(installed: Installed) -> None:
    assert installed.played.exit_code == 0, installed.played.output
    dashboards = {file.name for file in (REPOSITORY / "grafana/dashboards").iterdir()}
    written = {file.name: file.read_text() for file in (installed.controller / "central/dashboards").iterdir()}
    assert set(written) == dashboards
    assert all('"timezone": "Australia/Sydney"' in text for text in written.values())


def test_whatever_a_role_takes_from_the_checkout_is_in_it(installed: Installed) -> None:
    for folder in ("agent/sonnen_agent", "grafana/provisioning", "prometheus", "roles", "systemd"):
        here = subprocess.run(["git", "ls-files", folder], cwd=REPOSITORY, capture_output=True, text=True, check=True)
        names = [name for name in here.stdout.split() if not name.startswith("prometheus/tests/")]
        assert names
        assert [name for name in names if not (installed.folder / name).is_file()] == []


def test_it_is_small_and_has_no_links(installed: Installed) -> None:
    files = [path for path in installed.folder.rglob("*") if not path.is_dir() and path.suffix != ".pyc"]
    assert [path for path in installed.folder.rglob("*") if path.is_symlink()] == []
    assert len(files) < 250
    assert sum(path.stat().st_size for path in files) < 3 * 1024 * 1024


def test_it_has_the_version_of_the_agent() -> None:
    assert yaml.safe_load((REPOSITORY / "galaxy.yml").read_text())["version"] == sonnen_agent.__version__


def test_the_controller_needs_nothing_but_python() -> None:
    """There may be no GNU tool on it: modules of Ansible are written in Python, and commands are its own."""
    delegated = 0
    for file in sorted(REPOSITORY.glob("roles/*/tasks/*.yml")):
        for text in file.read_text().split("- name: ")[1:]:
            if "delegate_to: localhost" in text:
                delegated += 1
                commands = text.count("ansible.builtin.command:")
                assert "ansible.builtin.shell" not in text
                assert text.count('      - "{{ ansible_playbook_python }}"\n') == commands, f"{file.name}: {text}"
    assert delegated == 4
