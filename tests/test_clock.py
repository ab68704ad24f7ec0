from datetime import UTC, datetime
from pathlib import Path

import pytest

from sonnen_agent.clock import WallClock

TODAY = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()


class Hands:
    """A wall and a monotonic clock that a test sets."""

    def __init__(self, unix: float) -> None:
        self.unix = unix
        self.monotonic = 5.0

    def clock(self, timesync: Path) -> WallClock:
        return WallClock(timesync=timesync, unix=lambda: self.unix, monotonic=lambda: self.monotonic)


@pytest.fixture
def timesync(tmp_path: Path) -> Path:
    """Return the folder of a systemd-timesyncd that has not set the clock yet."""
    folder = tmp_path / "timesync"
    folder.mkdir()
    return folder


def test_a_clock_that_the_network_has_set_is_believed_at_once(timesync: Path) -> None:
    (timesync / "synchronized").touch()

    assert Hands(TODAY).clock(timesync).now() == TODAY


def test_a_clock_is_believed_from_the_moment_it_is_set(timesync: Path) -> None:
    hands = Hands(TODAY - 7200)
    clock = hands.clock(timesync)
    assert clock.now() is None

    hands.unix = TODAY
    (timesync / "synchronized").touch()

    assert clock.now() == TODAY


def test_a_pi_that_never_has_a_network_is_believed_after_ten_minutes(timesync: Path) -> None:
    hands = Hands(TODAY)
    clock = hands.clock(timesync)
    hands.monotonic += 599
    assert clock.now() is None
    hands.monotonic += 1

    assert clock.now() == TODAY


def test_a_clock_from_before_this_software_is_never_believed(timesync: Path) -> None:
    (timesync / "synchronized").touch()
    hands = Hands(0.0)
    clock = hands.clock(timesync)
    hands.monotonic += 10_000

    assert clock.now() is None


def test_without_timesyncd_somebody_else_keeps_the_clock(tmp_path: Path) -> None:
    assert Hands(TODAY).clock(tmp_path / "nothing").now() == TODAY


def test_the_ten_minutes_begin_when_the_agent_starts_and_not_when_the_machine_does(timesync: Path) -> None:
    hands = Hands(TODAY)
    hands.monotonic = 1_000_000.0

    assert hands.clock(timesync).now() is None


def test_a_clock_that_has_been_set_is_believed_when_it_is_set_again(timesync: Path) -> None:
    (timesync / "synchronized").touch()
    hands = Hands(TODAY)
    clock = hands.clock(timesync)
    assert clock.now() == TODAY

    hands.unix -= 7200

    assert clock.now() == TODAY - 7200


def test_the_first_moment_of_2026_is_the_first_that_is_possible(tmp_path: Path) -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC).timestamp()

    assert Hands(first).clock(tmp_path / "nothing").now() == first
    assert Hands(first - 1).clock(tmp_path / "nothing").now() is None


def test_the_clock_of_this_machine_is_used_unless_told_otherwise(tmp_path: Path) -> None:
    before = datetime.now(UTC).timestamp()

    now = WallClock(timesync=tmp_path / "nothing").now()

    assert now is not None
    assert before <= now <= datetime.now(UTC).timestamp()
