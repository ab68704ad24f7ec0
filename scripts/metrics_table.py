#!/usr/bin/env python3
"""Write the tables of docs/metrics.md anew, from the rows at the fields of the agent's dataclasses.

The text around the tables is kept, and so is a metric's cell in the column `source`: it is written by
hand, and a new metric's asks for it with a `?`.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

from sonnen_agent.errors import Outcome
from sonnen_agent.metrics.agent import AGENT, WAITING, WAITING_LABELS
from sonnen_agent.metrics.battery import BATTERY, ENERGY, METER, METER_LABELS
from sonnen_agent.reading import Endpoint, Place
from sonnen_agent.rows import Row, Rows

DOCUMENT = Path(__file__).parents[1] / "docs/metrics.md"
TABLE = re.compile(r"(?<=<!-- rows: )(\w+) -->\n.*?(?=<!-- end -->)", re.DOTALL)
ROWS: dict[str, Rows] = {"battery": BATTERY, "energy": ENERGY, "agent": AGENT}
VALUES = {"endpoint": get_args(Endpoint), "from` and `to": get_args(Place), "outcome": get_args(Outcome)}
_LABELS_OF = {row: METER_LABELS for _, row in METER} | {row: WAITING_LABELS for _, row in WAITING}


def written(document: str) -> str:
    """Return the document with the tables that the rows give."""
    sources = dict(re.findall(r"^\| `(\w+)` \|.*\| (.+) \|$", document, re.MULTILINE))
    return TABLE.sub(lambda found: f"{found[1]} -->\n\n{_table(found[1], sources)}\n", document)


def _table(name: str, sources: dict[str, str]) -> str:
    if name == "labels":
        lines = ["| label | values |", "|---|---|"]
        lines += (f"| `{label}` | {_quoted(values)} |" for label, values in VALUES.items())
    else:
        last = name == "battery"
        lines = ["| metric | type | labels | meaning |" + " source |" * last, "|---|---|---|---|" + "---|" * last]
        metrics = dict(_metrics(ROWS[name]))  # a family that has its series from several fields is one line
        lines += (line + f" {sources.get(metric, '?')} |" * last for metric, line in metrics.items())
    return "\n".join(lines) + "\n"


def _metrics(rows: Rows) -> Iterator[tuple[str, str]]:
    for _, row in rows:
        name = row.family if row.kind == "summary" else row.name
        yield name, f"| `{name}` | {row.kind} | {_quoted(_labels(row))} | {row.help} |"


def _labels(row: Row) -> Iterable[str]:
    return (*_LABELS_OF.get(row, ()), *row.labels, *row.at)


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENT
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
