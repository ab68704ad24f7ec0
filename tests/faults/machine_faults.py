"""The table of what a disk, a process and a clock can do to an agent; each row has an agent of its own.

What a row does before the start and during the run, it does to a Place.
"""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from houses import HouseBattery
from servers import Agent

from sonnen_agent.state.checkpoint import encode

VICTIM = b"This belongs to somebody else.\n"


@dataclass(kw_only=True)
class Place:
    """An agent, and what it has of its machine."""

    state: Path
    """Its state directory, with what a clean stop has left there."""
    runtime: Path
    """Its runtime directory, empty."""
    outside: Path
    """Somebody else's folder, with a file `victim` in it."""
    battery: HouseBattery
    config_file: Path
    agent: Agent | None = None
    """From its start on."""
    undo: ExitStack = field(default_factory=ExitStack)
    """What ends the fault."""

    @property
    def counters(self) -> Path:
        return self.state / "counters.json"

    @property
    def clock(self) -> Path:
        """What its wall clock is ahead of ours, in seconds."""
        return self.outside / "clock"

    @property
    def victim(self) -> Path:
        return self.outside / "victim"

    @property
    def pid(self) -> int:
        assert self.agent is not None
        return self.agent.pid

    def send(self, *numbers: signal.Signals) -> None:
        for number in numbers:
            os.kill(self.pid, number)

    def each_beat(self, act: Callable[[int], object]) -> None:
        """Do something again and again until the fault ends; it is told how often it was done before."""
        over = threading.Event()

        def run() -> None:
            number = 0
            while not over.wait(0.3):
                act(number)
                number += 1

        thread = threading.Thread(target=run, daemon=True)
        self.undo.callback(thread.join)
        self.undo.callback(over.set)
        thread.start()

    def set_clock(self, seconds: float | None) -> None:
        """Put the agent's wall clock ahead by so many seconds; None stops it."""
        said = "stop" if seconds is None else f"{seconds:.3f}"
        self.clock.touch()
        with self.clock.open("r+") as file:
            # In one go and of one length: it is read meanwhile.
            file.write(said.ljust(40))


Act = Callable[[Place], object]


class MachineFault(NamedTuple):
    """A row."""

    name: str
    before: Act | None = None
    """Done before the start."""
    during: Act | None = None
    """Done while it runs, and undone after some beats."""
    exit_code: int | None = None
    """With which it ends by itself; None where it goes on."""
    gaps: bool = False
    """Whether the values may be missing meanwhile."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables and their values, with `{outside}` for that folder."""
    wrapper: tuple[str, ...] = ()
    """The words before the command."""
    more: str = ""
    """More lines of the config."""
    needs_root: bool = False
    lines: int = 0
    """Of the log, where somebody asks for them."""


def written(content: bytes | str, name: str = "counters.json", *, both: bool = True) -> Act:
    """Return what writes a file of the state directory, and for the counters both copies of it."""
    data = content.encode() if isinstance(content, str) else content

    def act(place: Place) -> None:
        (place.state / name).parent.mkdir(exist_ok=True)
        (place.state / name).write_bytes(data)
        if both and name == "counters.json":
            (place.state / "counters.previous.json").write_bytes(data)

    return act


def document(number: object) -> Act:
    """Return what writes a checkpoint with a right sum, and this in the place of every number of its battery."""

    def changed(value: object) -> object:
        if isinstance(value, dict):
            return {name: changed(part) for name, part in value.items()}
        return number if isinstance(value, int | float) and not isinstance(value, bool) else value

    def act(place: Place) -> None:
        good = json.loads(place.counters.read_bytes().partition(b"\n")[2])
        written(encode({**good, "meters": changed(good["meters"])}))(place)

    return act


def replaced(make: Callable[[Path, Place], object], *names: str) -> Act:
    """Return what makes something else in the place of files of the state directory."""

    def act(place: Place) -> None:
        for name in names:
            file = place.state / name
            shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)
            make(file, place)

    return act


def a_fifo(file: Path, place: Place) -> None:
    del place
    os.mkfifo(file)


def a_folder(file: Path, place: Place) -> None:
    del place
    (file / "more").mkdir(parents=True)


def a_link_to_the_victim(file: Path, place: Place) -> None:
    file.symlink_to(place.victim)


