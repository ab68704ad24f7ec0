"""Grafana's own front-end packages, for tests and previews: installed once into .cache, and run by Node."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest
from grafana_asking import Json

REPOSITORY: Final = Path(__file__).parents[2]
SOURCE: Final = REPOSITORY / "grafana/render"
_CACHE: Final = REPOSITORY / ".cache/render"
VERSIONS: Final = ("10", "13")
"""Of @grafana/data: the oldest that the dashboards are for, and the newest."""
CHOICES: Final = {"job": "sonnen", "instance": "home", "agent": "pi"}


class MissingNodeError(RuntimeError):
    """Node is not there, or npm, or the packages cannot be had."""


def skip_without_node() -> None:
    """Skip a test, and say why, where Node is missing; where all of it should run, fail."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        assert "CI" not in os.environ, f"{', '.join(missing)} is missing: apt install nodejs npm"
        pytest.skip(f"{', '.join(missing)} is missing: Grafana's own packages need Node 20 and npm")


def folder() -> Path:
    """Return where the packages are and the programs that use them, installed now if the lock file is another one."""
    lock = (SOURCE / "package-lock.json").read_bytes()
    place = _CACHE / hashlib.sha256(lock).hexdigest()[:16]
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (place / "node_modules").exists():
            making = _CACHE / "making"
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
            for name in ("package.json", "package-lock.json", ".npmrc"):
                shutil.copy(SOURCE / name, making)
            ended = subprocess.run(["npm", "ci"], cwd=making, capture_output=True, text=True, check=False)
            if ended.returncode:
                raise MissingNodeError(f"npm ci in grafana/render failed: {ended.stderr[-1000:]}")
            for other in _CACHE.iterdir():
                if other.is_dir() and other != making:
                    shutil.rmtree(other, ignore_errors=True)
            making.rename(place)
        for program in (*SOURCE.glob("*.mjs"), *SOURCE.glob("*.jsx")):
            # Another test may be running it.
            if not (there := place / program.name).exists() or there.read_bytes() != program.read_bytes():
                shutil.copy(program, there)
    return place


def run(program: str, *arguments: str | Path) -> str:
    """Run a program of grafana/render and return what it prints."""
    ended = subprocess.run(
        ["node", program, *arguments],
        cwd=folder(),
        capture_output=True,
        text=True,
        check=False,
        # What Grafana takes from the viewer's machine must not be what the tests' machine happens to have.
        env={**os.environ, "TZ": "UTC", "LANG": "en_US.UTF-8"},
    )
    if ended.returncode:
        raise RuntimeError(f"{program}: {ended.stderr[-3000:]}")
    return ended.stdout


def texts(
    version: str,
    url: str,
    now: float,
    boards: Sequence[Json],
    into: Path,
    *,
    choices: Mapping[str, str] = CHOICES,
) -> list[Json]:
    """Return what a person reads on dashboards at a moment, as grafana/render/texts.mjs tells it."""
    request = into / f"request-{version}.json"
    request.write_text(json.dumps({"url": url, "now": now, "choices": dict(choices), "boards": list(boards)}))
    told: list[Json] = json.loads(run("texts.mjs", version, request))
    return told


def chromium() -> Path | None:
    """Return the Chromium that there is, if there is one."""
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return next((Path(one) for one in found if one), None)


def pictures(
    url: str,
    now: float,
    boards: Sequence[Json],
    scratch: Path,
    *,
    widths: Sequence[int],
    into: Path | None = None,
    choices: Mapping[str, str] = CHOICES,
) -> list[Json]:
    """Draw dashboards at widths in pixels, into PNG files if there is a folder; return how large every letter is."""
    program = chromium()
    if program is None:
        raise MissingNodeError("chromium is missing: apt install chromium fonts-inter")
    request = scratch / "pictures.json"
    asked = {"url": url, "now": now, "choices": dict(choices), "boards": list(boards), "widths": list(widths)}
    request.write_text(json.dumps(asked | {"into": str(into) if into else None, "chromium": str(program)}))
    measured: list[Json] = json.loads(run("pictures.mjs", request))
    return measured
