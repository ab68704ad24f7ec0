import os
import re
import subprocess

import pytest
import yaml
from playbooks import ANSIBLE, REPOSITORY
from programs import find_program

# It depends on Ansible alone, and takes too long to be run with each version of the agent's libraries.
pytestmark = pytest.mark.system


def test_ansible_lint_has_nothing_to_say() -> None:
    lint = find_program("ansible-lint")
    linted = subprocess.run(
        [lint, "--offline", "--strict", "--profile=production", "--nocolor", "roles", "playbooks", "ansible/site.yml"],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "PATH": f"{lint.parent}:{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(ANSIBLE / "collections"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_no_rule_of_ansible_lint_is_switched_off() -> None:
    for name in (".ansible-lint", ".ansible-lint.yml", ".ansible-lint-ignore", ".config/ansible-lint.yml"):
        assert not (REPOSITORY / name).exists()
    marks = [
        f"{file.relative_to(REPOSITORY)}: {line}"
        for folder in ("ansible", "playbooks", "roles")
        for file in (REPOSITORY / folder).rglob("*.yml")
        for line in file.read_text().splitlines()
        if re.search(r"#\s*noqa|skip_ansible_lint|yamllint disable", line)
    ]
    assert marks == []


def test_what_touches_a_secret_is_never_logged() -> None:
    """Whatever Ansible is asked to show, a task that has a secret in its arguments or its loop says nothing."""
    secret = re.compile(
        r"_agent_credentials|_central_users|_central_web_config|_central_key_file|_central_ask\b|_data_source_access"
    )
    found = 0
    for file in sorted(REPOSITORY.glob("roles/*/tasks/*.yml")):
        for task in tasks(yaml.safe_load(file.read_text())):
            # Names of secrets, and whether there are any, are none.
            told = {key: value for key, value in task.items() if key not in {"when", "name", "vars", "block"}}
            if secret.search(str(told)) and "msg" not in str(told):
                found += 1
                assert task.get("no_log") is True, f"{file.name}: {task['name']}"
    assert found >= 6


def tasks(listed: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return all tasks of a file, those inside of blocks among them."""
    found = []
    for task in listed:
        found.append({key: value for key, value in task.items() if key not in {"block", "rescue", "always"}})
        for part in ("block", "rescue", "always"):
            inside = task.get(part, [])
            assert isinstance(inside, list)
            found += tasks(inside)
    return found
