import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, time
from pathlib import Path

import pytest

from sonnen_agent.energy.counters import FLOWS, QUANTITIES, Counters, EnergyCounters, TariffCounts
from sonnen_agent.energy.meter import EnergyMeter
from sonnen_agent.energy.state import MeterState
from sonnen_agent.energy.tariffs import TariffPeriod, Tariffs
from sonnen_agent.energy.totals import RecoveredCounters
from sonnen_agent.errors import StartError
from sonnen_agent.reading import Reading, Status
from sonnen_agent.shared_meter import SharedMeter, Start
from sonnen_agent.state.store import StateStore, StoredState, peek

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()
BUYING = Status(production_watts=0, consumption_watts=3_600, grid_feed_in_watts=-3_600, discharge_watts=0)
DIRECTIONS = ("production", "consumption")
BY_TIME_OF_USE = Tariffs(
    currency="EUR",
    import_periods=(
        TariffPeriod(name="night", price_per_kilowatt_hour=0.2213, start=time(22), end=time(6)),
        TariffPeriod(name="day", price_per_kilowatt_hour=0.3141),
    ),
    export_periods=(TariffPeriod(name="feed_in", price_per_kilowatt_hour=0.0812),),
    standing_price_per_day=0.4321,
)


class Wall:
    """The time of day that the meters believe in."""

    now = NOON


@pytest.fixture(autouse=True)
def _noon() -> None:
    Wall.now = NOON


def shared_meter(stored: StoredState | None = None) -> SharedMeter:
    state = stored.meters.get("home") if stored is not None else None
    meter = EnergyMeter(zone=UTC, state=state, same_boot=stored is not None and stored.same_boot)
    return SharedMeter(meter, lambda: Wall.now)


def buy(meter: SharedMeter, start: float, seconds: int) -> None:
    """Count as many watt-hours as seconds."""
    for moment in (start, start + seconds):
        Wall.now = moment
        meter.count(
            Reading(status=BUYING, generation="v2", unix_seconds=moment, monotonic_seconds=moment - NOON), moment - NOON
        )


def bought(meter: SharedMeter) -> float:
    totals, _ = meter.totals()
    assert totals is not None
    return totals.watt_hours.get("grid_import", 0.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    with closing(StateStore(tmp_path)) as store:
        yield store


def test_counters_go_on_after_a_restart(tmp_path: Path) -> None:
    with closing(StateStore(tmp_path)) as store:
        first = shared_meter()
        store.keep({"home": first}, store.load())
        buy(first, NOON, 50)
        store.save(clean=True)
    with closing(StateStore(tmp_path)) as store:
        stored = store.load()

        assert stored is not None
        assert stored.clean
        assert bought(shared_meter(stored)) == pytest.approx(50)


def test_only_a_clean_stop_leaves_a_clean_checkpoint(tmp_path: Path) -> None:
    with closing(StateStore(tmp_path)) as store:
        store.keep({"home": shared_meter()}, store.load())
        store.save(clean=True)
    with closing(StateStore(tmp_path)) as store:
        stored = store.load()
        assert stored is not None
        assert stored.clean
        store.keep({"home": shared_meter(stored)}, stored)
    # A kill right here must not leave the old promise.
    stored = peek(tmp_path)
    assert stored is not None
    assert not stored.clean


def test_a_battery_that_left_the_config_finds_its_counters_when_it_returns(tmp_path: Path) -> None:
    with closing(StateStore(tmp_path)) as store:
        first = shared_meter()
        store.keep({"home": first}, None)
        buy(first, NOON, 50)
        store.save(clean=True)
    with closing(StateStore(tmp_path)) as store:
        store.keep({"other": shared_meter()}, store.load())
        store.save(clean=True)
    stored = peek(tmp_path)

    assert bought(shared_meter(stored)) == pytest.approx(50)


@pytest.mark.usefixtures("store")
def test_the_second_agent_on_a_directory_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=rf"in use by another sonnen-agent \(process {os.getpid()}\); stop that one"):
        StateStore(tmp_path)


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    holder = (
        "import sys; from pathlib import Path; from sonnen_agent.state.store import StateStore; "
        "StateStore(Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", holder, tmp_path], check=True)

    with closing(StateStore(tmp_path)):
        pass


