"""The backup: a copy is whole whatever happens meanwhile, an earlier one never changes, and what goes wrong is told."""

import base64
import fcntl
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from backup import BackupError, back_up, bring_up_to_date, copies, needed_bytes, parse, until_still
from servers import Group, Pushgateway

HOUR = 3_600_000
NOW = 1_780_000_000.0
NIGHT = 86_400
PASSWORD = "a-made-up-password"
PASSWORD_BCRYPT = "$2b$04$VLXbfKjsiB23wwVxR6wnfeODdqBminXfcch7hZ.Ito6S1nxKJ3UH6"


class Data:
    """A folder of data as Prometheus keeps it: each file of a log has an hour, and each block some."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = 0
        (folder / "wal").mkdir(parents=True)

    def log(self, hour: int) -> None:
        (self.folder / f"wal/{hour:08}").write_text(f"{hour}")

    def block(self, *hours: int) -> Path:
        self.number += 1
        made = self.folder / f"{self.number:026}"
        unfinished = self.folder / f"{made.name}.tmp-for-creation"
        (unfinished / "chunks").mkdir(parents=True)
        (unfinished / "chunks/000001").write_text(f"chunks of {hours}")
        (unfinished / "index").write_text(" ".join(map(str, hours)))
        (unfinished / "tombstones").write_text("none")
        times = {"minTime": min(hours) * HOUR, "maxTime": (max(hours) + 1) * HOUR}
        (unfinished / "meta.json").write_text(json.dumps(times))
        unfinished.rename(made)
        return made

    def cut(self, *hours: int) -> None:
        """Make a block of what the log begins with."""
        self.block(*hours)
        checkpoint = self.folder / f"wal/checkpoint.{max(hours):08}"
        checkpoint.mkdir()
        (checkpoint / "00000000").write_text("")
        for hour in hours:
            (self.folder / f"wal/{hour:08}").unlink()

    def compact(self, *parents: Path) -> None:
        """Make one block of several."""
        self.block(*(int(hour) for parent in parents for hour in (parent / "index").read_text().split()))
        for parent in parents:
            gone = parent.rename(parent.with_name(f"{parent.name}.tmp-for-deletion"))
            shutil.rmtree(gone)


def hours(copy: Path) -> set[int]:
    """Return the hours that a copy holds, all of whose blocks have to be whole."""
    found = {int(file.read_text()) for file in copy.glob("wal/0*")}
    for block in set(copy.iterdir()) - {copy / "wal"}:
        assert {file.name for file in block.iterdir()} == {"chunks", "index", "meta.json", "tombstones"}
        assert (block / "chunks/000001").is_file()
        found.update(int(hour) for hour in (block / "index").read_text().split())
    return found


@pytest.fixture
def data(tmp_path: Path) -> Data:
    """Four hours, of which two are in blocks."""
    made = Data(tmp_path / "data")
    made.block(0)
    made.block(1)
    made.log(2)
    made.log(3)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "backup"
    made.mkdir()
    return made


def run(data: Data, folder: Path, *options: str, now: float = NOW) -> dict[str, float]:
    figures: dict[str, float] = {}
    given = [f"--folder={folder}", f"--data={data.folder}", "--ledger=/nowhere", "--allow-same-disk", *options]
    back_up(parse(given), now, figures)
    return figures


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "lock")


def compacts(data: Data) -> None:
    data.compact(*sorted(data.folder.glob("0*")))


def cuts_the_log(data: Data) -> None:
    data.cut(2)


def does_both(data: Data) -> None:
    data.cut(2)
    compacts(data)


@pytest.mark.parametrize("happening", [compacts, cuts_the_log, does_both])
@pytest.mark.parametrize("copied", range(10))
def test_a_copy_is_whole_at_whichever_file_prometheus_replaces_what_it_has(
    data: Data, tmp_path: Path, copied: int, happening: Callable[[Data], None]
) -> None:
    number = 0

    def copy_file(file: Path, target: Path) -> None:
        nonlocal number
        if number == copied:
            happening(data)
        number += 1
        shutil.copy2(file, target)

    copy = tmp_path / "copy"
    until_still(data.folder, lambda: bring_up_to_date(copy, data.folder, tmp_path / "nowhere", copy_file))

    assert number > copied
    assert hours(copy) == {0, 1, 2, 3}
    assert needed_bytes(data.folder, copy) == 0


def test_data_that_never_holds_still_is_told(data: Data) -> None:
    with pytest.raises(BackupError, match=r"changed in each of 20 rounds: look at what Prometheus logs"):
        until_still(data.folder, lambda: data.block(4))


def test_what_is_old_is_linked_and_an_earlier_copy_never_changes(data: Data, folder: Path) -> None:
    whole = run(data, folder)["needed_bytes"]
    deleted = data.folder / f"{1:026}/tombstones"
    deleted.write_text("some more")
    data.log(4)

    assert run(data, folder, now=NOW + NIGHT)["needed_bytes"] == len("some more") + len("4") < whole

    earlier, later = (copy / "prometheus" for copy in copies(folder, NOW + NIGHT))
    block = f"{2:026}/index"
    assert (earlier / block).stat().st_ino == (later / block).stat().st_ino
    name = deleted.relative_to(data.folder)
    assert ((earlier / name).read_text(), (later / name).read_text()) == ("none", "some more")
    assert hours(later) == hours(earlier) | {4}


def test_an_earlier_copy_never_changes_where_a_block_does_in_the_midst_of_a_round(data: Data, folder: Path) -> None:
    run(data, folder)
    (earlier,) = folder.glob("20*/prometheus")
    data.block(4)
    tombstones = f"{1:026}/tombstones"
    changed: list[Path] = []

    def copy_file(file: Path, target: Path) -> None:
        if not changed:
            changed.append(file)
            (data.folder / tombstones).write_text("some more")
            cuts_the_log(data)
        shutil.copy2(file, target)

    copy = folder / "copy"
    until_still(data.folder, lambda: bring_up_to_date(copy, data.folder, earlier, copy_file))

    assert ((earlier / tombstones).read_text(), (copy / tombstones).read_text()) == ("none", "some more")
    assert hours(copy) == {0, 1, 2, 3, 4}


def test_the_oldest_go_when_a_new_one_is_whole_and_what_an_interrupted_one_left_goes(data: Data, folder: Path) -> None:
    (folder / "unfinished/prometheus/wal").mkdir(parents=True)
    (folder / "unfinished/prometheus/wal/00000009").write_text("9")
    empty = folder / "unfinished/prometheus/wal/00000002"
    empty.write_text("0")
    shutil.copystat(data.folder / "wal/00000002", empty)
    (folder / "2099-01-01T000000Z").mkdir()
    for night in range(4):
        run(data, folder, "--keep=2", now=NOW + night * NIGHT)

    assert names(folder) == ["2026-05-30T202640Z", "2026-05-31T202640Z", "2099-01-01T000000Z"]
    assert hours(folder / "2026-05-31T202640Z/prometheus") == {0, 1, 2, 3}


def test_the_ledger_of_an_agent_on_the_same_machine_is_copied_along(data: Data, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "ledger.jsonl").write_text("a day")
    run(data, folder, f"--ledger={tmp_path / 'ledger.jsonl'}")
    assert next(folder.glob("*/ledger.jsonl")).read_text() == "a day"


def test_without_room_nothing_is_begun(data: Data, folder: Path) -> None:
    run(data, folder)
    # Whose size is eight terabytes, of which nothing is on the disk.
    os.truncate(data.folder / f"{1:026}/chunks/000001", 1 << 43)

    with pytest.raises(BackupError, match=r"MB free, and needs 8796093 MB, and 67 MB to spare: make room"):
        run(data, folder, "--keep=1", now=NOW + NIGHT)
    assert names(folder) == ["2026-05-28T202640Z"]


def test_a_prometheus_that_has_begun_anew_takes_no_place_of_the_copies(
    data: Data, folder: Path, tmp_path: Path
) -> None:
    run(data, folder)
    anew = Data(tmp_path / "anew")
    for begun in (lambda: anew.log(5), lambda: anew.block(2)):
        begun()
        with pytest.raises(BackupError, match=r"has nothing of what .* holds: if a disk was lost, restore it"):
            run(anew, folder, "--keep=1", now=NOW + NIGHT)
    anew.block(1)
    run(anew, folder, now=NOW + NIGHT)


def test_a_block_that_is_damaged_stops_no_backup(data: Data, folder: Path) -> None:
    (data.folder / f"{1:026}/meta.json").write_text("")
    (data.folder / f"{8:026}").mkdir()
    run(data, folder)
    run(data, folder, now=NOW + NIGHT)
    assert hours(copies(folder, NOW + NIGHT)[-1] / "prometheus") == {0, 1, 2, 3}


def test_a_disk_that_loses_what_it_takes_is_told_and_an_earlier_copy_stays(
    data: Data, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(data, folder, "--keep=1")
    data.log(4)
    # In place of such a disk: what is in memory of the file is gone when it is asked for again.
    monkeypatch.setattr(os, "fsync", lambda file: os.ftruncate(file, 0))

    with pytest.raises(
        BackupError, match=r"00000004 does not hold what was written to it: the disk of the backups fails"
    ):
        run(data, folder, "--keep=1", now=NOW + NIGHT)
    assert hours(folder / "2026-05-28T202640Z/prometheus") == {0, 1, 2, 3}


def test_an_own_disk_is_asked_for(data: Data, folder: Path) -> None:
    with pytest.raises(BackupError, match=r"is on the disk of .*, and would be lost with it: mount another disk there"):
        back_up(parse([f"--folder={folder}", f"--data={data.folder}"]), NOW, {})


def test_what_is_no_folder_is_told(data: Data, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"/nowhere is not there: mount the disk of the backups"):
        run(data, tmp_path / "nowhere")
    (data.folder / "wal").rename(data.folder / "other")
    with pytest.raises(BackupError, match=r"is not the data of a Prometheus: give its --storage.tsdb.path with --data"):
        run(data, tmp_path)


def test_two_backups_at_once_are_one(data: Data, folder: Path) -> None:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BackupError, match=r"another backup into .* is under way: let it end"):
            run(data, folder)
    run(data, folder)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Pushgateway]:
    with Pushgateway(tmp_path) as running:
        yield running


def program(data: Data, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).parents[2] / "prometheus/backup.py"
    given = [f"--folder={folder}", f"--data={data.folder}", "--ledger=/nowhere", "--allow-same-disk", *options]
    return subprocess.run([sys.executable, script, *given], capture_output=True, text=True, check=False)


def told(gateway: Pushgateway) -> dict[str, float]:
    """Return what the gateway was told of the backup."""
    (group,) = (one for one in gateway.groups() if of_this_machine(one))
    return {
        name.removeprefix("sonnen_backup_"): samples[0].value
        for name, samples in group.samples.items()
        if name.startswith("sonnen_backup_")
    }


def of_this_machine(group: Group) -> bool:
    return group.labels == {"job": "sonnen_backup", "instance": socket.gethostname()}


@pytest.mark.system
def test_the_gateway_knows_how_it_went(data: Data, folder: Path, gateway: Pushgateway) -> None:
    before = int(time.time())
    well = program(data, folder, f"--gateway={gateway.url}")
    assert (well.returncode, well.stderr) == (0, "")
    assert well.stdout == f"0 MB copied; copies in {folder}: 1\n"
    good = told(gateway)
    assert before <= good["last_success_timestamp_seconds"] <= time.time()
    assert good["size_bytes"] == good["needed_bytes"] == needed_bytes(data.folder, folder / "nowhere")
    assert (good["success"], good["copies"]) == (1, 1)
    assert good["free_bytes"] > 0
    assert 0 < good["duration_seconds"] < 60

    os.truncate(data.folder / f"{1:026}/chunks/000001", 1 << 43)
    failed = program(data, folder, f"--gateway={gateway.url}")
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"no backup: {folder} has ")
    bad = told(gateway)
    assert bad["needed_bytes"] > bad["free_bytes"]
    same = ("last_success_timestamp_seconds", "size_bytes", "copies")
    assert (bad["success"], [bad[name] for name in same]) == (0, [good[name] for name in same])


@pytest.mark.system
def test_the_gateway_is_told_over_tls_with_a_password_and_is_the_one_of_the_certificate(
    data: Data, folder: Path, tmp_path: Path
) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("another.example")
    certificate.private_key_pem.write_to_path(tmp_path / "tls.key")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    trustme.CA().issue_cert("another.example").cert_chain_pems[0].write_to_path(tmp_path / "other.crt")
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    web = tmp_path / "web.yml"
    web.write_text(
        f"tls_server_config: {{cert_file: {tmp_path}/tls.crt, key_file: {tmp_path}/tls.key}}\n"
        f"basic_auth_users: {{pi: {PASSWORD_BCRYPT}}}\n"
    )
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    trust.check_hostname = False
    basic = {"Authorization": f"Basic {base64.b64encode(f'pi:{PASSWORD}'.encode()).decode()}"}
    login = ["--user=pi", f"--password-file={tmp_path / 'password'}"]
    with Pushgateway(tmp_path, web_config_file=web, headers=basic, trust=trust) as gateway:
        (tmp_path / "other").mkdir()
        other = program(
            data, tmp_path / "other", f"--gateway={gateway.url}", *login, f"--certificate={tmp_path / 'other.crt'}"
        )
        assert other.returncode == 1
        assert f"{gateway.url} was not told of the backup: " in other.stderr
        assert other.stderr.endswith("; name the file of the gateway's certificate with --certificate\n")
        own = f"--certificate={tmp_path / 'tls.crt'}"
        nobody = program(data, tmp_path / "other", f"--gateway={gateway.url}", own)
        assert nobody.returncode == 1
        assert nobody.stderr.endswith(
            "; give its login with --user and --password-file (to the Ansible role: sonnen_central_users)\n"
        )
        assert gateway.groups() == []
        well = program(data, folder, f"--gateway={gateway.url}", *login, own)
        assert (well.returncode, well.stderr) == (0, "")
        assert told(gateway)["success"] == 1
