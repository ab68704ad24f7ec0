from collections.abc import Iterator, Mapping
from contextlib import suppress

import pytest
from box import HANG, Box, no_errors_left, said

from sonnen_agent.battery import BatteryOptions
from sonnen_agent.battery.client import Client
from sonnen_agent.battery.parsers import ECO6_CODES
from sonnen_agent.battery.probe import Probe
from sonnen_agent.battery.variants import ApiVariant
from sonnen_agent.clock import Deadline
from sonnen_agent.destination import Destination, Secret
from sonnen_agent.errors import BatteryError, Outcome
from sonnen_agent.reading import Endpoint

pytestmark = pytest.mark.usefixtures("unhurried_battery")

V2, V1, ECO6 = "/api/v2/status", "/api/v1/status", "/rest/devices/battery"
EVERY_VARIANT = [V2, V1, ECO6]
STATUS = {"Production_W": 800, "Consumption_W": 500, "GridFeedIn_W": 300, "Pac_total_W": 0, "Uac": 230}
UNIT = {"M03": 800, "M04": 500, "M34": 0, "M35": 0, "M38": 300, "M39": 0}
EVERY_CODE = [f"{ECO6}/{code}" for code in ECO6_CODES]


Records = list[tuple[Endpoint, Outcome]]


@pytest.fixture
def records() -> Records:
    return []


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def options_for(box: Box) -> BatteryOptions:
    destination = Destination(url=f"http://127.0.0.1:{box.port}")
    return BatteryOptions(name="home", destination=destination, token=Secret("the-token"))


@pytest.fixture
def timed_probe(box: Box, clock: Clock) -> Iterator[Probe]:
    client = Client(options_for(box), lambda *_: None)
    yield Probe(client, clock)
    client.close()


@pytest.fixture
def probe(box: Box, records: Records) -> Iterator[Probe]:
    client = Client(options_for(box), lambda endpoint, outcome, _: records.append((endpoint, outcome)))
    yield Probe(client)
    client.close()


def failure(probe: Probe, timeout_seconds: float = 60) -> BatteryError:
    with pytest.raises(BatteryError) as caught:
        probe.read_status(Deadline(timeout_seconds))
    return caught.value


def found(probe: Probe, timeout_seconds: float = 60) -> ApiVariant:
    variant, status = probe.read_status(Deadline(timeout_seconds))
    assert status.production_watts == 800
    return variant


@pytest.mark.parametrize(
    ("answers", "generation", "asked"),
    [
        ({V2: STATUS, V1: STATUS}, "v2", [V2]),
        ({V1: STATUS}, "v1", [V2, V1]),
        ({ECO6: UNIT}, "eco6", [V2, V1, ECO6]),
        ({V2: 500, V1: "<html>", ECO6: UNIT}, "eco6", [V2, V1, ECO6]),
        ({V2: 401, V1: STATUS}, "v1", [V2, V2, V1]),
        ({V2: 302, V1: STATUS}, "v1", [V2, V1]),
        ({V2: {"USOC": 5}, V1: STATUS}, "v1", [V2, V1]),
    ],
)
def test_the_variants_are_tried_newest_first_until_one_answers(
    box: Box, probe: Probe, answers: Mapping[str, object], generation: str, asked: list[str]
) -> None:
    box.answers.update(answers)

    assert found(probe) == ApiVariant(generation=generation, port=box.port)  # type: ignore[arg-type]  # from a table
    assert box.asked() == asked


def test_what_was_found_is_told_once(box: Box, probe: Probe, caplog: pytest.LogCaptureFixture) -> None:
    box.answers[V1] = STATUS

    with caplog.at_level("INFO", logger="sonnen_agent"):
        found(probe)
        found(probe)

    assert said(caplog) == [("INFO", f"home: the battery answers /api/v1/status on port {box.port}")]


def test_a_variant_that_was_found_is_the_only_one_asked_from_then_on(box: Box, probe: Probe, records: Records) -> None:
    box.answers[V1] = STATUS
    found(probe)
    box.asked()

    assert found(probe) == found(probe)
    assert box.asked() == [V1, V1]
    assert records == [("status", "not_found"), ("status", "ok"), ("status", "ok"), ("status", "ok")]


def test_the_token_is_not_sent_for_a_status_that_is_open(box: Box, probe: Probe) -> None:
    failure(probe)

    asked = box.asked_with_tokens()
    assert set(EVERY_VARIANT) <= {path for path, _ in asked}
    assert {token for _, token in asked} == {None}


