"""The counters end to end: what the battery delivered is what Prometheus counts, whatever happens in between."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from programs import HOST, ServerError, wait_until
from pytest_httpserver import HTTPServer
from servers import Agent, FaultySimulator, Prometheus, Pushgateway, RunAgent, Simulator
from werkzeug import Request, Response

from sonnen_agent.energy.counters import FLOWS, Counters, EnergyCounters
from sonnen_agent.energy.state import MeterState, state_to_json
from sonnen_agent.state.checkpoint import encode

pytestmark = pytest.mark.system

_HOUR_SECONDS = 4.0
"""A simulated hour: a day takes a minute and a half."""
_KILLS = 200
_LINES = 4
"""Independent agents that are killed side by side."""
_SAVE_SECONDS = 60
_SLACK_WATT_HOURS = 0.02
"""What milliseconds between an answer and its time make of a power that jumps at this speed; a beat is 0.1 or more."""

_SLACK_RATIO = 0.006
"""What they make, on a busy machine, of the ends of a day's eight pieces; a lost beat is twice that."""

_ROUNDING = 0.5e-4
"""What four decimals leave out, of each counter that is shown; and again at each recovery of what was shown."""

_SOURCES = {
    "production": ("Production_W", 1),
    "consumption": ("Consumption_W", 1),
    "grid_import": ("GridFeedIn_W", -1),
    "grid_export": ("GridFeedIn_W", 1),
    "battery_charge": ("Pac_total_W", -1),
    "battery_discharge": ("Pac_total_W", 1),
}
"""The total's field in a status, and the sign with which it counts."""
_ENDS = {
    "production": ("solar", None),
    "grid_import": ("grid", None),
    "grid_export": (None, "grid"),
    "battery_charge": (None, "battery"),
    "battery_discharge": ("battery", None),
}
"""From where and to where the flows go whose sum is a total (docs/metrics.md)."""

HeldCounters = dict[tuple[str, ...], float]
"""By metric name and the values of its labels, in the order of their names."""


def config(
    gateway: Pushgateway, batteries: Mapping[str, Simulator], *, state: Path | str = "state", on_stop: str = "delete"
) -> str:
    listed = "".join(f"  - {{name: {name}, url: '{battery.url}'}}\n" for name, battery in batteries.items())
    return (
        f"interval_seconds: 1\nstate_directory: {state}\nbatteries:\n{listed}"
        f"pushgateway: {{url: '{gateway.url}', on_stop: {on_stop}}}\n"
    )


def counters(gateway: Pushgateway, name: str = "home") -> HeldCounters:
    return {
        (metric, *own_values(sample.labels)): sample.value
        for group in gateway.groups()
        if group.labels == {"job": "sonnen", "instance": name}
        for metric, samples in group.samples.items()
        if counts(metric)
        for sample in samples
    }


def counts(metric: str) -> bool:
    """Whether the agent counts this; a battery's own counters are as good as the battery."""
    return metric.endswith(("_watt_hours_total", "observed_seconds_total")) and not metric.startswith("sonnen_meter")


def own_values(labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(labels[name] for name in sorted(labels) if name not in ("__name__", "job", "instance"))


def control(battery: FaultySimulator, path: str, method: str = "GET") -> Any:  # noqa: ANN401 - JSON
    request = urllib.request.Request(f"{battery.url}/simulator/{path}", method=method)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read() or "null")


def deliveries(battery: FaultySimulator) -> list[dict[str, Any]]:
    return [entry for entry in control(battery, "log") if entry["endpoint"] == "status"]


def last_reading(gateway: Pushgateway, name: str = "home") -> float:
    """Return when the battery was read whose values the gateway holds, in Unix seconds; 0 where it holds none."""
    samples = [
        group.samples.get("sonnen_last_reading_timestamp_seconds", [])
        for group in gateway.groups()
        if group.labels == {"job": "sonnen", "instance": name}
    ]
    return max((sample.value for of_group in samples for sample in of_group), default=0.0)


def truth(lives: Iterable[Iterable[Mapping[str, Any]]]) -> dict[str, float]:
    """Return the trapezoids of what each life of the agent was told, gaps of over a minute left out; in Wh."""
    sums = dict.fromkeys([*_SOURCES, "observed"], 0.0)
    for life in lives:
        for (begin, first), (end, last) in pairwise((entry["unix_time"], entry["body"]) for entry in life):
            if end - begin > 60:
                continue
            sums["observed"] += end - begin
            for name, (field, sign) in _SOURCES.items():
                ends = sum(max(0, sign * one[field]) for one in (first, last) if not _idles(name, one[field]))
                sums[name] += ends / 2 * (end - begin) / 3600
    return sums


def _idles(name: str, watts: float) -> bool:
    """Return whether a battery draws so little that it is its standby, and no charge."""
    return name == "battery_charge" and -32 <= watts < 0


