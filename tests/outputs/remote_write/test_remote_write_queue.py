import errno
import gzip
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
from zlib import crc32

import pytest
from decoding import value_bytes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sonnen_agent.outputs.remote_write.queue import Queue
from sonnen_agent.outputs.remote_write.wire import STALE, Frame, Series, series_of

THIS_BOOT = "01234567-89ab-cdef-0123-456789abcdef"
EARLIER_BOOT = "fedcba98-7654-3210-fedc-ba9876543210"
OFFSET_MS = 1_795_000_000_000
FAR_FUTURE_MS = 1 << 60
OPENED: list[Queue] = []
SERIES = tuple(series_of({"__name__": f"sonnen_{number}", "job": "sönnen"}) for number in range(20))


def frame(number: int, series: tuple[Series, ...] = SERIES) -> Frame:
    values = b"".join(value_bytes(number * place / 7) for place in range(len(series)))
    return Frame(monotonic_ms=1000 + number * 5000, series=series, values=values)


def frames(count: int) -> list[Frame]:
    # Every few beats the series are others, as when a battery falls silent.
    return [frame(number, SERIES[: 3 if number % 5 == 4 else None]) for number in range(count)]


def count(of: Sequence[Frame]) -> int:
    return sum(map(len, of))


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close what a test has opened, whether it did so itself or not."""
    yield
    while OPENED:
        OPENED.pop().close()


def opened(
    directory: Path,
    *,
    boot: str | None = THIS_BOOT,
    max_bytes: int = 1 << 20,
    live: Path | None = None,
) -> Queue:
    queue = Queue(directory, max_bytes, boot=boot, live_directory=live)
    OPENED.append(queue)
    return queue


def drained(queue: Queue, *, most_samples: int = 100, now_unix_ms: int = FAR_FUTURE_MS) -> list[Frame]:
    found: list[Frame] = []
    while (batch := queue.peek(most_samples, now_unix_ms)) is not None:
        found += batch[0]
        queue.advance(batch[0])
    return found


def said(caplog: pytest.LogCaptureFixture, level: int = logging.INFO) -> list[str]:
    return [entry.getMessage() for entry in caplog.records if entry.levelno >= level]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def queue(directory: Path) -> Queue:
    queue = opened(directory)
    queue.note_offset(OFFSET_MS)
    return queue


def test_frames_come_out_in_the_order_they_went_in(directory: Path) -> None:
    queue = opened(directory)
    queue.append(frames(130))  # more than one file
    assert queue.peek(100, FAR_FUTURE_MS) is None  # nobody knows the time yet
    queue.note_offset(OFFSET_MS)

    assert queue.samples == count(frames(130))
    assert queue.size > 0
    assert queue.oldest_unix_ms == 1000 + OFFSET_MS
    assert drained(queue) == frames(130)
    assert (queue.samples, queue.size, queue.dropped_samples) == (0, 0, 0)
    assert queue.oldest_unix_ms is None


def test_what_was_not_delivered_comes_out_again(directory: Path) -> None:
    queue = opened(directory)
    queue.note_offset(OFFSET_MS)
    queue.append(frames(9))

    first = queue.peek(50, FAR_FUTURE_MS)
    again = queue.peek(1, FAR_FUTURE_MS)

    assert first is not None
    assert again is not None
    assert first == (frames(2), OFFSET_MS)
    assert again == (frames(1), OFFSET_MS)  # a smaller batch, at least a frame
    queue.advance(again[0])
    assert queue.oldest_unix_ms == 6000 + OFFSET_MS
    assert drained(queue) == frames(9)[1:]


def test_the_bound_drops_the_oldest_and_counts_them(directory: Path) -> None:
    queue = opened(directory, max_bytes=32_000)
    queue.note_offset(OFFSET_MS)
    all_frames = frames(2000)
    for one in all_frames:
        queue.append([one])
        assert queue.size <= 32_000
        assert sum(path.stat().st_size for path in directory.iterdir()) <= queue.size

    kept = drained(queue)

    assert len(kept) > 50
    assert kept == all_frames[-len(kept) :]
    assert queue.dropped_samples == count(all_frames[: -len(kept)])


def test_a_frame_that_is_larger_than_the_bound_is_dropped_and_counted(directory: Path) -> None:
    queue = opened(directory, max_bytes=200)
    queue.note_offset(OFFSET_MS)
    queue.append(frames(3))
    assert queue.dropped_samples == count(frames(3))
    assert (queue.samples, queue.size) == (0, 0)
    assert not list(directory.iterdir())


def test_a_batch_whose_frames_were_dropped_meanwhile_takes_no_others_along(directory: Path) -> None:
    queue = opened(directory, max_bytes=32_000)
    queue.note_offset(OFFSET_MS)
    queue.append(frames(10))
    batch = queue.peek(100, FAR_FUTURE_MS)
    assert batch is not None
    for one in frames(3000):
        queue.append([one])
    before = queue.samples

    queue.advance(batch[0])

    assert queue.samples == before


def test_nothing_is_on_disk_when_all_was_delivered(queue: Queue, directory: Path) -> None:
    assert not list(directory.iterdir())
    queue.append(frames(3))
    assert list(directory.iterdir())
    drained(queue)
    assert not list(directory.iterdir())


def test_a_frame_that_follows_a_drained_one_is_kept(queue: Queue) -> None:
    for one in frames(20):
        queue.append([one])
        assert drained(queue) == [one]


def test_what_is_appended_while_draining_comes_last(queue: Queue) -> None:
    queue.append(frames(10)[:6])
    batch = queue.peek(40, FAR_FUTURE_MS)
    assert batch is not None
    queue.append(frames(10)[6:])
    queue.advance(batch[0])
    assert drained(queue) == frames(10)[2:]


def test_what_waits_is_not_read_back_while_it_is_written(queue: Queue, directory: Path) -> None:
    queue.append(frames(3))
    for path in directory.iterdir():
        path.write_bytes(b"somebody else's")
    assert drained(queue) == frames(3)


def test_another_file_begins_every_five_minutes(queue: Queue, directory: Path) -> None:
    queue.append(frames(180))  # a quarter of an hour
    names = sorted(path.name for path in directory.iterdir())
    boot = THIS_BOOT.replace("-", "")
    samples = count(frames(60))
    assert names == [
        f"000000000001-{samples}-{boot}.gz",
        f"000000000002-{samples}-{boot}.gz",
        f"000000000003-0-{boot}.gz",
    ]


def test_a_file_is_a_gzip_file_of_lines(queue: Queue, directory: Path) -> None:
    queue.append(frames(2))
    queue.close()
    (path,) = directory.iterdir()
    first, second = gzip.decompress(path.read_bytes()).splitlines()
    assert first.endswith(b"1000, 1795000000000, " + f'"{frame(0).values.hex()}"]'.encode())
    assert second == b'%08x [0, null, 6000, 1795000000000, "%s"]' % (
        crc32(second[9:], crc32(first[9:])),
        frame(1).values.hex().encode(),
    )
    assert first.startswith(b'%08x [0, [[["__name__", "sonnen_0"], ["job", "s\\u00f6nnen"]], ' % crc32(first[9:]))


def test_a_new_process_finds_what_was_closed_in_order(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first = opened(directory)
    first.note_offset(OFFSET_MS)
    first.append(frames(100))
    first.close()

    second = opened(directory, boot=EARLIER_BOOT)

    assert second.samples == count(frames(100))
    assert second.size == sum(path.stat().st_size for path in directory.iterdir())
    assert second.oldest_unix_ms == 1000 + OFFSET_MS
    assert drained(second) == frames(100)
    assert said(caplog) == [f"{directory}: {count(frames(100))} samples wait from before"]


def test_a_boot_ends_with_its_last_offset_also_for_frames_from_before_it_was_known(directory: Path) -> None:
    earlier = opened(directory, boot=EARLIER_BOOT)
    earlier.append(frames(70)[:66])
    earlier.note_offset(OFFSET_MS - 1)
    earlier.append(frames(70)[66:68])
    earlier.note_offset(OFFSET_MS)
    earlier.append(frames(70)[68:])
    earlier.close()
    now = opened(directory)
    now.note_offset(OFFSET_MS + 777)
    now.append(frames(71)[70:])

    offsets = []
    while (batch := now.peek(5000, FAR_FUTURE_MS)) is not None:
        offsets.append(batch[1])
        now.advance(batch[0])
    assert offsets == [OFFSET_MS, OFFSET_MS, OFFSET_MS + 777]


def test_frames_of_a_boot_that_never_knew_the_time_are_dropped_and_counted(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    earlier = opened(directory, boot=EARLIER_BOOT)
    earlier.append(frames(4))
    earlier.close()
    now = opened(directory)
    now.note_offset(OFFSET_MS)
    now.append(frames(1))

    assert drained(now) == frames(1)
    assert now.dropped_samples == count(frames(4))
    assert "the clock was not set before the power went" in said(caplog, logging.WARNING)[0]


def test_where_boots_have_no_name_each_process_is_one_of_its_own(directory: Path) -> None:
    earlier = opened(directory, boot=None)
    earlier.append(frames(4))
    earlier.close()
    now = opened(directory, boot=None)
    now.note_offset(OFFSET_MS)
    assert drained(now) == []
    assert now.dropped_samples == count(frames(4))


def test_a_process_of_the_same_boot_gives_the_time_to_those_before_it(directory: Path) -> None:
    killed = opened(directory)
    killed.append(frames(4))
    killed.close()
    now = opened(directory)
    now.note_offset(OFFSET_MS)
    assert drained(now) == frames(4)


def test_frames_from_the_future_are_dropped_and_counted(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    earlier = opened(directory, boot=EARLIER_BOOT)
    earlier.note_offset(OFFSET_MS)
    earlier.append(frames(4))
    earlier.close()
    now = opened(directory)

    assert drained(now, now_unix_ms=OFFSET_MS - 700_000) == []
    assert now.dropped_samples == count(frames(4))
    assert "the clock was wrong" in said(caplog, logging.WARNING)[0]


values = st.sampled_from([STALE, value_bytes(0.0), value_bytes(1.0)]) | st.binary(min_size=8, max_size=8)


@st.composite
def any_frames(draw: st.DrawFn) -> list[Frame]:
    """Draw beats as they may come: values of any bits, series that come and go, two frames at one moment."""
    drawn = []
    monotonic_ms = draw(st.integers(min_value=0, max_value=1 << 40))
    for _ in range(draw(st.integers(min_value=1, max_value=30))):
        monotonic_ms += draw(st.sampled_from([0, 1, 5000, 400_000]))
        series = tuple(draw(st.lists(st.sampled_from(SERIES), min_size=1, max_size=5, unique=True)))
        drawn.append(
            Frame(monotonic_ms=monotonic_ms, series=series, values=b"".join(draw(values) for _ in range(len(series))))
        )
    return drawn


def left_by_a_kill(directory: Path, written: Sequence[Frame]) -> list[bytes]:
    """Let a process write that has no time to close, and return the content of its last file after each frame."""
    shutil.rmtree(directory, ignore_errors=True)
    alive = directory.with_name("alive")
    queue = opened(alive)
    queue.note_offset(OFFSET_MS)
    contents = []
    for one in written:
        queue.append([one])
        contents.append(max(alive.iterdir()).read_bytes())
    shutil.copytree(alive, directory)
    drained(queue)
    queue.close()
    return contents


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), written=any_frames())
def test_after_a_kill_at_any_byte_all_before_is_there_bit_by_bit_and_nothing_twice(
    directory: Path, data: st.DataObject, written: list[Frame]
) -> None:
    contents = left_by_a_kill(directory, written)
    last = max(directory.iterdir())
    whole = last.read_bytes()
    cut = data.draw(st.integers(min_value=0, max_value=len(whole)))
    filling = data.draw(st.sampled_from([b"", bytes(500), b"\xff" * 40]))
    last.write_bytes(whole[:cut] + filling)
    in_last = [content for content in contents if whole.startswith(content)]
    lost = sum(len(content) > cut for content in in_last)

    queue = opened(directory)
    queue.note_offset(OFFSET_MS)
    queue.append(frames(1))
    found = drained(queue)

    # More than expected only where the filling is what was cut off, or all but the end of a flush, which tells nothing.
    kept = len(found) - 1
    assert found == [*written[:kept], *frames(1)]
    assert len(written) - lost <= kept <= len(written)
    assert filling or kept <= len(written) - lost + 1
    queue.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_costs_no_more_than_what_follows_it(directory: Path, data: st.DataObject) -> None:
    contents = left_by_a_kill(directory, frames(12))
    (path,) = directory.iterdir()
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(min_value=10, max_value=len(content) - 1))  # behind the head of gzip
    content[place] ^= 1 << data.draw(st.integers(min_value=0, max_value=7))
    path.write_bytes(content)

    queue = opened(directory)
    queue.note_offset(OFFSET_MS)
    found = drained(queue)

    assert found == frames(len(found))
    # Some bits of a flush mean nothing.
    assert len(found) >= sum(len(before) <= place for before in contents)
    queue.close()


def test_damage_in_the_middle_of_a_closed_file_is_counted(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    sizes = [len(content) for content in left_by_a_kill(directory, frames(12))]
    shutil.rmtree(directory)
    first = opened(directory)
    first.note_offset(OFFSET_MS)
    first.append(frames(12))
    first.close()
    (path,) = directory.iterdir()
    content = bytearray(path.read_bytes())
    content[sizes[5] + 5] ^= 0xFF
    path.write_bytes(content)
    second = opened(directory)

    assert drained(second) == frames(6)
    assert second.dropped_samples == count(frames(12)[6:])
    assert said(caplog, logging.WARNING) == [
        f"{path} cannot be read to its end: {second.dropped_samples} samples are lost"
    ]
    assert second.samples == 0


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", bytes(30), bytes(200_000), b"GIF89a, and more of a picture"])
def test_a_file_in_which_nothing_is_to_be_read_is_removed(directory: Path, content: bytes) -> None:
    directory.mkdir()
    (directory / f"000000000001-0-{'0' * 32}.gz").write_bytes(content)
    assert opened(directory).samples == 0
    assert not list(directory.iterdir())


def test_what_is_not_ours_is_left_alone(directory: Path) -> None:
    directory.mkdir()
    (directory / "lost+found").mkdir()
    (directory / f"000000000001-0-{'0' * 32}.gz").mkdir()
    (directory / "notes.txt").write_text("mine")
    before = {path.name for path in directory.iterdir()}
    queue = opened(directory)
    queue.note_offset(OFFSET_MS)
    queue.append(frames(2))
    assert drained(queue) == frames(2)
    assert {path.name for path in directory.iterdir()} == before


def test_a_folder_that_is_removed_under_way_costs_nothing_that_is_not_closed(queue: Queue, directory: Path) -> None:
    queue.append(frames(3))
    shutil.rmtree(directory)
    queue.append(frames(5)[3:])
    assert list(directory.iterdir())
    assert drained(queue) == frames(5)
    assert queue.dropped_samples == 0


def test_a_file_that_is_removed_before_it_is_read_is_counted(directory: Path) -> None:
    first = opened(directory)
    first.append(frames(3))
    first.close()
    second = opened(directory)
    next(directory.iterdir()).unlink()
    second.note_offset(OFFSET_MS)
    assert drained(second) == []
    assert second.dropped_samples == count(frames(3))


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Limit every file of this process, pytest's own output as well: a write stops in the middle, as on a full card."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_stops_in_the_middle_goes_on_there(queue: Queue, directory: Path) -> None:
    with files_no_larger_than(900):
        for one in frames(40):
            queue.append([one])
    assert max(path.stat().st_size for path in directory.iterdir()) == 900
    queue.append(frames(50)[40:])

    (path,) = directory.iterdir()
    left = opened(directory.with_name("left"))
    left.close()
    (directory.with_name("left") / path.name).write_bytes(path.read_bytes())
    left = opened(directory.with_name("left"))
    left.note_offset(OFFSET_MS)
    assert drained(left) == frames(50)
    assert drained(queue) == frames(50)
    assert queue.dropped_samples == 0


def test_a_file_that_cannot_be_written_to_its_end_is_lost_and_counted(queue: Queue, directory: Path) -> None:
    with files_no_larger_than(900):
        for one in frames(130):
            queue.append([one])
    found = drained(queue)
    assert count(found) + queue.dropped_samples == count(frames(130))
    assert found == frames(130)[120:]
    assert not list(directory.iterdir())


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


def fill(disk: Path) -> Path:
    blocker = disk / "somebody's"
    blocker.write_bytes(bytes(os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize))
    return blocker


def test_on_a_full_disk_the_present_takes_the_place_of_the_oldest(
    tiny_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    queue = opened(tiny_disk / "spool", max_bytes=100_000)
    queue.note_offset(OFFSET_MS)
    all_frames = frames(600)
    for one in all_frames[:300]:
        queue.append([one])
    fill(tiny_disk)
    for one in all_frames[300:]:
        queue.append([one])

    found = drained(queue)

    assert found == all_frames[-len(found) :]
    assert count(found) + queue.dropped_samples == count(all_frames)
    assert len([line for line in said(caplog, logging.WARNING) if "the disk is full" in line]) == 1


def test_a_disk_without_any_room_is_told_once_and_costs_nothing_for_a_while(
    tiny_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    queue = opened(tiny_disk / "spool")
    queue.note_offset(OFFSET_MS)
    blocker = fill(tiny_disk)
    for one in frames(5):
        queue.append([one])
    blocker.unlink()
    queue.append(frames(8)[5:])

    assert drained(queue) == frames(8)
    assert queue.dropped_samples == 0
    consequence = "samples wait in memory for at most five minutes"
    assert said(caplog) == [
        f"{tiny_disk / 'spool'} cannot be written: {os.strerror(errno.ENOSPC)}; {consequence}",
        f"{tiny_disk / 'spool'} can be written again",
    ]


def test_a_disk_without_any_room_for_long_costs_what_is_older_than_five_minutes(tiny_disk: Path) -> None:
    queue = opened(tiny_disk / "spool")
    queue.note_offset(OFFSET_MS)
    fill(tiny_disk)
    for one in frames(130):
        queue.append([one])
    assert drained(queue) == frames(130)[120:]
    assert queue.dropped_samples == count(frames(120))


def test_with_a_live_directory_the_card_is_written_once_a_minute(directory: Path, tmp_path: Path) -> None:
    queue = opened(directory, live=tmp_path / "live")
    queue.note_offset(OFFSET_MS)
    sizes: list[int] = []
    for one in frames(60):
        queue.append([one])
        sizes.append(sum(path.stat().st_size for path in directory.iterdir()))
        assert sum(path.stat().st_size for path in (tmp_path / "live").iterdir()) >= sizes[-1]
    assert sizes[11] == 0  # of an outage of less than a minute the card sees nothing
    assert len(set(sizes)) == 5
    queue.append(frames(61)[60:])  # the next file
    assert [path.stem.split("-")[0] for path in (tmp_path / "live").iterdir()] == ["000000000002"]
    assert drained(queue) == frames(61)
    assert not list(directory.iterdir())
    assert not list((tmp_path / "live").iterdir())


@pytest.mark.parametrize("power_cut", [False, True])
def test_a_kill_costs_nothing_and_a_power_cut_a_minute(directory: Path, tmp_path: Path, *, power_cut: bool) -> None:
    queue = opened(directory.with_name("alive"), live=tmp_path / "live")
    queue.note_offset(OFFSET_MS)
    for one in frames(30):
        queue.append([one])
    shutil.copytree(directory.with_name("alive"), directory)
    if not power_cut:
        shutil.copytree(tmp_path / "live", tmp_path / "left")

    after = opened(directory, live=tmp_path / "left")
    after.note_offset(OFFSET_MS)

    assert drained(after) == frames(25 if power_cut else 30)


WRITER = """
import sys, time
from pathlib import Path
sys.path[:0] = [{tests!r}]
from test_remote_write_queue import frame, opened, OFFSET_MS
queue = opened(Path({directory!r}), live={live})
queue.note_offset(OFFSET_MS)
number = 0
while True:
    queue.append([frame(number)])
    print(number, flush=True)
    number += 1