def test_a_status_that_is_refused_without_the_token_is_asked_with_it_and_goes_on_being_so(
    box: Box, probe: Probe, records: Records
) -> None:
    box.answers[V2] = STATUS
    box.guarded = {V2: "the-token"}

    assert found(probe) == found(probe) == ApiVariant(generation="v2", port=box.port)
    assert box.asked_with_tokens() == [(V2, None), (V2, "the-token"), (V2, "the-token")]
    assert records == [("status", "unauthorized"), ("status", "ok"), ("status", "ok")]


def test_a_status_that_refuses_the_token_is_tried_without_it_again(box: Box, probe: Probe) -> None:
    box.answers[V2] = STATUS
    box.guarded = {V2: "the-token"}
    found(probe)
    box.guarded = {V2: "another-token"}
    assert failure(probe).outcome == "unauthorized"
    box.guarded = {}
    box.asked()

    assert found(probe).generation == "v2"
    assert box.asked_with_tokens() == [(V2, None)]


def test_another_token_ends_the_pauses_after_refusals(box: Box, timed_probe: Probe) -> None:
    box.answers[V2] = STATUS
    box.guarded = {V2: "another-token"}
    for _ in range(3):
        failure(timed_probe)
    box.guarded = {}
    failure(timed_probe)

    timed_probe.forgive()

    assert found(timed_probe).generation == "v2"


def test_two_failures_do_not_make_a_variant_doubtful(box: Box, probe: Probe) -> None:
    box.answers |= {V2: STATUS, V1: STATUS}
    found(probe)
    box.asked()
    box.answers[V2] = 500

    assert str(failure(probe)) == f"http://127.0.0.1:{box.port}/api/v2/status: answered 500"
    assert failure(probe).outcome == "http_error"
    assert box.asked() == [V2, V2]


def test_the_third_failure_makes_the_others_be_tried(box: Box, probe: Probe) -> None:
    box.answers |= {V2: STATUS, V1: STATUS}
    found(probe)
    box.answers[V2] = 500
    failure(probe)
    failure(probe)
    box.asked()

    assert found(probe).generation == "v1"
    assert found(probe).generation == "v1"
    assert box.asked() == [V2, V1, V1]


def test_an_answer_in_between_makes_failures_forgotten(box: Box, probe: Probe) -> None:
    box.answers |= {V2: STATUS, V1: STATUS}
    for answer in (STATUS, 500, 500, STATUS, 500, 500):
        box.answers[V2] = answer
        if answer == STATUS:
            found(probe)
        else:
            failure(probe)

    assert set(box.asked()) == {V2}


def test_a_variant_in_doubt_is_still_asked_every_beat_and_found_again(box: Box, probe: Probe) -> None:
    box.answers[V2] = STATUS
    found(probe)
    box.answers[V2] = 500
    for _ in range(3):
        failure(probe)
    box.asked()

    assert failure(probe).outcome == "http_error"
    box.answers[V2] = STATUS
    assert found(probe).generation == "v2"
    assert box.asked() == [V2, V2]


def test_a_variant_that_hangs_leaves_time_to_try_the_others(box: Box, probe: Probe) -> None:
    box.answers |= {V2: STATUS, V1: STATUS}
    found(probe)
    box.answers[V2] = HANG
    for _ in range(2):
        assert failure(probe, 0.4).outcome == "timeout"

    # Half of this is for the one that hangs.
    assert found(probe, 4).generation == "v1"


def test_a_busy_battery_has_most_of_a_beat_for_its_first_answer(box: Box, probe: Probe) -> None:
    box.answers |= {V2: (2.5, STATUS), V1: STATUS}

    assert found(probe, 4.5).generation == "v2"


def test_a_battery_that_needs_more_than_its_share_of_the_first_beat_has_all_of_a_later_one(
    box: Box, probe: Probe
) -> None:
    box.answers[V2] = (1.7, STATUS)

    assert failure(probe, 2).outcome == "timeout"
    failure(probe)
    assert found(probe, 2).generation == "v2"


def test_variants_that_a_beat_had_no_time_for_are_tried_in_the_next(box: Box, probe: Probe) -> None:
    box.answers |= {V2: HANG, V1: STATUS}

    assert failure(probe, 1).outcome == "timeout"
    assert box.asked() == [V2]
    assert found(probe).generation == "v1"
    assert box.asked() == [V1]


