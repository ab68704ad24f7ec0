"""A meter's state as a JSON document, and back; a damaged document is refused with the place of the damage."""

from collections.abc import Mapping
from typing import Final

from sonnen_agent.energy.amounts import QUANTITIES, Energies, Quantity, Tally, TariffCounts
from sonnen_agent.energy.daybook import DayBook, FinishedDay, OpenDay
from sonnen_agent.energy.document import Node
from sonnen_agent.energy.flows import FLOWS, Flow
from sonnen_agent.energy.pending import Block, Pending
from sonnen_agent.energy.sample import Sample
from sonnen_agent.energy.state import MeterState

FORMAT: Final = 1
"""Raised when a document can no longer be read by the release before."""

_FLOW_KEYS: Final[Mapping[str, Flow]] = {f"{origin}_{target}": (origin, target) for origin, target in FLOWS}
_QUANTITY_KEYS: Final[Mapping[str, Quantity]] = {quantity: quantity for quantity in QUANTITIES}


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
