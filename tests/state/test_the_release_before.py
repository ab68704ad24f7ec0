"""Files that the release before has written, with its indented JSON, are read on."""

import hashlib
from contextlib import closing
from pathlib import Path

import pytest

from sonnen_agent.clock import boot_id
from sonnen_agent.energy.counters import FLOWS, Counters, EnergyCounters, TariffCounts
from sonnen_agent.energy.state import MeterState
from sonnen_agent.state.checkpoint import encode
from sonnen_agent.state.runtime_checkpoint import RuntimeCheckpoint
from sonnen_agent.state.store import StateStore, peek

COUNTERS = """\
sonnen-agent-state 1 91bc28c1a19926525f4aa91a0497361806ef068118cd564b044e82ef64ddc14b
{
 "saved_unix_seconds": 1780351200.25,
 "boot_id": "6f9e1c1e-0c55-4f43-9c11-5f7de7c0ffee",
 "clean": true,
 "meters": {
  "home": {
   "format": 1,
   "tally": {
    "energies": {
     "totals_watt_hours": {
      "production": 4000.5,
      "consumption": 2500.25,
      "grid_import": 1000.0,
      "grid_export": 2500.0,
      "battery_charge": 10.0,
      "battery_discharge": 20.0
     },
     "flows_watt_hours": {
      "solar_home": 0.0,
      "solar_battery": 0.0,
      "solar_grid": 0.0,
      "battery_home": 0.0,
      "battery_grid": 0.0,
      "grid_home": 1000.0,
      "grid_battery": 0.0
     },
     "observed_seconds": 3600.0
    },
    "tariffs": {
     "import_watt_hours": {
      "day": 1000.0
     },
     "export_watt_hours": {},
     "cost": {
      "EUR": 0.31
     },
     "revenue": {}
    }
   },
   "last": null,
   "pending": {
    "block_seconds": 60.0,
    "blocks": []
   },
   "open_day": null,
   "last_day": null,
   "untaken": []
  }
 }
}
"""
"""A `counters.json` of a clean stop; `counters.previous.json` has the same form."""
OLDER_BODY = COUNTERS.partition("\n")[2].replace('"production": 4000.5', '"production": 3999.5')
OLDER = f"sonnen-agent-state 1 {hashlib.sha256(OLDER_BODY.encode()).hexdigest()}\n{OLDER_BODY}"

IMAGE = """\
{
 "battery": "home",
 "boot_id": "BOOT",
 "meter": {
  "format": 1,
  "tally": {
   "energies": {
    "totals_watt_hours": {
     "production": SECONDS.5
    },
    "flows_watt_hours": {
     "solar_home": 0.0,
     "solar_battery": 0.0,
     "solar_grid": 0.0,
     "battery_home": 0.0,
     "battery_grid": 0.0,
     "grid_home": 0.0,
     "grid_battery": 0.0
    },
    "observed_seconds": SECONDS
   },
   "tariffs": {
    "import_watt_hours": {},
    "export_watt_hours": {},
    "cost": {},
    "revenue": {}
   }
  },
  "last": null,
  "pending": {
   "block_seconds": 60.0,
   "blocks": []
  },
  "open_day": null,
  "last_day": null,
  "untaken": []
 }
}
"""
"""What its first line is followed by in a `beat-….json`, for a boot and a number of seconds that were observed."""
IMAGE_NAME = "beat-4ea140588150773c"

HOME = MeterState(
    tally=Counters(
        energies=EnergyCounters(
            totals_watt_hours={
                "production": 4000.5,
                "consumption": 2500.25,
                "grid_import": 1000.0,
                "grid_export": 2500.0,
                "battery_charge": 10.0,
                "battery_discharge": 20.0,
            },
            flows_watt_hours=dict.fromkeys(FLOWS, 0.0) | {("grid", "home"): 1000.0},
            observed_seconds=3600.0,
        ),
        tariffs=TariffCounts(import_watt_hours={"day": 1000.0}, cost={"EUR": 0.31}),
    )
)


def image(seconds: int) -> bytes:
    body = IMAGE.replace("BOOT", str(boot_id())).replace("SECONDS", str(seconds)).encode()
    return f"sonnen-agent-state 1 {hashlib.sha256(body).hexdigest()}\n".encode() + body


@pytest.mark.parametrize("name", ["counters.json", "counters.previous.json"])
def test_its_counters_go_on(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(COUNTERS)

    with closing(StateStore(tmp_path)) as store:
        for stored in (peek(tmp_path), store.load()):
            assert stored is not None
            assert stored.clean
            assert not stored.same_boot
            assert stored.meters == {"home": HOME}


def test_its_newest_counters_stand_in_for_a_first_file_of_ours_that_is_torn(tmp_path: Path) -> None:
    ours = tmp_path / "counters.previous.json"
    ours.write_text(COUNTERS)
    with closing(StateStore(tmp_path)) as store:
        store.keep({}, store.load())
    (tmp_path / "counters.json").write_text(COUNTERS)
    ours.write_bytes(ours.read_bytes()[:-100])

    with closing(StateStore(tmp_path)) as store:
        stored = store.load()

    assert stored is not None
    assert stored.clean
    assert stored.meters == {"home": HOME}


def test_of_its_two_files_the_newest_counts(tmp_path: Path) -> None:
    (tmp_path / "counters.json").write_text(COUNTERS)
    (tmp_path / "counters.previous.json").write_text(OLDER)

    stored = peek(tmp_path)

    assert stored is not None
    assert stored.meters == {"home": HOME}


def test_its_counters_of_the_latest_beat_go_on(tmp_path: Path) -> None:
    (tmp_path / f"{IMAGE_NAME}.json").write_bytes(image(10))
    (tmp_path / f"{IMAGE_NAME}.previous.json").write_bytes(image(5))

    (state,) = RuntimeCheckpoint(tmp_path).load(["home", "garage"]).values()

    assert state.tally.energies.observed_seconds == 10
    assert state.tally.energies.totals_watt_hours == {"production": 10.5}


def test_what_it_left_of_its_beats_goes_with_the_next_clean_stop(tmp_path: Path) -> None:
    (tmp_path / f"{IMAGE_NAME}.json").write_bytes(image(10))
    (tmp_path / f"{IMAGE_NAME}.previous.json").write_bytes(image(5))
    checkpoint = RuntimeCheckpoint(tmp_path)

    checkpoint.save("home", checkpoint.load(["home"])["home"])
    checkpoint.remove(["home"])

    assert list(tmp_path.iterdir()) == []


def test_what_is_written_now_it_can_read_after_a_step_back() -> None:
    # It checks the first line and the checksum, and takes any JSON behind them.
    first, _, body = encode({"clean": True}).partition(b"\n")
    assert first == f"sonnen-agent-state 1 {hashlib.sha256(body).hexdigest()}".encode()
    assert body == b'{"clean":true}\n'