def test_without_any_time_nothing_is_asked(box: Box, probe: Probe) -> None:
    error = failure(probe, 0)

    assert (error.outcome, str(error)) == ("timeout", "no time was left to look for the battery")
    assert box.asked() == []


@pytest.mark.parametrize(
    ("answers", "outcome", "path"),
    [
        ({V2: 500}, "http_error", V2),
        ({V1: 500}, "http_error", V1),
        ({V1: "<html>"}, "invalid", V1),
        ({V2: "<html>", V1: 401, ECO6: 500}, "unauthorized", V1),
        ({V2: "<html>", V1: 302}, "http_error", V1),
        ({}, "not_found", V2),
    ],
)
def test_of_many_failures_the_one_that_tells_most_is_told(
    box: Box, probe: Probe, answers: Mapping[str, object], outcome: Outcome, path: str
) -> None:
    box.answers.update(answers)

    error = failure(probe)

    assert error.outcome == outcome
    assert str(error).startswith(f"http://127.0.0.1:{box.port}{path}: ")


def test_a_failure_leaves_no_exception_behind(box: Box, probe: Probe) -> None:
    box.answers |= dict.fromkeys(EVERY_VARIANT, "<html>")

    with no_errors_left():
        for _ in range(2):
            with suppress(BatteryError):
                probe.read_status(Deadline(60))


def test_a_battery_that_was_never_found_is_looked_for_in_every_beat_and_its_codes_now_and_then(
    box: Box, timed_probe: Probe, clock: Clock
) -> None:
    failure(timed_probe)
    assert box.asked() == EVERY_VARIANT + EVERY_CODE

    clock.now += 29.9
    failure(timed_probe)
    failure(timed_probe)
    assert box.asked() == EVERY_VARIANT * 2

    clock.now += 0.1
    failure(timed_probe)
    assert box.asked() == EVERY_VARIANT + EVERY_CODE
    box.answers[V1] = STATUS
    assert found(timed_probe).generation == "v1"


@pytest.mark.parametrize("status", [401, 403])
def test_a_battery_that_refuses_twice_is_left_alone(box: Box, probe: Probe, status: int) -> None:
    box.answers |= dict.fromkeys(EVERY_VARIANT, status)
    first, second = failure(probe), failure(probe)
    assert box.asked() == [V2, *EVERY_VARIANT] * 2  # v2 without the token, and with it
    box.answers |= {V2: STATUS}
    third = failure(probe)

    assert box.asked() == []
    assert first.outcome == third.outcome == "unauthorized"
    assert str(first) == str(second) == str(third)
    assert f"/api/v2/status: answered {status}: the API token is wrong" in str(first)


def test_a_variant_that_refuses_once_is_asked_again_at_the_next_beat(box: Box, probe: Probe) -> None:
    box.answers |= {V2: STATUS, V1: STATUS}
    for _ in range(3):
        box.answers[V2] = STATUS
        assert found(probe).generation == "v2"
        box.answers[V2] = 401
        assert failure(probe).outcome == "unauthorized"

    assert set(box.asked()) == {V2}


def test_a_variant_that_refuses_twice_is_replaced_by_one_that_does_not(box: Box, probe: Probe) -> None:
    box.answers |= {V2: STATUS, V1: STATUS}
    found(probe)
    box.answers[V2] = 401
    failure(probe)

    assert found(probe).generation == "v1"


def test_a_refusal_elsewhere_does_not_silence_a_variant_that_only_failed(box: Box, probe: Probe) -> None:
    box.answers |= {V2: STATUS, V1: 401}
    found(probe)
    box.answers[V2] = 500
    for _ in range(3):
        failure(probe)
    box.answers[V2] = STATUS

    assert found(probe).generation == "v2"


def test_a_status_without_any_power_is_no_reading(box: Box, probe: Probe) -> None:
    box.answers[V2] = dict.fromkeys(STATUS) | {"RSOC": 50}

    error = failure(probe)

    assert error.outcome == "invalid"
    assert str(error) == f"http://127.0.0.1:{box.port}/api/v2/status: the status holds no usable power value"


def test_one_power_is_enough(box: Box, probe: Probe) -> None:
    box.answers[V2] = {"Production_W": 800}

    assert found(probe).generation == "v2"


def test_the_status_of_a_starting_battery_is_handed_on(box: Box, probe: Probe, records: Records) -> None:
    box.answers[V2] = dict.fromkeys((*STATUS, "Ubat", "Fac"), 0)

    _, status = probe.read_status(Deadline(60))

    assert status.booting
    assert records == [("status", "not_ready")]


