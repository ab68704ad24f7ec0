"""The finished days of all batteries: one line each, appended, in a file that people and programs can read.

A line is a JSON object. It is written once per day and battery; should a crash come between the
line and the checkpoint that forgets the day, the day is met again and recognized.
"""

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sonnen_agent.energy import FinishedDay, StateError, finished_day_from_json, finished_day_to_json

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerDay:
    """A finished day of one battery."""

    battery: str
    finished: FinishedDay

    @property
    def coverage_percent(self) -> float:
        """How much of the day was observed, 0 to 100."""
        length = self.finished.length_seconds
        return min(100.0, 100.0 * self.finished.energies.observed_seconds / length) if length else 0.0


class Ledger:
    """The ledger file of a folder."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "ledger.jsonl"

    def days(self) -> tuple[LedgerDay, ...]:
        """Return the days in the order of the file; a damaged line is left out, and told."""
        found: dict[tuple[str, str], LedgerDay] = {}
        for number, line in enumerate(self._lines(), start=1):
            try:
                day = _day(json.loads(line))
            except (ValueError, RecursionError, StateError) as error:
                _log.warning("%s, line %d is damaged and left out: %s", self._file, number, error)
                continue
            found.setdefault((day.battery, day.finished.day.isoformat()), day)
        return tuple(found.values())

    def append(self, days: tuple[LedgerDay, ...]) -> None:
        """Add the days that are not there yet, or raise OSError; a day's line is never changed."""
        known = {(day.battery, day.finished.day) for day in self.days()} if days else set()
        fresh = [day for day in days if (day.battery, day.finished.day) not in known]
        if not fresh:
            return
        text = "".join(f"{_line(day)}\n" for day in fresh)
        with self._file.open("a+b") as file:
            if file.tell() and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
                text = f"\n{text}"  # a power cut tore the last line
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())

    def _lines(self) -> Iterator[str]:
        try:
            with self._file.open(encoding="utf-8", errors="replace") as file:
                yield from (line for line in file if line.strip("\0\n "))
        except FileNotFoundError:
            return


def _line(day: LedgerDay) -> str:
    document = finished_day_to_json(day.finished)
    head = {"day": document.pop("day"), "battery": day.battery, "coverage_percent": round(day.coverage_percent, 2)}
    return json.dumps({**head, **document}, ensure_ascii=False)


def _day(document: object) -> LedgerDay:
    if not isinstance(document, dict) or not isinstance(document.get("battery"), str):
        raise StateError("it is no object with a battery")
    return LedgerDay(battery=document["battery"], finished=finished_day_from_json(document))
