"""Tariffs, and the time zone that their times are of."""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
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
            "{currency: EUR, import: [{name: night, price: -1}]}",
            "tariffs.import[0].price: should be a number from 0 to 1000, got -1",
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
            "tariffs.imports: unknown key; did you mean 'import'? known here are currency, import, export",
        ),
    ],
)
def test_a_bad_tariff_is_named_with_the_fix(problems: Problems, text: str, problem: str) -> None:
    assert problem in problems(TARIFFS + f"  {text}\n")


def test_a_zone_that_does_not_exist_is_named_with_the_nearest(problems: Problems) -> None:
    (problem,) = problems("timezone: Europe/Berln\n" + UNTIL_TARIFFS)
    assert problem == (
        "timezone: no such time zone, got 'Europe/Berln'; did you mean 'Europe/Berlin'? write for example Europe/Berlin"
    )


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
