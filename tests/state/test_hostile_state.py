import hashlib
import json
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date
from pathlib import Path

import pytest
from prometheus_client.samples import Sample

from sonnen_agent.energy.counters import Counters, EnergyCounters, TariffCounts
from sonnen_agent.energy.days import FinishedDay
from sonnen_agent.energy.meter import EnergyMeter
from sonnen_agent.energy.state import MeterState, StateError, finished_day_to_json, state_from_json, state_to_json
from sonnen_agent.metrics.energy import recovered_counters
from sonnen_agent.shared_meter import SharedMeter
from sonnen_agent.state.checkpoint import decode, encode
from sonnen_agent.state.ledger import Ledger, LedgerDay
from sonnen_agent.state.runtime_checkpoint import RuntimeCheckpoint
from sonnen_agent.state.store import StateStore


def signed(body: bytes) -> bytes:
    """Return a checkpoint with a right sum, whatever is in it."""
    return f"sonnen-agent-state 1 {hashlib.sha256(body).hexdigest()}\n".encode() + body


def meter(state: MeterState | None = None) -> SharedMeter:
    return SharedMeter(EnergyMeter(zone=UTC, state=state), lambda: None)


def day(number: int = 1) -> FinishedDay:
    return FinishedDay(day=date(2026, 6, number), length_seconds=86_400, energies=EnergyCounters())


@contextmanager
def store(folder: Path) -> Iterator[StateStore]:
    found = StateStore(folder)
    try:
        yield found
    finally:
        found.close()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def _with_tariff(name: str) -> dict[str, object]:
    tariffs = TariffCounts(import_watt_hours={name: 5.0})
    return state_to_json(MeterState(tally=Counters(tariffs=tariffs)))


HOSTILE_BODIES = {
    "deep": b"[" * 1_000_000,
    "deep objects": b'{"a":' * 500_000,
    "wrong": b'{"serial": 7, "meters": {"home": {"format": 1, "energies": 5}}}',
    "no meters": b'{"serial": 7, "meters": [[[]]]}',
    "list": b"[1, 2]",
    "long number": b'{"serial": ' + b"9" * 100_000 + b"}",
    "long serial": b'{"serial": ' + b"9" * 4300 + b', "meters": {}}',
    "huge": b'{"x": "' + b"x" * (8 << 20) + b'"}',
    "many": b"[" + b"[]," * 5_000_000 + b"1]",
    "NaN": b'{"serial": NaN, "meters": {"home": NaN}}',
    "too great": b'{"serial": 7, "meters": {"home": {"format": 1, "energies": {"observed_seconds": 1e999}}}}',
    "not utf-8": b'{"serial": 7, "\xff": 1}',
    "half a pair": json.dumps({"serial": 7, "meters": {"\ud800": state_to_json(MeterState())}}).encode(),
    "half a tariff": json.dumps({"serial": 7, "meters": {"home": _with_tariff("\ud800")}}).encode(),
}


@pytest.mark.parametrize("body", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES)
def test_a_checkpoint_with_a_right_sum_and_anything_in_it_costs_one_line_and_the_other_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    with store(tmp_path) as first:
        first.keep({"home": meter()}, first.load())
    (tmp_path / "counters.previous.json").write_bytes(signed(body))

    with store(tmp_path) as again:
        stored = again.load()
        assert stored is not None
        again.keep({"home": meter()}, stored)
        assert again.save()

    assert set(stored.meters) == {"home"}
    # Without a serial number it counts as one of an earlier release, and as the older one.
    numbered = not (b'9999, "meters"' in body or b'"serial": NaN' in body)
    assert len(lines(caplog)) == numbered


