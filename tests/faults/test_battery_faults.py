"""What a battery can do wrong: all of it at once, beside one battery that is well.

A row says what a battery does, and what is shown of it meanwhile. For all rows holds limits.py.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import behaviours as peer
import pytest
from behaviours import alters, answer, drips, edits, holds_after, in_turn, late, never_ends, once, replies, says
from houses import HouseBattery
from limits import BACK_BEATS, LOOK_BEATS, OLDEST_BEATS, Footprint, forget_peak, log_problems
from peers import Behaviour
from programs import wait_until
from servers import Agent, Pushgateway
from stage import Moment, agent_of, battery_config, config, footprint_problems, log_lines, moment
from viewer import Look, Viewer, view_problems

pytestmark = pytest.mark.system

HEALTHY = "home"
FAULT_BEATS = 8


class Fault(NamedTuple):
    """A row."""

    name: str
    """What the battery is called that does it."""
    behaviour: Behaviour
    shows: Literal["nothing", "all", "anything true"] = "nothing"
    """Of the readings, while the fault lasts."""
    lacks: str = ""
    """The beginning of the names of the readings that are missing, with all others there."""
    from_the_start: bool = False
    """Whether the agent has never known it otherwise."""


FAULTS = (
    # The network.
    Fault("refuses connections", peer.REFUSED),
    Fault("refuses connections when the agent starts", peer.REFUSED, from_the_start=True),
    Fault("accepts and is silent", peer.SILENT_ON_CONNECT),
    Fault("accepts and closes", peer.CLOSES_ON_CONNECT),
    Fault("accepts and resets", peer.RESET_ON_CONNECT),
    Fault("reads and hangs", peer.HANGS),
    Fault("reads and hangs when the agent starts", peer.HANGS, from_the_start=True),
    Fault("reads and closes", peer.CLOSES),
    Fault("reads and resets", peer.RESETS),
    Fault("resets within the answer", peer.resets_after(answer(length=500), b"[1, 2")),
    Fault("drips the head", drips(lambda call: call.usual())),
    Fault("drips the body", drips(lambda call: call.usual().partition(b"\r\n\r\n")[2])),
    Fault("takes half a beat", late(0.4), shows="all"),
    Fault("takes two beats", late(2)),
    Fault("hangs every other time", in_turn(peer.HANGS, Behaviour(lambda call: call.tell())), shows="anything true"),
    # HTTP.
    Fault("speaks TLS", says(peer.TLS_ALERT)),
    Fault("speaks garbage", says(b"\x00\xff\x1b[2J garbage \r\n\r\n")),
    Fault("never ends the status line", never_ends(b"HTTP/1.1 200 ", b"x")),
    Fault("never ends a header", never_ends(b"HTTP/1.1 200 OK\r\nX: ", b"y")),
    Fault("never ends the headers", never_ends(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")),
    Fault("continues for ever", never_ends(b"", b"HTTP/1.1 100 Continue\r\n\r\n")),
    Fault("has a chunk of minus one byte", says(peer.CHUNKED_HEAD + b"-1\r\n", b"x" * 40_000_000)),
    Fault("has a chunk of four gigabytes", never_ends(peer.CHUNKED_HEAD + b"ffffffff\r\n", b"x")),
    Fault("has a chunk size of a million digits", never_ends(peer.CHUNKED_HEAD, b"f")),
    Fault("has a chunk size that is no number", says(peer.chunked(("\x1b[2Jzz", b"{}")))),
    Fault("never ends the chunks", never_ends(peer.CHUNKED_HEAD, b"1\r\n \r\n")),
    Fault("never ends the trailers", never_ends(peer.CHUNKED_HEAD + b"2\r\n{}\r\n0\r\n", b"X: y\r\n")),
    Fault("announces four gigabytes", never_ends(answer(b"", length=4 << 30), b" ")),
    Fault("announces minus five bytes", says(answer(b"{}", length=-5))),
    Fault("sends half of what it announces", says(answer(b'{"Production_W": 66666', length=4000))),
    Fault("holds back the last byte", holds_after(answer(b'{"Production_W": 66666', length=23))),
    Fault("redirects", replies(b"", "301 Moved Permanently", "Location: http://127.0.0.1:9/api/v2/status")),
    Fault(
        "answers once with 401", once(replies('{"error": "Unauthorized"}', "401 Unauthorized")), shows="anything true"
    ),
    Fault("clears the terminal", replies(b"", f"500 {peer.FORGED_LINE}")),
    Fault("repeats the token", peer.repeats_the_request("500 Internal Server Error")),
    Fault("chunks the truth", edits(lambda _, body: peer.in_chunks(body)), shows="all"),
    # JSON.
    Fault("nests 240,000 deep", replies(b"[" * 120_000 + b"]" * 120_000)),
    Fault("sends nulls", alters(dict.fromkeys)),
    Fault("sends a list", alters(lambda status: [status])),
    Fault("says error with 200", replies('{"error": "Production_W 66666"}')),
    Fault(
        "does not know the frequency",
        alters(lambda status: status | {"Fac": None}, true=True),
        lacks="sonnen_frequency_inverter",
        shows="all",
    ),
)


@dataclass(slots=True, kw_only=True, repr=False)
class Stage:
    """What happened."""

    agent: Agent
    healthy: HouseBattery
    batteries: dict[str, HouseBattery]
    viewer: Viewer
    began: Moment
    ended: Moment
    done: Moment
    before: Footprint
    problems: list[str]
    lines: list[str] = field(default_factory=list)

    def looks(self, name: str) -> list[Look]:
        return self.viewer.looks.get(name, [])


def _batteries(faults: list[Fault]) -> dict[str, HouseBattery]:
    return {name: HouseBattery(number) for number, name in enumerate([HEALTHY, *(fault.name for fault in faults)])}


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Let all faults that are asked for happen at once."""
    wanted = {item.callspec.params.get("fault") for item in request.session.items if hasattr(item, "callspec")}
    faults = [fault for fault in FAULTS if fault in wanted]
    folder = tmp_path_factory.mktemp("batteries")
    batteries = _batteries(faults)
    healthy = batteries[HEALTHY]
    with ExitStack() as running:
        gateway = running.enter_context(Pushgateway(folder))
        for battery in batteries.values():
            running.enter_context(battery)
        for fault in faults:
            if fault.from_the_start:
                batteries[fault.name].begin(fault.behaviour)
        viewer = running.enter_context(Viewer(gateway, lambda: healthy.beats))
        entries = [battery_config(name, battery, folder) for name, battery in batteries.items()]
        text = config(entries, f"pushgateway: {{url: '{gateway.url}'}}")
        agent = running.enter_context(agent_of(folder / "batteries.yml", text))
        known = [HEALTHY, *(fault.name for fault in faults if not fault.from_the_start)]
        wait_until(lambda: all(_is_online(viewer, name) for name in known), "readings of all batteries")
        healthy.wait_for_beats(3)

        before = Footprint.of(agent.pid)
        # A battery that could not be reached has no connection yet.
        before = replace(before, files=before.files + sum(fault.from_the_start for fault in faults))
        forget_peak(agent.pid)
        began = moment(agent)
        for fault in faults:
            if not fault.from_the_start:
                batteries[fault.name].begin(fault.behaviour)
        healthy.wait_for_beats(FAULT_BEATS)
        ended = moment(agent)
        for fault in faults:
            batteries[fault.name].end()
        healthy.wait_for_beats(BACK_BEATS + LOOK_BEATS + 2)
        problems = footprint_problems(agent, before)
        done = moment(agent)
        lines = log_lines(agent)
        code = agent.stop()
        if code != 0:
            problems.append(f"the exit code is {code}")
        yield Stage(
            agent=agent,
            healthy=healthy,
            batteries=batteries,
            viewer=viewer,
            began=began,
            ended=ended,
            done=done,
            before=before,
            problems=problems,
            lines=lines,
        )


