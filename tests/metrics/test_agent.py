import pytest
from prometheus_client.core import Metric

from sonnen_agent.errors import Outcome
from sonnen_agent.metrics.agent import AGENT_LABELS, agent_families
from sonnen_agent.reading import Endpoint
from sonnen_agent.telemetry import AgentInfo, Counts, Telemetry

ALWAYS = {
    ("sonnen_build_info", (("pythonversion", "3.11.2"), ("revision", "0123abc"), ("version", "1.2.3"))): 1.0,
    ("sonnen_agent_start_time_seconds", ()): 1700000000.5,
}

_RELAYED: tuple[tuple[str, Outcome], ...] = (
    ("node", "ok"),
    ("node", "timeout"),
    ("smart", "ok"),
    ("node", "ok"),
    ("smart", "invalid"),
)

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


ABOUT = AgentInfo(build={("1.2.3", "0123abc", "3.11.2"): 1}, start_unix_seconds=1700000000.5)


def series(counts: Counts) -> Series:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in agent_families(ABOUT, counts, {})
        for sample in family.samples
    }


def test_an_agent_that_did_nothing_yet_says_which_build_it_is_and_since_when() -> None:
    assert series(Counts()) == ALWAYS


def test_reads_are_counted_by_battery_endpoint_and_outcome() -> None:
    assert series(Counts(reads={("home", "status", "ok"): 5, ("home", "battery", "timeout"): 1})) == {
        **ALWAYS,
        ("sonnen_agent_reads_total", (("battery", "home"), ("endpoint", "status"), ("outcome", "ok"))): 5,
        ("sonnen_agent_reads_total", (("battery", "home"), ("endpoint", "battery"), ("outcome", "timeout"))): 1,
    }


def test_a_duration_is_a_count_and_a_sum() -> None:
    counts = Counts(
        timed_reads={("home", "status"): 3},
        read_seconds={("home", "status"): 0.75},
        timed_sends={"pushgateway": 2},
        send_seconds={"pushgateway": 1.5},
    )
    labels = (("battery", "home"), ("endpoint", "status"))
    assert series(counts) == {
        **ALWAYS,
        ("sonnen_agent_read_seconds_count", labels): 3,
        ("sonnen_agent_read_seconds_sum", labels): 0.75,
        ("sonnen_agent_send_seconds_count", (("sink", "pushgateway"),)): 2,
        ("sonnen_agent_send_seconds_sum", (("sink", "pushgateway"),)): 1.5,
    }


def test_deliveries_and_their_bytes_are_counted_by_sink() -> None:
    counts = Counts(
        sends={("pushgateway", "ok"): 9, ("pushgateway", "closed"): 1}, sent_bytes={"pushgateway": 2_000_000}
    )
    assert series(counts) == {
        **ALWAYS,
        ("sonnen_agent_sends_total", (("outcome", "ok"), ("sink", "pushgateway"))): 9,
        ("sonnen_agent_sends_total", (("outcome", "closed"), ("sink", "pushgateway"))): 1,
        ("sonnen_agent_sent_bytes_total", (("sink", "pushgateway"),)): 2_000_000,
    }


def test_missed_beats_start_at_zero_so_that_the_first_one_is_an_increase() -> None:
    assert series(Telemetry(("home", "garage")).counts()) == {
        **ALWAYS,
        ("sonnen_agent_missed_beats_total", (("battery", "home"),)): 0,
        ("sonnen_agent_missed_beats_total", (("battery", "garage"),)): 0,
    }


def test_relays_are_up_or_not_and_their_requests_are_counted_by_outcome() -> None:
    telemetry = Telemetry(())
    for relay, outcome in _RELAYED:
        telemetry.record_relay(relay, outcome)
    assert series(telemetry.counts()) == {
        **ALWAYS,
        ("sonnen_agent_relay_up", (("relay", "node"),)): 1,
        ("sonnen_agent_relay_up", (("relay", "smart"),)): 0,
        ("sonnen_agent_relay_reads_total", (("outcome", "timeout"), ("relay", "node"))): 1,
        ("sonnen_agent_relay_reads_total", (("outcome", "ok"), ("relay", "node"))): 2,
        ("sonnen_agent_relay_reads_total", (("outcome", "ok"), ("relay", "smart"))): 1,
        ("sonnen_agent_relay_reads_total", (("outcome", "invalid"), ("relay", "smart"))): 1,
    }


@pytest.mark.parametrize("endpoint", ["status", "powermeter"])
def test_what_telemetry_was_told_is_what_is_shown(endpoint: Endpoint) -> None:
    telemetry = Telemetry(("home",))
    telemetry.record_read("home", endpoint, "ok", 0.25)
    telemetry.record_read("home", endpoint, "ok", 0.5)
    telemetry.record_read("home", endpoint, "timeout", 2.0)
    telemetry.record_send("pushgateway", "ok", 0.125, 1000)
    telemetry.record_send("pushgateway", "refused", 0.25, 24)
    telemetry.record_missed_beats("home", 2)
    telemetry.record_missed_beats("home", 1)
    labels = (("battery", "home"), ("endpoint", endpoint))
    assert series(telemetry.counts()) == {
        **ALWAYS,
        ("sonnen_agent_reads_total", (*labels, ("outcome", "ok"))): 2,
        ("sonnen_agent_reads_total", (*labels, ("outcome", "timeout"))): 1,
        ("sonnen_agent_read_seconds_count", labels): 3,
        ("sonnen_agent_read_seconds_sum", labels): 2.75,
        ("sonnen_agent_sends_total", (("outcome", "ok"), ("sink", "pushgateway"))): 1,
        ("sonnen_agent_sends_total", (("outcome", "refused"), ("sink", "pushgateway"))): 1,
        ("sonnen_agent_send_seconds_count", (("sink", "pushgateway"),)): 2,
        ("sonnen_agent_send_seconds_sum", (("sink", "pushgateway"),)): 0.375,
        ("sonnen_agent_sent_bytes_total", (("sink", "pushgateway"),)): 1024,
        ("sonnen_agent_missed_beats_total", (("battery", "home"),)): 3,
    }


def test_counts_that_were_given_out_do_not_change_any_more() -> None:
    telemetry = Telemetry(("home",))
    before = telemetry.counts()
    telemetry.record_read("home", "status", "ok", 1.0)
    telemetry.record_missed_beats("home", 1)
    assert before == Telemetry(("home",)).counts()


def test_what_is_known_of_the_process_comes_along() -> None:
    process = Metric("process_open_fds", "Number of open file descriptors.", "gauge")
    assert agent_families(ABOUT, Counts(), {}, [process])[-1] is process


def test_the_labels_of_the_agents_series_are_those_beside_a_batterys() -> None:
    assert {"battery", "outcome", "pythonversion", "relay", "revision", "sink", "timezone", "version"} == AGENT_LABELS
