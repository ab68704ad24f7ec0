import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sonnen_agent.clock import LONGEST_BEAT_SECONDS, Deadline, WallClock, boot_id

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


def test_a_deadline_counts_down_to_nothing() -> None:
    now = [100.0]
    deadline = Deadline(4.5, lambda: now[0])
    assert (deadline.remaining, deadline.expired) == (4.5, False)

    now[0] = 102.0
    assert (deadline.remaining, deadline.expired) == (2.5, False)

    now[0] = 104.5
    assert (deadline.remaining, deadline.expired) == (0.0, True)

    now[0] = 1_000.0
    assert (deadline.remaining, deadline.expired) == (0.0, True)


def test_a_share_of_a_deadline_is_a_part_of_what_is_left() -> None:
    now = [100.0]
    deadline = Deadline(4.0, lambda: now[0])
    now[0] = 102.0
    share = deadline.share(0.25)
    assert share.remaining == 0.5

    now[0] = 102.5
    assert share.expired
    assert deadline.remaining == 1.5


def test_at_most_so_many_seconds_is_never_later_than_the_deadline() -> None:
    now = [100.0]
    deadline = Deadline(4.0, lambda: now[0])
    assert deadline.at_most(1.5).remaining == 1.5
    assert deadline.at_most(10).remaining == 4.0

    now[0] = 200.0
    assert deadline.at_most(1.5).expired


@pytest.mark.parametrize(("interval", "seconds"), [(1, 0.9), (5, 4.5), (60, 10), (3600, LONGEST_BEAT_SECONDS)])
def test_the_requests_of_a_beat_end_before_the_next_and_within_ten_seconds(interval: float, seconds: float) -> None:
    assert Deadline.of_beat(interval, lambda: 7.0).remaining == pytest.approx(seconds)


def test_a_deadline_is_one_of_the_monotonic_clock_unless_told_otherwise() -> None:
    deadline = Deadline(0.02)
    assert 0 < deadline.remaining <= 0.02
    time.sleep(0.03)

    assert deadline.expired


def test_a_boot_has_one_name_that_the_kernel_gives_it() -> None:
    kernel = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()

    assert boot_id() == boot_id() == kernel