def counted(held: HeldCounters) -> dict[str, float]:
    totals = {name: held[f"sonnen_{name}_watt_hours_total",] for name in _SOURCES}
    return {**totals, "observed": held["sonnen_observed_seconds_total",]}


def flows(held: HeldCounters, *, origin: str | None = None, target: str | None = None) -> float:
    return sum(
        value
        for (metric, *labels), value in held.items()
        if metric == "sonnen_flow_watt_hours_total" and origin in (None, labels[0]) and target in (None, labels[1])
    )


def assert_flows_are_the_totals(held: HeldCounters, *, recoveries: int) -> None:
    totals = counted(held)
    rounding = (len(FLOWS) + 1) * (recoveries + 1) * _ROUNDING
    assert len([key for key in held if key[0] == "sonnen_flow_watt_hours_total"]) == len(FLOWS)
    for name, (origin, target) in _ENDS.items():
        # Of rounded watts one may be missing, which then counts as solar.
        slack = 2 * totals["observed"] / 3600 if origin == "solar" else rounding
        assert flows(held, origin=origin, target=target) == pytest.approx(totals[name], rel=1e-9, abs=slack), name
    rest = totals["production"] + totals["grid_import"] + totals["battery_discharge"]
    rest -= totals["grid_export"] + totals["battery_charge"]
    assert flows(held, target="home") == pytest.approx(rest, abs=2 * totals["observed"] / 3600)


def assert_nothing_is_lower(now: HeldCounters, before: HeldCounters) -> None:
    assert before
    assert before.keys() <= now.keys()
    for key, value in before.items():
        assert now[key] >= value, f"{key} went from {value!r} to {now[key]!r}"


def scraped(prometheus: Prometheus) -> dict[tuple[str, ...], list[tuple[float, float]]]:
    """Return every sample of the counters that Prometheus holds, by battery, metric and the values of the labels."""
    found = prometheus.query_range_samples('{job="sonnen",__name__=~"sonnen_.*_total"}[1h]')
    return {
        (labels["instance"], labels["__name__"], *own_values(labels)): samples
        for labels, samples in found
        if counts(labels["__name__"])
    }


def assert_none_ever_fell(series: Mapping[tuple[str, ...], list[tuple[float, float]]]) -> None:
    for key, samples in series.items():
        for (_, earlier), (moment, later) in pairwise(samples):
            assert later >= earlier, f"{key} went from {earlier!r} to {later!r} at {moment}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A kill, as one battery knows it."""

    number: int
    """Of the last delivery before it."""
    pushed: float
    """When the battery was read whose values the gateway holds; a reading after it is lost."""


def left_alone() -> set[int]:
    """Return the ports of this machine at which somebody has not noticed yet that the other end is gone."""
    close_wait = "08"
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return {int(local.partition(":")[2], 16) for _, local, _, state, *_ in lines if state == close_wait}


class Day:
    """A simulated day of two houses, with its hours as `at` waits for them."""

    def __init__(self, batteries: Mapping[str, FaultySimulator], gateway: Pushgateway) -> None:
        self.batteries = batteries
        self.gateway = gateway
        self.began = time.monotonic()
        self.cuts: dict[str, list[Cut]] = {name: [] for name in batteries}
        self.read: dict[str, set[float]] = {name: set() for name in batteries}

    def at(self, hour: float) -> None:
        while time.monotonic() < self.began + hour * _HOUR_SECONDS:
            self.look()
            time.sleep(0.2)

    def look(self) -> None:
        """Take note of when the agent has read what the gateway holds: on a busy machine that is late."""
        for name in self.batteries:
            with suppress(ServerError):
                self.read[name].add(last_reading(self.gateway, name))

    def kill(self, agent: Agent) -> None:
        seen = {name: last_reading(self.gateway, name) for name in self.batteries}
        wait_until(
            lambda: all(last_reading(self.gateway, name) != moment for name, moment in seen.items()),
            "a beat of each battery",
            pause_seconds=0.02,
        )
        agent.kill()
        # What it had sent or asked for may still be on its way.
        ports = {self.gateway.port, *(battery.port for battery in self.batteries.values())}
        wait_until(lambda: not ports & left_alone(), "the servers to notice", pause_seconds=0.02)
        for name, battery in self.batteries.items():
            number = deliveries(battery)[-1]["number"]
            self.cuts[name].append(Cut(number=number, pushed=last_reading(self.gateway, name)))
        self.look()

    def lives(self, name: str, *, since: float = 0.0) -> list[list[dict[str, Any]]]:
        """Return what the agent was told and could push, life by life, from the reading at `since` on."""
        log = deliveries(self.batteries[name])
        cuts = [Cut(number=0, pushed=0.0), *self.cuts[name], Cut(number=log[-1]["number"], pushed=float("inf"))]
        lives: list[list[dict[str, Any]]] = [[] for _ in cuts[1:]]
        # Each is asked for when the one before has been read.
        for entry, then in pairwise([*log, {"unix_time": float("inf")}]):
            told, next_told = entry["unix_time"], then["unix_time"]
            read = next((moment for moment in self.read[name] if told <= moment < next_told), told)
            for life, (begin, end) in zip(lives, pairwise(cuts), strict=True):
                if begin.number < entry["number"] <= end.number and told <= end.pushed and next_told > since:
                    life.append({**entry, "unix_time": read})
        return lives


