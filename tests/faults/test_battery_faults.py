"""What a battery can do wrong (battery_faults.py): some forty of them at a time, beside one that is well."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from battery_faults import BATTERY_FAULTS, SLOW, BatteryFault
from houses import HouseBattery
from limits import BACK_BEATS, LOOK_BEATS, OLDEST_BEATS, log_problems
from servers import Pushgateway
from stage import (
    FAULT_BEATS,
    Episode,
    Lane,
    Replays,
    agent_of,
    asked_for,
    battery_config,
    config,
    play,
    wait_for_readings,
    waves,
)
from viewer import Values, Viewer, view_problems

pytestmark = pytest.mark.system

HEALTHY = "home"
LANES = 35
"""Batteries in the config: what an agent reads in a second beside its tests, on a small machine."""


@dataclass(slots=True, kw_only=True, repr=False)
class Stage:
    """What happened."""

    healthy: Lane
    viewer: Viewer
    episodes: dict[BatteryFault, Episode]
    exit_code: int
    other_lines: list[str]
    """Of its log, about no battery that was ill."""

    @property
    def usual(self) -> Values:
        """All readings of a battery that is well: of these houses, only the powers differ."""
        first = min(episode.ended.unix_seconds for episode in self.episodes.values())
        well = {HEALTHY, *(one.lane.name for row, one in self.episodes.items() if not row.from_the_start)}
        early = (look for name in well for look in self.viewer.looks[name] if look.unix_seconds < first - FAULT_BEATS)
        # A busy machine may come to the slow endpoints later than that.
        looks = (*self.viewer.looks[HEALTHY], *early)
        return {name: value for look in looks for name, value in look.readings.items()}


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(asked_for(request, BATTERY_FAULTS), tmp_path_factory.mktemp("batteries")) as stage:
        yield stage


@pytest.fixture(scope="module")
def replays(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Replays[BatteryFault, Stage]:
    rows = asked_for(request, BATTERY_FAULTS)
    return Replays(rows, lambda wrong: staged(wrong, tmp_path_factory.mktemp("again")))


@contextmanager
def staged(rows: list[BatteryFault], folder: Path) -> Iterator[Stage]:
    """Let the faults happen, and return what did."""
    begin = [row for row in rows if row.from_the_start]
    later = [row for row in rows if not row.from_the_start]
    # Whoever backs off is not well again in time for another fault.
    later.sort(key=lambda row: row.backs_off)
    with ExitStack() as running:
        # At each push it would compare the group with those of all the other batteries: a processor's whole time.
        gateway = running.enter_context(Pushgateway(folder, flags=["--push.disable-consistency-check"]))
        healthy = running.enter_context(HouseBattery(0))
        # What is asked now and then stays wrong for longer than the others: no other fault comes after it.
        plan = [[*begin, *wave] for wave in waves(later, LANES)[:1]] + waves(later, LANES)[1:]
        batteries = {f"house {n:02}": running.enter_context(HouseBattery(n)) for n in range(1, len(plan[0]) + 1)}
        entries = [battery_config(name, battery, folder) for name, battery in {HEALTHY: healthy, **batteries}.items()]
        text = config(entries, f"pushgateway: {{url: '{gateway.url}'}}")
        agent = agent_of(folder / "batteries.yml", text)
        lanes = [Lane(name=name, agent=agent, peer=one, battery=one, clock=healthy) for name, one in batteries.items()]
        for row, lane in zip(begin, lanes, strict=False):
            lane.peer.begin(row.behaviour)
        viewer = running.enter_context(Viewer(gateway, lambda: healthy.beats))
        running.enter_context(agent)
        away = {lane.name for row, lane in zip(begin, lanes, strict=False) if row.shows != "all"}
        wait_for_readings(viewer, [lane for lane in lanes if lane.name not in away])
        episodes = play(plan, lanes, lambda row: row.behaviour, begun=begin)
        code = agent.stop()
        yield Stage(
            healthy=Lane(name=HEALTHY, agent=agent, peer=healthy, battery=healthy, clock=healthy),
            viewer=viewer,
            episodes=episodes,
            exit_code=code,
            other_lines=[line for line in agent.log.splitlines() if not any(name in line for name in batteries)],
        )


@pytest.mark.parametrize("row", BATTERY_FAULTS, ids=[row.name.replace(" ", "-") for row in BATTERY_FAULTS])
def test_what_is_shown_of_a_battery_is_true(
    stage: Stage, replays: Replays[BatteryFault, Stage], row: BatteryFault
) -> None:
    replays.judge(stage, row, judge)


def judge(stage: Stage, row: BatteryFault) -> None:
    episode, usual = stage.episodes[row], stage.usual
    clock, lane = episode.lane.clock, episode.lane
    assert episode.well_before, "the fault before has not ended"
    looks = episode.during(stage.viewer.looks[lane.name])
    assert all(name.isprintable() and len(name) < 200 for look in looks for name in look.values)
    assert view_problems(looks, lane.battery, clock.beat_at, usual, but=row.differs) == []
    lines = [line for line in episode.lines if f"{lane.name}: " in line or f"{lane.name} failed" in line]
    assert log_problems(lines, [lane.battery.house.token]) == []

    first = 0 if row.from_the_start else clock.beat_at(episode.began.unix_seconds)
    meanwhile = [
        look
        for look in looks
        if look.beat > first + OLDEST_BEATS + LOOK_BEATS and look.unix_seconds < episode.ended.unix_seconds
    ]
    assert meanwhile
    if row.shows == "nothing":
        assert [look.readings for look in meanwhile if look.is_online or look.readings] == []
    elif row.shows == "all":
        # A machine that is busy with other things misses a beat now and then.
        online = [look for look in meanwhile if look.is_online]
        assert len(online) >= len(meanwhile) / 2
        missing = {name for look in online for name in usual.keys() - look.readings.keys()}
        assert {name for name in missing if not name.startswith((*row.lacks, *SLOW))} == set()
        assert [begin for begin in row.lacks if not any(name.startswith(begin) for name in missing)] == []
    if not row.backs_off:
        assert (
            episode.beats_until(
                next((look.read_at for look in looks if look.read_at > episode.ended.unix_seconds), None)
            )
            <= BACK_BEATS + LOOK_BEATS
        )


def test_the_battery_that_is_well_is_shown_all_the_time(stage: Stage) -> None:
    looks = stage.viewer.looks[HEALTHY]

    assert view_problems(looks, stage.healthy.battery, stage.healthy.clock.beat_at, stage.usual) == []
    # A machine that is busy with other things misses a beat now and then.
    assert len([look for look in looks if look.is_online]) >= len(looks) / 2


def test_the_agent_of_all_these_batteries_lives_on(stage: Stage) -> None:
    assert stage.exit_code == 0
    assert {problem for episode in stage.episodes.values() for problem in episode.left} == set()
    # The start, and the stop.
    assert log_problems(stage.other_lines, [stage.healthy.battery.house.token], limit=6) == []
