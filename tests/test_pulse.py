from sonnen_agent.scheduler import ProgressWatch


def test_work_is_timed_from_the_last_rest_or_beat() -> None:
    now = [10.0]
    pulse = ProgressWatch(lambda: now[0])
    now[0] = 13.0
    assert pulse.busy_seconds() == 3.0

    with pulse.rest():
        now[0] = 5_000.0
        assert pulse.busy_seconds() == 0.0
    assert pulse.busy_seconds() == 0.0

    now[0] = 5_007.0
    assert pulse.busy_seconds() == 7.0
    pulse.beat()
    assert pulse.busy_seconds() == 0.0
