import pytest

from sonnen_agent.simulator.house import cell_volts, cell_watts, discharge_watts
from sonnen_agent.simulator.profiles import HouseParameters

HOUSE = HouseParameters()
HALF, FULL, RESERVE = 5900.0, HOUSE.capacity_watt_hours, HOUSE.stored_minimum_watt_hours
IDLE = (-5.0, 0.0)


def respond(stored: float, need: float) -> tuple[float, float]:
    """Return what the battery gives the house, and what its cells take."""
    cells = cell_watts(HOUSE, stored, need)
    return discharge_watts(HOUSE, cells), cells


def test_the_reserve_counts_from_the_owners_zero() -> None:
    assert pytest.approx(11800 * (0.07 + 0.10 * 0.93)) == RESERVE


@pytest.mark.parametrize("need", [-24.9, 0.0, 24.9])
def test_a_small_need_leaves_the_battery_idle(need: float) -> None:
    assert respond(HALF, need) == IDLE


def test_a_need_is_met_and_the_cells_pay_the_losses() -> None:
    assert respond(HALF, 1000.0) == pytest.approx((1000, -1005 / 0.95))


def test_a_surplus_is_stored_less_the_losses() -> None:
    assert respond(HALF, -1000.0) == pytest.approx((-1000, 995 * 0.95))


@pytest.mark.parametrize(("need", "watts"), [(9000.0, 4600.0), (-9000.0, -4600.0)])
def test_the_inverter_has_its_limits(need: float, watts: float) -> None:
    assert respond(HALF, need)[0] == pytest.approx(watts)


@pytest.mark.parametrize("stored", [RESERVE, RESERVE - 1, 0.0])
def test_at_the_reserve_and_below_nothing_is_taken_out(stored: float) -> None:
    assert respond(stored, 1000.0) == IDLE


def test_just_above_the_reserve_no_more_is_taken_than_is_there() -> None:
    assert respond(RESERVE + 0.5, 4000.0)[1] * 5 / 3600 == pytest.approx(-0.5)


def test_a_full_battery_takes_nothing() -> None:
    assert respond(FULL, -4000.0)[1] == 0
    assert respond(FULL, -4000.0)[0] == -5.0


def test_just_below_full_no_more_is_taken_than_fits() -> None:
    assert respond(FULL - 0.1, -4000.0)[1] * 5 / 3600 == pytest.approx(0.1)


def test_charging_is_at_half_power_in_the_middle_of_the_taper() -> None:
    assert respond(FULL * 0.975, -9000.0)[0] == pytest.approx(-2300)


def test_the_voltage_rises_with_the_charge_and_with_charging() -> None:
    volts = [cell_volts(HOUSE, percent, 0.0) for percent in range(101)]
    assert volts == sorted(volts)
    assert (volts[0], volts[100]) == (2.98, 3.36)
    assert cell_volts(HOUSE, 50, -4000.0) < volts[50] < cell_volts(HOUSE, 50, 4000.0)


def test_the_voltage_of_an_overfull_cell_is_that_of_a_full_one() -> None:
    assert cell_volts(HOUSE, 100.0000001, 0.0) == 3.36
