"""Energy whose day is not known yet, by the monotonic clock.

Held in blocks of a minute. When there are more than a few hundred, blocks get twice as long, and
again: a week without a clock needs blocks of an hour. What is in a block counts as spread evenly
over it when it is cut at a midnight or a change of prices.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sonnen_agent.energy.counters import Energies

_FIRST_BLOCK_SECONDS = 60.0
_MOST_BLOCKS = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Energy of a stretch of time."""

    start_seconds: float
    """Monotonic."""
    end_seconds: float
    energies: Energies


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """Blocks in the order of time."""

    blocks: tuple[Block, ...] = ()
    block_seconds: float = _FIRST_BLOCK_SECONDS

    def holding(self, block: Block) -> "Pending":
        """Return this with another interval."""
        if self.blocks and self.blocks[-1].end_seconds == block.start_seconds and self._fit(self.blocks[-1], block):
            return Pending(
                blocks=(*self.blocks[:-1], _joined(self.blocks[-1], block)), block_seconds=self.block_seconds
            )
        # The interval over a restart comes late, when nobody turned out to know it better.
        blocks = sorted((*self.blocks, block), key=lambda held: held.start_seconds)
        pending = Pending(blocks=tuple(blocks), block_seconds=self.block_seconds)
        while len(pending.blocks) > _MOST_BLOCKS:
            pending = pending._coarser()
        return pending

    def before_boot(self) -> "Pending":
        """Return this after a reboot: how long the power was off is not known, and counts as no time."""
        if not self.blocks:
            return self
        end = self.blocks[-1].end_seconds
        blocks = (
            Block(start_seconds=block.start_seconds - end, end_seconds=block.end_seconds - end, energies=block.energies)
            for block in self.blocks
        )
        return Pending(blocks=tuple(blocks), block_seconds=self.block_seconds)

    def _coarser(self) -> "Pending":
        coarser = Pending(block_seconds=self.block_seconds * 2.0)
        return Pending(blocks=tuple(coarser._merged(self.blocks)), block_seconds=coarser.block_seconds)

    def _merged(self, blocks: Iterable[Block]) -> list[Block]:
        merged: list[Block] = []
        for block in blocks:
            if merged and self._fit(merged[-1], block):
                merged[-1] = _joined(merged[-1], block)
            else:
                merged.append(block)
        return merged

    def _fit(self, first: Block, last: Block) -> bool:
        return last.end_seconds - first.start_seconds <= self.block_seconds


def _joined(first: Block, last: Block) -> Block:
    return Block(
        start_seconds=first.start_seconds,
        end_seconds=last.end_seconds,
        energies=first.energies.plus(last.energies),
    )
