"""What a receiver of remote write can do wrong (receiver_faults.py): some agents at a time, each with one in its way.

Behind all of them is one real Prometheus that takes late samples, and holds all that was ever shown.
"""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from houses import SECRET, HouseBattery
from limits import BACK_BEATS, LOOK_BEATS, log_problems
from peers import Gate
from receiver_faults import RECEIVER_FAULTS, ReceiverFault
from servers import Prometheus
from stage import Episode, Lane, Replays, agent_of, asked_for, battery_config, config, play, settles, waves

pytestmark = pytest.mark.system

LANES = 12
PASSWORD = f"{SECRET}receiver"
APART_SECONDS = 0.5
"""Between the answer of a battery and its sample, at most."""

Samples = list[tuple[float, float]]
"""Unix seconds and value, in the order of time."""


@dataclass(slots=True, kw_only=True, repr=False)
class Stage:
    """What happened."""

    episodes: dict[ReceiverFault, Episode]
    held: dict[str, dict[str, Samples]]
    """By battery and series."""
    exit_codes: dict[str, int]


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(asked_for(request, RECEIVER_FAULTS), tmp_path_factory.mktemp("receivers")) as stage:
        yield stage


@pytest.fixture(scope="module")
def replays(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Replays[ReceiverFault, Stage]:
    rows = asked_for(request, RECEIVER_FAULTS)
    return Replays(rows, lambda wrong: staged(wrong, tmp_path_factory.mktemp("again")))


@contextmanager
def staged(rows: list[ReceiverFault], folder: Path) -> Iterator[Stage]:
    """Let the faults happen, and return what did."""
    rows = sorted(rows, key=lambda row: row.backs_off)
    plan = waves(rows, LANES)
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(PASSWORD)
    with ExitStack() as running:
        flags = ["--web.enable-remote-write-receiver"]
        prometheus = running.enter_context(Prometheus(folder, scrape=[], out_of_order_time_window="1h", flags=flags))
        lanes = []
        for number in range(1, max(1, len(plan[0])) + 1):
            name = f"house {number:02}"
            battery = running.enter_context(HouseBattery(number))
            gate = running.enter_context(Gate(prometheus.port))
            url = f"{gate.url}/api/v1/write"
            entries = [battery_config(name, battery, folder)]
            text = config(entries, f"remote_write: {{url: '{url}', username: pi, password_file: password}}")
            agent = running.enter_context(agent_of(folder / f"agent-{number}.yml", text))
            lanes.append(Lane(name=name, agent=agent, peer=gate, battery=battery, clock=battery))
        prometheus.wait_for(f"count(sonnen_production_watts) == {len(lanes)}")

        episodes = play(plan, lanes, lambda row: row.behaviour)
        late = [row for row in rows if row.keeps and not row.backs_off]
        settles(lambda: [row.name for row in late if _missing(_held(prometheus, episodes[row]), episodes[row])])
        yield Stage(
            episodes=episodes,
            held={lane.name: _series(prometheus, lane.name) for lane in lanes},
            exit_codes={lane.name: lane.agent.stop() for lane in lanes},
        )


def _series(prometheus: Prometheus, instance: str) -> dict[str, Samples]:
    found = prometheus.query_range_samples(f'{{job="sonnen",instance="{instance}",__name__=~"sonnen_.*"}}[1h]')
    return {
        ",".join(f"{label}={value}" for label, value in sorted(labels.items())): [
            (moment, value) for moment, value in samples if not math.isnan(value)
        ]
        for labels, samples in found
    }


def _held(prometheus: Prometheus, episode: Episode) -> dict[str, Samples]:
    return _series(prometheus, episode.lane.name)


def _power(held: dict[str, Samples], name: str) -> Samples:
    (samples,) = [samples for series, samples in held.items() if series.startswith(f"__name__=sonnen_{name}_watts,")]
    return samples


def _missing(held: dict[str, Samples], episode: Episode) -> list[float]:
    """Return when the battery told something during the fault that has no sample."""
    moments = [moment for moment, _ in _power(held, "production")]
    told = episode.lane.battery.told_between(episode.began.unix_seconds, episode.ended.unix_seconds)
    return [one for one in told if not any(abs(one - moment) < APART_SECONDS for moment in moments)]


@pytest.mark.parametrize("row", RECEIVER_FAULTS, ids=[row.name.replace(" ", "-") for row in RECEIVER_FAULTS])
def test_what_a_receiver_holds_is_true_and_whole(
    stage: Stage, replays: Replays[ReceiverFault, Stage], row: ReceiverFault
) -> None:
    replays.judge(stage, row, judge)


def judge(stage: Stage, row: ReceiverFault) -> None:
    episode = stage.episodes[row]
    lane = episode.lane
    held = stage.held[lane.name]

    for name, right in lane.battery.house.watts.items():
        assert {value for _, value in _power(held, name)} == {right}
    for series, samples in held.items():
        assert sorted({moment for moment, _ in samples}) == [moment for moment, _ in samples], series
        if "_total" in series.partition(",")[0]:
            assert [value for _, value in samples] == sorted(value for _, value in samples), series
    if row.keeps and not row.backs_off:
        assert _missing(held, episode) == []
    assert log_problems(episode.lines, [lane.battery.house.token, PASSWORD, f"pi:{PASSWORD}"]) == []
    assert episode.left == []
    if not row.backs_off:
        assert isinstance(lane.peer, Gate)
        assert episode.beats_until(lane.peer.first_passed(episode.ended.unix_seconds)) <= BACK_BEATS + LOOK_BEATS
    assert stage.exit_codes[lane.name] == 0
