"""`sonnen-agent once`: what would be pushed, on the screen instead."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

from sonnen_agent.clock import Deadline
from sonnen_agent.components import Components
from sonnen_agent.config.load import Config
from sonnen_agent.metrics.exposition import page_of
from sonnen_agent.state.store import peek

_TIMEOUT_SECONDS = 15
"""Per battery: enough to try every API of one that is not there."""
_AT_A_TIME = 16


def run(config: Config) -> int:
    """Print every group; return 0 when all batteries were read, 1 when one was not."""
    components = Components(config)
    stored = peek(config.state_directory)
    # Nobody is asked, and whoever looks at the screen has seen nothing before.
    pollers = components.pollers(components.meters(None, {} if stored is None else stored.meters))
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        relayed = pool.map(lambda relay: relay.read(), components.relays())
        polled = list(pool.map(lambda poller: poller.poll(Deadline(_TIMEOUT_SECONDS)), pollers))
    for group in (*polled, components.report(), *relayed):
        # JSON's quoting is what a label value needs.
        job, instance = (json.dumps(value, ensure_ascii=False) for value in (group.key.job, group.key.instance))
        # As bytes: the format is UTF-8, whatever the terminal speaks.
        sys.stdout.buffer.write(f"# group job={job} instance={instance}\n".encode() + page_of(group))
    return 0 if all(poller.reading is not None for poller in pollers) else 1