def test_a_day_with_outages_kills_and_a_lost_card_counts_what_was_delivered(
    running: ExitStack, tmp_path: Path, pushgateway: Pushgateway, prometheus: Prometheus, run_agent: RunAgent
) -> None:
    # eco8 tells grid, battery and production without a token.
    options = ["--generation=eco8", f"--speed={3600 / _HOUR_SECONDS}", "--start=2026-06-21T21:00"]
    home, barn = (
        running.enter_context(FaultySimulator(tmp_path, options=[*options, f"--seed={seed}"])) for seed in (3, 4)
    )
    agent = run_agent(config(pushgateway, {"home": home, "barn": barn}))
    day = Day({"home": home, "barn": barn}, pushgateway)

    # One battery is away for more than the minute that a trapezoid may bridge, the other one for less.
    day.at(1.5)
    control(barn, "fault/reset", "PUT")
    # At night, when powers hardly change: nobody can look when the agent reads, and it may be late.
    day.at(5)
    pushgateway.kill()  # and with it all that it held
    day.at(6)
    pushgateway.start()
    day.at(13)
    control(home, "fault/reset", "PUT")
    day.at(13.5)
    control(home, "fault/reset", "DELETE")
    day.at(1.5 + 62 / _HOUR_SECONDS)
    control(barn, "fault/reset", "DELETE")
    # The state is saved every minute: by now it is old, and the gateway knows better.
    day.at(19)
    day.kill(agent)
    agent.start()
    day.at(21)
    day.kill(agent)
    shutil.rmtree(tmp_path / "state")
    agent.start()
    day.at(25)
    # Both are silent from here on, so that the battery's log and Prometheus end with the same reading.
    for battery in (home, barn):
        control(battery, "fault/reset", "PUT")
    assert agent.exit_code is None
    ends = {name: stands_still(pushgateway, name) for name in day.batteries}
    day.look()
    wait_until(lambda: shows(prometheus, ends), "Prometheus to hold the last counters")

    for name, held in ends.items():
        expected = truth(day.lives(name))
        assert len(day.lives(name)) == 3
        assert min(expected[total] for total in ("production", "consumption", "grid_export", "battery_discharge")) > 0.5
        assert counted(held) == pytest.approx(expected, rel=_SLACK_RATIO, abs=_SLACK_WATT_HOURS)
        assert_flows_are_the_totals(held, recoveries=2)
    assert deliveries(barn)[-1]["unix_time"] - deliveries(barn)[0]["unix_time"] > counted(ends["barn"])["observed"] + 60

    series = scraped(prometheus)
    assert_none_ever_fell(series)
    for name in day.batteries:
        samples = series[name, "sonnen_production_watt_hours_total"]
        # increase() stretches what it finds to the edges of its window; from sample to sample there is no more.
        window, end = samples[-1][0] - samples[0][0], samples[-1][0]
        began = read_at(prometheus, name, samples[0][0])
        expected = truth(day.lives(name, since=began))
        assert window > 20 * _HOUR_SECONDS
        for total in (*_SOURCES, "observed"):
            metric = "sonnen_observed_seconds_total" if total == "observed" else f"sonnen_{total}_watt_hours_total"
            ((_, increase),) = prometheus.query(
                f'increase({metric}{{instance="{name}"}}[{round(1000 * window) + 1}ms] @ {end:.3f})'
            )
            assert increase == pytest.approx(expected[total], rel=_SLACK_RATIO, abs=_SLACK_WATT_HOURS), (name, total)
            assert prometheus.query(f'resets({metric}{{instance="{name}"}}[1h])')[0][1] == 0


def stands_still(gateway: Pushgateway, name: str) -> HeldCounters:
    """Return the counters of a battery that is silent: after two beats the agent has pushed all it was told."""
    group = {"job": "sonnen", "instance": name}

    def offline() -> bool:
        (online,) = [one.samples["sonnen_online"] for one in gateway.groups() if one.labels == group]
        return online[0].value == 0

    wait_until(offline, f"the silence of {name} to be noticed")
    return counters(gateway, name)


def shows(prometheus: Prometheus, ends: Mapping[str, HeldCounters]) -> bool:
    held = prometheus.query("sonnen_observed_seconds_total")
    return {labels["instance"]: value for labels, value in held} == {
        name: counted(end)["observed"] for name, end in ends.items()
    }


def read_at(prometheus: Prometheus, name: str, moment: float) -> float:
    """Return when the values were read that Prometheus scraped at this moment."""
    ((_, value),) = prometheus.query(
        f'sonnen_last_reading_timestamp_seconds{{instance="{name}"}} @ {moment:.3f}',
    )
    return value


