"""The config that the role writes is one that the agent accepts; one that it does not accept is never in its place."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from playbooks import REPOSITORY, Controller, Played, on_a_debian
from programs import find_program

pytestmark = pytest.mark.system

_SECRETS = {
    "token-home": "a-token",
    "pushgateway-password": "a password",
    "pushgateway-proxy-password": "a proxy's",
    "remote-write-bearer-token": "another",
}
_PLAYBOOK = f"""
- hosts: all
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"
  vars_files:
    - {REPOSITORY}/roles/sonnen_agent/vars/main.yml
  tasks:
    - ansible.builtin.template:
        src: {REPOSITORY}/roles/sonnen_agent/templates/config.yml.j2
        dest: "{{{{ inventory_hostname }}}}.yml"
        mode: "0644"
    - ansible.builtin.copy:
        content: "{{{{ sonnen_agent_credentials | to_json }}}}"
        dest: "{{{{ inventory_hostname }}}}.secrets"
        mode: "0600"
"""
_HOME = {"name": "home", "url": "http://192.0.2.1"}
_CASES: dict[str, dict[str, Any]] = {
    "smallest": {
        "sonnen_agent_batteries": [_HOME],
        "sonnen_agent_pushgateway": {"url": "http://192.0.2.2:9091"},
    },
    "everything": {
        "sonnen_agent_interval_seconds": "10",
        "sonnen_agent_name": "pi: cottage",
        "sonnen_agent_timezone": "Europe/Berlin",
        "sonnen_agent_batteries": [
            {**_HOME, "token": "a-token", "labels": {"host": 'a "quoted" name: with #', "sn": "0815 🔋"}},
            {"name": "Büro: oben", "url": "https://192.0.2.4:8443", "timeout_seconds": 7.5},
        ],
        "sonnen_agent_pushgateway": {
            "url": "https://192.0.2.2:9091/some/prefix",
            "job": "yes",
            "username": "pi",
            "password": "a password",
            "on_stop": "keep",
            "compression": "none",
            "interval_seconds": 30,
            "proxy_url": "http://192.0.2.5:3128",
            "proxy_username": "pi",
            "proxy_password": "a proxy's",
        },
        "sonnen_agent_remote_write": {
            "url": "https://192.0.2.3/api/v1/write",
            "bearer_token": "another",
            "headers": {"X-Scope-OrgID": "0042"},
            "external_labels": {"site": "on"},
            "spool_max_bytes": 10485760,
            "interval_seconds": 60,
        },
        "sonnen_agent_pull": {"listen": "127.0.0.1:9422"},
        "sonnen_agent_relay": [{"url": "http://127.0.0.1:9100/metrics", "job": "node", "interval_seconds": 30}],
        "sonnen_agent_tariffs": {
            "currency": "EUR",
            "import": [
                {"name": "night", "price": 0.22, "from": "22:00", "to": "06:00"},
                {
                    "name": "peak",
                    "price": 0.45,
                    "from": "16:00",
                    "to": "21:00",
                    "days": ["mon", "tue", "wed", "thu", "fri"],
                    "months": [6, 7, 8, 9],
                },
                {"name": "day", "price": 0.31},
            ],
            "export": [{"name": "feed_in", "price": 0.08}],
            "holidays": ["2026-12-25"],
            "standing": {"price": 0.45},
        },
    },
}

_REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no-battery": ({"sonnen_agent_batteries": []}, "batteries: is missing; the smallest config is"),
    "no-gateway": ({"sonnen_agent_pushgateway": {}}, "say where the readings go"),
    "no-address": ({"sonnen_agent_pushgateway": {"job": "sonnen"}}, "pushgateway.url: is missing"),
    "same-name": ({"sonnen_agent_batteries": [_HOME, _HOME]}, "batteries[1].name: 'home' is the name of another"),
    "empty-token": ({"sonnen_agent_batteries": [{**_HOME, "token": ""}]}, "token-home' is empty"),
    "half-login": (
        {"sonnen_agent_pushgateway": {"url": "http://192.0.2.2:9091", "username": "pi"}},
        "pushgateway.password_file: is missing",
    ),
    "nobody-takes-relays": (
        {
            "sonnen_agent_pushgateway": {},
            "sonnen_agent_pull": {"listen": "127.0.0.1:9422"},
            "sonnen_agent_node_exporter": True,
        },
        "relay: needs pushgateway",
    ),
}
_WRITE = on_a_debian(
    """\
    - ansible.builtin.import_role: {name: sonnen.agent.sonnen_agent, tasks_from: secrets}
    - ansible.builtin.import_role: {name: sonnen.agent.sonnen_agent, tasks_from: config}
  handlers:
    - ansible.builtin.debug:
      listen: [Reload sonnen-agent, Restart sonnen-agent]
