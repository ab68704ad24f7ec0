import gzip
import json
import logging
import os
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import pytest
from decoding import value_bytes

from sonnen_agent.outputs.remote_write.queue import Queue
from sonnen_agent.outputs.remote_write.wire import Frame, Series, series_of

BOOT = "01234567-89ab-cdef-0123-456789abcdef"
HEX = BOOT.replace("-", "")
OFFSET_MS = 1_795_000_000_000
SERIES: tuple[Series, ...] = tuple(series_of({"__name__": f"sonnen_{number}"}) for number in range(20))


def frame(number: int) -> Frame:
    values = b"".join(value_bytes(number * place / 7) for place in range(len(SERIES)))
    return Frame(monotonic_ms=1000 + number * 5000, series=SERIES, values=values)


def count(frames: list[Frame]) -> int:
    return sum(map(len, frames))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def opened(directory: Path) -> Iterator[Callable[..., Queue]]:
    queues: list[Queue] = []

    def opened(max_bytes: int = 1 << 20, live: Path | None = None) -> Queue:
        queue = Queue(directory, max_bytes, boot=BOOT, live_directory=live)
        queue.note_offset(OFFSET_MS)
        queues.append(queue)
        return queue

    yield opened
    for queue in queues:
        queue.close()


def drained(queue: Queue) -> list[Frame]:
    found: list[Frame] = []
    while (batch := queue.peek(1000, 1 << 60)) is not None:
        found += batch[0]
        queue.advance(batch[0])
    return found


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("notices", ["the next beat", "the end of the outage", "another process"])
def test_what_is_lost_with_a_folder_that_is_removed_in_an_outage_is_counted_and_told_in_one_line(
    opened: Callable[..., Queue], directory: Path, caplog: pytest.LogCaptureFixture, notices: str
) -> None:
    queue = opened()
    sent = [frame(number) for number in range(200)]  # three files that are closed, and one that is open
    for one in sent:
        queue.append([one])
    if notices == "another process":
        queue.close()
        queue = opened()
    shutil.rmtree(directory)
    if notices == "the next beat":
        sent.append(frame(200))
        queue.append(sent[-1:])
        assert queue.samples + queue.dropped_samples == count(sent)
        assert list(directory.iterdir())

    found = drained(queue)

    assert count(found) + queue.dropped_samples == count(sent)
    assert found == (sent[180:] if notices != "another process" else [])
    assert (queue.samples, queue.size) == (0, 0)
    (line,) = warnings(caplog)
    assert line == f"{directory}: {queue.dropped_samples} samples are lost: somebody has removed their files"


