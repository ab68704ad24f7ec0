"""Builds the agent's wheel: build_wheel.py SOURCES FOLDER prints where it is, and the fingerprint of its sources.

By that an unchanged agent is known, and not installed again: with another setuptools, another wheel is made of it.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_SOURCES = ("agent", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
_EARLIEST_IN_A_ZIP = "315532800"
_NO_PIP = "No module named pip"


def main() -> None:
    """Build it, or end with a message that names the fix."""
    sources, folder = map(Path, sys.argv[1:])
    missing = [name for name in _SOURCES if not (sources / name).exists()]
    if missing:
        sys.exit(f"{sources} is no checkout of sonnen-agent, {missing[0]} is missing: mend sonnen_agent_source")
    with tempfile.TemporaryDirectory() as name:
        # A build leaves files beside its sources, and takes those that an earlier one left there.
        copy = Path(name)
        for source in (sources / name for name in _SOURCES):
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
                shutil.copytree(source, copy / source.name, ignore=ignored)
            else:
                shutil.copy(source, copy)
        known_by = fingerprint(copy)
        _build(copy, folder)
    print(*folder.glob("*.whl"), known_by, sep="\n")


def fingerprint(sources: Path) -> str:
    """Return what changes with the name or the content of any file in there, and with nothing else."""
    files = sorted(file for file in sources.rglob("*") if file.is_file())
    digests = [(str(file.relative_to(sources)), hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]
    return hashlib.sha256(repr(digests).encode()).hexdigest()


def _build(sources: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    ended = subprocess.run(  # noqa: S603 - pip, and two folders
        [*command, "--wheel-dir", folder, sources],
        env={**os.environ, "SOURCE_DATE_EPOCH": _EARLIEST_IN_A_ZIP},
        capture_output=True,
        text=True,
        check=False,
    )
    if _NO_PIP in ended.stderr:
        sys.exit(
            f"{sys.executable} has no pip to build the agent's wheel with: install it (Debian: apt install python3-pip)"
            ", or build the wheel elsewhere and name it in sonnen_agent_wheel"
        )
    if ended.returncode:
        sys.exit(f"pip could not build the agent's wheel: {ended.stderr.strip()}")


if __name__ == "__main__":
    main()
