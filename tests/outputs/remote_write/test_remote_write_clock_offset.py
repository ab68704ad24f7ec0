from datetime import UTC, datetime
from email.utils import format_datetime

from sonnen_agent.outputs.remote_write.clock_offset import ClockOffset

UNIX = 1_795_000_000.0
TWO_YEARS = 2 * 365 * 86_400.0


class Clocks:
    """A machine's clocks, and the offset that goes by them."""

    def __init__(self, unix: float | None = UNIX) -> None:
        self.monotonic = 100.0
        self.unix = unix
        self.offset = ClockOffset(lambda: self.unix, lambda: self.monotonic)

    def pass_seconds(self, seconds: float) -> None:
        self.monotonic += seconds
        if self.unix is not None:
            self.unix += seconds

    def answer(self, unix: float) -> None:
        self.offset.heard(format_datetime(datetime.fromtimestamp(unix, UTC), usegmt=True))


def test_nothing_is_known_before_the_receiver_has_answered() -> None:
    clocks = Clocks()
    assert clocks.offset.offset_ms() is None
    assert clocks.offset.likely_ms == 1_794_999_900_000
    clocks.answer(UNIX + 5)
    assert clocks.offset.offset_ms() == 1_794_999_900_000


def test_a_clock_that_is_not_set_is_not_known() -> None:
    clocks = Clocks(None)
    clocks.answer(UNIX)
    assert clocks.offset.offset_ms() is None
    assert clocks.offset.likely_ms is None
    clocks.unix = UNIX
    assert clocks.offset.offset_ms() == 1_794_999_900_000


def test_a_clock_two_years_ahead_waits_until_it_is_right() -> None:
    clocks = Clocks(UNIX + TWO_YEARS)
    clocks.answer(UNIX)
    assert clocks.offset.offset_ms() is None
    assert clocks.offset.disagreement_seconds == TWO_YEARS
    clocks.pass_seconds(600)
    assert clocks.offset.offset_ms() is None
    clocks.unix = UNIX + 600
    assert clocks.offset.offset_ms() == 1_794_999_900_000
    assert clocks.offset.disagreement_seconds is None


def test_a_jump_of_two_years_changes_nothing_for_samples() -> None:
    clocks = Clocks()
    clocks.answer(UNIX)
    before = clocks.offset.offset_ms()
    clocks.pass_seconds(5)
    clocks.unix = UNIX + TWO_YEARS
    assert clocks.offset.offset_ms() == before
    clocks.pass_seconds(86_400)
    clocks.answer(UNIX + 86_405)
    assert clocks.offset.offset_ms() == before


def test_a_clock_that_is_lost_again_changes_nothing() -> None:
    clocks = Clocks()
    clocks.answer(UNIX)
    before = clocks.offset.offset_ms()
    clocks.unix = None
    assert clocks.offset.offset_ms() == before


def test_a_correction_that_the_receiver_agrees_with_is_taken_over() -> None:
    clocks = Clocks(UNIX + 300)
    clocks.answer(UNIX)
    clocks.offset.offset_ms()
    clocks.unix = UNIX
    assert clocks.offset.offset_ms() == 1_794_999_900_000


def test_a_tiny_step_changes_no_times_that_may_be_sent_again() -> None:
    clocks = Clocks()
    clocks.answer(UNIX)
    before = clocks.offset.offset_ms()
    clocks.unix = UNIX + 0.2
    assert clocks.offset.offset_ms() == before
    clocks.unix = UNIX + 0.4
    assert clocks.offset.offset_ms() == 1_794_999_900_400


def test_without_the_receivers_time_the_clock_is_believed_at_first_and_a_jump_after_a_while() -> None:
    clocks = Clocks()
    clocks.offset.heard(None)
    before = clocks.offset.offset_ms()
    assert before == 1_794_999_900_000
    clocks.unix = UNIX + TWO_YEARS
    assert clocks.offset.offset_ms() == before
    clocks.pass_seconds(600)
    assert clocks.offset.offset_ms() == before
    clocks.unix = UNIX + 600
    assert clocks.offset.offset_ms() == before
    clocks.unix = UNIX + 3600
    clocks.offset.offset_ms()
    clocks.pass_seconds(1000)
    assert clocks.offset.offset_ms() == before + 3_000_000


def test_a_date_that_is_none_is_no_date() -> None:
    for date in ("", "yesterday", "Sat, 99 Foo 20", "Thu, 01 Jan 9999999999 00:00:00 GMT"):
        clocks = Clocks()
        clocks.offset.heard(date)
        assert clocks.offset.offset_ms() == 1_794_999_900_000