def test_an_answer_may_be_repeated_for_some_seconds(box: Box, probe: Probe) -> None:
    box.answers[V2] = STATUS | {"Timestamp": "2024-06-20 12:00:00"}

    assert found(probe) == found(probe)


def test_an_eco6_that_tells_all_at_once_is_asked_once(box: Box, probe: Probe) -> None:
    box.answers[ECO6] = UNIT
    found(probe)
    box.asked()

    found(probe)

    assert box.asked() == [ECO6]


@pytest.mark.parametrize("whole", [404, 500, "<html>", "ok", {}, []])
def test_an_eco6_that_does_not_tell_all_at_once_is_asked_code_by_code(
    box: Box, probe: Probe, records: Records, whole: object
) -> None:
    box.answers[ECO6] = whole
    box.answers |= {f"{ECO6}/{code}": f"{value}\n" for code, value in UNIT.items()}

    assert found(probe).generation == "eco6"
    assert box.asked() == EVERY_VARIANT + EVERY_CODE
    assert [outcome for _, outcome in records[3:]] == ["ok" if code in UNIT else "not_found" for code in ECO6_CODES]


def test_what_says_the_same_number_whatever_is_asked_is_no_eco6(box: Box, probe: Probe) -> None:
    box.answers |= dict.fromkeys((*EVERY_VARIANT, *EVERY_CODE), "66666\n")

    for _ in range(4):
        with pytest.raises(BatteryError):
            probe.read_status(Deadline(60))


def test_an_eco6_is_then_asked_only_the_codes_it_knows(box: Box, probe: Probe) -> None:
    box.answers |= {f"{ECO6}/{code}": f"{value}\n" for code, value in UNIT.items()}
    found(probe)
    box.asked()

    found(probe)

    assert sorted(box.asked()) == [f"{ECO6}/{code}" for code in sorted(UNIT)]


def test_a_code_that_was_garbled_once_is_asked_again(box: Box, probe: Probe) -> None:
    box.answers |= {f"{ECO6}/{code}": f"{value}\n" for code, value in UNIT.items()}
    box.answers[f"{ECO6}/M34"] = "nan\n"
    assert probe.read_status(Deadline(60))[1].discharge_watts is None
    box.answers[f"{ECO6}/M34"] = "150\n"

    assert probe.read_status(Deadline(60))[1].discharge_watts == 150


def test_a_code_that_is_refused_makes_the_reading_fail(box: Box, probe: Probe) -> None:
    box.answers |= {f"{ECO6}/{code}": f"{value}\n" for code, value in UNIT.items()}
    box.answers[f"{ECO6}/M04"] = 401

    assert failure(probe).outcome == "unauthorized"
    assert box.asked()[-1] == f"{ECO6}/M04"


def test_a_code_that_answers_500_is_unknown_and_the_rest_goes_on(box: Box, probe: Probe) -> None:
    codes = UNIT | {"M34": 65525, "M35": 640, "M05": 71}
    box.answers |= {f"{ECO6}/{code}": f"{value}\n" for code, value in codes.items()}
    box.answers[f"{ECO6}/M05"] = 500

    _, status = probe.read_status(Deadline(60))
    assert (status.discharge_watts, status.state_of_charge_percent) == (-640, None)
    box.answers[f"{ECO6}/M05"] = "71\n"
    assert probe.read_status(Deadline(60))[1].state_of_charge_percent == 71


def test_a_unit_of_which_every_code_answers_500_has_failed(box: Box, probe: Probe) -> None:
    box.answers |= dict.fromkeys(EVERY_CODE, 500)

    assert failure(probe).outcome == "http_error"


def test_a_unit_without_any_code_is_none(box: Box, probe: Probe) -> None:
    box.answers |= dict.fromkeys(EVERY_CODE, "nan")

    assert failure(probe).outcome == "not_found"
    assert box.asked() == EVERY_VARIANT + EVERY_CODE


def test_while_a_known_variant_fails_the_others_are_tried_every_30_seconds(
    box: Box, timed_probe: Probe, clock: Clock
) -> None:
    box.answers[V2] = STATUS
    found(timed_probe)
    box.answers[V2] = 500
    for _ in range(3):
        failure(timed_probe)
    box.answers[V1] = STATUS
    box.asked()

    clock.now += 29.9
    assert failure(timed_probe).outcome == "http_error"
    assert box.asked() == [V2]
    clock.now += 0.1
    assert found(timed_probe).generation == "v1"


