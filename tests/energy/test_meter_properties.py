"""What holds for any readings at any times by any clock."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sonnen_agent.energy.counters import FLOWS, QUANTITIES, EnergyCounters
from sonnen_agent.energy.days import Calendar, FinishedDay
from sonnen_agent.energy.integral import STANDBY_WATTS
from sonnen_agent.energy.meter import EnergyMeter
from sonnen_agent.energy.state import MeterState, state_from_json, state_to_json
from sonnen_agent.energy.tariffs import TariffPeriod, Tariffs
from sonnen_agent.reading import Status

ZONES = tuple(
    ZoneInfo(name)
    for name in (
        "Europe/Berlin",
        "America/New_York",
        "America/Sao_Paulo",
        "America/Havana",
        "America/St_Johns",
        "Africa/Cairo",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Pacific/Kiritimati",
    )
)
CHANGES = (date(2011, 12, 30), date(2018, 11, 4), date(2024, 3, 10), date(2024, 3, 31), date(2024, 11, 3))
TARIFFS = Tariffs(
    currency="EUR",
    import_periods=(
        TariffPeriod(name="night", price_per_kilowatt_hour=0.22, start=time(22), end=time(6)),
        TariffPeriod(name="day", price_per_kilowatt_hour=0.31),
    ),
    export_periods=(
        TariffPeriod(name="noon", price_per_kilowatt_hour=0, start=time(2, 30), end=time(14)),
        TariffPeriod(name="feed_in", price_per_kilowatt_hour=0.08),
    ),
)
MAX_GAP_SECONDS = 7200.0
WATTS = st.floats(-10_000, 10_000)
MAYBE_WATTS = st.one_of(WATTS, WATTS, WATTS, st.none())
STATUSES = st.builds(
    Status,
    production_watts=MAYBE_WATTS,
    consumption_watts=MAYBE_WATTS,
    grid_feed_in_watts=MAYBE_WATTS,
    discharge_watts=MAYBE_WATTS,
)
BALANCED = st.builds(
    lambda home, sun, battery: Status(
        production_watts=sun, consumption_watts=home, grid_feed_in_watts=sun + battery - home, discharge_watts=battery
    ),
    st.floats(0, 10_000),
    st.floats(0, 10_000),
    st.floats(-5_000, 5_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A moment at which something happens."""

    seconds: float
    """Since the beat before."""
    status: Status | None
    """None: the battery is silent."""
    clock: float | None
    """By how much the wall clock steps before; None: it is not known."""
    reboot: bool = False


def beats(statuses: st.SearchStrategy[Status], *, steps: bool) -> st.SearchStrategy[list[Beat]]:
    step = st.sampled_from((0.0, 0.0, 0.0, 0.3, -0.2, 900.0, -900.0, 40_000.0, -40_000.0, 5e5, -5e5, 4e8, -4e8))
    beat = st.builds(
        Beat,
        seconds=st.one_of(st.floats(0, 100), st.floats(1000, 9000)),
        status=st.one_of(statuses, statuses, statuses, st.none()) if steps else statuses,
        clock=st.none() | step if steps else st.just(0.0),
        reboot=st.sampled_from((False,) * 9 + (True,)) if steps else st.just(False),
    )
    return st.lists(beat, max_size=40)


class Run:
    """A meter that goes through beats."""

    def __init__(self, zone: ZoneInfo, start: float) -> None:
        self.zone = zone
        self.meter = EnergyMeter(zone=zone, tariffs=TARIFFS, max_gap_seconds=MAX_GAP_SECONDS)
        self.monotonic = 30.0
        self.wall = start
        self.finished: list[FinishedDay] = []

    def go_on(self, state: MeterState, *, same_boot: bool) -> None:
        self.meter = EnergyMeter(
            zone=self.zone, tariffs=TARIFFS, max_gap_seconds=MAX_GAP_SECONDS, state=state, same_boot=same_boot
        )

    def each(self, line: Iterable[Beat]) -> Iterator[Beat]:
        for beat in line:
            if beat.reboot:
                self.go_on(self.meter.state, same_boot=False)
                self.monotonic = 30.0
            self.monotonic += beat.seconds
            self.wall += beat.seconds + (beat.clock or 0.0)
            wall = None if beat.clock is None else self.wall
            if beat.status is None:
                self.meter.advance_clock(monotonic_seconds=self.monotonic, wall_seconds=wall)
            else:
                self.meter.add(beat.status, monotonic_seconds=self.monotonic, wall_seconds=wall)
            yield beat

    def through(self, line: Iterable[Beat]) -> "Run":
        for _ in self.each(line):
            self.finished += self.meter.take_finished_days()
        return self


