"""The tariffs of the config."""

import re
from datetime import time

from sonnen_agent.config.section import Section, shown
from sonnen_agent.energy import TariffPeriod, Tariffs

_TIME = re.compile(r"([01]?[0-9]|2[0-3]|24(?=:00))[:]([0-5][0-9])")


def read_tariffs(section: Section) -> Tariffs:
    """Return the tariffs; what is wrong with them together is noted like what is wrong with one."""
    tariffs = Tariffs(
        currency=section.required_text("currency", "EUR"),
        import_periods=tuple(_period(period) for period in section.sections("import")),
        export_periods=tuple(_period(period) for period in section.sections("export")),
    )
    # Of a period that could not be read, its place among the others means nothing.
    if not section.has_problems:
        section.problems.extend(f"{section.path}.{problem}" for problem in tariffs.problems())
    return tariffs


def _period(section: Section) -> TariffPeriod:
    period = TariffPeriod(
        name=section.required_text("name", "night"),
        price_per_kilowatt_hour=section.required_number("price", minimum=0, maximum=1000, example="0.31"),
        start=_time(section, "from"),
        end=_time(section, "to"),
    )
    section.close()
    return period


def _time(section: Section, key: str) -> time | None:
    value = section.value(key)
    if value is None:
        return None
    if isinstance(value, str) and (match := _TIME.fullmatch(value)) is not None:
        hours, minutes = int(match[1]), int(match[2])
        return time(hours % 24, minutes)
    # YAML reads 22:00 without quotes as the number 1320.
    section.problem(key, f'should be a local time in quotes, such as "22:00", got {shown(value)}')
    return None
