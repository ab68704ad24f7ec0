"""What a disk, a process and a clock can do (machine_faults.py): some agents at a time, each with one of these."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from houses import HouseBattery
from limits import BACK_BEATS, LOG_LINES, LOOK_BEATS, Footprint, log_problems
from machine_faults import MACHINE_FAULTS, VICTIM, MachineFault, Place
from programs import wait_until
from servers import Agent, Pushgateway
from stage import FAULT_BEATS, Replays, agent_of, asked_for, battery_config, config, footprint_problems, log_lines
from viewer import Look, Viewer, view_problems

pytestmark = pytest.mark.system

AT_ONCE = 18
"""Agents that run side by side."""
START_LINES = 5
"""What an agent logs that has no trouble: its start, what it reads from, and its stop."""
_PROGRAM = """\
#!{python}
import os, sys, time
true, stopped = time.time, []
# Open from the start: there may be no file left later.
clock = os.open(os.environ["CLOCK"], os.O_RDONLY)

def told():
    said = os.pread(clock, 40, 0).decode()
    if said.startswith("stop"):
        stopped[:] = stopped or [true()]
        return stopped[0]
    stopped.clear()
    return true() + float(said)

time.time = told
from sonnen_agent import cli
sys.exit(cli.main())
"""


@dataclass(slots=True, kw_only=True, repr=False)
class Story:
    """What happened to one agent."""

    place: Place
    looks: list[Look] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    began: float = 0.0
    """The Unix time."""
    ended: float = 0.0
    left: list[str] = field(default_factory=list)
    problem: Exception | None = None
    """What kept the story from its end."""
    exit_code: int | None = None


def is_possible(row: MachineFault) -> bool:
    return not row.needs_root or os.geteuid() == 0


Stories = dict[str, Story]
"""By the names of the rows."""


@pytest.fixture(scope="module")
def stories(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stories]:
    with staged(asked_for(request, MACHINE_FAULTS), tmp_path_factory.mktemp("machines")) as stories:
        yield stories


@pytest.fixture(scope="module")
def replays(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Replays[MachineFault, Stories]:
    rows = [row for row in asked_for(request, MACHINE_FAULTS) if is_possible(row)]
    return Replays(rows, lambda wrong: staged(wrong, tmp_path_factory.mktemp("again")))


@contextmanager
def staged(rows: list[MachineFault], folder: Path) -> Iterator[Stories]:
    """Let all that is asked for happen, some at a time, and return what did."""
    rows = [row for row in rows if is_possible(row)]
    with ExitStack() as running:
        gateway = running.enter_context(Pushgateway(folder))
        viewer = running.enter_context(Viewer(gateway, lambda: 0))
        program = folder / "agent"
        program.write_text(_PROGRAM.format(python=sys.executable))
        program.chmod(0o755)
        seed = _state_of_a_clean_stop(folder, gateway)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            told = {
                row.name: pool.submit(_tell, row, folder / f"machine-{number}", seed, gateway, viewer)
                for number, row in enumerate(rows)
            }
        yield {name: story.result() for name, story in told.items()}


def _state_of_a_clean_stop(folder: Path, gateway: Pushgateway) -> Path:
    with HouseBattery(0) as battery:
        text = config([battery_config("home", battery, folder)], f"pushgateway: {{url: '{gateway.url}', job: seed}}")
        with agent_of(folder / "seed.yml", text) as agent:
            wait_until(lambda: battery.beats > 3, "some beats")
            assert agent.stop() == 0
    return folder / "state-seed"


def _tell(row: MachineFault, folder: Path, seed: Path, gateway: Pushgateway, viewer: Viewer) -> Story:
    """Run an agent through a row, from its start to its stop."""
    folder.mkdir()
    job = folder.name
    place = Place(
        state=folder / "state-config",
        runtime=folder / "runtime",
        outside=folder / "outside",
        battery=HouseBattery(int(job.rpartition("-")[2]) + 1),
        config_file=folder / "config.yml",
    )
    for one in (place.runtime, place.outside):
        one.mkdir()
    place.victim.write_bytes(VICTIM)
    place.set_clock(0)
    shutil.copytree(seed, place.state)
    story = Story(place=place)
    with suppress_into(story), place.battery, place.undo:
        more = [f"pushgateway: {{url: '{gateway.url}', job: {job}}}", row.more]
        text = config([battery_config("home", place.battery, folder)], *more)
        environment = {"CLOCK": str(place.clock)} | {
            name: value.format(outside=place.outside) for name, value in row.environment
        }
        agent = agent_of(place.config_file, text, RUNTIME_DIRECTORY=str(place.runtime), **environment)
        agent.command = [*row.wrapper, str(folder.with_name("agent")), *agent.command[1:]]
        if row.before is not None:
            row.before(place)
        with agent:
            place.agent = agent
            _live(row, story, agent, viewer, job)
            if agent.exit_code is None:
                agent.stop()
        story.exit_code = agent.exit_code
    story.looks = viewer.looks.get(job, [])
    story.lines = log_lines(agent)
    return story


@contextmanager
def suppress_into(story: Story) -> Iterator[None]:
    """Let one story that fails leave the others alone."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - it is raised where it belongs
        story.problem = error


