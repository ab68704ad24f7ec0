import copy
import json
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonnen_agent.energy.counters import FLOWS, QUANTITIES
from sonnen_agent.energy.days import Calendar
from sonnen_agent.energy.meter import EnergyMeter
from sonnen_agent.energy.state import (
    MeterState,
    StateError,
    compact,
    finished_day_from_json,
    finished_day_to_json,
    state_from_json,
    state_to_json,
)
from sonnen_agent.energy.tariffs import TariffPeriod, Tariffs
from sonnen_agent.errors import AgentError
from sonnen_agent.reading import Status

BERLIN = ZoneInfo("Europe/Berlin")
MIDNIGHT = Calendar(BERLIN).start_of(date(2024, 6, 2))
TARIFFS = Tariffs(
    currency="EUR",
    import_periods=(
        TariffPeriod(name="night", price_per_kilowatt_hour=0.22, start=time(22), end=time(6)),
        TariffPeriod(name="day", price_per_kilowatt_hour=0.31),
    ),
    export_periods=(TariffPeriod(name="feed_in", price_per_kilowatt_hour=0.08),),
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()
EVIL: tuple[object, ...] = (
    *(0, -1, 1, 1e-300, 5e-324, 1e12, -1e12, 9.9e11, 1e13, 1e300, float("inf"), float("nan"), 10**400, True),
    *(None, "", "x", "\ud800", "9999-12-31", "0001-01-01", "1900-01-01", "8999-12-31", "2026-06-01", "2026-06-02"),
    *([], {}, [[]], {"x": 1}, [None], {"\n": 5.0}),
)


def full_state() -> MeterState:
    """Return a state with a finished day, an open one, and energy that waits for the clock."""
    meter = EnergyMeter(zone=BERLIN, tariffs=TARIFFS)
    for seconds in range(-300, 600, 7):
        status = Status(
            production_watts=1000.1 + seconds,
            consumption_watts=400.7,
            grid_feed_in_watts=seconds,
            discharge_watts=-31.3,
        )
        known = seconds < 300
        meter.add(status, monotonic_seconds=1000.123 + seconds, wall_seconds=MIDNIGHT + seconds if known else None)
    return meter.state


def document() -> dict[str, object]:
    written = json.loads(json.dumps(state_to_json(full_state()), allow_nan=False))
    assert isinstance(written, dict)
    return written


def test_a_state_survives_json_to_the_last_bit() -> None:
    state = full_state()
    assert state.undated.intervals
    assert state.days.open_day is not None
    assert state.days.unflushed
    assert state.last is not None
    assert state_from_json(document()) == state


def test_what_waited_long_for_the_clock_survives_json() -> None:
    meter = EnergyMeter(zone=BERLIN)
    for minute in range(300):
        meter.add(Status(consumption_watts=300), monotonic_seconds=minute * 60, wall_seconds=None)
    assert meter.state.undated.interval_seconds == 120
    assert state_from_json(json.loads(json.dumps(state_to_json(meter.state)))) == meter.state


@given(st.floats(-1e15, 1e15))
def test_in_a_compact_document_no_number_is_less_or_a_millionth_more_and_writing_it_again_changes_none(
    number: float,
) -> None:
    (written,) = cast("list[float]", compact([number]))

    assert number <= written <= number + max(1e-6, math.ulp(number))
    assert compact([float(written)]) == [written]
    assert len(json.dumps(written)) <= len(f"{number:.6f}")


def test_a_compact_document_is_read_as_the_whole_one_is() -> None:
    state = replace(full_state(), last=None)

    written = compact(state_to_json(state))

    assert "null" not in json.dumps(written)
    assert len(json.dumps(written)) < 0.9 * len(json.dumps(state_to_json(state)))
    read = state_from_json(written)
    assert read.tally.amounts() == pytest.approx(state.tally.amounts(), abs=2e-6)
    assert replace(read, tally=state.tally, undated=state.undated, days=state.days) == state
    assert read.days.unflushed[0].energies.amounts() == pytest.approx(
        state.days.unflushed[0].energies.amounts(), abs=2e-6
    )


def test_an_empty_state_survives_json() -> None:
    assert state_from_json(json.loads(json.dumps(state_to_json(MeterState())))) == MeterState()


def test_a_finished_day_survives_json_on_its_own() -> None:
    (finished,) = full_state().days.unflushed
    assert finished_day_from_json(json.loads(json.dumps(finished_day_to_json(finished)))) == finished
    with pytest.raises(StateError, match=r"^day\.energies: should be an object, got None; go on from another copy"):
        finished_day_from_json({"day": "2024-06-01", "length_seconds": 86_400})


def test_a_meter_of_a_kept_state_goes_on_as_if_it_were_the_same() -> None:
    meters = [
        EnergyMeter(zone=BERLIN, tariffs=TARIFFS, state=state, same_boot=True)
        for state in (full_state(), state_from_json(document()))
    ]
    for seconds in (610, 620, 700):
        status = Status(production_watts=0, consumption_watts=1, grid_feed_in_watts=-900, discharge_watts=3)
        for meter in meters:
            meter.add(status, monotonic_seconds=1000.123 + seconds, wall_seconds=MIDNIGHT + seconds)
    assert meters[0].state == meters[1].state
    assert meters[0].take_finished_days() == meters[1].take_finished_days()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("format",), 7, "energy.format: should be 1: it was written by another release, got 7"),
        (("tally",), None, "energy.tally: should be an object, got None"),
        (("tally", "energies", "observed_seconds"), "12", "observed_seconds: should be a number, got '12'"),
        (("tally", "energies", "observed_seconds"), True, "observed_seconds: should be a number, got True"),
        (("tally", "energies", "observed_seconds"), float("nan"), "observed_seconds: should be a number, got nan"),
        (("tally", "energies", "observed_seconds"), 10**400, "observed_seconds: should be a number, got 1000"),
        (("tally", "energies", "totals_watt_hours", "production"), -1, "production: should be 0 or more, got -1"),
        (("tally", "energies", "totals_watt_hours", "gas"), 1, "totals_watt_hours: should have no other keys than"),
        (
            ("tally", "energies", "flows_watt_hours", "grid_solar"),
            1,
            "flows_watt_hours: should have no other keys than",
        ),
        (("tally", "energies", "flows_watt_hours"), {"solar_home": 1}, "flows_watt_hours: should have all of"),
        (("tally", "tariffs", "cost"), [1], "energy.tally.tariffs.cost: should be an object, got [1]"),
        (("last", "production_watts"), "much", "energy.last.production_watts: should be a number, got 'much'"),
        (("last", "monotonic_seconds"), None, "energy.last.monotonic_seconds: should be a number, got None"),
        (("pending", "blocks"), {}, "energy.pending.blocks: should be a list, got {}"),
        (("pending", "block_seconds"), 0, "energy.pending.block_seconds: should be above 0, got 0"),
        (("open_day", "day"), "yesterday", "energy.open_day.day: should be a day such as 2024-12-31, got 'yesterday'"),
        (("open_day", "day"), 20240601, "energy.open_day.day: should be a day such as 2024-12-31, got 20240601"),
        (("open_day", "day"), "2024-06-01", "energy.open_day.day: should be after 2024-06-01, the last finished day"),
        (("untaken",), [1], "energy.untaken[0]: should be an object, got 1"),
    ],
)
def test_a_damaged_state_is_refused_with_the_place_of_the_damage(
    path: tuple[str, ...], value: object, message: str
) -> None:
    damaged = document()
    place: object = damaged
    for key in path[:-1]:
        assert isinstance(place, dict)
        place = place[key]
    assert isinstance(place, dict)
    place[path[-1]] = value
    with pytest.raises(StateError) as caught:
        state_from_json(damaged)
    assert message in str(caught.value)
    assert str(caught.value).endswith("; go on from another copy of the state")


