import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from sonnen_agent.simulator.generations import GENERATION_NAMES, GenerationName, generation_named
from sonnen_agent.simulator.house import House, State
from sonnen_agent.simulator.profiles import (
    GRID_NAMES,
    STEP_SECONDS,
    GridName,
    HouseParameters,
    battery_zone,
    consumption_watts,
    day_plan,
    house_on,
    production_watts,
)

SUMMER = datetime(2024, 6, 20, 22, 0, tzinfo=UTC)
WINTER = datetime(2024, 12, 10, 23, 0, tzinfo=UTC)
STEP = timedelta(seconds=STEP_SECONDS)
HOURS = STEP_SECONDS / 3600
USUAL = HouseParameters()
INTEGRALS: dict[str, Callable[[State], float]] = {
    "production_watt_hours": lambda state: state.production_watts,
    "consumption_watt_hours": lambda state: state.consumption_watts,
    "grid_import_watt_hours": lambda state: max(0.0, -state.grid_feed_in_watts),
    "grid_export_watt_hours": lambda state: max(0.0, state.grid_feed_in_watts),
    "battery_charge_watt_hours": lambda state: max(0.0, -state.discharge_watts),
    "battery_discharge_watt_hours": lambda state: max(0.0, state.discharge_watts),
}


def every_step(house: House, start: datetime, days: float) -> Iterator[State]:
    moment = start
    while moment < start + timedelta(days=days):
        yield house.at(moment)
        moment += STEP


@cache
def every_minute(days: int) -> list[State]:
    house = House(USUAL, 1, SUMMER)
    return [house.at(SUMMER + timedelta(minutes=minute)) for minute in range(days * 24 * 60)]


@cache
def days_of(seed: int, start: datetime, days: float = 1, parameters: HouseParameters = USUAL) -> tuple[State, ...]:
    return tuple(every_step(House(parameters, seed, start), start, days))


@pytest.mark.parametrize("start", [SUMMER, WINTER], ids=["summer", "winter"])
@pytest.mark.parametrize("seed", [1, 2])
def test_what_comes_in_goes_out_at_every_moment(seed: int, start: datetime) -> None:
    for state in days_of(seed, start):
        balance = state.production_watts + state.discharge_watts - state.consumption_watts - state.grid_feed_in_watts
        assert abs(balance) < 0.001


@pytest.mark.parametrize("name", GENERATION_NAMES)
def test_the_stored_energy_changes_by_what_the_cells_take_and_the_inverter_loses_its_share(
    name: GenerationName,
) -> None:
    parameters = generation_named(name).house
    states = days_of(1, SUMMER, 1, parameters)
    assert {state.discharge_watts < -100 for state in states} == {True, False}
    for before, after in pairwise(states):
        assert abs(after.stored_watt_hours - before.stored_watt_hours - before.cell_watts * HOURS) < 1e-6
    for state in states:
        through = state.discharge_watts + parameters.own_use_watts
        cells = -through * parameters.efficiency if through < 0 else -through / parameters.efficiency
        assert abs(state.cell_watts - cells) < 1e-6


@pytest.mark.parametrize("name", GENERATION_NAMES)
def test_the_battery_stays_within_its_limits(name: GenerationName) -> None:
    parameters = generation_named(name).house
    states = days_of(1, SUMMER, 1, parameters)
    least = parameters.stored_minimum_watt_hours
    for state in states:
        assert least - 1e-6 <= state.stored_watt_hours <= parameters.capacity_watt_hours
        assert -parameters.max_charge_watts <= state.discharge_watts <= parameters.max_discharge_watts
        assert 0 <= state.usable_state_of_charge_percent <= state.state_of_charge_percent <= 100
        assert state.cell_celsius[0] < state.cell_celsius[1] < 45
        assert state.cell_volts[0] < state.cell_volts[1]
        assert 49.9 < state.grid_hertz < 50.1
        assert all(220 < volts < 240 for volts in state.phase_volts)
    assert max(state.stored_watt_hours for state in states) == parameters.capacity_watt_hours


def test_the_state_of_charge_is_the_stored_share_of_the_capacity() -> None:
    for state in days_of(1, SUMMER)[:2000]:
        assert abs(state.state_of_charge_percent - state.stored_watt_hours / 118) < 1e-6
        assert abs(state.usable_state_of_charge_percent - (state.state_of_charge_percent - 7) / 0.93) < 1e-6


def test_charging_slows_down_near_full() -> None:
    nearly_full = [state for state in days_of(2, SUMMER) if 98.5 < state.state_of_charge_percent < 100]
    assert nearly_full
    assert max(state.cell_watts for state in nearly_full) < 0.35 * HouseParameters().max_charge_watts


