import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from playbooks import REPOSITORY, checkout
from servers import Simulator

pytestmark = pytest.mark.system

_SCRIPT = REPOSITORY / "roles/sonnen_agent/files/package.py"


def package(sources: Path, program: Path, *, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, _SCRIPT, sources, program], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the agent of this repository as one program."""
    program = tmp_path_factory.mktemp("program") / "sonnen-agent"
    assert package(REPOSITORY, program).stderr == ""
    return program


def test_a_folder_that_is_no_checkout_is_told_with_the_fix(tmp_path: Path) -> None:
    packed = package(tmp_path, tmp_path / "sonnen-agent")
    assert packed.returncode == 1
    assert packed.stderr == (
        f"{tmp_path} is no checkout of sonnen-agent, {tmp_path}/LICENSE is missing: mend sonnen_agent_source\n"
    )


def test_the_same_sources_make_the_same_file_whatever_lies_among_them(program: Path, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    checkout(sources, "agent", "LICENSE")
    for left in ("agent/sonnen_agent.egg-info/PKG-INFO", "agent/sonnen_agent/__pycache__/x.pyc"):
        (sources / left).parent.mkdir(parents=True, exist_ok=True)
        (sources / left).touch()
    before = sorted(sources.rglob("*"))
    # Of another Python, where there is one.
    assert package(sources, tmp_path / "same", python=shutil.which("python3", path=os.defpath) or "").returncode == 0
    assert (tmp_path / "same").read_bytes() == program.read_bytes()
    assert {file.date_time for file in zipfile.ZipFile(program).infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert sorted(sources.rglob("*")) == before
    (sources / "agent/sonnen_agent/cli.py").write_text("")
    assert package(sources, tmp_path / "other").returncode == 0
    assert (tmp_path / "other").read_bytes() != program.read_bytes()


def test_it_has_every_file_of_the_package(program: Path) -> None:
    files = [path for path in (REPOSITORY / "agent/sonnen_agent").rglob("*") if path.is_file()]
    wanted = {str(path.relative_to(REPOSITORY / "agent")) for path in files if path.suffix not in {".pyc", ".typed"}}
    assert set(zipfile.ZipFile(program).namelist()) == {*wanted, "LICENSE", "__main__.py"}


def test_it_says_the_version_that_it_has(program: Path) -> None:
    version = package(REPOSITORY, program).stdout
    asked = subprocess.run([sys.executable, program, "--version"], capture_output=True, text=True, check=True)
    assert asked.stdout == f"sonnen-agent {version}"


def test_it_reads_what_it_needs_out_of_itself(program: Path, tmp_path: Path) -> None:
    class PackedSimulator(Simulator):
        def _program(self) -> Sequence[str | Path]:
            return sys.executable, program, "simulate"

    # It answers once it has read its file of words.
    with PackedSimulator(tmp_path):
        pass
