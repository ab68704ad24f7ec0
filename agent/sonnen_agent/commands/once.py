"""`sonnen-agent once`: what would be pushed, on the screen instead."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

from sonnen_agent.commands.wiring import Parts
from sonnen_agent.config.model import Config
from sonnen_agent.state.keeper import peek

_TIMEOUT_SECONDS = 15
"""Per battery: enough to try every face of one that is not there."""
_AT_A_TIME = 16


def run(config: Config) -> int:
    """Print every group; return 0 when all batteries were read, 1 when one was not."""
    parts = Parts(config)
    accounts = parts.accounts(peek(config.state_directory), {}, settled=True)
    observers = [
        parts.observer(battery, accounts[battery.name], timeout_seconds=_TIMEOUT_SECONDS)
        for battery in config.batteries
    ]
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        relayed = pool.map(lambda relay: relay.read(), parts.relays())
        snapshots = list(pool.map(lambda observer: observer.observe(), observers))
        relayed_pages = list(relayed)
    for item in (*snapshots, parts.report(), *relayed_pages):
        key, page = parts.grouping.page(item)
        # JSON's quoting is what a label value needs.
        job, instance = (json.dumps(value, ensure_ascii=False) for value in (key.job, key.instance))
        # As bytes: the format is UTF-8, whatever the terminal speaks.
        sys.stdout.buffer.write(f"# group job={job} instance={instance}\n".encode() + page)
    return 0 if all(snapshot.reading is not None for snapshot in snapshots) else 1
