import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from playbooks import ANSIBLE, REPOSITORY

pytestmark = pytest.mark.system

_ROLES = ("sonnen_agent", "sonnen_central")


def script() -> ModuleType:
    """Return scripts/ansible_variables.py, which is no module of a package."""
    spec = importlib.util.spec_from_file_location("ansible_variables", REPOSITORY / "scripts/ansible_variables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load(file: Path) -> Any:  # noqa: ANN401 - whatever YAML holds
    return yaml.safe_load(file.read_text())


def test_the_tables_of_the_readme_are_up_to_date() -> None:
    readme = (ANSIBLE / "README.md").read_text()
    assert script().with_tables(readme) == readme, "run scripts/ansible_variables.py"
    for role in _ROLES:
        for name in script().options(role):
            assert f"| `{name}` |" in readme


@pytest.mark.parametrize("role", _ROLES)
def test_every_variable_has_the_default_that_its_description_says(role: str) -> None:
    defaults = load(REPOSITORY / f"roles/{role}/defaults/main.yml")
    described = {name: option["default"] for name, option in script().options(role).items()}
    assert described == defaults


@pytest.mark.parametrize("role", _ROLES)
def test_every_description_is_a_sentence_with_a_type(role: str) -> None:
    def check(options: dict[str, Any]) -> None:
        for name, option in options.items():
            assert option["type"], name
            assert option["description"].endswith("."), name
            check(option.get("options", {}))

    check(script().options(role))


def test_every_key_of_the_config_can_be_set() -> None:
    """A key that the agent learns is one that the role has to learn."""
    text = (REPOSITORY / "systemd/config.yml").read_text()
    # Switched-off keys begin with a "#" and no space behind it.
    config = yaml.safe_load("\n".join(line.replace("#", "", 1) if is_key(line) else line for line in text.splitlines()))
    options = script().options("sonnen_agent")
    # Given by the unit.
    config.pop("state_directory")
    for key, value in config.items():
        option = options[f"sonnen_agent_{key}"]
        inside = value[0] if isinstance(value, list) else value
        if isinstance(inside, dict):
            names = {name.removesuffix("_file") if name != "ca_file" else name for name in inside}
            assert names <= set(option["options"]), key


def is_key(line: str) -> bool:
    return line.lstrip().startswith("#") and not line.lstrip().startswith(("# ", "#\n")) and len(line.strip()) > 1


def test_the_example_inventory_and_the_readme_name_no_unknown_variable() -> None:
    known = {name for role in _ROLES for name in script().options(role)}
    for example in ("inventory.example.yml", "inventory.fleet.example.yml"):
        inventory = load(ANSIBLE / example)
        used = {name for group in inventory.values() for name in group["vars"]}
        assert used <= known
