from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import pytest
from faulty_simulator import FaultySimulator as Simulator
from simulator_faults import FAULT_NAMES, FaultName

from sonnen_agent.battery import BatteryOptions
from sonnen_agent.battery.battery import Battery
from sonnen_agent.clock import Deadline
from sonnen_agent.destination import Destination, Secret
from sonnen_agent.details import Inverter, Pack
from sonnen_agent.errors import BatteryError, Outcome
from sonnen_agent.reading import Endpoint, Reading
from sonnen_agent.simulator.generations import GenerationName

pytestmark = pytest.mark.usefixtures("unhurried_battery")

TOKEN = "the-token"
START = datetime(2024, 6, 20, 10, 0, tzinfo=UTC)
ALL_SLOW: tuple[Endpoint, ...] = ("powermeter", "latestdata", "battery", "inverter", "configurations")
OUTCOMES: dict[FaultName, Outcome] = {
    "timeout": "timeout",
    "reset": "refused",
    "drip": "timeout",
    "unauthorized": "unauthorized",
    "error": "http_error",
    "html": "invalid",
    "truncated": "invalid",
    "garbage": "invalid",
    "huge": "invalid",
    "deep": "invalid",
    "redirect": "http_error",
}
"""What a request ends with under a fault that leaves nothing of an answer."""
LIMITS = {fault: 4 if outcome == "timeout" else 60 for fault, outcome in OUTCOMES.items()}
"""How many seconds a reading may take: short where its end is what is tested, but for a busy machine."""

Records = list[tuple[Endpoint, Outcome]]


@contextmanager
def simulated(generation: GenerationName = "sb10") -> Iterator[Simulator]:
    # So slow that the house stands still.
    with Simulator(generation=generation, seed=1, start=START, token=TOKEN, speed=1e-6) as simulator:
        yield simulator


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with simulated() as simulator:
        yield simulator


@pytest.fixture
def records() -> Records:
    return []


def battery_at(url: str, records: Records, token: str | None = TOKEN) -> Battery:
    return Battery(
        BatteryOptions(name="home", destination=Destination(url=url), token=None if token is None else Secret(token)),
        interval_seconds=5,
        record=lambda endpoint, outcome, _: records.append((endpoint, outcome)),
    )


@pytest.fixture
def battery(simulator: Simulator, records: Records) -> Iterator[Battery]:
    with closing(battery_at(simulator.url, records)) as battery:
        yield battery


def failure(battery: Battery, timeout_seconds: float = 60) -> BatteryError:
    with pytest.raises(BatteryError) as caught:
        battery.read(Deadline(timeout_seconds))
    return caught.value


def said(caplog: pytest.LogCaptureFixture, level: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == level]


def test_a_reading_has_what_every_endpoint_told(simulator: Simulator, battery: Battery, records: Records) -> None:
    reading = battery.read(Deadline(60))

    house = simulator.house
    assert reading.generation == "v2"
    assert reading.status.production_watts == pytest.approx(house.production_watts, abs=1)
    assert reading.status.consumption_watts == pytest.approx(house.consumption_watts, abs=1)
    assert reading.status.grid_feed_in_watts == pytest.approx(house.grid_feed_in_watts, abs=1)
    assert reading.status.discharge_watts == pytest.approx(house.discharge_watts, abs=1)
    assert {meter.direction for meter in reading.meters} == {"production", "consumption"}
    assert reading.inverter.grid_hertz == pytest.approx(50, abs=0.5)
    assert reading.pack.cycles == pytest.approx(371.6, abs=2)
    assert reading.system.states == {"bms": "ready", "core": "ongrid", "inverter": "running"}
    assert reading.configuration.firmware
    assert records == [("status", "ok"), *((endpoint, "ok") for endpoint in ALL_SLOW)]
    assert battery.endpoints() == dict.fromkeys(("status", *ALL_SLOW), True)
    assert battery.states is None


def test_another_token_is_used_at_the_next_beat_wherever_the_old_one_was_refused(simulator: Simulator) -> None:
    tokens = ["the-old-one"]
    options = BatteryOptions(
        name="home",
        destination=Destination(url=simulator.url),
        token=Secret("the-old-one", "", lambda _: tokens[-1]),
    )
    with closing(Battery(options, interval_seconds=5, record=lambda *_: None)) as battery:
        for _ in range(3):
            assert not battery.read(Deadline(60)).pack.cycles
        tokens.append(TOKEN)

        assert battery.read(Deadline(60)).pack.cycles
        assert battery.endpoints() == dict.fromkeys(("status", *ALL_SLOW), True)


