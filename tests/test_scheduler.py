import logging
import threading
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest

from sonnen_agent.scheduler import HUNG_SECONDS, ProgressWatch, Threads, Ticker, early_share, next_beat


class Hands:
    """A clock that moves only by waiting and working."""

    def __init__(self, beats: int) -> None:
        self.now = 100.0
        self.acted_at: list[float] = []
        self.missed: list[int] = []
        self._beats = beats

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return len(self.acted_at) == self._beats

    def run(self, act: Callable[[], None], interval_seconds: float = 5, early_seconds: float = 0) -> None:
        def noted() -> None:
            self.acted_at.append(self.now)
            act()

        ticker = Ticker(
            start=100.0,
            interval_seconds=interval_seconds,
            early_seconds=early_seconds,
            clock=lambda: self.now,
            wait=self.wait,
        )
        ticker.run(noted, self.missed.append, ProgressWatch(lambda: self.now))

    def work(self, seconds: float) -> None:
        self.now += seconds


def test_the_first_beat_is_at_once_and_the_others_are_on_the_grid_whatever_the_work_takes() -> None:
    hands = Hands(4)
    durations = iter([0.1, 3.0, 0.2, 4.9])

    hands.run(lambda: hands.work(next(durations)))

    assert hands.acted_at == [100, 105, 110, 115]
    assert hands.missed == []


def test_beats_that_were_slept_through_are_counted_and_not_made_up_for() -> None:
    hands = Hands(3)
    durations = iter([12.0, 0.1, 0.1])

    hands.run(lambda: hands.work(next(durations)))

    assert hands.acted_at == [100, 115, 120]
    assert hands.missed == [2]


def test_work_that_ends_on_a_beat_waits_for_the_next() -> None:
    hands = Hands(2)

    hands.run(lambda: hands.work(5.0))

    assert hands.acted_at == [100, 110]
    assert hands.missed == [1, 1]


@pytest.mark.parametrize("early_seconds", [0.0, 0.001, 2.0, 4.0, 4.899])
def test_the_second_beat_is_early_and_the_grid_goes_on_from_there(early_seconds: float) -> None:
    hands = Hands(4)

    hands.run(lambda: hands.work(0.1), early_seconds=early_seconds)

    assert hands.acted_at == pytest.approx([100, *(100 + beats * 5 - early_seconds for beats in (1, 2, 3))])
    assert hands.missed == []


@pytest.mark.parametrize(
    ("first_seconds", "second", "missed"), [(2.5, 103, []), (4.5, 108, []), (7.9, 108, []), (8.1, 113, [1])]
)
def test_an_early_second_beat_that_was_slept_through_is_not_missed(
    first_seconds: float, second: float, missed: list[int]
) -> None:
    hands = Hands(3)
    durations = iter([first_seconds, 0.1, 0.1])

    hands.run(lambda: hands.work(next(durations)), early_seconds=2)

    assert hands.acted_at == [100, second, second + 5]
    assert hands.missed == missed


def test_agents_of_a_fleet_beat_all_over_the_interval_and_each_always_alike() -> None:
    shares = sorted(early_share(f"house{number:03}") for number in range(100))

    assert early_share("house000") == pytest.approx(0.184627, abs=1e-6)
    assert shares[0] >= 0
    assert shares[-1] < 1
    assert max(later - earlier for earlier, later in pairwise(shares)) < 0.05


def test_a_fractional_interval_does_not_drift() -> None:
    hands = Hands(10_000)

    hands.run(lambda: hands.work(0.01), interval_seconds=1.1)

    assert hands.acted_at[-1] == pytest.approx(100 + 9_999 * 1.1)
    assert hands.missed == []


@pytest.mark.parametrize("now", [100.0, 100.0 + 3 * 1.1, 100.0 + 7 * 0.1])
def test_the_next_beat_is_always_later(now: float) -> None:
    for interval in (0.1, 1.1, 5):
        assert now < next_beat(100.0, interval, now) <= now + interval + 1e-9


def test_a_crash_is_noted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    threads = Threads()

    def crash(_: ProgressWatch) -> None:
        raise ZeroDivisionError

    threads.start("home", crash)
    threads.join(10)

    assert threads.crashed
    assert "home crashed: please report this" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_threads_that_end_are_no_crash(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    threads = Threads()
    threads.start("home", lambda _: None)
    threads.join(10)

    assert not threads.crashed
    assert caplog.text == ""


def test_a_loop_that_stays_at_one_piece_of_work_hangs_until_it_goes_on() -> None:
    now = [0.0]
    threads = Threads(clock=lambda: now[0])
    working, goes_on = threading.Event(), threading.Event()

    def work(_: ProgressWatch) -> None:
        working.set()
        goes_on.wait(20)

    threads.start("home", work)
    working.wait(20)
    now[0] = HUNG_SECONDS
    assert threads.hung() == ()

    now[0] = HUNG_SECONDS + 1
    assert threads.hung() == ("home",)

    goes_on.set()
    threads.join(20)
    assert threads.hung() == ()


def test_a_loop_that_writes_does_not_hang_while_the_card_stalls() -> None:
    now = [0.0]
    threads = Threads(clock=lambda: now[0])
    goes_on = threading.Event()

    def work(_: ProgressWatch) -> None:
        goes_on.wait(20)

    threads.start("spool", work, writes=True)
    threads.start("home", work)
    now[0] = HUNG_SECONDS + 1

    assert threads.hung(card_stalls=True) == ("home",)
    assert threads.hung() == ("spool", "home")
    goes_on.set()
    threads.join(20)


def test_joining_tells_whether_all_have_ended() -> None:
    threads = Threads()
    goes_on = threading.Event()

    def work(_: ProgressWatch) -> None:
        goes_on.wait(20)

    threads.start("home", lambda _: None)
    threads.start("garage", work)

    assert not threads.join(0)
    goes_on.set()
    assert threads.join(20)


def test_a_loop_that_waits_does_not_hang_however_long_it_waits() -> None:
    now = [0.0]
    threads = Threads(clock=lambda: now[0])
    waiting, told_to_stop = threading.Event(), threading.Event()

    def wait(_: float) -> bool:
        waiting.set()
        return told_to_stop.wait(20)

    ticker = Ticker(start=3600, interval_seconds=3600, clock=lambda: now[0], wait=wait)
    threads.start("home", partial(ticker.run, lambda: None, lambda _: None))
    waiting.wait(20)
    now[0] = 3_599

    assert threads.hung() == ()
    told_to_stop.set()
    threads.join(20)


def test_work_is_timed_from_the_last_rest_or_beat() -> None:
    now = [10.0]
    watch = ProgressWatch(lambda: now[0])
    now[0] = 13.0
    assert watch.busy_seconds() == 3.0

    with watch.rest():
        now[0] = 5_000.0
        assert watch.busy_seconds() == 0.0
    assert watch.busy_seconds() == 0.0

    now[0] = 5_007.0
    assert watch.busy_seconds() == 7.0
    watch.beat()
    assert watch.busy_seconds() == 0.0
