from datetime import date, datetime, time

import pytest

from sonnen_agent.energy.counters import EnergyCounters, TariffCounts
from sonnen_agent.energy.schedule import Rates
from sonnen_agent.energy.tariffs import TariffPeriod, Tariffs

NIGHT = TariffPeriod(name="night", price_per_kilowatt_hour=0.22, start=time(22), end=time(6))
DAY = TariffPeriod(name="day", price_per_kilowatt_hour=0.31)
NOON, LATE = (datetime.combine(date(2026, 6, 1), time(hour)) for hour in (12, 23))
FEED_IN = TariffPeriod(name="feed_in", price_per_kilowatt_hour=0.08)
USUAL = Tariffs(currency="EUR", import_periods=(NIGHT, DAY), export_periods=(FEED_IN,))


def names_at(tariffs: Tariffs | None, local_time: time) -> tuple[str | None, str | None]:
    rates = Rates.at(tariffs, datetime.combine(date(2026, 6, 1), local_time))
    return (
        rates.import_period.name if rates.import_period else None,
        rates.export_period.name if rates.export_period else None,
    )


@pytest.mark.parametrize(
    ("local_time", "name"),
    [
        (time(21, 59, 59), "day"),
        (time(22), "night"),
        (time(23, 59, 59), "night"),
        (time(0), "night"),
        (time(5, 59, 59), "night"),
        (time(6), "day"),
        (time(12), "day"),
    ],
)
def test_a_night_tariff_goes_over_midnight_and_the_day_is_the_rest(local_time: time, name: str) -> None:
    assert names_at(USUAL, local_time) == (name, "feed_in")


def test_of_two_periods_that_cover_a_moment_the_first_counts() -> None:
    noon = TariffPeriod(name="noon", price_per_kilowatt_hour=0.1, start=time(11), end=time(14))
    lunch = TariffPeriod(name="lunch", price_per_kilowatt_hour=0.2, start=time(12), end=time(15))
    tariffs = Tariffs(currency="EUR", import_periods=(noon, lunch, DAY))
    assert [names_at(tariffs, time(hour))[0] for hour in (10, 11, 12, 13, 14, 15)] == [
        "day",
        "noon",
        "noon",
        "noon",
        "lunch",
        "day",
    ]


def test_without_tariffs_nothing_is_priced() -> None:
    energies = EnergyCounters(totals_watt_hours={"grid_import": 1000, "grid_export": 1000})
    assert Rates.at(None, NOON).counts(energies) == TariffCounts()


def test_money_is_kilowatt_hours_times_price() -> None:
    energies = EnergyCounters(totals_watt_hours={"grid_import": 2000, "grid_export": 500})
    counts = Rates.at(USUAL, LATE).counts(energies)
    assert counts.import_watt_hours == {"night": 2000}
    assert counts.export_watt_hours == {"feed_in": 500}
    assert counts.cost == pytest.approx({"EUR": 0.44})
    assert counts.revenue == pytest.approx({"EUR": 0.04})


def test_a_grid_that_was_not_measured_costs_nothing() -> None:
    counts = Rates.at(USUAL, LATE).counts(EnergyCounters(totals_watt_hours={"consumption": 7}))
    assert (counts.import_watt_hours, counts.cost, counts.export_watt_hours, counts.revenue) == ({}, {}, {}, {})


@pytest.mark.parametrize(
    "tariffs",
    [
        USUAL,
        Tariffs(currency="EUR", import_periods=(DAY,)),
        Tariffs(currency="EUR", export_periods=(FEED_IN,)),
        Tariffs(
            currency="EUR",
            import_periods=(NIGHT, TariffPeriod(name="day", price_per_kilowatt_hour=0, start=time(6), end=time(22))),
        ),
        Tariffs(
            currency="EUR",
            import_periods=(
                TariffPeriod(name="peak", price_per_kilowatt_hour=0.5, start=time(7), end=time(9)),
                TariffPeriod(name="peak", price_per_kilowatt_hour=0.5, start=time(17), end=time(20)),
                DAY,
            ),
        ),
    ],
    ids=["day and night", "one price", "export only", "hours that cover the day", "one name twice a day"],
)
def test_good_tariffs_have_no_problems(tariffs: Tariffs) -> None:
    assert tariffs.problems() == ()


