"""Tariffs, and the time zone that their times are of."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from sonnen_agent.config.load import Config, zone_named
from sonnen_agent.energy.tariffs import TariffPeriod, Tariffs

UNTIL_TARIFFS = """\
batteries: [{name: home, url: "http://192.168.1.20"}]
pushgateway: {url: "http://gateway.example:9091"}
"""
TARIFFS = UNTIL_TARIFFS + "tariffs:\n"

Load = Callable[[str], Config]
Problems = Callable[[str], list[str]]


def test_tariffs_are_read_with_their_times(load: Load) -> None:
    config = load(
        TARIFFS + '  {currency: EUR, import: [{name: night, price: 0.22, from: "22:00", to: "06:00"}, '
        "{name: day, price: 0.31}], export: [{name: feed_in, price: 0}]}\n"
    )
    assert config.tariffs == Tariffs(
        currency="EUR",
        import_periods=(
            TariffPeriod(name="night", price_per_kilowatt_hour=0.22, start=time(22), end=time(6)),
            TariffPeriod(name="day", price_per_kilowatt_hour=0.31),
        ),
        export_periods=(TariffPeriod(name="feed_in", price_per_kilowatt_hour=0),),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "{currency: EUR, import: [{name: night, price: 0.2, from: 22:00, to: '06:00'}]}",
            'tariffs.import[0].from: should be a local time in quotes, such as "22:00", got 1320',
        ),
        (
            "{currency: EUR, import: [{name: night, price: 0.2, from: '25:00', to: '06:00'}]}",
            "tariffs.import[0].from: should be a local time in quotes, such as \"22:00\", got '25:00'",
        ),
        (
            "{currency: EUR, import: [{name: night, price: -1001}]}",
            "tariffs.import[0].price: should be a number from -1000 to 1000, got -1001",
        ),
        (
            "{currency: EUR, import: [{name: night}]}",
            "tariffs.import[0].price: is missing; write for example price: 0.31",
        ),
        (
            "{currency: EUR, import: [{name: ' ', price: 1}]}",
            "tariffs.import[0].name: should be printable text, got ' '",
        ),
        (
            "{currency: ' ', import: [{name: day, price: 1}]}",
            "tariffs.currency: should be printable text, got ' '",
        ),
        ("{import: [{name: day, price: 1}]}", "tariffs.currency: is missing; write for example currency: EUR"),
        (
            "{currency: EUR, import: [{name: day, price: 1}, {name: night, price: 2, from: '22:00', to: '06:00'}]}",
            "tariffs.import[0]: has no from and to, but others follow, which would never count; make it the last",
        ),
        (
            "{currency: EUR, import: [{name: night, price: 2, from: '22:00', to: '06:00'}]}",
            "tariffs.import: has no price from 06:00 on; add a last period without from and to",
        ),
        (
            "{currency: EUR}",
            "tariffs.import: is missing, and so is export: give at least one of them a name and a price",
        ),
        (
            "{currency: EUR, imports: []}",
            (
                "tariffs.imports: unknown key; did you mean 'import'? known here are currency, import, export,"
                " holidays, standing"
            ),
        ),
    ],
)
def test_a_bad_tariff_is_named_with_the_fix(problems: Problems, text: str, problem: str) -> None:
    assert problem in problems(TARIFFS + f"  {text}\n")


def test_days_months_holidays_and_the_standing_charge_are_read(load: Load) -> None:
    config = load(
        TARIFFS + "  {currency: USD, holidays: [2026-12-25, '2028-02-29'], standing: {price: 0.45}, import: ["
        "{name: peak, price: 0.6, from: '16:00', to: '21:00', months: [6, 7, 8, 9]},"
        "{name: weekend, price: -0.05, days: [sat, sun]}, {name: rest, price: 0.4}]}\n"
    )
    assert config.tariffs == Tariffs(
        currency="USD",
        import_periods=(
            TariffPeriod(
                name="peak",
                price_per_kilowatt_hour=0.6,
                start=time(16),
                end=time(21),
                months=frozenset({6, 7, 8, 9}),
            ),
            TariffPeriod(name="weekend", price_per_kilowatt_hour=-0.05, days=frozenset({5, 6})),
            TariffPeriod(name="rest", price_per_kilowatt_hour=0.4),
        ),
        holidays=frozenset({date(2026, 12, 25), date(2028, 2, 29)}),
        standing_price_per_day=0.45,
    )


DAY = "should be one of mon, tue, wed, thu, fri, sat, sun"
DATE = "should be a date of the calendar with its year, such as 2026-12-25, got"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            "days: [mon, Tuesday, 7]",
            [
                f"import[0].days[1]: {DAY}, got 'Tuesday'; did you mean 'tue'?",
                f"import[0].days[2]: {DAY}, got 7",
            ],
        ),
        ("days: sat", ["import[0].days: should be a list such as [sat, sun], got 'sat'"]),
        (
            "days: []",
            ["import[0].days: is an empty list, so that the period would never count; leave it out for every day"],
        ),
        ("days: [sat, sat]", ["import[0].days[1]: 'sat' stands twice; remove one of the two"]),
        (
            "months: [0, 13, jun, true, 6.5]",
            [
                f"import[0].months[{place}]: should be a number from 1 (January) to 12, got {value}"
                for place, value in enumerate(("0", "13", "'jun'", "True", "6.5"))
            ],
        ),
        ("months: 6", ["import[0].months: should be a list such as [6, 7, 8, 9], got 6"]),
        (
            "}], holidays: [2026-02-30, 12-25, 2026-12-25, 2026-12-25, '2027-02-29', 2026-01-01 10:00:00], export: [{",
            [
                f"holidays[0]: {DATE} '2026-02-30'",
                f"holidays[1]: {DATE} '12-25'",
                "holidays[3]: '2026-12-25' stands twice; remove one of the two",
                f"holidays[4]: {DATE} '2027-02-29'",
                f"holidays[5]: {DATE} '2026-01-01 10:00:00'",
            ],
        ),
        ("}], holidays: 2026-12-25, export: [{", ["holidays: should be a list such as [2026-12-25], got '2026-12-25'"]),
        ("}], standing: {price: -1}, export: [{", ["standing.price: should be a number from 0 to 1000, got -1"]),
        ("}], standing: {}, export: [{", ["standing.price: is missing; write for example price: 0.45"]),
        ("}], standing: 0.45, export: [{", ["standing: should be a mapping of keys, such as {price: 0.45}, got 0.45"]),
    ],
)
def test_every_wrong_day_month_and_holiday_is_named_with_the_fix(
    problems: Problems, keys: str, expected: list[str]
) -> None:
    text = f"{{currency: EUR, import: [{{name: x, price: 1, {keys}}}]}}"
    text = text.replace("export: [{}", "export: [{name: y, price: 1}").replace("price: 1, }", "price: 1}")
    assert problems(f"{TARIFFS}  {text}\n") == [f"tariffs.{problem}" for problem in expected]


def test_overlapping_periods_are_refused_with_their_places(problems: Problems) -> None:
    text = (
        "{currency: EUR, import: [{name: noon, price: 1, from: '11:00', to: '14:00', days: [sat]}, {name: lunch, price:"
        " 2, from: '12:00', to: '15:00'}, {name: rest, price: 3}]}"
    )
    (problem,) = problems(f"{TARIFFS}  {text}\n")
    assert problem.startswith(
        "tariffs.import[1]: overlaps with import[0] from 12:00 on, on sat in month 1; let one end"
    )


def test_more_periods_than_any_tariff_has_are_refused(problems: Problems) -> None:
    many = ", ".join(f"{{name: p{number}, price: {number}}}" for number in range(49))
    found = problems(f"{TARIFFS}  {{currency: EUR, import: [{many}]}}\n")
    assert found == ["tariffs.import: should be at most 48 periods, got 49"]


def test_a_zone_that_does_not_exist_is_named_with_the_nearest(problems: Problems) -> None:
    (problem,) = problems("timezone: Europe/Berln\n" + UNTIL_TARIFFS)
    assert problem == (
        "timezone: no such time zone, got 'Europe/Berln'; did you mean 'Europe/Berlin'? write for example Europe/Berlin"
    )


@pytest.mark.parametrize("name", ["CEST", "PDT", "PST"])
def test_for_what_a_clock_shows_no_zone_without_a_summer_is_proposed(problems: Problems, name: str) -> None:
    (problem,) = problems(f"timezone: {name}\n" + UNTIL_TARIFFS)
    assert problem == f"timezone: no such time zone, got '{name}'; write for example Europe/Berlin"


def test_a_zone_without_a_name_is_that_of_the_machine(tmp_path: Path) -> None:
    berlin = Path("/usr/share/zoneinfo/Europe/Berlin")
    if not berlin.exists():
        pytest.skip("no zone data on this machine")
    (tmp_path / "localtime").symlink_to(berlin)

    zone = zone_named(None, tmp_path / "localtime")

    assert datetime(2026, 7, 1, tzinfo=zone).utcoffset() == timedelta(hours=2)
    assert datetime(2026, 1, 1, tzinfo=zone).utcoffset() == timedelta(hours=1)
    assert getattr(zone, "key", None) == "Europe/Berlin"
    assert zone_named(None, tmp_path / "nothing") is UTC
