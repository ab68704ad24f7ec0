"""The log tells changes, not states: a trouble when it begins or becomes another one, and once that it is over."""

import logging
from collections.abc import Hashable


class ChangeLog:
    """Remembers which trouble of which subject has been told. Each subject belongs to one thread."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._told: dict[Hashable, Hashable] = {}

    def trouble(
        self,
        subject: Hashable,
        kind: Hashable,
        message: str,
        *arguments: object,
        level: int = logging.WARNING,
        known: bool | None = None,
    ) -> None:
        """Log a trouble: at `level` when it is news, for debugging when the same kind was the last thing told.

        `known` overrides that judgement, for a trouble that was told of another subject already.
        """
        if known is None:
            known = self._told.get(subject) == kind
        self._told[subject] = kind
        self._log.log(logging.DEBUG if known else level, message, *arguments)

    def over(self, subject: Hashable, message: str = "", *arguments: object) -> bool:
        """Log that a subject is well again, if it was in trouble, and return whether it was."""
        if self._told.pop(subject, None) is None:
            return False
        if message:
            self._log.info(message, *arguments)
        return True

    def kind(self, subject: Hashable) -> Hashable | None:
        """Return the trouble that a subject is in, None while it is well."""
        return self._told.get(subject)

    def kinds(self) -> frozenset[Hashable]:
        """Return the troubles that any subject is in."""
        return frozenset(self._told.values())