@pytest.mark.parametrize(
    ("tariffs", "problem"),
    [
        (
            Tariffs(currency="EUR", export_periods=(TariffPeriod(name="x", price_per_kilowatt_hour=float("nan")),)),
            "export[0].price: should be a number per kilowatt-hour, got nan",
        ),
        (
            Tariffs(currency="EUR", import_periods=(DAY, NIGHT)),
            "import[0]: has no from and to, but others follow, which would never count; make it the last",
        ),
        (
            Tariffs(currency="EUR", import_periods=(NIGHT,)),
            "import: has no price from 06:00 on; add a last period without from and to",
        ),
        (
            Tariffs(
                currency="EUR",
                import_periods=(TariffPeriod(name="half", price_per_kilowatt_hour=0.1, start=time(6)), DAY),
            ),
            "import[0]: has only one of from and to; give both, or neither for the rest of the day",
        ),
        (
            Tariffs(
                currency="EUR",
                import_periods=(
                    TariffPeriod(name="all", price_per_kilowatt_hour=0.1, start=time(6), end=time(6)),
                    DAY,
                ),
            ),
            "import[0]: from and to are both 06:00; leave both out for the whole day",
        ),
        (
            Tariffs(
                currency="EUR",
                import_periods=(
                    TariffPeriod(name="day", price_per_kilowatt_hour=0.1, start=time(6), end=time(7)),
                    DAY,
                ),
            ),
            "import[1].price: 'day' costs 0.1 in an earlier period, got 0.31; give it the same price or another name",
        ),
        (
            Tariffs(currency="EUR"),
            "import: is missing, and so is export: give at least one of them a name and a price",
        ),
    ],
)
def test_a_problem_names_its_place_and_the_fix(tariffs: Tariffs, problem: str) -> None:
    assert tariffs.problems() == (problem,)


def test_all_problems_are_reported_at_once() -> None:
    wrong = TariffPeriod(name="half", price_per_kilowatt_hour=float("inf"), start=time(6))
    assert len(Tariffs(currency="EUR", import_periods=(wrong,), export_periods=(wrong,)).problems()) == 4


WEEKDAYS, WEEKEND = frozenset(range(5)), frozenset({5, 6})
SUMMER = frozenset({6, 7, 8, 9})


def period(name: str, hours: tuple[int, int] | None = None, **when: frozenset[int]) -> TariffPeriod:
    start, end = (None, None) if hours is None else (time(hours[0]), time(hours[1] % 24))
    return TariffPeriod(name=name, price_per_kilowatt_hour=len(name) / 10, start=start, end=end, **when)


def bought_at(tariffs: Tariffs, *moments: str) -> list[str | None]:
    found = (tariffs.period_at("import", datetime.fromisoformat(moment)) for moment in moments)
    return [None if one is None else one.name for one in found]


def test_days_and_months_are_those_of_the_moment_also_after_midnight() -> None:
    fri_night = period("fri_night", (22, 6), days=frozenset({4}))
    tariffs = Tariffs(currency="EUR", import_periods=(fri_night, period("rest")))
    # The 5th of June 2026 is a Friday.
    nights = bought_at(tariffs, "2026-06-05T05:59", "2026-06-05T06:00", "2026-06-05T22:00", "2026-06-06T00:00")
    assert nights == ["fri_night", "rest", "fri_night", "rest"]
    tariffs = Tariffs(currency="EUR", import_periods=(period("feb", months=frozenset({2})), period("rest")))
    leap = bought_at(tariffs, "2028-01-31T23:59", "2028-02-01T00:00", "2028-02-29T23:59", "2028-03-01T00:00")
    assert leap == ["rest", "feb", "feb", "rest"]