"""


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("written", [1, 7, 300])
def test_a_kill_loses_no_frame_that_was_written(directory: Path, tmp_path: Path, written: int, *, live: bool) -> None:
    live_directory = f"Path({str(tmp_path / 'live')!r})" if live else "None"
    program = WRITER.format(tests=str(Path(__file__).parent), directory=str(directory), live=live_directory)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == written:
                break
        process.send_signal(signal.SIGKILL)
        after = [int(line) for line in process.stdout.read().splitlines() if line]
    last = max([written, *after])

    queue = opened(directory, live=tmp_path / "live" if live else None)
    queue.note_offset(OFFSET_MS)
    found = drained(queue)

    assert len(found) > last
    assert found == [frame(number) for number in range(len(found))]


def test_a_day_of_a_hundred_series_that_all_change_stays_small(queue: Queue) -> None:
    series = tuple(series_of({"__name__": f"sonnen_{number}", "instance": "home"}) for number in range(150))
    hour = [frame(number, series) for number in range(1, 721)]
    queue.append(hour)
    assert queue.size * 24 < 30 << 20


def test_a_batch_is_bounded_whatever_waits(queue: Queue) -> None:
    queue.append(frame(number) for number in range(2000))
    batches = 0
    while (batch := queue.peek(5000, FAR_FUTURE_MS)) is not None:
        assert count(batch[0]) <= 5000
        queue.advance(batch[0])
        batches += 1
    assert batches > 8


def test_files_of_the_release_before_are_named_once_and_kept(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory.mkdir()
    earlier = directory / "000000000001.spool"
    earlier.write_bytes(b"SNSPOOL\0")

    queue = opened(directory)
    queue.append([frame(0)])

    assert earlier.read_bytes() == b"SNSPOOL\0"
    assert caplog.text.count("1 file (*.spool) of an earlier release stays; ") == 1


def test_a_kill_while_a_file_is_closed_brings_nothing_twice(directory: Path, tmp_path: Path) -> None:
    live = tmp_path / "live"
    queue = opened(directory, live=live)
    queue.append([frame(number) for number in range(3)])
    (left,) = live.glob("*.gz")
    content = left.read_bytes()
    queue.close()
    # Killed between the last two steps: the copy in memory is still there.
    left.write_bytes(content)

    again = opened(directory, live=live)
    again.note_offset(OFFSET_MS)

    assert drained(again) == [frame(number) for number in range(3)]
    assert list(live.glob("*.gz")) == []


def test_lines_of_another_release_end_what_can_be_read(directory: Path) -> None:
    queue = opened(directory)
    queue.append([frame(0)])
    queue.close()
    (file,) = directory.glob("*.gz")
    lines = gzip.decompress(file.read_bytes())
    line = b'{"another": "form"}'
    check = crc32(line, crc32(lines.splitlines()[0][9:]))
    file.write_bytes(gzip.compress(lines + b"%08x %s\n" % (check, line)))

    again = opened(directory)
    again.note_offset(OFFSET_MS)

    assert drained(again) == [frame(0)]
