import errno
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sonnen_agent.outputs.remote_write import record
from sonnen_agent.outputs.remote_write.beat import Beat
from sonnen_agent.outputs.remote_write.queue import Batch, BeatQueue, MemoryQueue
from sonnen_agent.outputs.remote_write.segment import inspect
from sonnen_agent.outputs.remote_write.spool import Spool
from sonnen_agent.outputs.remote_write.wire import series_bytes, value_bytes

THIS_BOOT = b"this boot, 16 B."
EARLIER_BOOT = b"an earlier boot."
OFFSET_MS = 1_795_000_000_000
FAR_FUTURE_MS = 1 << 60
OPENED: list[Spool] = []
SERIES = tuple(series_bytes({"__name__": f"sonnen_{number}", "job": "sonnen"}) for number in range(20))


def beat(number: int, series: tuple[bytes, ...] = SERIES) -> Beat:
    values = b"".join(value_bytes(number * place / 7) for place in range(len(series)))
    return Beat(monotonic_ms=1000 + number * 5000, series=series, values=values)


def beats(count: int) -> list[Beat]:
    # Every few beats the layout is another one, as when a battery falls silent.
    return [beat(number, SERIES[: 3 if number % 5 == 4 else None]) for number in range(count)]


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close what a test has opened, whether it did so itself or not."""
    yield
    while OPENED:
        OPENED.pop().close()


def opened(directory: Path, *, boot: bytes = THIS_BOOT, max_bytes: int = 1 << 20) -> Spool:
    spool = Spool(directory, max_bytes, boot=boot, monotonic=lambda: 0)
    OPENED.append(spool)
    return spool


def drained(queue: BeatQueue, *, most_samples: int = 100, now_unix_ms: int = FAR_FUTURE_MS) -> list[Beat]:
    found: list[Beat] = []
    while (batch := queue.peek(most_samples, now_unix_ms)) is not None:
        found += [one for one, _ in batch.beats]
        queue.advance(batch)
    return found


def said(caplog: pytest.LogCaptureFixture, level: int = logging.INFO) -> list[str]:
    return [entry.getMessage() for entry in caplog.records if entry.levelno >= level]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def spool(directory: Path) -> Iterator[Spool]:
    spool = opened(directory)
    spool.note_offset(OFFSET_MS)
    yield spool
    spool.close()


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_beats_come_out_in_the_order_they_went_in(kind: str, directory: Path) -> None:
    queue: BeatQueue = opened(directory) if kind == "disk" else MemoryQueue(1 << 20)
    queue.append(beats(30))
    assert queue.peek(100, FAR_FUTURE_MS) is None  # nobody knows the time yet
    queue.note_offset(OFFSET_MS)

    assert queue.samples == sum(map(len, beats(30)))
    assert queue.size > 0
    assert queue.oldest_unix_ms == 1000 + OFFSET_MS
    assert drained(queue) == beats(30)
    assert (queue.samples, queue.size, queue.dropped_samples) == (0, 0, 0)
    assert queue.oldest_unix_ms is None


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_what_was_not_delivered_comes_out_again(kind: str, directory: Path) -> None:
    queue: BeatQueue = opened(directory) if kind == "disk" else MemoryQueue(1 << 20)
    queue.note_offset(OFFSET_MS)
    queue.append(beats(9))

    first = queue.peek(50, FAR_FUTURE_MS)
    again = queue.peek(1, FAR_FUTURE_MS)

    assert first is not None
    assert again is not None
    assert [one for one, _ in first.beats] == beats(2)
    assert [one for one, _ in again.beats] == beats(1)  # a smaller batch, at least a beat
    queue.advance(again)
    assert drained(queue) == beats(9)[1:]


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_the_bound_drops_the_oldest_and_counts_them(kind: str, directory: Path) -> None:
    queue: BeatQueue = opened(directory, max_bytes=32_000) if kind == "disk" else MemoryQueue(32_000)
    queue.note_offset(OFFSET_MS)
    all_beats = beats(2000)
    for one in all_beats:
        queue.append([one])
        assert queue.size <= 32_000

    kept = drained(queue)

    assert len(kept) > 50
    assert kept == all_beats[-len(kept) :]
    assert queue.dropped_samples == sum(map(len, all_beats[: -len(kept)]))


def test_a_batch_whose_beats_were_dropped_meanwhile_takes_no_others_along(directory: Path) -> None:
    for queue in (opened(directory, max_bytes=32_000), MemoryQueue(32_000)):
        queue.note_offset(OFFSET_MS)
        queue.append(beats(10))
        batch = queue.peek(100, FAR_FUTURE_MS)
        assert batch is not None
        for one in beats(3000):
            queue.append([one])
        before = queue.samples

        queue.advance(batch)

        assert queue.samples == before


def test_nothing_is_on_disk_when_all_was_delivered(spool: Spool, directory: Path) -> None:
    assert not list(directory.iterdir())
    spool.append(beats(3))
    assert list(directory.iterdir())
    drained(spool)
    assert not list(directory.iterdir())


def test_a_beat_that_follows_a_drained_one_is_kept(spool: Spool) -> None:
    for one in beats(20):
        spool.append([one])
        assert drained(spool) == [one]


def test_what_is_appended_while_draining_comes_last(spool: Spool) -> None:
    spool.append(beats(10)[:6])
    batch = spool.peek(40, FAR_FUTURE_MS)
    assert batch is not None
    spool.append(beats(10)[6:])
    spool.advance(batch)
    assert drained(spool) == beats(10)[2:]


def test_a_new_process_finds_what_was_closed_in_order(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first = opened(directory, max_bytes=1 << 20)
    first.note_offset(OFFSET_MS)
    first.append(beats(40))
    first.close()

    second = opened(directory, boot=EARLIER_BOOT)

    assert second.samples == sum(map(len, beats(40)))
    assert second.oldest_unix_ms == 1000 + OFFSET_MS
    assert drained(second) == beats(40)
    assert said(caplog) == [f"{directory}: {sum(map(len, beats(40)))} samples wait from before"]


def test_a_boot_ends_with_its_last_offset_also_for_beats_from_before_it_was_known(directory: Path) -> None:
    earlier = opened(directory, boot=EARLIER_BOOT)
    earlier.append(beats(2))
    earlier.note_offset(OFFSET_MS - 1)
    earlier.append(beats(4)[2:])
    earlier.note_offset(OFFSET_MS)
    earlier.close()
    now = opened(directory)
    now.note_offset(OFFSET_MS + 777)
    now.append(beats(5)[4:])

    batch = now.peek(1000, FAR_FUTURE_MS)
    assert batch is not None
    assert {offset_ms for _, offset_ms in batch.beats} == {OFFSET_MS}
    now.advance(batch)
    batch = now.peek(1000, FAR_FUTURE_MS)
    assert batch is not None
    assert {offset_ms for _, offset_ms in batch.beats} == {OFFSET_MS + 777}


def test_beats_of_a_boot_that_never_knew_the_time_are_dropped_and_counted(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    earlier = opened(directory, boot=EARLIER_BOOT)
    earlier.append(beats(4))
    earlier.close()
    now = opened(directory)
    now.note_offset(OFFSET_MS)
    now.append(beats(1))

    assert drained(now) == beats(1)
    assert now.dropped_samples == sum(map(len, beats(4)))
    assert "the clock was not set before the power went" in said(caplog, logging.WARNING)[0]


def test_a_process_of_the_same_boot_gives_the_time_to_those_before_it(directory: Path) -> None:
    killed = opened(directory)
    killed.append(beats(4))
    killed.close()
    now = opened(directory)
    now.note_offset(OFFSET_MS)
    assert drained(now) == beats(4)


def test_beats_from_the_future_are_dropped_and_counted(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    earlier = opened(directory, boot=EARLIER_BOOT)
    earlier.note_offset(OFFSET_MS)
    earlier.append(beats(4))
    earlier.close()
    now = opened(directory)

    assert drained(now, now_unix_ms=OFFSET_MS - 700_000) == []
    assert now.dropped_samples == sum(map(len, beats(4)))
    assert "the clock was wrong" in said(caplog, logging.WARNING)[0]


def test_two_processes_do_not_share_a_spool(spool: Spool, directory: Path) -> None:
    assert spool.samples == 0
    with pytest.raises(BlockingIOError):
        opened(directory)


def left_by_a_kill(directory: Path, count: int) -> Path:
    """Return the one segment of a process that had no time to close it."""
    if directory.exists():
        shutil.rmtree(directory)
    spool = opened(directory.with_name("alive"))
    spool.note_offset(OFFSET_MS)
    spool.append(beats(count))
    shutil.copytree(directory.with_name("alive"), directory)
    drained(spool)
    spool.close()
    (segment,) = directory.iterdir()
    return segment


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_that_is_cut_anywhere_loses_its_end_at_most(directory: Path, data: st.DataObject) -> None:
    segment = left_by_a_kill(directory, 12)
    whole = segment.read_bytes()
    cut = data.draw(st.integers(min_value=0, max_value=len(whole)))
    filling = data.draw(st.sampled_from([b"", bytes(500), b"\xff" * 40]))
    content = whole[:cut] + filling
    segment.write_bytes(content)

    spool = opened(directory)
    spool.note_offset(OFFSET_MS)
    found = drained(spool)

    assert found == beats(len(found))
    # What was whole before the cut is there, and more only where the filling is what was cut off.
    ends = record_ends(whole)
    assert len(found) == sum(content[:end] == whole[:end] for end in ends)
    spool.append(beats(1))
    assert drained(spool) == beats(1)
    spool.close()


def record_ends(segment: bytes) -> list[int]:
    ends = []
    at = record.HEADER_BYTES
    while at < len(segment):
        head = segment[at : at + record.FRAME_BYTES]
        payload = segment[at + record.FRAME_BYTES :][: record.frame_length(head)]
        at += len(head) + len(payload)
        if record.frame_kind(head, payload) == record.BEAT:
            ends.append(at)
    return ends


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_costs_no_more_than_what_follows_it(directory: Path, data: st.DataObject) -> None:
    segment = left_by_a_kill(directory, 12)
    content = bytearray(segment.read_bytes())
    ends = record_ends(bytes(content))
    place = data.draw(st.integers(min_value=record.HEADER_BYTES, max_value=len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(min_value=0, max_value=7))
    segment.write_bytes(content)

    spool = opened(directory)
    spool.note_offset(OFFSET_MS)

    assert drained(spool) == beats(sum(end <= place for end in ends))
    spool.close()


def test_damage_in_the_middle_of_a_closed_segment_is_counted(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = opened(directory)
    first.note_offset(OFFSET_MS)
    first.append(beats(12))
    first.close()
    (segment,) = directory.iterdir()
    content = bytearray(segment.read_bytes())
    place = record_ends(bytes(content))[5] + 20
    content[place] ^= 1
    segment.write_bytes(content)
    second = opened(directory)

    assert drained(second) == beats(6)
    assert second.dropped_samples == sum(map(len, beats(12)[6:]))
    assert said(caplog, logging.WARNING) == [f"{segment} is damaged: {second.dropped_samples} samples are lost"]
    assert second.samples == 0


def test_a_torn_end_is_cut_off_with_one_line(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    segment = left_by_a_kill(directory, 6)
    size = segment.stat().st_size
    with segment.open("ab") as file:
        file.write(bytes(4096))
    caplog.clear()

    opened(directory).close()

    assert said(caplog, logging.WARNING) == [f"{segment}: its last 4096 bytes are damaged and cut off"]
    assert segment.stat().st_size == size


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"GIF89a, and more of a picture that somebody dropped here", "not written by sonnen-agent"),
        (b"x", "not written by sonnen-agent"),
        (record.header(THIS_BOOT)[:12] + b"\xff" * 30, "its header is damaged"),
        (bytes(4096) + b"data", "it begins with zeros"),
    ],
)
def test_a_foreign_file_is_set_aside(
    directory: Path, content: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    directory.mkdir()
    path = directory / "000000000007.spool"
    path.write_bytes(content)
    (directory / "000000000007.spool.bad").write_bytes(b"from another time")

    spool = opened(directory)

    assert said(caplog, logging.WARNING) == [f"{path}: {why}; set aside as 000000000007.spool.bad2"]
    spool.append(beats(1))
    assert {file.name: file.read_bytes() for file in directory.iterdir() if "bad" in file.name} == {
        "000000000007.spool.bad": b"from another time",
        "000000000007.spool.bad2": content,
    }
    assert (directory / "000000000008.spool").exists()


def test_a_segment_of_a_later_version_is_set_aside(
    directory: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.mkdir()
    with monkeypatch.context() as later:
        later.setattr(record, "_VERSION", 2)
        (directory / "000000000001.spool").write_bytes(record.header(THIS_BOOT) + b"what nobody knows yet")

    opened(directory)

    assert "format 2 of another version of sonnen-agent; this one reads 1" in said(caplog, logging.WARNING)[0]
    assert (directory / "000000000001.spool.bad").exists()


@pytest.mark.parametrize("content", [b"", b"SNSP", bytes(30), bytes(200_000), record.header(THIS_BOOT)[:29]])
def test_a_file_that_never_got_its_header_is_removed(directory: Path, content: bytes) -> None:
    directory.mkdir()
    (directory / "000000000001.spool").write_bytes(content)
    assert opened(directory).samples == 0
    assert not list(directory.iterdir())


def test_what_is_not_ours_is_left_alone(directory: Path) -> None:
    directory.mkdir()
    (directory / "lost+found").mkdir()
    (directory / "000000000001.spool").mkdir()
    (directory / "notes.txt").write_text("mine")
    spool = opened(directory)
    spool.note_offset(OFFSET_MS)
    spool.append(beats(2))
    assert drained(spool) == beats(2)
    assert {path.name for path in directory.iterdir()} == {"lost+found", "000000000001.spool", "notes.txt"}


def test_a_spool_that_is_removed_under_way_goes_on(spool: Spool, directory: Path) -> None:
    spool.append(beats(3))
    shutil.rmtree(directory)
    spool.append(beats(5)[3:])
    assert drained(spool) == beats(5)[3:]


def test_a_segment_that_is_removed_before_it_is_read_is_counted(directory: Path) -> None:
    first = opened(directory)
    first.append(beats(3))
    first.close()
    second = opened(directory)
    next(directory.iterdir()).unlink()
    second.note_offset(OFFSET_MS)
    assert drained(second) == []
    assert second.dropped_samples == sum(map(len, beats(3)))


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Limit every file of this process, pytest's own output as well: a write stops in the middle, as on a full card."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_fails_in_the_middle_leaves_whole_beats(spool: Spool, directory: Path) -> None:
    with files_no_larger_than(3000):
        spool.append(beats(400))
    assert max(path.stat().st_size for path in directory.iterdir()) <= 3000
    assert [inspect(path).torn_bytes for path in directory.iterdir()] == [0] * len(list(directory.iterdir()))
    found = drained(spool)
    assert sum(map(len, found)) + spool.dropped_samples == sum(map(len, beats(400)))
    assert set(found) <= set(beats(400))
    assert len(found) > 350
    assert spool.dropped_samples > 0


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "none", disk], check=False).returncode
    ):
        pytest.skip("mounting a small disk takes root")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_on_a_full_disk_the_present_takes_the_place_of_the_oldest(
    tiny_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = opened(tiny_disk / "spool", max_bytes=100_000)
    spool.note_offset(OFFSET_MS)
    all_beats = beats(600)
    spool.append(all_beats[:300])
    (tiny_disk / "somebody's").write_bytes(bytes(os.statvfs(tiny_disk).f_bavail * os.statvfs(tiny_disk).f_bsize))
    spool.append(all_beats[300:])

    found = drained(spool)

    assert found[-1] == all_beats[-1]
    assert sum(map(len, found)) + spool.dropped_samples == sum(map(len, all_beats))
    assert [line for line in said(caplog, logging.WARNING) if "the disk is full" in line]


def test_a_disk_without_any_room_costs_beats_and_is_told_once(
    tiny_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    spool = opened(tiny_disk / "spool")
    spool.note_offset(OFFSET_MS)
    blocker = tiny_disk / "somebody's"
    blocker.write_bytes(bytes(os.statvfs(tiny_disk).f_bavail * os.statvfs(tiny_disk).f_bsize))
    spool.append(beats(5))
    assert spool.dropped_samples == sum(map(len, beats(5)))
    blocker.unlink()
    spool.append(beats(3))

    assert drained(spool) == beats(3)
    assert said(caplog) == [
        f"{tiny_disk / 'spool'} cannot be written: {os.strerror(errno.ENOSPC)}; samples are lost",
        f"{tiny_disk / 'spool'} can be written again",
    ]


WRITER = """
import sys, time
from pathlib import Path
sys.path[:0] = [{tests!r}]
from test_remote_write_spool import beat, opened, OFFSET_MS
spool = opened(Path({directory!r}))
spool.note_offset(OFFSET_MS)
number = 0
while True:
    spool.append([beat(number)])
    print(number, flush=True)
    number += 1
