from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
from faulty_simulator import FaultySimulator as Simulator

from sonnen_agent.battery.battery import Battery
from sonnen_agent.errors import Outcome
from sonnen_agent.observer import Observer
from sonnen_agent.reading import Endpoint

SLOW: tuple[Endpoint, ...] = ("powermeter", "latestdata", "battery", "inverter", "configurations")
LABELS = {"host": "sonnen-a"}


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    # So slow that the house stands still.
    start = datetime(2024, 6, 20, 10, 0, tzinfo=UTC)
    with Simulator(generation="sb10", seed=1, start=start, token="right", speed=1e-6) as simulator:
        yield simulator


def ignore(endpoint: Endpoint, outcome: Outcome, seconds: float) -> None:
    del endpoint, outcome, seconds


@pytest.fixture
def observer(simulator: Simulator) -> Iterator[Observer]:
    with closing(Battery("home", simulator.url, "right", interval_seconds=5, record=ignore)) as battery:
        yield Observer("home", battery, LABELS, timeout_seconds=5)


@pytest.fixture(autouse=True)
def log_level(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level("INFO", logger="sonnen_agent.observer"):
        yield


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return what the observer logged since the last time."""
    records = [record for record in caplog.records if record.name == "sonnen_agent.observer"]
    caplog.clear()
    return [(record.levelname, record.getMessage()) for record in records]


def test_an_online_battery_has_a_reading(observer: Observer) -> None:
    snapshot = observer.observe()

    assert (snapshot.battery, snapshot.labels) == ("home", LABELS)
    assert snapshot.reading is not None
    assert snapshot.reading.status.has_power
    assert snapshot.last_reading_unix_seconds == snapshot.reading.unix_seconds
    assert snapshot.endpoints == dict.fromkeys(("status", *SLOW), True)
    assert snapshot.states is None
    assert snapshot.taken_monotonic_seconds >= snapshot.reading.monotonic_seconds


def test_an_offline_battery_has_none_but_the_time_of_the_last_one(simulator: Simulator, observer: Observer) -> None:
    before = observer.observe()
    simulator.set_fault("error")
    snapshot = observer.observe()

    assert snapshot.reading is None
    assert snapshot.states is None
    assert snapshot.labels == LABELS
    assert snapshot.last_reading_unix_seconds == before.last_reading_unix_seconds
    assert not snapshot.endpoints["status"]
    assert snapshot.taken_monotonic_seconds > before.taken_monotonic_seconds


def test_a_battery_that_was_never_read_has_no_time_of_a_last_reading(simulator: Simulator, observer: Observer) -> None:
    simulator.set_fault("error")

    assert observer.observe().last_reading_unix_seconds is None


def test_a_starting_battery_is_offline_and_tells_its_states(simulator: Simulator, observer: Observer) -> None:
    simulator.set_fault("boot")
    snapshot = observer.observe()

    assert snapshot.reading is None
    assert snapshot.states is not None
    assert snapshot.states.states["core"] == "config"
    assert snapshot.endpoints["status"]


def test_a_battery_that_works_is_not_worth_a_word(observer: Observer, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        observer.observe()

    assert said(caplog) == []


def test_going_is_one_warning_and_coming_back_one_line(
    simulator: Simulator, observer: Observer, caplog: pytest.LogCaptureFixture
) -> None:
    observer.observe()
    simulator.set_fault("error")
    for _ in range(3):
        observer.observe()

    answer = 'answered 500: {"error":"internal server error"}'
    assert said(caplog) == [("WARNING", f"home: not readable (http_error): {simulator.url}/api/v2/status: {answer}")]

    simulator.clear_faults()
    for _ in range(3):
        observer.observe()

    assert said(caplog) == [("INFO", "home: readable again")]


def test_a_battery_that_is_gone_from_the_start_is_one_warning(
    simulator: Simulator, observer: Observer, caplog: pytest.LogCaptureFixture
) -> None:
    simulator.set_fault("boot")
    for _ in range(3):
        observer.observe()

    states = "bms not ready, core config, inverter not ready"
    reason = f"the battery is starting ({states}): its values are not measured yet"
    assert said(caplog) == [("WARNING", f"home: not readable (not_ready): {reason}")]


def test_a_second_going_is_told_like_the_first(
    simulator: Simulator, observer: Observer, caplog: pytest.LogCaptureFixture
) -> None:
    observer.observe()
    for _ in range(2):
        simulator.set_fault("html")
        observer.observe()
        simulator.clear_faults()
        observer.observe()

    assert [level for level, _ in said(caplog)] == ["WARNING", "INFO", "WARNING", "INFO"]


def test_another_reason_while_it_is_gone_is_no_news(
    simulator: Simulator, observer: Observer, caplog: pytest.LogCaptureFixture
) -> None:
    simulator.set_fault("html")
    observer.observe()
    said(caplog)
    simulator.clear_faults()
    simulator.set_fault("reset")
    observer.observe()

    assert said(caplog) == []


def test_a_refusal_is_told_even_if_the_battery_was_gone_before(
    simulator: Simulator, observer: Observer, caplog: pytest.LogCaptureFixture
) -> None:
    observer.observe()
    simulator.set_fault("error")
    observer.observe()
    said(caplog)
    simulator.set_fault("unauthorized")
    for _ in range(3):
        observer.observe()

    [(level, message)] = said(caplog)
    assert level == "WARNING"
    assert message.startswith("home: not readable (unauthorized): ")
    assert "update token_file" in message
