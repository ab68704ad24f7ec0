"""What the central role tells the backup of the gateway that it reports to, whoever has set that up."""

import json
from base64 import b64encode
from typing import Any

import pytest
from playbooks import Controller, on_a_debian

pytestmark = pytest.mark.system

_GUARD = "{tls_server_config: {cert_file: CERTIFICATE, key_file: k}, basic_auth_users: {pi: a hash}}"
_LOGIN = ["--user=pi", "--password-file=/etc/prometheus/sonnen/password"]
_TASKS = """\
    # For its variables.
    - ansible.builtin.import_role: {name: sonnen.agent.sonnen_central, tasks_from: numbers}
      when: false
    - ansible.builtin.copy:
        content: "{{ sonnen_central_backup_arguments | to_json }}"
        dest: "{{ inventory_hostname }}.json"
        mode: "0600"
"""


def gateway(*, guard_file: str, guard: str = "", **variables: object) -> dict[str, object]:
    """Return the variables of a host whose gateway has this guard."""
    text = b64encode(guard.encode()).decode()
    flags = f"--web.listen-address=:9092 --web.config.file={guard_file}"
    return {
        "sonnen_central_arguments": {"prometheus-pushgateway": f'ARGS="{flags}"\n'},
        "sonnen_central_other_guards": {"results": [{"item": guard_file, "content": text}] if guard else []},
        "sonnen_central_data_arguments": {"content": ""},
        **variables,
    }


_USERS: dict[str, Any] = {"sonnen_central_users": {"pi": "a made-up password"}}
_THEIRS = "/etc/pushgateway/mine.yml"
_OURS = "/etc/prometheus/sonnen/web.yml"
_GIVEN: dict[str, Any] = {"sonnen_central_certificate_file": "gateway.crt", "sonnen_central_key_file": "gateway.key"}
CASES: dict[str, tuple[dict[str, object], list[str]]] = {
    "theirs": (
        gateway(guard_file=_THEIRS, guard=_GUARD.replace("CERTIFICATE", "tls/mine.crt"), **_USERS),
        ["--gateway=https://127.0.0.1:9092", "--certificate=/etc/pushgateway/tls/mine.crt", *_LOGIN],
    ),
    "theirs-elsewhere": (
        gateway(guard_file=_THEIRS, guard=_GUARD.replace("CERTIFICATE", "/srv/mine.crt")),
        ["--gateway=https://127.0.0.1:9092", "--certificate=/srv/mine.crt"],
    ),
    "ours": (
        gateway(guard_file=_OURS, **_USERS, **_GIVEN),
        ["--gateway=https://127.0.0.1:9092", "--certificate=/etc/prometheus/sonnen/tls.crt", *_LOGIN],
    ),
    "ours-without-tls": (gateway(guard_file=_OURS, **_USERS), ["--gateway=http://127.0.0.1:9092", *_LOGIN]),
    "open": (gateway(guard_file=""), ["--gateway=http://127.0.0.1:9092"]),
}


def test_it_gets_the_certificate_and_the_login_also_of_a_gateway_that_was_there_before(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("backup")
    playbook = folder / "playbook.yml"
    playbook.write_text(on_a_debian(_TASKS))
    hosts = {name: variables for name, (variables, _) in CASES.items()}

    played = Controller(folder, {}).play({"all": {"hosts": hosts}}, playbook=playbook)

    assert played.exit_code == 0, played.output
    told = {name: json.loads((folder / f"{name}.json").read_text()) for name in CASES}
    assert told == {name: arguments for name, (_, arguments) in CASES.items()}
