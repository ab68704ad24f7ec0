import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from playbooks import ANSIBLE, REPOSITORY

pytestmark = pytest.mark.system

_SCRIPT = ANSIBLE / "roles/sonnen_agent/files/build_wheel.py"


def build(python: Path | str, sources: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(python), _SCRIPT, sources, folder], capture_output=True, text=True, check=False)


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


def test_it_says_where_the_wheel_is_and_leaves_the_sources_as_they_are(tmp_path: Path) -> None:
    before = sorted([*REPOSITORY.glob("agent/*"), *REPOSITORY.glob("build/**/*")])
    built = build(sys.executable, REPOSITORY, tmp_path)
    assert built.stderr == ""
    wheel, fingerprint = built.stdout.splitlines()
    assert wheel == str(*tmp_path.glob("sonnen_agent-*.whl"))
    assert sorted([*REPOSITORY.glob("agent/*"), *REPOSITORY.glob("build/**/*")]) == before
    # What earlier builds and runs have left there is no part of them.
    sources = tmp_path / "sources"
    shutil.copytree(REPOSITORY / "agent", sources / "agent")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(REPOSITORY / name, sources / name)
    for left in ("build/lib/x.py", "agent/sonnen_agent.egg-info/PKG-INFO", "agent/sonnen_agent/__pycache__/x.pyc"):
        (sources / left).parent.mkdir(parents=True, exist_ok=True)
        (sources / left).touch()
    assert build(sys.executable, sources, tmp_path).stdout.splitlines()[1] == fingerprint


def test_the_wheel_has_every_file_of_the_package(tmp_path: Path) -> None:
    wheel = build(sys.executable, REPOSITORY, tmp_path).stdout.splitlines()[0]
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = [path for path in (REPOSITORY / "agent/sonnen_agent").rglob("*") if path.is_file()]
    sources = {str(path.relative_to(REPOSITORY / "agent")) for path in files if path.suffix != ".pyc"}
    assert packed == sources


def test_other_sources_have_another_fingerprint(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("build_wheel", _SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    prints = []
    for folder, name, text in (("a", "x.py", "1"), ("b", "x.py", "1"), ("c", "y.py", "1"), ("d", "x.py", "2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
        prints.append(script.fingerprint(tmp_path / folder))
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3
