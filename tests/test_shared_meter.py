import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from threading import Thread
from typing import TypeVar

import pytest

from sonnen_agent.energy.counters import FLOWS, QUANTITIES, Counters, EnergyCounters, TariffCounts
from sonnen_agent.energy.meter import EnergyMeter
from sonnen_agent.energy.state import MeterState, state_from_json, state_to_json
from sonnen_agent.energy.tariffs import TariffPeriod, Tariffs
from sonnen_agent.energy.totals import EnergyTotals, RecoveredCounters
from sonnen_agent.reading import Reading, Status
from sonnen_agent.shared_meter import NOBODY_SAW_MORE, NOTHING_KEPT, SharedMeter, Start

NOON = datetime(2026, 6, 2, 12, tzinfo=UTC).timestamp()
FLAT = Tariffs(currency="EUR", import_periods=(TariffPeriod(name="flat", price_per_kilowatt_hour=0.4),))
BUYING = Status(production_watts=0, consumption_watts=3_600, grid_feed_in_watts=-3_600, discharge_watts=0)
"""A watt-hour a second."""


_Key = TypeVar("_Key")


class Wall:
    """A wall clock that a test sets; None is a clock that nobody believes."""

    def __init__(self, now: float | None = NOON) -> None:
        self.now = now

    def __call__(self) -> float | None:
        return self.now


NEW_CARD = NOTHING_KEPT
KILLED = Start(clean=False, same_boot=True, saved_unix_seconds=NOON)
POWER_CUT = Start(clean=False, same_boot=False, saved_unix_seconds=NOON - 86_400)
REBOOTED = Start(clean=True, same_boot=False, saved_unix_seconds=NOON - 100)
BEFORE, AFTER = NOON - 1e6, NOON + 1e6
"""When a gateway was started: before all that is told here, or after it."""


def shared_meter(
    wall: Wall | None = None, *, state: MeterState | None = None, start: Start = NOBODY_SAW_MORE, asks: bool = True
) -> SharedMeter:
    return SharedMeter(EnergyMeter(zone=UTC, tariffs=FLAT, state=state), wall or Wall(), start, asks=asks)


def reading(monotonic: float, unix: float, status: Status = BUYING) -> Reading:
    return Reading(status=status, generation="v2", unix_seconds=unix, monotonic_seconds=monotonic)


def buy(meter: SharedMeter, start: float, seconds: int) -> None:
    """Count as many watt-hours as seconds, in readings of five seconds."""
    for moment in range(0, seconds + 1, 5):
        meter.count(reading(start + moment, NOON + start + moment), start + moment)


def seen(meter: SharedMeter) -> EnergyTotals:
    """Return what a gateway is shown."""
    shown, _ = meter.totals()
    assert shown is not None
    return shown


def guarded(meter: SharedMeter) -> EnergyTotals:
    """Return what receivers that cannot be asked what they have seen are shown."""
    return meter.totals()[1]


def more_than_nothing(shown: Mapping[_Key, float]) -> dict[_Key, float]:
    return {key: value for key, value in shown.items() if value}


def counted(watt_hours: float) -> Counters:
    return Counters(
        energies=EnergyCounters(
            totals_watt_hours=dict.fromkeys(QUANTITIES, 0.0) | {"grid_import": watt_hours, "consumption": watt_hours},
            flows_watt_hours=dict.fromkeys(FLOWS, 0.0) | {("grid", "home"): watt_hours},
            observed_seconds=watt_hours,
        ),
        tariffs=TariffCounts(import_watt_hours={"flat": watt_hours}, cost={"EUR": watt_hours * 0.0004}),
    )


def kept(watt_hours: float) -> MeterState:
    return MeterState(tally=counted(watt_hours))


def held(watt_hours: float, *, pushed: float | None = NOON) -> RecoveredCounters:
    """Return what a gateway has."""
    return RecoveredCounters(tally=counted(watt_hours), unix_seconds=pushed)


def test_nobody_sees_counters_that_are_not_settled() -> None:
    home = shared_meter(start=NEW_CARD)
    buy(home, 0, 50)

    assert not home.settled
    assert home.totals() == (None, EnergyTotals())


def test_what_was_counted_while_nobody_could_see_it_is_there_once_it_is_settled() -> None:
    home = shared_meter(start=NEW_CARD)
    buy(home, 0, 50)

    home.recover(None)

    assert home.settled
    assert seen(home).watt_hours["grid_import"] == pytest.approx(50)
    assert seen(home).observed_seconds == pytest.approx(50)


