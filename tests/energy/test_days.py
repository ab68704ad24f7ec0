from dataclasses import replace
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from sonnen_agent.energy.counters import Counters, EnergyCounters, TariffCounts
from sonnen_agent.energy.days import Calendar, DailyTotals

BERLIN = Calendar(ZoneInfo("Europe/Berlin"))
HOUR = 3600.0


def june(day: int) -> date:
    return date(2024, 6, day)


def watt_hours(amount: float) -> Counters:
    return Counters(energies=EnergyCounters(flows_watt_hours={("grid", "home"): amount}, observed_seconds=HOUR))


def counting(book: DailyTotals, *hours: tuple[date, float]) -> DailyTotals:
    for day, amount in hours:
        book = book.counting(day, HOUR, watt_hours(amount), BERLIN)
    return book


def finished(book: DailyTotals) -> list[tuple[date, float]]:
    return [(day.day, day.energies.flows_watt_hours["grid", "home"]) for day in book.unflushed]


def test_a_day_is_finished_when_the_next_one_begins() -> None:
    book = counting(DailyTotals(), (june(1), 10), (june(1), 20))
    assert finished(book) == []
    book = book.reaching(june(2), BERLIN)
    assert finished(book) == [(june(1), 30)]
    assert book.last_day is not None
    assert book.last_day.length_seconds == 24 * HOUR
    assert book.last_day.energies.observed_seconds == 2 * HOUR


def test_days_without_data_are_not_invented() -> None:
    book = counting(DailyTotals(), (june(1), 10))
    for day in range(2, 6):
        book = book.reaching(june(day), BERLIN)
    book = counting(book, (june(9), 5)).reaching(june(10), BERLIN)
    assert finished(book) == [(june(1), 10), (june(9), 5)]


def test_energy_of_a_finished_day_goes_to_the_open_one() -> None:
    book = counting(DailyTotals(), (june(1), 10), (june(2), 1), (june(1), 4), (june(2), 1)).reaching(june(3), BERLIN)
    assert finished(book) == [(june(1), 10), (june(2), 6)]


def test_a_day_opened_by_a_clock_that_was_ahead_takes_the_right_date_after_a_day() -> None:
    book = counting(DailyTotals(), (june(1), 10), (date(2038, 1, 19), 1))
    book = counting(book, *[(june(1), 1)] * 12, *[(june(2), 1)] * 12)
    assert book.open_day is not None
    assert book.open_day.day == date(2038, 1, 19)
    book = counting(book, *[(june(2), 1)] * 12, *[(june(3), 1)] * 12)
    assert finished(book) == [(june(1), 10), (june(2), 37)]


def test_a_clock_that_is_behind_for_less_than_a_day_changes_no_date() -> None:
    book = counting(DailyTotals(), (june(5), 1), *[(june(2), 1)] * 23, (june(5), 1), *[(june(2), 1)] * 23, (june(6), 1))
    assert finished(book) == [(june(5), 48)]


def test_the_right_date_is_never_that_of_a_finished_day() -> None:
    book = counting(DailyTotals(), (june(1), 1), (june(5), 1), (june(9), 1), *[(june(3), 1)] * 30)
    assert book.open_day is not None
    assert book.open_day.day == june(6)


def test_what_nobody_takes_is_kept_for_a_year_and_a_month() -> None:
    book = DailyTotals()
    for day in range(500):
        book = counting(book, (june(1) + timedelta(days=day), day))
    assert len(book.unflushed) == 400
    assert finished(book)[-1] == (june(1) + timedelta(days=498), 498)


def test_of_the_day_before_flows_and_money_are_known_and_the_finished_one_has_all() -> None:
    tariffs = TariffCounts(
        import_watt_hours={"day": 1.0},
        export_watt_hours={"sun": 2.0},
        consumption_watt_hours={"day": 3.0},
        cost={"EUR": 4.0},
        revenue={"EUR": 5.0},
        consumption_cost={"EUR": 6.0},
        cost_credit={"EUR": 0.1},
        revenue_credit={"EUR": 0.2},
        consumption_cost_credit={"EUR": 0.3},
        standing_charge={"EUR": 0.4},
    )
    energies = replace(watt_hours(7).energies, totals_watt_hours={"grid_import": 7.0})
    book = DailyTotals().counting(june(1), HOUR, Counters(energies=energies, tariffs=tariffs), BERLIN)
    book = book.reaching(june(2), BERLIN)

    before = book.counted_on(june(1))
    assert before is not None
    assert before.energies.flows_watt_hours == {("grid", "home"): 7}
    assert before.energies.totals_watt_hours == {}
    assert [before.tariffs.net(what)["EUR"] for what in ("cost", "revenue", "consumption_cost")] == [3.9, 4.8, 5.7]
    assert before.tariffs.import_watt_hours == {}
    (finished,) = book.unflushed
    assert (finished.energies, finished.tariffs) == (energies, tariffs)


def test_flows_are_known_of_the_open_day_and_the_one_before() -> None:
    book = counting(DailyTotals(), (june(1), 1), (june(2), 2), (june(3), 3))
    open_day, last_day = book.counted_on(june(3)), book.counted_on(june(2))
    assert open_day is not None
    assert last_day is not None
    assert open_day.energies.flows_watt_hours == {("grid", "home"): 3}
    assert last_day.energies.flows_watt_hours == {("grid", "home"): 2}
    assert book.counted_on(june(1)) is None
    assert book.counted_on(june(4)) is None
