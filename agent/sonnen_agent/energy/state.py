"""All that a meter remembers, as data and as a JSON document; a damaged document is refused with the place of it."""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, is_dataclass
from datetime import date
from functools import cache
from reprlib import repr as short_repr
from types import UnionType
from typing import Any, Final, TypeVar, get_args, get_origin

from sonnen_agent.energy.counters import FLOWS, QUANTITIES, Counters, EnergyCounters, Flow, Quantity
from sonnen_agent.energy.days import DailyTotals, FinishedDay, Interval, OpenDay, UndatedEnergy
from sonnen_agent.energy.integral import Sample
from sonnen_agent.errors import AgentError

FORMAT: Final = 1
"""Raised when a document can no longer be read by the release before."""
GREATEST: Final = 1e12
_GROWN = 1000 * GREATEST
_DECIMALS = 6
_MOST_UPTIME_SECONDS = 1e9
"""Of what is taken from another copy: a house takes 100,000 years for it. What is read here has grown since then."""

_Part = TypeVar("_Part")


class StateError(AgentError):
    """A kept state is damaged or not ours; the fix is to go on from another copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """The most that may have been seen of counters: what a house can add to what was counted, in so many seconds."""

    counted: Counters
    seconds: float
    since_unix_seconds: float = 0.0
    """Only after that it was seen; 0: nobody knows when."""

    def higher(self, other: "Ceiling | None") -> "Ceiling":
        """Return a ceiling over both."""
        if other is None:
            return self
        counted = self.counted.plus(other.counted.beyond(self.counted))
        since = min(self.since_unix_seconds, other.since_unix_seconds)
        return Ceiling(counted=counted, seconds=max(self.seconds, other.seconds), since_unix_seconds=since)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterState:
    """A meter between two readings; another meter that starts with it goes on as if it were the same."""

    tally: Counters = field(default_factory=Counters)
    """Counted so far; energy at once, tariffs and money when the time of day is known."""
    last: Sample | None = None
    """The latest reading, where the next interval begins."""
    undated: UndatedEnergy = field(default_factory=UndatedEnergy, metadata={"key": "pending"})
    """In the tally's energies, but in no day and no tariff yet."""
    days: DailyTotals = field(default_factory=DailyTotals, metadata={"key": ""})
    gateway_ceiling: Ceiling | None = None
    """Below it nothing is shown to a gateway (`SharedMeter`)."""
    ceiling: Ceiling | None = None
    """The same for receivers that cannot be asked."""
    standing_until_unix_seconds: float | None = None
    """The moment up to which the standing charge was counted."""
    registers_raw: Mapping[str, float] = field(default_factory=dict, metadata={"optional": True})
    """What the meters' lifetime registers said, by meter and direction."""
    registers_shown: Mapping[str, float] = field(default_factory=dict, metadata={"optional": True})
    """What was shown of each."""


_SIGNED: Final = {Sample, Interval}
"""Where numbers may be below zero."""
_KEYS: Final[Mapping[object, Mapping[str, object]]] = {
    Quantity: {quantity: quantity for quantity in QUANTITIES},
    Flow: {"_".join(flow): flow for flow in FLOWS},
}
"""The keys of mappings that have no others."""


def state_to_json(state: MeterState) -> dict[str, object]:
    """Return a document of dicts, lists, texts and numbers."""
    return {"format": FORMAT, **_object(state)}