@pytest.mark.parametrize("rubbish", [None, [], "x", 5, {}])
def test_what_is_no_state_is_refused(rubbish: object) -> None:
    with pytest.raises(AgentError, match=r"^energy(\.format)?: should be"):
        state_from_json(rubbish)


def test_a_block_that_ends_before_it_starts_is_refused() -> None:
    damaged = document()
    pending = damaged["pending"]
    assert isinstance(pending, dict)
    pending["blocks"][0]["end_seconds"] = 3
    with pytest.raises(StateError, match=r"energy\.pending\.blocks\[0\]\.end_seconds: should be after 12"):
        state_from_json(damaged)


def test_a_release_before_reads_the_document_by_the_same_keys() -> None:
    def shape(value: object) -> object:
        if isinstance(value, dict):
            return {key: shape(item) for key, item in value.items()}
        return [shape(item) for item in value[:1]] if isinstance(value, list) else type(value).__name__

    flows = dict.fromkeys(("_".join(flow) for flow in FLOWS), "float")
    energies = {
        "totals_watt_hours": dict.fromkeys(QUANTITIES, "float"),
        "flows_watt_hours": flows,
        "observed_seconds": "float",
        # It does not know of these.
        "standby_watt_hours": "float",
    }
    counters = {
        "energies": energies,
        "tariffs": {
            "import_watt_hours": {"night": "float"},
            "export_watt_hours": {"feed_in": "float"},
            "cost": {"EUR": "float"},
            "revenue": {"EUR": "float"},
            # It reads no others, here and below.
            "consumption_watt_hours": {"night": "float"},
            "consumption_cost": {"EUR": "float"},
        },
    }
    finished = {"day": "str", "length_seconds": "float", **counters}
    assert json.dumps(shape(document())) == json.dumps(
        {
            "format": "int",
            "tally": counters,
            "last": {
                "monotonic_seconds": "float",
                "production_watts": "float",
                "consumption_watts": "float",
                "grid_feed_in_watts": "int",
                "discharge_watts": "float",
                "standby_watts": "float",
            },
            "pending": {
                "block_seconds": "float",
                "blocks": [{"start_seconds": "float", "end_seconds": "float", "energies": energies}],
            },
            "open_day": {"day": "str", "behind_seconds": "float", **counters},
            "last_day": {
                "day": "str",
                "length_seconds": "float",
                "energies": {"totals_watt_hours": {}, "flows_watt_hours": flows, "observed_seconds": "float"},
                "tariffs": {
                    "import_watt_hours": {},
                    "export_watt_hours": {},
                    "cost": {"EUR": "float"},
                    "revenue": {"EUR": "float"},
                    "consumption_cost": {"EUR": "float"},
                },
            },
            "untaken": [finished],
            # It reads no others.
            "gateway_ceiling": "NoneType",
            "ceiling": "NoneType",
            "standing_until_unix_seconds": "NoneType",
        }
    )


