from decoding import Decoded, decode, double
from groups import battery_group, family

from sonnen_agent.group import Group, GroupKey
from sonnen_agent.outputs.remote_write.wire import STALE, Frame, StalenessTracker, write_request


def agent_group(at: float = 10) -> Group:
    return Group(
        key=GroupKey(job="sonnen_agent", instance="pi"),
        families=(family("sonnen_build_info", 1, {"version": "1"}),),
        taken_monotonic_seconds=at,
        shown_seconds=15,
    )


def decoded(*frames: Frame) -> Decoded:
    return decode(write_request([sample for frame in frames for sample in frame.samples(0)]))


def names(frame: Frame, *, stale: bool) -> set[str]:
    return {dict(labels)["__name__"] for labels, ((_, value),) in decoded(frame).items() if (value == STALE) is stale}


def test_a_group_becomes_samples_with_the_labels_of_its_key_and_its_own_time() -> None:
    samples = decoded(StalenessTracker({}).frame(battery_group(watts={"production": 812.5}, at=10.0005)))
    ((unix_ms, value),) = samples[(("__name__", "sonnen_production_watts"), ("instance", "home"), ("job", "sonnen"))]
    assert (unix_ms, double(value)) == (10_000, 812.5)


def test_the_counters_are_those_for_receivers_that_cannot_be_asked() -> None:
    group = Group(
        key=GroupKey(job="sonnen", instance="home"),
        families=(family("sonnen_online", 1),),
        counters=(family("sonnen_observed_seconds_total", 9),),
        certain_counters=(family("sonnen_observed_seconds_total", 7),),
        taken_monotonic_seconds=10,
        shown_seconds=15,
    )
    samples = decoded(StalenessTracker({}).frame(group))
    assert {dict(labels)["__name__"]: double(value) for labels, ((_, value),) in samples.items()} == {
        "sonnen_online": 1,
        "sonnen_observed_seconds_total": 7,
    }


def test_the_labels_of_the_group_win_and_external_ones_only_fill_up() -> None:
    frame = StalenessTracker({"site": "home", "host": "external", "job": "external"}).frame(
        battery_group(labels={"host": "own", "instance": "own", "empty": ""}, at=10)
    )
    assert dict(next(iter(decoded(frame)))) == {
        "__name__": "sonnen_online",
        "host": "own",
        "instance": "home",
        "job": "sonnen",
        "site": "home",
    }


def test_what_a_battery_does_not_tell_any_more_ends_once() -> None:
    tracker = StalenessTracker({})
    tracker.frame(battery_group(watts={"production": 1}, at=10))

    silent = tracker.frame(battery_group(at=15))
    still_silent = tracker.frame(battery_group(at=20))

    assert names(silent, stale=True) == {"sonnen_production_watts"}
    assert names(silent, stale=False) == {"sonnen_online"}
    assert names(still_silent, stale=True) == set()


def test_a_group_of_which_nothing_is_heard_for_as_long_as_it_may_be_shown_ends() -> None:
    tracker = StalenessTracker({})
    tracker.frame(battery_group("home", watts={"production": 1}, at=10))
    tracker.frame(battery_group("garage", watts={"production": 1}, at=20))
    tracker.frame(battery_group("slow", watts={"production": 1}, at=10, interval_seconds=15))

    assert tracker.end_silent(25) == []
    (ended,) = tracker.end_silent(25.1)

    assert names(ended, stale=False) == set()
    assert {dict(labels)["instance"] for labels in decoded(ended)} == {"home"}
    assert tracker.end_silent(25.2) == []


def test_everything_ends_at_the_end_and_later_than_all_before() -> None:
    tracker = StalenessTracker({})
    last = tracker.frame(battery_group(watts={"production": 1}, at=10))
    tracker.frame(agent_group(3))

    ended = tracker.end_all(9.5)

    assert ended[0].monotonic_ms == last.monotonic_ms + 1
    assert all(value == STALE for ((_, value),) in decoded(*ended).values())
    assert {dict(labels)["job"] for labels in decoded(*ended)} == {"sonnen", "sonnen_agent"}
    assert tracker.end_all(11) == []


def test_a_group_with_which_another_process_goes_on_does_not_end() -> None:
    tracker = StalenessTracker({})
    tracker.frame(battery_group(watts={"production": 1}, at=10))
    tracker.frame(agent_group())
    ended = tracker.end_all(11, {GroupKey(job="sonnen", instance="home")})
    assert {dict(labels)["job"] for labels in decoded(*ended)} == {"sonnen_agent"}


def test_the_same_series_are_the_same_object_in_every_frame() -> None:
    tracker = StalenessTracker({})
    first = tracker.frame(battery_group(watts={"production": 1}, at=10))
    second = tracker.frame(battery_group(watts={"production": 2}, at=15))
    assert first.series is second.series


def test_a_series_that_is_there_twice_is_sent_once() -> None:
    twin = family("sonnen_meter_watts", 5, {"meter": "4_1"})
    group = Group(
        key=GroupKey(job="sonnen", instance="home"),
        families=(twin, twin),
        taken_monotonic_seconds=1,
        shown_seconds=15,
    )
    assert len(StalenessTracker({}).frame(group)) == 1