def a_link_to_zeros(file: Path, place: Place) -> None:
    del place
    file.symlink_to("/dev/zero")


def a_link_to_itself(file: Path, place: Place) -> None:
    del place
    file.symlink_to(file)


def cut_short(place: Place) -> None:
    for file in (place.counters, place.state / "counters.previous.json"):
        if file.exists():
            os.truncate(file, 700)


def locked(place: Place) -> None:
    file = place.undo.enter_context((place.state / "lock").open("a"))
    fcntl.flock(file, fcntl.LOCK_EX)


def emptied(place: Place) -> None:
    gone(place)
    place.state.mkdir()


def gone(place: Place) -> None:
    shutil.rmtree(place.state)


def no_folder(place: Place) -> None:
    shutil.rmtree(place.state)
    place.state.write_text("not a folder")


def mounted(*options: str, fill: bool = False) -> Act:
    """Return what mounts a small file system of its own over the state directory, and fills it."""

    def act(place: Place) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", place.state], check=True)
        place.undo.callback(subprocess.run, ["umount", "--lazy", str(place.state)], check=True)
        if fill:
            filled(place)

    return act


def filled(place: Place) -> None:
    try:
        with (place.state / "large").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError:
        return


def runtime_gone(place: Place) -> None:
    shutil.rmtree(place.runtime)


def runtime_is_hostile(place: Place) -> None:
    """Take the image of the battery away at each beat, and put a FIFO there."""

    def act(_: int) -> None:
        for file in place.runtime.glob("beat-*.json"):
            # The agent writes there meanwhile.
            with suppress(FileNotFoundError, FileExistsError):
                if file.is_file():
                    file.unlink()
                    os.mkfifo(file)

    place.each_beat(act)


def spool_gone(place: Place) -> None:
    place.each_beat(lambda _: shutil.rmtree(place.state / "spool", ignore_errors=True))


def stopped(place: Place) -> None:
    place.send(signal.SIGSTOP)
    place.undo.callback(place.send, signal.SIGCONT)


def stuttering(place: Place) -> None:
    place.undo.callback(place.send, signal.SIGCONT)
    place.each_beat(lambda number: place.send(signal.SIGCONT if number % 2 else signal.SIGSTOP))


def killed(place: Place) -> None:
    assert place.agent is not None
    place.agent.kill()
    place.agent.start()


def killed_twice(place: Place) -> None:
    killed(place)
    killed(place)


def signalled(*numbers: signal.Signals) -> Act:
    return lambda place: place.send(*numbers)


def reloaded_with(text: str) -> Act:
    """Return what writes another config, and asks for a reload."""

    def act(place: Place) -> None:
        good = place.config_file.read_text()
        place.undo.callback(place.config_file.write_text, good)
        place.config_file.write_text(text)
        place.send(signal.SIGHUP)

    return act


def reloaded_without_config(place: Place) -> None:
    aside = place.config_file.rename(place.outside / "aside")
    place.undo.callback(aside.rename, place.config_file)
    place.send(signal.SIGHUP)


def reloaded_with_a_fifo(place: Place) -> None:
    reloaded_without_config(place)
    os.mkfifo(place.config_file)
    place.undo.callback(place.config_file.unlink)


def reloaded_again_and_again(place: Place) -> None:
    place.each_beat(lambda _: place.send(signal.SIGHUP))


def without_files(place: Place) -> None:
    """Let it open no further file, and close the connections that it has."""
    limit = len(list(Path(f"/proc/{place.pid}/fd").iterdir()))
    subprocess.run(["prlimit", f"--pid={place.pid}", f"--nofile={limit}:"], check=True)
    place.undo.callback(subprocess.run, ["prlimit", f"--pid={place.pid}", "--nofile=1024:"], check=True)
    held = os.open("/dev/null", os.O_RDONLY)
    place.undo.callback(os.close, held)


def without_file_sizes(place: Place) -> None:
    subprocess.run(["prlimit", f"--pid={place.pid}", "--fsize=0:"], check=True)
    place.undo.callback(subprocess.run, ["prlimit", f"--pid={place.pid}", "--fsize=unlimited:"], check=True)


