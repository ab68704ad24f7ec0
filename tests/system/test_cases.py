"""Batteries that behaved badly, each played to the installed agent beside a real Pushgateway.

The cases are not part of this project. Who has some names the folder of recorded answers beside them in
SONNEN_RECORDED_ANSWERS: its sibling `cases` has a JSON file for each, and replay.py, which plays one.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from programs import Program
from servers import Agent, Pushgateway

FOLDER = Path(os.environ.get("SONNEN_RECORDED_ANSWERS", "/nowhere")).parent / "cases"
CASES = {file.stem: file for file in sorted(FOLDER.glob("*.json"))}

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not CASES, reason="there is no folder of cases beside that of SONNEN_RECORDED_ANSWERS"),
]

_PAUSE_SECONDS = 0.25
_AT_A_TIME = 5
"""More would be late on a small machine, and the longest takes two minutes anyway."""
_SHORTEST_SECONDS = 10
"""Of a case with one step, which is played on: enough for the first beats."""

Values = dict[str, float]
"""By name and labels, without those of the group."""


class Replay(Program):
    """A case that is played as a battery; it says its address in its first line."""

    def __init__(self, case: Path, log_file: Path) -> None:
        super().__init__(sys.executable, FOLDER / "replay.py", case, log_file=log_file)

    @property
    def url(self) -> str:
        """Where it answers."""
        return self.log.partition("\n")[0]

    def _is_ready(self) -> bool:
        return "\n" in self.log


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was pushed of the battery at one moment."""

    step: int
    seconds: float
    """Since the first request, or nearly."""
    values: Values


@dataclass(slots=True, kw_only=True)
class Played:
    """What came of a case."""

    looks: list[Look] = field(default_factory=list)
    log: str = ""

    def series(self, name: str, *steps: int) -> list[float | None]:
        """Return a series of the looks of some steps, or of all; None where it was not there."""
        return [look.values.get(name) for look in self.looks if not steps or look.step in steps]

    def late(self, step: int, seconds: float) -> list[Look]:
        """Return the looks that are later than so many seconds after the beginning of a step."""
        first = min(look.seconds for look in self.looks if look.step == step)
        return [look for look in self.looks if look.step == step and look.seconds - first > seconds]

    def lines(self, *words: str) -> list[str]:
        """Return the lines of the agent's log that have one of these words."""
        return [line for line in self.log.splitlines() if any(word in line for word in words)]


def a_fault_is_told_and_the_meters_go_on(played: Played) -> None:
    before = played.late(0, 4)[-1].values
    fault = played.late(1, 4)
    for look in fault:
        shown = look.values
        assert shown["sonnen_online"] == 1
        assert (shown["sonnen_production_watts"], shown["sonnen_consumption_watts"]) == (3000, 500)
        assert shown["sonnen_grid_feed_in_watts"] == 2500
        assert {"sonnen_fault{part=inverter}", "sonnen_fault{part=bms}", "sonnen_fault{part=core}"} <= shown.keys()
        assert "sonnen_battery_volts" not in shown
        assert "sonnen_inverter_ac_volts" not in shown
    assert not any("fault" in name for name in before)
    seconds = fault[-1].seconds - fault[0].seconds
    counted = [look.values["sonnen_production_watt_hours_total"] for look in fault]
    assert counted[-1] - counted[0] == pytest.approx(3000 * seconds / 3600, rel=0.1)
    (line,) = played.lines("fault (")
    assert "inverter" in line
    assert not played.lines("starting", "not_ready")


def a_spike_is_no_energy_and_is_told(played: Played) -> None:
    last = played.looks[-1].values
    assert 0.4 < last["sonnen_grid_import_watt_hours_total"] < 2.4
    assert last["sonnen_grid_cost_total{currency=EUR}"] < 0.001
    assert 1 <= last["sonnen_refused_readings_total{reason=spike}"] <= 4
    assert set(played.series("sonnen_grid_feed_in_watts")) == {-412, None}
    assert len(played.lines("-412000 W")) == 1


def a_slow_box_is_read(played: Played) -> None:
    assert played.looks[-1].values["sonnen_online"] == 1
    assert not played.lines("not readable")


def all_details_are_back_after_a_restart(played: Played) -> None:
    cells = "sonnen_cell_temperature_celsius{stat=min}"
    info = [name for name in played.looks[-1].values if name.startswith("sonnen_battery_info")]
    assert any("generation=v2" in name for name in info)
    assert {look.values.get(cells) for look in played.late(2, 60)} == {20.5}
    assert not played.lines("this firmware does not have it")


def a_register_neither_falls_nor_leaps(played: Played) -> None:
    name = "sonnen_meter_imported_watt_hours_total{direction=production,meter=4_1}"
    shown = [value for value in played.series(name) if value is not None]
    assert shown == sorted(shown)
    assert shown[0] == 5_210_500
    assert shown[-1] == 5_210_700


def a_status_is_asked_with_the_token(played: Played) -> None:
    assert played.looks[-1].values["sonnen_online"] == 1
    assert played.looks[-1].values["sonnen_cell_temperature_celsius{stat=min}"] == 20.5


def a_new_token_is_used(played: Played) -> None:
    endpoints = [value for name, value in played.looks[-1].values.items() if name.startswith("sonnen_endpoint_up")]
    assert len(endpoints) > 4
    assert set(endpoints) == {1}


