from datetime import time

import pytest

from sonnen_agent.energy.counters import EnergyCounters, TariffCounts
from sonnen_agent.energy.tariffs import Rates, TariffPeriod, Tariffs

NIGHT = TariffPeriod(name="night", price_per_kilowatt_hour=0.22, start=time(22), end=time(6))
DAY = TariffPeriod(name="day", price_per_kilowatt_hour=0.31)
FEED_IN = TariffPeriod(name="feed_in", price_per_kilowatt_hour=0.08)
USUAL = Tariffs(currency="EUR", import_periods=(NIGHT, DAY), export_periods=(FEED_IN,))


def names_at(tariffs: Tariffs | None, local_time: time) -> tuple[str | None, str | None]:
    rates = Rates.at(tariffs, local_time)
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
    assert Rates.at(None, time(12)).counts(energies) == TariffCounts()


def test_money_is_kilowatt_hours_times_price() -> None:
    energies = EnergyCounters(totals_watt_hours={"grid_import": 2000, "grid_export": 500})
    counts = Rates.at(USUAL, time(23)).counts(energies)
    assert counts.import_watt_hours == {"night": 2000}
    assert counts.export_watt_hours == {"feed_in": 500}
    assert counts.cost == pytest.approx({"EUR": 0.44})
    assert counts.revenue == pytest.approx({"EUR": 0.04})


def test_a_grid_that_was_not_measured_costs_nothing() -> None:
    assert Rates.at(USUAL, time(23)).counts(EnergyCounters(totals_watt_hours={"consumption": 7})) == TariffCounts()


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
            Tariffs(currency="EUR", import_periods=(TariffPeriod(name="day", price_per_kilowatt_hour=-0.1),)),
            "import[0].price: should be 0 or more per kilowatt-hour, got -0.1",
        ),
        (
            Tariffs(currency="EUR", export_periods=(TariffPeriod(name="x", price_per_kilowatt_hour=float("nan")),)),
            "export[0].price: should be 0 or more per kilowatt-hour, got nan",
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
    wrong = TariffPeriod(name="half", price_per_kilowatt_hour=-1, start=time(6))
    assert len(Tariffs(currency="EUR", import_periods=(wrong,), export_periods=(wrong,)).problems()) == 4