def test_what_an_earlier_run_had_counted_is_added_to_what_this_one_counts() -> None:
    home = shared_meter(start=NEW_CARD)
    buy(home, 0, 50)

    home.recover(held(1_000), BEFORE)
    buy(home, 50, 25)

    assert seen(home).watt_hours["grid_import"] == pytest.approx(1_075)


def test_an_older_copy_than_the_one_that_was_kept_takes_nothing_away() -> None:
    home = shared_meter(state=kept(5_000), start=KILLED)

    assert not home.recover(held(1_000), BEFORE)

    assert seen(home).watt_hours["grid_import"] == 5_000


def test_settling_twice_with_the_same_copy_counts_nothing_twice() -> None:
    home = shared_meter(start=NEW_CARD)

    for _ in range(2):
        home.recover(held(1_000), BEFORE)

    assert seen(home).watt_hours["grid_import"] == pytest.approx(1_000)


def test_a_meter_that_counted_nothing_shows_no_zeros() -> None:
    totals = seen(shared_meter())

    assert totals.watt_hours.get("grid_import") is None
    assert totals.observed_seconds is None
    assert totals.flows_watt_hours == {}


def test_without_a_crash_the_unasked_see_what_everybody_sees() -> None:
    home = shared_meter(state=kept(5_000))
    buy(home, 0, 50)

    shown, unasked = home.totals()
    assert shown is unasked
    assert seen(home).watt_hours["grid_import"] == pytest.approx(5_050)


def test_after_a_kill_a_counter_comes_back_when_it_has_passed_what_can_have_been_seen() -> None:
    home = shared_meter(state=kept(1_000), start=KILLED, asks=False)
    buy(home, 0, 745)
    early, money = guarded(home), guarded(home).cost
    buy(home, 745, 10)
    late = guarded(home)

    assert (more_than_nothing(early.watt_hours), more_than_nothing(early.flows_watt_hours)) == ({}, {})
    assert (early.tariff_import_watt_hours, money) == ({}, {})
    # By a clock of its own: two minutes of it are past.
    assert early.observed_seconds == pytest.approx(1_745)
    assert more_than_nothing(late.watt_hours) == pytest.approx({"grid_import": 1_755, "consumption": 1_755})
    assert more_than_nothing(late.flows_watt_hours) == {("grid", "home"): pytest.approx(1_755)}
    assert late.tariff_import_watt_hours == {"flat": pytest.approx(1_755)}
    assert late.cost == {"EUR": pytest.approx(0.702)}


@pytest.mark.parametrize("start", [KILLED, POWER_CUT, REBOOTED])
def test_a_gateway_that_was_there_all_the_time_is_shown_everything_at_once(start: Start) -> None:
    home = shared_meter(state=kept(5_000), start=start)
    assert home.totals()[0] is None

    assert home.recover(held(9_000), BEFORE)
    buy(home, 0, 745)
    early = guarded(home)
    buy(home, 745, 10)

    assert seen(home).watt_hours["grid_import"] == pytest.approx(9_755)
    # What it has seen, others may have seen, and more.
    assert more_than_nothing(early.watt_hours) == {}
    assert guarded(home).watt_hours["grid_import"] == pytest.approx(9_755)


@pytest.mark.parametrize("start", [KILLED, POWER_CUT, REBOOTED])
@pytest.mark.parametrize("gateway", [None, held(4_900, pushed=NOON - 500)])
def test_a_gateway_that_is_empty_or_has_read_an_old_file_is_shown_what_is_certain(
    start: Start, gateway: RecoveredCounters | None
) -> None:
    home = shared_meter(state=kept(5_000), start=start)

    assert not home.recover(gateway, AFTER)
    buy(home, 0, 740)

    assert more_than_nothing(seen(home).watt_hours) == {}
    buy(home, 740, 520)
    assert seen(home).watt_hours["grid_import"] == pytest.approx(6_260)


def test_what_a_gateway_has_read_from_its_file_may_be_older_than_what_it_has_shown() -> None:
    # Written four minutes before both lost their power, on a card that is new since: 3 kWh may be missing.
    home = shared_meter(start=NEW_CARD)

    assert home.recover(held(5_000, pushed=NOON - 240), NOON)
    buy(home, 0, 2_995)
    early = seen(home)
    buy(home, 2_995, 10)

    assert more_than_nothing(early.watt_hours) == {}
    assert seen(home).watt_hours["grid_import"] == pytest.approx(8_005)


