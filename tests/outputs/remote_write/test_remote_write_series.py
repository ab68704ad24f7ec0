import threading

from decoding import Decoded, decode, double

from sonnen_agent.metrics.groups import Grouping
from sonnen_agent.reading import Meter, Reading, Status
from sonnen_agent.outputs.remote_write.beat import Beat, beats_of, samples_of
from sonnen_agent.outputs.remote_write.inbox import Inbox
from sonnen_agent.outputs.remote_write.series import SeriesBook
from sonnen_agent.outputs.remote_write.wire import STALE, write_request
from sonnen_agent.snapshot import AgentReport, Snapshot
from sonnen_agent.telemetry import Counts


def snapshot(
    battery: str = "home", *, watts: float | None = None, labels: dict[str, str] | None = None, at: float = 10
) -> Snapshot:
    reading = Reading(status=Status(production_watts=watts), unix_seconds=1, monotonic_seconds=at, generation="v2")
    return Snapshot(
        battery=battery,
        labels=labels or {},
        reading=None if watts is None else reading,
        taken_monotonic_seconds=at,
    )


def report() -> AgentReport:
    return AgentReport(host="pi", version="1", revision="", python_version="3", start_unix_seconds=1, counts=Counts())


def book(**external_labels: str) -> SeriesBook:
    return SeriesBook(Grouping(job="sonnen"), external_labels, interval_seconds=5)


def decoded(*beats: Beat) -> Decoded:
    return decode(write_request([sample for beat in beats for sample in samples_of(beat, 0)]))


def names(beat: Beat, *, stale: bool) -> set[str]:
    return {dict(labels)["__name__"] for labels, ((_, value),) in decoded(beat).items() if (value == STALE) is stale}


def test_a_snapshot_becomes_samples_with_the_labels_of_its_group_and_its_own_time() -> None:
    samples = decoded(book().beat(snapshot(watts=812.5), 10.0005))
    ((unix_ms, value),) = samples[(("__name__", "sonnen_production_watts"), ("instance", "home"), ("job", "sonnen"))]
    assert (unix_ms, double(value)) == (10_000, 812.5)


def test_the_labels_of_the_group_win_and_external_ones_only_fill_up() -> None:
    beat = book(site="home", host="external", job="external").beat(
        snapshot(labels={"host": "own", "instance": "own", "empty": ""}), 10
    )
    assert dict(next(iter(decoded(beat)))) == {
        "__name__": "sonnen_online",
        "host": "own",
        "instance": "home",
        "job": "sonnen",
        "site": "home",
    }


def test_a_report_belongs_to_the_agents_own_group() -> None:
    for labels in decoded(book().beat(report(), 10)):
        assert dict(labels)["job"] == "sonnen_agent"
        assert dict(labels)["instance"] == "pi"


def test_what_a_battery_does_not_tell_any_more_ends_once() -> None:
    series = book()
    series.beat(snapshot(watts=1), 10)

    silent = series.beat(snapshot(), 15)
    still_silent = series.beat(snapshot(), 20)

    assert names(silent, stale=True) >= {"sonnen_production_watts"}
    assert names(silent, stale=False) == {"sonnen_online"}
    assert names(still_silent, stale=True) == set()


def test_a_battery_of_which_nothing_is_heard_for_three_beats_ends() -> None:
    series = book()
    series.beat(snapshot("home", watts=1), 10)
    series.beat(snapshot("garage", watts=1), 20)

    assert series.end_silent(25) == []
    (ended,) = series.end_silent(25.1)

    assert names(ended, stale=False) == set()
    assert {dict(labels)["instance"] for labels in decoded(ended)} == {"home"}
    assert series.end_silent(25.2) == []


def test_everything_ends_at_the_end_and_later_than_all_before() -> None:
    series = book()
    last = series.beat(snapshot(watts=1), 10)
    series.beat(report(), 3)

    ended = series.end_all(9.5)

    assert ended[0].monotonic_ms == last.monotonic_ms + 1
    assert all(value == STALE for ((_, value),) in decoded(*ended).values())
    assert {dict(labels)["job"] for labels in decoded(*ended)} == {"sonnen", "sonnen_agent"}
    assert series.end_all(11) == []


def test_the_same_series_are_the_same_object_in_every_beat() -> None:
    series = book()
    first = series.beat(snapshot(watts=1), 10)
    second = series.beat(snapshot(watts=2), 15)
    assert first.series is second.series


def test_a_series_that_is_there_twice_is_sent_once() -> None:
    twin = Meter(direction="production", name="4_1", total_watts=5)
    reading = Reading(status=Status(), unix_seconds=1, monotonic_seconds=1, generation="v2", meters=(twin, twin))
    item = Snapshot(battery="home", reading=reading, taken_monotonic_seconds=1)
    assert len(set(book().beat(item, 1).series)) == len(book().beat(item, 1).series)


def test_samples_become_the_beats_they_were() -> None:
    series = book()
    beats = [series.beat(snapshot(watts=number), 10 + number) for number in range(3)]
    samples = [sample for beat in beats for sample in samples_of(beat, 77)]
    assert list(beats_of(reversed(samples), 77)) == [
        Beat(
            monotonic_ms=beat.monotonic_ms,
            series=beat.series[::-1],
            values=b"".join(beat.values[at : at + 8] for at in range(len(beat.values) - 8, -1, -8)),
        )
        for beat in beats
    ]


def test_the_inbox_keeps_every_item_in_order_with_its_time() -> None:
    inbox = Inbox(3, lambda: 77.0)
    items: list[Snapshot | AgentReport] = [snapshot(at=1), report(), snapshot(at=2)]
    for item in items:
        inbox.put(item)
    assert list(inbox.take(None)) == [(items[0], 1), (items[1], 77.0), (items[2], 2)]
    assert inbox.take(0) == ()
    assert inbox.take_lost() == 0


def test_a_full_inbox_loses_the_oldest_and_says_how_many() -> None:
    inbox = Inbox(3, lambda: 0)
    for number in range(5):
        inbox.put(snapshot(at=number))
    assert [taken for _, taken in inbox.take(None)] == [2, 3, 4]
    assert (inbox.take_lost(), inbox.take_lost()) == (2, 0)


def test_an_item_and_the_end_wake_who_waits() -> None:
    inbox = Inbox(3, lambda: 0)
    threading.Timer(0.05, inbox.put, [snapshot()]).start()
    assert len(inbox.take(20)) == 1
    threading.Timer(0.05, inbox.close).start()
    assert inbox.take(20) == ()
    assert inbox.closed
