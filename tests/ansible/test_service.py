"""How the agent is started, reloaded and brought back, by what systemctl is told on this machine."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from playbooks import REPOSITORY, Controller, Played, on_a_debian

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="the files are root's: run the tests as root"),
]

_NOTIFIED = """\
    - ansible.builtin.set_fact:
        sonnen_agent_installed: {stat: {exists: true, lnk_source: "{{ sonnen_agent_releases }}/{{ linked }}"}}
    - ansible.builtin.debug:
      changed_when: true
      notify: "{{ notified }}"
"""
_SERVICE = "    - ansible.builtin.import_role: {name: sonnen.agent.sonnen_agent, tasks_from: service}\n"
_OLD_SECRETS = "    - ansible.builtin.import_role: {name: sonnen.agent.sonnen_agent, tasks_from: old_secrets}\n"
_MORE = """\
  force_handlers: true
  environment:
    PATH: "{{ folder }}/bin:{{ lookup('ansible.builtin.env', 'PATH') }}"
"""
_PLAYBOOK = on_a_debian(_NOTIFIED + _SERVICE + _OLD_SECRETS, hosts="whole", more=_MORE) + on_a_debian(
    _NOTIFIED + _OLD_SECRETS, hosts="without_service", more=_MORE
)
_SYSTEMCTL = """\
#!/bin/sh
cd "$(dirname "$0")"
case "$1" in
    show) echo "LoadState=loaded"; echo "ActiveState=$(cat state)"; echo "MainPID=$(cat process)"; exit ;;
    is-enabled) echo enabled; exit ;;
    daemon-reload) touch unit-is-known; exit ;;
esac
echo "$1" >> told
case "$1" in
    start | restart)
        if [ -e broken ]; then
            rm broken
            echo activating > state
            exit 1
        fi
        echo active > state
        ;;
    reload) [ "$(cat state)" = active ] ;;
    stop) echo inactive > state ;;
esac
"""
_JOURNALCTL = "#!/bin/sh\necho it is broken\n"
_OLD, _NEW = "1.0-old", "2.0-new"
_RELOAD, _RESTART = "Reload sonnen-agent", "Restart sonnen-agent"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A Pi before a run of the playbook, and what the run is about."""

    state: str = "active"
    """Of the agent, as systemd calls it."""
    notified: str = _RELOAD
    upgrade_to: str = ""
    broken: bool = False
    """Whether the next start fails."""
    service: bool = True
    """Whether it is not a run of another part alone."""
    new_unit: bool = True
    runs: str = ""
    """The release whose process runs."""
    linked: str = _OLD
    told: list[str] = field(default_factory=list)
    """What systemctl is to be told to do."""


_CASES = {
    "config": Case(service=False, told=["reload"]),
    "secret": Case(service=False, notified=_RESTART, told=["restart"]),
    "config-and-unit": Case(told=["restart"]),
    "config-alone": Case(new_unit=False, told=["reload"]),
    "right-release": Case(new_unit=False, runs=_OLD, told=["reload"]),
    # A run before broke off between the switch and the start.
    "left-release": Case(new_unit=False, runs=_OLD, linked=_NEW, upgrade_to=_NEW, told=["restart"]),
    "left-release-service-alone": Case(new_unit=False, runs=_NEW, told=["restart"]),
    "stopped": Case(state="inactive", notified=_RESTART, told=["start"]),
    "between-starts": Case(state="activating", told=["restart"]),
    "between-starts-secret": Case(state="activating", notified=_RESTART, told=["restart"]),
    "between-starts-only-config": Case(state="activating", service=False, told=["restart"]),
    "between-starts-only-secret": Case(state="activating", service=False, notified=_RESTART, told=["restart"]),
    "broken": Case(state="failed", notified=_RESTART, broken=True, told=["start", "stop"]),
    "upgrade": Case(upgrade_to=_NEW, notified=_RESTART, told=["restart"]),
    # Once to switch, and once more to hand over that a secret is gone.
    "upgrade-old-secret": Case(upgrade_to=_NEW, told=["restart", "restart"]),
    "upgrade-broken": Case(upgrade_to=_NEW, broken=True, told=["restart", "stop", "start"]),
    # Longer than a link may be.
    "upgrade-impossible": Case(upgrade_to=f"{_NEW}/{'x' * 5000}", told=["restart", "restart"]),
}
_WITH_OLD_SECRET = {"upgrade-old-secret", "upgrade-broken"}


def prepare(folder: Path, case: Case, *, old_secret: bool) -> None:
    """Make what the role finds on a Pi, and a systemctl that writes down what it is told."""
    (folder / "bin").mkdir(parents=True)
    for name, script in (("systemctl", _SYSTEMCTL), ("journalctl", _JOURNALCTL)):
        (folder / "bin" / name).write_text(script)
        (folder / "bin" / name).chmod(0o755)
    (folder / "bin/state").write_text(case.state)
    if case.broken:
        (folder / "bin/broken").touch()
    for name in ("secrets", f"releases/{_OLD}", f"releases/{_NEW}"):
        (folder / name).mkdir(parents=True)
    if old_secret:
        (folder / "secrets/token-gone").touch()
    (folder / "link").symlink_to(folder / "releases" / case.linked)
    (folder / "config.yml").write_text("new")
    if not case.new_unit:
        shutil.copyfile(REPOSITORY / "systemd/sonnen-agent.service", folder / "sonnen-agent.service")
    for name in ("config.yml", "sonnen-agent.service"):
        (folder / "releases" / _OLD / name).write_text("old")