def test_a_gateway_that_has_zero_of_the_first_little_money_has_shown_all() -> None:
    little = replace(kept(0.2), tally=replace(counted(0.2), tariffs=TariffCounts(cost={"EUR": 0.00004})))
    shown = replace(counted(0.3), tariffs=TariffCounts(cost={"EUR": 0.0}))
    home = shared_meter(state=little, start=REBOOTED)

    home.recover(RecoveredCounters(tally=shown, unix_seconds=NOON), BEFORE)

    assert seen(home).watt_hours["grid_import"] == pytest.approx(0.3)


def test_a_gateway_that_does_not_tell_is_shown_what_is_certain() -> None:
    home = shared_meter(state=kept(5_000), start=KILLED)

    home.recover(None)
    buy(home, 0, 745)
    early = seen(home)
    buy(home, 745, 10)

    assert more_than_nothing(early.watt_hours) == {}
    assert seen(home).watt_hours["grid_import"] == pytest.approx(5_755)


def test_a_reboot_of_which_the_gateway_has_just_what_was_kept_holds_nothing_back() -> None:
    home = shared_meter(state=kept(5_000), start=REBOOTED)

    assert not home.recover(held(4_999.99995), AFTER)

    assert seen(home).watt_hours["grid_import"] == 5_000
    assert guarded(home) is seen(home) or guarded(home) == seen(home)


def test_where_nobody_can_be_asked_a_clean_stop_is_believed_and_an_overlay_is_not() -> None:
    assert guarded(shared_meter(state=kept(5_000), start=REBOOTED, asks=False)).watt_hours["grid_import"] == 5_000

    home = shared_meter(state=kept(5_000), start=replace(REBOOTED, in_memory=True), asks=False)
    # 100 seconds of 45 kW.
    buy(home, 0, 1_245)
    early = guarded(home)
    buy(home, 1_245, 10)

    assert more_than_nothing(early.watt_hours) == {}
    assert guarded(home).watt_hours["grid_import"] == pytest.approx(6_255)


@pytest.mark.parametrize(
    ("start", "now", "seconds"),
    [
        (KILLED, NOON + 5, 60),
        (KILLED, NOON + 300, 300),
        (KILLED, NOON + 1e6, 600),
        (KILLED, NOON - 5, 600),
        (KILLED, None, 600),
        (POWER_CUT, NOON, 60),
        (POWER_CUT, None, 60),
        (REBOOTED, NOON, 100),
        (replace(POWER_CUT, in_memory=True), NOON, 600),
        (NOBODY_SAW_MORE, None, 0),
        (NOTHING_KEPT, NOON, 0),
    ],
)
def test_for_how_long_something_may_have_been_shown_beyond_what_was_kept(
    start: Start, now: float | None, seconds: float
) -> None:
    assert start.unseen_seconds(now, asks=True) == seconds


def test_what_is_held_back_stays_so_over_the_next_starts() -> None:
    home = shared_meter(state=kept(5_000), start=POWER_CUT)
    home.recover(None, AFTER)
    buy(home, 0, 300)

    state = state_from_json(json.loads(json.dumps(state_to_json(home.state()))))
    again = shared_meter(state=state)
    buy(again, 300, 445)
    early = again.totals()
    buy(again, 745, 10)

    assert [totals is not None and more_than_nothing(totals.watt_hours) for totals in early] == [{}, {}]
    assert seen(again).watt_hours["grid_import"] == pytest.approx(5_755)
    assert guarded(again).watt_hours["grid_import"] == pytest.approx(5_755)


def test_who_was_killed_before_it_had_asked_holds_nothing_back_for_it() -> None:
    first = shared_meter(state=kept(0.01), start=KILLED)
    assert first.state().gateway_ceiling is not None

    home = shared_meter(state=state_from_json(json.loads(json.dumps(state_to_json(first.state())))), start=KILLED)
    home.recover(None, NOON - 1_000)

    assert seen(home).watt_hours["grid_import"] == 0.01