def places(value: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - a document of any depth
    """Yield each container of a document and a key of it."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def mutant(original: dict[str, object], seed: random.Random) -> dict[str, object]:
    changed = copy.deepcopy(original)
    for _ in range(seed.randrange(1, 4)):
        container, key = seed.choice(list(places(changed)))
        container[key] = copy.deepcopy(seed.choice(EVIL))
    return changed


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Pacific/Apia", "UTC"])
def test_a_meter_counts_on_from_whatever_is_read_as_a_state_and_what_it_then_has_is_read_again(zone: str) -> None:
    seed = random.Random(zone)  # noqa: S311 - the same mutants in every run
    original, taken = document(), 0
    for _ in range(500):
        changed = mutant(original, seed)
        try:
            state = state_from_json(changed)
        except StateError:
            continue
        taken += 1
        for same_boot in (False, True):
            meter = EnergyMeter(zone=ZoneInfo(zone), state=state, same_boot=same_boot)
            monotonic = state.last.monotonic_seconds if same_boot and state.last is not None else 100.0
            for beat in range(5):
                meter.add(
                    Status(production_watts=1000, consumption_watts=500, grid_feed_in_watts=500, discharge_watts=0),
                    monotonic_seconds=monotonic + 5 * beat,
                    wall_seconds=NOW + 5 * beat if beat > 2 else None,
                )
                written = json.dumps(state_to_json(meter.state), allow_nan=False, ensure_ascii=False).encode()
                assert state_from_json(json.loads(written)) == meter.state
            meter.totals(wall_seconds=NOW + 30)
            for day in meter.take_finished_days():
                Calendar(ZoneInfo(zone)).start_of(day.day)
    assert taken > 20
