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
    """Return what was saved, without what the checkpoint adds."""
    return {key: value for key, value in document.items() if key != "serial"}


def loaded(folder: Path) -> Document | None:
    """Return what the next start would find, and change nothing."""
    return Checkpoint(folder, "counters").load(taken, set_aside=False)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """Return a checkpoint that was loaded, as every start does, from an empty folder."""
    checkpoint = Checkpoint(tmp_path, "counters")
    assert checkpoint.load(taken) is None
    return checkpoint


def newest(folder: Path) -> Path:
    return max(folder.glob("counters*.json"), key=lambda file: int(str(decode(file.read_bytes())["serial"])))


def kept_aside(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if ".kept-" in file.name)


def spoiled(checkpoint: Checkpoint, folder: Path, content: bytes, saves: int) -> tuple[Checkpoint, Path]:
    """Save so often, spoil the newest file, and return it, and what has loaded the one before."""
    for number in range(1, saves + 1):
        checkpoint.save({"n": number})
    file = newest(folder)
    file.write_bytes(content)
    checkpoint = Checkpoint(folder, "counters")
    assert checkpoint.load(taken) == {"n": saves - 1}
    return checkpoint, file


def test_what_was_saved_last_is_loaded(checkpoint: Checkpoint, tmp_path: Path) -> None:
    for document in ({"n": 1}, {"n": 2, "name": "Küche"}, {"n": 3}, {"n": 4, "text": "x" * 9000}, {"n": 5}):
        checkpoint.save(document)
        assert Checkpoint(tmp_path, "counters").load(taken) == document


def test_an_empty_folder_holds_nothing(checkpoint: Checkpoint) -> None:
    assert checkpoint.load(taken) is None


def test_a_checkpoint_that_was_loaded_goes_on_in_the_older_file(checkpoint: Checkpoint, tmp_path: Path) -> None:
    checkpoint.save({"n": 1})
    checkpoint.save({"n": 2})
    before = newest(tmp_path).read_bytes()

    again = Checkpoint(tmp_path, "counters")
    again.load(taken)
    again.save({"n": 3})

    assert loaded(tmp_path) == {"n": 3}
    newest(tmp_path).unlink()
    assert newest(tmp_path).read_bytes() == before


@pytest.mark.parametrize("saves", [2, 3])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"n": 2}\n', "it was not written by sonnen-agent"),
        (b"\x7fELF\x02\x01\x01", "it was not written by sonnen-agent"),
        (encode({"n": 2}).replace(b"state 1 ", b"state 2 "), "it has format '2' of another release, this one reads"),
    ],
    ids=["json", "binary", "future"],
)
def test_a_newest_that_cannot_be_used_is_set_aside_and_the_one_before_is_loaded(
    checkpoint: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes, reason: str, saves: int
) -> None:
    checkpoint, _ = spoiled(checkpoint, tmp_path, content, saves)

    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert reason in record.getMessage()
    assert "it is kept as " in record.getMessage()
    (aside,) = kept_aside(tmp_path)
    assert (tmp_path / aside).read_bytes() == content
    checkpoint.save({"n": 9})
    assert loaded(tmp_path) == {"n": 9}
    newest(tmp_path).unlink()
    assert loaded(tmp_path) == {"n": saves - 1}


@pytest.mark.parametrize("saves", [2, 3])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty or zero-filled, as after a power cut"),
        (bytes(4096), "it is empty or zero-filled, as after a power cut"),
        (encode({"n": 2})[:-5], "its checksum is wrong: it is torn or was edited"),
    ],
    ids=["empty", "zeros", "torn"],
)
def test_a_newest_that_a_power_cut_has_torn_is_told_and_written_over(
    checkpoint: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes, reason: str, saves: int
) -> None:
    checkpoint, file = spoiled(checkpoint, tmp_path, content, saves)

    assert f"{file}: {reason}" in caplog.text
    # On a full disk there would be no room for another file.
    assert kept_aside(tmp_path) == []
    checkpoint.save({"n": 9})
    assert newest(tmp_path) == file
    assert loaded(tmp_path) == {"n": 9}


def test_a_save_by_the_release_before_counts_as_the_newest(checkpoint: Checkpoint, tmp_path: Path) -> None:
    for number in range(1, 5):
        checkpoint.save({"n": number})
    # That release renames the first file to the second, and writes another first one, without a number.
    (tmp_path / "counters.json").replace(tmp_path / "counters.previous.json")
    (tmp_path / "counters.json").write_bytes(encode({"n": 100}))

    again = Checkpoint(tmp_path, "counters")
    assert again.load(taken) == {"n": 100}
    again.save({"n": 101})
    assert loaded(tmp_path) == {"n": 101}


def test_what_is_set_aside_is_never_overwritten(tmp_path: Path) -> None:
    newest = tmp_path / "counters.json"
    for content in (b"first", b"second"):
        newest.write_bytes(content)
        checkpoint = Checkpoint(tmp_path, "counters")
        assert checkpoint.load(taken) is None
        checkpoint.save({"n": 1})
        newest.unlink()

    contents = {(tmp_path / name).read_bytes() for name in kept_aside(tmp_path)}
    assert {b"first", b"second"} <= contents