def numbers(energies: EnergyCounters) -> list[float]:
    totals = [energies.totals_watt_hours.get(quantity, 0.0) for quantity in QUANTITIES]
    flows = (energies.flows_watt_hours.get(flow, 0.0) for flow in FLOWS)
    return [*totals, *flows, energies.observed_seconds, energies.standby_watt_hours]


def all_numbers(state: MeterState) -> list[float]:
    tariffs = state.tally.tariffs
    named = [tariffs.import_watt_hours.get(name, 0.0) for name in ("night", "day")]
    named += [tariffs.export_watt_hours.get(name, 0.0) for name in ("noon", "feed_in")]
    return [*numbers(state.tally.energies), *named, tariffs.cost.get("EUR", 0.0), tariffs.revenue.get("EUR", 0.0)]


def starts(zone: ZoneInfo, change: date, seconds: float) -> float:
    return Calendar(zone).start_of(change) + seconds


PLACES = st.builds(
    lambda zone, change, seconds: (zone, starts(zone, change, seconds)),
    st.sampled_from(ZONES),
    st.sampled_from(CHANGES),
    st.floats(-100_000, 100_000),
)
BOUNDED = settings(max_examples=60)


@BOUNDED
@given(PLACES, beats(STATUSES, steps=True))
def test_days_and_what_is_pending_are_the_totals(place: tuple[ZoneInfo, float], line: list[Beat]) -> None:
    run = Run(*place).through(line)
    state, together = run.meter.state, EnergyCounters()
    for finished in run.finished:
        together = together.plus(finished.energies)
    if state.days.open_day is not None:
        together = together.plus(state.days.open_day.tally.energies)
    for block in state.undated.intervals:
        together = together.plus(block.energies)
    assert numbers(together) == pytest.approx(numbers(state.tally.energies), abs=1e-6)


@BOUNDED
@given(PLACES, beats(STATUSES, steps=True))
def test_tariffs_are_the_grid_energy_whose_time_is_known(place: tuple[ZoneInfo, float], line: list[Beat]) -> None:
    state = Run(*place).through(line).meter.state
    pending = EnergyCounters()
    for block in state.undated.intervals:
        pending = pending.plus(block.energies)
    dated, tariffs = state.tally.energies.beyond(pending).totals_watt_hours, state.tally.tariffs
    assert sum(tariffs.import_watt_hours.values()) == pytest.approx(dated.get("grid_import", 0), abs=1e-6)
    assert sum(tariffs.export_watt_hours.values()) == pytest.approx(dated.get("grid_export", 0), abs=1e-6)
    prices = {"night": 0.22, "day": 0.31}
    cost = sum(watt_hours / 1000 * prices[name] for name, watt_hours in tariffs.import_watt_hours.items())
    assert tariffs.cost.get("EUR", 0) == pytest.approx(cost, abs=1e-6)
    assert sum(tariffs.consumption_watt_hours.values()) == pytest.approx(dated.get("consumption", 0), abs=1e-6)
    use = sum(watt_hours / 1000 * prices[name] for name, watt_hours in tariffs.consumption_watt_hours.items())
    assert tariffs.consumption_cost.get("EUR", 0) == pytest.approx(use, abs=1e-6)


@BOUNDED
@given(PLACES, beats(STATUSES, steps=True))
def test_no_counter_ever_goes_backwards_or_below_zero(place: tuple[ZoneInfo, float], line: list[Beat]) -> None:
    run, before = Run(*place), [0.0] * 21
    for _ in run.each(line):
        now = all_numbers(run.meter.state)
        assert all(new >= old for new, old in zip(now, before, strict=True))
        before = now


@BOUNDED
@given(PLACES, beats(STATUSES, steps=True))
def test_finished_days_come_in_order_and_once(place: tuple[ZoneInfo, float], line: list[Beat]) -> None:
    run = Run(*place).through(line)
    days = [finished.day for finished in run.finished]
    assert days == sorted(set(days))
    opened = run.meter.state.days.open_day
    assert opened is None or not days or opened.day > days[-1]


@BOUNDED
@given(PLACES, beats(STATUSES, steps=True))
def test_the_wall_clock_changes_no_total(place: tuple[ZoneInfo, float], line: list[Beat]) -> None:
    zone, start = place
    unset = [Beat(seconds=beat.seconds, status=beat.status, clock=None, reboot=beat.reboot) for beat in line]
    by_any_clock = Run(zone, start).through(line).meter.state.tally.energies
    without_clock = Run(zone, start).through(unset).meter.state.tally.energies
    assert numbers(by_any_clock) == pytest.approx(numbers(without_clock), abs=1e-6)


