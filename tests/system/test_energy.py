"""The counters end to end: what the battery delivered is what Prometheus counts, whatever happens in between."""

import json
import random
import shutil
import signal
import time
import urllib.request
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from programs import wait_until
from servers import Agent, Prometheus, Pushgateway, RunAgent, Simulator

pytestmark = pytest.mark.system

_HOUR_SECONDS = 4.0
"""A simulated hour: a day takes a minute and a half."""
_SPEED = 3600 / _HOUR_SECONDS
_KILLS = 200
_LINES = 4
"""Independent agents that are killed side by side."""

_SOURCES = {
    "production": ("Production_W", 1),
    "consumption": ("Consumption_W", 1),
    "grid_import": ("GridFeedIn_W", -1),
    "grid_export": ("GridFeedIn_W", 1),
    "battery_charge": ("Pac_total_W", -1),
    "battery_discharge": ("Pac_total_W", 1),
}
"""The total's field in a status, and the sign with which it counts."""

Counters = dict[tuple[str, ...], float]
"""By metric name and the values of its labels."""


def config(battery: Simulator, gateway: Pushgateway, *, state: str = "state", name: str = "home") -> str:
    return f"""\
interval_seconds: 1
state_directory: {state}
batteries:
  - {{name: {name}, url: '{battery.url}'}}
pushgateway: {{url: '{gateway.url}'}}
"""


def counters(gateway: Pushgateway, name: str = "home") -> Counters:
    return {
        (metric, *(value for label, value in sorted(sample.labels.items()) if label not in ("job", "instance"))): (
            sample.value
        )
        for group in gateway.groups()
        if group.labels == {"job": "sonnen", "instance": name}
        for metric, samples in group.samples.items()
        if metric.endswith("_total") and "meter" not in metric
        for sample in samples
    }


def control(battery: Simulator, path: str, method: str = "GET") -> Any:  # noqa: ANN401 - JSON
    request = urllib.request.Request(f"{battery.url}/simulator/{path}", method=method)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read() or "null")