def start(release: Path, processes: ExitStack) -> int:
    """Start what passes for the agent of a release, and return its process."""
    process = processes.enter_context(subprocess.Popen(["sleep", "infinity"], cwd=release))
    processes.callback(process.kill)
    return process.pid


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the run came to for all of the cases, each a host with a folder of its own."""

    folder: Path
    played: Played

    def message(self, case: str) -> str:
        """Return why a host failed in the end, or nothing."""
        failed = re.findall(rf'^fatal: \[{case}\]: FAILED! => .*"msg": "(.*?)"[,}}]', self.played.output, re.MULTILINE)
        return failed[-1] if failed else ""

    def told(self, case: str) -> list[str]:
        return (self.folder / case / "bin/told").read_text().split()

    def release(self, case: str) -> str:
        return (self.folder / case / "link").readlink().name

    def secrets(self, case: str) -> list[str]:
        return [file.name for file in (self.folder / case / "secrets").iterdir()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("service")
    with ExitStack() as processes:
        yield play(folder, processes)


def play(folder: Path, processes: ExitStack) -> Run:
    groups: dict[str, Any] = {"whole": {"hosts": {}}, "without_service": {"hosts": {}}}
    for name, case in _CASES.items():
        prepare(folder / name, case, old_secret=name in _WITH_OLD_SECRET)
        process = start(folder / name / "releases" / case.runs, processes) if case.runs else 0
        (folder / name / "bin/process").write_text(str(process))
        upgrade: dict[str, Any] = {"sonnen_agent_program": {"stat": {}}} if case.upgrade_to else {}
        group = groups["whole" if case.service else "without_service"]
        given = {"notified": case.notified, "upgrade_to": case.upgrade_to, "linked": case.linked}
        group["hosts"][name] = {**given, **upgrade}
    # They come before those that the role keeps to itself.
    variables = {
        "folder": "{{ playbook_dir }}/{{ inventory_hostname }}",
        "sonnen_agent_link": "{{ folder }}/link",
        "sonnen_agent_etc": "{{ folder }}",
        "sonnen_agent_secrets_folder": "{{ folder }}/secrets",
        "sonnen_agent_unit": "{{ folder }}/sonnen-agent.service",
        "sonnen_agent_releases": "{{ folder }}/releases",
        "sonnen_agent_release": "{{ folder }}/releases/{{ upgrade_to }}",
        "sonnen_agent_version": "2.0",
        "sonnen_agent_to_keep": ["{{ folder }}/config.yml", "{{ folder }}/sonnen-agent.service"],
    }
    playbook = folder / "playbook.yml"
    playbook.write_text(_PLAYBOOK)
    played = Controller(folder, {}).play(groups, f"--extra-vars={json.dumps(variables)}", playbook=playbook)
    return Run(folder=folder, played=played)


@pytest.mark.parametrize("case", _CASES)
def test_systemctl_is_told_no_more_than_is_needed(run: Run, case: str) -> None:
    assert run.told(case) == _CASES[case].told, run.played.output


@pytest.mark.parametrize("case", _CASES)
def test_the_run_fails_where_the_agent_does_not_get_ready(run: Run, case: str) -> None:
    assert {
        "broken": "sonnen-agent 1.0 did not get ready. It is stopped; mend what it says and run this again. It said:",
        "upgrade-broken": "sonnen-agent 2.0 did not get ready. Version 1.0 runs again, with its config. It said: it",
        "upgrade-impossible": "sonnen-agent 2.0 could not be put in its place (",
    }.get(case, "") in run.message(case)
    assert (run.message(case) == "") == (run.played.count(case, "failed") == 0)
    assert (run.message(case) != "") == (case in {"broken", "upgrade-broken", "upgrade-impossible"})


def test_systemd_knows_the_unit_also_where_a_run_before_broke_off(run: Run) -> None:
    assert (run.folder / "config-alone/bin/unit-is-known").exists()


def test_what_was_changed_before_a_failure_is_taken_over() -> None:
    plays = yaml.safe_load((REPOSITORY / "playbooks/site.yml").read_text())
    assert [play["force_handlers"] for play in plays] == [True] * len(plays)


def test_an_upgrade_switches_over(run: Run) -> None:
    assert run.release("upgrade") == run.release("upgrade-old-secret") == _NEW


@pytest.mark.parametrize("case", ["upgrade-broken", "upgrade-impossible"])
def test_an_upgrade_that_fails_brings_everything_back(run: Run, case: str) -> None:
    assert run.release(case) == _OLD
    assert (run.folder / case / "config.yml").read_text() == "old"
    assert (run.folder / case / "sonnen-agent.service").read_text() == "old"


def test_old_secrets_go_when_the_agent_runs_without_them_and_not_before(run: Run) -> None:
    assert run.secrets("upgrade-old-secret") == []
    assert run.secrets("upgrade-broken") == ["token-gone"]
