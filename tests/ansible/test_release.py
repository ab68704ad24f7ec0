"""What is kept of the running release while another is made beside it."""

import json
from pathlib import Path

import pytest
import yaml
from playbooks import ANSIBLE, Controller

pytestmark = pytest.mark.system

_TASKS = ("Remove what an interrupted run has left", "Keep what the running release was started with")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where two hosts got a new release, one of them after a run that had written the new config already."""
    folder = tmp_path_factory.mktemp("release")
    (block,) = yaml.safe_load((ANSIBLE / "roles/sonnen_agent/tasks/release.yml").read_text())
    play = {
        "hosts": "all",
        "connection": "local",
        "gather_facts": False,
        "vars": {
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "sonnen_agent_etc": "{{ playbook_dir }}/{{ inventory_hostname }}",
            "sonnen_agent_unit": "{{ sonnen_agent_etc }}/sonnen-agent.service",
            "sonnen_agent_previous": "{{ sonnen_agent_etc }}/1.0",
            "sonnen_agent_release": "{{ sonnen_agent_etc }}/2.0",
        },
        "tasks": [task for task in block["block"] if task["name"] in _TASKS],
    }
    for host in ("new", "interrupted"):
        (folder / host / "1.0").mkdir(parents=True)
        for name in ("config.yml", "sonnen-agent.service"):
            (folder / host / name).write_text(f"{name} of now")
            (folder / host / "1.0" / name).write_text(f"{name} of then")
    (folder / "interrupted/2.0").mkdir()
    playbook = folder / "playbook.yml"
    playbook.write_text(json.dumps([play]))
    played = Controller(folder, {}).play({"all": {"hosts": {"new": {}, "interrupted": {}}}}, playbook=playbook)
    assert played.exit_code == 0, played.output
    return folder


@pytest.mark.parametrize("name", ["config.yml", "sonnen-agent.service"])
def test_it_is_what_the_release_runs_with(folder: Path, name: str) -> None:
    assert (folder / "new/1.0" / name).read_text() == f"{name} of now"
    assert (folder / "interrupted/1.0" / name).read_text() == f"{name} of then"
