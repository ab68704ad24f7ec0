import socket
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sonnen_agent.clock import _TIME_SERVICES, LONGEST_BEAT_SECONDS, Deadline, WallClock, boot_id, service_has_time

TODAY = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()


class Hands:
    """A wall and a monotonic clock that a test sets."""

    def __init__(self, unix: float) -> None:
        self.unix = unix
        self.monotonic = 5.0

        self.service: bool | None = None

    def clock(self, timesync: Path) -> WallClock:
        return WallClock(
            timesync=timesync, service=lambda: self.service, unix=lambda: self.unix, monotonic=lambda: self.monotonic
        )

    def pass_seconds(self, seconds: float) -> None:
        self.unix += seconds
        self.monotonic += seconds


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


def test_a_clock_that_chrony_or_ntpsec_keeps_is_believed_once_they_have_the_time(tmp_path: Path) -> None:
    hands = Hands(TODAY - 90 * 86_400)
    hands.service = False
    clock = hands.clock(tmp_path / "nothing")
    assert clock.now() is None

    hands.pass_seconds(10)
    hands.unix, hands.service = TODAY, True
    assert clock.now() == TODAY

    hands.service = False  # as chrony says without a network
    hands.pass_seconds(100)
    assert clock.now() == TODAY + 100


def test_a_time_service_that_never_has_the_time_is_waited_for_ten_minutes(tmp_path: Path) -> None:
    hands = Hands(TODAY)
    hands.service = False
    clock = hands.clock(tmp_path / "nothing")
    hands.pass_seconds(599)
    assert clock.now() is None
    hands.pass_seconds(1)
    assert clock.now() == TODAY + 600


def test_a_clock_that_is_set_after_ten_minutes_without_a_network_is_believed_at_once(timesync: Path) -> None:
    hands = Hands(TODAY - 7200)
    clock = hands.clock(timesync)
    hands.pass_seconds(700)
    assert clock.now() is not None

    hands.unix = TODAY
    (timesync / "synchronized").touch()
    assert clock.now() == TODAY


@pytest.mark.parametrize("wrong_by", [-7200, 2 * 86_400, 3653 * 86_400])
def test_a_clock_that_leaps_is_told_of_once_and_not_believed_until_it_is_back(
    timesync: Path, caplog: pytest.LogCaptureFixture, wrong_by: int
) -> None:
    (timesync / "synchronized").touch()
    hands = Hands(TODAY)
    clock = hands.clock(timesync)
    assert clock.now() == TODAY

    hands.unix += wrong_by
    for _ in range(12):
        assert clock.now() is None
        hands.pass_seconds(5)
    assert [record.message for record in caplog.records] == [
        f"the clock leapt by {wrong_by:+d} s: it is believed when it is back, or in ten minutes"
    ]

    hands.unix -= wrong_by
    assert clock.now() == TODAY + 60


def test_a_clock_that_leaps_and_stays_there_is_believed_after_ten_minutes(timesync: Path) -> None:
    (timesync / "synchronized").touch()
    hands = Hands(TODAY)
    clock = hands.clock(timesync)
    clock.now()
    hands.unix += 86_400
    assert clock.now() is None
    hands.pass_seconds(599)
    assert clock.now() is None
    hands.pass_seconds(1)
    assert clock.now() == TODAY + 86_400 + 600
    hands.unix -= 59
    assert clock.now() == TODAY + 86_400 + 541


@pytest.mark.parametrize("answer", [b"", b"\x24" + bytes(47), b"\xe4" + bytes(47)])
def test_a_server_of_ntp_on_this_machine_says_whether_it_has_the_time(answer: bytes) -> None:
    expected = {0: None, 0x24: True, 0xE4: False}[answer[0] if answer else 0]
    (_, request, lacks_time) = _TIME_SERVICES[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            asked, client = server.recvfrom(512)
            assert asked == b"\x23" + bytes(47)
            server.sendto(answer, client)

        serving = threading.Thread(target=serve)
        serving.start()
        said = service_has_time([(server.getsockname()[1], request, lacks_time)])
        serving.join()
    assert said is expected


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