def compact(value: object) -> object:
    """Return a document, or a part of one, in fewer bytes: numbers with six decimals, and no nulls in objects.

    A number is never less than it was, so that no counter falls, and becomes no more by being written down again.
    """
    if isinstance(value, dict):
        return {key: compact(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [compact(item) for item in value]
    return _rounded_up(value) if isinstance(value, float) else value


def _rounded_up(number: float) -> float:
    rounded = round(number, _DECIMALS)
    if rounded < number:
        rounded = max(number, round(rounded + 10.0**-_DECIMALS, _DECIMALS))
    return int(rounded) if rounded.is_integer() else rounded


def state_from_json(document: object) -> MeterState:
    """Return the state, or raise StateError."""
    root = JsonReader(document, "energy")
    if root["format"].value != FORMAT:
        raise root["format"].error(f"should be {FORMAT}: it was written by another release")
    return root.part(MeterState)


def finished_day_to_json(day: FinishedDay) -> dict[str, object]:
    """Return a finished day as a document of its own."""
    return _object(day)


def finished_day_from_json(document: object) -> FinishedDay:
    """Return a finished day from a document of its own, or raise StateError."""
    return JsonReader(document, "day").part(FinishedDay)


@dataclass(frozen=True, slots=True)
class JsonReader:
    """A value of a JSON document and where it stands."""

    value: object
    path: str

    def error(self, wanted: str) -> StateError:
        """Return the error to raise: what this should be, and what it is."""
        return StateError(f"{self.path}: {wanted}, got {short_repr(self.value)}; go on from another copy of the state")

    def __getitem__(self, key: str) -> "JsonReader":
        """Return what stands under a key of an object; null where the key is absent."""
        return JsonReader(self._object().get(key), f"{self.path}.{key}")

    def part(self, kind: type[_Part]) -> _Part:
        """Return a dataclass of the state."""
        least = -_GROWN if kind in _SIGNED else 0.0
        values: dict[str, Any] = {}
        for one, key in _keys(kind):  # type: ignore[arg-type]  # mypy doubts that a class can be hashed
            place = self[key] if key else self
            if place.value is not None or not one.metadata.get("optional"):
                values[one.name] = place.read(one.type, least)
        part = kind(**values)
        _refuse_contradictions(part, self)
        return part

    def read(self, wanted: object, least: float) -> object:
        """Return a value of a type that a field of the state has."""
        if isinstance(wanted, type) and is_dataclass(wanted):
            return self.part(wanted)
        if wanted is float:
            return self.number(least)
        if wanted is date:
            return self._day()
        first, *_ = get_args(wanted)
        if get_origin(wanted) is UnionType:
            return None if self.value is None else self.read(first, least)
        if get_origin(wanted) is not tuple:
            return self._amounts(_KEYS.get(first))
        if not isinstance(self.value, list):
            raise self.error("should be a list")
        return tuple(JsonReader(item, f"{self.path}[{at}]").read(first, least) for at, item in enumerate(self.value))

    def number(self, least: float = 0.0) -> float:
        """Return a finite number that is not below the least."""
        number = self.value
        if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) <= _GROWN:
            raise self.error("should be a number")
        if number < least:
            raise self.error("should be 0 or more")
        return float(number)

    def _day(self) -> date:
        text = self.value if isinstance(self.value, str) else ""
        try:
            return date.fromisoformat(text if "1900" < text < "9000" else "")  # a calendar ends not far from these
        except ValueError as error:
            raise self.error("should be a day such as 2024-12-31") from error

    def _amounts(self, keys: Mapping[str, object] | None) -> dict[object, float]:
        for key in self._object():
            if key not in keys if keys is not None else not key.isprintable():
                raise JsonReader(key, self.path).error(
                    f"should have no other keys than {', '.join(keys or ('words',))}"
                )
        return {keys[key] if keys else key: self[key].number() for key in self._object()}

    def _object(self) -> dict[str, object]:
        if not isinstance(self.value, dict):
            raise self.error("should be an object")
        return self.value


def _refuse_contradictions(part: object, place: JsonReader) -> None:
    """Raise StateError where the fields of a part say what cannot be together."""
    match part:
        case EnergyCounters(flows_watt_hours=flows) if flows and len(flows) < len(FLOWS):
            raise place["flows_watt_hours"].error(f"should have all of {', '.join(_KEYS[Flow])}, or none")
        case UndatedEnergy(interval_seconds=seconds) if seconds < 1.0:
            # They would double their length for ever.
            raise place["block_seconds"].error("should be above 0")
        case Sample(monotonic_seconds=seconds) if seconds > _MOST_UPTIME_SECONDS:
            raise place["monotonic_seconds"].error("should be of this age")
        case Interval(start_seconds=start, end_seconds=end) if (
            not 0 < end - start < _MOST_UPTIME_SECONDS / 100 or abs(start) > 2 * _MOST_UPTIME_SECONDS
        ):  # it is cut at each midnight
            raise place["end_seconds"].error(f"should be after {start}, the block's start, and within decades")
        case DailyTotals(open_day=OpenDay(day=day), last_day=FinishedDay(day=last)) if day <= last:
            raise place["open_day"]["day"].error(f"should be after {last}, the last finished day")


@cache
def _keys(kind: Any) -> tuple[tuple[Field[Any], str], ...]:  # noqa: ANN401 - the class of a part
    """Return the fields of a class, in the document's order, each with its key.

    That is its name, or what its metadata say; without a key, its own fields are keys of the object around it.
    """
    return tuple((one, one.metadata.get("key", one.name)) for one in fields(kind))


def _object(part: object) -> dict[str, object]:
    document: dict[str, object] = {}
    for one, key in _keys(type(part)):  # type: ignore[arg-type]  # the same
        value = getattr(part, one.name)
        if not value and one.metadata.get("optional"):
            continue  # an earlier release wrote none, either
        if key:
            document[key] = _to_json(value)
        else:
            document |= _object(value)
    return document


def _to_json(value: object) -> object:
    # At every beat: what there is most of comes first, and a dict is known at once where a Mapping is not.
    if value is None or isinstance(value, (float, int)):
        return value
    if isinstance(value, dict):
        return {key if isinstance(key, str) else "_".join(key): number for key, number in value.items()}
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    return value.isoformat() if isinstance(value, date) else _object(value)