def test_a_full_battery_counts_no_seconds_since_it_was_full() -> None:
    states = days_of(2, SUMMER)
    full = [index for index, state in enumerate(states) if state.seconds_since_full_charge == 0]
    assert full
    assert all(states[index].state_of_charge_percent > 99.9 for index in full)
    assert states[0].seconds_since_full_charge > 0
    last = max(full)
    assert states[-1].seconds_since_full_charge == (len(states) - 1 - last) * STEP_SECONDS


def test_the_reserve_is_kept_for_a_power_cut() -> None:
    states = days_of(2, WINTER, 1, HouseParameters(backup_buffer_percent=30, pv_peak_watts=500.0))
    assert min(state.usable_state_of_charge_percent for state in states) == pytest.approx(30)
    at_rest = [state for state in states if state.usable_state_of_charge_percent < 30.001]
    assert {state.discharge_watts for state in at_rest if state.production_watts == 0} == {-5.0}


@pytest.mark.parametrize("start", [SUMMER, WINTER], ids=["summer", "winter"])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_roof_produces_nothing_at_night_and_never_more_than_its_peak(seed: int, start: datetime) -> None:
    states = days_of(seed, start)
    hours = [(state.time.astimezone(battery_zone()).hour, state.production_watts) for state in states]
    assert {watts for hour, watts in hours if hour in {23, 0, 1, 2, 3}} == {0.0}
    assert all(0 < watts <= 9800 for hour, watts in hours if hour == 12)
    # An inverter that has too little light stands still.
    assert min(watts for _, watts in hours if watts) >= 8


def test_summer_brings_more_sun_than_winter() -> None:
    summer, winter = (House(USUAL, 1, start).at(start + timedelta(days=2)) for start in (SUMMER, WINTER))
    assert summer.production_watt_hours > 2 * winter.production_watt_hours


def test_clouds_pass_on_some_days() -> None:
    watts = [state.production_watts for state in every_minute(5)]
    assert max(earlier - later for earlier, later in pairwise(watts)) > 500


def test_a_kettle_and_on_some_evenings_a_car_draw_more_than_the_house_alone() -> None:
    watts = [state.consumption_watts for state in every_minute(5)]
    assert min(watts) > 100
    rises = [later - earlier for earlier, later in pairwise(watts)]
    assert any(1900 < rise < 2250 for rise in rises)
    assert any(rise > 7000 for rise in rises)


def test_what_runs_at_midnight_runs_on() -> None:
    parameters = HouseParameters(base_load_watts=0.0, car_watts=11_000.0)
    days = [SUMMER + timedelta(days=number) for number in range(60)]
    late = [
        midnight
        for midnight in days
        for seconds, watts in day_plan(parameters, 1, (midnight - timedelta(days=1)).astimezone(battery_zone()).date())
        if watts == 11_000.0 and seconds.start < midnight.timestamp() < seconds.stop - 60
    ]
    assert late
    for midnight in late:
        watts = consumption_watts(parameters, 1, int(midnight.timestamp()))
        assert 10_900 < watts < 11_200


def test_the_battery_follows_the_house_so_that_little_flows_from_the_grid() -> None:
    quiet = [
        state
        for state in days_of(1, SUMMER)
        if state.production_watts == 0 and 200 < state.consumption_watts < 1000 and state.discharge_watts > 50
    ]
    assert len(quiet) > 500
    assert sum(abs(state.grid_feed_in_watts) for state in quiet) / len(quiet) < 30


@pytest.mark.parametrize("name", GENERATION_NAMES)
def test_the_running_integrals_are_the_sums_of_the_powers(name: GenerationName) -> None:
    states = days_of(1, SUMMER, 1, generation_named(name).house)
    for integral, power in INTEGRALS.items():
        total = sum(power(state) for state in states[:-1]) * HOURS
        assert getattr(states[-1], integral) == pytest.approx(total, rel=1e-9)
        assert total > 50


def test_cycles_grow_with_the_energy_taken_out_of_the_cells() -> None:
    states = days_of(1, SUMMER)
    taken = sum(max(0.0, -state.cell_watts) for state in states[:-1]) * HOURS
    assert states[-1].cycles - states[0].cycles == pytest.approx(taken / 11800)
    assert taken > 1000


def test_the_minute_mean_is_that_of_the_last_twelve_steps() -> None:
    states = days_of(1, SUMMER)[:2000]
    for index in range(100, len(states)):
        mean = sum(state.consumption_watts for state in states[index - 11 : index + 1]) / 12
        assert abs(states[index].consumption_average_watts - mean) < 1e-6


def test_it_does_not_matter_when_and_how_often_the_house_is_asked() -> None:
    end = SUMMER + timedelta(hours=15, seconds=2)
    once = House(HouseParameters(), 7, SUMMER).at(end)
    often = House(HouseParameters(), 7, SUMMER)
    moment = SUMMER
    while moment < end:
        often.at(moment)
        often.at(moment)
        moment += timedelta(seconds=37.3)
    assert often.at(end) == once