def test_a_disk_that_fails_is_told_once_and_so_is_its_return(
    store: StateStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first = shared_meter()
    store.keep({"home": first}, store.load())
    (tmp_path / "counters.previous.json").mkdir()
    buy(first, NOON, 50)

    assert [store.save(), store.save()] == [False, False]
    (tmp_path / "counters.previous.json").rmdir()
    assert store.save()

    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "the counters cannot be saved",
        "the counters are saved again",
    ]
    assert bought(shared_meter(peek(tmp_path))) == pytest.approx(50)


def test_a_finished_day_is_one_line_of_the_ledger(store: StateStore, tmp_path: Path) -> None:
    first = shared_meter()
    store.keep({"home": first}, None)
    buy(first, NOON + 12 * 3600 - 30, 50)
    store.save()
    store.save()

    (line,) = (tmp_path / "ledger.jsonl").read_text().splitlines()
    assert json.loads(line)["day"] == "2026-06-01"
    assert json.loads(line)["energies"]["totals_watt_hours"]["grid_import"] == pytest.approx(30)


def test_a_day_waits_for_a_disk_that_is_full(store: StateStore, tmp_path: Path) -> None:
    first = shared_meter()
    store.keep({"home": first}, None)
    (tmp_path / "ledger.jsonl").mkdir()
    buy(first, NOON + 12 * 3600 - 30, 50)
    assert store.save(), "the counters are saved all the same"
    assert first.state().days.unflushed, "so that a kill loses no day"
    (tmp_path / "ledger.jsonl").rmdir()
    assert store.save()

    assert len((tmp_path / "ledger.jsonl").read_text().splitlines()) == 1


def test_of_an_ordinary_house_all_is_in_one_block_of_a_card_also_while_counters_are_held_back(
    store: StateStore, tmp_path: Path
) -> None:
    names = ("imported", "exported")
    registers = {f"{direction} 4_{at} {way}": 1e7 / 3 for at, direction in enumerate(DIRECTIONS) for way in names}
    years = Counters(
        energies=EnergyCounters(
            totals_watt_hours=dict.fromkeys(QUANTITIES, 4e7 / 3),
            flows_watt_hours=dict.fromkeys(FLOWS, 4e7 / 3),
            observed_seconds=1e8 / 3,
            standby_watt_hours=1e5 / 3,
        ),
        tariffs=TariffCounts(standing_charge={"EUR": 1e3 / 3}),
        refused={"spike": 12.0},
    )
    state = MeterState(tally=years, registers_raw=registers, registers_shown=registers)
    power_cut = Start(clean=False, same_boot=False, saved_unix_seconds=NOON - 1e6 / 3)
    meter = EnergyMeter(zone=UTC, tariffs=BY_TIME_OF_USE, state=state)
    home = SharedMeter(meter, lambda: Wall.now, power_cut, asks=True)
    home.recover(RecoveredCounters(tally=years, unix_seconds=NOON), started_unix_seconds=NOON - 1e6)
    for seconds in range(0, 200_000, 50):
        sun, house = 50.0 * (seconds % 130), 300.0 + seconds % 1_700
        battery = 10.0 * (seconds % 370) - 1_700
        status = Status(
            production_watts=sun,
            consumption_watts=house,
            grid_feed_in_watts=sun + battery - house,
            discharge_watts=battery,
        )
        moment = seconds + seconds / 7e6
        Wall.now = NOON + moment
        home.count(Reading(status=status, generation="v2", unix_seconds=Wall.now, monotonic_seconds=moment), moment)
    home.take_finished_days()
    store.keep({"home": home}, None)
    store.save()

    kept = home.state()
    assert kept.ceiling is not None
    assert kept.days.last_day is not None
    assert set(kept.tally.tariffs.import_watt_hours) == {"night", "day"}
    assert {file.name: file.stat().st_size <= 4096 for file in tmp_path.glob("counters*")} == {
        "counters.json": True,
        "counters.previous.json": True,
    }


def test_a_look_into_a_directory_that_is_not_there_finds_nothing(tmp_path: Path) -> None:
    assert peek(tmp_path / "nowhere") is None
    assert not (tmp_path / "nowhere").exists()
