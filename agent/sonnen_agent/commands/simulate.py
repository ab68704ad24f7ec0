"""`sonnen-agent simulate`: a battery of any generation on this machine, for those who have none at hand."""

import signal
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from sonnen_agent.simulator.battery import SimulatedBattery, simulated_clock
from sonnen_agent.simulator.generations import GenerationName, generation_named
from sonnen_agent.simulator.profiles import GridName, battery_zone
from sonnen_agent.simulator.replay import load_replay
from sonnen_agent.simulator.server import Answering, Simulator

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run(  # noqa: PLR0913 - the command's options, one for one
    *,
    port: int,
    generation: GenerationName,
    grid: GridName = "eu",
    seed: int,
    speed: float,
    start: datetime | None,
    token: str | None,
    replay: Path | None = None,
) -> int:
    """Serve a simulated battery, or those of a dump, until SIGTERM or SIGINT and return 0, or raise StartError."""
    kind = generation_named(generation, grid)
    if start is not None and start.tzinfo is None:
        start = start.replace(tzinfo=battery_zone(kind.house))
    # Blocked before the first thread starts, so that none of them is interrupted in place of this one.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        batteries: Sequence[Answering]
        if replay is None:
            clock = simulated_clock(start, speed)
            batteries = [SimulatedBattery(generation=kind, seed=seed, clock=clock, token=token)]
            words = f"simulating a sonnen battery ({generation})"
        else:
            batteries, words = load_replay(replay), "replaying a battery of the dump"
        with ExitStack() as stack:
            for number, battery in enumerate(batteries):
                simulator = stack.enter_context(Simulator(battery, port=port + number if port else 0))
                print(f"{words} at {simulator.url}", flush=True)
            signal.sigwait(_STOP_SIGNALS)
    finally:
        # An impatient second signal would end the process with an error now.
        while signal.sigtimedwait(_STOP_SIGNALS, 0) is not None:
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return 0
