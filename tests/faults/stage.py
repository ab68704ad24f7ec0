"""A real agent among peers of which several misbehave at a time, and the records from which each fault is judged."""

import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from math import ceil, inf
from pathlib import Path
from typing import Generic, TypeVar

import pytest
from houses import HouseBattery
from limits import BACK_BEATS, LOOK_BEATS, Footprint, forget_peak
from peers import Behaviour, Peer
from programs import PATIENCE_SECONDS, ServerError, wait_until
from servers import Agent
from viewer import Look, Viewer

FAULT_BEATS = 6
"""How long a fault lasts: until nothing old may be shown any more, and some more."""
_Row = TypeVar("_Row")
_Stage = TypeVar("_Stage")
_UNIT = Path(__file__).parents[2] / "systemd/sonnen-agent.service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A point in the course of a stage."""

    unix_seconds: float
    log_lines: int
    """Of the agent, up to here."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Lane:
    """A place for one fault at a time."""

    name: str
    agent: Agent
    peer: Peer
    """Who misbehaves."""
    battery: HouseBattery
    """Whose values show what it does."""
    clock: HouseBattery
    """A battery that is well, by which the beats are counted."""


@dataclass(slots=True, kw_only=True, repr=False)
class Episode:
    """A fault from its beginning until all should be as before."""

    lane: Lane
    began: Moment
    ended: Moment
    done: Moment
    well_before: bool
    """Whether the battery had told the truth within the last beats before it began."""
    left: list[str]
    """What the agent has, at the end, more than it had before this fault and those beside it."""

    @property
    def lines(self) -> list[str]:
        """What the agent logged meanwhile."""
        return log_lines(self.lane.agent)[self.began.log_lines : self.done.log_lines]

    def during(self, looks: Iterable[Look]) -> list[Look]:
        """Return those of the looks that fall into it."""
        return [look for look in looks if self.began.unix_seconds <= look.unix_seconds <= self.done.unix_seconds]

    def beats_until(self, unix_seconds: float | None) -> float:
        """Return how many beats were seen from the end of the fault until then; infinity for None."""
        clock = self.lane.clock
        return inf if unix_seconds is None else clock.beat_at(unix_seconds) - clock.beat_at(self.ended.unix_seconds)


def asked_for(request: pytest.FixtureRequest, rows: Iterable[_Row]) -> list[_Row]:
    """Return the rows whose tests are to run."""
    wanted = [item.callspec.params.get("row") for item in request.session.items if hasattr(item, "callspec")]
    return [row for row in rows if row in wanted]


class Replays(Generic[_Row, _Stage]):
    """Plays again, once and together, what went wrong: beside others, the machine may have been too busy."""

    def __init__(self, rows: list[_Row], staged: Callable[[list[_Row]], AbstractContextManager[_Stage]]) -> None:
        """`staged` plays some rows, and returns what happened."""
        self._rows = rows
        self._staged = staged
        self._again: _Stage | None = None

    def judge(self, stage: _Stage, row: _Row, judge: Callable[[_Stage, _Row], None]) -> None:
        """Judge a row by what happened, and if need be by what happens when it is played again."""
        try:
            judge(stage, row)
        except AssertionError:
            if self._again is None:
                wrong = [one for one in self._rows if not _is_right(stage, one, judge)]
                with self._staged(wrong) as self._again:
                    pass
            judge(self._again, row)


def _is_right(stage: _Stage, row: _Row, judge: Callable[[_Stage, _Row], None]) -> bool:
    try:
        judge(stage, row)
    except AssertionError:
        return False
    return True


def waves(rows: Sequence[_Row], lanes: int) -> list[list[_Row]]:
    """Return the rows in as few groups as there are lanes for, all of about one size."""
    size = ceil(len(rows) / max(1, ceil(len(rows) / lanes))) or 1
    return [list(rows[i : i + size]) for i in range(0, len(rows), size)] or [[]]


def play(
    plan: list[list[_Row]],
    lanes: Sequence[Lane],
    behaviour: Callable[[_Row], Behaviour],
    *,
    begun: Sequence[_Row] = (),
    beats: int = FAULT_BEATS,
) -> dict[_Row, Episode]:
    """Let the faults of each group happen at once, one group after the other.

    Those in `begun` have begun already: they are the first of the first group, and nothing comes after them.
    """
    episodes: dict[_Row, Episode] = {}
    most_files: dict[Agent, int] = {}
    """Before any wave so far: on a busy machine not all connections are back from the one before."""
    for wave in plan:
        free = lanes if wave[: len(begun)] == list(begun) else lanes[len(begun) :]
        taken = list(zip(wave, free, strict=False))
        before = {lane.agent: Footprint.of(lane.agent.pid) for _, lane in taken}
        for agent, footprint in before.items():
            most_files[agent] = max(most_files.get(agent, 0), footprint.files)
            before[agent] = replace(footprint, files=most_files[agent])
            forget_peak(agent.pid)
        began = [moment(lane.agent) for _, lane in taken]
        well = [
            row in begun or lane.clock.beats - lane.clock.beat_at(lane.battery.told_at(time.time())) <= LOOK_BEATS
            for row, lane in taken
        ]
        for row, lane in taken:
            if row not in begun:
                lane.peer.begin(behaviour(row))
        _wait_for_beats([lane for _, lane in taken], beats)
        ended = [moment(lane.agent) for _, lane in taken]
        for _, lane in taken:
            lane.peer.end()
        _wait_for_beats([lane for _, lane in taken], BACK_BEATS + LOOK_BEATS + 1)
        # A battery that could not be reached from the start had no connection yet.
        late = len(begun) if free is lanes else 0
        left = {agent: footprint_problems(agent, one, files=late) for agent, one in before.items()}
        for n, (row, lane) in enumerate(taken):
            start = began[n] if row not in begun else Moment(unix_seconds=0, log_lines=0)
            episodes[row] = Episode(
                lane=lane,
                began=start,
                ended=ended[n],
                done=moment(lane.agent),
                well_before=well[n],
                left=left[lane.agent],
            )
    return episodes


def _wait_for_beats(lanes: Sequence[Lane], beats: int) -> None:
    goals = {lane.clock: lane.clock.beats + beats for lane in lanes}
    for clock, goal in goals.items():
        wait_until(lambda clock=clock, goal=goal: clock.beats >= goal, f"{beats} beats")  # type: ignore[misc] # bound now


def wait_for_readings(viewer: Viewer, lanes: Sequence[Lane]) -> None:
    """Return when there are readings of all the batteries, and their agents have found their pace."""

    def are_there() -> bool:
        for lane in lanes:
            lane.agent.check_running()
        return all(viewer.is_online(lane.name) for lane in lanes)

    wait_until(are_there, "a reading of each battery")
    _wait_for_beats(lanes, 2)


def battery_config(name: str, battery: HouseBattery, folder: Path) -> str:
    """Return a battery's entry of the config, whose token goes to a file in the folder."""
    file = folder / f"{battery.port}.token"
    file.touch(mode=0o600)
    file.write_text(battery.house.token)
    return f"  - {{name: {json.dumps(name)}, url: {battery.url}, token_file: {file.name}}}\n"