def _is_online(viewer: Viewer, name: str) -> bool:
    look = viewer.latest(name)
    return look is not None and look.is_online


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name.replace(" ", "-") for fault in FAULTS])
def test_nothing_wrong_is_shown(stage: Stage, fault: Fault) -> None:
    battery, looks = stage.batteries[fault.name], stage.looks(fault.name)

    assert view_problems(looks, battery, stage.healthy.beat_at) == []
    assert log_problems(lines_about(stage, fault.name), [battery.house.token]) == []
    begun = 0.0 if fault.from_the_start else stage.began.unix_seconds
    beat = stage.healthy.beat_at(begun)
    meanwhile = [
        look
        for look in looks
        if look.beat > beat + OLDEST_BEATS + LOOK_BEATS and begun < look.unix_seconds < stage.ended.unix_seconds
    ]
    assert meanwhile
    if fault.shows == "nothing":
        assert [look.readings for look in meanwhile if look.is_online or look.readings] == []
    elif fault.shows == "all":
        usual = max((look.readings.keys() for look in looks if look.unix_seconds < begun), key=len)
        for look in meanwhile:
            assert look.is_online
            missing = usual - look.readings.keys()
            assert {name for name in missing if not fault.lacks or not name.startswith(fault.lacks)} == set()
            assert not fault.lacks or missing
    back = next(look for look in looks if look.read_at > stage.ended.unix_seconds)
    beats = stage.healthy.beat_at(back.read_at) - stage.healthy.beat_at(stage.ended.unix_seconds)
    assert beats <= BACK_BEATS + 1


def lines_about(stage: Stage, name: str) -> list[str]:
    """Return the lines that a fault cost."""
    return [line for line in stage.lines[stage.began.log_lines : stage.done.log_lines] if name in line]


def test_the_healthy_battery_is_shown_all_the_time(stage: Stage) -> None:
    looks = stage.looks(HEALTHY)

    assert view_problems(looks, stage.healthy, stage.healthy.beat_at) == []
    assert all(look.is_online for look in looks)
    assert {look.read_at for look in looks if look.unix_seconds > stage.began.unix_seconds}


def test_the_agent_is_what_it_was(stage: Stage) -> None:
    assert stage.problems == []
    names = [name for name in stage.batteries if name != HEALTHY]
    others = [line for line in stage.lines[stage.began.log_lines :] if not any(name in line for name in names)]
    assert others == []
    tokens = [battery.house.token for battery in stage.batteries.values()]
    assert log_problems(stage.lines[stage.began.log_lines :], tokens, limit=10_000) == []