@pytest.mark.parametrize("known", [True, False])
def test_repeated_refusals_are_asked_less_and_less_often(
    box: Box, timed_probe: Probe, clock: Clock, known: bool
) -> None:
    if known:
        box.answers[V2] = STATUS
        found(timed_probe)
    box.answers |= dict.fromkeys(EVERY_VARIANT, 401)
    box.asked()

    asked_at = []
    begin = clock.now
    while clock.now < begin + 1500:
        assert failure(timed_probe).outcome == "unauthorized"
        if V2 in box.asked():
            asked_at.append(clock.now - begin)
        clock.now += 5
    assert asked_at == [0, 5, 65, 185, 425, 725, 1025, 1325]

    box.answers[V2] = STATUS
    clock.now += 300
    assert found(timed_probe).generation == "v2"
    box.answers[V2] = 401
    failure(timed_probe)
    box.answers[V2] = STATUS
    assert found(timed_probe).generation == "v2"


def test_a_variant_that_refuses_does_not_keep_the_others_from_being_tried(box: Box, probe: Probe) -> None:
    box.answers[V2] = 401
    failure(probe)
    failure(probe)
    box.answers[V1] = STATUS
    box.asked()

    assert found(probe).generation == "v1"
    assert box.asked() == [V1]


def test_a_clock_that_stands_still_with_all_values_is_a_battery_that_hangs(
    box: Box, timed_probe: Probe, clock: Clock
) -> None:
    box.answers[V2] = STATUS | {"Timestamp": "2024-06-20 12:00:00"}
    found(timed_probe)

    clock.now += 30
    found(timed_probe)
    clock.now += 0.1
    error = failure(timed_probe)
    assert error.outcome == "invalid"
    assert str(error).endswith("/api/v2/status: the battery repeats its answer of 2024-06-20 12:00:00: it hangs")

    box.answers[V2] = STATUS | {"Timestamp": "2024-06-20 12:00:01"}
    found(timed_probe)


@pytest.mark.parametrize("answer", [STATUS, UNIT])
def test_a_battery_without_a_clock_may_say_the_same_all_night(
    box: Box, timed_probe: Probe, clock: Clock, answer: object
) -> None:
    box.answers[V2 if answer is STATUS else ECO6] = answer

    for _ in range(3):
        found(timed_probe)
        clock.now += 3600


def looks(box: Box, probe: Probe, clock: Clock, seconds: float) -> list[float]:
    """Let beats go by, and return after how many seconds v2 was asked while v1 is in use."""
    begin, found_at = clock.now, []
    while clock.now < begin + seconds:
        clock.now += 5
        assert found(probe).generation == "v1"
        if V2 in box.asked():
            found_at.append(clock.now - begin)
    return found_at


def test_a_newer_variant_is_looked_for_soon_and_then_every_five_minutes(
    box: Box, timed_probe: Probe, clock: Clock
) -> None:
    box.answers[V1] = STATUS
    found(timed_probe)
    box.asked()

    assert looks(box, timed_probe, clock, 300) == [30, 60, 90, 120, 150, 190, 240, 300]
    later = looks(box, timed_probe, clock, 7200)
    assert later[-1] - later[-2] == 300

    box.answers[V2] = STATUS
    clock.now += 300
    assert found(timed_probe).generation == "v2"
    box.asked()
    clock.now += 3600
    found(timed_probe)
    assert box.asked() == [V2]


def test_after_an_outage_a_newer_variant_is_looked_for_soon_again(box: Box, timed_probe: Probe, clock: Clock) -> None:
    box.answers[V1] = STATUS
    found(timed_probe)
    looks(box, timed_probe, clock, 7200)
    box.answers[V1] = 503
    failure(timed_probe)
    box.answers[V1] = STATUS
    assert found(timed_probe).generation == "v1"
    box.asked()

    assert looks(box, timed_probe, clock, 60) == [30, 60]


def test_a_newer_variant_that_has_answered_before_is_only_late_and_looked_for_every_30_seconds(
    box: Box, timed_probe: Probe, clock: Clock
) -> None:
    box.answers |= {V2: STATUS, V1: STATUS}
    best, _ = timed_probe.read_status(Deadline(60))
    box.answers[V2] = 502
    failure(timed_probe)
    failure(timed_probe)
    assert found(timed_probe).generation == "v1"
    box.asked()

    assert looks(box, timed_probe, clock, 3600) == list(range(30, 3601, 30))
    assert timed_probe.best == best
