"""A JSON document that is read place by place."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from sonnen_agent.errors import AgentError

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

_GREATEST = 1e300
_LONGEST_SHOWN = 40


class StateError(AgentError):
    """A kept state is damaged or not ours; the fix is to go on from another copy."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands."""

    value: object
    path: str

    def error(self, wanted: str) -> StateError:
        """Return the error to raise: what this should be, and what it is."""
        shown = repr(self.value)
        shown = shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."
        return StateError(f"{self.path}: {wanted}, got {shown}; go on from another copy of the state")

    def get(self, key: str) -> "Node":
        """Return what stands under a key of an object; null where the key is absent."""
        return Node(self._object().get(key), f"{self.path}.{key}")

    def items(self) -> Iterator["Node"]:
        """Yield the items of a list."""
        if not isinstance(self.value, list):
            raise self.error("should be a list")
        for index, value in enumerate(self.value):
            yield Node(value, f"{self.path}[{index}]")

    def optional(self, read: Callable[["Node"], _Value]) -> _Value | None:
        """Return what `read` makes of this, or None of null."""
        return None if self.value is None else read(self)

    def number(self) -> float:
        """Return a finite number; NaN is none."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _GREATEST:
            raise self.error("should be a number")
        return float(value)

    def amount(self) -> float:
        """Return a number that is not below zero."""
        number = self.number()
        if number < 0:
            raise self.error("should be 0 or more")
        return number

    def amounts(self, keys: Mapping[str, _Key]) -> dict[_Key, float]:
        """Return amounts by known keys."""
        for key in self._object():
            if key not in keys:
                raise Node(key, self.path).error(f"should have no other keys than {', '.join(keys)}")
        return {keys[key]: self.get(key).amount() for key in self._object()}

    def named_amounts(self) -> dict[str, float]:
        """Return amounts by names that the config made up."""
        return {key: self.get(key).amount() for key in self._object()}

    def day(self) -> date:
        """Return a calendar day."""
        if not isinstance(self.value, str):
            raise self.error("should be a day such as 2024-12-31")
        try:
            return date.fromisoformat(self.value)
        except ValueError as error:
            raise self.error("should be a day such as 2024-12-31") from error

    def _object(self) -> dict[str, object]:
        if not isinstance(self.value, dict):
            raise self.error("should be an object")
        return self.value
