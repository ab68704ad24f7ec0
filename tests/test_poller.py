from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime

import pytest
from box import Box, no_errors_left
from faulty_simulator import FaultySimulator
from programs import free_port
from prometheus_client.core import Metric
from sample_groups import HOME, shared_meter
from status_fields import RAW_STATUS

from sonnen_agent.battery import BatteryOptions
from sonnen_agent.battery.battery import Battery
from sonnen_agent.clock import Deadline
from sonnen_agent.destination import Destination, Secret
from sonnen_agent.energy.counters import Counters, EnergyCounters
from sonnen_agent.energy.meter import EnergyMeter
from sonnen_agent.energy.state import MeterState
from sonnen_agent.errors import BatteryError, Outcome
from sonnen_agent.group import Group
from sonnen_agent.poller import Poller
from sonnen_agent.reading import Endpoint, Reading, Status
from sonnen_agent.shared_meter import SharedMeter, Start
from sonnen_agent.systemd import reading_words

ENDPOINTS: tuple[Endpoint, ...] = ("status", "powermeter", "latestdata", "battery", "inverter", "configurations")
LABELS = {"host": "sonnen-a"}


@pytest.fixture
def simulator() -> Iterator[FaultySimulator]:
    # So slow that the house stands still.
    start = datetime(2024, 6, 20, 10, 0, tzinfo=UTC)
    with FaultySimulator(generation="sb10", seed=1, start=start, token="right", speed=1e-6) as simulator:
        yield simulator


def ignore(endpoint: Endpoint, outcome: Outcome, seconds: float) -> None:
    del endpoint, outcome, seconds


def polling(simulator: FaultySimulator, meter: SharedMeter) -> Poller:
    options = BatteryOptions(
        name="home", destination=Destination(url=simulator.url), token=Secret("right"), labels=LABELS
    )
    battery = Battery(options, interval_seconds=5, record=ignore)
    return Poller(battery, meter, HOME, interval_seconds=5)


@pytest.fixture
def poller(simulator: FaultySimulator) -> Iterator[Poller]:
    with closing(polling(simulator, shared_meter())) as poller:
        yield poller


def poll(poller: Poller) -> Group:
    return poller.poll(Deadline.of_beat(5))