def test_two_hundred_kills_lose_and_double_no_counter(running: ExitStack, tmp_path: Path) -> None:
    gateway = running.enter_context(Pushgateway(tmp_path))
    prometheus = running.enter_context(Prometheus(tmp_path, scrape=[gateway.url]))
    batteries = [
        running.enter_context(FaultySimulator(tmp_path, options=["--generation=eco8", "--start=2026-06-21T19:00"]))
        for _ in range(_LINES)
    ]

    def line(number: int) -> tuple[int, int, float]:
        moments = random.Random(number)  # noqa: S311 - no secret
        name, battery, folder = f"home-{number}", batteries[number], tmp_path / f"line-{number}"
        # Of a house that stands still every counter is a power times the time that was observed.
        control(battery, "fault/frozen", "PUT")
        folder.mkdir()
        file = folder / "config.yml"
        file.write_text(config(gateway, {name: battery}))
        highest: HeldCounters = {}
        looks = increases = 0
        kills: list[float] = []
        seen: list[tuple[float, float]] = []
        agent = running.enter_context(Agent(file))
        for number_of_kills in range(_KILLS // _LINES):
            seen += let_live(gateway, name, moments)
            agent.kill()
            kills.append(time.time())
            seen += looked_at(gateway, name)
            log, now = deliveries(battery), counters(gateway, name)
            if highest:
                assert_nothing_is_lower(now, highest)
            if now:
                assert_of_one_time(now, log, recoveries=number_of_kills)
                looks += 1
            increases += now != highest
            # Killed between its first push and the gateway's answer, it has shown none.
            highest = now or highest
            agent.start()
        wait_until(lambda: counters(gateway, name) not in ({}, highest), f"{name} to count on")
        now, log = counters(gateway, name), deliveries(battery)
        assert_nothing_is_lower(now, highest)
        whole = seconds_counted_once([(log[0]["unix_time"], 0.0), *seen], kills)
        assert agent.exit_code is None
        for complaint in ("Traceback", "crashed", "cannot be used", "cannot be saved"):
            assert complaint not in agent.log
        assert list((folder / "state").glob("*.kept-*")) == []
        return looks, increases, whole

    with ThreadPoolExecutor(_LINES) as lines:
        results = list(lines.map(line, range(_LINES)))

    assert sum(looks for looks, _, _ in results) > _KILLS * 0.8, results
    # On a busy machine a life is often over before its second reading.
    assert sum(increases for _, increases, _ in results) > _KILLS * 0.05, results
    assert sum(whole for _, _, whole in results) > _LINES, results
    series = scraped(prometheus)
    assert len(series) >= _LINES * (len(_SOURCES) + len(FLOWS) + 1)
    assert min(len(samples) for samples in series.values()) > 20
    assert_none_ever_fell(series)


def let_live(gateway: Pushgateway, name: str, moments: random.Random) -> list[tuple[float, float]]:
    """Return when a life has lasted for long enough, with what the gateway had of it meanwhile."""
    # At the first moments the state is read and written, later there is something to lose.
    if moments.random() < 0.5:
        time.sleep(moments.uniform(0.0, 0.8))
        return []
    began, pushes = time.time(), moments.randint(1, 2)
    seen: list[tuple[float, float]] = []

    def has_pushed() -> bool:
        seen.extend(looked_at(gateway, name))
        return len({read for read, _ in seen if read > began}) >= pushes

    # However busy the machine is.
    wait_until(has_pushed, f"a push of {name}")
    time.sleep(moments.uniform(0.0, 1.0))
    return seen


def looked_at(gateway: Pushgateway, name: str) -> list[tuple[float, float]]:
    """Return when the battery was read whose counters the gateway holds, and what was observed until then."""
    names = ("sonnen_last_reading_timestamp_seconds", "sonnen_observed_seconds_total")
    groups = [group for group in gateway.groups() if group.labels == {"job": "sonnen", "instance": name}]
    return [
        (group.samples[names[0]][0].value, group.samples[names[1]][0].value)
        for group in groups
        if group.samples.keys() >= set(names)
    ]


def seconds_counted_once(looks: Iterable[tuple[float, float]], kills: Iterable[float]) -> float:
    """Fail unless what was observed is the time between readings, by the agent's clock; return what is within lives."""
    whole = 0.0
    for (first_read, first), (then_read, then) in pairwise(looks):
        assert then - first <= then_read - first_read + 0.01
        if first and not any(first_read < kill < then_read for kill in kills):
            assert then - first == pytest.approx(then_read - first_read, abs=0.01)
            whole += then - first
    return whole


def assert_of_one_time(held: HeldCounters, log: Iterable[Mapping[str, Any]], *, recoveries: int) -> None:
    """Fail unless every counter is what the one power that was ever delivered makes of the observed seconds."""
    (body,) = {json.dumps(entry["body"], sort_keys=True) for entry in log}
    totals, powers = counted(held), json.loads(body)
    for name, (field, sign) in _SOURCES.items():
        watts = 0 if _idles(name, powers[field]) else max(0, sign * powers[field])
        watt_hours = watts * totals["observed"] / 3600
        assert totals[name] == pytest.approx(watt_hours, rel=1e-6, abs=2 * (recoveries + 1) * _ROUNDING), name
    assert_flows_are_the_totals(held, recoveries=recoveries)


def test_the_counters_go_on_after_a_clean_stop_also_on_a_fresh_gateway(
    running: ExitStack, tmp_path: Path, pushgateway: Pushgateway, run_agent: RunAgent
) -> None:
    battery = running.enter_context(Simulator(tmp_path, options=["--generation=eco8", "--start=2026-06-21T12:00"]))
    agent = run_agent(config(pushgateway, {"home": battery}))
    wait_until(lambda: observed(pushgateway) > 2, "some seconds")
    before = counters(pushgateway)
    assert agent.stop() == 0
    assert counters(pushgateway) == {}

    agent.start()

    wait_until(lambda: bool(counters(pushgateway)), "the counters to come back")
    assert_nothing_is_lower(counters(pushgateway), before)
    assert observed(pushgateway) < before["sonnen_observed_seconds_total",] + 30


def observed(gateway: Pushgateway) -> float:
    return counters(gateway).get(("sonnen_observed_seconds_total",), 0.0)


@pytest.mark.parametrize("on_stop", ["counters", "keep"])
def test_a_new_card_after_a_clean_stop_gets_the_counters_from_the_gateway(
    running: ExitStack, tmp_path: Path, pushgateway: Pushgateway, run_agent: RunAgent, on_stop: str
) -> None:
    battery = running.enter_context(Simulator(tmp_path, options=["--generation=eco8", "--start=2026-06-21T12:00"]))
    agent = run_agent(config(pushgateway, {"home": battery}, on_stop=on_stop))
    wait_until(lambda: observed(pushgateway) > 2, "some seconds")
    assert agent.stop() == 0
    before = counters(pushgateway)
    assert any(group.samples.get("sonnen_production_watts") for group in pushgateway.groups()) == (on_stop == "keep")
    shutil.rmtree(tmp_path / "state")

    agent.start()

    wait_until(lambda: counters(pushgateway) != before, "the counters to go on")
    assert_nothing_is_lower(counters(pushgateway), before)
    assert "home: counting goes on from the counters on the gateway" in agent.log


def test_a_card_of_an_earlier_clean_stop_that_is_put_back_gets_the_counters_from_the_gateway(
    running: ExitStack, tmp_path: Path, pushgateway: Pushgateway, prometheus: Prometheus, run_agent: RunAgent
) -> None:
    battery = running.enter_context(Simulator(tmp_path, options=["--generation=eco8", "--start=2026-06-21T12:00"]))
    agent = run_agent(config(pushgateway, {"home": battery}, on_stop="counters"))
    wait_until(lambda: observed(pushgateway) > 2, "some seconds")
    assert agent.stop() == 0
    shutil.copytree(tmp_path / "state", tmp_path / "image")
    for _ in range(2):
        earlier = observed(pushgateway)
        agent.start()
        wait_until(lambda earlier=earlier: observed(pushgateway) > earlier + 2, "some seconds more")  # type: ignore[misc]
        assert agent.stop() == 0
        before = counters(pushgateway)
        # As an overlay does at every boot.
        shutil.rmtree(tmp_path / "state")
        shutil.copytree(tmp_path / "image", tmp_path / "state")

    agent.start()

    wait_until(lambda: counters(pushgateway) != before, "the counters to go on")
    assert_nothing_is_lower(counters(pushgateway), before)
    assert agent.log.count("home: counting goes on from the counters on the gateway") == 2
    assert_none_ever_fell(scraped(prometheus))


@pytest.mark.parametrize("comes_back", ["empty", "with its file"])
def test_a_power_cut_of_agent_and_gateway_holds_counters_back_where_the_gateway_has_forgotten_what_it_showed(
    running: ExitStack, tmp_path: Path, run_agent: RunAgent, comes_back: str
) -> None:
    file = tmp_path / "pushgateway.data"
    gateway = running.enter_context(Pushgateway(tmp_path, persistence_file=file))
    battery = running.enter_context(Simulator(tmp_path, options=["--generation=eco8", "--start=2026-06-21T12:00"]))
    agent = run_agent(config(gateway, {"home": battery}, on_stop="counters"))
    wait_until(lambda: observed(gateway) > 2, "some seconds")
    # It writes its file when it stops, and every five minutes.
    gateway.stop()
    gateway.start()
    wait_until(lambda: observed(gateway) > 5, "more than its file has")
    agent.kill()
    before = counters(gateway)
    gateway.kill()
    if comes_back == "empty":
        file.unlink()

    gateway.start()
    back = time.time()
    agent.start()

    wait_until(lambda: last_reading(gateway) > back, "a push")
    for _ in range(3):
        seen = last_reading(gateway)
        wait_until(lambda seen=seen: last_reading(gateway) > seen, "another one")  # type: ignore[misc]
        now = counters(gateway)
        # What is zero resets to nothing.
        assert {key for key, value in now.items() if value} == set()
    # Stopped and started cleanly, it does not forget what it holds back.
    assert agent.stop() == 0
    agent.start()
    back = time.time()
    wait_until(lambda: last_reading(gateway) > back, "a push")
    assert {key for key, value in counters(gateway).items() if 0 < value < before[key]} == set()
    assert saved_production(tmp_path / "state") > 0


@pytest.mark.parametrize("answer", ["500", "HTML"])
def test_a_gateway_that_does_not_tell_after_a_kill_is_shown_no_counters_that_may_be_too_low(
    running: ExitStack,
    tmp_path: Path,
    pushgateway: Pushgateway,
    run_agent: RunAgent,
    httpserver: HTTPServer,
    answer: str,
) -> None:
    def forward(request: Request) -> Response:
        method, path = request.method, request.path
        if method == "GET" and path == "/api/v1/metrics":
            return Response("<html>welcome</html>", status=500 if answer == "500" else 200)
        asked = urllib.request.Request(f"{pushgateway.url}{path}", request.get_data() or None, method=method)
        asked.add_header("Content-Encoding", request.headers.get("Content-Encoding", "identity"))
        with urllib.request.urlopen(asked, timeout=10) as response:
            return Response(response.read(), status=response.status)

    httpserver.expect_request(re.compile("/.*")).respond_with_handler(forward)
    battery = running.enter_context(Simulator(tmp_path, options=["--generation=eco8", "--start=2026-06-21T12:00"]))
    text = config(pushgateway, {"home": battery}).replace(pushgateway.url, httpserver.url_for(""))
    agent = run_agent(text)
    wait_until(lambda: observed(pushgateway) > 2, "some seconds")
    agent.kill()
    before, back = counters(pushgateway), time.time()

    agent.start()

    wait_until(lambda: last_reading(pushgateway) > back, "a push")
    now = counters(pushgateway)
    assert {key for key, value in now.items() if 0 < value < before[key]} == set()
    assert "home: counting goes on from this machine's copy, the gateway does not tell: " in agent.log


def test_a_state_directory_in_memory_is_told_once(
    running: ExitStack, tmp_path: Path, small_disk: Path, pushgateway: Pushgateway, run_agent: RunAgent
) -> None:
    battery = running.enter_context(Simulator(tmp_path, options=["--generation=eco8", "--start=2026-06-21T12:00"]))

    agent = run_agent(config(pushgateway, {"home": battery}, state=small_disk / "state"))
    wait_until(lambda: observed(pushgateway) > 2, "some seconds")

    assert (
        agent.log.count(
            f"the counters do not survive a reboot by themselves: {small_disk}/state is in memory (tmpfs); "
            "set state_directory to a place on the card or disk, or mount one there"
        )
        == 1
    )
    assert agent.log.count("in memory") == 1


def test_where_nothing_can_be_saved_the_counters_stay_with_the_gateway(
    running: ExitStack, tmp_path: Path, pushgateway: Pushgateway, run_agent: RunAgent
) -> None:
    battery = running.enter_context(Simulator(tmp_path, options=["--generation=eco8", "--start=2026-06-21T12:00"]))
    (tmp_path / "file").touch()
    agent = run_agent(config(pushgateway, {"home": battery}, state="file/state"))
    wait_until(lambda: observed(pushgateway) > 2, "some seconds")
    assert (
        f"the counters will not survive a restart by themselves: {tmp_path}/file/state: Not a directory; "
        "make that directory writable for this user, or set state_directory to another"
    ) in agent.log

    assert agent.stop() == 0

    before = counters(pushgateway)
    assert before["sonnen_observed_seconds_total",] > 2
    assert not any(group.samples.get("sonnen_production_watts") for group in pushgateway.groups())
    agent.start()
    wait_until(lambda: counters(pushgateway) != before, "the counters to go on")
    assert_nothing_is_lower(counters(pushgateway), before)


@pytest.fixture
def small_disk(running: ExitStack, tmp_path: Path) -> Path:
    """Return a disk of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    running.callback(lambda: subprocess.run(["umount", "--lazy", folder], check=True))
    return folder


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with pytest.raises(OSError, match="No space left on device"):
        filler.write_bytes(bytes(1024 * 1024))
    return filler


def test_an_agent_that_starts_on_a_full_disk_goes_on_says_so_once_and_catches_up(
    running: ExitStack, tmp_path: Path, small_disk: Path, pushgateway: Pushgateway, run_agent: RunAgent
) -> None:
    battery = running.enter_context(Simulator(tmp_path, options=["--generation=eco8", "--start=2026-06-21T12:00"]))
    filler = fill(small_disk)

    agent = run_agent(config(pushgateway, {"home": battery}, state=small_disk / "state"))
    wait_until(lambda: observed(pushgateway) > 2, "the counters, full disk or not")
    filler.unlink()
    agent.wait_for_log("the counters are saved again", seconds=_SAVE_SECONDS + 5)
    agent.kill()

    assert agent.log.count("cannot be saved") == 1
    assert "the counters cannot be saved: [Errno 28] No space left on device; trying again every minute" in agent.log
    assert saved_production(small_disk / "state") > 0


def test_a_disk_that_fills_up_costs_no_counter(
    running: ExitStack, tmp_path: Path, small_disk: Path, pushgateway: Pushgateway, run_agent: RunAgent
) -> None:
    battery = running.enter_context(Simulator(tmp_path, options=["--generation=eco8", "--start=2026-06-21T12:00"]))
    agent = run_agent(config(pushgateway, {"home": battery}, state=small_disk / "state"))
    wait_until(lambda: observed(pushgateway) > 2, "some seconds")
    before = counters(pushgateway)
    fill(small_disk)

    assert agent.stop() == 0

    # The two files of the checkpoint are written in place.
    assert "cannot be saved" not in agent.log
    # What is shown is rounded to four decimals, what is saved is not.
    assert saved_production(small_disk / "state") >= before["sonnen_production_watt_hours_total",] - 0.0001
    assert counters(pushgateway) == {}
    agent.start()
    wait_until(lambda: bool(counters(pushgateway)), "the counters to go on")
    assert_nothing_is_lower(counters(pushgateway), before)
    assert "cannot be" not in agent.log


def test_a_state_directory_that_is_gone_at_the_stop_is_told_once_and_costs_no_counter(
    running: ExitStack, tmp_path: Path, pushgateway: Pushgateway, run_agent: RunAgent
) -> None:
    battery = running.enter_context(Simulator(tmp_path, options=["--generation=eco8", "--start=2026-06-21T12:00"]))
    agent = run_agent(config(pushgateway, {"home": battery}))
    wait_until(lambda: observed(pushgateway) > 2, "some seconds")
    # As of a card that is pulled out, or mounted elsewhere.
    (tmp_path / "state").rename(tmp_path / "elsewhere")
    saved = (tmp_path / "elsewhere/counters.json").read_bytes()

    assert agent.stop() == 0

    before = counters(pushgateway)
    assert before["sonnen_observed_seconds_total",] > 2
    assert agent.log.count("the counters cannot be saved: [Errno 2] No such file or directory") == 1
    assert (tmp_path / "elsewhere/counters.json").read_bytes() == saved
    (tmp_path / "elsewhere").rename(tmp_path / "state")
    agent.start()
    wait_until(lambda: counters(pushgateway) != before, "the counters to go on")
    assert_nothing_is_lower(counters(pushgateway), before)
    assert agent.stop() == 0
    assert saved_production(tmp_path / "state") >= before["sonnen_production_watt_hours_total",] - 0.0001


def saved_production(state: Path) -> float:
    """Return what the newest of the two files of a checkpoint says."""
    documents = [json.loads(file.read_text().partition("\n")[2]) for file in state.glob("counters*.json")]
    document = max(documents, key=lambda document: document["serial"])
    return float(document["meters"]["home"]["tally"]["energies"]["totals_watt_hours"]["production"])


def test_the_second_agent_on_a_state_directory_is_refused(
    running: ExitStack, tmp_path: Path, pushgateway: Pushgateway, run_agent: RunAgent
) -> None:
    battery = running.enter_context(FaultySimulator(tmp_path, options=["--generation=eco8"]))
    first = run_agent(config(pushgateway, {"home": battery}))
    first.wait_for_log("the battery answers")
    asked = len(deliveries(battery))

    second = Agent(tmp_path / "config.yml")
    second.log_file = tmp_path / "second.log"
    running.callback(second.kill)
    second.start()
    wait_until(lambda: second.exit_code is not None, "the second to end")

    assert second.exit_code == 1
    assert second.log == (
        f"sonnen-agent: {tmp_path}/state is in use by another sonnen-agent (process {first.pid}); "
        "stop that one, or give this one a state_directory of its own\n"
    )
    wait_until(lambda: len(deliveries(battery)) > asked, "the first to go on")
    assert first.stop(signal.SIGINT) == 0
    # Its directory is free again, without anything to be cleaned up.
    third = run_agent(config(pushgateway, {"home": battery}))
    third.wait_for_log("the battery answers")


def kept(watt_hours: float) -> bytes:
    """Return a good checkpoint of a clean stop."""
    energies = EnergyCounters(
        totals_watt_hours={"production": watt_hours}, flows_watt_hours=dict.fromkeys(FLOWS, 0.0), observed_seconds=3600
    )
    meter = state_to_json(MeterState(tally=Counters(energies=energies)))
    return encode({"saved_unix_seconds": 1.0, "boot_id": "another", "clean": True, "meters": {"home": meter}})


_GOOD = kept(4_000)
_DAMAGED = {
    "empty": (b"", "it is empty or zero-filled, as after a power cut"),
    "zero-filled": (bytes(4096), "it is empty or zero-filled, as after a power cut"),
    "truncated": (_GOOD[: len(_GOOD) // 2], "its checksum is wrong: it is torn or was edited"),
    "cut off in the first line": (_GOOD[:12], "it was not written by sonnen-agent"),
    "torn": (_GOOD[:512] + bytes(len(_GOOD) - 512), "its checksum is wrong: it is torn or was edited"),
    "edited": (_GOOD.replace(b"4000", b"9000"), "its checksum is wrong: it is torn or was edited"),
    "foreign": (b'{"production": 9000}\n', "it was not written by sonnen-agent"),
    "future": (
        _GOOD.replace(b"sonnen-agent-state 1 ", b"sonnen-agent-state 2 "),
        "it has format '2' of another release, this one reads format 1",
    ),
    "future meter": (
        encode({"clean": True, "meters": {"home": {"format": 2}}}),
        "energy.format: should be 1: it was written by another release, got 2",
    ),
}


@pytest.mark.parametrize(("content", "reason"), _DAMAGED.values(), ids=_DAMAGED)
def test_a_damaged_foreign_or_future_state_is_kept_aside_and_the_gateway_helps_out(
    running: ExitStack, tmp_path: Path, pushgateway: Pushgateway, run_agent: RunAgent, content: bytes, reason: str
) -> None:
    battery = running.enter_context(Simulator(tmp_path, options=["--generation=eco8", "--start=2026-06-21T12:00"]))
    state = tmp_path / "state"
    state.mkdir()
    files = [state / "counters.json", state / "counters.previous.json"]
    for file in files:
        file.write_bytes(content)
    push(pushgateway, production=5_000.25)

    agent = run_agent(config(pushgateway, {"home": battery}))

    wait_until(lambda: produced(pushgateway) > 5_000.25, "the counters to go on")
    assert produced(pushgateway) < 5_100
    assert "home: counting goes on from the counters on the gateway" in agent.log
    for file in files:
        aside = file.with_name(f"{file.name}.kept-1")
        assert aside.read_bytes() == content
        assert agent.log.count(f"{file} cannot be used: {reason}") == 1
        assert f"; it is kept as {aside}" in agent.log
    assert agent.log.count("cannot be used") == 2
    assert agent.stop() == 0
    assert saved_production(state) > 5_000.25


def test_when_the_newest_state_is_torn_the_one_before_it_counts(
    running: ExitStack, tmp_path: Path, pushgateway: Pushgateway, run_agent: RunAgent
) -> None:
    battery = running.enter_context(Simulator(tmp_path, options=["--generation=eco8", "--start=2026-06-21T12:00"]))
    state = tmp_path / "state"
    state.mkdir()
    (state / "counters.json").write_bytes(_GOOD[:-100])
    (state / "counters.previous.json").write_bytes(kept(3_999.5))
    push(pushgateway, production=3_999.5)

    agent = run_agent(config(pushgateway, {"home": battery}))

    wait_until(lambda: produced(pushgateway) > 3_999.5, "the counters to go on")
    assert produced(pushgateway) < 4_100
    assert agent.log.count("the other one counts") == 1


def test_a_state_that_cannot_be_read_is_as_good_as_a_damaged_one(
    running: ExitStack, tmp_path: Path, pushgateway: Pushgateway, run_agent: RunAgent
) -> None:
    battery = running.enter_context(Simulator(tmp_path, options=["--generation=eco8", "--start=2026-06-21T12:00"]))
    # A card that is dying, or a file of another user: what open() says to a folder is an OSError like theirs.
    (tmp_path / "state/counters.json").mkdir(parents=True)
    push(pushgateway, production=5_000.25)

    agent = run_agent(config(pushgateway, {"home": battery}))

    wait_until(lambda: produced(pushgateway) > 5_000.25, "the counters to go on")
    assert agent.log.count(f"{tmp_path}/state/counters.json cannot be used: ") == 1
    assert "it is no regular file" in agent.log
    assert "Traceback" not in agent.log
    assert agent.stop() == 0
    assert saved_production(tmp_path / "state") > 5_000.25


def push(gateway: Pushgateway, *, production: float) -> None:
    """Push what an earlier life of the agent might have left."""
    page = (
        "# TYPE sonnen_production_watt_hours_total counter\n"
        f"sonnen_production_watt_hours_total {production!r}\n"
        "# TYPE sonnen_observed_seconds_total counter\n"
        "sonnen_observed_seconds_total 3600\n"
    )
    address = f"http://{HOST}:{gateway.port}/metrics/job/sonnen/instance/home"
    request = urllib.request.Request(address, data=page.encode(), method="PUT")
    with urllib.request.urlopen(request, timeout=10) as response:
        assert response.status == 200


def produced(gateway: Pushgateway) -> float:
    try:
        return counters(gateway).get(("sonnen_production_watt_hours_total",), 0.0)
    except ServerError:
        return 0.0