@BOUNDED
@given(PLACES, beats(BALANCED, steps=False))
def test_sums_of_flows_are_the_totals(place: tuple[ZoneInfo, float], line: list[Beat]) -> None:
    energies = Run(*place).through(line).meter.state.tally.energies
    flows, totals = energies.flows_watt_hours, energies.totals_watt_hours
    sums = {
        "production": sum(value for (origin, _), value in flows.items() if origin == "solar"),
        # What the battery draws for itself is used in the house, too; its clamp does not see it.
        "consumption": sum(value for (_, target), value in flows.items() if target == "home")
        - energies.standby_watt_hours,
        "grid_import": sum(value for (origin, _), value in flows.items() if origin == "grid"),
        "grid_export": sum(value for (_, target), value in flows.items() if target == "grid"),
        "battery_charge": sum(value for (_, target), value in flows.items() if target == "battery"),
        "battery_discharge": sum(value for (origin, _), value in flows.items() if origin == "battery"),
    }
    assert [totals.get(quantity, 0) for quantity in QUANTITIES] == pytest.approx(
        [sums[quantity] for quantity in QUANTITIES], abs=1e-6
    )


def seconds_by_day(run: Run) -> dict[date, float]:
    days = {finished.day: finished.energies.observed_seconds for finished in run.finished}
    opened = run.meter.state.days.open_day
    return days if opened is None else {**days, opened.day: opened.tally.energies.observed_seconds}


def scaled(status: Status, factor: float) -> Status:
    def times(watts: float | None) -> float | None:
        return None if watts is None else watts * factor

    return Status(
        production_watts=times(status.production_watts),
        consumption_watts=times(status.consumption_watts),
        grid_feed_in_watts=times(status.grid_feed_in_watts),
        discharge_watts=times(status.discharge_watts),
    )


@BOUNDED
@given(PLACES, BALANCED, st.floats(0, 4), st.lists(st.floats(0, 1), max_size=20))
def test_reading_a_line_that_only_grows_or_fades_more_often_changes_nothing(
    place: tuple[ZoneInfo, float], first: Status, growth: float, shares: list[float]
) -> None:
    # A battery that begins to charge, or ends, does not glide: its standby is another thing.
    discharges = [(first.discharge_watts or 0.0) * factor for factor in (1.0, growth)]
    assume(min(discharges) >= 0.0 or max(discharges) < -STANDBY_WATTS)

    def counted(readings: list[float]) -> list[float]:
        line, before = [], 0.0
        for share in readings:
            seconds = (share - before) * MAX_GAP_SECONDS
            line.append(Beat(seconds=seconds, status=scaled(first, 1 + (growth - 1) * share), clock=0.0))
            before = share
        return numbers(Run(*place).through(line).meter.state.tally.energies)

    assert counted([0.0, *sorted(shares), 1.0]) == pytest.approx(counted([0.0, 1.0]), abs=1e-2)


@BOUNDED
@given(PLACES, beats(STATUSES, steps=True), beats(STATUSES, steps=True))
def test_a_meter_that_was_kept_as_json_goes_on_identically(
    place: tuple[ZoneInfo, float], line: list[Beat], later: list[Beat]
) -> None:
    kept, restarted = Run(*place).through(line), Run(*place).through(line)
    document = json.loads(json.dumps(state_to_json(restarted.meter.state), allow_nan=False))
    restarted.go_on(state_from_json(document), same_boot=True)
    assert restarted.through(later).meter.state == kept.through(later).meter.state
    assert restarted.finished == kept.finished
    assert restarted.meter.totals(wall_seconds=kept.wall) == kept.meter.totals(wall_seconds=kept.wall)


@BOUNDED
@given(PLACES, beats(STATUSES, steps=False))
def test_a_clock_that_is_known_late_gives_every_second_to_the_same_day(
    place: tuple[ZoneInfo, float], line: list[Beat]
) -> None:
    zone, start = place
    late = [Beat(seconds=beat.seconds, status=beat.status, clock=None) for beat in line[:-1]] + line[-1:]
    known, found = seconds_by_day(Run(zone, start).through(line)), seconds_by_day(Run(zone, start).through(late))
    # Up to the resolution of a wall clock that is a float.
    assert {day: known.get(day, 0.0) for day in {*known, *found}} == pytest.approx(
        {day: found.get(day, 0.0) for day in {*known, *found}}, abs=1e-4
    )