def test_a_holiday_counts_as_a_sunday_and_in_its_own_month() -> None:
    tariffs = Tariffs(
        currency="EUR",
        import_periods=(
            period("workday", (7, 19), days=WEEKDAYS),
            period("winter_sunday", days=frozenset({6}), months=frozenset({12})),
            period("rest"),
        ),
        holidays=frozenset({date(2026, 12, 25), date(2026, 5, 1)}),
    )
    assert tariffs.problems() == ()
    at_noon = bought_at(tariffs, "2026-12-25T12:00", "2026-12-24T12:00", "2026-05-01T12:00", "2026-12-27T12:00")
    assert at_noon == ["winter_sunday", "workday", "rest", "winter_sunday"]


@pytest.mark.parametrize(
    "periods",
    [
        (period("summer", (16, 21), months=SUMMER), period("peak", (16, 21)), period("weekend", days=WEEKEND), DAY),
        (period("weekend", days=WEEKEND), period("peak", (16, 21)), DAY),
        (period("peak", (17, 19)), period("day", (6, 22)), period("night", (22, 6))),
        (period("free", (0, 8), days=WEEKEND), period("night", (22, 8), days=WEEKDAYS), DAY),
        (period("work", days=WEEKDAYS), period("weekend", days=WEEKEND)),
        (period("same", (6, 12)), period("same", (10, 14)), DAY),
    ],
    ids=["summer first", "weekend first", "an exception first", "by days", "no hours at all", "one name"],
)
def test_an_exception_before_what_it_is_a_part_of_is_no_problem(periods: tuple[TariffPeriod, ...]) -> None:
    assert Tariffs(currency="EUR", import_periods=periods).problems() == ()


APART = "let one end where the other begins, or give them different days or months"
NEVER = "never counts, as earlier periods have all of its time; remove it, or put it before them"


@pytest.mark.parametrize(
    ("periods", "problem"),
    [
        (
            (period("noon", (11, 14)), period("lunch", (12, 15)), DAY),
            f"import[1]: overlaps with import[0] from 12:00 on, on mon in month 1; {APART}",
        ),
        (
            (
                period("late", (18, 23), days=frozenset({4, 5})),
                period("peak", (16, 21), months=frozenset({7, 8})),
                DAY,
            ),
            f"import[1]: overlaps with import[0] from 18:00 on, on fri in month 7; {APART}",
        ),
        ((period("all_day", (6, 22)), period("peak", (16, 21)), DAY), f"import[1]: {NEVER}"),
        ((period("a", (0, 12)), period("b", (12, 24)), period("rest")), f"import[2]: {NEVER}"),
        ((period("weekend", days=WEEKEND), period("sunday", days=frozenset({6})), DAY), f"import[1]: {NEVER}"),
        (
            (period("work", days=WEEKDAYS), period("summer", months=SUMMER)),
            "import: has no price from 00:00 on, on sat in month 1; add a last period without from and to",
        ),
    ],
)
def test_an_overlap_and_a_gap_are_named_with_the_fix(periods: tuple[TariffPeriod, ...], problem: str) -> None:
    assert Tariffs(currency="EUR", import_periods=periods).problems() == (problem,)


def test_at_a_price_below_zero_the_money_is_in_a_counter_of_its_own() -> None:
    tariffs = Tariffs(
        currency="EUR",
        import_periods=(TariffPeriod(name="glut", price_per_kilowatt_hour=-0.1),),
        export_periods=(TariffPeriod(name="fee", price_per_kilowatt_hour=-0.02),),
    )
    assert tariffs.problems() == ()
    counts = Rates.at(tariffs, NOON).counts(
        EnergyCounters(totals_watt_hours={"grid_import": 2000, "grid_export": 500, "consumption": 3000})
    )
    assert (counts.cost, counts.revenue, counts.consumption_cost) == ({"EUR": 0}, {"EUR": 0}, {"EUR": 0})
    assert counts.cost_credit == pytest.approx({"EUR": 0.2})
    assert counts.revenue_credit == pytest.approx({"EUR": 0.01})
    assert counts.consumption_cost_credit == pytest.approx({"EUR": 0.3})
    assert counts.net("cost") == pytest.approx({"EUR": -0.2})
