"""How a release is made beside the running one, what is kept of that, and what an interrupted run makes of both."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from playbooks import Controller, Played, on_a_debian

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="the files are root's: run the tests as root"),
]

_PLAYBOOK = on_a_debian(
    """\
    - ansible.builtin.set_fact:
        sonnen_agent_installed: {stat: {exists: true, lnk_source: "{{ folder }}/releases/{{ running }}"}}
    - ansible.builtin.import_role: {name: sonnen.agent.sonnen_agent, tasks_from: release}
"""
)
_PROGRAM = "#!/bin/sh\necho 2.0\n"
_OLD, _NEW = "1.0-old", "2.0-new"
_RUNNING = {"new": _OLD, "interrupted": _OLD, "same": _NEW, "emptied": _NEW, "by-hand": _OLD}
"""The hosts, and what runs on each."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run of the tasks came to, each host with a folder of its own, and what a look before it said."""

    folder: Path
    looked: Played
    played: Played

    def kept(self, host: str, name: str) -> str:
        return (self.folder / host / "releases" / _OLD / name).read_text()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("release")
    program = folder / "program/sonnen-agent"
    program.parent.mkdir()
    program.write_text(_PROGRAM)
    for host in _RUNNING:
        (folder / host / "releases" / _OLD).mkdir(parents=True)
        for name in ("config.yml", "sonnen-agent.service"):
            (folder / host / name).write_text("of now")
            (folder / host / "releases" / _OLD / name).write_text("of then")
    # The machine went down before any of it was on the disk.
    for host in ("interrupted", "emptied", "same"):
        (folder / host / "releases" / _NEW / "bin").mkdir(parents=True)
        (folder / host / "releases" / _NEW / "bin/sonnen-agent").write_text(_PROGRAM if host == "same" else "")
    (folder / "same/releases" / _NEW / "bin/sonnen-agent").chmod(0o755)
    (folder / "by-hand/config.yml").unlink()
    playbook = folder / "playbook.yml"
    playbook.write_text(_PLAYBOOK)
    variables = {
        "folder": "{{ playbook_dir }}/{{ inventory_hostname }}",
        "sonnen_agent_build_folder": {"path": str(program.parent)},
        "sonnen_agent_etc": "{{ folder }}",
        "sonnen_agent_unit": "{{ folder }}/sonnen-agent.service",
        "sonnen_agent_releases": "{{ folder }}/releases",
        "sonnen_agent_release": f"{{{{ folder }}}}/releases/{_NEW}",
        "sonnen_agent_version": "2.0",
    }
    hosts = {host: {"running": running} for host, running in _RUNNING.items()}
    controller, options = Controller(folder, {}), f"--extra-vars={json.dumps(variables)}"
    looked = controller.play({"all": {"hosts": hosts}}, options, "--check", playbook=playbook)
    played = controller.play({"all": {"hosts": hosts}}, options, playbook=playbook)
    return Run(folder=folder, looked=looked, played=played)


@pytest.mark.parametrize("host", _RUNNING)
def test_the_program_is_whole_whatever_a_power_cut_has_left(run: Run, host: str) -> None:
    program = run.folder / host / "releases" / _NEW / "bin/sonnen-agent"
    assert (run.played.count(host, "failed"), program.read_text()) == (0, _PROGRAM), run.played.output
    assert program.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("host", _RUNNING)
def test_a_look_tells_as_many_changes_as_there_are(run: Run, host: str) -> None:
    assert (run.looked.count(host, "failed"), run.looked.count(host, "changed")) == (
        0,
        run.played.count(host, "changed"),
    )
    assert (run.looked.count(host, "changed") == 0) == (host == "same")


@pytest.mark.parametrize("name", ["config.yml", "sonnen-agent.service"])
def test_what_is_kept_is_what_the_running_release_was_started_with(run: Run, name: str) -> None:
    assert run.kept("new", name) == "of now"
    assert run.kept("interrupted", name) == "of then"
    assert run.kept("same", name) == run.kept("emptied", name) == "of then", "another one runs"


def test_one_that_was_never_set_up_has_no_config_to_keep(run: Run) -> None:
    assert run.kept("by-hand", "sonnen-agent.service") == "of now"
