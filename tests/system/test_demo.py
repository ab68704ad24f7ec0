"""The demo is the first thing a newcomer runs: it shows numbers, says so when it cannot, and leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import Program, find_program

pytestmark = pytest.mark.system

REPOSITORY = Path(__file__).parents[2]
LINE = re.compile(
    r"\d\d:\d\d:\d\d production +\d+ W  consumption +\d+ W"
    r"  battery +-?\d+ W .{13}  grid +-?\d+ W .{9}  charge +\d+ %"
)


@pytest.fixture(autouse=True)
def _servers() -> None:
    for program in ("prometheus", "prometheus-pushgateway", "sonnen-agent"):
        find_program(program)


@pytest.fixture
def temporary_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "demo"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(temporary_folder: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(REPOSITORY / "tests/system"), "TMPDIR": str(temporary_folder)}


def demo(*options: str | Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, REPOSITORY / "scripts/demo.py", *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def agent_that(does: str, tmp_path: Path) -> Path:
    program = tmp_path / "agent"
    program.write_text(f"#!/bin/sh\necho broken on purpose >&2\n{does}\n")
    program.chmod(0o755)
    return program


def test_the_command_of_the_readme_shows_numbers_out_of_prometheus() -> None:
    shown = subprocess.run(
        [REPOSITORY / "scripts/demo", "--for", "25"], capture_output=True, text=True, timeout=300, check=False
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert LINE.fullmatch(shown.stdout.rstrip().splitlines()[-3])


def test_an_unknown_option_is_a_usage_error() -> None:
    refused = subprocess.run([REPOSITORY / "scripts/demo", "--fro"], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("usage: scripts/demo")


def test_a_demo_without_a_number_fails_and_shows_the_log_of_the_agent(
    environment: dict[str, str], tmp_path: Path, temporary_folder: Path
) -> None:
    failed = demo("--for=3", "--agent", agent_that("exec sleep 60", tmp_path), environment=environment)
    assert failed.returncode == 1
    assert "The demo failed: no number arrived in 3 seconds; the agent's log:\nbroken on purpose" in failed.stderr
    assert list(temporary_folder.iterdir()) == []


def test_an_agent_that_ends_by_itself_fails_the_demo_at_once(environment: dict[str, str], tmp_path: Path) -> None:
    failed = demo("--for=3600", "--agent", agent_that("exit 3", tmp_path), environment=environment)
    assert failed.returncode == 1
    assert "agent run ended by itself with exit code 3; its log:\nbroken on purpose" in failed.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["ctrl-c", "kill", "hang-up"])
def test_a_demo_that_is_ended_leaves_no_process_and_no_file(
    number: signal.Signals, environment: dict[str, str], tmp_path: Path, temporary_folder: Path
) -> None:
    script = REPOSITORY / "scripts/demo.py"
    with Program(sys.executable, script, log_file=tmp_path / "log", environment=environment) as program:
        program.wait_for_log("end with Ctrl-C")
        children = list(children_of(program.pid))
        assert len(children) == 4
        assert program.stop(number) == 0
    assert [child for child in children if Path(f"/proc/{child}").exists()] == []
    assert list(temporary_folder.iterdir()) == []


def children_of(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())
