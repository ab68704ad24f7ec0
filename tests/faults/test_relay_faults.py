"""What another exporter can do wrong (relay_faults.py): all of it at once, each a relay of one agent."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from houses import HouseBattery
from limits import BACK_BEATS, LOOK_BEATS, OLDEST_BEATS, log_problems
from peers import Peer
from programs import wait_until
from relay_faults import PAGE, RELAY_FAULTS, RelayFault
from servers import Pushgateway
from stage import Episode, Lane, agent_of, asked_for, battery_config, config, play, wait_for_readings
from viewer import Look, Viewer, view_problems

pytestmark = pytest.mark.system

NUMBER = "exporter_number"


@dataclass(slots=True, kw_only=True, repr=False)
class Stage:
    """What happened."""

    battery: HouseBattery
    viewer: Viewer
    episodes: dict[RelayFault, Episode]
    agent_look: Look
    """At what the agent says of itself, in the end."""
    exit_code: int


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Let all faults happen that are asked for."""
    rows = asked_for(request, RELAY_FAULTS)
    folder = tmp_path_factory.mktemp("relays")
    page = f"HTTP/1.1 200 OK\r\nContent-Length: {len(PAGE)}\r\n\r\n{PAGE}".encode()
    with ExitStack() as running:
        gateway = running.enter_context(Pushgateway(folder))
        battery = running.enter_context(HouseBattery(1))
        exporters = {job_of(row): running.enter_context(Peer(lambda _: page)) for row in rows}
        relays = [
            f"  - {{url: {one.url}/metrics, job: {job}, interval_seconds: 1}}\n" for job, one in exporters.items()
        ]
        text = config(
            [battery_config("home", battery, folder)],
            f"pushgateway: {{url: '{gateway.url}'}}",
            f"relay:\n{''.join(relays)}",
        )
        viewer = running.enter_context(Viewer(gateway, lambda: battery.beats))
        agent = running.enter_context(agent_of(folder / "relays.yml", text))
        lanes = [
            Lane(name=job, agent=agent, peer=one, battery=battery, clock=battery) for job, one in exporters.items()
        ]
        wait_for_readings(viewer, [Lane(name="home", agent=agent, peer=battery, battery=battery, clock=battery)])
        wait_until(lambda: all(shows(viewer, job) for job in exporters), "a page of each exporter")

        episodes = play([rows], lanes, lambda row: row.behaviour)
        # The agent tells of itself every 15 s.
        reported = pushed_at(viewer)
        wait_until(lambda: pushed_at(viewer) > reported, "what the agent says of itself")
        yield Stage(
            battery=battery,
            viewer=viewer,
            episodes=episodes,
            agent_look=viewer.looks["sonnen_agent"][-1],
            exit_code=agent.stop(),
        )


def job_of(row: RelayFault) -> str:
    return row.name.replace(" ", "-").replace("'", "")


def shows(viewer: Viewer, job: str) -> bool:
    return job in viewer.looks and NUMBER in viewer.looks[job][-1].values


def pushed_at(viewer: Viewer) -> float:
    return viewer.looks["sonnen_agent"][-1].values["push_time_seconds"] if "sonnen_agent" in viewer.looks else 0.0


@pytest.mark.parametrize("row", RELAY_FAULTS, ids=[job_of(row) for row in RELAY_FAULTS])
def test_what_is_shown_of_an_exporter_is_true(stage: Stage, row: RelayFault) -> None:
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
    assert log_problems(lines, [stage.battery.house.token]) == []
    assert bool(lines) != shown
    back = (
        look.unix_seconds for look in looks if look.unix_seconds > episode.ended.unix_seconds and NUMBER in look.values
    )
    assert episode.beats_until(next(back, None)) <= BACK_BEATS + LOOK_BEATS
    if row.outcome and not shown:
        read = f"sonnen_agent_relay_reads_total{{outcome={row.outcome},relay={job}}}"
        assert stage.agent_look.values.get(read, 0) >= OLDEST_BEATS


def test_the_agent_of_all_these_exporters_lives_on(stage: Stage) -> None:
    looks = stage.viewer.looks["home"]
    usual = max((look.readings for look in looks), key=len)

    assert view_problems(looks, stage.battery, stage.battery.beat_at, usual) == []
    assert {problem for episode in stage.episodes.values() for problem in episode.left} == set()
    assert stage.exit_code == 0
