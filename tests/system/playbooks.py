"""A controller: a folder with an inventory and a vault, from which the playbook of ansible/ is run."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from images import SLOW
from programs import MissingProgramError, ServerError, find_program

REPOSITORY = Path(__file__).parents[2]
ANSIBLE = REPOSITORY / "ansible"
_OLDEST = REPOSITORY / ".venv-ansible-2.14/bin/ansible-playbook"
_GIT = ("git", "-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
_RECAP = re.compile(r"^(\S+) +: (ok=.*)$", re.MULTILINE)

Inventory = Mapping[str, Any]
_ON_A_DEBIAN = """
- hosts: HOSTS
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
    - ansible.builtin.set_fact:
        cacheable: true
        distribution: Debian
        distribution_version: "12.5"
        distribution_major_version: "12"
        service_mgr: systemd
        user_id: root
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What a run of a playbook came to."""

    exit_code: int
    output: str

    def count(self, host: str, what: str) -> int:
        """Return how many tasks of a host ended so: ok, changed, failed, skipped, rescued."""
        counts = dict(_RECAP.findall(self.output))[host]
        return int(re.findall(rf"{what}=(\d+)", counts)[0])

    @property
    def words(self) -> str:
        """The output on one line, as messages may be broken anywhere."""
        return " ".join(self.output.split())


class Controller:
    """Where Ansible runs."""

    def __init__(self, folder: Path, secrets: Mapping[str, str]) -> None:
        """Put the secrets into a vault, for the inventories to refer to."""
        self._ansible_playbook = find_program("ansible-playbook")
        self._playbook: Path | str = ANSIBLE / "site.yml"
        self.folder = folder
        self._environment = {
            # Ansible starts a Python for each task: none of them is what coverage is about, and each would take longer.
            **{name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
            "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ANSIBLE / "collections"),
            "ANSIBLE_HOME": str(folder / "home"),
            # Ansible keeps connections open; not for longer than the machines live.
            "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=30s",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_VAULT_PASSWORD_FILE": str(folder / "vault-password"),
        }
        (folder / "vault-password").write_text("the vault's password")
        self.vault = folder / "group_vars/all/vault.yml"
        self.vault.parent.mkdir(parents=True)
        self.change_secrets(secrets)

    def change_secrets(self, secrets: Mapping[str, str]) -> None:
        """Write the vault anew."""
        self.vault.write_text(json.dumps(dict(secrets)))
        vault = [str(find_program("ansible-vault")), "encrypt", str(self.vault)]
        subprocess.run(vault, env=self._environment, capture_output=True, check=True)

    def use_oldest_ansible(self) -> None:
        """Play with the oldest Ansible that is good enough, Debian 12's, from now on."""
        if not _OLDEST.exists():
            raise MissingProgramError(f"{_OLDEST} is not on this machine: run scripts/test, which gets it")
        self._ansible_playbook = _OLDEST

    def install_collection(self) -> Path:
        """Play from now on from the collection, of a git repository of what is here, and return where it is."""
        repository, collections = self.folder / "repository", self.folder / "collections"
        checkout(repository)
        for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message=all"]):
            subprocess.run([*_GIT, *command], cwd=repository, check=True)
        self._environment["ANSIBLE_COLLECTIONS_PATH"] = str(collections)
        galaxy = self._ansible_playbook.with_name("ansible-galaxy")
        install = [str(galaxy), "collection", "install", f"git+file://{repository}"]
        subprocess.run(install, env=self._environment, capture_output=True, check=True)
        self._playbook = "sonnen.agent.site"
        return collections / "ansible_collections/sonnen/agent"

    def play(
        self, inventory: Inventory, *options: str, playbook: Path | None = None, as_users_do: bool = False
    ) -> Played:
        """Run a playbook, by default that of the roles; by Ansible's own ways to the hosts, if it should be."""
        file = self.folder / "inventory.yml"
        file.write_text(json.dumps(inventory))
        hastened = {} if as_users_do or SLOW in os.environ else _hastened()
        done = subprocess.run(
            [self._ansible_playbook, f"--inventory={file}", *options, playbook or self._playbook],
            cwd=self.folder,
            env={**self._environment, **hastened},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Played(exit_code=done.returncode, output=done.stdout)

    def play_well(self, inventory: Inventory, *options: str, as_users_do: bool = False) -> Played:
        """Run the playbook, or raise ServerError with its output when it fails."""
        played = self.play(inventory, *options, as_users_do=as_users_do)
        if played.exit_code:
            raise ServerError(f"the playbook failed:\n{played.output}")
        return played


def _hastened() -> dict[str, str]:
    """Return what lets Ansible keep one Python on each host for all modules: they take half of the processor's time."""
    mitogen = importlib.util.find_spec("ansible_mitogen")
    if mitogen is None or mitogen.origin is None:
        raise MissingProgramError("mitogen is not on this machine: pip install '.[ansible]'")
    return {
        "ANSIBLE_STRATEGY": "mitogen_linear",
        "ANSIBLE_STRATEGY_PLUGINS": str(Path(mitogen.origin).parent / "plugins/strategy"),
        # It does not look into the ssh_common_args of the machines for this.
        "ANSIBLE_HOST_KEY_CHECKING": "false",
    }


def filter_plugin(role: str) -> ModuleType:
    """Return the filters of a role, which are no module of a package."""
    spec = importlib.util.spec_from_file_location(f"{role}_filters", REPOSITORY / f"plugins/filter/{role}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def on_a_debian(tasks: str, *, hosts: str = "all", more: str = "") -> str:
    """Return a play of some tasks on this machine, which is told to be a Debian, and behind them `more` of its keys."""
    return _ON_A_DEBIAN.replace("HOSTS", hosts) + tasks + more


def checkout(folder: Path, *names: str) -> None:
    """Copy what is under version control, or what of it has these names, into the folder, which is made."""
    listed = subprocess.run(["git", "ls-files", "-z", *names], cwd=REPOSITORY, capture_output=True, check=True)
    for name in listed.stdout.decode().rstrip("\0").split("\0"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name, follow_symlinks=False)


def other_version(folder: Path, *, version: str, crash: str = "") -> Path:
    """Return the sources of the agent with another version, in a folder of their own; it crashes, if it should."""
    sources = folder / version
    checkout(sources, "agent", "LICENSE", "systemd")
    package = sources / "agent/sonnen_agent/__init__.py"
    package.write_text(re.sub(r"(?m)^__version__ = .*$", f'__version__ = "{version}"', package.read_text()))
    if crash:
        run = sources / "agent/sonnen_agent/commands/run.py"
        run.write_text(f"{run.read_text()}\n\ndef run(*_: object) -> int:\n    raise RuntimeError({crash!r})\n")
    return sources
