"""What can be wrong with a config (config_faults.py): told with its place, by a process that ends at once."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from config_faults import CONFIG_FAULTS, GOOD, ConfigFault
from houses import SECRET
from limits import PEAK_MIB, log_problems
from programs import find_program

LINES = 50
"""All problems are told at once, but for those of which there are many of one kind."""
LIMITS = ("timeout", "--signal=KILL", "60", "prlimit", f"--as={1 << 30}")
"""Whoever takes all of a machine's time or memory shall not have all of this one."""
WRONG_CONFIG = 78
_RUNNER = """
import json, os, subprocess, sys
for line in sys.stdin:
    output, command = json.loads(line)
    with open(output, "wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_maxrss]), flush=True)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A process that has ended."""

    code: int
    lines: list[str]
    peak_mib: float


class Checker:
    """Lets the agent check one config after the other.

    A process begins with the peak of the one that started it: here that is a small one of its own.
    """

    def __init__(self) -> None:
        self._runner = subprocess.Popen(
            [sys.executable, "-ISc", _RUNNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def check(self, config: Path, output: Path, *words: str) -> Ended:
        """Check a config, and return how that ended; the words come before the command."""
        command = [*LIMITS, *words, str(find_program("sonnen-agent")), "check", "--config", str(config)]
        assert self._runner.stdin is not None
        assert self._runner.stdout is not None
        self._runner.stdin.write(f"{json.dumps([str(output), command])}\n")
        self._runner.stdin.flush()
        code, peak_kib = json.loads(self._runner.stdout.readline())
        lines = output.read_bytes().decode("utf-8", "replace").split("\n")
        return Ended(code=code, lines=lines[:-1], peak_mib=peak_kib / 1024)

    def close(self) -> None:
        self._runner.communicate(timeout=60)


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    checker = Checker()
    yield checker
    checker.close()


@pytest.fixture(scope="module")
def usual_mib(checker: Checker, tmp_path_factory: pytest.TempPathFactory) -> float:
    """Return what it takes to check a config that is good."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "config.yml").write_text(GOOD)
    ended = checker.check(folder / "config.yml", folder / "output")
    assert ended.code == 0
    return ended.peak_mib


@pytest.mark.parametrize(
    "row", CONFIG_FAULTS, ids=[row.name.replace(" ", "-").replace("/", "_") for row in CONFIG_FAULTS]
)
def test_a_wrong_config_is_told_at_once(row: ConfigFault, tmp_path: Path, checker: Checker, usual_mib: float) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    if callable(row.config):
        file = row.config(folder)
    else:
        file = folder / "config.yml"
        file.write_bytes(row.config.encode() if isinstance(row.config, str) else row.config)

    ended = checker.check(file, tmp_path / "output")

    assert ended.code == WRONG_CONFIG, ended.lines[-5:]
    assert log_problems(ended.lines, [SECRET], limit=LINES) == []
    assert any(row.says in line for line in ended.lines)
    assert all(str(file) in line for line in ended.lines)
    assert ended.peak_mib <= usual_mib + PEAK_MIB


def test_a_config_may_come_through_a_pipe_of_a_shell(tmp_path: Path, checker: Checker) -> None:
    (tmp_path / "config.yml").write_text(GOOD)
    script = f'"$0" "${{@:1:2}}" <(sleep 0.5; cat {tmp_path / "config.yml"})'

    assert checker.check(Path("unused"), tmp_path / "output", "bash", "-c", script).code == 0
