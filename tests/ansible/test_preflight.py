"""What stops a play before anything is touched, on this machine, which is told to be another."""

import json
import re

import pytest
from playbooks import ANSIBLE, REPOSITORY, Controller, Played

pytestmark = pytest.mark.system

_PLAYBOOK = """
- hosts: all
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    told:
      distribution: Debian
      distribution_version: "12.5"
      distribution_major_version: "12"
      service_mgr: systemd
      user_id: root
  tasks:
    - ansible.builtin.set_fact:
        cacheable: true
        distribution: "{{ (told | combine(facts | default({}))).distribution }}"
        distribution_version: "{{ (told | combine(facts | default({}))).distribution_version }}"
        distribution_major_version: "{{ (told | combine(facts | default({}))).distribution_major_version }}"
        service_mgr: "{{ (told | combine(facts | default({}))).service_mgr }}"
        user_id: "{{ (told | combine(facts | default({}))).user_id }}"
      tags: always
    - ansible.builtin.import_role: {name: sonnen.agent.sonnen_agent}
      when: "'agents' in group_names"
    - ansible.builtin.import_role: {name: sonnen.agent.sonnen_central}
      when: "'centrals' in group_names"
"""
_HOME = {"name": "home", "url": "http://192.0.2.1"}
_GATEWAY = {"url": "http://192.0.2.2:9091"}
_GOOD: dict[str, object] = {"sonnen_agent_batteries": [_HOME], "sonnen_agent_pushgateway": _GATEWAY}
_VAULT = "a-token-out-of-a-vault"
_AGENTS: dict[str, tuple[dict[str, object], str]] = {
    # Nothing is wrong with these.
    "good": (_GOOD, ""),
    "raspbian": ({**_GOOD, "facts": {"distribution": "Raspbian", "distribution_major_version": "13"}}, ""),
    "vaulted": ({**_GOOD, "sonnen_agent_batteries": [{**_HOME, "token": "{{ vault_token }}"}]}, ""),
    "to-be-removed": ({"sonnen_agent_state": "absent"}, ""),
    # And of each of these, something is.
    "odd-name": (
        {**_GOOD, "sonnen_agent_batteries": [{**_HOME, "name": "a/b", "token": "{{ vault_token }}"}]},
        "kept in a file that has its name, which cannot be: a/b. Use letters",
    ),
    "no-certificate": (
        {**_GOOD, "sonnen_agent_pushgateway": {**_GATEWAY, "ca_file": "/nowhere/ca.pem"}},
        "These files are not on the controller: /nowhere/ca.pem. Mend the path",
    ),
    "unknown-key": (
        {**_GOOD, "sonnen_agent_batteries": [{**_HOME, "tokne": "{{ vault_token }}"}]},
        "sonnen_agent_batteries.tokne. Supported parameters include: ca_file, labels, name, timeout_seconds, token",
    ),
    "unknown-variable": (
        {**_GOOD, "sonnen_agent_timzone": "Europe/Berlin"},
        "There is no variable called sonnen_agent_timzone: the table in ansible/README.md has all of them.",
    ),
    "wrong-type": ({**_GOOD, "sonnen_agent_interval_seconds": "often"}, "sonnen_agent_interval_seconds"),
    "ubuntu": (
        {**_GOOD, "facts": {"distribution": "Ubuntu", "distribution_version": "24.04"}},
        "This host runs Ubuntu 24.04: needed is Debian 12 or 13, or Raspberry Pi OS",
    ),
    "old-debian": (
        {**_GOOD, "facts": {"distribution_version": "11.9", "distribution_major_version": "11"}},
        "This host runs Debian 11.9: needed is Debian 12 or 13",
    ),
    "no-systemd": (
        {**_GOOD, "facts": {"service_mgr": "sysvinit"}},
        "This host is run by sysvinit, and has to be run by systemd",
    ),
    "not-root": (
        {**_GOOD, "facts": {"user_id": "pi"}},
        "The play runs as pi, and has to become root: set become to true.",
    ),
}
_CENTRALS: dict[str, tuple[dict[str, object], str]] = {
    "closed": ({}, ""),
    "trusted": ({"sonnen_central_pushgateway_listen": ":9091", "sonnen_central_trusted_network": True}, ""),
    "open": (
        {"sonnen_central_pushgateway_listen": "0.0.0.0:9091"},
        "sonnen_central_pushgateway_listen would let everybody on the network in. Give a certificate",
    ),
    # As --extra-vars gives it.
    "not-trusted": (
        {"sonnen_central_pushgateway_listen": "0.0.0.0:9091", "sonnen_central_trusted_network": "false"},
        "sonnen_central_pushgateway_listen would let everybody on the network in. Give a certificate",
    ),
    "no-tls": (
        {"sonnen_central_prometheus_listen": "192.0.2.3:9090", "sonnen_central_users": {"pi": "{{ vault_token }}"}},
        "sonnen_central_prometheus_listen would let everybody on the network in.",
    ),
    "no-key": (
        {"sonnen_central_certificate_file": "/etc/hostname"},
        "A certificate and its key go together: give both",
    ),
    "empty-password": (
        {"sonnen_central_users": {"pi": ""}},
        "Secrets are empty: sonnen_central_users.pi. Fill them in, or leave their keys out.",
    ),
    "without-effect": (
        {"sonnen_central_servers": False, "sonnen_central_retention": "5y", "sonnen_central_remote_write": True},
        "these would have no effect: sonnen_central_retention, sonnen_central_remote_write. Leave them out",
    ),
    "central-unknown": (
        {"sonnen_central_listen": "192.0.2.3:9091"},
        "There is no variable called sonnen_central_listen: the table",
    ),
    "backup": ({"sonnen_central_backup": {"folder": "/mnt/backup/sonnen", "keep": 30}}, ""),
    "backup-nowhere": (
        {"sonnen_central_backup": {"keep": 30}},
        "sonnen_central_backup needs a folder, as a whole path without spaces, such as /mnt/backup/sonnen.",
    ),
    "backup-odd": ({"sonnen_central_backup": {"folder": "/mnt/my disk"}}, "sonnen_central_backup needs a folder"),
    "zone": ({"sonnen_central_timezone": "America/Los_Angeles"}, ""),
    "no-zone": (
        {"sonnen_central_timezone": "Europe/Berln"},
        "There is no time zone Europe/Berln: write one such as America/Los_Angeles into sonnen_central_timezone",
    ),
    "central-ubuntu": ({"facts": {"distribution": "Ubuntu"}}, "This host runs Ubuntu"),
}
_ALL = {**_AGENTS, **_CENTRALS}


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Controller:
    folder = tmp_path_factory.mktemp("preflight")
    return Controller(folder, {"vault_token": _VAULT})