def truth(entries: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return the trapezoids of what was delivered, gaps of over a minute left out; in Wh, worked out here."""
    status = [(entry["unix_time"], entry["body"]) for entry in entries if entry["endpoint"] == "status"]
    sums = dict.fromkeys(_SOURCES, 0.0)
    seconds = 0.0
    for (begin, first), (end, last) in pairwise(status):
        if end - begin > 60:
            continue
        seconds += end - begin
        for name, (field, sign) in _SOURCES.items():
            sums[name] += (max(0, sign * first[field]) + max(0, sign * last[field])) / 2 * (end - begin) / 3600
    return {**sums, "observed": seconds}


def counted(held: Counters) -> dict[str, float]:
    totals = {name: held[f"sonnen_{name}_watt_hours_total",] for name in _SOURCES}
    return {**totals, "observed": held["sonnen_observed_seconds_total",]}


def flows(held: Counters, *, origin: str | None = None, target: str | None = None) -> float:
    return sum(
        value
        for (metric, *labels), value in held.items()
        if metric == "sonnen_flow_watt_hours_total" and origin in (None, labels[0]) and target in (None, labels[1])
    )


def test_a_day_with_outages_a_kill_and_a_lost_card_counts_what_was_delivered(
    running: ExitStack, tmp_path: Path, pushgateway: Pushgateway, prometheus: Prometheus, run_agent: RunAgent
) -> None:
    # eco8 tells grid, battery and production without a token. The day begins before sunrise.
    options = ["--generation=eco8", f"--speed={_SPEED}", "--start=2026-06-21T03:00", "--seed=3"]
    battery = running.enter_context(Simulator(tmp_path, options=options))
    agent = run_agent(config(battery, pushgateway))
    wait_until(lambda: bool(counters(pushgateway)), "the first counters")

    hours(battery, 8)
    pushgateway.pause()  # the gateway is dead for an hour
    hours(battery, 9)
    pushgateway.resume()
    hours(battery, 12)
    control(battery, "fault/reset", "PUT")  # the battery for two
    hours(battery, 14)
    control(battery, "fault/reset", "DELETE")
    hours(battery, 17)
    agent.kill()
    shutil.rmtree(tmp_path / "state")
    killed_at = control(battery, "log")[-1]["number"]
    before_kill, last_push = counters(pushgateway), last_reading(pushgateway)
    agent.start()
    wait_until(lambda: counters(pushgateway) != before_kill, "the counters to go on")
    hours(battery, 24)
    assert agent.exit_code is None
    # The battery is silent from here on, so that both see the same end.
    control(battery, "fault/reset", "PUT")
    wait_until(lambda: "not readable" in agent.log.rpartition("readable again")[2], "the agent to notice")
    settled = steady(pushgateway)

    log = [entry for entry in control(battery, "log") if entry["endpoint"] == "status"]
    # A reading that the kill kept from being pushed is lost.
    first_life = [e for e in log if e["number"] <= killed_at and e["unix_time"] <= last_push + 0.5]
    second_life = [e for e in log if e["number"] > killed_at]
    expected = {name: value + truth(second_life)[name] for name, value in truth(first_life).items()}
    assert counted(settled) == pytest.approx(expected, rel=0.001, abs=0.01)
    assert expected["production"] > 30
    assert expected["grid_export"] > 10
    assert flows(settled, origin="solar") == pytest.approx(counted(settled)["production"], rel=0.001)
    assert flows(settled, origin="grid") == pytest.approx(counted(settled)["grid_import"])
    assert flows(settled, target="grid") == pytest.approx(counted(settled)["grid_export"])
    assert flows(settled, origin="battery") == pytest.approx(counted(settled)["battery_discharge"])
    assert flows(settled, target="battery") == pytest.approx(counted(settled)["battery_charge"])
    for name in ("production", "consumption", "grid_export", "grid_import"):
        metric = f"sonnen_{name}_watt_hours_total"
        ((_, samples),) = prometheus.query_range_samples(f'{metric}{{instance="home"}}[1h]')
        values = [value for _, value in samples]
        assert values == sorted(values), f"{metric} went backwards"
        assert values[-1] - values[0] == pytest.approx(expected[name] - values[0], rel=0.001, abs=0.01)
        # increase() extrapolates by up to a scrape at either end: of a day at 5 s that is 0.01 %, of this one more.
        span = samples[-1][0] - samples[0][0]
        ((_, increase),) = prometheus.query(f'increase({metric}{{instance="home"}}[1h])')
        assert increase == pytest.approx(values[-1] - values[0], rel=2 / span)
        assert values[-1] == settled[metric,]


def hours(battery: Simulator, hour: float) -> None:
    """Wait until so many simulated hours have passed since the start, at three in the morning."""
    start = 3

    def passed() -> bool:
        day, clock = control(battery, "house")["time"].split("T")
        # UTC, two hours behind the house's clock.
        since_midnight = int(clock[:2]) + int(clock[3:5]) / 60 + 2 + 24 * (day > "2026-06-21") - start
        return bool(since_midnight >= hour)

    wait_until(passed, f"hour {hour}", seconds=300)


def steady(gateway: Pushgateway) -> Counters:
    seen: list[Counters] = [counters(gateway)]

    def stands() -> bool:
        seen.append(counters(gateway))
        return len(seen) > 3 and seen[-1] == seen[-2]

    wait_until(stands, "the counters to stand still", pause_seconds=1.5)
    return seen[-1]


def last_reading(gateway: Pushgateway) -> float:
    """Return when the battery was read whose values the gateway holds, in Unix seconds."""
    (group,) = [group for group in gateway.groups() if group.labels["job"] == "sonnen"]
    return group.samples["sonnen_last_reading_timestamp_seconds"][0].value


def test_two_hundred_kills_lose_no_counter(running: ExitStack, tmp_path: Path) -> None:
    # A house that lives fast: whatever is lost shows.
    options = ["--generation=eco8", "--speed=60", "--start=2026-06-21T12:00"]
    battery = running.enter_context(Simulator(tmp_path, options=options))
    gateway = running.enter_context(Pushgateway(tmp_path))

    def line(number: int) -> tuple[int, int]:
        moments = random.Random(number)  # noqa: S311 - no secret
        folder = tmp_path / f"line-{number}"
        folder.mkdir()
        file = folder / "config.yml"
        file.write_text(config(battery, gateway, name=f"home-{number}"))
        highest: Counters = {}
        looks = increases = 0
        agent = Agent(file)
        for _ in range(_KILLS // _LINES):
            agent.start()
            time.sleep(moments.uniform(0.2, 3.5))
            agent.kill()
            assert "crashed" not in agent.log
            now = counters(gateway, f"home-{number}")
            assert highest.keys() <= now.keys()
            for key, value in highest.items():
                assert now[key] >= value, f"{key} went from {value} to {now[key]}"
            looks += bool(now)
            increases += any(value > highest.get(key, 0) for key, value in now.items())
            highest = now
        return looks, increases

    with ThreadPoolExecutor(_LINES) as lines:
        results = list(lines.map(line, range(_LINES)))

    assert all(looks > _KILLS // _LINES * 0.5 for looks, _ in results), results
    assert all(increases > _KILLS // _LINES * 0.2 for _, increases in results), results


def test_the_counters_go_on_after_a_clean_stop_also_on_a_fresh_gateway(
    running: ExitStack, tmp_path: Path, run_agent: RunAgent
) -> None:
    battery = running.enter_context(Simulator(tmp_path, options=["--generation=eco8", "--start=2026-06-21T12:00"]))
    gateway = running.enter_context(Pushgateway(tmp_path))
    agent = run_agent(config(battery, gateway))
    wait_until(lambda: counters(gateway).get(("sonnen_observed_seconds_total",), 0) > 2, "some seconds")
    before = counters(gateway)
    assert agent.stop() == 0
    assert counters(gateway) == {}

    agent.start()

    wait_until(lambda: bool(counters(gateway)), "the counters to come back")
    after = counters(gateway)
    assert all(after[key] >= value for key, value in before.items())
    assert after["sonnen_observed_seconds_total",] < before["sonnen_observed_seconds_total",] + 30


def test_where_nothing_can_be_saved_the_counters_stay_with_the_gateway(
    running: ExitStack, tmp_path: Path, run_agent: RunAgent
) -> None:
    battery = running.enter_context(Simulator(tmp_path, options=["--generation=eco8", "--start=2026-06-21T12:00"]))
    gateway = running.enter_context(Pushgateway(tmp_path))
    (tmp_path / "file").touch()
    agent = run_agent(config(battery, gateway, state="file/state"))
    wait_until(lambda: counters(gateway).get(("sonnen_observed_seconds_total",), 0) > 2, "some seconds")
    assert "the counters will not survive a restart by themselves: " in agent.log

    assert agent.stop() == 0

    before = counters(gateway)
    assert before["sonnen_observed_seconds_total",] > 2
    assert not any(group.samples.get("sonnen_production_watts") for group in gateway.groups())
    agent.start()
    wait_until(lambda: counters(gateway) != before, "the counters to go on")
    after = counters(gateway)
    assert all(after[key] >= value for key, value in before.items())


def test_the_second_agent_on_a_state_directory_is_refused(
    running: ExitStack, tmp_path: Path, run_agent: RunAgent
) -> None:
    battery = running.enter_context(Simulator(tmp_path, options=["--generation=eco8"]))
    gateway = running.enter_context(Pushgateway(tmp_path))
    first = run_agent(config(battery, gateway))
    first.wait_for_log("the battery answers")

    second = Agent(tmp_path / "config.yml")
    second.log_file = tmp_path / "second.log"
    second.start()
    wait_until(lambda: second.exit_code is not None, "the second to end")

    assert second.exit_code == 1
    assert f"is in use by another sonnen-agent (process {first.pid})" in second.log
    assert "Traceback" not in second.log
    assert first.stop(signal.SIGINT) == 0


@pytest.mark.parametrize("content", [b"", bytes(4096), b"somebody else's", b"sonnen-agent-state 9 abc\n{}"])
def test_a_damaged_or_foreign_state_is_kept_aside_and_the_gateway_helps_out(
    running: ExitStack, tmp_path: Path, run_agent: RunAgent, content: bytes
) -> None:
    battery = running.enter_context(Simulator(tmp_path, options=["--generation=eco8", "--start=2026-06-21T12:00"]))
    gateway = running.enter_context(Pushgateway(tmp_path))
    agent = run_agent(config(battery, gateway))
    wait_until(lambda: counters(gateway).get(("sonnen_observed_seconds_total",), 0) > 2, "some seconds")
    agent.kill()
    before = counters(gateway)
    for file in (tmp_path / "state").glob("counters*.json"):
        file.write_bytes(content)

    agent.start()
    agent.wait_for_log("counting goes on from the counters on the gateway")

    wait_until(lambda: counters(gateway) != before, "the counters to go on")
    assert all(counters(gateway)[key] >= value for key, value in before.items())
    kept = list((tmp_path / "state").glob("counters*.kept-1"))
    assert kept
    assert all(file.read_bytes() == content for file in kept)
    assert "cannot be used: " in agent.log