@pytest.fixture(autouse=True)
def log_level(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level("INFO", logger="sonnen_agent.poller"):
        yield


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return what the poller logged since the last time."""
    records = [record for record in caplog.records if record.name == "sonnen_agent.poller"]
    caplog.clear()
    return [(record.levelname, record.getMessage()) for record in records]


def values(group: Group, name: str, label: str = "host") -> Mapping[str, float]:
    """Return the values of a metric by a label."""
    return {
        sample.labels[label]: sample.value
        for family in group.families
        for sample in family.samples
        if sample.name == name
    }


def shown(counters: tuple[Metric, ...] | None) -> Mapping[str, float]:
    """Return the value of each counter that has no labels of its own."""
    samples = (sample for family in counters or () for sample in family.samples)
    return {sample.name: sample.value for sample in samples if sample.labels == LABELS}


def test_an_online_battery_has_a_reading(poller: Poller) -> None:
    group = poll(poller)

    assert group.key == HOME
    assert poller.reading is not None
    assert poller.reading.status.has_power
    assert values(group, "sonnen_online") == {"sonnen-a": 1}
    assert values(group, "sonnen_production_watts") == {"sonnen-a": poller.reading.status.production_watts}
    read_at = pytest.approx(poller.reading.unix_seconds, abs=0.001)
    assert values(group, "sonnen_last_reading_timestamp_seconds") == {"sonnen-a": read_at}
    assert values(group, "sonnen_endpoint_up", "endpoint") == dict.fromkeys(ENDPOINTS, 1)
    assert group.taken_monotonic_seconds >= poller.reading.monotonic_seconds


def test_every_series_has_the_labels_of_the_config(poller: Poller) -> None:
    poll(poller)
    group = poll(poller)

    families = (*group.families, *(group.counters or ()))
    assert group.counters
    assert {sample.labels.get("host") for family in families for sample in family.samples} == {"sonnen-a"}


def test_a_group_may_be_shown_for_three_beats(poller: Poller) -> None:
    assert poll(poller).shown_seconds == 15


def test_an_offline_battery_has_none_but_the_time_of_the_last_one(simulator: FaultySimulator, poller: Poller) -> None:
    before = poll(poller)
    simulator.set_fault("error")
    group = poll(poller)

    assert poller.reading is None
    assert values(group, "sonnen_online") == {"sonnen-a": 0}
    assert values(group, "sonnen_component_state", "component") == {}
    assert values(group, "sonnen_production_watts") == {}
    assert values(group, "sonnen_last_reading_timestamp_seconds") == values(
        before, "sonnen_last_reading_timestamp_seconds"
    )
    assert values(group, "sonnen_endpoint_up", "endpoint")["status"] == 0
    assert group.taken_monotonic_seconds > before.taken_monotonic_seconds


def test_a_battery_that_was_never_read_has_no_time_of_a_last_reading(
    simulator: FaultySimulator, poller: Poller
) -> None:
    simulator.set_fault("error")

    assert values(poll(poller), "sonnen_last_reading_timestamp_seconds") == {}


def test_a_battery_was_asked_once_it_was_whatever_it_said(simulator: FaultySimulator, poller: Poller) -> None:
    simulator.set_fault("error")
    assert (poller.name, poller.asked) == ("home", False)

    poll(poller)

    assert poller.asked


def test_a_starting_battery_is_offline_and_tells_its_states(simulator: FaultySimulator, poller: Poller) -> None:
    simulator.set_fault("boot")
    group = poll(poller)

    assert poller.reading is None
    assert values(group, "sonnen_online") == {"sonnen-a": 0}
    assert values(group, "sonnen_component_state", "state")["config"] == 1
    assert values(group, "sonnen_endpoint_up", "endpoint")["status"] == 1
    assert values(group, "sonnen_production_watts") == {}


def test_energy_is_counted_from_one_reading_to_the_next_and_stays_while_the_battery_is_gone(
    simulator: FaultySimulator, poller: Poller
) -> None:
    first = poll(poller)
    second = poll(poller)
    simulator.set_fault("error")
    third = poll(poller)

    assert shown(first.counters) == {}
    assert shown(second.counters)["sonnen_observed_seconds_total"] > 0
    assert shown(third.counters) == shown(second.counters)
    assert shown(second.certain_counters) == shown(second.counters)


def test_nothing_is_shown_of_counters_that_are_not_settled(simulator: FaultySimulator) -> None:
    meter = shared_meter(settled=False)
    with closing(polling(simulator, meter)) as poller:
        before = poll(poller)
        meter.recover(None)
        after = poll(poller)

    assert (before.counters, before.certain_counters) == (None, ())
    assert shown(after.counters)["sonnen_observed_seconds_total"] > 0


def test_after_a_crash_receivers_that_cannot_be_asked_get_what_is_certain(simulator: FaultySimulator) -> None:
    state = MeterState(
        tally=Counters(energies=EnergyCounters(totals_watt_hours={"production": 5_000}, observed_seconds=10))
    )
    crashed = Start(clean=False, same_boot=False, saved_unix_seconds=0)
    meter = SharedMeter(EnergyMeter(zone=UTC, state=state), lambda: None, crashed, asks=True)
    # It has been there since before, and was pushed nothing since then.
    meter.recover(None, started_unix_seconds=-1)
    with closing(polling(simulator, meter)) as poller:
        group = poll(poller)

    assert shown(group.counters)["sonnen_production_watt_hours_total"] == 5_000
    assert "sonnen_production_watt_hours_total" not in shown(group.certain_counters)


def test_a_battery_that_works_is_not_worth_a_word(poller: Poller, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        poll(poller)

    assert said(caplog) == []


def test_going_is_one_warning_and_coming_back_one_line(
    simulator: FaultySimulator, poller: Poller, caplog: pytest.LogCaptureFixture
) -> None:
    poll(poller)
    simulator.set_fault("error")
    for _ in range(3):
        poll(poller)

    answer = 'answered 500: {"error":"internal server error"}; it may be restarting, as batteries do at night'
    assert said(caplog) == [("WARNING", f"home: not readable (http_error): {simulator.url}/api/v2/status: {answer}")]

    simulator.clear_faults()
    for _ in range(3):
        poll(poller)

    assert said(caplog) == [("INFO", "home: readable again")]


def test_a_battery_that_is_gone_from_the_start_is_one_warning(
    simulator: FaultySimulator, poller: Poller, caplog: pytest.LogCaptureFixture
) -> None:
    simulator.set_fault("boot")
    for _ in range(3):
        poll(poller)

    states = "bms not ready, core config, inverter not ready"
    reason = f"the battery is starting ({states}): its values are not measured yet"
    assert said(caplog) == [("WARNING", f"home: not readable (not_ready): {reason}")]


def test_a_battery_that_is_away_at_the_start_is_back_within_three_beats_once_it_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    destination = Destination(url=f"http://127.0.0.1:{free_port()}")
    battery = Battery(BatteryOptions(name="home", destination=destination), interval_seconds=5, record=ignore)
    with closing(Poller(battery, shared_meter(), HOME, interval_seconds=5)) as poller:
        for _ in range(5):
            poll(poller)
            assert poller.reading is None
        with FaultySimulator(port=destination.port):
            online = [poller.reading is not None for _ in range(3) if poll(poller)]

    assert online[-1]
    (level, message), back = said(caplog)
    assert level == "WARNING"
    assert message.startswith("home: not readable (refused): ")
    assert back == ("INFO", "home: readable again")


def test_a_second_going_is_told_like_the_first_and_what_comes_and_goes_not_for_ever(
    simulator: FaultySimulator, poller: Poller, caplog: pytest.LogCaptureFixture
) -> None:
    poll(poller)
    for _ in range(10):
        simulator.set_fault("html")
        poll(poller)
        simulator.clear_faults()
        poll(poller)

    # That it is readable again is told the second time after a minute of being it.
    assert [level for level, _ in said(caplog)] == ["WARNING", "INFO", "WARNING"]


def test_another_reason_while_it_is_gone_is_no_news(
    simulator: FaultySimulator, poller: Poller, caplog: pytest.LogCaptureFixture
) -> None:
    simulator.set_fault("html")
    poll(poller)
    said(caplog)
    simulator.clear_faults()
    simulator.set_fault("reset")
    poll(poller)

    assert said(caplog) == []


def test_a_failure_leaves_no_exception_behind(simulator: FaultySimulator, poller: Poller) -> None:
    simulator.set_fault("html")

    with no_errors_left():
        poll(poller)


def test_a_refusal_is_told_even_if_the_battery_was_gone_before(
    simulator: FaultySimulator, poller: Poller, caplog: pytest.LogCaptureFixture
) -> None:
    poll(poller)
    simulator.set_fault("error")
    poll(poller)
    said(caplog)
    simulator.set_fault("unauthorized")
    for _ in range(3):
        poll(poller)

    [(level, message)] = said(caplog)
    assert level == "WARNING"
    assert message.startswith("home: not readable (unauthorized): ")
    assert "update token_file" in message


class ScriptedBattery(Battery):
    """A battery that is readable or not as a test says, without the waiting after a refusal."""

    def __init__(self, *outcomes: Outcome) -> None:
        options = BatteryOptions(name="home", destination=Destination(url="http://127.0.0.1:9"))
        super().__init__(options, interval_seconds=5, record=ignore)
        self._outcomes = iter(outcomes)

    def read(self, deadline: Deadline) -> Reading:
        del deadline
        outcome = next(self._outcomes)
        if outcome != "ok":
            raise BatteryError(outcome, "said so")
        return Reading(status=Status(), generation="v2", unix_seconds=0, monotonic_seconds=0)


def test_a_refusal_is_told_once_until_the_battery_was_readable(caplog: pytest.LogCaptureFixture) -> None:
    outcomes: tuple[Outcome, ...] = ("timeout", "unauthorized", "timeout", "unauthorized", "ok", "unauthorized")
    poller = Poller(ScriptedBattery(*outcomes), shared_meter(), HOME, interval_seconds=5)
    for _ in outcomes:
        poll(poller)

    assert [message.partition(":")[2] for _, message in said(caplog)] == [
        " not readable (timeout): said so",
        " not readable (unauthorized): said so",
        " readable again",
        " not readable (unauthorized): said so; as it comes and goes, it is told once an hour from now on",
    ]


SHINING = RAW_STATUS | {"Production_W": 4100, "Consumption_W": 600, "GridFeedIn_W": 2300, "Pac_total_W": -1200}
WELL = {"ic_status": {"statebms": "ready", "statecorecontrolmodule": "ongrid", "stateinverter": "running"}}
ILL = {
    "ic_status": {
        "statebms": "not ready",
        "statecorecontrolmodule": "ongrid",
        "stateinverter": "error",
        "Eclipse Led": {"Blinking Red": True},
        "DC Shutdown Reason": {"HW_Shutdown": True},
    }
}


@pytest.fixture
def box_poller(box: Box) -> Iterator[Poller]:
    box.answers = {"/api/v2/status": SHINING, "/api/v2/latestdata": WELL}
    options = BatteryOptions(
        name="home", destination=Destination(url=f"http://127.0.0.1:{box.port}"), token=Secret("right"), labels=LABELS
    )
    with closing(
        Poller(Battery(options, interval_seconds=5, record=ignore), shared_meter(), HOME, interval_seconds=5)
    ) as poller:
        yield poller


def test_a_fault_is_no_start_what_is_measured_goes_on_and_one_line_tells_the_parts(
    box: Box, box_poller: Poller, caplog: pytest.LogCaptureFixture
) -> None:
    poll(box_poller)
    said(caplog)
    silent = SHINING | {"Uac": 0, "Ubat": 0, "Fac": 0, "Pac_total_W": 0, "GridFeedIn_W": 3500}
    box.answers = {"/api/v2/status": silent, "/api/v2/latestdata": ILL}

    for _ in range(3):
        group = poll(box_poller)

    # The status is asked at every beat, the states not: that the inverter is silent hurries them.
    assert values(group, "sonnen_fault", "part") == dict.fromkeys(("bms", "inverter", "system", "dc"), 1)
    assert values(group, "sonnen_online") == {"sonnen-a": 1}
    assert values(group, "sonnen_production_watts") == {"sonnen-a": 4100}
    assert values(group, "sonnen_battery_volts") == {}
    assert shown(group.counters)["sonnen_production_watt_hours_total"] > 0
    assert box_poller.reading is not None
    assert reading_words(box_poller.reading, asked=True).endswith("fault: bms and inverter and dc and system")
    parts = "bms: not ready; inverter: error, its volts and hertz are 0; dc: HW_Shutdown; system: Blinking Red"
    assert said(caplog) == [("WARNING", f"home: fault ({parts}); what is still measured goes on")]

    box.answers = {"/api/v2/status": SHINING, "/api/v2/latestdata": WELL}
    for _ in range(2):
        group = poll(box_poller)

    assert values(group, "sonnen_fault", "part") == {}
    assert said(caplog) == [("INFO", "home: no part is at fault any more")]


def test_a_spike_is_one_line_is_not_shown_and_not_counted(
    box: Box, box_poller: Poller, caplog: pytest.LogCaptureFixture
) -> None:
    poll(box_poller)
    before = shown(poll(box_poller).counters)
    said(caplog)
    box.answers["/api/v2/status"] = SHINING | {"Consumption_W": 600_000}

    for _ in range(2):
        group = poll(box_poller)

    assert values(group, "sonnen_consumption_watts") == values(group, "sonnen_power_balance_watts") == {}
    assert values(group, "sonnen_production_watts") == {"sonnen-a": 4100}
    assert shown(group.counters) == before
    refused = {
        sample.labels["reason"]: sample.value
        for family in group.counters or ()
        for sample in family.samples
        if sample.name == "sonnen_refused_readings_total"
    }
    assert refused == {"spike": 2, "balance": 0, "frozen": 0, "meter_error": 0}
    words = "consumption 600000 W: the battery's other powers do not know of it, or no such house is"
    assert said(caplog) == [("WARNING", f"home: {words}")]

    box.answers["/api/v2/status"] = SHINING
    poll(box_poller)

    assert said(caplog) == [("INFO", "home: all that is read is counted again")]


def test_an_answer_of_long_ago_is_refused_and_counted(
    box: Box, box_poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll(box_poller)
    poll(box_poller)
    monkeypatch.setattr("sonnen_agent.battery.probe._FROZEN_SECONDS", 0)

    group = poll(box_poller)

    assert values(group, "sonnen_online") == {"sonnen-a": 0}
    assert box_poller.reading is None
    (frozen,) = (
        sample.value
        for family in group.counters or ()
        for sample in family.samples
        if sample.labels.get("reason") == "frozen"
    )
    assert frozen == 1
    del box.answers["/api/v2/status"]
    assert [
        sample.value
        for family in poll(box_poller).counters or ()
        for sample in family.samples
        if sample.labels.get("reason") == "frozen"
    ] == [1]
