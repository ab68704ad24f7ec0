import errno
import logging
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path

import pytest
from decoding import Decoded
from groups import BEAT_SECONDS, battery_group
from programs import free_port, wait_until
from pytest_httpserver import HTTPServer
from receivers import PATH, FakeReceiver, always
from werkzeug import Response

from sonnen_agent.destination import Destination
from sonnen_agent.energy.meter import EnergyMeter
from sonnen_agent.group import Group, GroupKey
from sonnen_agent.outputs import Retain, Surroundings
from sonnen_agent.outputs.remote_write import Options
from sonnen_agent.outputs.remote_write.output import RemoteWriteOutput
from sonnen_agent.scheduler import ProgressWatch, Threads
from sonnen_agent.shared_meter import SharedMeter
from sonnen_agent.telemetry import Waiting


class Site:
    """An output that is run by hand: its monotonic clock stands still between the beats."""

    def __init__(self, url: str, directory: Path, *, begin_seconds: float = 1000.0) -> None:
        self.url = url
        self.directory = directory
        self.begin_seconds = begin_seconds
        self.monotonic = begin_seconds
        self.ahead_seconds: float | None = 0.0
        """What is wrong with the clock; None while it is not set."""
        self._began = self.monotonic - time.time()
        self.outcomes: list[str] = []
        self.number = 0
        self.outputs: list[RemoteWriteOutput] = []
        self.output = self.start()

    def start(self, *, spool_max_bytes: int = 1 << 20, interval_seconds: float | None = None) -> RemoteWriteOutput:
        self.output = RemoteWriteOutput(
            Options(
                destination=Destination(url=self.url),
                spool_max_bytes=spool_max_bytes,
                interval_seconds=interval_seconds,
            ),
            Surroundings(
                interval_seconds=BEAT_SECONDS,
                state_directory=self.directory.parent,
                record=lambda _, outcome, *__: self.outcomes.append(outcome),
                clock=self._unix,
            ),
            monotonic=lambda: self.monotonic,
        )
        self.outputs.append(self.output)
        return self.output

    def unix_ms(self, number: int) -> int:
        """Return when the beat with this number was, in Unix milliseconds."""
        return round((self.begin_seconds + number * BEAT_SECONDS) * 1000) + round(-self._began * 1000)

    def beat(self, *, online: bool = True) -> None:
        """Let a beat's time pass, and the output do what it does in it."""
        self.monotonic = self.begin_seconds + self.number * BEAT_SECONDS
        self.number += 1
        watts = {"production": float(self.number), "consumption": 2.0, "grid_export": 3.0, "grid_import": 0.0}
        self.output.put(battery_group(at=self.monotonic, watts=watts if online else None))
        self.output.turn(0)
        self.idle()

    def idle(self) -> None:
        """Let the output do what it does between two beats."""
        for _ in range(40):
            self.monotonic += 0.1
            self.output.turn(0)

    def beats(self, count: int) -> None:
        for _ in range(count):
            self.beat()

    def stop(self) -> None:
        self.output.stop(Retain())
        self.output.run(ProgressWatch())

    def files(self) -> list[Path]:
        return list(self.directory.iterdir()) if self.directory.exists() else []

    def _unix(self) -> float | None:
        return None if self.ahead_seconds is None else self.monotonic - self._began + self.ahead_seconds


@pytest.fixture
def fake(httpserver: HTTPServer) -> FakeReceiver:
    return FakeReceiver(httpserver)


@pytest.fixture
def site(fake: FakeReceiver, tmp_path: Path) -> Iterator[Site]:
    site = Site(fake.url, tmp_path / "spool")
    yield site
    for output in site.outputs:
        output.stop(Retain())
        output.run(ProgressWatch())


def said(caplog: pytest.LogCaptureFixture, level: int = logging.INFO) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= level and record.name.startswith("sonnen_agent")
    ]


def watts(fake: FakeReceiver) -> list[float]:
    """Return the production of all beats in the order of their times; it counts the beats, from 1."""
    return [value for _, value in sorted(fake.of("sonnen_production_watts").items())]


def arrival(fake: FakeReceiver) -> list[int]:
    """Return the times of the production in the order in which they were stored."""
    return [unix_ms for unix_ms, labels in fake.order if dict(labels)["__name__"] == "sonnen_production_watts"]