def test_a_folder_that_becomes_a_file_in_an_outage_is_told_and_nothing_is_lost_but_what_was_in_it(
    opened: Callable[..., Queue], directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    queue = opened()
    for number in range(70):
        queue.append([frame(number)])
    shutil.rmtree(directory)
    directory.write_text("not a folder")
    for number in range(70, 80):
        queue.append([frame(number)])
    directory.unlink()
    queue.append([frame(80)])

    assert drained(queue) == [frame(number) for number in range(60, 81)]
    assert queue.dropped_samples == 60 * len(SERIES)
    assert len(warnings(caplog)) == 2


@pytest.mark.parametrize("name", ["spool", "file", "live"])
def test_no_link_is_followed_for_writing(
    opened: Callable[..., Queue], directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    elsewhere, live = tmp_path / "elsewhere", tmp_path / "live"
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("mine")
    file = f"000000000001-0-{HEX}.gz"
    if name == "spool":
        directory.symlink_to(elsewhere)
    else:
        folder = directory if name == "file" else live
        folder.mkdir()
        (folder / file).symlink_to(elsewhere / "mine")
    queue = opened(live=live if name == "live" else None)
    for number in range(14):  # more than a minute
        queue.append([frame(number)])

    assert [path.name for path in elsewhere.iterdir()] == ["mine"]
    assert (elsewhere / "mine").read_text() == "mine"
    assert drained(queue) == [frame(number) for number in range(14)]
    assert len(warnings(caplog)) >= (name != "live")


def test_a_fifo_in_the_place_of_the_next_file_holds_nothing_up(
    opened: Callable[..., Queue], directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory.mkdir()
    os.mkfifo(directory / f"000000000001-0-{HEX}.gz")
    queue = opened()
    queue.append([frame(0)])

    assert drained(queue) == [frame(0)]
    assert len(warnings(caplog)) == 1


def written(directory: Path, *lines: bytes) -> Path:
    """Write a file of the queue with right sums, whatever is in it."""
    directory.mkdir(exist_ok=True)
    check, content = 0, bytearray()
    for line in lines:
        check = crc32(line, check)
        content += b"%08x %s\n" % (check, line)
    file = directory / f"000000000001-9-{HEX}.gz"
    file.write_bytes(gzip.compress(bytes(content)))
    return file


_SERIES = [[["__name__", "a"]]]
_ONE = "00" * 8
_LINES = {
    "deep": b"[" * 100_000,
    "deep in it": b"[0, " + b"[" * 50_000 + b"]" * 50_000 + b", 1, 1, 1]",
    "long number": b"9" * 100_000,
    "time of text": json.dumps([0, _SERIES, "1000", OFFSET_MS, _ONE]).encode(),
    "no time": json.dumps([0, _SERIES, None, OFFSET_MS, _ONE]).encode(),
    "time without end": json.dumps([0, _SERIES, 1e999, OFFSET_MS, _ONE]).encode(),
    "great time": json.dumps([0, _SERIES, 10**300, OFFSET_MS, _ONE]).encode(),
    "offset of text": json.dumps([0, _SERIES, 1000, "x", _ONE]).encode(),
    "great offset": json.dumps([0, _SERIES, 1000, 10**300, _ONE]).encode(),
    "offset in a list": json.dumps([0, _SERIES, 1000, [1], _ONE]).encode(),
    "too few values": json.dumps([0, _SERIES, 1000, OFFSET_MS, ""]).encode(),
    "too many values": json.dumps([0, _SERIES, 1000, OFFSET_MS, _ONE * 3]).encode(),
    "half a value": json.dumps([0, _SERIES, 1000, OFFSET_MS, _ONE[:6]]).encode(),
    "series of numbers": json.dumps([0, [[[1, 2]]], 1000, OFFSET_MS, _ONE]).encode(),
    "half a pair": json.dumps([0, [[["__name__", "\ud800"]]], 1000, OFFSET_MS, _ONE]).encode(),
    "series in a mapping": json.dumps([0, {"a": 1}, 1000, OFFSET_MS, _ONE]).encode(),
    "list of another": json.dumps([7, _SERIES, 1000, OFFSET_MS, _ONE]).encode(),
    "list without a number": json.dumps([None, _SERIES, 1000, OFFSET_MS, _ONE]).encode(),
}


@pytest.mark.parametrize("line", _LINES.values(), ids=_LINES)
def test_a_file_with_right_sums_and_anything_in_it_keeps_nobody_from_starting_or_sending(
    opened: Callable[..., Queue], directory: Path, line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    written(directory, line)
    queue = opened()
    queue.append([frame(0)])
    # What is shown of it is a number, or nothing.
    assert queue.oldest_unix_ms is None or queue.oldest_unix_ms > 0

    found = drained(queue)

    assert found[-1] == frame(0)
    for one in found:
        assert len(one.samples(OFFSET_MS)) == len(one)
    assert len(warnings(caplog)) <= 1


def test_a_file_that_unpacks_to_a_gibibyte_is_read_to_a_bound(opened: Callable[..., Queue], directory: Path) -> None:
    directory.mkdir()
    with gzip.open(directory / f"000000000001-9-{HEX}.gz", "wb") as file:
        for _ in range(1024):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    try:
        queue = opened()
        queue.append([frame(0)])
        found = drained(queue)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert found == [frame(0)]
    assert peak < 64 << 20


def test_a_file_of_a_tebibyte_is_not_read(opened: Callable[..., Queue], directory: Path) -> None:
    directory.mkdir()
    file = directory / f"000000000001-9-{HEX}.gz"
    file.touch()
    os.truncate(file, 1 << 40)
    queue = opened(max_bytes=1 << 41)
    queue.append([frame(0)])

    assert drained(queue) == [frame(0)]
    assert not file.exists()


@pytest.mark.parametrize("series", [8, 20])
def test_the_bound_holds_on_disk_after_every_beat_closing_and_start(
    opened: Callable[..., Queue], directory: Path, series: int
) -> None:
    bound = 1 << 17
    largest = 0

    def on_disk() -> int:
        return sum(path.stat().st_size for path in directory.iterdir())

    queue = opened(bound)
    for number in range(2 * bound // (8 * series)):
        values = os.urandom(8 * series)  # which nothing makes smaller
        queue.append([Frame(monotonic_ms=1000 + number * 5000, series=SERIES[:series], values=values)])
        largest = max(largest, on_disk())
    queue.close()

    assert queue.dropped_samples > 0
    assert max(largest, on_disk()) <= bound
    again = opened(bound // 2)
    assert on_disk() <= bound // 2
    again.append([frame(9000)])
    assert on_disk() <= bound // 2
    assert again.size <= bound // 2
