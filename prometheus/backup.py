#!/usr/bin/env python3
"""Copy the data of a running Prometheus to another disk, and tell the Pushgateway how it went.

    sonnen-backup --folder=/mnt/backup/sonnen

A copy is a folder of data from which a Prometheus starts; README.md beside this file has the commands of a restore.

Prometheus is not asked for a snapshot: that needs --web.enable-admin-api, with which whoever reaches its port, or a
data source of Grafana, can delete everything. It is not needed, either: a block never changes, and the write-ahead log
is made to be read after a crash. Only where Prometheus has cut a block off the log meanwhile, or made one of several,
is there another round. Of what an earlier copy has, there is a hard link. `chunks_head` is left out: Prometheus makes
it anew from the log.
"""

import argparse
import base64
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import socket
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

DATA = "/var/lib/prometheus/metrics2"
LEDGER = "/var/lib/private/sonnen-agent/ledger.jsonl"
STAMP = "%Y-%m-%dT%H%M%SZ"
BLOCK = re.compile(r"[0-9A-Z]{26}")
ROUNDS = 20
"""A round after the first copies what is new only, and Prometheus changes its blocks once in two hours."""
SPARE_BYTES = 64 << 20
"""What Prometheus may write while it is copied."""
PREFIX = "sonnen_backup_"
HELP = {
    "success": "Whether the last backup ended well.",
    "last_success_timestamp_seconds": "When the newest whole copy was begun.",
    "copies": "Whole copies that are kept.",
    "size_bytes": "Size of the newest whole copy, with what it shares with earlier ones.",
    "needed_bytes": "What the last backup had to copy, because no earlier copy has it.",
    "free_bytes": "What was free on the disk of the backups before the last one.",
    "duration_seconds": "How long the last backup took.",
}
Result = TypeVar("Result")


class BackupError(Exception):
    """There is no new copy; the message says why, and what to do."""


def copies(folder: Path, now: float) -> list[Path]:
    """Return the whole copies, the oldest first; none of a clock that was ahead, it would stay the newest for ever."""
    return [one for one in sorted(folder.glob("20??-??-??T??????Z")) if begun(one) <= now]


def begun(copy: Path) -> float:
    """Return when a copy was begun."""
    return datetime.strptime(copy.name, STAMP).replace(tzinfo=UTC).timestamp()


def blocks(data: Path) -> list[Path]:
    """Return the blocks of a folder of data, but for what Prometheus passes over as well."""
    return sorted(path.parent for path in data.glob("*/meta.json") if BLOCK.fullmatch(path.parent.name))


def replaceable(data: Path) -> list[Path]:
    """Return what Prometheus makes one of from several: blocks, and the checkpoints of its log."""
    return [*blocks(data), *sorted((data / "wal").glob("checkpoint.*"))]


def files(data: Path) -> Iterator[Path]:
    """Yield what is to be copied."""
    for folder in (data / "wal", data / "wbl", *blocks(data)):
        yield from _inside(folder)


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def unchanged(file: Path, other: Path) -> bool:
    """Return whether another file, a copy perhaps, is the same."""
    if not other.is_file():
        return False
    one, two = file.stat(), other.stat()
    return (one.st_size, int(one.st_mtime)) == (two.st_size, int(two.st_mtime))


def needed_bytes(data: Path, earlier: Path) -> int:
    """Return the size of what an earlier copy does not have."""
    return sum(file.stat().st_size for file in files(data) if not unchanged(file, earlier / file.relative_to(data)))


def until_still(data: Path, look: Callable[[], Result]) -> Result:
    """Return what a look at the data comes to, during which Prometheus replaced nothing."""
    for _ in range(ROUNDS):
        before = replaceable(data)
        try:
            result = look()
        except FileNotFoundError:
            continue
        if replaceable(data) == before:
            return result
    raise BackupError(f"{data} changed in each of {ROUNDS} rounds: look at what Prometheus logs of its blocks")


