import json
import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonnen_agent.errors import AgentError
from sonnen_agent.state.checkpoint import Checkpoint, CheckpointError, decode, encode

Document = Mapping[str, object]


def taken(document: Document) -> Document:
    return document


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return Checkpoint(tmp_path, "counters")


@pytest.fixture
def newest(tmp_path: Path) -> Path:
    return tmp_path / "counters.json"


def kept_aside(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if ".kept-" in file.name)


def test_what_was_saved_last_is_loaded(checkpoint: Checkpoint) -> None:
    checkpoint.save({"n": 1})
    checkpoint.save({"n": 2, "name": "Küche"})

    assert checkpoint.load(taken) == {"n": 2, "name": "Küche"}


def test_an_empty_folder_holds_nothing(checkpoint: Checkpoint) -> None:
    assert checkpoint.load(taken) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty or zero-filled, as after a power cut"),
        (bytes(4096), "it is empty or zero-filled, as after a power cut"),
        (encode({"n": 2})[:-5], "its checksum is wrong: it is torn or was edited"),
        (encode({"n": 2}).replace(b"2}", b"3}"), "its checksum is wrong"),
        (b'{"n": 2}\n', "it was not written by sonnen-agent"),
        (b"\x7fELF\x02\x01\x01", "it was not written by sonnen-agent"),
        (encode({"n": 2}).replace(b"state 1 ", b"state 2 "), "it has format '2' of another release, this one reads"),
    ],
    ids=["empty", "zeros", "torn", "edited", "json", "binary", "future"],
)
def test_a_newest_that_cannot_be_used_is_set_aside_and_the_one_before_is_loaded(
    checkpoint: Checkpoint, newest: Path, caplog: pytest.LogCaptureFixture, content: bytes, reason: str
) -> None:
    checkpoint.save({"n": 1})
    checkpoint.save({"n": 2})
    newest.write_bytes(content)

    assert checkpoint.load(taken) == {"n": 1}

    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert reason in record.getMessage()
    assert "it is kept as " in record.getMessage()
    (aside,) = kept_aside(newest.parent)
    assert (newest.parent / aside).read_bytes() == content


def test_what_is_set_aside_is_never_overwritten(checkpoint: Checkpoint, newest: Path) -> None:
    for content in (b"first", b"second"):
        newest.write_bytes(content)
        assert checkpoint.load(taken) is None
        checkpoint.save({"n": 1})
        newest.unlink()

    contents = {(newest.parent / name).read_bytes() for name in kept_aside(newest.parent)}
    assert {b"first", b"second"} <= contents


def test_a_document_that_is_not_understood_is_set_aside_too(checkpoint: Checkpoint, newest: Path) -> None:
    def refuse(_: Document) -> Document:
        raise AgentError("meters: should be an object")

    checkpoint.save({"n": 1})

    assert checkpoint.load(refuse) is None
    assert kept_aside(newest.parent) == ["counters.json.kept-1"]


def test_a_look_leaves_a_damaged_file_where_it_is(checkpoint: Checkpoint, newest: Path) -> None:
    checkpoint.save({"n": 1})
    checkpoint.save({"n": 2})
    newest.write_bytes(b"damaged")

    assert checkpoint.load(taken, set_aside=False) == {"n": 1}
    assert newest.read_bytes() == b"damaged"
    assert kept_aside(newest.parent) == []


def test_a_power_cut_between_the_two_renames_loses_nothing(checkpoint: Checkpoint, newest: Path) -> None:
    checkpoint.save({"n": 1})
    newest.rename(newest.with_name("counters.previous.json"))

    assert checkpoint.load(taken) == {"n": 1}


def test_a_disk_that_cannot_be_written_is_an_oserror_and_leaves_the_newest(
    checkpoint: Checkpoint, newest: Path
) -> None:
    checkpoint.save({"n": 1})
    newest.with_name("counters.writing").mkdir()

    with pytest.raises(OSError, match="Is a directory"):
        checkpoint.save({"n": 2})
    assert checkpoint.load(taken) == {"n": 1}


def test_the_file_is_for_people_too(checkpoint: Checkpoint, newest: Path) -> None:
    checkpoint.save({"n": 1})

    head, _, body = newest.read_text().partition("\n")
    assert head.startswith("sonnen-agent-state 1 ")
    assert json.loads(body) == {"n": 1}


@given(st.binary(max_size=300))
def test_no_content_is_mistaken_for_a_document(content: bytes) -> None:
    with pytest.raises(CheckpointError):
        decode(content)


@given(st.data())
def test_a_document_that_lost_its_end_is_never_taken(data: st.DataObject) -> None:
    whole = encode({"n": 1, "m": ["ä", 2.5]})
    length = data.draw(st.integers(0, len(whole) - 1))

    with pytest.raises(CheckpointError):
        decode(whole[:length])


def test_new_files_are_not_for_others_where_the_umask_says_so(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        Checkpoint(tmp_path, "counters").save({"n": 1})
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "counters.json").stat().st_mode) == 0o600
