"""`sonnen-agent check`: the config, without touching the network."""

from pathlib import Path

from sonnen_agent.config.load import Config


def run(config: Config, file: Path) -> int:
    """Say that a config which could be loaded is good, and what it means."""
    names = ", ".join(battery.name for battery in config.batteries)
    ways = [options.summary for options in config.outputs.values()]
    ways.extend(f"relaying {relay.url} as {relay.job}" for relay in config.relays)
    print(f"{file}: good: every {config.interval_seconds:g} s from {names}, {' and '.join(ways)}; {config.midnight}")
    return 0