def what_a_meter_in_error_does_not_measure_is_unknown(played: Played) -> None:
    settled = [*played.late(0, 4), *played.late(1, 4)]
    assert {look.values.get("sonnen_consumption_watts") for look in settled} == {None}
    assert {look.values.get("sonnen_production_watts") for look in played.late(0, 4)} == {None}
    assert {look.values.get("sonnen_production_watts") for look in played.late(1, 4)} == {2900}
    assert settled[-1].values["sonnen_fault{part=meter}"] == 1
    assert settled[-1].values["sonnen_refused_readings_total{reason=meter_error}"] > 5
    assert "sonnen_consumption_watt_hours_total" not in settled[-1].values


def both_strings_are_pv(played: Played) -> None:
    assert played.looks[-1].values["sonnen_pv_watts"] == 2100.75


def configurations_are_asked_by_key(played: Played) -> None:
    last = played.looks[-1].values
    assert last["sonnen_installed_capacity_watt_hours"] == 10_000
    assert any(name.startswith("sonnen_battery_info") and "firmware=1.6.24" in name for name in last)


def the_switch_of_the_api_is_named_once(played: Played) -> None:
    (line,) = played.lines(": no ")
    assert "JSON API" in line
    assert played.looks[-1].values["sonnen_online"] == 1


JUDGES: dict[str, Callable[[Played], None]] = {
    "01": a_fault_is_told_and_the_meters_go_on,
    "02": a_spike_is_no_energy_and_is_told,
    "03": a_slow_box_is_read,
    "04": all_details_are_back_after_a_restart,
    "06": a_register_neither_falls_nor_leaps,
    "07": a_status_is_asked_with_the_token,
    "08": a_new_token_is_used,
    "09": both_strings_are_pv,
    "12": what_a_meter_in_error_does_not_measure_is_unknown,
    "15": configurations_are_asked_by_key,
    "20": the_switch_of_the_api_is_named_once,
}
NOT_YET: frozenset[str] = frozenset()
"""The cases that the agent cannot do yet."""


def play(case: dict[str, Any], file: Path, gateway: Pushgateway, folder: Path) -> Played:
    """Let an agent read a battery that behaves so, and look at the gateway meanwhile."""
    name, played = case["case"], Played()
    token = folder / f"{name}.token"
    token.touch(mode=0o600)
    token.write_text("old-token\n")
    ends = [sum(step["seconds"] for step in case["steps"][: n + 1]) for n in range(len(case["steps"]))]
    with Replay(file, folder / f"{name}.replay.log") as battery:
        config = folder / f"{name}.yml"
        config.write_text(
            f"interval_seconds: {case.get('interval_seconds', 1)}\n"
            f"batteries: [{{name: '{name}', url: '{battery.url}'"
            + (f", token_file: {token.name}" if case.get("token") else "")
            + f"}}]\npushgateway: {{url: '{gateway.url}'}}\n{case.get('config_extra', '')}"
        )
        with Agent(config) as agent:
            begin = time.time()
            while (seconds := time.time() - begin) < max(ends[-1], _SHORTEST_SECONDS):
                step = next((n for n, end in enumerate(ends) if seconds < end), len(ends) - 1)
                if case["steps"][step].get("new_token"):
                    token.write_text("new-token\n")
                if values := shown(gateway, name):
                    # The steps begin with the first request, and an agent takes its time to start.
                    if not played.looks:
                        begin = values.get("sonnen_last_reading_timestamp_seconds", begin)
                    played.looks.append(Look(step=step, seconds=time.time() - begin, values=values))
                time.sleep(_PAUSE_SECONDS)
            played.log = agent.log
    return played


def shown(gateway: Pushgateway, instance: str) -> Values:
    """Return what is pushed of a battery."""
    values: Values = {}
    for group in gateway.groups():
        if group.labels.get("instance") == instance:
            for name, samples in group.samples.items():
                for one in samples:
                    own = {key: value for key, value in one.labels.items() if key not in ("job", "instance")}
                    labels = ",".join(f"{key}={value}" for key, value in sorted(own.items()))
                    values[f"{name}{{{labels}}}" if labels else name] = one.value
    return values


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Played]]:
    """All cases whose tests are to run, played side by side: they wait for most of the time."""
    wanted = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    folder = tmp_path_factory.mktemp("cases")
    cases = {name: json.loads(file.read_text()) for name, file in CASES.items() if name in wanted}
    longest_first = sorted(cases, key=lambda name: -sum(step["seconds"] for step in cases[name]["steps"]))
    with Pushgateway(folder) as gateway, ThreadPoolExecutor(_AT_A_TIME) as pool:
        plays = {name: pool.submit(play, cases[name], CASES[name], gateway, folder) for name in longest_first}
        yield {name: one.result() for name, one in plays.items()}


@pytest.mark.parametrize("name", list(CASES))
def test_a_case_plays_right(name: str, played: dict[str, Played]) -> None:
    number = name.partition("-")[0]
    if number in NOT_YET:
        pytest.skip("not yet")
    assert number in JUDGES, f"nobody judges {name} yet"
    try:
        JUDGES[number](played[name])
    except AssertionError as error:
        error.add_note(f"the agent's log:\n{played[name].log}")
        raise