def test_a_battery_has_the_time_that_the_config_gives_it_and_no_more(simulator: Simulator) -> None:
    options = BatteryOptions(name="home", destination=Destination(url=simulator.url), timeout_seconds=0.5)
    simulator.set_fault("timeout")

    with closing(Battery(options, interval_seconds=60, record=lambda *_: None)) as battery:
        error = failure(battery)

    assert error.outcome == "timeout"
    assert "no answer in time (waited 0." in str(error)


def test_the_next_beat_asks_the_status_only_and_keeps_the_rest(
    simulator: Simulator, battery: Battery, records: Records
) -> None:
    first = battery.read(Deadline(60))
    records.clear()
    second = battery.read(Deadline(60))

    assert records == [("status", "ok")]
    assert (second.meters, second.pack, second.system) == (first.meters, first.pack, first.system)
    assert second.monotonic_seconds > first.monotonic_seconds
    assert [request.path for request in simulator.requests][-1] == "/api/v2/status"


def test_the_token_goes_to_protected_v2_paths_only(simulator: Simulator, battery: Battery) -> None:
    battery.read(Deadline(60))
    simulator.set_fault("error", "powermeter")
    simulator.set_fault("unauthorized", "status")
    failure(battery)
    failure(battery)

    tokens = {request.path: request.auth_token for request in simulator.requests}
    # The status only when it was refused without.
    with_token = {f"/api/v2/{name}" for name in ("status", *ALL_SLOW)}
    assert {path for path, token in tokens.items() if token is not None} == with_token
    assert {"/api/v2/status", "/api/v1/status", "/rest/devices/battery"} <= set(tokens)


@pytest.mark.parametrize(
    ("generation", "variant", "asked"),
    [
        ("eco8", "v1", ["/api/v2/status", "/api/v1/status", "/api/powermeter", "/api/battery", "/api/inverter"]),
        ("eco6", "eco6", ["/api/v2/status", "/api/v1/status", "/rest/devices/battery"]),
    ],
)
def test_an_older_battery_is_read_without_the_token(
    records: Records, generation: GenerationName, variant: str, asked: list[str]
) -> None:
    with simulated(generation) as simulator, closing(battery_at(simulator.url, records)) as battery:
        reading = battery.read(Deadline(60))

        assert [(request.path, request.auth_token) for request in simulator.requests] == [
            (path, None) for path in asked
        ]
        assert reading.generation == variant
        assert reading.status.production_watts == pytest.approx(simulator.house.production_watts, abs=1)
        balance = reading.status.power_balance_watts
        assert balance is not None
        assert abs(balance) < 40


def test_an_eco8_has_the_meters_and_probes_of_its_legacy_api(records: Records) -> None:
    with simulated("eco8") as simulator, closing(battery_at(simulator.url, records)) as battery:
        reading = battery.read(Deadline(60))

        assert {meter.direction for meter in reading.meters} == {"production", "consumption"}
        assert None not in reading.inverter.grid_volts
        assert set(reading.inverter.temperatures) == {"bdc", "hmi", "pu"}
        assert battery.endpoints() == {"status": True, "powermeter": True, "inverter": True}


def test_the_newest_firmware_is_read_without_its_nulls(records: Records) -> None:
    with simulated("evo") as simulator, closing(battery_at(simulator.url, records)) as battery:
        reading = battery.read(Deadline(60))

        assert reading.status.apparent_output_voltamperes == (None, None, None)
        assert reading.inverter.grid_hertz is None
        assert [meter.volts[1:] for meter in reading.meters] == [(None, None), (None, None)]
        assert reading.pack.full_charge_capacity_watt_hours == pytest.approx(20_683, abs=1000)


@pytest.mark.parametrize("fault", [fault for fault in OUTCOMES if fault != "unauthorized"])
def test_a_fault_of_the_status_fails_a_reading_and_the_next_one_recovers(
    simulator: Simulator, battery: Battery, records: Records, fault: FaultName
) -> None:
    before = battery.read(Deadline(60))
    records.clear()
    simulator.set_fault(fault)

    error = failure(battery, LIMITS[fault])

    assert error.outcome == OUTCOMES[fault]
    assert str(error).startswith(f"{simulator.url}/api/v2/status: ")
    assert records == [("status", OUTCOMES[fault])]
    assert not battery.endpoints()["status"]

    simulator.clear_faults()
    after = battery.read(Deadline(60))

    assert after.status.production_watts == before.status.production_watts
    assert battery.endpoints()["status"]