def copy_and_read_back(file: Path, target: Path) -> None:
    """Copy a file, or raise BackupError where the disk does not have what was written to it."""
    written = hashlib.sha256()
    with file.open("rb") as source, target.open("xb") as copy:
        while piece := source.read(1 << 20):
            written.update(piece)
            copy.write(piece)
        copy.flush()
        os.fsync(copy.fileno())
        # Or the memory would answer in place of the disk.
        os.posix_fadvise(copy.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    shutil.copystat(file, target)
    with target.open("rb") as copy:
        if hashlib.file_digest(copy, "sha256").digest() != written.digest():
            raise BackupError(
                f"{target} does not hold what was written to it: the disk of the backups fails, replace it"
            )


def bring_up_to_date(
    copy: Path, data: Path, earlier: Path, copy_file: Callable[[Path, Path], object] = copy_and_read_back
) -> None:
    """Let a copy have what is there now, and no more."""
    met = set()
    for file in files(data):
        name = file.relative_to(data)
        target = copy / name
        met.add(target)
        if unchanged(file, target):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        # Never written over: where it was linked in the round before, an earlier copy has the same file.
        target.unlink(missing_ok=True)
        if unchanged(file, earlier / name):
            target.hardlink_to(earlier / name)
        else:
            copy_file(file, target)
    # What is inside of a folder before it.
    for path in sorted(copy.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        elif path.is_file() and path not in met:
            path.unlink()


def span(data: Path) -> tuple[int, int] | None:
    """Return the times, in milliseconds, between which a folder of data has blocks."""
    texts = [(block / "meta.json").read_text() for block in blocks(data)] if data.is_dir() else []
    times = [int(time) for text in texts for time in re.findall(r'"(?:min|max)Time": *(-?\d+)', text)]
    return (min(times), max(times)) if times else None


def check(folder: Path, data: Path, *, allow_same_disk: bool) -> None:
    """Raise BackupError where there can be no backup."""
    if not (data / "wal").is_dir():
        raise BackupError(f"{data} is not the data of a Prometheus: give its --storage.tsdb.path with --data")
    if not folder.is_dir():
        raise BackupError(f"{folder} is not there: mount the disk of the backups, or make the folder")
    if folder.stat().st_dev == data.stat().st_dev and not allow_same_disk:
        raise BackupError(
            f"{folder} is on the disk of {data}, and would be lost with it: mount another disk there, or give "
            "--allow-same-disk if you bring the copies elsewhere"
        )


def check_nothing_lost(data: Path, earlier: Path) -> None:
    """Raise BackupError where Prometheus has begun anew: the good copies must not go, one each night."""
    had, has = span(earlier), until_still(data, lambda: span(data))
    if had and (not has or has[0] >= had[1]):
        raise BackupError(
            f"{data} has nothing of what {earlier} holds: if a disk was lost, restore it as prometheus/README.md "
            "says; to begin anew, move the copies away"
        )


def check_links(folder: Path) -> None:
    """Raise BackupError where a file cannot have two names."""
    probe = folder / "lock.link"
    probe.unlink(missing_ok=True)
    try:
        probe.hardlink_to(folder / "lock")
    except OSError as error:
        raise BackupError(f"{folder} can have no hard links ({error.strerror}): format its disk with ext4") from error
    probe.unlink()


def back_up(options: argparse.Namespace, now: float, figures: dict[str, float]) -> None:
    """Add a copy and remove those that are too many, or raise BackupError or OSError; the figures are filled in."""
    folder: Path = options.folder
    data: Path = options.data
    check(folder, data, allow_same_disk=options.allow_same_disk)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BackupError(f"another backup into {folder} is under way: let it end") from error
        check_links(folder)
        unfinished = folder / "unfinished"
        # After a power cut, what looks like a copy may be empty.
        shutil.rmtree(unfinished, ignore_errors=True)
        whole = copies(folder, now)
        # Where there is no copy yet, nothing is found there.
        earlier = (whole[-1] if whole else unfinished) / "prometheus"
        check_nothing_lost(data, earlier)
        figures["free_bytes"] = shutil.disk_usage(folder).free
        figures["needed_bytes"] = until_still(data, lambda: needed_bytes(data, earlier))
        if figures["free_bytes"] < figures["needed_bytes"] + SPARE_BYTES:
            needed = f"{_megabytes(figures['needed_bytes'])}, and {_megabytes(SPARE_BYTES)} to spare"
            free = _megabytes(figures["free_bytes"])
            raise BackupError(f"{folder} has {free} free, and needs {needed}: make room, or keep fewer copies")
        until_still(data, lambda: bring_up_to_date(unfinished / "prometheus", data, earlier))
        if options.ledger.is_file():
            shutil.copy2(options.ledger, unfinished / "ledger.jsonl")
        # It counts when all of it is on the disk, and not before.
        os.sync()
        unfinished.rename(folder / datetime.fromtimestamp(now, UTC).strftime(STAMP))
        os.sync()
        for old in copies(folder, now)[: -options.keep]:
            # Of one that is half removed nobody shall think that it is whole.
            old.rename(unfinished)
            shutil.rmtree(unfinished)


def _megabytes(number: float) -> str:
    return f"{number / 1e6:.0f} MB"


def newest(folder: Path, now: float) -> dict[str, float]:
    """Return what there is to say of the copies."""
    whole = copies(folder, now)
    if not whole:
        return {"copies": 0}
    size = sum(file.stat().st_size for file in _inside(whole[-1]))
    return {"copies": len(whole), "last_success_timestamp_seconds": begun(whole[-1]), "size_bytes": size}


def page(figures: Mapping[str, float]) -> str:
    """Return the metrics in Prometheus's text format."""
    return "".join(
        f"# HELP {PREFIX}{name} {HELP[name]}\n# TYPE {PREFIX}{name} gauge\n{PREFIX}{name} {value:.15g}\n"
        for name, value in figures.items()
    )


def push(options: argparse.Namespace, text: str) -> None:
    """Let the gateway have the metrics, or raise OSError."""
    instance = urllib.parse.quote(socket.gethostname(), safe="")
    address = f"{options.gateway.rstrip('/')}/metrics/job/sonnen_backup/instance/{instance}"
    request = urllib.request.Request(address, data=text.encode(), method="PUT")  # noqa: S310 # the operator's own address
    if options.user:
        login = f"{options.user}:{options.password_file.read_text().strip()}"
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    context = ssl.create_default_context()
    if options.certificate:
        # This one and no other, whatever name is in it: the gateway is on this machine.
        context = ssl.create_default_context(cafile=options.certificate)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # What is on this machine is behind no proxy.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with opener.open(request, timeout=30):
        pass


def _fix(error: OSError) -> str:
    if "certificate verify failed" in str(error):
        return "; name the file of the gateway's certificate with --certificate"
    if isinstance(error, urllib.error.HTTPError) and error.code == 401:
        return "; give its login with --user and --password-file (to the Ansible role: sonnen_central_users)"
    return ""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description="Copies the data of a running Prometheus to another disk.")
    parser.add_argument("--folder", type=Path, required=True, help="where the copies are, on another disk")
    parser.add_argument("--data", type=Path, default=DATA, help=f"Prometheus's (default: {DATA})")
    parser.add_argument("--keep", type=int, default=7, help="how many copies stay (default: 7)")
    parser.add_argument("--allow-same-disk", action="store_true", help="though a lost disk takes the copies along")
    parser.add_argument("--ledger", type=Path, default=LEDGER, help="an agent's on this machine, if there is one")
    parser.add_argument("--gateway", default="http://127.0.0.1:9091", help="the Pushgateway that is told")
    parser.add_argument("--user", default="", help="the user name for it")
    parser.add_argument("--password-file", type=Path, help="the file with the password of that user")
    parser.add_argument("--certificate", type=Path, help="the file with the gateway's own certificate")
    options = parser.parse_args(arguments)
    if options.keep < 1:
        parser.error(f"--keep: should be 1 or more, got {options.keep}")
    if options.user and not options.password_file:
        parser.error("--user: needs --password-file")
    return options


def main() -> int:
    """Back up, and tell; the exit code is 1 where one of them failed."""
    options = parse(sys.argv[1:])
    now, began = time.time(), time.monotonic()
    figures: dict[str, float] = {"success": 0}
    try:
        back_up(options, now, figures)
        figures["success"] = 1
    except (BackupError, OSError) as error:
        print(f"no backup: {error}", file=sys.stderr)
    # Where not even the copies can be looked at, that was told already.
    with contextlib.suppress(OSError):
        figures |= newest(options.folder, now)
    figures["duration_seconds"] = time.monotonic() - began
    try:
        push(options, page(figures))
    except OSError as error:
        print(f"{options.gateway} was not told of the backup: {error}{_fix(error)}", file=sys.stderr)
        return 1
    if figures["success"]:
        print(f"{_megabytes(figures['needed_bytes'])} copied; copies in {options.folder}: {figures['copies']:.0f}")
    return 0 if figures["success"] else 1


if __name__ == "__main__":
    sys.exit(main())
