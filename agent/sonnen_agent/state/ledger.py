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

from sonnen_agent.energy.days import FinishedDay
from sonnen_agent.energy.state import StateError, finished_day_from_json, finished_day_to_json
from sonnen_agent.errors import counted
from sonnen_agent.files import open_regular

_log = logging.getLogger(__name__)

_MOST_BYTES, _KNOWN_BYTES, _LINE_BYTES = 32 << 20, 1 << 20, 64 * 1024
"""Read of its end, some ninety years of one battery; of these, for days that are met again; of a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerDay:
    """A finished day of one battery."""

    battery: str
    finished: FinishedDay


class Ledger:
    """The ledger file of a folder."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "ledger.jsonl"

    def days(self, most_bytes: int = _MOST_BYTES) -> tuple[LedgerDay, ...]:
        """Return the days at the end of the file, in its order; damaged lines are left out, and told."""
        found: dict[tuple[str, str], LedgerDay] = {}
        damaged, first = 0, ""
        for number, line in enumerate(self._lines(most_bytes), start=1):
            try:
                day = _day(json.loads(line))
            except (ValueError, RecursionError, StateError) as error:
                damaged, first = damaged + 1, first or f"line {number}: {error}"
                continue
            found.setdefault((day.battery, day.finished.day.isoformat()), day)
        if damaged:
            lines = counted(damaged, "damaged line is", "damaged lines are")
            _log.warning("%s: %s left out, the first of them %s", self._file, lines, first)
        return tuple(found.values())

    def append(self, days: tuple[LedgerDay, ...]) -> None:
        """Add the days that are not there yet, or raise OSError; a day's line is never changed."""
        known = {(day.battery, day.finished.day) for day in self.days(_KNOWN_BYTES)} if days else set()
        fresh = [day for day in days if (day.battery, day.finished.day) not in known]
        if not fresh:
            return
        text = "".join(f"{_line(day)}\n" for day in fresh)
        with os.fdopen(open_regular(self._file, os.O_RDWR | os.O_APPEND | os.O_CREAT), "a+b") as file:
            if file.tell() and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
                text = f"\n{text}"  # a power cut tore the last line
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())

    def _lines(self, most_bytes: int) -> Iterator[bytes]:
        try:
            descriptor = open_regular(self._file, os.O_RDONLY)
        except FileNotFoundError:
            return
        with os.fdopen(descriptor, "rb") as file:
            start = max(os.fstat(descriptor).st_size - most_bytes, 0)
            file.seek(start)
            while line := file.readline(_LINE_BYTES):
                if start == 0 and line.strip(b"\0\n "):
                    yield line
                start = 0  # what is left of the line in which it began is none


def _line(day: LedgerDay) -> str:
    document = finished_day_to_json(day.finished)
    coverage_percent = round(day.finished.coverage_percent, 2)
    head = {"day": document.pop("day"), "battery": day.battery, "coverage_percent": coverage_percent}
    return json.dumps({**head, **document}, ensure_ascii=False)


def _day(document: object) -> LedgerDay:
    battery = document.get("battery") if isinstance(document, dict) else None
    if not isinstance(battery, str) or not battery.isprintable():
        raise StateError("it is no object with a battery")
    return LedgerDay(battery=battery, finished=finished_day_from_json(document))
