"""How far one gateway goes: agents that push at a beat, with a page as large as one that a real agent pushed.

They beat apart as agents do that have started at once.

usage: scripts/bench fleet [--agents 100,200,1000] [--seconds N] [--interval N] [--no-check] [--at-once]
"""

import argparse
import http.client
import re
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from programs import HOST
from servers import Pushgateway

from sonnen_agent.scheduler import early_share, next_beat

GOLDEN = Path(__file__).parents[1] / "tests/metrics/golden.txt"


class Gateway(Pushgateway):
    """A Pushgateway that may be told to leave out its check, by which a push looks at every group."""

    def __init__(self, folder: Path, *, checks: bool) -> None:
        super().__init__(folder)
        if not checks:
            self.command.append("--push.disable-consistency-check")


def page() -> bytes:
    """Return a battery's metrics, as the tests have them: each once, without the labels of a group."""
    return re.sub(r"^# HELP .*\n", "", GOLDEN.read_text(encoding="utf-8"), flags=re.MULTILINE).encode()


def pushes(  # noqa: PLR0913 - each is a fact about one agent
    port: int, name: str, body: bytes, *, grid: float, end: float, options: argparse.Namespace
) -> list[float]:
    """Push at every beat until the end; return how long each push took, infinite for one that failed."""
    taken: list[float] = []
    due = grid
    while due < end:
        time.sleep(max(due - time.monotonic(), 0))
        started = time.monotonic()
        connection = http.client.HTTPConnection(HOST, port, timeout=0.9 * options.interval)
        try:
            connection.request("PUT", f"/metrics/job/sonnen/instance/{name}", body)
            well = connection.getresponse().status < http.HTTPStatus.MULTIPLE_CHOICES
        except OSError:
            well = False
        finally:
            connection.close()
        taken.append(time.monotonic() - started if well else float("inf"))
        due = next_beat(grid, options.interval, time.monotonic())
    return taken


def fleet(agents: int, options: argparse.Namespace) -> str:
    """Return a line about a gateway with so many agents."""
    body = page()
    with tempfile.TemporaryDirectory() as folder, Gateway(Path(folder), checks=not options.no_check) as gateway:
        begin = time.monotonic() + 1
        names = [f"house{number:04}" for number in range(agents)]
        with ThreadPoolExecutor(agents) as pool:
            all_pushes = [
                pool.submit(
                    pushes,
                    gateway.port,
                    name,
                    body,
                    grid=begin + (0 if options.at_once else options.interval * (1 - early_share(name))),
                    end=begin + options.seconds,
                    options=options,
                )
                for name in names
            ]
            taken = [seconds for one in all_pushes for seconds in one.result()]
        gateway.kill()  # one with pushes in its queue takes its time to stop
    well = sorted(seconds for seconds in taken if seconds < float("inf"))
    wanted = agents * options.seconds / options.interval
    middle, slow = (statistics.median(well), well[int(0.95 * len(well))]) if well else (float("inf"),) * 2
    return (
        f"{agents:5} agents: {len(well) / options.seconds:6.1f} pushes a second, {100 * len(well) / wanted:3.0f} % of "
        f"those due, {len(taken) - len(well)} failed; median {1000 * middle:.1f} ms, 95 % within {1000 * slow:.1f} ms"
    )


def main() -> None:
    """Measure each size after the other, with a gateway of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", default="100,200,1000")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--interval", type=float, default=5)
    parser.add_argument("--no-check", action="store_true", help="with --push.disable-consistency-check")
    parser.add_argument("--at-once", action="store_true", help="all push at the same moment")
    options = parser.parse_args()
    for agents in options.agents.split(","):
        sys.stdout.write(fleet(int(agents), options) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
