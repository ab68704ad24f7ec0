"""What stands for a password on the central host, and what is seen of it while that is made."""

import json

import pytest
import yaml
from playbooks import REPOSITORY, Controller

pytestmark = pytest.mark.system

_TASK = "Hash the passwords"
_PASSWORDS = ("correct horse $battery staple", "another horse", "another horse")


@pytest.fixture(scope="module")
def hashed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """Return what the role's task came to for each of the passwords of the same user on the same host."""
    folder = tmp_path_factory.mktemp("access")
    (task,) = (
        task
        for task in yaml.safe_load((REPOSITORY / "roles/sonnen_central/tasks/access.yml").read_text())
        if task["name"] == _TASK
    )
    tasks: list[dict[str, object]] = []
    for number, password in enumerate(_PASSWORDS):
        told = {"content": "{{ sonnen_central_hashes.results[0] | to_json }}", "dest": f"{number}.json", "mode": "0600"}
        given = {**task["vars"], "sonnen_central_users": {"pi": password}}
        tasks += [{**task, "vars": given}, {"ansible.builtin.copy": told}]
    play = {
        "hosts": "all",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
        "tasks": tasks,
    }
    playbook = folder / "playbook.yml"
    playbook.write_text(json.dumps([play]))
    played = Controller(folder, {}).play({"all": {"hosts": {"gateway": {}}}}, playbook=playbook)
    assert played.exit_code == 0, played.output
    return [json.loads((folder / f"{number}.json").read_text()) for number in range(len(_PASSWORDS))]


def test_another_password_has_another_hash_and_the_same_one_the_same(hashed: list[dict[str, str]]) -> None:
    first, second, third = (result["stdout"] for result in hashed)
    assert first != second == third


def test_arguments_and_salt_are_the_same_whatever_the_password_is(hashed: list[dict[str, str]]) -> None:
    """Everybody on the host sees them, and a salt made of the password could be tried out fast."""
    commands = [result["cmd"] for result in hashed]
    assert commands == [commands[0]] * len(commands)


def test_a_hash_is_bcrypt(hashed: list[dict[str, str]]) -> None:
    assert {(result["stdout"][:7], len(result["stdout"])) for result in hashed} == {("$2b$10$", 60)}
