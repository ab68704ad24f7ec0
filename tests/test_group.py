import pytest

from sonnen_agent.group import Group, GroupKey

HOME = GroupKey(job="sonnen", instance="home")


def test_a_key_is_shown_as_job_and_instance() -> None:
    assert str(HOME) == "sonnen/home"


def test_keys_are_the_same_if_both_their_labels_are() -> None:
    same = GroupKey(job="sonnen", instance="home")
    others = {GroupKey(job="sonnen", instance="barn"), GroupKey(job="sonnen_agent", instance="home")}

    assert {HOME, same} == {HOME}
    assert HOME not in others


@pytest.mark.parametrize(("now", "current"), [(1_000.0, True), (1_015.0, True), (1_015.1, False)])
def test_a_group_is_shown_as_the_present_for_a_time(now: float, current: bool) -> None:
    group = Group(key=HOME, taken_monotonic_seconds=1_000.0, shown_seconds=15)

    assert group.is_current(now) is current
