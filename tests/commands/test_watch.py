"""`watch` in a real pseudo-terminal, against the simulator: what a person sees, key by key and size by size."""

import fcntl
import itertools
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import pytest
from programs import free_port, wait_until
from pytest_httpserver import HTTPServer
from servers import Simulator
from werkzeug import Request, Response

from sonnen_agent.energy.counters import Counters, EnergyCounters, TariffCounts
from sonnen_agent.energy.days import DailyTotals, OpenDay
from sonnen_agent.energy.state import MeterState, state_to_json
from sonnen_agent.state.checkpoint import Checkpoint
from sonnen_agent.state.store import StateStore

AGENT = Path(sys.executable).with_name("sonnen-agent")
ESCAPES = re.compile(r"\x1b\[[?\d]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[\d+m")
CTRL_C = b"\x03"


class Terminal:
    """A program that has a terminal of its own, which a person resizes and types into."""

    def __init__(self, *command: str | Path, columns: int = 80, lines: int = 24, **environment: str) -> None:
        self._screen, inner = os.openpty()
        self.resize(columns, lines)
        inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        # `setsid --ctty` makes it the controlling terminal: what is typed there becomes signals.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env={**inherited, "TERM": "xterm", **environment},
        )
        os.close(inner)
        self.shown = ""
        self._bytes = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._screen)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, key: bytes) -> None:
        os.write(self._screen, key)

    def frames(self) -> list[str]:
        """Return each screen that was drawn whole until now, with its colours and nothing else."""
        while select.select([self._screen], [], [], 0)[0]:
            try:
                self._bytes += os.read(self._screen, 65536)
            except OSError:  # nobody has it open any more
                break
        self.shown = self._bytes.decode(errors="replace").replace("\r\n", "\n")
        return [frame.partition("\x1b[J")[0] for frame in self.shown.split("\x1b[H")[1:] if "\x1b[J" in frame]

    def wait_for(self, words: str) -> str:
        """Return the latest screen with these words, without escape sequences."""
        found: list[str] = []

        def seen() -> bool:
            found[:] = [text for frame in self.frames() if words in (text := ESCAPES.sub("", frame))]
            return bool(found)

        wait_until(seen, f"a screen with {words!r}, but {self.shown[-2000:]!r}")
        return found[-1]


@pytest.fixture
def battery(running: ExitStack, tmp_path: Path) -> Simulator:
    """Return a house at noon in June: the sun feeds it, charges the battery, and the grid takes the rest."""
    simulator = running.enter_context(Simulator(tmp_path, options=["--start=2026-06-21T11:00:00+02:00"]))
    simulator.write_token(tmp_path / "home.token")
    return simulator


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., Path]:
    def write(*urls: str) -> Path:
        names = ("home", "cottage")
        entries = [
            f"{{name: {name}, url: '{url}', token_file: home.token}}" for name, url in zip(names, urls, strict=False)
        ]
        (tmp_path / "home.token").touch(mode=0o600)
        (tmp_path / "home.token").write_text("a-made-up-token")
        file = tmp_path / "config.yml"
        file.write_text(
            f"batteries: [{', '.join(entries)}]\npushgateway: {{url: 'http://127.0.0.1:9'}}\n"
            "interval_seconds: 1\ntimezone: UTC\nstate_directory: state\n"
        )
        return file

    return write


def write_checkpoint(folder: Path, *, seconds_ago: float = 0.0) -> None:
    """Write what an agent has counted today."""
    totals = {"production": 12_340.0, "consumption": 8_150.0, "grid_import": 1_240.0}
    counted = Counters(
        energies=EnergyCounters(totals_watt_hours=totals),  # type: ignore[arg-type]  # the names are right
        tariffs=TariffCounts(cost={"EUR": 0.38}, revenue={"EUR": 0.27}, consumption_cost={"EUR": 2.53}),
    )
    state = MeterState(days=DailyTotals(open_day=OpenDay(day=datetime.now(UTC).date(), tally=counted)))
    folder.mkdir(exist_ok=True)
    document = {"saved_unix_seconds": time.time() - seconds_ago, "meters": {"home": state_to_json(state)}}
    Checkpoint(folder, "counters").save(document)