def config(batteries: Iterable[str], *more: str) -> str:
    """Return the config of an agent with a beat of a second."""
    return f"interval_seconds: 1\nbatteries:\n{''.join(batteries)}" + "".join(f"{part}\n" for part in more)


def agent_of(file: Path, text: str, **environment: str) -> Agent:
    """Return an agent with the environment that the unit gives it, not started yet."""
    file.write_text(text)
    of_the_unit = re.findall(r"^Environment=(\w+)=(\S*)$", _UNIT.read_text(), re.MULTILINE)
    return Agent(file, environment={**dict(of_the_unit), **environment})


def log_lines(agent: Agent) -> list[str]:
    """Return the lines of its log, each as whoever reads a journal gets it."""
    return agent.log_file.read_bytes().decode("utf-8", "replace").split("\n")[:-1]


def moment(agent: Agent) -> Moment:
    return Moment(unix_seconds=time.time(), log_lines=len(log_lines(agent)))


def settles(measure: Callable[[], list[str]], *, seconds: float = PATIENCE_SECONDS) -> list[str]:
    """Return the problems that are left when they are all gone, or when that takes too long."""
    try:
        wait_until(lambda: not measure(), "settling", seconds=seconds, pause_seconds=0.5)
    except ServerError:
        return measure()
    return []


def footprint_problems(agent: Agent, before: Footprint, *, files: int = 0) -> list[str]:
    """Return what the agent still has more than it had before, and than so many files, once it could tidy up."""
    before = replace(before, files=before.files + files)
    return settles(lambda: Footprint.of(agent.pid).problems(before), seconds=15)
