"""The tariffs of the config: prices, their hours, days and months, holidays, and the standing charge."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from typing import Final

from sonnen_agent.config.section import Section, did_you_mean, redacted
from sonnen_agent.energy.tariffs import DAYS, EVERY_DAY, EVERY_MONTH, TariffPeriod, Tariffs

_TIME: Final = re.compile(r"([01]?[0-9]|2[0-3]|24(?=:00))[:]([0-5][0-9])")
_DAYS: Final[Mapping[object, int]] = {name: number for number, name in enumerate(DAYS)}
_HIGHEST_PRICE: Final = 1000
_MOST_PERIODS: Final = 48


def read_tariffs(section: Section) -> Tariffs:
    """Return the tariffs; what is wrong with them together is noted like what is wrong with one."""
    problems_before = len(section.problems)
    tariffs = Tariffs(
        currency=section.required_text("currency", "EUR"),
        import_periods=_periods(section, "import"),
        export_periods=_periods(section, "export"),
        holidays=frozenset(_holidays(section, "holidays")),
        standing_price_per_day=section.read("standing", _standing_price, "{price: 0.45}"),
    )
    # Of a period that could not be read, its place among the others means nothing.
    if len(section.problems) == problems_before:
        section.problems.extend(f"{section.path}.{problem}" for problem in tariffs.problems())
    return tariffs


def _periods(section: Section, key: str) -> tuple[TariffPeriod, ...]:
    periods = tuple(_period(period) for period in section.sections(key))
    if len(periods) > _MOST_PERIODS:
        section.problem(key, f"should be at most {_MOST_PERIODS} periods, got {len(periods)}")
    return periods


def _period(section: Section) -> TariffPeriod:
    return TariffPeriod(
        name=section.required_text("name", "night"),
        price_per_kilowatt_hour=section.required_number(
            "price", minimum=-_HIGHEST_PRICE, maximum=_HIGHEST_PRICE, example="0.31"
        ),
        start=_time(section, "from"),
        end=_time(section, "to"),
        days=frozenset(_days(section, "days")) or EVERY_DAY,
        months=frozenset(_months(section, "months")) or EVERY_MONTH,
    )


def _standing_price(section: Section) -> float:
    return section.required_number("price", minimum=0, maximum=_HIGHEST_PRICE, example="0.45")


def _time(section: Section, key: str) -> time | None:
    value = section.value(key)
    if value is None:
        return None
    if isinstance(value, str) and (match := _TIME.fullmatch(value)) is not None:
        hours, minutes = int(match[1]), int(match[2])
        return time(hours % 24, minutes)
    # YAML reads 22:00 without quotes as the number 1320.
    section.problem(key, f'should be a local time in quotes, such as "22:00", got {redacted(value)}')
    return None


def _days(section: Section, key: str) -> Iterator[int]:
    for place, value in _values(section, key, "[sat, sun]", "every day"):
        if isinstance(value, str) and value in _DAYS:
            yield _DAYS[value]
        else:
            guess = did_you_mean(value.lower()[:3], DAYS) if isinstance(value, str) else ""
            section.problem(place, f"should be one of {', '.join(DAYS)}, got {redacted(value)}; {guess}".rstrip("; "))


def _months(section: Section, key: str) -> Iterator[int]:
    for place, value in _values(section, key, "[6, 7, 8, 9]", "every month"):
        if type(value) is int and value in EVERY_MONTH:
            yield value
        else:
            section.problem(place, f"should be a number from 1 (January) to 12, got {redacted(value)}")


def _holidays(section: Section, key: str) -> Iterator[date]:
    for place, value in _values(section, key, "[2026-12-25]", ""):
        day = value
        if isinstance(value, str):
            try:
                day = date.fromisoformat(value)
            except ValueError:
                day = None
        if isinstance(day, date) and not isinstance(day, datetime):
            yield day
        else:
            wanted = "a date of the calendar with its year, such as 2026-12-25"
            section.problem(place, f"should be {wanted}, got {redacted(value)}")


def _values(section: Section, key: str, example: str, without: str) -> Iterator[tuple[str, object]]:
    """Yield the values of a list, each with its place; `without` says what is meant where there is no list."""
    values = section.value(key)
    if values is None:
        return
    if not isinstance(values, list):
        section.problem(key, f"should be a list such as {example}, got {redacted(values)}")
        return
    if not values and without:
        section.problem(key, f"is an empty list, so that the period would never count; leave it out for {without}")
    for index, value in enumerate(values):
        if value in values[:index]:
            section.problem(f"{key}[{index}]", f"{redacted(value)} stands twice; remove one of the two")
        else:
            yield f"{key}[{index}]", value
