import logging
from pathlib import Path

import pytest

from sonnen_agent.energy.counters import Counters, EnergyCounters
from sonnen_agent.energy.state import MeterState
from sonnen_agent.state.runtime_checkpoint import RuntimeCheckpoint


def state(observed_seconds: float) -> MeterState:
    return MeterState(tally=Counters(energies=EnergyCounters(observed_seconds=observed_seconds)))


def test_what_a_crash_leaves_is_the_latest_beat_of_each_battery(tmp_path: Path) -> None:
    image = RuntimeCheckpoint(tmp_path)
    image.save("home", state(5))
    image.save("my garage / 1", state(7))
    image.save("home", state(10))

    assert RuntimeCheckpoint(tmp_path).load(["home", "my garage / 1", "new"]) == {
        "home": state(10),
        "my garage / 1": state(7),
    }


def test_each_battery_has_one_file_and_no_other(tmp_path: Path) -> None:
    image = RuntimeCheckpoint(tmp_path)
    for seconds in (5, 10):
        image.save("home", state(seconds))
        image.save("garage", state(seconds))

    names = sorted(file.name for file in tmp_path.iterdir())
    assert len(names) == 2
    assert all(name.startswith("beat-") and name.endswith(".json") for name in names)


def test_a_clean_stop_leaves_nothing(tmp_path: Path) -> None:
    image = RuntimeCheckpoint(tmp_path)
    image.save("home", state(5))
    image.save("home", state(10))
    image.remove(["home"])

    assert list(tmp_path.iterdir()) == []


def test_an_image_that_cannot_be_renewed_is_taken_away_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image = RuntimeCheckpoint(tmp_path)
    image.save("home", state(5))
    # Who cannot write here: a folder stands where the new document would be written.
    writing = next(tmp_path.iterdir()).with_suffix(".writing")
    writing.mkdir()
    image.save("home", state(10))
    image.save("home", state(15))

    assert RuntimeCheckpoint(tmp_path).load(["home"]) == {}
    (told,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "cannot be written" in told.getMessage()

    writing.rmdir()
    image.save("home", state(20))
    assert RuntimeCheckpoint(tmp_path).load(["home"]) == {"home": state(20)}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty or zero-filled"),
        (b"{}\n", "it was not written by sonnen-agent"),
        (b"sonnen-agent-state 1 0\n{}\n", "its checksum is wrong"),
    ],
    ids=["empty", "foreign", "torn"],
)
def test_an_image_that_cannot_be_used_is_told_and_left_to_the_next_beat(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes, reason: str
) -> None:
    image = RuntimeCheckpoint(tmp_path)
    image.save("home", state(5))
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)

    assert RuntimeCheckpoint(tmp_path).load(["home"]) == {}
    assert f"{file} cannot be used: {reason}" in caplog.text
    assert list(tmp_path.iterdir()) == [file]
    image.save("home", state(10))
    assert RuntimeCheckpoint(tmp_path).load(["home"]) == {"home": state(10)}


def test_an_image_of_another_boot_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    RuntimeCheckpoint(tmp_path).save("home", state(5))
    monkeypatch.setattr("sonnen_agent.state.runtime_checkpoint.boot_id", lambda: "another")

    assert RuntimeCheckpoint(tmp_path).load(["home"]) == {}
    assert "it is of another battery or boot" in caplog.text


def test_an_image_of_another_battery_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = RuntimeCheckpoint(tmp_path)
    image.save("home", state(5))
    (home,) = tmp_path.iterdir()
    image.save("garage", state(7))
    (garage,) = (file for file in tmp_path.iterdir() if file != home)
    home.replace(garage)

    assert RuntimeCheckpoint(tmp_path).load(["garage"]) == {}
    assert "it is of another battery or boot" in caplog.text