def test_a_question_about_the_past_gets_the_present_step() -> None:
    house = House(HouseParameters(), 7, SUMMER)
    present = house.at(SUMMER + timedelta(hours=1))
    assert house.at(SUMMER) == present
    assert present.time == SUMMER + timedelta(hours=1)


def test_the_grid_of_time_does_not_depend_on_the_second_of_the_start() -> None:
    end = SUMMER + timedelta(hours=1)
    exact = House(HouseParameters(), 7, SUMMER).at(end)
    assert House(HouseParameters(), 7, SUMMER + timedelta(seconds=3.9)).at(end) == exact


def test_weather_and_loads_do_not_depend_on_the_start() -> None:
    noon = SUMMER + timedelta(hours=14)
    early, late = House(HouseParameters(), 7, SUMMER).at(noon), House(HouseParameters(), 7, noon).at(noon)
    assert (early.production_watts, early.consumption_watts) == (late.production_watts, late.consumption_watts)


def test_another_seed_is_another_house() -> None:
    noon = SUMMER + timedelta(hours=14)
    watts = {House(USUAL, seed, noon).at(noon).consumption_watts for seed in range(5)}
    assert len(watts) == 5


def test_another_process_simulates_the_same_house() -> None:
    program = (
        "import json, dataclasses, datetime\n"
        "from sonnen_agent.simulator.house import House\n"
        "from sonnen_agent.simulator.profiles import HouseParameters\n"
        "start = datetime.datetime(2024, 6, 20, 22, tzinfo=datetime.UTC)\n"
        "state = House(HouseParameters(), 7, start).at(start + datetime.timedelta(hours=14))\n"
        "print(json.dumps(dataclasses.asdict(state), default=str))\n"
    )
    package = Path(sys.modules[House.__module__].__file__ or "").parents[2]
    results = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": str(package), "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    here = House(HouseParameters(), 7, SUMMER).at(SUMMER + timedelta(hours=14))
    assert results == {json.dumps(asdict(here), default=str) + "\n"}


@pytest.mark.parametrize(("start", "hours"), [("2024-03-30", 23), ("2024-10-26", 25)], ids=["spring", "autumn"])
def test_the_evening_stays_in_the_evening_when_the_clocks_change(start: str, hours: int) -> None:
    midnight = datetime.fromisoformat(start).replace(tzinfo=battery_zone()) + timedelta(days=1)
    parameters = HouseParameters(base_load_watts=0.0, car_watts=0.0)
    house = House(parameters, 1, midnight)
    states = list(every_step(house, midnight.astimezone(UTC), hours / 24))
    assert states[-1].time.astimezone(battery_zone()).time().isoformat() == "23:59:55"
    night = [s.consumption_watts for s in states if s.time.astimezone(battery_zone()).hour in {1, 3, 4}]
    evening = [s.consumption_watts for s in states if s.time.astimezone(battery_zone()).hour == 20]
    assert max(night) < 150
    assert min(evening) > 120


def test_an_american_house_has_two_legs_of_120_volts_and_60_hertz() -> None:
    for state in days_of(1, SUMMER, 1, house_on("us", USUAL))[::20]:
        one, other, none = state.phase_volts
        assert 114 < one < 126
        assert 114 < other < 126
        assert none == 0.0
        assert 59.9 < state.grid_hertz < 60.1


@pytest.mark.parametrize("grid", GRID_NAMES)
def test_the_sun_is_highest_at_noon_of_the_house_and_the_family_cooks_in_its_evening(grid: GridName) -> None:
    house = house_on(grid, USUAL)
    zone = battery_zone(house)
    midnight = datetime(2024, 3, 20, tzinfo=zone)
    watts = [production_watts(house, 1, int((midnight + timedelta(hours=hour)).timestamp())) for hour in range(24)]
    assert watts[0] == watts[3] == watts[23] == 0.0
    assert 11 <= max(range(24), key=lambda hour: watts[hour]) <= 14
    for seconds, _ in list(day_plan(house, 1, midnight.date()))[1:2]:
        assert 17 <= datetime.fromtimestamp(seconds.start, zone).hour <= 18


def test_december_is_summer_in_australia() -> None:
    def month_of_sun(grid: GridName, month: int) -> float:
        house = house_on(grid, USUAL)
        first = int(datetime(2024, month, 1, tzinfo=battery_zone(house)).timestamp())
        return sum(production_watts(house, 1, first + 3600 * hour) for hour in range(28 * 24))

    assert month_of_sun("au", 12) > 1.2 * month_of_sun("au", 6)
    assert month_of_sun("us", 6) > 1.2 * month_of_sun("us", 12)
