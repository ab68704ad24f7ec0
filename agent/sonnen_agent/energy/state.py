"""All that a meter remembers, as data and as a JSON document; a damaged document is refused with the place."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, TypeVar

from sonnen_agent.energy.counters import FLOWS, QUANTITIES, Energies, Flow, Quantity, Tally, TariffCounts
from sonnen_agent.energy.daily_totals import DayBook, FinishedDay, OpenDay
from sonnen_agent.energy.integral import Sample
from sonnen_agent.energy.undated import Block, Pending
from sonnen_agent.errors import AgentError

FORMAT: Final = 1
"""Raised when a document can no longer be read by the release before."""

_FLOW_KEYS: Final[Mapping[str, Flow]] = {f"{origin}_{target}": (origin, target) for origin, target in FLOWS}
_QUANTITY_KEYS: Final[Mapping[str, Quantity]] = {quantity: quantity for quantity in QUANTITIES}

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


def state_to_json(state: MeterState) -> dict[str, object]:
    """Return a document of dicts, lists, texts and numbers."""
    days = state.days
    return {
        "format": FORMAT,
        "tally": _tally_to_json(state.tally),
        "last": None if state.last is None else _sample_to_json(state.last),
        "pending": {
            "block_seconds": state.pending.block_seconds,
            "blocks": [
                {
                    "start_seconds": block.start_seconds,
                    "end_seconds": block.end_seconds,
                    "energies": _energies_to_json(block.energies),
                }
                for block in state.pending.blocks
            ],
        },
        "open_day": None if days.open_day is None else _open_day_to_json(days.open_day),
        "last_day": None if days.last_day is None else finished_day_to_json(days.last_day),
        "untaken": [finished_day_to_json(day) for day in days.untaken],
    }


def state_from_json(document: object) -> MeterState:
    """Return the state, or raise StateError."""
    root = Node(document, "energy")
    if root.get("format").value != FORMAT:
        raise root.get("format").error(f"should be {FORMAT}: it was written by another release")
    days = DayBook(
        open_day=root.get("open_day").optional(_open_day),
        last_day=root.get("last_day").optional(finished_day_from_node),
        untaken=tuple(finished_day_from_node(node) for node in root.get("untaken").items()),
    )
    if days.open_day is not None and days.last_day is not None and days.open_day.day <= days.last_day.day:
        raise root.get("open_day").get("day").error(f"should be after {days.last_day.day}, the last finished day")
    return MeterState(
        tally=_tally(root.get("tally")),
        last=root.get("last").optional(_sample),
        pending=_pending(root.get("pending")),
        days=days,
    )


def finished_day_to_json(day: FinishedDay) -> dict[str, object]:
    """Return a finished day as a document of its own."""
    return {
        "day": day.day.isoformat(),
        "length_seconds": day.length_seconds,
        **_tally_to_json(Tally(energies=day.energies, tariffs=day.tariffs)),
    }


def finished_day_from_json(document: object) -> FinishedDay:
    """Return a finished day from a document of its own, or raise StateError."""
    return finished_day_from_node(Node(document, "day"))


def finished_day_from_node(node: Node) -> FinishedDay:
    """Return a finished day, or raise StateError."""
    tally = _tally(node)
    return FinishedDay(
        day=node.get("day").day(),
        length_seconds=node.get("length_seconds").amount(),
        energies=tally.energies,
        tariffs=tally.tariffs,
    )


def _open_day_to_json(day: OpenDay) -> dict[str, object]:
    return {"day": day.day.isoformat(), "behind_seconds": day.behind_seconds, **_tally_to_json(day.tally)}


def _open_day(node: Node) -> OpenDay:
    return OpenDay(day=node.get("day").day(), behind_seconds=node.get("behind_seconds").amount(), tally=_tally(node))


def _tally_to_json(tally: Tally) -> dict[str, object]:
    tariffs = tally.tariffs
    return {
        "energies": _energies_to_json(tally.energies),
        "tariffs": {
            "import_watt_hours": dict(tariffs.import_watt_hours),
            "export_watt_hours": dict(tariffs.export_watt_hours),
            "cost": dict(tariffs.cost),
            "revenue": dict(tariffs.revenue),
        },
    }


def _tally(node: Node) -> Tally:
    tariffs = node.get("tariffs")
    return Tally(
        energies=_energies(node.get("energies")),
        tariffs=TariffCounts(
            import_watt_hours=tariffs.get("import_watt_hours").named_amounts(),
            export_watt_hours=tariffs.get("export_watt_hours").named_amounts(),
            cost=tariffs.get("cost").named_amounts(),
            revenue=tariffs.get("revenue").named_amounts(),
        ),
    )


def _energies_to_json(energies: Energies) -> dict[str, object]:
    return {
        "totals_watt_hours": dict(energies.totals_watt_hours),
        "flows_watt_hours": {
            key: energies.flows_watt_hours[flow]
            for key, flow in _FLOW_KEYS.items()
            if flow in energies.flows_watt_hours
        },
        "observed_seconds": energies.observed_seconds,
    }


def _energies(node: Node) -> Energies:
    flows = node.get("flows_watt_hours").amounts(_FLOW_KEYS)
    if flows and len(flows) < len(FLOWS):
        raise node.get("flows_watt_hours").error(f"should have all of {', '.join(_FLOW_KEYS)}, or none")
    return Energies(
        totals_watt_hours=node.get("totals_watt_hours").amounts(_QUANTITY_KEYS),
        flows_watt_hours=flows,
        observed_seconds=node.get("observed_seconds").amount(),
    )


def _sample_to_json(sample: Sample) -> dict[str, object]:
    return {
        "monotonic_seconds": sample.monotonic_seconds,
        "production_watts": sample.production_watts,
        "consumption_watts": sample.consumption_watts,
        "grid_feed_in_watts": sample.grid_feed_in_watts,
        "discharge_watts": sample.discharge_watts,
    }


def _sample(node: Node) -> Sample:
    return Sample(
        monotonic_seconds=node.get("monotonic_seconds").number(),
        production_watts=node.get("production_watts").optional(Node.number),
        consumption_watts=node.get("consumption_watts").optional(Node.number),
        grid_feed_in_watts=node.get("grid_feed_in_watts").optional(Node.number),
        discharge_watts=node.get("discharge_watts").optional(Node.number),
    )


def _pending(node: Node) -> Pending:
    block_seconds = node.get("block_seconds").amount()
    if not block_seconds:
        # Blocks would double their length for ever.
        raise node.get("block_seconds").error("should be above 0")
    return Pending(blocks=tuple(_block(block) for block in node.get("blocks").items()), block_seconds=block_seconds)


def _block(node: Node) -> Block:
    start_seconds, end_seconds = node.get("start_seconds").number(), node.get("end_seconds").number()
    if end_seconds <= start_seconds:
        raise node.get("end_seconds").error(f"should be after {start_seconds}, the block's start")
    return Block(start_seconds=start_seconds, end_seconds=end_seconds, energies=_energies(node.get("energies")))
