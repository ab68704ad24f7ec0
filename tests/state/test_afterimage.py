import logging
from pathlib import Path

import pytest

from sonnen_agent.energy import EnergyCounters, MeterState, Counters
from sonnen_agent.state.afterimage import Afterimage


def state(observed_seconds: float) -> MeterState:
    return MeterState(tally=Counters(energies=EnergyCounters(observed_seconds=observed_seconds)))


def test_what_a_crash_leaves_is_the_latest_beat_of_each_battery(tmp_path: Path) -> None:
    image = Afterimage(tmp_path)
    image.save("home", state(5))
    image.save("my garage / 1", state(7))
    image.save("home", state(10))

    assert Afterimage(tmp_path).load(["home", "my garage / 1", "new"]) == {"home": state(10), "my garage / 1": state(7)}


def test_a_clean_stop_leaves_nothing(tmp_path: Path) -> None:
    image = Afterimage(tmp_path)
    image.save("home", state(5))
    image.save("home", state(10))
    image.remove(["home"])

    assert list(tmp_path.iterdir()) == []


def test_an_image_that_cannot_be_renewed_is_taken_away_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image = Afterimage(tmp_path)
    image.save("home", state(5))
    # Who cannot write here: a folder stands where the new document would be written.
    writing = next(tmp_path.iterdir()).with_suffix(".writing")
    writing.mkdir()
    image.save("home", state(10))
    image.save("home", state(15))

    assert Afterimage(tmp_path).load(["home"]) == {}
    assert caplog.text.count("cannot be written") == 1


def test_an_image_of_another_boot_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    Afterimage(tmp_path).save("home", state(5))
    monkeypatch.setattr("sonnen_agent.state.afterimage.boot_id", lambda: "another")

    assert Afterimage(tmp_path).load(["home"]) == {}
    assert "it is of another battery or boot" in caplog.text
