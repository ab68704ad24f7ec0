from sonnen_agent.commands.status import status_line
from sonnen_agent.reading import Reading, Status
from sonnen_agent.snapshot import Snapshot


def snapshot(status: Status | None) -> Snapshot:
    reading = (
        Reading(status=status, generation="v2", unix_seconds=0, monotonic_seconds=0) if status is not None else None
    )
    return Snapshot(battery="home", reading=reading, taken_monotonic_seconds=0)


def test_the_line_tells_the_sun_the_charge_and_the_last_push() -> None:
    status = Status(production_watts=3214.4, usable_state_of_charge_percent=41, state_of_charge_percent=47)
    line = status_line({"home": snapshot(status)}, {"pushgateway": 2.3})
    assert line == "home: 3 214 W solar, 41 %; pushed 2 s ago"


def test_what_a_battery_does_not_say_is_left_out() -> None:
    statuses = {
        "a": snapshot(Status(state_of_charge_percent=47)),
        "b": snapshot(Status(production_watts=0)),
        "c": snapshot(Status()),
        "d": snapshot(None),
        "e": None,
    }
    assert status_line(statuses, {}) == "a: 47 %; b: 0 W solar; c: readable; d: not readable; e: not read yet"


def test_an_outage_is_told_in_the_unit_it_is_thought_of() -> None:
    ago = {"pushgateway": None, "remote_write": 119.0}
    assert status_line({}, ago) == "nothing pushed yet; written 119 s ago"
    assert status_line({}, {"pushgateway": 600.0}) == "pushed 10 min ago"
    assert status_line({}, {"pushgateway": 36_000.0}) == "pushed 10 h ago"


def test_a_clock_that_is_not_set_is_told() -> None:
    line = status_line({"home": snapshot(Status(production_watts=0))}, {"pushgateway": 2.0}, clock_is_set=False)
    assert line == "home: 0 W solar; pushed 2 s ago; the clock is not set yet"
