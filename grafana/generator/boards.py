"""All dashboards, and their JSON."""

import json
from collections.abc import Iterable

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from generator import battery, energy, grid, money, now, phone, system
from generator.board import Board

BOARDS: tuple[Board, ...] = tuple(module.BOARD for module in (now, energy, money, battery, grid, system, phone))


def files(boards: Iterable[Board] = BOARDS) -> dict[str, str]:
    """Return what is committed: file names and their text."""
    return {
        f"{board.uid}.json": json.dumps(board.dashboard(), cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"
        for board in boards
    }