@pytest.mark.parametrize("body", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES)
def test_images_of_the_latest_beat_with_anything_in_them_cost_one_line_together(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    runtime = RuntimeCheckpoint(tmp_path)
    for battery in ("home", "barn", "mill"):
        runtime.save(battery, MeterState())
    for file in tmp_path.glob("beat-*.json"):
        file.write_bytes(signed(body))

    assert runtime.load(["home", "barn", "mill"]) == {}
    (line,) = lines(caplog)
    assert line.endswith(" (and 2 more)")


@pytest.mark.parametrize("number", [1e305, 1e13, float("inf"), float("nan"), -1.0])
def test_what_the_gateway_says_never_makes_the_own_state_unreadable(number: float) -> None:
    found = recovered_counters(
        [
            Sample(name="sonnen_production_watt_hours_total", labels={}, value=number),
            Sample(name="sonnen_consumption_watt_hours_total", labels={}, value=5000),
            Sample(name="sonnen_observed_seconds_total", labels={}, value=number),
            Sample(name="sonnen_grid_cost_total", labels={"currency": "EUR"}, value=number),
            Sample(name="sonnen_grid_cost_total", labels={"currency": "\ud800"}, value=1),
        ],
        pushed_unix_seconds=None,
    )
    shared = SharedMeter(EnergyMeter(zone=UTC, awaits_copy=True), lambda: None)
    shared.recover(found)

    state = state_from_json(decode(encode(state_to_json(shared.state()))))

    assert state.tally.energies.totals_watt_hours["consumption"] == 5000
    assert state.tally.energies.totals_watt_hours.get("production", 0.0) == 0.0


def test_the_greatest_number_that_is_taken_in_is_read_again() -> None:
    found = recovered_counters(
        [Sample(name="sonnen_production_watt_hours_total", labels={}, value=1e12)], pushed_unix_seconds=None
    )
    shared = SharedMeter(EnergyMeter(zone=UTC, awaits_copy=True), lambda: None)
    shared.recover(found)

    assert state_from_json(state_to_json(shared.state())) == shared.state()


@pytest.mark.parametrize("when", ["0001-01-01", "9999-12-31"])
def test_a_day_at_the_end_of_all_calendars_is_none(when: str) -> None:
    document = state_to_json(MeterState())
    document["last_day"] = {**finished_day_to_json(day()), "day": when}

    with pytest.raises(StateError, match="should be a day such as 2024-12-31"):
        state_from_json(document)


HOSTILE_LINES = {
    "deep": b"[" * 100_000,
    "long": b'{"x": "' + b"x" * 1_000_000 + b'"}',
    "long number": b"9" * 100_000,
    "NaN": json.dumps({"battery": "home", **finished_day_to_json(day()), "length_seconds": float("nan")}).encode(),
    "last of days": json.dumps({"battery": "home", **finished_day_to_json(day()), "day": "9999-12-31"}).encode(),
    "escape": json.dumps({"battery": "\x1b[2J", **finished_day_to_json(day())}).encode(),
    "half a pair": json.dumps({"battery": "\ud800", **finished_day_to_json(day())}).encode(),
    "not utf-8": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("line", HOSTILE_LINES.values(), ids=HOSTILE_LINES)
def test_a_thousand_damaged_lines_of_the_ledger_are_one_line_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: bytes
) -> None:
    ledger = Ledger(tmp_path)
    ledger.append((LedgerDay(battery="home", finished=day(1)),))
    with (tmp_path / "ledger.jsonl").open("ab") as file:
        file.write((line + b"\n") * (20 if len(line) > 10_000 else 1000))

    with store(tmp_path) as found:
        shared = meter()
        shared.put_back((day(2),))
        found.keep({"home": shared}, None)
        assert found.save()

    caplog.clear()
    assert [one.finished.day.day for one in ledger.days()] == [1, 2]
    (told,) = lines(caplog)
    assert "damaged lines are left out, the first of them line 2: " in told


def test_of_a_ledger_that_is_too_large_the_end_is_read(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    ledger = Ledger(tmp_path)
    ledger.append((LedgerDay(battery="home", finished=day(1)),))
    os.truncate(file, 1 << 40)  # as sparse as a file can be
    ledger.append((LedgerDay(battery="home", finished=day(2)),))
    ledger.append((LedgerDay(battery="home", finished=day(2)),))

    assert [one.finished.day.day for one in ledger.days()] == [2]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    file = tmp_path / "elsewhere"
    file.write_text("of somebody else\n")
    return file


@pytest.mark.parametrize("name", ["lock", "ledger.jsonl", "counters.json", "counters.previous.json"])
@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_nothing_in_the_state_directory_leads_elsewhere_or_holds_the_agent_up(
    tmp_path: Path, elsewhere: Path, name: str, kind: str
) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    if kind == "link":
        (folder / name).symlink_to(elsewhere)
    elif kind == "fifo":
        os.mkfifo(folder / name)
    else:
        (folder / name).mkdir()
    if name == "lock":
        with pytest.raises(OSError, match="lock"):
            StateStore(folder)
    else:
        with store(folder) as found:
            shared = meter()
            shared.put_back((day(),))
            found.keep({"home": shared}, found.load())
            assert found.save()

    assert elsewhere.read_text() == "of somebody else\n"


def test_a_link_in_the_runtime_directory_is_not_followed_and_gone_with_the_next_beat(
    tmp_path: Path, elsewhere: Path
) -> None:
    folder = tmp_path / "runtime"
    folder.mkdir()
    runtime = RuntimeCheckpoint(folder)
    runtime.save("home", MeterState())
    (file,) = folder.iterdir()
    file.with_suffix(".writing").symlink_to(elsewhere)
    for _ in range(2):
        runtime.save("home", MeterState())

    assert list(runtime.load(["home"])) == ["home"]
    assert elsewhere.read_text() == "of somebody else\n"


def test_all_that_is_kept_is_for_its_owner_alone_whatever_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder, runtime = tmp_path / "state", tmp_path / "runtime"
        runtime.mkdir()
        with store(folder) as found:
            shared = meter()
            shared.put_back((day(),))
            found.keep({"home": shared}, None)
            found.save()
        RuntimeCheckpoint(runtime).save("home", MeterState())
    finally:
        os.umask(before)

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (*folder.iterdir(), *runtime.iterdir())}
    assert set(modes.values()) == {0o600}
    assert {"lock", "counters.json", "counters.previous.json", "ledger.jsonl"} < set(modes)


def test_a_checkpoint_of_many_batteries_is_read_again() -> None:
    """The bound of what is read leaves room for more batteries than anybody has."""
    document = state_to_json(MeterState())
    assert len(encode({"meters": dict.fromkeys(map(str, range(200)), document)})) < (4 << 20) // 4
