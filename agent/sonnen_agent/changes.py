"""The log tells changes, not states: a trouble when it begins or becomes another one, and once that it is over.

What comes and goes is told at most four times within an hour, and from then on once an hour, with how many changes
were not told meanwhile. The first end of a trouble is told at once; that a later one within the hour is over, after a
minute in which all was well.
"""

import logging
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from sonnen_agent.errors import counted

_WELL_SECONDS = 60
_HOUR_SECONDS = 3600
_MOST_LINES = 4


@dataclass(slots=True)
class _Subject:
    kind: Hashable = None
    """The trouble it is in, None while it is well."""
    well_since: float = 0.0
    told: set[Hashable] = field(default_factory=set)
    """The troubles that the log knows of; none when it says that all is well."""
    lines: int = 0
    """Told since the last hour without a change."""
    told_at: float = float("-inf")
    untold: int = 0
    """Changes since then."""


class ChangeLog:
    """Remembers which trouble of which subject has been told. Each subject belongs to one thread."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._subjects: dict[Hashable, _Subject] = {}

    def trouble(
        self,
        subject: Hashable,
        kind: Hashable,
        message: str,
        *arguments: object,
        level: int = logging.WARNING,
        known: bool = False,
    ) -> None:
        """Log a trouble: at `level` when it is news, for debugging when this kind was told since all was well.

        A `known` one was told of another subject already.
        """
        state = self._subjects.setdefault(subject, _Subject())
        changed = kind != state.kind and not known
        state.kind = kind
        if not known and self._tell(state, level, message, arguments, news=kind not in state.told):
            state.told.add(kind)
        else:
            state.untold += changed
            self._log.debug(message, *arguments)

    def over(self, subject: Hashable, message: str = "", *arguments: object) -> bool:
        """Take note that a subject is well, as often as it is; return whether this has logged that it is so again."""
        state = self._subjects.get(subject)
        if state is None:
            return False
        if state.kind is not None:
            state.kind, state.well_since = None, self._clock()
        # At its first end for an hour, all lines that there are tell of the trouble.
        settled = state.lines == len(state.told) or self._clock() - state.well_since >= _WELL_SECONDS
        told = message != "" and settled and self._tell(state, logging.INFO, message, arguments, news=bool(state.told))
        if told or not message:
            state.told.clear()
        return told

    def kind(self, subject: Hashable) -> Hashable | None:
        """Return the trouble that a subject is in, None while it is well."""
        state = self._subjects.get(subject)
        return None if state is None else state.kind

    def kinds(self) -> list[Hashable]:
        """Return the troubles that subjects are in."""
        return [state.kind for state in self._subjects.values() if state.kind is not None]

    def told(self, kind: Hashable, *, but: Hashable) -> bool:
        """Return whether the log knows that another subject than that one is in this trouble."""
        others = (state for subject, state in self._subjects.items() if subject != but)
        return any(kind == state.kind and kind in state.told for state in others)

    def _tell(self, state: _Subject, level: int, message: str, arguments: tuple[object, ...], *, news: bool) -> bool:
        """Log what is news, or what is due because of changes that were not told; return whether it was either."""
        now = self._clock()
        an_hour_ago = now - state.told_at >= _HOUR_SECONDS
        if an_hour_ago and not state.untold:
            state.lines = 0
        if not ((news and state.lines < _MOST_LINES) or (an_hour_ago and (news or state.untold))):
            return False
        state.lines += 1
        if state.untold:
            untold = counted(state.untold, "change before this one was", "changes before this one were")
            message += f" ({untold} not told)"
        if state.lines == _MOST_LINES:
            message += "; as it comes and goes, it is told once an hour from now on"
        state.told_at, state.untold = now, 0
        self._log.log(level, message, *arguments)
        return True
