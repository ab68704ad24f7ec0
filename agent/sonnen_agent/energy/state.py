"""All that a meter remembers."""

from dataclasses import dataclass, field

from sonnen_agent.energy.amounts import Tally
from sonnen_agent.energy.daybook import DayBook
from sonnen_agent.energy.pending import Pending
from sonnen_agent.energy.sample import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterState:
    """A meter between two readings; another meter that starts with it goes on as if it were the same."""

    tally: Tally = field(default_factory=Tally)
    """Counted so far; energy at once, tariffs and money when the time of day is known."""
    last: Sample | None = None
    """The latest reading, where the next interval begins."""
    pending: Pending = field(default_factory=Pending)
    """In the tally's energies, but in no day and no tariff yet."""
    days: DayBook = field(default_factory=DayBook)