"""


@pytest.mark.parametrize("written", [1, 7, 300])
def test_a_kill_loses_no_beat_that_was_written(directory: Path, written: int) -> None:
    program = WRITER.format(tests=str(Path(__file__).parent), directory=str(directory))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == written:
                break
        process.send_signal(signal.SIGKILL)
        after = [int(line) for line in process.stdout.read().splitlines() if line]
    last = max([written, *after])

    spool = opened(directory)
    spool.note_offset(OFFSET_MS)
    found = drained(spool)

    assert len(found) > last
    assert found == [beat(number) for number in range(len(found))]
    spool.close()


def test_a_day_of_a_hundred_series_that_all_change_stays_small(spool: Spool) -> None:
    series = tuple(series_bytes({"__name__": f"sonnen_{number}", "instance": "home"}) for number in range(150))
    hour = [beat(number, series) for number in range(1, 721)]
    spool.append(hour)
    assert spool.size * 24 < 30 << 20


def batches(queue: BeatQueue) -> Sequence[Batch]:
    found = []
    while (batch := queue.peek(5000, FAR_FUTURE_MS)) is not None:
        found.append(batch)
        queue.advance(batch)
    return found


def test_a_batch_is_bounded_whatever_waits(spool: Spool) -> None:
    spool.append(beat(number) for number in range(2000))
    assert all(len(batch.samples()) <= 5000 for batch in batches(spool))