@pytest.mark.parametrize("fault", OUTCOMES)
def test_a_battery_that_is_faulty_from_the_start_is_recorded_in_every_variant(
    simulator: Simulator, battery: Battery, records: Records, fault: FaultName
) -> None:
    simulator.set_fault(fault)

    assert failure(battery, LIMITS[fault]).outcome == OUTCOMES[fault]
    assert Counter(records).keys() == {("status", OUTCOMES[fault])}
    assert battery.endpoints() == {"status": False}


def test_a_refused_status_says_what_to_do_and_is_asked_twice(simulator: Simulator, battery: Battery) -> None:
    battery.read(Deadline(60))
    simulator.set_fault("unauthorized")

    error = failure(battery)
    assert error.outcome == "unauthorized"
    assert str(error).startswith(f"{simulator.url}/api/v2/status: answered 401: the API token is wrong")
    for _ in range(2):  # of the others, too
        assert failure(battery).outcome == "unauthorized"
    asked = len(simulator.requests)
    assert failure(battery).outcome == "unauthorized"
    assert len(simulator.requests) == asked


def test_a_stray_refusal_costs_one_beat(simulator: Simulator, battery: Battery) -> None:
    before = battery.read(Deadline(60))
    simulator.set_fault("unauthorized")
    assert failure(battery).outcome == "unauthorized"
    simulator.clear_faults()
    after = battery.read(Deadline(60))

    assert after.generation == before.generation == "v2"
    assert after.status.production_watts == before.status.production_watts
    assert after.pack is before.pack


@pytest.mark.parametrize("endpoint", ALL_SLOW)
def test_a_slow_endpoint_that_fails_is_its_own_affair(
    simulator: Simulator, battery: Battery, records: Records, endpoint: Endpoint
) -> None:
    simulator.set_fault("error", endpoint)

    battery.read(Deadline(60))

    assert records == [("status", "ok"), *((name, "http_error" if name == endpoint else "ok") for name in ALL_SLOW)]
    assert battery.endpoints() == dict.fromkeys(("status", *ALL_SLOW), True) | {endpoint: False}


@pytest.mark.parametrize("fault", OUTCOMES)
def test_a_fault_of_a_slow_endpoint_leaves_the_reading_whole(
    simulator: Simulator, battery: Battery, records: Records, fault: FaultName
) -> None:
    simulator.set_fault(fault, "battery")

    reading = battery.read(Deadline(LIMITS[fault]))

    assert ("battery", OUTCOMES[fault]) in records
    assert reading.pack == Pack()
    assert reading.status.has_power
    assert not battery.endpoints()["battery"]


def test_what_failed_costs_no_more_than_what_the_beat_has_left(simulator: Simulator, battery: Battery) -> None:
    simulator.set_fault("timeout", "powermeter")

    reading = battery.read(Deadline(4))

    assert reading.meters == ()
    assert battery.endpoints() == {"status": True, "powermeter": False}
    assert battery.read(Deadline(60)).pack != Pack()
    assert battery.endpoints() == dict.fromkeys(("status", *ALL_SLOW), True) | {"powermeter": False}


def test_every_request_is_recorded_once(simulator: Simulator, battery: Battery, records: Records) -> None:
    battery.read(Deadline(60))
    simulator.set_fault("html")
    failure(battery)
    simulator.clear_faults()
    battery.read(Deadline(60))

    assert len(records) == len(simulator.requests)


def test_a_status_of_nulls_is_no_reading(simulator: Simulator, battery: Battery) -> None:
    simulator.set_fault("nulls", "status")

    error = failure(battery)

    assert error.outcome == "invalid"
    assert str(error).endswith("/api/v2/status: the status holds no usable power value")


def test_slow_endpoints_of_nulls_say_nothing(simulator: Simulator, battery: Battery) -> None:
    for endpoint in ALL_SLOW:
        simulator.set_fault("nulls", endpoint)

    reading = battery.read(Deadline(60))

    assert reading.meters == ()
    assert (reading.pack, reading.inverter) == (Pack(), Inverter())
    assert reading.system.states == {}
    assert reading.clock_offset_seconds is None
    assert battery.endpoints() == dict.fromkeys(("status", *ALL_SLOW), True)


