from datetime import UTC, datetime
from email.utils import format_datetime

from sonnen_agent.outputs.remote_write.stamps import Stamps, boot_id

UNIX = 1_795_000_000.0
TWO_YEARS = 2 * 365 * 86_400.0


class Clocks:
    """A machine's clocks, and the stamps that go by them."""

    def __init__(self, unix: float | None = UNIX) -> None:
        self.monotonic = 100.0
        self.unix = unix
        self.stamps = Stamps(lambda: self.unix, lambda: self.monotonic)

    def pass_seconds(self, seconds: float) -> None:
        self.monotonic += seconds
        if self.unix is not None:
            self.unix += seconds

    def answer(self, unix: float) -> None:
        self.stamps.heard(format_datetime(datetime.fromtimestamp(unix, UTC), usegmt=True))


def test_nothing_is_known_before_the_receiver_has_answered() -> None:
    clocks = Clocks()
    assert clocks.stamps.offset_ms() is None
    assert clocks.stamps.likely_ms == 1_794_999_900_000
    clocks.answer(UNIX + 5)
    assert clocks.stamps.offset_ms() == 1_794_999_900_000


def test_a_clock_that_is_not_set_is_not_known() -> None:
    clocks = Clocks(None)
    clocks.answer(UNIX)
    assert clocks.stamps.offset_ms() is None
    assert clocks.stamps.likely_ms is None
    clocks.unix = UNIX
    assert clocks.stamps.offset_ms() == 1_794_999_900_000


def test_a_clock_two_years_ahead_waits_until_it_is_right() -> None:
    clocks = Clocks(UNIX + TWO_YEARS)
    clocks.answer(UNIX)
    assert clocks.stamps.offset_ms() is None
    assert clocks.stamps.disagreement_seconds == TWO_YEARS
    clocks.pass_seconds(600)
    assert clocks.stamps.offset_ms() is None
    clocks.unix = UNIX + 600
    assert clocks.stamps.offset_ms() == 1_794_999_900_000
    assert clocks.stamps.disagreement_seconds is None


def test_a_jump_of_two_years_changes_nothing_for_samples() -> None:
    clocks = Clocks()
    clocks.answer(UNIX)
    before = clocks.stamps.offset_ms()
    clocks.pass_seconds(5)
    clocks.unix = UNIX + TWO_YEARS
    assert clocks.stamps.offset_ms() == before
    clocks.pass_seconds(86_400)
    clocks.answer(UNIX + 86_405)
    assert clocks.stamps.offset_ms() == before


def test_a_clock_that_is_lost_again_changes_nothing() -> None:
    clocks = Clocks()
    clocks.answer(UNIX)
    before = clocks.stamps.offset_ms()
    clocks.unix = None
    assert clocks.stamps.offset_ms() == before


def test_a_correction_that_the_receiver_agrees_with_is_taken_over() -> None:
    clocks = Clocks(UNIX + 300)
    clocks.answer(UNIX)
    clocks.stamps.offset_ms()
    clocks.unix = UNIX
    assert clocks.stamps.offset_ms() == 1_794_999_900_000


def test_a_tiny_step_changes_no_times_that_may_be_sent_again() -> None:
    clocks = Clocks()
    clocks.answer(UNIX)
    before = clocks.stamps.offset_ms()
    clocks.unix = UNIX + 0.2
    assert clocks.stamps.offset_ms() == before
    clocks.unix = UNIX + 0.4
    assert clocks.stamps.offset_ms() == 1_794_999_900_400


def test_without_the_receivers_time_the_clock_is_believed_at_first_and_a_jump_after_a_while() -> None:
    clocks = Clocks()
    clocks.stamps.heard(None)
    before = clocks.stamps.offset_ms()
    assert before == 1_794_999_900_000
    clocks.unix = UNIX + TWO_YEARS
    assert clocks.stamps.offset_ms() == before
    clocks.pass_seconds(600)
    assert clocks.stamps.offset_ms() == before
    clocks.unix = UNIX + 600
    assert clocks.stamps.offset_ms() == before
    clocks.unix = UNIX + 3600
    clocks.stamps.offset_ms()
    clocks.pass_seconds(1000)
    assert clocks.stamps.offset_ms() == before + 3_000_000


def test_a_date_that_is_none_is_no_date() -> None:
    for date in ("", "yesterday", "Sat, 99 Foo 20", "Thu, 01 Jan 9999999999 00:00:00 GMT"):
        clocks = Clocks()
        clocks.stamps.heard(date)
        assert clocks.stamps.offset_ms() == 1_794_999_900_000


def test_a_boot_is_the_same_for_every_process_of_it() -> None:
    assert boot_id() == boot_id()
    assert len(boot_id()) == 16
