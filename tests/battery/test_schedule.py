import pytest

from sonnen_agent.battery.faces import Source
from sonnen_agent.battery.schedule import Schedule
from sonnen_agent.errors import Outcome
from sonnen_agent.reading import Pack

FIRST = Source(port=80, path="/api/v2/powermeter", with_token=True)
SECOND = Source(port=80, path="/api/powermeter", with_token=False)
THIRD = Source(port=8080, path="/api/powermeter", with_token=False)
PACK = Pack(cycles=260)


@pytest.fixture
def schedule() -> Schedule:
    return Schedule(period_seconds=60, sources=(FIRST, SECOND, THIRD))


def test_an_endpoint_is_due_at_the_start(schedule: Schedule) -> None:
    assert schedule.due(0)
    assert not schedule.up
    assert schedule.last_outcome is None
    assert schedule.detail(0) is None


def test_an_endpoint_that_is_nowhere_is_never_due() -> None:
    assert not Schedule(period_seconds=60, sources=()).due(1e9)


def test_after_an_answer_it_is_due_in_a_period(schedule: Schedule) -> None:
    schedule.answered(FIRST, PACK, 1000)

    assert (schedule.up, schedule.last_outcome) == (True, "ok")
    assert not schedule.due(1059)
    assert schedule.due(1060)


def test_a_beat_that_comes_a_little_early_is_taken(schedule: Schedule) -> None:
    schedule.answered(FIRST, PACK, 1000)

    assert schedule.due(1059.9)


@pytest.mark.parametrize("outcome", ["timeout", "refused", "http_error", "invalid"])
def test_a_failure_that_may_pass_is_tried_again_after_a_period(schedule: Schedule, outcome: Outcome) -> None:
    schedule.failed(outcome, 1000)

    assert (schedule.up, schedule.last_outcome) == (False, outcome)
    assert not schedule.due(1059)
    assert schedule.due(1060)


def test_a_refused_token_is_tried_again_after_five_minutes(schedule: Schedule) -> None:
    schedule.failed("unauthorized", 1000)

    assert not schedule.due(1299)
    assert schedule.due(1300)


def test_a_missing_endpoint_is_looked_for_again_after_an_hour(schedule: Schedule) -> None:
    schedule.failed("not_found", 1000)

    assert not schedule.due(1000 + 3599)
    assert schedule.due(1000 + 3600)


@pytest.mark.parametrize("outcome", ["timeout", "unauthorized", "not_found"])
def test_a_failure_never_makes_it_due_sooner_than_an_answer(outcome: Outcome) -> None:
    rare = Schedule(period_seconds=3600 * 2, sources=(FIRST,))
    rare.failed(outcome, 1000)

    assert not rare.due(1000 + 7199)
    assert rare.due(1000 + 7200)


def test_an_answer_ends_the_waiting_of_an_earlier_failure(schedule: Schedule) -> None:
    schedule.failed("not_found", 1000)
    schedule.answered(SECOND, PACK, 4600)

    assert schedule.up
    assert schedule.due(4660)


def test_what_was_said_is_kept_for_three_periods(schedule: Schedule) -> None:
    schedule.answered(FIRST, PACK, 1000)
    schedule.failed("timeout", 1060)
    schedule.failed("invalid", 1120)

    assert schedule.detail(1180) is PACK
    assert schedule.detail(1180.1) is None


@pytest.mark.parametrize("outcome", ["unauthorized", "not_found"])
def test_a_long_wait_does_not_keep_an_old_value_any_longer(schedule: Schedule, outcome: Outcome) -> None:
    schedule.answered(FIRST, PACK, 1000)
    schedule.failed(outcome, 1060)

    assert schedule.detail(1181) is None


def test_a_value_once_dropped_stays_dropped(schedule: Schedule) -> None:
    schedule.answered(FIRST, PACK, 1000)

    assert schedule.detail(2000) is None
    assert schedule.detail(1000) is None


def test_the_newest_value_counts(schedule: Schedule) -> None:
    schedule.answered(FIRST, PACK, 1000)
    newer = Pack(cycles=261)
    schedule.answered(FIRST, newer, 1060)

    assert schedule.detail(1239) is newer


def test_the_place_that_answered_is_the_first_to_be_asked_again(schedule: Schedule) -> None:
    assert schedule.remaining_sources() == (FIRST, SECOND, THIRD)
    schedule.answered(SECOND, PACK, 1000)
    assert schedule.remaining_sources() == (SECOND, THIRD)


def test_after_a_failure_every_place_is_asked_again(schedule: Schedule) -> None:
    schedule.answered(THIRD, PACK, 1000)
    schedule.failed("timeout", 1060)

    assert schedule.remaining_sources() == (FIRST, SECOND, THIRD)


def test_one_in_a_hurry_is_due_at_once(schedule: Schedule) -> None:
    schedule.answered(FIRST, PACK, 1000)
    schedule.hurry()

    assert schedule.due(1000)
    assert schedule.detail(1000) is PACK
