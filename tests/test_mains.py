from dataclasses import replace

import pytest

from sonnen_agent.details import Inverter, Meter, Phases
from sonnen_agent.mains import MainsWatch
from sonnen_agent.reading import Mains, Reading, Status

BEAT = 5.0


def reading(
    volts: Phases = (None, None, None),
    hertz: float | None = None,
    *,
    on_grid: bool | None = True,
    uac: float | None = None,
) -> Reading:
    meter = Meter(direction="consumption", name="4_2", volts=volts)
    return Reading(
        status=Status(on_grid=on_grid, inverter_ac_volts=uac, inverter_hertz=hertz),
        unix_seconds=1_700_000_000,
        monotonic_seconds=0,
        generation="v2",
        meters=(meter,),
    )


class Readings:
    """One battery's readings, a beat apart."""

    def __init__(self, zone_name: str = "") -> None:
        self.watch = MainsWatch(zone_name)
        self.now = 1000.0

    def go_on(self, one: Reading, seconds: float) -> Mains:
        """Read the same for so long."""
        end = self.now + seconds
        while self.now < end:
            mains = self.watch.judge(replace(one, monotonic_seconds=self.now))
            self.now += BEAT
        return mains


EUROPE = reading((229.1, 231.4, 230.0), 50.01)
AMERICA = reading((121.3, 119.8, 0.0), 59.98, uac=241.0)


@pytest.mark.parametrize(
    ("one", "zone", "volts", "hertz", "allowed_volts", "allowed_hertz"),
    [
        (EUROPE, "Europe/Berlin", 230, 50, (207, 253), (49.5, 50.5)),
        (EUROPE, "Australia/Sydney", 230, 50, (216, 253), (49.5, 50.5)),
        (AMERICA, "America/Los_Angeles", 120, 60, (114, 126), (59.4, 60.6)),
        # A laptop's zone does not make 120 V of 230 V.
        (AMERICA, "Australia/Sydney", 120, 60, (114, 126), (59.4, 60.6)),
    ],
)
def test_the_grid_is_known_by_what_was_read_for_three_minutes(
    one: Reading,
    zone: str,
    volts: float,
    hertz: float,
    allowed_volts: tuple[float, float],
    allowed_hertz: tuple[float, float],
) -> None:
    readings = Readings(zone)
    assert readings.go_on(one, 180) == Mains()
    mains = readings.go_on(one, BEAT)
    assert (mains.nominal_volts, mains.nominal_hertz) == (volts, hertz)
    assert (mains.allowed_volts["min"], mains.allowed_volts["max"]) == allowed_volts
    assert (mains.allowed_hertz["min"], mains.allowed_hertz["max"]) == allowed_hertz
    assert readings.go_on(one, BEAT) is mains


def test_without_meters_the_inverter_tells_and_in_america_it_stands_between_two_legs() -> None:
    assert Readings().go_on(reading(hertz=60.0, uac=243.0), 200).nominal_volts == 120
    assert Readings().go_on(reading(hertz=60.0, uac=118.0), 200).nominal_volts == 120
    assert Readings().go_on(reading(hertz=50.0, uac=243.0), 200).nominal_volts == 230
    legacy = replace(reading(uac=5.0), inverter=Inverter(grid_volts=(231.0, 229.0, 0.0), grid_hertz=50.0))
    assert Readings().go_on(legacy, 200).nominal_volts == 230


def test_one_weak_phase_does_not_hide_the_others() -> None:
    assert Readings().go_on(reading((90.0, 231.0, 228.0)), 200).nominal_volts == 230


def test_a_battery_that_tells_neither_volts_nor_hertz_leaves_all_of_it_out() -> None:
    assert Readings().go_on(reading(), 4000) == Mains()
    half = Readings().go_on(reading(hertz=50.0), 4000)
    assert (half.nominal_volts, half.allowed_volts, half.nominal_hertz) == (None, {}, 50)


def test_readings_that_disagree_decide_nothing() -> None:
    readings = Readings()
    for _ in range(20):
        assert readings.go_on(reading((120.0, None, None), 60.0), 100) == Mains()
        assert readings.go_on(EUROPE, 100) == Mains()


def test_an_island_and_a_dip_are_not_another_continent() -> None:
    readings = Readings()
    assert readings.go_on(reading((121.0, 121.0, None), 60.1, on_grid=False), 4000) == Mains()
    known = readings.go_on(EUROPE, 200)
    for strange in (
        reading((110.0, 115.0, 120.0), 58.0),
        reading((0.0, 0.0, 0.0)),
        reading((116.0, None, None), 60.0, on_grid=False),
    ):
        assert readings.go_on(strange, 3000) == known
        assert readings.go_on(EUROPE, BEAT) == known


def test_a_mistake_of_the_first_minutes_is_mended_after_an_hour() -> None:
    readings = Readings()
    assert readings.go_on(reading((118.0, 0.0, 0.0), 50.0), 200).nominal_volts == 120
    assert readings.go_on(EUROPE, 3600).nominal_volts == 120
    assert readings.go_on(EUROPE, BEAT).nominal_volts == 230