def test_a_starting_battery_is_not_ready_but_tells_its_states(
    simulator: Simulator, battery: Battery, records: Records
) -> None:
    simulator.set_fault("boot")

    error = failure(battery)

    assert error.outcome == "not_ready"
    assert str(error) == (
        "the battery is starting (bms not ready, core config, inverter not ready): its values are not measured yet"
    )
    assert battery.states is not None
    assert battery.states.states == {"bms": "not ready", "core": "config", "inverter": "not ready"}
    assert battery.states.leds["Pulsing Orange"]
    assert records[0] == ("status", "not_ready")
    assert ("latestdata", "not_ready") in records
    assert battery.endpoints() == dict.fromkeys(("status", *ALL_SLOW), True)


def test_a_battery_that_has_started_is_read_at_the_next_beat(simulator: Simulator, battery: Battery) -> None:
    simulator.set_fault("boot")
    failure(battery)
    failure(battery)
    simulator.clear_faults()

    assert battery.read(Deadline(60)).status.has_power
    assert battery.states is None


def test_states_alone_hold_readings_back(simulator: Simulator, battery: Battery, records: Records) -> None:
    simulator.set_fault("boot", "latestdata")

    assert failure(battery).outcome == "not_ready"
    assert records[0] == ("status", "ok")


def test_without_states_the_voltages_tell_that_a_battery_is_starting(records: Records) -> None:
    with simulated("eco8") as simulator, closing(battery_at(simulator.url, records)) as battery:
        simulator.set_fault("boot")

        error = failure(battery)

        assert error.outcome == "not_ready"
        assert str(error) == "the battery is starting: all that it measures is 0"
        assert battery.states is None


def test_a_starting_eco6_is_not_read_as_a_house_without_any_power(records: Records) -> None:
    with simulated("eco6") as simulator, closing(battery_at(simulator.url, records)) as battery:
        simulator.set_fault("boot")

        assert failure(battery).outcome == "not_ready"


def test_states_are_forgotten_when_the_battery_is_gone(simulator: Simulator, battery: Battery) -> None:
    simulator.set_fault("boot")
    failure(battery)
    simulator.set_fault("reset")
    failure(battery)

    assert battery.states is None


@pytest.mark.parametrize("fault", ["frozen", "clock_jump"])
def test_a_strange_clock_alone_fails_no_reading(simulator: Simulator, battery: Battery, fault: FaultName) -> None:
    before = battery.read(Deadline(60))
    simulator.set_fault(fault)

    assert battery.read(Deadline(60)).status.production_watts == before.status.production_watts


def test_a_clock_that_jumped_shows_in_the_offset(simulator: Simulator, battery: Battery) -> None:
    def offset(reading: Reading) -> float:
        assert reading.clock_offset_seconds is not None
        return reading.clock_offset_seconds

    before = offset(battery.read(Deadline(60)))
    simulator.set_fault("clock_jump")
    after = offset(battery.read(Deadline(60)))

    # In between, simulated time stands still and ours goes on.
    assert after - before == pytest.approx(365 * 86_400, abs=60)


def test_every_fault_of_the_simulator_is_tested_here() -> None:
    assert {*OUTCOMES, "nulls", "boot", "frozen", "clock_jump"} == set(FAULT_NAMES)


@pytest.mark.parametrize("token", ["wrong", None])
def test_without_the_right_token_the_status_is_read_and_the_log_says_what_to_do(
    simulator: Simulator, records: Records, caplog: pytest.LogCaptureFixture, token: str | None
) -> None:
    with closing(battery_at(simulator.url, records, token)) as battery:
        assert battery.read(Deadline(60)).status.has_power
        battery.read(Deadline(60))

        asked: tuple[Endpoint, ...] = ALL_SLOW if token else ("powermeter", "inverter")
        assert battery.endpoints() == {"status": True, **dict.fromkeys(asked, False)}
        (warning,) = said(caplog, "WARNING")
        assert "Software-Integration, JSON API" in warning
        assert "update token_file" in warning if token else "name that as token_file" in warning


def test_a_battery_that_is_not_there_is_refused(records: Records) -> None:
    with simulated() as simulator:
        url = simulator.url
    with closing(battery_at(url, records)) as battery:
        error = failure(battery)

    assert error.outcome == "refused"
    assert str(error) == f"{url}/api/v2/status: cannot connect: Connection refused"


def test_a_battery_behind_a_restarted_server_is_read_again(records: Records) -> None:
    with simulated() as simulator:
        port = simulator.port
        battery = battery_at(simulator.url, records)
        battery.read(Deadline(60))
    with closing(battery):
        assert failure(battery).outcome == "refused"
        with Simulator(seed=1, start=START, token=TOKEN, speed=1e-6, port=port):
            assert battery.read(Deadline(60)).status.has_power