def test_what_all_have_passed_is_not_kept_for_ever() -> None:
    home = shared_meter(state=kept(5_000), start=KILLED, asks=False)
    assert home.state().ceiling is not None
    buy(home, 0, 1_000)
    assert guarded(home).standby_watt_hours is None
    # What hardly ever rises is not held back for ever: an hour later it is shown, too.
    buy(home, 1_005, 3_600)
    assert guarded(home).standby_watt_hours == 0

    assert home.state().ceiling is None


def test_what_a_gateway_has_passed_is_not_kept_for_ever_either() -> None:
    home = shared_meter(state=kept(5_000), start=KILLED)
    home.recover(None, AFTER)
    buy(home, 0, 1_000)
    seen(home)
    assert home.state().gateway_ceiling is not None, "standby is still held back"
    buy(home, 1_005, 3_600)
    assert seen(home).standby_watt_hours == 0

    assert home.state().gateway_ceiling is None


@pytest.mark.parametrize("tariffs", [FLAT, None])
def test_what_is_not_shown_now_has_passed_nothing(tariffs: Tariffs | None) -> None:
    state = replace(kept(5_000), last=None)
    home = SharedMeter(EnergyMeter(zone=UTC, tariffs=tariffs, state=state), Wall(), KILLED, asks=True)
    home.recover(None, AFTER)
    buy(home, 0, 5_000)
    seen(home)

    for ceiling in (home.state().ceiling, home.state().gateway_ceiling):
        assert (ceiling is None) == (tariffs is not None)


def test_a_day_ends_without_a_reading_too() -> None:
    wall = Wall()
    home = shared_meter(wall)
    buy(home, 0, 50)
    wall.now = NOON + 13 * 3600

    home.count(None, 13 * 3600.0)

    (finished,) = home.take_finished_days()
    assert finished.day == date(2026, 6, 2)
    assert finished.energies.totals_watt_hours["grid_import"] == pytest.approx(50)
    assert home.take_finished_days() == ()


def test_a_clock_that_nobody_believes_ends_no_day_and_shows_none() -> None:
    wall = Wall(None)
    home = shared_meter(wall)
    buy(home, 0, 50)

    home.count(None, 13 * 3600.0)

    assert home.take_finished_days() == ()
    assert seen(home).watt_hours["grid_import"] == pytest.approx(50)
    assert seen(home).today_watt_hours is None


def test_energy_from_before_the_clock_was_set_belongs_to_the_day_that_it_was() -> None:
    wall = Wall(None)
    home = shared_meter(wall)
    stale = NOON - 30 * 3600
    for moment in (0.0, 5.0, 10.0):
        home.count(reading(moment, stale + moment), moment)
    wall.now = NOON + 20

    for moment in (15.0, 20.0):
        home.count(reading(moment, NOON + moment), moment)

    today = seen(home).today_watt_hours
    assert today is not None
    assert today["grid", "home"] == pytest.approx(20)
    assert home.take_finished_days() == ()


def test_a_reading_from_just_before_the_clock_was_set_opens_no_day_of_the_past() -> None:
    # The status comes first and the slower endpoints after it: the network may set the clock in between.
    wall = Wall(None)
    home = shared_meter(wall)
    stale = NOON - 30 * 3600
    home.count(reading(0.0, stale), 0.1)
    wall.now = NOON + 6
    home.count(reading(5.0, stale + 5), 6.0)
    wall.now = NOON + 10

    home.count(reading(10.0, NOON + 10), 10.1)

    today = seen(home).today_watt_hours
    assert [finished.day for finished in home.take_finished_days()] == []
    assert today is not None
    assert today["grid", "home"] == pytest.approx(10)


def test_another_meter_goes_on_from_the_state_of_a_shared_one() -> None:
    home = shared_meter()
    buy(home, 0, 50)

    assert seen(shared_meter(state=home.state())).watt_hours["grid_import"] == pytest.approx(50)


def test_it_can_be_settled_saved_and_shown_while_it_is_counted() -> None:
    home = shared_meter(start=NEW_CARD)
    beats = Thread(target=buy, args=(home, 0, 10_000))
    beats.start()
    home.recover(held(1_000), BEFORE)
    shown = [0.0]
    while beats.is_alive():
        shown.append(seen(home).watt_hours.get("grid_import") or 0.0)
        home.state()
    beats.join()

    assert shown == sorted(shown)
    assert seen(home).watt_hours["grid_import"] == pytest.approx(11_000)