def _live(row: MachineFault, story: Story, agent: Agent, viewer: Viewer, job: str) -> None:
    """Wait for readings, let the fault begin and end, and wait until all should be as before."""
    if row.exit_code is not None and row.during is None:
        wait_until(lambda: agent.exit_code is not None, f"the end of the agent of {row.name!r}")
        return
    wait_until(lambda: agent.exit_code is not None or viewer.is_online(job), f"readings although {row.name}")
    if agent.exit_code is not None:
        return
    before = Footprint.of(agent.pid)
    story.began = time.time()
    if row.during is not None:
        row.during(story.place)
    if row.exit_code is not None:
        wait_until(lambda: agent.exit_code is not None, f"the end of the agent of {row.name!r}")
        return
    time.sleep(FAULT_BEATS)
    story.place.undo.close()
    story.ended = time.time()
    beats = story.place.battery.beats
    wait_until(
        lambda: agent.exit_code is not None or story.place.battery.beats >= beats + BACK_BEATS + LOOK_BEATS,
        f"some beats after {row.name}",
    )
    if agent.exit_code is None:
        # The one that was killed is another process, with a connection more or less.
        story.left = footprint_problems(
            agent, replace(before, threads=before.threads + row.gaps, files=before.files + 2)
        )


IDS = [row.name.replace(" ", "-") for row in MACHINE_FAULTS]


@pytest.mark.parametrize("row", MACHINE_FAULTS, ids=IDS)
def test_an_agent_goes_on_or_ends_in_order(
    stories: Stories, replays: Replays[MachineFault, Stories], row: MachineFault
) -> None:
    if row.name not in stories:
        pytest.skip("a file system can only be mounted as root")
    replays.judge(stories, row, judge)


def judge(stories: Stories, row: MachineFault) -> None:
    story = stories[row.name]
    battery, looks = story.place.battery, story.looks
    if story.problem is not None:
        raise story.problem

    assert story.place.victim.read_bytes() == VICTIM
    assert sorted(file.name for file in story.place.outside.iterdir() if file.suffix == ".samples") == []
    assert log_problems(story.lines, [battery.house.token], limit=max(LOG_LINES, row.lines) + START_LINES) == []
    assert story.exit_code == (row.exit_code or 0)
    if row.exit_code is not None:
        assert not row.exit_code or story.lines
        return
    usual = max((look.readings for look in looks), key=len)
    assert view_problems(looks, battery, battery.beat_at, usual, reached=not row.gaps) == []
    meanwhile = [look for look in looks if story.began <= look.unix_seconds <= story.ended]
    if not row.gaps:
        assert meanwhile
        assert len([look for look in meanwhile if look.readings]) >= 0.7 * len(meanwhile)
    back = next((look for look in looks if look.unix_seconds > story.ended and look.readings), None)
    assert back is not None
    assert battery.beat_at(back.unix_seconds) - battery.beat_at(story.ended) <= BACK_BEATS + LOOK_BEATS
    assert story.left == []
