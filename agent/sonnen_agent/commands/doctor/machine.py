"""The machine of the agent: its clock, the state directory and the card below it, and the unit."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from sonnen_agent.clock import WallClock
from sonnen_agent.commands.doctor.finding import Findings, duration, fail, ok, skipped, warn
from sonnen_agent.errors import counted
from sonnen_agent.state.store import IN_MEMORY, file_system, peek

UNIT = "sonnen-agent"
_LITTLE_ROOM_BYTES = 64 << 20
_MUCH_MIB_A_DAY = 300
"""A card bears that for years; the agent writes some ten, and more only in an outage with remote write."""
_OLD_SECONDS = 300
"""A running agent saves once a minute."""
_SECONDS = 5
_PROPERTIES = "LoadState,ActiveState,SubState,Result,NRestarts,UnitFileState,NeedDaemonReload,WatchdogUSec,StatusText"
_LAST_CRASH = "Main process exited|Failed with result|Watchdog timeout"


def check_clock(clock: WallClock) -> Findings:
    """Yield whether this machine's clock can be believed."""
    if clock.now() is None:
        fix = "timedatectl or chronyc tracking says why; a Pi before model 5 needs the network for it"
        yield fail("clock", "it is not set yet", fix)
    else:
        yield ok("clock", f"{time.strftime('%Y-%m-%d %H:%M:%S %Z')}")


def check_state_directory(folder: Path) -> Findings:
    """Yield whether counters can be kept there, what is, and how much the agent writes."""
    check = "state directory"
    elsewhere = "make it writable for the agent's user, or name another as state_directory"
    try:
        folder.stat()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        fix = "the agent makes it at its first start" if missing else "run doctor with sudo"
        yield warn(check, f"{folder}: {error.strerror}", fix)
        yield skipped("card", "there is no state directory to be seen")
        return
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    except PermissionError as error:
        yield warn(check, f"{folder}: {error.strerror}", "run doctor with sudo")
    except OSError as error:
        fix = "make room there" if error.strerror == os.strerror(28) else elsewhere
        yield fail(check, f"{folder} cannot be written: {error.strerror}", fix)
    else:
        free = shutil.disk_usage(folder).free
        if (kind := file_system(folder)) in IN_MEMORY:
            fix = "set state_directory to a place on the card or disk"
            yield warn(check, f"{folder} is in memory ({kind}): a reboot forgets the counters", fix)
        elif free < _LITTLE_ROOM_BYTES:
            yield warn(check, f"{folder}: only {free / (1 << 20):.0f} MiB are free", "make room there")
        else:
            yield ok(check, f"{folder} can be written, {free / (1 << 20):.0f} MiB are free")
    pid = _running(folder)
    yield from _counters(folder, running=pid is not None)
    yield from _wear(pid)


def _counters(folder: Path, *, running: bool) -> Findings:
    check = "counters"
    stored = peek(folder)
    if stored is None:
        if any(folder.glob("counters*.json")):
            yield fail(check, "what is kept cannot be read", "journalctl -u sonnen-agent says why; run doctor as root")
        else:
            yield skipped(check, "none are kept yet")
        return
    age = time.time() - stored.saved_unix_seconds
    if running and age > _OLD_SECONDS:
        yield warn(check, f"saved {duration(age)} ago, though an agent runs", "journalctl -u sonnen-agent says why")
    else:
        yield ok(check, f"of {counted(len(stored.meters), 'battery', 'batteries')}, saved {duration(age)} ago")


def _running(folder: Path) -> int | None:
    """Return the process that has the directory, as its lock says it."""
    try:
        pid = int((folder / "lock").read_text(encoding="ascii", errors="replace"))
        return pid if b"sonnen" in Path(f"/proc/{pid}/cmdline").read_bytes() else None
    except (OSError, ValueError):
        return None


def _wear(pid: int | None) -> Findings:
    check = "card"
    if pid is None:
        yield skipped(check, "no agent runs here whose writing could be measured")
        return
    try:
        written = re.search(r"^write_bytes: (\d+)", Path(f"/proc/{pid}/io").read_text(encoding="ascii"), re.MULTILINE)
        ticks = int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19])
        uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    except OSError as error:
        yield skipped(check, f"what the agent has written cannot be seen: {error.strerror}; run doctor with sudo")
        return
    seconds = max(uptime - ticks / os.sysconf("SC_CLK_TCK"), 1)
    mebibytes = int(written[1] if written else 0) / (1 << 20)
    seen = f"the agent wrote {mebibytes:.1f} MiB in {duration(seconds)}"
    if mebibytes > _MUCH_MIB_A_DAY * max(seconds / 86_400, 1 / 24):
        fix = "it wears a card: does remote write's receiver take nothing? Look at the journal"
        yield warn(check, seen, fix)
    else:
        yield ok(check, seen)


def check_unit(booted: Path = Path("/run/systemd/system")) -> Findings:
    """Yield how the service is, and how it ended the last time; `booted` is there where systemd runs."""
    check = "unit"
    if not booted.is_dir():
        yield skipped(check, "no systemd runs here")
        return
    told = _output("systemctl", "show", UNIT, f"--property={_PROPERTIES}")
    unit = dict(line.partition("=")[::2] for line in told.splitlines())
    if unit.get("LoadState") != "loaded":
        yield skipped(check, f"there is none called {UNIT}: {unit.get('LoadState') or 'systemd does not answer'}")
        return
    state, restarts = f"{unit.get('ActiveState')} ({unit.get('SubState')})", unit.get("NRestarts", "0")
    crash = _last_crash() if unit.get("ActiveState") != "active" or restarts != "0" else ""
    if unit.get("ActiveState") not in ("active", "reloading"):
        because = "" if unit.get("Result") in ("success", None) else f", {unit['Result']}"
        yield fail(check, f"{state}{because}{crash}", f"sudo systemctl start {UNIT}; journalctl -u {UNIT} -n 30")
    elif restarts != "0":
        yield warn(check, f"{state}, restarts: {restarts}{crash}", f"journalctl -u {UNIT} has what went before")
    else:
        yield ok(check, f"{state}: {unit.get('StatusText', '')}")
    yield from _setting(unit)


def _setting(unit: Mapping[str, str]) -> Findings:
    if unit.get("UnitFileState") not in ("enabled", "enabled-runtime", "static"):
        yield warn("unit", f"it is {unit.get('UnitFileState')}: not started at boot", f"sudo systemctl enable {UNIT}")
    if unit.get("WatchdogUSec") in ("0", "infinity"):
        yield warn("unit", "it has no watchdog", "take the unit of this release, with WatchdogSec=60s")
    if unit.get("NeedDaemonReload") == "yes":
        fix = f"sudo systemctl daemon-reload; sudo systemctl restart {UNIT}"
        yield warn("unit", "its file was changed and is not in force yet", fix)


def _last_crash() -> str:
    words = _output("journalctl", "-u", UNIT, "-g", _LAST_CRASH, "-n", "1", "-o", "short-iso", "--no-pager", "-q")
    line = words.strip().rpartition("\n")[2]
    moment, _, message = line.partition(" ")
    return f"; last: {moment} {message.partition('.service: ')[2]}" if message else ""


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False).stdout  # noqa: S603 - our words
    except (OSError, subprocess.TimeoutExpired):
        return ""
