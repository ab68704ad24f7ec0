"""What another exporter can do wrong (relay_faults.py): all of it at once, with several relays in each agent."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from houses import HouseBattery
from limits import BACK_BEATS, LOOK_BEATS, OLDEST_BEATS, log_problems
from peers import Peer
from programs import wait_until
from relay_faults import PAGE, RELAY_FAULTS, RelayFault
from servers import Pushgateway
from stage import Episode, Lane, Replays, agent_of, asked_for, battery_config, config, play, wait_for_readings
from viewer import Viewer, view_problems

pytestmark = pytest.mark.system

NUMBER = "exporter_number"
AGENTS = 6
"""Each reads some of the exporters: what several megabytes of each cost at once would be the cost of none."""


@dataclass(slots=True, kw_only=True, repr=False)
class Stage:
    """What happened."""

    viewer: Viewer
    episodes: dict[RelayFault, Episode]
    exit_codes: list[int]


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(asked_for(request, RELAY_FAULTS), tmp_path_factory.mktemp("relays")) as stage:
        yield stage


@pytest.fixture(scope="module")
def replays(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Replays[RelayFault, Stage]:
    rows = asked_for(request, RELAY_FAULTS)
    return Replays(rows, lambda wrong: staged(wrong, tmp_path_factory.mktemp("again")))


@contextmanager
def staged(rows: list[RelayFault], folder: Path) -> Iterator[Stage]:
    """Let the faults happen, and return what did."""
    page = f"HTTP/1.1 200 OK\r\nContent-Length: {len(PAGE)}\r\n\r\n{PAGE}".encode()
    with ExitStack() as running:
        gateway = running.enter_context(Pushgateway(folder))
        viewer = Viewer(gateway, lambda: lanes[0].clock.beats)
        places: dict[str, Lane] = {}
        for number in range(1, AGENTS + 1):
            battery = running.enter_context(HouseBattery(number))
            exporters = {job_of(row): running.enter_context(Peer(lambda _: page)) for row in rows[number - 1 :: AGENTS]}
            relays = [f"  - {{url: {one.url}/, job: {job}, interval_seconds: 1}}\n" for job, one in exporters.items()]
            ways = (f"pushgateway: {{url: '{gateway.url}', job: solar-{number}}}", f"relay:\n{''.join(relays)}")
            text = config([battery_config(f"house {number}", battery, folder)], *ways)
            agent = running.enter_context(agent_of(folder / f"agent-{number}.yml", text))
            for job, one in exporters.items():
                places[job] = Lane(name=f"house {number}", agent=agent, peer=one, battery=battery, clock=battery)
        lanes = [places[job_of(row)] for row in rows]
        running.enter_context(viewer)
        wait_for_readings(viewer, lanes)
        wait_until(lambda: all(shows(viewer, job_of(row)) for row in rows), "a page of each exporter")

        episodes = play([rows], lanes, lambda row: row.behaviour)
        # An agent tells of itself every 15 s.
        reports = {lane.agent: reported_at(viewer, lane) for lane in lanes}
        wait_until(
            lambda: all(reported_at(viewer, lane) > reports[lane.agent] for lane in lanes), "each agent's own page"
        )
        codes = {agent: agent.stop() for agent in reports}
        yield Stage(viewer=viewer, episodes=episodes, exit_codes=list(codes.values()))


def job_of(row: RelayFault) -> str:
    return row.name.replace(" ", "-").replace("'", "")


def shows(viewer: Viewer, job: str) -> bool:
    return job in viewer.looks and NUMBER in viewer.looks[job][-1].values


def own_page(lane: Lane) -> str:
    """Return the job of what the agent says of itself."""
    return f"solar-{lane.name.removeprefix('house ')}_agent"


def reported_at(viewer: Viewer, lane: Lane) -> float:
    looks = viewer.looks.get(own_page(lane))
    return looks[-1].values["push_time_seconds"] if looks else 0.0


@pytest.mark.parametrize("row", RELAY_FAULTS, ids=[job_of(row) for row in RELAY_FAULTS])
def test_what_is_shown_of_an_exporter_is_true(
    stage: Stage, replays: Replays[RelayFault, Stage], row: RelayFault
) -> None:
    replays.judge(stage, row, judge)


def judge(stage: Stage, row: RelayFault) -> None:
    episode, job = stage.episodes[row], job_of(row)
    clock = episode.lane.clock
    looks = episode.during(stage.viewer.looks[job])

    assert {look.values[NUMBER] for look in looks if NUMBER in look.values} == {4711}
    first = clock.beat_at(episode.began.unix_seconds) + OLDEST_BEATS + LOOK_BEATS
    meanwhile = [look for look in looks if look.beat > first and look.unix_seconds < episode.ended.unix_seconds]
    # A gateway that rejects a page may have no group left.
    assert meanwhile or row.rejected
    shown = row.outcome == "ok" and not row.rejected
    assert [look.values for look in meanwhile if (NUMBER in look.values) != shown] == []
    assert [name for look in meanwhile for name in look.values if not name.startswith(("push_", NUMBER))] == []
    lines = [line for line in episode.lines if f"relay {job}: " in line or f"push of {job}/" in line]
    assert log_problems(lines, [episode.lane.battery.house.token]) == []
    assert bool(lines) != shown
    back = (
        look.unix_seconds for look in looks if look.unix_seconds > episode.ended.unix_seconds and NUMBER in look.values
    )
    assert episode.beats_until(next(back, None)) <= BACK_BEATS + LOOK_BEATS
    if row.outcome and not shown:
        read = f"sonnen_agent_relay_reads_total{{outcome={row.outcome},relay={job}}}"
        assert stage.viewer.looks[own_page(episode.lane)][-1].values.get(read, 0) >= OLDEST_BEATS


def test_the_agents_of_all_these_exporters_live_on(stage: Stage) -> None:
    for episode in stage.episodes.values():
        looks = stage.viewer.looks[episode.lane.name]
        usual = max((look.readings for look in looks), key=len)
        assert view_problems(looks, episode.lane.battery, episode.lane.clock.beat_at, usual) == []
    assert {problem for episode in stage.episodes.values() for problem in episode.left} == set()
    assert set(stage.exit_codes) == {0}
