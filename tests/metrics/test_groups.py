from collections.abc import Iterable
from dataclasses import replace

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric

from sonnen_agent.metrics.groups import Grouping, GroupKey
from sonnen_agent.snapshot import AgentReport, RelayedPage, Snapshot
from sonnen_agent.telemetry import Counts

SNAPSHOT = Snapshot(battery="Küche ☀", labels={"floor": "0"}, reading=None, taken_monotonic_seconds=10)
REPORT = AgentReport(
    host="pi",
    version="1.2.3",
    revision="0123abc",
    python_version="3.11.2",
    start_unix_seconds=1700000000,
    counts=Counts(),
)

RELAYED = RelayedPage(
    relay="node",
    host="pi",
    page=b"# TYPE reads counter\nreads 7\n",
    interval_seconds=15,
    taken_monotonic_seconds=10,
)


def test_a_snapshot_goes_into_the_group_of_its_battery() -> None:
    key, page = Grouping(job="sonnen").page(SNAPSHOT)
    assert key == GroupKey(job="sonnen", instance="Küche ☀")
    assert page == (
        b"# HELP sonnen_online 1 if the last reading of the battery succeeded, 0 if it did not.\n"
        b"# TYPE sonnen_online gauge\n"
        b'sonnen_online{floor="0"} 0.0\n'
    )


def test_a_report_goes_into_the_group_of_the_agent_on_its_host() -> None:
    key, page = Grouping(job="sonnen").page(REPORT)
    assert key == GroupKey(job="sonnen_agent", instance="pi")
    assert b'\nsonnen_build_info{pythonversion="3.11.2",revision="0123abc",version="1.2.3"} 1.0\n' in page
    assert b"sonnen_online" not in page


def test_a_relayed_page_goes_as_it_is_into_a_group_of_its_own_beside_the_agents() -> None:
    key, page = Grouping(job="sonnen").page(RELAYED)
    assert key == GroupKey(job="node", instance="pi")
    assert page == b"# TYPE reads counter\nreads 7\n"


def test_of_an_exporter_that_could_not_be_read_the_group_is_empty() -> None:
    key, page = Grouping(job="sonnen").page(replace(RELAYED, page=None))
    assert key == GroupKey(job="node", instance="pi")
    assert page == b""


def test_the_agents_group_follows_another_job() -> None:
    grouping = Grouping(job="house")
    assert grouping.battery_key("home") == GroupKey(job="house", instance="home")
    assert grouping.agent_key("pi") == GroupKey(job="house_agent", instance="pi")


def test_a_page_never_holds_the_labels_of_its_group() -> None:
    # A gateway refuses a page whose own labels contradict the group's.
    for item in (SNAPSHOT, REPORT):
        _, page = Grouping(job="sonnen").page(item)
        assert b"job=" not in page
        assert b"instance=" not in page


def test_the_process_is_measured_anew_for_each_page_of_the_agent_and_for_no_other() -> None:
    asked: list[str] = []
    process = ProcessCollector(registry=CollectorRegistry())

    def measure() -> Iterable[Metric]:
        asked.append("once")
        return process.collect()

    grouping = Grouping(job="sonnen", process_families=measure)
    _, page = grouping.page(REPORT)
    assert b"\nprocess_open_fds " in page
    grouping.page(SNAPSHOT)
    assert asked == ["once"]
    grouping.page(REPORT)
    assert asked == ["once", "once"]
