import pytest

from sonnen_agent.battery.slow_endpoints import EndpointState
from sonnen_agent.battery.variants import Location
from sonnen_agent.details import Pack
from sonnen_agent.errors import Outcome

FIRST = Location(port=80, path="/api/v2/powermeter", with_token=True)
SECOND = Location(port=80, path="/api/powermeter", with_token=False)
THIRD = Location(port=8080, path="/api/powermeter", with_token=False)
PACK = Pack(cycles=260)
REFUSED: Outcome = "unauthorized"
MISSING: Outcome = "not_found"


@pytest.fixture
def state() -> EndpointState:
    return EndpointState(period_seconds=60, locations=(FIRST, SECOND, THIRD))


def test_an_endpoint_is_due_at_the_start(state: EndpointState) -> None:
    assert state.due(0)
    assert state.up is None
    assert state.detail(0) is None


def test_after_an_answer_it_is_due_in_a_period(state: EndpointState) -> None:
    state.answered(FIRST, PACK, 1000)

    assert state.up
    assert not state.due(1059)
    assert state.due(1060)


def test_a_beat_that_comes_a_little_early_is_taken(state: EndpointState) -> None:
    state.answered(FIRST, PACK, 1000)

    assert state.due(1059.9)


@pytest.mark.parametrize("outcome", ["timeout", "refused", "http_error", "invalid"])
def test_a_failure_that_may_pass_is_tried_again_after_a_period(state: EndpointState, outcome: Outcome) -> None:
    state.failed(outcome, 1000)

    assert state.up is False
    assert not state.due(1059)
    assert state.due(1060)


def pauses(state: EndpointState, *outcomes: Outcome) -> list[float]:
    """Return in how many seconds it is due after each of these failures."""
    found: list[float] = []
    now = 1000.0
    for outcome in outcomes:
        state.failed(outcome, now)
        due = next(second for second in range(1, 10_000) if state.due(now + second))
        found.append(due)
        now += due
    return found


def test_a_refused_token_is_tried_once_more_and_then_more_and_more_rarely(state: EndpointState) -> None:
    assert pauses(state, *[REFUSED] * 7) == [60, 60, 120, 240, 300, 300, 300]


def test_a_missing_endpoint_is_looked_for_more_and_more_rarely(state: EndpointState) -> None:
    assert pauses(state, *[MISSING] * 9) == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_another_answer_in_between_ends_the_growing_of_the_pauses(state: EndpointState) -> None:
    pauses(state, "unauthorized", "unauthorized", "unauthorized")
    state.answered(FIRST, PACK, 5000)

    assert pauses(state, "unauthorized", "unauthorized", "timeout", "unauthorized") == [60, 60, 30, 60]


@pytest.mark.parametrize("outcome", ["timeout", "refused", "http_error", "invalid", "not_found"])
def test_who_has_answered_before_is_asked_again_within_a_minute_as_after_a_restart(
    state: EndpointState, outcome: Outcome
) -> None:
    state.answered(FIRST, PACK, 1000)

    assert pauses(state, *[outcome] * 19)[-2:] == [30, 30]
    assert pauses(state, *[outcome] * 3)[-1] >= 60


@pytest.mark.parametrize("outcome", ["timeout", "unauthorized", "not_found"])
def test_a_failure_never_makes_it_due_sooner_than_an_answer(outcome: Outcome) -> None:
    rare = EndpointState(period_seconds=3600 * 2, locations=(FIRST,))
    rare.failed(outcome, 1000)

    assert not rare.due(1000 + 7199)
    assert rare.due(1000 + 7200)


def test_an_answer_ends_the_waiting_of_an_earlier_failure(state: EndpointState) -> None:
    state.failed("not_found", 1000)
    state.answered(SECOND, PACK, 4600)

    assert state.up
    assert state.due(4660)


def test_what_was_said_is_kept_for_three_periods(state: EndpointState) -> None:
    state.answered(FIRST, PACK, 1000)
    state.failed("timeout", 1060)
    state.failed("invalid", 1120)

    assert state.detail(1180) is PACK
    assert state.detail(1180.1) is None


@pytest.mark.parametrize("outcome", ["unauthorized", "not_found"])
def test_a_long_wait_does_not_keep_an_old_value_any_longer(state: EndpointState, outcome: Outcome) -> None:
    state.answered(FIRST, PACK, 1000)
    state.failed(outcome, 1060)

    assert state.detail(1181) is None


def test_a_value_once_dropped_stays_dropped(state: EndpointState) -> None:
    state.answered(FIRST, PACK, 1000)

    assert state.detail(2000) is None
    assert state.detail(1000) is None


def test_the_newest_value_counts(state: EndpointState) -> None:
    state.answered(FIRST, PACK, 1000)
    newer = Pack(cycles=261)
    state.answered(FIRST, newer, 1060)

    assert state.detail(1239) is newer


def test_the_place_that_answered_is_the_first_to_be_asked_again(state: EndpointState) -> None:
    assert state.locations[state.skipped :] == (FIRST, SECOND, THIRD)
    state.answered(SECOND, PACK, 1000)
    assert state.locations[state.skipped :] == (SECOND, THIRD)


def test_after_a_failure_every_place_is_asked_again(state: EndpointState) -> None:
    state.answered(THIRD, PACK, 1000)
    state.failed("timeout", 1060)

    assert state.locations[state.skipped :] == (FIRST, SECOND, THIRD)


def test_one_in_a_hurry_is_due_at_once(state: EndpointState) -> None:
    state.answered(FIRST, PACK, 1000)
    state.hurry()

    assert state.due(1000)
    assert state.detail(1000) is PACK
