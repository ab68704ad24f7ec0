import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sonnen_agent.config.load import load_config
from sonnen_agent.errors import ConfigError

_AGENT = Path(sys.executable).with_name("sonnen-agent")
_DEFAULT = Path(__file__).parents[2] / "systemd" / "config.yml"
_GOOD = "batteries: [{name: home, url: http://127.0.0.1}]\npushgateway: {url: http://127.0.0.1:9}\n"
_MUTANTS = 3000
_PIECES = (
    *(
        "!!map x",
        "!!map [a]",
        "!!int ''",
        "!!float ''",
        "!!int '1:2'",
        "!!set {a}",
        "!!omap [a]",
        "!!binary x",
        "!!seq 1",
    ),
    *("&a [*a]", "*a", "? [a]", "? {b: c}", "<<: *a", "<<: [1]", "<<", "=", "!!null x", "!!str [a]", "!!pairs {a: b}"),
    *(
        "[",
        "]",
        "{",
        "}",
        ":",
        "- ",
        "\t",
        "'",
        '"',
        "|",
        ">",
        "%",
        "@",
        "`",
        "\0",
        "\x1b",
        "\ud7ff",
        "0x",
        "1e999",
        ".nan",
    ),
    *(
        "!!timestamp 9999-99-99",
        "!!bool ''",
        "2001-02-30",
        "0o9",
        "1:99:99",
        "!!python/none x",
        "---",
        "...",
        "#",
        "\n",
    ),
)


@pytest.fixture
def problems(tmp_path: Path) -> Callable[[str], tuple[str, ...]]:
    def problems(text: str) -> tuple[str, ...]:
        file = tmp_path / "config.yml"
        file.write_text(text, encoding="utf-8", errors="surrogatepass")
        with pytest.raises(ConfigError) as caught:
            load_config(file, None)
        return caught.value.problems

    return problems


@pytest.mark.parametrize(
    "value",
    ["!!map x", "!!map [a]", "!!int ''", "!!float ''", "!!int '1:x'", "!!set [a]", "!!timestamp ''"],
)
def test_a_tag_that_does_not_fit_its_value_is_told_with_the_place(
    problems: Callable[[str], tuple[str, ...]], value: str
) -> None:
    (problem,) = problems(f"{_GOOD}interval_seconds: {value}\n")
    assert problem.startswith("line 3, column 19: ")


def test_no_mutant_of_the_default_config_is_a_traceback(tmp_path: Path) -> None:
    seed = random.Random(12)  # noqa: S311 - the same mutants in every run
    text = _DEFAULT.read_text()
    # Most of the file is comments: what is behind a # counts, too, once it stands there without one.
    lines = [line.replace("# ", "", 1) if seed.random() < 0.5 else line for line in text.splitlines()]
    lines = [line for line in lines if line.strip()]
    file = tmp_path / "config.yml"
    for _ in range(_MUTANTS):
        mutant = seed.sample(lines, k=seed.randrange(1, 12)) if seed.random() < 0.5 else list(_GOOD.splitlines())
        for _ in range(seed.randrange(1, 4)):
            at = seed.randrange(len(mutant))
            cut = seed.randrange(len(mutant[at]) + 1)
            mutant[at] = mutant[at][:cut] + seed.choice(_PIECES) + mutant[at][cut + seed.randrange(3) :]
        file.write_text("\n".join(mutant), encoding="utf-8")
        with suppress(ConfigError):
            load_config(file, None)


def _bomb(levels: int = 9, width: int = 10) -> str:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def _merge_bomb(levels: int = 9, width: int = 10) -> str:
    lines = ["a0: &a0 {x: 1, y: 2, z: 3}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * width)}]}}" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        _bomb(),
        _merge_bomb(),
        _bomb() + "? *a8\n: x\n",
        "batteries: &b [*b]\n",
        "[" * 100_000,
        "{a: " * 20_000,
        "? " * 2000 + "x",
        "a:\n" + "".join(" " * n + "- \n" for n in range(1, 600)),
        "interval_seconds: " + "1:" * 200_000 + "1\n",
        "interval_seconds: 0x" + "f" * 500_000 + "\n",
        "interval_seconds: 0x" + "f" * 900 + "\n",
        "0x" + "f" * 900 + ": 1\n",
        "name: '" + "x" * 1_000_000 + "'\n",
        "x" * 1_000_000,
        "".join(f"k{n}: 1\n" for n in range(100_000)),
        "batteries:\n" + "- 1\n" * 9000,
        "batteries:\n" + "- {a: 1}\n" * 5000,
    ],
    ids=lambda text: text[:24],
)
def test_no_file_of_a_mebibyte_takes_long_or_much_memory_or_many_lines(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.yml"
    file.write_text((_GOOD.splitlines()[1] + "\n" if text.startswith("batteries") else _GOOD) + text)
    # Seconds of the processor and KiB of address space, of which Python itself takes a good part.
    script = f"ulimit -t 20 -v 300000; exec {_AGENT} check --config {file}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 78, done.stderr[-2000:]
    lines = done.stderr.splitlines()
    assert 1 <= len(lines) <= 51
    assert all(line.isprintable() and len(line) <= 1000 for line in lines)


def test_of_many_unknown_keys_twenty_are_told_and_how_many_more_there_are(
    problems: Callable[[str], tuple[str, ...]],
) -> None:
    found = problems(_GOOD + "".join(f"key{n}: 1\n" for n in range(1000)))

    assert len(found) == 21
    assert found[0].startswith("key0: unknown key; ")
    assert found[-1] == "…: 980 more unknown keys"


def test_a_whole_mebibyte_of_comments_is_a_config_and_a_byte_more_is_none(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_text(_GOOD + "#" * ((1 << 20) - len(_GOOD)))
    assert load_config(file, None).batteries[0].name == "home"

    file.write_text(_GOOD + "#" * ((1 << 20) - len(_GOOD) + 1))
    with pytest.raises(ConfigError, match="cannot be read: it is larger than 1048576 bytes"):
        load_config(file, None)


def check(config: str | Path) -> tuple[int, str]:
    done = subprocess.run(
        [_AGENT, "check", "--config", config], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Path]:
    """Yield a FIFO into which nobody writes, though somebody holds it open."""
    file = tmp_path / "fifo"
    os.mkfifo(file)
    writer = os.open(file, os.O_RDWR)
    yield file
    os.close(writer)


def test_a_pipe_that_nobody_writes_into_is_given_up(fifo: Path) -> None:
    code, words = check(fifo)
    assert (code, "what writes it does not end within 5 s" in words) == (78, True)