"""
)


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Played]:
    """Return what the role came to where another config was there before, each host in a folder of its own."""
    folder = tmp_path_factory.mktemp("refused")
    (folder / "bin").mkdir()
    (folder / "bin/sonnen-agent").symlink_to(find_program("sonnen-agent"))
    for name in _REFUSED:
        (folder / name).mkdir()
        (folder / name / "config.yml").write_text("the one before")
    playbook = folder / "playbook.yml"
    playbook.write_text(_WRITE)
    variables = {
        "sonnen_agent_link": str(folder),
        "sonnen_agent_etc": "{{ playbook_dir }}/{{ inventory_hostname }}",
        "sonnen_agent_secrets_folder": "{{ sonnen_agent_etc }}/secrets",
    }
    hosts = {name: {**_CASES["smallest"], **wrong} for name, (wrong, _) in _REFUSED.items()}
    options = f"--extra-vars={json.dumps(variables)}"
    return folder, Controller(folder, {}).play({"all": {"hosts": hosts}}, options, playbook=playbook)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the configs and the secrets of all cases."""
    folder = tmp_path_factory.mktemp("configs")
    playbook = folder / "playbook.yml"
    playbook.write_text(_PLAYBOOK)
    defaults = yaml.safe_load((REPOSITORY / "roles/sonnen_agent/defaults/main.yml").read_text())
    inventory = {"all": {"hosts": {name: {**defaults, **variables} for name, variables in _CASES.items()}}}
    played = Controller(folder, {}).play(inventory, playbook=playbook)
    assert played.exit_code == 0, played.output
    return folder


@pytest.mark.skipif(os.geteuid() != 0, reason="the files are root's: run the tests as root")
@pytest.mark.parametrize("case", _REFUSED)
def test_what_the_agent_refuses_is_told_in_its_words_and_replaces_nothing(
    refused: tuple[Path, Played], case: str
) -> None:
    folder, played = refused
    (told,) = re.findall(rf"^fatal: \[{case}\]: FAILED! => .*$", played.output, re.MULTILINE)
    assert "failed to validate" in told
    assert _REFUSED[case][1] in told
    assert (folder / case / "config.yml").read_text() == "the one before"


@pytest.mark.parametrize("case", _CASES)
def test_the_agent_accepts_it(rendered: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = rendered / f"{case}-credentials"
    credentials.mkdir()
    for name, secret in json.loads((rendered / f"{case}.secrets").read_text()).items():
        (credentials / name).write_text(secret)
        (credentials / name).chmod(0o600)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    check = [str(find_program("sonnen-agent")), "check", f"--config={rendered / case}.yml"]

    checked = subprocess.run(check, capture_output=True, text=True, check=False)

    assert checked.stderr == ""
    assert checked.returncode == 0


def test_it_says_what_the_variables_say(rendered: Path) -> None:
    config = yaml.safe_load((rendered / "everything.yml").read_text())
    given = {name.removeprefix("sonnen_agent_"): value for name, value in _CASES["everything"].items()}
    assert config == {
        **given,
        "interval_seconds": 10,
        "batteries": [without_secrets(battery) for battery in given["batteries"]],
        "pushgateway": without_secrets(given["pushgateway"]),
        "remote_write": without_secrets(given["remote_write"]),
    }


def test_no_secret_is_in_it_and_each_has_the_name_that_the_agent_looks_for(rendered: Path) -> None:
    assert json.loads((rendered / "everything.secrets").read_text()) == _SECRETS
    for secret in _SECRETS.values():
        assert secret not in (rendered / "everything.yml").read_text()


def without_secrets(section: dict[str, Any]) -> dict[str, Any]:
    secrets = {"token", "password", "bearer_token", "proxy_password"}
    return {key: value for key, value in section.items() if key not in secrets}