def test_every_beat_is_sent_at_once_with_its_own_time(fake: FakeReceiver, site: Site) -> None:
    site.beats(3)
    stamps = arrival(fake)
    assert [stamp - stamps[0] for stamp in stamps] == [0, 5000, 10_000]
    assert abs(stamps[0] - site.unix_ms(0)) <= 1
    assert site.outcomes == ["ok"] * 4  # the first one asks for the receiver's time


def test_with_an_interval_several_beats_are_one_request_and_each_sample_has_its_own_time(
    fake: FakeReceiver, site: Site
) -> None:
    site.start(interval_seconds=30)
    site.beats(1)  # the first goes out at once
    site.outcomes.clear()
    site.beats(5)
    assert (site.outcomes, len(arrival(fake))) == ([], 1)
    site.beats(1)
    assert site.outcomes == ["ok"]
    assert watts(fake) == [1, 2, 3, 4, 5, 6, 7]
    assert [stamp - arrival(fake)[0] for stamp in arrival(fake)] == [5000 * number for number in range(7)]
    assert set(fake.of("sonnen_push_interval_seconds").values()) == {30}
    site.beats(6)
    assert site.outcomes == ["ok", "ok"]
    assert site.files() == []


def test_what_an_orderly_stop_finds_in_the_open_request_is_sent_or_kept(fake: FakeReceiver, site: Site) -> None:
    site.start(interval_seconds=30)
    site.beats(3)
    site.stop()
    assert watts(fake)[:3] == [1, 2, 3]

    site.start(interval_seconds=30)
    fake.reply = always(503)
    site.beats(4)
    site.stop()
    fake.reply = lambda _: None
    site.start(interval_seconds=30)
    site.beats(2)
    site.stop()
    assert {1, 2, 3, 4, 5, 6, 7, 8, 9} <= set(watts(fake))
    assert site.output.waiting().dropped_samples == 0


def test_an_open_request_that_grows_large_goes_out_before_its_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sonnen_agent.outputs.remote_write.output._MOST_SAMPLES", 20)
    site.start(interval_seconds=3600)
    site.beats(1)
    site.outcomes.clear()
    site.beats(20)
    assert 2 <= len(site.outcomes) <= 10


def test_nothing_is_written_to_disk_while_the_receiver_is_fine(site: Site) -> None:
    site.beats(5)
    assert site.files() == []
    assert site.output.waiting() == Waiting()


