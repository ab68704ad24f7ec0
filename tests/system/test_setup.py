"""Setup as a person meets it, in a pseudo-terminal, with a simulated battery and a real Pushgateway."""

import os
import pty
import select
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest
from networks import cable
from programs import PATIENCE_SECONDS, find_program
from servers import LOGIN, WEB_CONFIG, Pushgateway, Simulator

from sonnen_agent.commands import setup
from sonnen_agent.errors import StartError
from sonnen_agent.simulator import server as simulator_server
from sonnen_agent.simulator.battery import SimulatedBattery, simulated_clock
from sonnen_agent.simulator.generations import generation_named

pytestmark = pytest.mark.system


class Terminal:
    """A command whose stdin, stdout and stderr are a terminal."""

    def __init__(self, *command: str | Path) -> None:
        self._ours, theirs = pty.openpty()
        self.said = ""
        self._read = 0
        # So that a Ctrl-C typed there is a signal to it, whatever the tests were started with.
        terminal = ["env", "--default-signal=INT", "setsid", "--ctty"]
        self._process = subprocess.Popen([*terminal, *command], stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def answer(self, question: str, words: str) -> None:
        """Wait for a question and type a line, or a control character."""
        end = time.monotonic() + PATIENCE_SECONDS
        while question not in self.said[self._read :]:
            assert time.monotonic() < end, f"no {question!r} in {self.said!r}"
            self._take()
        self._read = self.said.index(question, self._read) + len(question)
        time.sleep(0.2)  # getpass throws away what was typed before it asks
        os.write(self._ours, words.encode() if words == "\x03" else f"{words}\n".encode())

    def exit_code(self) -> int:
        end = time.monotonic() + PATIENCE_SECONDS
        while self._take():
            assert time.monotonic() < end, f"it does not end after {self.said!r}"
        return self._process.wait(PATIENCE_SECONDS)

    def _take(self) -> bool:
        if not select.select([self._ours], [], [], 1)[0]:
            return True
        try:
            piece = os.read(self._ours, 4096).decode(errors="replace")
        except OSError:
            return False
        self.said += piece
        return bool(piece)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where the config shall be; its folder is not there yet."""
    return tmp_path / "etc/config.yml"


@pytest.fixture
def terminal(file: Path) -> Iterator[Terminal]:
    with Terminal(find_program("sonnen-agent"), "setup", f"--config={file}") as terminal:
        yield terminal


def succeeds(*arguments: str | Path) -> str:
    done = subprocess.run(
        [find_program("sonnen-agent"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_from_nothing_to_a_reading_with_each_answer_tried(
    terminal: Terminal, file: Path, simulator: Simulator, pushgateway: Pushgateway
) -> None:
    terminal.answer("look for it): ", "127.0.0.1:9")
    terminal.answer("Address of the battery: ", simulator.url.removeprefix("http://"))
    terminal.answer("(Enter: none): ", "half-a-token")
    terminal.answer("API token (Enter: none): ", simulator.token)
    terminal.answer("Pushgateway, such as http://gateway.example:9091: ", "127.0.0.1:9")
    terminal.answer("Address of the gateway: ", pushgateway.url)
    assert terminal.exit_code() == 0

    assert "That does not work: nothing answers: " in terminal.said
    assert "That does not work: it is wrong, or the read API is off" in terminal.said
    assert "The battery says: " in terminal.said
    assert simulator.token not in terminal.said
    assert (mode(file), mode(file.parent / "secrets"), mode(file.parent / "secrets/token-home")) == (
        0o644,
        0o700,
        0o600,
    )
    assert sorted(path.name for path in file.parent.iterdir()) == ["config.yml", "secrets"]
    assert "sonnen_battery_cycles_total" in succeeds("once", "--config", file)
    assert pushgateway.groups() == []


def test_enter_looks_for_the_battery(file: Path) -> None:
    battery = SimulatedBattery(
        generation=generation_named("sb10"), seed=1, clock=simulated_clock(None, 1), token="a-made-up-token"
    )
    with ExitStack() as stack:
        here, there = stack.enter_context(cable())
        there.run("ip", "route", "add", "local", "10.77.0.128/25", "dev", "lo")
        stack.enter_context(there.inside(lambda: simulator_server.Simulator(battery, host="10.77.0.157", port=80)))
        command = here.command(str(find_program("sonnen-agent")), "setup", f"--config={file}")
        terminal = stack.enter_context(Terminal(*command))
        terminal.answer("look for it): ", "")
        terminal.answer("(Enter: none): ", "a-made-up-token")
        terminal.answer("gateway.example:9091: ", "\x03")
        assert terminal.exit_code() == 130
    assert "Found: http://10.77.0.157" in terminal.said
    assert "The battery says: " in terminal.said


def test_a_gateway_with_a_password_is_asked_for_it(
    tmp_path: Path, running: ExitStack, terminal: Terminal, file: Path, simulator: Simulator
) -> None:
    web = tmp_path / "web.yml"
    web.write_text(WEB_CONFIG)
    gateway = running.enter_context(Pushgateway(tmp_path, web_config_file=web, headers=LOGIN))
    terminal.answer("look for it): ", simulator.url)
    terminal.answer("(Enter: none): ", "")
    terminal.answer("gateway.example:9091: ", gateway.url)
    terminal.answer("User name at the gateway: ", "pi")
    terminal.answer("Password: ", "a-made-up-password")
    assert terminal.exit_code() == 0

    assert "a-made-up-password" not in terminal.said + file.read_text()
    assert (file.parent / "secrets/pushgateway-password").read_text() == "a-made-up-password\n"
    assert not (file.parent / "secrets/token-home").exists()
    succeeds("check", "--config", file)


def test_a_script_names_the_user_in_the_url_and_has_put_the_password_into_its_place(
    tmp_path: Path, running: ExitStack, file: Path, simulator: Simulator
) -> None:
    web = tmp_path / "web.yml"
    web.write_text(WEB_CONFIG)
    gateway = running.enter_context(Pushgateway(tmp_path, web_config_file=web, headers=LOGIN))
    (file.parent / "secrets").mkdir(parents=True, mode=0o700)
    password = file.parent / "secrets/pushgateway-password"
    password.touch(mode=0o600)
    password.write_text("a-made-up-password\n")
    succeeds(*quiet(tmp_path, simulator, gateway.url.replace("//", "//pi@")), "--config", file)
    succeeds("check", "--config", file)
    assert 'username: "pi"' in file.read_text()


@pytest.mark.parametrize("question", range(3))
def test_a_ctrl_c_at_any_question_leaves_everything_as_it_was(
    terminal: Terminal, tmp_path: Path, simulator: Simulator, question: int
) -> None:
    before = sorted(tmp_path.rglob("*"))
    answers = [("look for it): ", simulator.url), ("(Enter: none): ", ""), ("gateway.example:9091: ", "")]
    for asked, answer in answers[:question]:
        terminal.answer(asked, answer)
    terminal.answer(answers[question][0], "\x03")

    assert terminal.exit_code() == 130
    assert "Traceback" not in terminal.said
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("answer", ["", "n", "\x03"])
def test_a_config_that_is_there_is_not_overwritten_unasked(tmp_path: Path, answer: str) -> None:
    file = tmp_path / "config.yml"
    file.write_text("mine")
    with Terminal(find_program("sonnen-agent"), "setup", f"--config={file}") as terminal:
        terminal.answer("Overwrite it? [y/N] ", answer)
        assert terminal.exit_code() in (1, 130)
    assert file.read_text() == "mine"


def quiet(tmp_path: Path, simulator: Simulator, gateway: str) -> list[str]:
    token = simulator.write_token(tmp_path / "given.token")
    return ["setup", "--yes", "--battery", simulator.url, "--token-file", str(token), "--gateway", gateway]


def test_a_script_is_asked_nothing(tmp_path: Path, file: Path, simulator: Simulator, pushgateway: Pushgateway) -> None:
    command = quiet(tmp_path, simulator, pushgateway.url)
    assert "The battery says: " in succeeds(*command, "--config", file)
    assert "pushing to" in succeeds("check", "--config", file)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda command: command[:2], "give it --battery URL and --gateway URL"),
        (lambda command: [*command[:3], "127.0.0.1:9", *command[4:]], "nothing answers"),
        (lambda command: [*command[:5], "/none", *command[6:]], "--token-file /none cannot be read"),
        (lambda command: [*command[:-1], "127.0.0.1:9"], "cannot connect: Connection refused"),
        (lambda command: [*command, "--config", __file__], "is there, and stays as it is"),
        (lambda command: [command[0]], "run it in a terminal, or with --yes"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    tmp_path: Path, file: Path, simulator: Simulator, pushgateway: Pushgateway, change: object, words: str
) -> None:
    assert callable(change)
    command = change(quiet(tmp_path, simulator, pushgateway.url))
    where = [] if "--config" in command else ["--config", str(file)]
    done = subprocess.run(
        [find_program("sonnen-agent"), *command, *where],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stderr.count("\n"), words in done.stderr) == (1, 1, True), done.stderr
    assert not file.parent.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_read_only_etc_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    setup_there = f"{sys.executable} -m sonnen_agent setup --config {tmp_path}/etc/config.yml </dev/null"
    command = f"mount -t tmpfs -o ro none {tmp_path}/etc && {setup_there}"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "etc cannot be written: run this with sudo" in done.stderr


@pytest.mark.parametrize(("starts", "code"), [(True, 0), (False, 1)])
def test_the_unit_gets_its_secrets_as_credentials_and_is_started(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: Path,
    simulator: Simulator,
    pushgateway: Pushgateway,
    starts: bool,
    code: int,
) -> None:
    systemctl = tmp_path / "systemctl"  # one that does what systemd's does, as far as its caller sees
    refusal = "" if starts else '[ "$1" != restart ] || { echo "Job failed" >&2; exit 1; }'
    systemctl.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\n{refusal}\n')
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    token = simulator.write_token(tmp_path / "given.token")

    def run() -> int:
        return setup.run(
            file, unit_config=file, yes=True, battery=simulator.url, token_file=token, gateway=pushgateway.url
        )

    if code == 0:
        assert run() == 0
    else:
        with pytest.raises(StartError, match="the service does not start: Job failed"):
            run()
    assert (tmp_path / "asked").read_text().splitlines() == [
        f"{verb} sonnen-agent" for verb in ("cat", "enable", "restart")
    ]
    assert "token_file" not in file.read_text()
    assert (file.parent / "secrets/token-home").read_text() == f"{simulator.token}\n"
