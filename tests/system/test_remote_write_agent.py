"""The installed agent writes remotely: an outage with a kill in it leaves no gap, and no sample twice."""

import json
import math
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from programs import wait_until
from servers import Prometheus, RunAgent, Simulator, VictoriaMetrics

pytestmark = pytest.mark.system

_OUTAGE_BEATS = 12


def config(battery: Simulator, url: str) -> str:
    return f"""\
interval_seconds: 1
batteries:
  - {{name: home, url: '{battery.url}', token_file: home.token}}
remote_write: {{url: '{url}', external_labels: {{site: attic}}}}
"""


@pytest.fixture
def receiver(running: ExitStack, tmp_path: Path) -> Prometheus:
    return running.enter_context(
        Prometheus(tmp_path, scrape=[], out_of_order_time_window="24h", flags=["--web.enable-remote-write-receiver"])
    )


def readings(receiver: Prometheus) -> list[float]:
    """Return the times of all production samples, in Unix seconds."""
    found = receiver.query_range_samples('sonnen_production_watts{job="sonnen",instance="home",site="attic"}[1h]')
    return sorted(moment for _, samples in found for moment, value in samples if not math.isnan(value))


def test_an_outage_with_a_kill_in_it_leaves_no_gap_and_no_sample_twice(
    receiver: Prometheus, simulator: Simulator, run_agent: RunAgent
) -> None:
    agent = run_agent(config(simulator, f"{receiver.url}/api/v1/write"))
    wait_until(lambda: len(readings(receiver)) >= 5, "the first samples")

    receiver.stop()
    agent.wait_for_log("remote write")
    before = beats(simulator)
    wait_until(lambda: beats(simulator) >= before + _OUTAGE_BEATS, "beats in the outage")
    agent.kill()
    agent.start()
    again = beats(simulator)
    wait_until(lambda: beats(simulator) >= again + _OUTAGE_BEATS, "more beats in the outage")
    receiver.start()
    back = beats(simulator)
    wait_until(lambda: beats(simulator) >= back + 5, "beats after the outage")
    wait_until(lambda: len(readings(receiver)) >= beats(simulator) - 3, "the backlog", seconds=60)

    moments = readings(receiver)
    assert max(Counter(moments).values()) == 1
    # The kill costs the one beat that was on its way; all else that the battery told is there.
    assert len(lost(asked(simulator), moments)) <= 1
    spool = Path(agent.log_file).parent / "state-config/spool"
    wait_until(lambda: not any(waiting_files(spool)), "the spool to be empty again")


def waiting_files(spool: Path) -> list[str]:
    """Return the names of the files in which something waits."""
    return [file.name for file in spool.iterdir() if file.name != "lock" and file.stat().st_size > 0]


def beats(simulator: Simulator) -> int:
    return simulator.request("/simulator/log").count(b'"/api/v2/status"')


def asked(simulator: Simulator) -> list[float]:
    """Return when the battery answered, in Unix seconds."""
    entries = json.loads(simulator.request("/simulator/log"))
    return [entry["unix_time"] for entry in entries if entry["endpoint"] == "status"]


def lost(answers: list[float], held: list[float]) -> list[float]:
    """Return the answers within what is held that have no sample, which was read at most half a beat away."""
    within = [answer for answer in answers if held[0] - 0.5 < answer < held[-1]]
    assert len(within) > _OUTAGE_BEATS
    return [answer for answer in within if min(abs(answer - moment) for moment in held) > 0.5]


def test_nothing_is_spooled_while_the_link_is_up_and_a_stop_ends_the_series(
    receiver: Prometheus, simulator: Simulator, run_agent: RunAgent
) -> None:
    agent = run_agent(config(simulator, f"{receiver.url}/api/v1/write"))
    wait_until(lambda: len(readings(receiver)) >= 5, "the first samples")
    spool = Path(agent.log_file).parent / "state-config/spool"
    assert waiting_files(spool) == []
    ((_, waiting),) = receiver.query('sonnen_agent_spool_samples{sink="remote_write"}')
    assert waiting == 0
    # The agent tells of itself every 15 s.
    receiver.wait_for('sonnen_agent_sends_total{sink="remote_write",outcome="ok"}')

    assert agent.stop() == 0

    wait_until(lambda: not receiver.query('sonnen_production_watts{instance="home"}'), "the series to end")
    assert not receiver.query('sonnen_build_info{job="sonnen_agent"}')


def test_a_silent_battery_ends_its_gauges_and_keeps_its_counters(
    receiver: Prometheus, simulator: Simulator, run_agent: RunAgent
) -> None:
    run_agent(config(simulator, f"{receiver.url}/api/v1/write"))
    wait_until(lambda: len(readings(receiver)) >= 5, "the first samples")

    simulator.stop()

    wait_until(lambda: not receiver.query('sonnen_production_watts{instance="home"}'), "the gauge to end")
    assert [value for _, value in receiver.query('sonnen_online{instance="home"}')] == [0]
    assert receiver.query('sonnen_production_watt_hours_total{instance="home"}')


def test_victoria_metrics_holds_every_beat_of_an_outage(
    running: ExitStack, tmp_path: Path, simulator: Simulator, run_agent: RunAgent
) -> None:
    victoria = running.enter_context(VictoriaMetrics(tmp_path))

    def moments() -> list[int]:
        lines = victoria.request("/api/v1/export", **{"match[]": 'sonnen_production_watts{instance="home"}'})
        return sorted(moment for line in lines.splitlines() for moment in timestamps(line))

    agent = run_agent(config(simulator, f"{victoria.url}/api/v1/write"))
    wait_until(lambda: len(moments()) >= 5, "the first samples")
    victoria.stop()
    before = beats(simulator)
    wait_until(lambda: beats(simulator) >= before + _OUTAGE_BEATS, "beats in the outage")
    victoria.start()
    wait_until(lambda: len(moments()) >= beats(simulator) - 3, "the backlog", seconds=60)

    held = moments()
    assert max(Counter(held).values()) == 1
    assert lost(asked(simulator), [moment / 1000 for moment in held]) == []
    assert agent.exit_code is None


def timestamps(line: bytes) -> list[int]:
    exported = json.loads(line)
    return [
        moment for moment, value in zip(exported["timestamps"], exported["values"], strict=True) if value is not None
    ]


def more_beats(simulator: Simulator, number: int) -> bool:
    return beats(simulator) >= number


def test_no_counter_goes_backwards_when_the_agent_is_killed_and_nobody_can_be_asked(
    receiver: Prometheus, simulator: Simulator, run_agent: RunAgent
) -> None:
    agent = run_agent(config(simulator, f"{receiver.url}/api/v1/write"))
    for life in range(1, 4):
        wait_until(partial(more_beats, simulator, 5 * life), "some beats")
        agent.kill()
        agent.start()
    wait_until(lambda: len(readings(receiver)) >= beats(simulator) - 8, "the last samples")

    selector = '{__name__=~"sonnen_.*_watt_hours_total|sonnen_observed_seconds_total",instance="home"}[1h]'
    series = receiver.query_range_samples(selector)
    assert len(series) > 10
    for labels, samples in series:
        values = [value for _, value in samples if not math.isnan(value)]
        assert values == sorted(values), labels
