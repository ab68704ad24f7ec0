"""`sonnen-agent check`: the config, without touching the network."""

from pathlib import Path

from sonnen_agent.config.model import Config


def run(config: Config, file: Path) -> int:
    """Say that a config which could be loaded is good, and what it means."""
    names = ", ".join(battery.name for battery in config.batteries)
    ways = []
    if config.pushgateway is not None:
        ways.append(f"pushing to {config.pushgateway.url}")
    if config.remote_write is not None:
        ways.append(f"writing to {config.remote_write.url}")
    if config.pull is not None:
        ways.append(f"serving /metrics on {config.pull.host} port {config.pull.port}")
    ways.extend(f"relaying {relay.url} as {relay.job}" for relay in config.relays)
    print(f"{file}: good: every {config.interval_seconds:g} s from {names}, {' and '.join(ways)}")
    return 0
