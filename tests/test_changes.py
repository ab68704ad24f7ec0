import logging

import pytest

from sonnen_agent.changes import ChangeLog

_log = logging.getLogger("sonnen_agent.test_changes")


@pytest.fixture
def changes(caplog: pytest.LogCaptureFixture) -> ChangeLog:
    caplog.set_level(logging.INFO)
    return ChangeLog(_log)


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_a_trouble_is_told_once_however_long_it_lasts(changes: ChangeLog, caplog: pytest.LogCaptureFixture) -> None:
    for attempt in range(3):
        changes.trouble("home", "away", "%s does not answer: attempt %d", "home", attempt)

    assert said(caplog) == [("WARNING", "home does not answer: attempt 0")]


def test_what_is_told_already_helps_to_find_bugs(changes: ChangeLog, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for attempt in range(2):
        changes.trouble("home", "away", "attempt %d", attempt)

    assert said(caplog) == [("WARNING", "attempt 0"), ("DEBUG", "attempt 1")]


def test_another_trouble_of_the_same_subject_is_news(changes: ChangeLog, caplog: pytest.LogCaptureFixture) -> None:
    for kind in ("away", "refused", "refused", "away"):
        changes.trouble("home", kind, "home: %s", kind)

    assert [message for _, message in said(caplog)] == ["home: away", "home: refused", "home: away"]


def test_the_same_trouble_of_another_subject_is_news(changes: ChangeLog, caplog: pytest.LogCaptureFixture) -> None:
    for subject in ("home", "barn", "home", "barn"):
        changes.trouble(subject, "away", "%s is away", subject)

    assert [message for _, message in said(caplog)] == ["home is away", "barn is away"]


def test_that_it_is_over_is_told_once(changes: ChangeLog, caplog: pytest.LogCaptureFixture) -> None:
    changes.trouble("home", "away", "home is away")

    assert changes.over("home", "%s is back", "home")
    assert not changes.over("home", "%s is back", "home")
    assert said(caplog) == [("WARNING", "home is away"), ("INFO", "home is back")]


def test_a_subject_that_was_never_in_trouble_is_not_worth_a_word(
    changes: ChangeLog, caplog: pytest.LogCaptureFixture
) -> None:
    assert not changes.over("home", "home is back")
    assert said(caplog) == []


def test_the_end_of_a_trouble_can_be_noted_without_a_word(changes: ChangeLog, caplog: pytest.LogCaptureFixture) -> None:
    changes.trouble("home", "away", "home is away")

    assert changes.over("home")
    assert len(said(caplog)) == 1


def test_a_trouble_that_comes_back_is_told_again(changes: ChangeLog, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        changes.trouble("home", "away", "home is away")
        changes.over("home", "home is back")

    assert [message for _, message in said(caplog)] == 2 * ["home is away", "home is back"]


@pytest.mark.parametrize(("known", "told"), [(True, 0), (False, 2), (None, 1)])
def test_who_knows_better_says_whether_it_is_news(
    changes: ChangeLog, caplog: pytest.LogCaptureFixture, known: bool | None, told: int
) -> None:
    for _ in range(2):
        changes.trouble("home", "away", "home is away", known=known)

    assert len(said(caplog)) == told
    # Told or not, it has to be over before all is well.
    assert changes.over("home", "home is back")


def test_a_trouble_that_a_person_has_to_mend_can_be_an_error(
    changes: ChangeLog, caplog: pytest.LogCaptureFixture
) -> None:
    changes.trouble("disk", "full", "the disk is full", level=logging.ERROR)

    assert said(caplog) == [("ERROR", "the disk is full")]


def test_the_present_troubles_can_be_asked_for(changes: ChangeLog) -> None:
    changes.trouble("home", "away", "home is away")
    changes.trouble("barn", "refused", "barn is refused")

    assert (changes.kind("home"), changes.kind("mill")) == ("away", None)
    assert changes.kinds() == {"away", "refused"}

    changes.over("home")

    assert changes.kind("home") is None
    assert changes.kinds() == {"refused"}
