"""What a gateway can do wrong (gateway_faults.py): some agents at a time, each with a gateway of its own in its way.

Behind all of them is one real gateway, at which somebody looks.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from gateway_faults import GATEWAY_FAULTS, GatewayFault
from houses import SECRET, HouseBattery
from limits import BACK_BEATS, LOOK_BEATS, log_problems
from peers import Gate
from servers import Pushgateway
from stage import Episode, Lane, Replays, agent_of, asked_for, battery_config, config, play, wait_for_readings, waves
from viewer import Viewer, view_problems

pytestmark = pytest.mark.system

LANES = 14
PASSWORD = f"{SECRET}gateway"
ACCESS = ("username: pi, password_file: password", "bearer_token_file: password")


@dataclass(slots=True, kw_only=True, repr=False)
class Stage:
    """What happened."""

    viewer: Viewer
    episodes: dict[GatewayFault, Episode]
    exit_codes: dict[str, int]


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(asked_for(request, GATEWAY_FAULTS), tmp_path_factory.mktemp("gateways")) as stage:
        yield stage


@pytest.fixture(scope="module")
def replays(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Replays[GatewayFault, Stage]:
    rows = asked_for(request, GATEWAY_FAULTS)
    return Replays(rows, lambda wrong: staged(wrong, tmp_path_factory.mktemp("again")))


@contextmanager
def staged(rows: list[GatewayFault], folder: Path) -> Iterator[Stage]:
    """Let the faults happen, and return what did."""
    plan = waves(rows, LANES)
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(PASSWORD)
    with ExitStack() as running:
        gateway = running.enter_context(Pushgateway(folder))
        viewer = Viewer(gateway, lambda: lanes[0].clock.beats)
        lanes = []
        for number in range(1, max(1, len(plan[0])) + 1):
            name = f"house {number:02}"
            battery = running.enter_context(HouseBattery(number))
            gate = running.enter_context(Gate(gateway.port))
            access = ACCESS[number % len(ACCESS)]
            entries = [battery_config(name, battery, folder)]
            text = config(entries, f"pushgateway: {{url: '{gate.url}', {access}}}")
            agent = running.enter_context(agent_of(folder / f"agent-{number}.yml", text))
            lanes.append(Lane(name=name, agent=agent, peer=gate, battery=battery, clock=battery))
        running.enter_context(viewer)
        wait_for_readings(viewer, lanes)
        episodes = play(plan, lanes, lambda row: row.behaviour)
        yield Stage(viewer=viewer, episodes=episodes, exit_codes={lane.name: lane.agent.stop() for lane in lanes})


@pytest.mark.parametrize("row", GATEWAY_FAULTS, ids=[row.name.replace(" ", "-") for row in GATEWAY_FAULTS])
def test_what_a_gateway_shows_is_true(stage: Stage, replays: Replays[GatewayFault, Stage], row: GatewayFault) -> None:
    replays.judge(stage, row, judge)


def judge(stage: Stage, row: GatewayFault) -> None:
    episode = stage.episodes[row]
    lane = episode.lane
    all_looks = stage.viewer.looks[lane.name]
    looks = episode.during(all_looks)
    usual = max((look.readings for look in all_looks), key=len)

    assert view_problems(looks, lane.battery, lane.clock.beat_at, usual, reached=row.arrives) == []
    assert log_problems(episode.lines, [lane.battery.house.token, PASSWORD]) == []
    assert episode.left == []
    back = next((look for look in looks if look.read_at > episode.ended.unix_seconds), None)
    assert episode.beats_until(back.unix_seconds if back is not None else None) <= BACK_BEATS + LOOK_BEATS
    assert stage.exit_codes[lane.name] == 0