def test_a_document_that_is_not_understood_is_set_aside_too(checkpoint: Checkpoint, tmp_path: Path) -> None:
    def refuse(_: Document) -> Document:
        raise AgentError("meters: should be an object")

    checkpoint.save({"n": 1})

    assert checkpoint.load(refuse) is None
    assert kept_aside(tmp_path) == ["counters.json.kept-1"]


def test_a_document_that_is_no_object_is_set_aside_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "counters.json").write_bytes(encode([1]))  # type: ignore[arg-type] # as nobody would
    (tmp_path / "counters.previous.json").write_bytes(encode({"n": 1}))

    assert Checkpoint(tmp_path, "counters").load(taken) == {"n": 1}
    assert "counters.json cannot be used: it holds no object" in caplog.text


def test_a_look_leaves_a_damaged_file_where_it_is(checkpoint: Checkpoint, tmp_path: Path) -> None:
    checkpoint.save({"n": 1})
    checkpoint.save({"n": 2})
    file = newest(tmp_path)
    file.write_bytes(b"damaged")

    assert checkpoint.load(taken, set_aside=False) == {"n": 1}
    assert file.read_bytes() == b"damaged"
    assert kept_aside(tmp_path) == []


@pytest.mark.parametrize("saves", [1, 2, 3])
def test_a_power_cut_in_the_middle_of_a_save_leaves_the_one_before(
    checkpoint: Checkpoint, tmp_path: Path, saves: int
) -> None:
    for number in range(1, saves + 1):
        checkpoint.save({"n": number, "text": str(number) * 6000})
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    checkpoint.save({"n": saves + 1, "text": str(saves + 1) * 6000})
    file = newest(tmp_path)
    new, old = file.read_bytes(), before.get(file, b"")

    # The blocks of a write come to the card one by one, and in any order.
    for torn in (new[:0], new[:4096], new[:4096] + old[4096:], old[:4096] + new[4096:], new[:100] + old[100:]):
        file.write_bytes(torn)
        found = loaded(tmp_path)
        assert found is not None
        # A write of which nothing came leaves the file as it was.
        assert found["n"] == saves
    file.write_bytes(new)
    assert loaded(tmp_path) == {"n": saves + 1, "text": str(saves + 1) * 6000}


def test_in_the_steady_state_no_file_is_made_renamed_or_grown(checkpoint: Checkpoint, tmp_path: Path) -> None:
    checkpoint.save({"n": 1})
    checkpoint.save({"n": 2})
    before = {file.name: (file.stat().st_ino, file.stat().st_size) for file in tmp_path.iterdir()}
    assert sorted(before) == ["counters.json", "counters.previous.json"]

    for number in range(3, 13):
        checkpoint.save({"n": number})

    assert {file.name: (file.stat().st_ino, file.stat().st_size) for file in tmp_path.iterdir()} == before
    assert {size % 1024 for _, size in before.values()} == {0}


@pytest.mark.parametrize("saves", [1, 2, 3])
def test_the_last_one_is_where_an_earlier_release_looks_first(
    checkpoint: Checkpoint, tmp_path: Path, saves: int
) -> None:
    for number in range(1, saves):
        checkpoint.save({"n": number})
    checkpoint.save({"n": saves}, last=True)

    assert taken(decode((tmp_path / "counters.json").read_bytes())) == {"n": saves}
    assert loaded(tmp_path) == {"n": saves}


def test_a_disk_that_cannot_be_written_is_an_oserror_and_leaves_the_newest(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    checkpoint.save({"n": 1})
    (tmp_path / "counters.previous.json").mkdir()

    for _ in range(2):
        with pytest.raises(OSError, match="Is a directory"):
            checkpoint.save({"n": 2})
        assert loaded(tmp_path) == {"n": 1}
    (tmp_path / "counters.previous.json").rmdir()
    checkpoint.save({"n": 3})
    assert loaded(tmp_path) == {"n": 3}


def test_no_link_is_followed_to_a_file_elsewhere(checkpoint: Checkpoint, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"precious")
    (tmp_path / "counters.json").symlink_to(elsewhere)

    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        checkpoint.save({"n": 1})
    assert elsewhere.read_bytes() == b"precious"


def test_the_file_is_for_people_too(checkpoint: Checkpoint, tmp_path: Path) -> None:
    checkpoint.save({"n": 1})

    head, _, body = (tmp_path / "counters.json").read_text().partition("\n")
    assert head.startswith("sonnen-agent-state 1 ")
    assert json.loads(body) == {"n": 1, "serial": 1}


@given(st.binary(max_size=300))
def test_no_content_is_mistaken_for_a_document(content: bytes) -> None:
    with pytest.raises(CheckpointError):
        decode(content)


@given(st.data())
def test_a_document_that_lost_its_end_is_never_taken(data: st.DataObject) -> None:
    whole = encode({"n": 1, "m": ["ä", 2.5]}, block_bytes=data.draw(st.sampled_from([1, 4096])))
    length = data.draw(st.integers(0, len(whole) - 1))

    with pytest.raises(CheckpointError):
        decode(whole[:length])


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=3000)))
def test_a_document_comes_back_from_whole_blocks(document: dict[str, object]) -> None:
    content = encode(document, block_bytes=4096)

    assert len(content) % 4096 == 0
    assert len(content) - len(encode(document)) < 4096
    assert decode(content) == document


def test_new_files_are_not_for_others_whatever_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Checkpoint(tmp_path, "counters").save({"n": 1})
    finally:
        os.umask(before)

    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
