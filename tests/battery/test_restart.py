"""A battery that restarts at night: what comes first, how soon all is back, and what the log makes of it."""

from contextlib import closing

import pytest
from box import Box, said

from sonnen_agent.battery import BatteryOptions, probe
from sonnen_agent.battery.battery import Battery
from sonnen_agent.clock import Deadline
from sonnen_agent.destination import Destination, Secret
from sonnen_agent.errors import BatteryError
from sonnen_agent.reading import Reading

pytestmark = pytest.mark.usefixtures("unhurried_battery")

V1, V2 = "/api/v1/status", "/api/v2/status"
STATUS = {"Production_W": 0, "Consumption_W": 410, "GridFeedIn_W": -30, "Pac_total_W": 380, "Uac": 231, "Ubat": 204}
DETAILS: dict[str, object] = {
    "/api/v2/powermeter": [{"deviceid": 4, "channel": 1, "direction": "production", "error": 0, "w_total": 0}],
    "/api/v2/latestdata": {"ic_status": {"statebms": "ready"}},
    "/api/v2/battery": {"minimumcelltemperature": 17.25},
    "/api/v2/inverter": {"fac": 50.02, "tmax": 29.5},
    "/api/v2/configurations": {"DE_Software": "1.18.3"},
}


def readings(battery: Battery, beats: int) -> list[Reading | BatteryError]:
    """Let beats go by, and return what came of each."""
    found: list[Reading | BatteryError] = []
    for _ in range(beats):
        try:
            found.append(battery.read(Deadline(60)))
        except BatteryError as error:
            found.append(error.with_traceback(None))
    return found


@pytest.mark.parametrize("page", [502, 404, {"error": "no data"}, "<h1>starting</h1>"])
def test_whatever_comes_first_after_a_restart_all_details_are_back_and_no_firmware_is_blamed(
    box: Box, page: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # So that the next beat looks for v2, as one in half a minute does.
    monkeypatch.setattr(probe, "_NEWER_SECONDS", (0, 0))
    box.not_found = "<h3>Page not found</h3>"
    options = BatteryOptions(
        name="home", destination=Destination(url=f"http://127.0.0.1:{box.port}"), token=Secret("the-token")
    )
    with (
        caplog.at_level("INFO", logger="sonnen_agent"),
        closing(Battery(options, interval_seconds=5, record=_)) as battery,
    ):
        box.answers |= {**DETAILS, V1: STATUS, V2: STATUS}
        (before,) = readings(battery, 1)
        box.answers |= dict.fromkeys((*DETAILS, V1, V2), page)
        away = readings(battery, 3)
        box.answers[V1] = STATUS
        monkeypatch.setattr(probe, "_PAUSE_SECONDS", 0)
        battery._probe._next_round_at = 0.0  # noqa: SLF001 - half a minute later
        (interim,) = readings(battery, 1)
        box.answers |= {**DETAILS, V2: STATUS}
        after = readings(battery, 2)

    assert all(isinstance(one, BatteryError) for one in away)
    assert isinstance(before, Reading)
    assert isinstance(interim, Reading)
    assert (before.generation, interim.generation) == ("v2", "v1")
    assert interim.pack.cell_temperature_min_celsius == 17.25  # young enough to be shown
    last = after[-1]
    assert isinstance(last, Reading)
    assert (last.generation, last.configuration.firmware) == ("v2", "1.18.3")
    assert battery.endpoints()["status"]
    assert said(caplog) == [("INFO", f"home: the battery answers {path} on port {box.port}") for path in (V2, V1, V2)]


def _(*_: object) -> None:
    """Record nothing."""
