import logging

import pytest

from sonnen_agent.changes import ChangeLog

_log = logging.getLogger("sonnen_agent.test_changes")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def changes(caplog: pytest.LogCaptureFixture, clock: Clock) -> ChangeLog:
    caplog.set_level(logging.INFO)
    return ChangeLog(_log, clock)


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


def test_another_trouble_of_the_same_subject_is_news_once(changes: ChangeLog, caplog: pytest.LogCaptureFixture) -> None:
    # As of a peer that answers in one of two ways in turn.
    for kind in ("away", "refused", "refused", "away", "refused", "away"):
        changes.trouble("home", kind, "home: %s", kind)

    assert [message for _, message in said(caplog)] == ["home: away", "home: refused"]


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

    assert not changes.over("home")
    assert not changes.over("home", "home is back")
    assert len(said(caplog)) == 1


def live(changes: ChangeLog, clock: Clock, *, away: bool, seconds: int) -> None:
    """Let the subject be away or well for so long, at a beat of five seconds."""
    for _ in range(seconds // 5):
        if away:
            changes.trouble("home", "away", "home is away")
        else:
            changes.over("home", "home is back")
        clock.now += 5


def test_a_trouble_that_comes_back_is_told_again_and_its_end_after_a_minute_of_well(
    changes: ChangeLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    live(changes, clock, away=True, seconds=20)
    live(changes, clock, away=False, seconds=20)
    live(changes, clock, away=True, seconds=20)
    live(changes, clock, away=False, seconds=60)
    assert [message for _, message in said(caplog)] == ["home is away", "home is back", "home is away"]

    live(changes, clock, away=False, seconds=20)
    assert said(caplog)[-1] == ("INFO", "home is back; as it comes and goes, it is told once an hour from now on")


def test_after_an_hour_without_a_change_the_end_of_a_trouble_is_told_at_once_again(
    changes: ChangeLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        live(changes, clock, away=True, seconds=10)
        live(changes, clock, away=False, seconds=5)
        live(changes, clock, away=False, seconds=3600)

    assert [message for _, message in said(caplog)] == 3 * ["home is away", "home is back"]


@pytest.mark.parametrize(("away", "well"), [(5, 5), (5, 55), (30, 30), (120, 120), (60, 600), (600, 60), (5, 300)])
def test_what_comes_and_goes_is_five_lines_in_the_first_hour_and_one_in_each_that_follows(
    changes: ChangeLog, clock: Clock, caplog: pytest.LogCaptureFixture, away: int, well: int
) -> None:
    lines = []
    for hour in range(1, 25):
        while clock.now < hour * 3600:
            live(changes, clock, away=True, seconds=away)
            live(changes, clock, away=False, seconds=well)
        lines.append(len(said(caplog)))
        caplog.clear()

    assert 3 <= lines[0] <= 5
    assert all(count <= 2 for count in lines[1:])  # an hour is a beat more than an hour
    assert sum(lines[1:]) <= 24


def test_how_much_was_not_told_is_told(changes: ChangeLog, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    while len(said(caplog)) < 4:
        live(changes, clock, away=True, seconds=5)
        live(changes, clock, away=False, seconds=5)
        if clock.now > 4000:
            break
    told = [message for _, message in said(caplog)]

    assert told[:3] == ["home is away", "home is back", "home is away"]
    assert told[3].startswith("home is away (359 changes before this one were not told); as it comes and goes")


def test_a_trouble_that_stays_after_it_came_and_went_is_told_within_an_hour(
    changes: ChangeLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(15):
        live(changes, clock, away=True, seconds=100)
        live(changes, clock, away=False, seconds=100)
    assert len(said(caplog)) == 4
    live(changes, clock, away=True, seconds=3600)

    level, message = said(caplog)[-1]
    assert (level, len(said(caplog))) == ("WARNING", 5)
    assert message.startswith("home is away (1")

    live(changes, clock, away=False, seconds=3700)
    assert said(caplog)[-1] == ("INFO", "home is back")


def test_what_was_told_of_another_subject_is_no_news_and_nor_is_its_end(
    changes: ChangeLog, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        changes.trouble("home", "away", "home is away", known=True)
    assert changes.kind("home") == "away"

    assert not changes.over("home", "home is back")
    assert changes.kind("home") is None
    assert said(caplog) == []


def test_a_trouble_that_a_person_has_to_mend_can_be_an_error(
    changes: ChangeLog, caplog: pytest.LogCaptureFixture
) -> None:
    changes.trouble("disk", "full", "the disk is full", level=logging.ERROR)

    assert said(caplog) == [("ERROR", "the disk is full")]


def test_the_present_troubles_can_be_asked_for(changes: ChangeLog) -> None:
    changes.trouble("home", "away", "home is away")
    changes.trouble("barn", "refused", "barn is refused")

    assert (changes.kind("home"), changes.kind("mill")) == ("away", None)
    assert changes.kinds() == ["away", "refused"]

    changes.over("home")

    assert changes.kind("home") is None
    assert changes.kinds() == ["refused"]