def manager_is_deaf(place: Place) -> None:
    """Be a service manager that hears nothing: its queue is full from the start."""
    listener = place.undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    listener.bind(str(place.outside / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as knocker:
        knocker.setblocking(False)
        try:
            while True:
                knocker.sendto(b"STATUS=x", str(place.outside / "notify"))
        except BlockingIOError:
            return


def a_pipe_for_a_log(place: Place) -> None:
    os.mkfifo(place.outside / "clock.log")


def talkative(place: Place) -> None:
    """Let its log fill the pipe that nobody reads: each reload that is refused is told."""
    good = place.config_file.read_text()
    place.undo.callback(place.config_file.write_text, good)
    place.config_file.write_text("".join(f"key{number}: {'x' * 300}\n" for number in range(400)))
    place.each_beat(lambda _: place.send(signal.SIGHUP))


def clock(*seconds: float | None) -> Act:
    """Return what puts the clock ahead by so many seconds, one after the other, and right again."""

    def act(place: Place) -> None:
        place.undo.callback(place.set_clock, 0)
        place.each_beat(lambda number: place.set_clock(seconds[min(number // 3, len(seconds) - 1)]))

    return act


def clock_before(seconds: float) -> Act:
    return lambda place: place.set_clock(seconds)


def jumping(place: Place) -> None:
    place.undo.callback(place.set_clock, 0)
    place.each_beat(lambda number: place.set_clock((-1) ** number * 3.7 * number))


YEAR = 365.25 * 86_400
DEEP = "[" * 50_000 + "]" * 50_000
AWAY = "remote_write: {url: 'http://127.0.0.1:9/api/v1/write'}"
MACHINE_FAULTS = (
    MachineFault("nothing is wrong"),
    # The disk, before the start.
    MachineFault(
        "the state directory is empty",
        emptied,
    ),
    MachineFault("the state directory is missing", gone),
    MachineFault("the state directory is a file", no_folder),
    MachineFault("another agent has the state directory", locked, exit_code=1),
    MachineFault("the lock is a folder", replaced(a_folder, "lock")),
    MachineFault("the lock is a link", replaced(a_link_to_the_victim, "lock")),
    MachineFault("the lock is a FIFO", replaced(a_fifo, "lock")),
    MachineFault("the counters are empty files", written("")),
    MachineFault("the counters are cut short", cut_short),
    MachineFault("the counters are null bytes", written(bytes(4096))),
    MachineFault("the counters are no text", written(b"\xff\x1b[2J\r\n" * 999)),
    MachineFault("the counters are fifty megabytes", written(b"x" * 50_000_000)),
    MachineFault("the counters are of next year's release", written("sonnen-agent-state 99 " + "0" * 64 + "\n{}")),
    MachineFault("the counters are a list", written(encode([]))),  # type: ignore[arg-type] # as somebody else might
    MachineFault("the counters nest deep", written(encode({"meters": {"home": json.loads("[" * 900 + "]" * 900)}}))),
    MachineFault("the counters are without limit", document(1e305)),
    MachineFault("the counters are not numbers", document("NaN")),
    MachineFault("the counters are below zero", document(-5)),
    MachineFault("the counters are of ten thousand digits", document(10**4000)),
    MachineFault("the counters are FIFOs", replaced(a_fifo, "counters.json", "counters.previous.json")),
    MachineFault("the counters are folders", replaced(a_folder, "counters.json", "counters.previous.json")),
    MachineFault("the counters are links", replaced(a_link_to_the_victim, "counters.json", "counters.previous.json")),
    MachineFault(
        "the counters are links to zeros", replaced(a_link_to_zeros, "counters.json", "counters.previous.json")
    ),
    MachineFault(
        "the counters are links to themselves", replaced(a_link_to_itself, "counters.json", "counters.previous.json")
    ),
    MachineFault("the ledger nests deep", written(f"{DEEP}\n", "ledger.jsonl")),
    MachineFault("the ledger is a FIFO", replaced(a_fifo, "ledger.jsonl")),
    MachineFault("the spool is a file", written("", "spool"), more=AWAY),
    MachineFault("the spool is full of rubbish", written(b"\xff" * 9999, "spool/00000001.samples"), more=AWAY),
    MachineFault(
        "the spool is a link", replaced(lambda file, place: file.symlink_to(place.outside), "spool"), more=AWAY
    ),
    # The disk, during the run.
    MachineFault("the state directory is removed", during=gone),
    MachineFault("the disk is full", mounted("size=64k", fill=True), needs_root=True),
    MachineFault("the disk has no inodes", mounted("size=1m,nr_inodes=1"), needs_root=True),
    MachineFault("the disk is read only", mounted("ro"), needs_root=True),
    MachineFault("the disk runs full with a spool", mounted("size=256k"), filled, needs_root=True, more=AWAY),
    MachineFault("the spool is removed again and again", during=spool_gone, more=AWAY),
    MachineFault("the runtime directory is removed", during=runtime_gone),
    MachineFault("the runtime directory is hostile", during=runtime_is_hostile),
    MachineFault("no file may grow", during=without_file_sizes, more=AWAY),
    # The process.
    MachineFault("it is stopped for some beats", during=stopped, gaps=True),
    MachineFault("it is stopped again and again", during=stuttering, gaps=True),
    MachineFault("it is killed", during=killed, gaps=True),
    MachineFault("it is killed twice", during=killed_twice, gaps=True),
    MachineFault(
        "it gets signals that mean nothing",
        during=signalled(signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH, signal.SIGURG, signal.SIGXFSZ),
    ),
    MachineFault("it has no file left", during=without_files),
    MachineFault("a reload has a wrong config", during=reloaded_with("intervall: 5\n")),
    MachineFault("a reload has no config", during=reloaded_without_config),
    MachineFault("a reload has a FIFO as config", during=reloaded_with_a_fifo),
    MachineFault("a reload has a deep config", during=reloaded_with(DEEP)),
    MachineFault("it is reloaded again and again", during=reloaded_again_and_again, gaps=True, lines=200),
    MachineFault("it is told to end twice", during=signalled(signal.SIGTERM, signal.SIGTERM), exit_code=0),
    MachineFault("it is interrupted", during=signalled(signal.SIGINT), exit_code=0),
    MachineFault(
        "it is stopped and told to end", during=signalled(signal.SIGSTOP, signal.SIGTERM, signal.SIGCONT), exit_code=0
    ),
    MachineFault("its manager hears nothing", manager_is_deaf, environment=(("NOTIFY_SOCKET", "{outside}/notify"),)),
    MachineFault("its manager is not there", environment=(("NOTIFY_SOCKET", "/nowhere/notify"),)),
    MachineFault(
        "its zone is nonsense",
        environment=(
            ("TZ", ":/dev/zero"),
            ("LANG", "xx_XX.nonsense"),
        ),
    ),
    MachineFault("it knows no folder of its own", wrapper=("env", "-C", "/proc/self", "-u", "HOME", "-u", "PATH")),
    MachineFault("it has no standard input", wrapper=("bash", "-c", 'exec "$0" "$@" <&-')),
    MachineFault("its log is full", wrapper=("bash", "-c", 'exec "$0" "$@" >/dev/full 2>&1')),
    MachineFault(
        "nobody reads its log",
        a_pipe_for_a_log,
        talkative,
        wrapper=("bash", "-c", 'exec "$0" "$@" 1<>"$CLOCK.log" 2>&1'),
    ),
    MachineFault("its log is closed", wrapper=("bash", "-c", 'exec "$0" "$@" >&- 2>&-')),
    # The clock.
    MachineFault("the clock is ten years ahead for some beats", during=clock(10 * YEAR)),
    MachineFault("the clock is two days ahead for some beats", during=clock(2 * 86_400.0)),
    MachineFault("the clock goes 90 days back", during=clock(-90 * 86_400.0)),
    MachineFault("the clock is of 1970", during=clock(-time.time() + 60)),
    MachineFault("the clock is of 1970 at the start", clock_before(-time.time() + 60), clock(0)),
    MachineFault("the clock is of the year 9999", during=clock(7970 * YEAR)),
    MachineFault("the clock is before all time", during=clock(-1e11)),
    MachineFault("the clock stands still", during=clock(None)),
    MachineFault("the clock jumps about", during=jumping),
    MachineFault("the clock passes midnight again and again", during=clock(86_400.0, 0, 86_400.0, -86_400.0)),
)