def test_an_outage_leaves_no_gap(fake: FakeReceiver, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    site.beats(2)
    fake.reply = always(503)
    site.beats(10)
    waiting = site.output.waiting()
    fake.reply = lambda _: None
    site.beats(2)

    assert waiting.samples > 0
    assert waiting.bytes > 0
    assert waiting.oldest_timestamp_seconds == pytest.approx(site.unix_ms(2) / 1000, abs=0.01)
    assert watts(fake) == [float(number) for number in range(1, 15)]
    assert site.output.waiting() == Waiting()
    assert site.files() == []
    assert said(caplog) == [
        f"remote write fails, samples wait in {site.directory}: {fake.url}: answered 503",
        f"remote write works again; {waiting.samples} samples are sent late",
    ]


def test_a_link_that_flaps_is_no_more_than_five_lines(
    fake: FakeReceiver, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for number in range(60):
        fake.reply = always(503) if number % 3 == 1 else lambda _: None
        site.beat()
    fake.reply = lambda _: None
    site.beats(3)

    assert watts(fake) == [float(number) for number in range(1, 64)]
    assert 3 <= len(said(caplog)) <= 5
    assert sum("works again" in line for line in said(caplog)) == 1


def test_a_refusal_is_no_success(fake: FakeReceiver, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    site.beats(2)
    for number in range(20):
        fake.reply = always(503) if number % 2 else always(400)
        site.beat()

    assert len(said(caplog)) <= 5
    assert not [line for line in said(caplog) if "works again" in line]


def test_a_short_outage_is_made_up_for_in_order(fake: FakeReceiver, site: Site) -> None:
    site.beats(2)
    fake.reply = always(503)
    site.beats(20)
    fake.reply = lambda _: None
    site.beats(2)
    assert arrival(fake) == sorted(arrival(fake))
    assert len(arrival(fake)) == 24


def test_each_beat_of_an_outage_costs_one_small_request(fake: FakeReceiver, site: Site) -> None:
    site.beats(1)
    fake.reply = always(503)
    before = len(fake.bodies)
    site.beats(20)
    outage = fake.bodies[before:]
    assert len(outage) == 20
    assert all(len(samples) <= 2 for body in outage for samples in body.values())


def long_outage(fake: FakeReceiver, site: Site, monkeypatch: pytest.MonkeyPatch, beats: int = 30) -> None:
    """Let an outage last longer than what is made up for in order."""
    monkeypatch.setattr("sonnen_agent.outputs.remote_write.sender._SHORT_SAMPLES", 40)
    site.beats(2)
    fake.reply = always(503)
    site.beats(beats)


def test_after_a_long_outage_the_present_goes_first_and_the_backlog_oldest_first(
    fake: FakeReceiver, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_outage(fake, site, monkeypatch)
    fake.reply = lambda _: None
    site.beats(3)

    order = arrival(fake)
    late = [stamp for stamp in order if 2 <= round((stamp - order[0]) / 5000) < 32]
    assert round((order[2] - order[0]) / 5000) == 32  # the first to arrive after the outage
    assert late == sorted(late)
    assert len(late) == 30
    assert watts(fake) == [float(number) for number in range(1, 36)]


def test_a_batch_is_bounded(fake: FakeReceiver, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sonnen_agent.outputs.remote_write.sender._BATCH_SAMPLES", 50)
    long_outage(fake, site, monkeypatch, beats=60)
    fake.reply = lambda _: None
    site.beats(20)
    assert max(sum(map(len, body.values())) for body in fake.bodies) <= 50
    assert len(watts(fake)) == 82


def test_the_backlog_rests_between_two_requests(
    fake: FakeReceiver, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sonnen_agent.outputs.remote_write.sender._BATCH_SAMPLES", 50)
    monkeypatch.setattr("sonnen_agent.outputs.remote_write.sender._SAMPLES_PER_SECOND", 50)
    long_outage(fake, site, monkeypatch, beats=100)
    fake.reply = lambda _: None
    before = site.output.waiting().samples
    site.beats(1)  # of which the output has 4 seconds
    assert 100 <= before - site.output.waiting().samples <= 250
    requests = len(fake.requests)
    for _ in range(10):
        site.output.turn(0)  # no time passes
    assert len(fake.requests) <= requests + 1


def test_the_present_goes_on_while_the_backlog_is_refused_for_now(
    fake: FakeReceiver, site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    long_outage(fake, site, monkeypatch)
    caplog.set_level(logging.INFO)
    caplog.clear()
    boundary = site.unix_ms(site.number) - 1000
    busy = Response(status=503)
    fake.reply = lambda body: busy if oldest(body) < boundary else None
    site.beats(10)

    assert len([stamp for stamp in arrival(fake) if stamp > boundary]) == 10
    assert site.output.waiting().samples > 0
    lines = said(caplog)
    assert lines[0].startswith("remote write works again")
    assert "have to wait" in lines[1]
    assert len(lines) == 2
    fake.reply = lambda _: None
    site.beats(30)
    assert len(watts(fake)) == 72


def oldest(body: Decoded) -> float:
    return min((unix_ms for samples in body.values() for unix_ms, _ in samples), default=float("inf"))


def test_errors_for_ever_stay_within_the_bound_and_are_told_once(
    fake: FakeReceiver, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.stop()
    site.start(spool_max_bytes=8_000)
    fake.reply = always(500, "internal error")
    site.beats(700)
    state = site.output.waiting()
    assert sum(path.stat().st_size for path in site.files()) <= 8_000
    assert state.bytes <= 8_000
    assert state.dropped_samples > 0
    assert len(said(caplog, logging.WARNING)) == 2  # away, and full

    fake.reply = lambda _: None
    site.beats(40)
    present = [float(number) for number in range(1, 741)]
    kept = watts(fake)
    assert kept == present[-len(kept) :]


def test_a_bad_sample_is_dropped_alone_and_told_in_the_receivers_words(
    fake: FakeReceiver, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bad = "sonnen_consumption_watts"
    refusal = Response("duplicate sample for timestamp", status=400)
    fake.reply = lambda body: refusal if any(dict(labels)["__name__"] == bad for labels in body) else None
    site.beats(10)

    assert len(watts(fake)) == 10
    assert site.output.waiting().rejected_samples == 10
    assert site.output.waiting().samples == 0
    (line,) = said(caplog)
    assert line == (
        '1 sample is dropped, the first of them of sonnen_consumption_watts{instance="home",job="sonnen"}: '
        f"{fake.url}: answered 400: duplicate sample for timestamp"
    )
    # Once known, it goes apart: two requests a beat.
    assert len(fake.bodies) <= 1 + 10 + 2 * 9
    fake.reply = lambda _: None
    site.beats(15)
    assert len(fake.of(bad)) >= 13


def test_a_proxy_that_refuses_everything_costs_nothing(
    fake: FakeReceiver, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.beats(1)
    long = Response("The plain HTTP request was sent to HTTPS port", status=400)
    fake.reply = lambda _: long
    samples = many(site, 60)
    site.beats(3)
    assert site.output.waiting().samples >= samples
    assert site.output.waiting().rejected_samples == 0
    assert any("and the same to an empty request" in line for line in said(caplog, logging.WARNING))


def many(site: Site, batteries: int) -> int:
    """Put so many batteries into one beat, and return how many samples at least that is."""
    for number in range(batteries):
        site.output.put(battery_group(f"battery {number}", at=site.monotonic))
    site.output.turn(0)
    return batteries // 3


def test_a_beat_that_was_half_sent_when_the_link_failed_is_sent_again(fake: FakeReceiver, site: Site) -> None:
    site.beats(1)
    answers = [Response("duplicate sample", status=400), None, Response(status=503)]
    fake.reply = lambda body: answers.pop(0) if body and answers else None
    site.beats(2)
    assert answers == []
    assert watts(fake) == [1, 2, 3]
    assert {len(samples) for samples in fake.stored.values()} == {3}
    assert site.output.waiting() == Waiting()


def test_retry_after_is_kept(fake: FakeReceiver, site: Site) -> None:
    site.beats(1)
    fake.reply = always(429, "slow down", Retry_After="60")
    site.beats(1)
    before = len(fake.requests)
    site.beats(10)
    assert len(fake.requests) == before
    fake.reply = lambda _: None
    site.beats(5)
    assert len(watts(fake)) == 17


@pytest.mark.parametrize(
    "reply",
    [
        always(200, "<html>Please log in</html>"),
        always(301, "", Location="http://127.0.0.1:9/"),
        always(401),
        always(404, "remote write receiver needs to be enabled"),
        always(500, "no"),
    ],
)
def test_what_is_not_about_the_samples_keeps_them(
    fake: FakeReceiver, site: Site, reply: Callable[[Decoded], Response | None], caplog: pytest.LogCaptureFixture
) -> None:
    fake.reply = reply
    site.beats(5)
    assert site.output.waiting().rejected_samples == 0
    assert len(said(caplog, logging.WARNING)) == 1
    fake.reply = lambda _: None
    site.beats(2)
    assert len(watts(fake)) == 7


def test_rubbish_with_a_200_is_a_yes(fake: FakeReceiver, site: Site) -> None:
    fake.reply = always(200, "\x00 garbage \x7f")
    site.beats(5)
    assert site.output.waiting().samples == 0


def test_nobody_there_costs_nothing(tmp_path: Path, httpserver: HTTPServer) -> None:
    port = free_port()
    site = Site(f"http://127.0.0.1:{port}{PATH}", tmp_path / "spool")
    site.beats(5)
    assert set(site.outcomes) == {"refused"}
    site.stop()
    assert site.files()
    fake = FakeReceiver(httpserver)
    site.url = fake.url
    site.start()
    site.beats(2)
    assert len(watts(fake)) == 7 + 1  # and the end of the first one
    site.stop()


def test_samples_wait_until_the_clock_is_set(fake: FakeReceiver, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    site.ahead_seconds = None
    site.beats(4)
    assert fake.requests == []
    assert site.output.waiting().oldest_timestamp_seconds is None
    site.ahead_seconds = 0.0
    site.beats(2)
    assert [abs(stamp - site.unix_ms(number)) <= 1 for number, stamp in enumerate(arrival(fake))] == [True] * 6
    assert said(caplog)[0] == "samples wait until the clock is set"
    assert said(caplog)[1] == "the clock is right now; samples are sent with the times they were taken at"


def test_a_clock_two_years_ahead_for_ten_minutes_leaves_no_trace(
    fake: FakeReceiver, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.ahead_seconds = 2 * 365 * 86_400.0
    site.beats(120)
    assert fake.stored == {}
    site.ahead_seconds = 0.0
    site.beats(3)
    assert [abs(stamp - site.unix_ms(number)) <= 1 for number, stamp in enumerate(arrival(fake))] == [True] * 123
    (line,) = said(caplog, logging.WARNING)
    assert re.fullmatch(
        r"samples wait: this machine's clock is 630\d+ s ahead of the receiver's; set the one that is wrong", line
    )


def test_a_clock_that_jumps_two_years_ahead_under_way_changes_nothing(fake: FakeReceiver, site: Site) -> None:
    site.beats(3)
    site.ahead_seconds = 2 * 365 * 86_400.0
    site.beats(120)
    site.ahead_seconds = 0.0
    site.beats(3)
    assert [abs(stamp - site.unix_ms(number)) <= 1 for number, stamp in enumerate(arrival(fake))] == [True] * 126


def meter() -> SharedMeter:
    return SharedMeter(EnergyMeter(zone=UTC), time.time)


def stale(fake: FakeReceiver, name: str) -> int:
    return sum(math.isnan(value) for value in fake.of(name).values())


def test_a_silent_battery_ends_its_series(fake: FakeReceiver, site: Site) -> None:
    site.beats(2)
    site.beat(online=False)
    site.beat(online=False)
    assert stale(fake, "sonnen_production_watts") == 1
    assert list(fake.of("sonnen_online").values()) == [1, 1, 0, 0]


def test_a_battery_whose_loop_hangs_ends_its_series(fake: FakeReceiver, site: Site) -> None:
    site.beats(2)
    site.monotonic += 16
    site.output.turn(0)
    assert stale(fake, "sonnen_production_watts") == 1
    assert stale(fake, "sonnen_online") == 1


def test_the_end_of_the_agent_ends_all_series(fake: FakeReceiver, site: Site) -> None:
    site.beats(2)
    site.stop()
    assert stale(fake, "sonnen_production_watts") == 1
    assert stale(fake, "sonnen_online") == 1
    assert site.files() == []


def test_the_end_in_an_outage_is_told_by_the_next_process(fake: FakeReceiver, site: Site) -> None:
    site.beats(2)
    fake.reply = always(503)
    site.beats(2)
    before = len(fake.requests)
    site.stop()
    assert len(fake.requests) == before
    fake.reply = lambda _: None
    site.start()
    site.beats(1)
    assert stale(fake, "sonnen_production_watts") == 1
    assert len(fake.of("sonnen_production_watts")) == 6


def test_what_came_last_is_sent_before_the_end(fake: FakeReceiver, site: Site) -> None:
    site.beats(1)
    site.output.put(battery_group(at=site.monotonic))
    site.stop()
    assert list(fake.of("sonnen_online").values())[:2] == [1, 0]
    assert stale(fake, "sonnen_online") == 1


def test_a_killed_process_loses_nothing_that_waited(fake: FakeReceiver, site: Site, tmp_path: Path) -> None:
    site.beats(2)
    fake.reply = always(503)
    site.beats(8)
    # The kernel keeps what was written; a copy is what a new process would find.
    left = tmp_path / "left" / "spool"
    left.mkdir(parents=True)
    for path in site.files():
        (left / path.name).write_bytes(path.read_bytes())
    site.directory = left
    fake.reply = lambda _: None
    site.start()
    site.beats(1)
    assert watts(fake) == [float(number) for number in range(1, 12)]


AGENT = """
import sys, time
from pathlib import Path
sys.path[:0] = {path!r}
from test_remote_write import Site
site = Site({url!r}, Path({directory!r}))
while True:
    site.beat()
    print(site.number, flush=True)
"""


def test_a_kill_in_an_outage_loses_one_beat_at_most(fake: FakeReceiver, tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}{PATH}"
    program = AGENT.format(path=sys.path, url=nowhere, directory=str(tmp_path / "spool"))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 30:
                break
        process.kill()
        seen = max([30, *map(int, process.stdout.read().split())])

    site = Site(fake.url, tmp_path / "spool", begin_seconds=20_000)
    site.beats(1)
    site.stop()

    kept = [value for value in watts(fake) if not math.isnan(value)][:-1]
    assert len(kept) >= seen
    assert sorted(kept) == [float(number) for number in range(1, len(kept) + 1)]


def test_without_a_spool_the_last_minutes_wait_in_memory(
    fake: FakeReceiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "spool").write_text("not a directory")
    site = Site(fake.url, tmp_path / "spool")
    site.beats(2)
    assert len(watts(fake)) == 2
    fake.reply = always(503)
    site.beats(100)
    waiting = site.output.waiting()
    fake.reply = lambda _: None
    site.beats(2)

    # What is older than five minutes when a file is full is lost, and counted.
    assert watts(fake) == [1.0, 2.0, *(float(number) for number in range(63, 105))]
    assert waiting.dropped_samples == 60 * 5
    assert site.output.waiting().samples == 0
    assert said(caplog, logging.WARNING)[0] == (
        f"{tmp_path / 'spool'} cannot be written: {os.strerror(errno.EEXIST)}; "
        "samples wait in memory for at most five minutes"
    )
    assert len(said(caplog, logging.WARNING)) == 2  # and away
    site.stop()


def test_beats_that_came_faster_than_they_could_be_handled_are_counted(
    fake: FakeReceiver, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.beats(1)
    for number in range(70):
        site.output.put(battery_group(at=site.monotonic + number / 100))
    site.output.turn(0)
    assert len(fake.of("sonnen_online")) == 1 + 64
    assert site.output.waiting().dropped_samples == 6
    assert list(fake.of("sonnen_online"))[1] == site.unix_ms(0) + 4060  # the oldest are lost
    assert said(caplog, logging.WARNING) == ["the card or the receiver was too slow: 6 samples are lost"]


def test_hundreds_of_batteries_lose_nothing_without_a_fault(fake: FakeReceiver, tmp_path: Path) -> None:
    names = [f"battery {number}" for number in range(300)]
    surroundings = Surroundings(
        interval_seconds=BEAT_SECONDS,
        state_directory=tmp_path,
        meters={GroupKey(job="sonnen", instance=name): meter() for name in names},
        record=lambda *_: None,
        clock=time.time,
    )
    output = RemoteWriteOutput(Options(destination=Destination(url=fake.url)), surroundings)
    for beat in range(3):
        for name in names:
            output.put(battery_group(name, at=time.monotonic() + beat))
    output.turn(0)
    assert len(fake.of("sonnen_online")) >= 3
    assert sum(map(len, fake.stored.values())) == 900
    assert output.waiting() == Waiting()
    output.stop(Retain(groups=frozenset(surroundings.meters)))
    output.run(ProgressWatch())


def test_the_page_of_another_exporter_is_not_carried(fake: FakeReceiver, site: Site) -> None:
    site.beats(1)
    before = len(fake.requests)
    key = GroupKey(job="node", instance="pi")
    site.output.put(Group(key=key, page=b"node_load1 1\n", taken_monotonic_seconds=site.monotonic, shown_seconds=15))
    site.output.turn(0)
    assert len(fake.requests) == before


def test_a_reload_leaves_the_series_of_its_groups(fake: FakeReceiver, site: Site) -> None:
    site.beats(2)
    home = frozenset({GroupKey(job="sonnen", instance="home")})
    site.output.stop(Retain(groups=home, unchanged=home))
    site.output.run(ProgressWatch())
    assert stale(fake, "sonnen_online") == 0
    site.start()
    site.beats(1)
    assert watts(fake) == [1, 2, 3]


def test_a_reload_ends_series_whose_labels_will_be_others(fake: FakeReceiver, site: Site) -> None:
    site.beats(2)
    site.output.stop(Retain(groups=frozenset({GroupKey(job="sonnen", instance="home")})))
    site.output.run(ProgressWatch())
    assert stale(fake, "sonnen_online") == 1


def test_the_thread_sends_what_is_put_and_ends_when_closed(fake: FakeReceiver, tmp_path: Path) -> None:
    surroundings = Surroundings(interval_seconds=0.2, state_directory=tmp_path, record=lambda *_: None, clock=time.time)
    output = Options(destination=Destination(url=fake.url)).open(surroundings)
    threads = Threads()
    output.start(threads)
    for _ in range(3):
        output.put(battery_group(at=time.monotonic()))
    wait_until(lambda: len(fake.of("sonnen_online")) >= 3, "three samples")
    output.stop(Retain())
    assert threads.join(20)
    assert not threads.crashed
    assert stale(fake, "sonnen_online") == 1