def play(controller: Controller, *options: str) -> Played:
    playbook = controller.folder / "preflight.yml"
    playbook.write_text(_PLAYBOOK)
    inventory = {
        "agents": {"hosts": {name: variables for name, (variables, _) in _AGENTS.items()}},
        "centrals": {"hosts": {name: variables for name, (variables, _) in _CENTRALS.items()}},
    }
    # Only what always runs: the preflight.
    return controller.play(
        inventory, "--check", "--tags=none-of-them", "-vvv", *options, playbook=playbook, as_users_do=True
    )


@pytest.fixture(scope="module")
def played(controller: Controller) -> Played:
    """Return what all of these hosts in one inventory come to."""
    return play(controller)


def message(played: Played, host: str) -> str:
    """Return why a host failed, or nothing."""
    failed = re.search(rf"^fatal: \[{host}\]: FAILED! => (\{{.*?^\}})", played.output, re.MULTILINE | re.DOTALL)
    if failed is None:
        return ""
    told = json.loads(failed[1])["msg"]
    return told if isinstance(told, str) else "\n".join(told)


@pytest.mark.parametrize("host", [name for name, (_, expected) in _ALL.items() if expected])
def test_it_stops_with_the_fix(played: Played, host: str) -> None:
    assert _ALL[host][1] in message(played, host), message(played, host) or played.output[-3000:]


@pytest.mark.parametrize("host", [name for name, (_, expected) in _ALL.items() if not expected])
def test_it_lets_pass_what_is_right(played: Played, host: str) -> None:
    assert message(played, host) == ""
    assert played.count(host, "failed") == 0


@pytest.mark.parametrize("host", _ALL)
def test_nothing_is_touched(played: Played, host: str) -> None:
    assert played.count(host, "changed") == 0


def test_no_secret_is_shown(played: Played) -> None:
    assert _VAULT not in played.output


def test_it_stops_with_the_fix_where_ansible_is_too_old(controller: Controller) -> None:
    played = play(controller, "--limit=good", "--extra-vars=sonnen_host_minimum_ansible=99.0")
    assert "install ansible-core 99.0 or newer on the controller" in message(played, "good")


def test_all_places_agree_on_how_new_ansible_has_to_be() -> None:
    files = [*REPOSITORY.glob("roles/*/meta/main.yml"), REPOSITORY / "roles/sonnen_host/vars/main.yml"]
    texts = [file.read_text() for file in files]
    assert {re.findall(r'(?:min|minimum)_ansible(?:_version)?: "(.*)"', text)[0] for text in texts} == {"2.14"}
    assert "ansible-core 2.14 or" in (ANSIBLE / "README.md").read_text()
    assert "ansible-core >= 2.14" in (REPOSITORY / "setup.cfg").read_text()
