import pytest

from sonnen_agent.details import Meter
from sonnen_agent.energy.registers import Registers


class Shelf:
    """A house with one meter, asked every fifteen seconds."""

    def __init__(self) -> None:
        self.registers, self.now = Registers({}, {}), 500.0

    def shows(self, kilowatt_hours: float | None, *, seconds: float = 15.0) -> float | None:
        """Return what is shown, in kWh, when the register says so."""
        self.now += seconds
        raw = None if kilowatt_hours is None else kilowatt_hours * 1000
        meter = Meter(direction="production", name="9_1", imported_watt_hours=raw, exported_watt_hours=0)
        (believed,) = self.registers.follow((meter,), self.now)
        assert believed.exported_watt_hours == 0
        return None if believed.imported_watt_hours is None else believed.imported_watt_hours / 1000

    def restart(self) -> None:
        self.registers, self.now = Registers(self.registers.raw, self.registers.shown), 20.0


@pytest.fixture
def shelf() -> Shelf:
    shelf = Shelf()
    for kilowatt_hours in (7311.2, 7311.2, 7311.3):
        assert shelf.shows(kilowatt_hours) == kilowatt_hours
    return shelf


@pytest.mark.parametrize("wrong", [7311.2, 7310.9, 0, 731.1, 7_311_300, 73_113, 7350])
def test_a_counter_neither_falls_nor_leaps_with_its_register(shelf: Shelf, wrong: float) -> None:
    assert [shelf.shows(wrong) for _ in range(10)] == [7311.3] * 10
    assert shelf.shows(7311.3) == 7311.3
    assert shelf.shows(7311.4) == 7311.4


def test_a_dip_by_a_digit_waits_for_the_register_however_long_that_takes(shelf: Shelf) -> None:
    assert [shelf.shows(7311.2) for _ in range(100)] == [7311.3] * 100
    assert shelf.shows(7311.4) == 7311.4


def test_a_new_meter_goes_on_where_the_old_one_was(shelf: Shelf) -> None:
    shown = [shelf.shows(one / 10) for one in range(40)]

    assert shown[:20] == [7311.3] * 20
    assert shown[-1] == pytest.approx(7311.3 + 3.9 - 2.0, abs=0.2)
    assert shown == sorted(shown, key=lambda one: one or 0)


def test_a_register_that_stays_a_thousand_times_too_large_adds_nothing(shelf: Shelf) -> None:
    assert [shelf.shows(7_311_300) for _ in range(100)] == [7311.3] * 100
    assert shelf.shows(7_311_300.5) == pytest.approx(7311.8)


def test_nobody_asked_for_a_day_and_the_day_is_counted(shelf: Shelf) -> None:
    assert shelf.shows(7399.5, seconds=86_400) == 7399.5


def test_what_is_shown_goes_on_after_a_restart(shelf: Shelf) -> None:
    for one in range(40):
        shelf.shows(one / 10)
    before = shelf.shows(4)
    shelf.restart()

    assert shelf.shows(4) == before
    assert before is not None
    assert shelf.shows(4.2) == pytest.approx(before + 0.2)
    shelf.restart()
    # The agent was away for weeks; a register that stays there tells the truth.
    assert shelf.shows(180) == pytest.approx(before + 0.2)
    assert [shelf.shows(180) for _ in range(25)][-1] == pytest.approx(before + 176)


def test_a_register_that_is_not_told_is_not_shown(shelf: Shelf) -> None:
    assert shelf.shows(None) is None
    assert shelf.shows(7311.4) == 7311.4


def test_meters_without_number_are_forgotten() -> None:
    registers = Registers({}, {})
    for number in range(1000):
        registers.follow((Meter(direction="production", name=f"{number}_1", imported_watt_hours=5),), number)

    assert len(registers.raw) == len(registers.shown) <= 256
