import subprocess
import sys
from pathlib import Path

import pytest
from playbooks import ANSIBLE, REPOSITORY

pytestmark = pytest.mark.system


def build(python: Path | str, sources: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    script = ANSIBLE / "roles/sonnen_agent/files/build_wheel.py"
    return subprocess.run([str(python), script, sources, folder], capture_output=True, text=True, check=False)


def test_a_folder_that_is_no_checkout_is_told_with_the_fix(tmp_path: Path) -> None:
    built = build(sys.executable, tmp_path, tmp_path)
    assert built.returncode == 1
    assert built.stderr == f"{tmp_path} is no checkout of sonnen-agent, agent is missing: mend sonnen_agent_source\n"


def test_a_controller_without_pip_is_told_with_the_fix(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    built = build(tmp_path / "venv/bin/python", REPOSITORY, tmp_path)
    assert built.returncode == 1
    assert "has no pip to build the agent's wheel with: install it (Debian: apt install python3-pip)" in built.stderr
    assert "name it in sonnen_agent_wheel" in built.stderr


def test_the_same_sources_give_the_same_wheel_and_stay_as_they_are(tmp_path: Path) -> None:
    before = sorted([*REPOSITORY.glob("agent/*"), *REPOSITORY.glob("build/**/*")])
    wheels = []
    for name in ("first", "second"):
        built = build(sys.executable, REPOSITORY, tmp_path / name)
        assert built.stderr == ""
        wheels.append(Path(built.stdout.strip()))
    first, second = wheels
    assert first.read_bytes() == second.read_bytes()
    assert first.name.startswith("sonnen_agent-")
    assert sorted([*REPOSITORY.glob("agent/*"), *REPOSITORY.glob("build/**/*")]) == before