def watching(running: ExitStack, config: Path, **more: object) -> Terminal:
    return running.enter_context(Terminal(AGENT, "watch", "--config", config, **more))  # type: ignore[arg-type]


def nobody() -> str:
    return f"http://127.0.0.1:{free_port()}"


def test_the_screen_shows_powers_flows_charge_and_today_until_ctrl_c(
    running: ExitStack, battery: Simulator, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    write_checkpoint(tmp_path / "state")
    terminal = watching(running, write_config(battery.url))
    screen = terminal.wait_for("solar ──▶ battery")
    assert "all is well" in screen
    assert re.search(r"^home  \d\d:\d\d:\d\d  v2$", screen, re.MULTILINE)
    for row in (r"charge +\d+ % █+", r"solar +\d+ W █+", r"house +\d+ W", r"charging +\d+ W", r"selling +\d+ W █+"):
        assert re.search(f"^{row}", screen, re.MULTILINE)
    for flow in (r"solar ──▶ house +\d+ W", r"solar ──▶ battery +\d+ W", r"solar ──▶ grid +\d+ W"):
        assert re.search(f"^{flow}", screen, re.MULTILINE)
    today = screen[screen.index("today:") :].split()
    assert "made 12.3 kWh, used 8.2 kWh, bought 1.2 kWh, paid 0.38 EUR, earned 0.27 EUR, saved 2.42 EUR" in " ".join(
        today
    )
    terminal.press(CTRL_C)
    assert terminal.process.wait(20) == 0
    assert len(terminal.frames()) >= 1
    assert terminal.shown.rstrip().endswith("\x1b[?7h\x1b[?25h"), "wrapping and the cursor are back"
    assert "Traceback" not in terminal.shown


def test_it_is_redrawn_in_place_and_no_line_is_cleared_before_it_is_written(
    running: ExitStack, battery: Simulator, write_config: Callable[..., Path]
) -> None:
    terminal = watching(running, write_config(battery.url))
    wait_until(lambda: len(terminal.frames()) >= 3, "three beats")
    assert terminal.shown.count("\x1b[2J") == 1
    assert "\n\n" not in ESCAPES.sub("", terminal.frames()[-1])


@pytest.mark.parametrize(("columns", "lines"), [(20, 24), (80, 5), (1, 1), (300, 100)])
def test_a_screen_of_another_size_is_filled_and_never_left(
    running: ExitStack, battery: Simulator, write_config: Callable[..., Path], columns: int, lines: int
) -> None:
    terminal = watching(running, write_config(battery.url))
    terminal.wait_for("house")
    terminal.resize(columns, lines)

    def fits() -> bool:
        rows = ESCAPES.sub("", terminal.frames()[-1]).split("\n")
        return len(rows) <= lines and max(map(len, rows)) <= columns

    wait_until(fits, f"a screen of {columns}x{lines}")
    if columns == 20:
        assert re.search(r"^solar→house +\d+ W$", terminal.wait_for("solar→house"), re.MULTILINE)


def test_without_colours_there_are_none(
    running: ExitStack, battery: Simulator, write_config: Callable[..., Path]
) -> None:
    config = write_config(battery.url)
    plain, coloured = watching(running, config, NO_COLOR="1"), watching(running, config)
    for terminal in (plain, coloured):
        terminal.wait_for("solar")
    assert not COLOUR.search(plain.shown)
    assert COLOUR.search(coloured.shown)


def test_what_is_wrong_stands_below_the_name_with_the_time_since_when(
    running: ExitStack, battery: Simulator, write_config: Callable[..., Path]
) -> None:
    terminal = watching(running, write_config(battery.url, nobody()))
    screen = terminal.wait_for("! not readable")
    assert re.search(
        r"^cottage .*\n! not readable \(refused\): [^!]+ since before \w{3} \d\d:\d\d", screen, re.MULTILINE
    )
    assert "solar" in terminal.wait_for("home ")
    battery.stop()

    def tells_since_when() -> bool:
        words = " ".join(ESCAPES.sub("", terminal.frames()[-1]).split())
        return re.search(r"home .* ! not readable .*, since \w{3} \d\d:\d\d .* cottage", words) is not None

    wait_until(tells_since_when, "the time since when")


def test_a_fault_and_powers_that_cannot_be_true_are_told_with_one_time_however_the_numbers_change(
    running: ExitStack, httpserver: HTTPServer, write_config: Callable[..., Path]
) -> None:
    beats = itertools.count()

    def status(_: Request) -> Response:
        powers = {"Production_W": 2000, "Consumption_W": 900, "Pac_total_W": -800, "GridFeedIn_W": 9000 + next(beats)}
        more = {"Fac": 50, "Uac": 230, "Ubat": 212, "RSOC": 61, "USOC": 58, "SystemStatus": "OnGrid"}
        return Response(json.dumps({**powers, **more, "Timestamp": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}))  # noqa: DTZ005

    httpserver.expect_request("/api/v2/status").respond_with_handler(status)
    system = {"ic_status": {"Eclipse Led": {"Solid Red": True}, "statebms": "ready"}}
    httpserver.expect_request("/api/v2/latestdata").respond_with_json(system)
    httpserver.expect_request(re.compile("/.*")).respond_with_json({})
    terminal = watching(running, write_config(httpserver.url_for("").rstrip("/")), columns=200)
    wait_until(lambda: len(terminal.frames()) >= 3, "three beats")
    latest = ESCAPES.sub("", terminal.frames()[-1])
    assert re.search(r"^! fault of the system: Solid Red, since before \w{3} \d\d:\d\d$", latest, re.MULTILINE)
    assert re.search(r"^! production .* is -\d+ W, and should be 0, since before \w{3} [\d:]+$", latest, re.MULTILINE)


def test_counters_of_an_agent_that_is_silent_are_shown_with_that(
    running: ExitStack, battery: Simulator, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    write_checkpoint(tmp_path / "state", seconds_ago=301)
    screen = watching(running, write_config(battery.url)).wait_for("today")
    assert re.search(r"! no agent has saved counters here, since \w{3} \d\d \w{3} \d\d:\d\d", screen)


def test_beside_a_running_agent_it_changes_no_state(
    running: ExitStack, battery: Simulator, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    write_checkpoint(tmp_path / "state")
    store = StateStore(tmp_path / "state")  # with the lock of an agent that runs
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in (tmp_path / "state").iterdir()}
    watching(running, write_config(battery.url)).wait_for("made 12.3 kWh")
    store.close()
    assert before == {
        file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in (tmp_path / "state").iterdir()
    }


def test_ctrl_c_does_not_wait_for_a_battery_that_hangs(running: ExitStack, write_config: Callable[..., Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        terminal = watching(running, write_config(f"http://127.0.0.1:{deaf.getsockname()[1]}"))
        wait_until(lambda: bool(terminal.frames()) or "\x1b[2J" in terminal.shown, "the start")
        terminal.press(CTRL_C)
        assert terminal.process.wait(20) == 0
    terminal.frames()
    assert "Traceback" not in terminal.shown


def test_into_a_pipe_goes_a_plain_line_for_each_beat(battery: Simulator, write_config: Callable[..., Path]) -> None:
    command: list[str | Path] = [AGENT, "watch", "--config", write_config(battery.url)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    line = (
        r"\d{4}-\d\d-\d\dT[\d:]{8}\+00:00 home: solar \d+ W, house \d+ W, charging \d+ W, selling \d+ W, charge \d+ %\n"
    )
    assert all(re.fullmatch(line, one) for one in lines), lines


def test_a_full_disk_behind_the_output_is_told_without_a_traceback(
    battery: Simulator, write_config: Callable[..., Path]
) -> None:
    with Path("/dev/full").open("w") as full:
        command: list[str | Path] = [AGENT, "watch", "--config", write_config(battery.url)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, encoding="utf-8", timeout=60, check=False)
    assert done.stderr.splitlines()[-1] == "sonnen-agent: the output cannot be written: No space left on device"
    assert "Traceback" not in done.stderr
    assert done.returncode == 1


def test_a_dumb_terminal_gets_lines_too(
    running: ExitStack, battery: Simulator, write_config: Callable[..., Path]
) -> None:
    terminal = watching(running, write_config(battery.url), TERM="dumb")
    wait_until(lambda: not terminal.frames() and "home: solar" in terminal.shown, "a line")
    assert "\x1b" not in terminal.shown
