"""What `run` and `once` build alike from a config: the parts that know nothing of threads or outputs."""

import json
import platform
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector

from sonnen_agent import __version__
from sonnen_agent.battery.battery import Battery
from sonnen_agent.clock import WallClock
from sonnen_agent.config.load import Config
from sonnen_agent.energy.meter import DEFAULT_MAX_GAP_SECONDS, EnergyMeter
from sonnen_agent.energy.state import MeterState
from sonnen_agent.group import SHOWN_BEATS, Group
from sonnen_agent.metrics.agent import agent_families
from sonnen_agent.poller import Poller
from sonnen_agent.shared_meter import NOBODY_SAW_MORE, NOTHING_KEPT, SharedMeter, Start
from sonnen_agent.state.store import StoredState
from sonnen_agent.telemetry import AgentInfo, Telemetry, Waiting

if TYPE_CHECKING:
    from sonnen_agent.relay import Relay

REPORT_SECONDS = 15.0
"""Nobody needs to know more often how the agent is; it is a fifth of the bytes."""


class Components:
    """The parts of an agent with a config."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.names = tuple(battery.name for battery in config.batteries)
        self.telemetry = Telemetry(self.names)
        self.clock = WallClock()
        self.report_seconds = max(REPORT_SECONDS, config.interval_seconds)
        self._process = ProcessCollector(registry=CollectorRegistry())
        self._about = AgentInfo(
            build={(__version__, _revision(), platform.python_version()): 1},
            start_unix_seconds=round(time.time(), 3),
            timezone={config.zone_name: 1},
            tokens={battery.name: battery.token is not None for battery in config.batteries},
        )

    def meters(self, stored: StoredState | None, images: Mapping[str, MeterState]) -> Mapping[str, SharedMeter]:
        """Return an energy meter per battery, going on from an image of its latest beat, or from what was stored."""
        config, asks = self.config, "pushgateway" in self.config.outputs
        meters: dict[str, SharedMeter] = {}
        for name in self.names:
            image = images.get(name)
            start: Start = NOBODY_SAW_MORE if image is not None else stored or NOTHING_KEPT
            meter = EnergyMeter(
                zone=config.zone,
                tariffs=config.tariffs,
                max_gap_seconds=max(DEFAULT_MAX_GAP_SECONDS, SHOWN_BEATS * config.interval_seconds),
                state=image or (stored.meters.get(name) if stored is not None else None),
                same_boot=start.same_boot,
                awaits_copy=asks and start.unseen_seconds(self.clock.now(), asks=asks) > 0,
            )
            meters[name] = SharedMeter(meter, self.clock.now, start, asks=asks)
        return meters

    def pollers(self, meters: Mapping[str, SharedMeter]) -> tuple[Poller, ...]:
        """Return who reads each battery, and counts its energy in the meter of its name."""
        config, record = self.config, self.telemetry.record_read
        return tuple(
            Poller(
                Battery(options, interval_seconds=config.interval_seconds, record=partial(record, options.name)),
                meters[options.name],
                config.battery_key(options.name),
                interval_seconds=config.interval_seconds,
                zone_name=config.zone_name,
            )
            for options in config.batteries
        )

    def relays(self) -> "tuple[Relay, ...]":
        """Return who reads the other exporters."""
        if not self.config.relays:
            return ()
        from sonnen_agent.relay import Relay  # noqa: PLC0415 - as in the config

        return tuple(
            Relay(options, instance=self.config.name, record=partial(self.telemetry.record_relay, options.job))
            for options in self.config.relays
        )

    def report(self, waiting: Mapping[str, Waiting] | None = None) -> Group:
        """Return the agent's own group of now; `waiting` is by output."""
        return Group(
            key=self.config.agent_key(),
            families=agent_families(self._about, self.telemetry.counts(), waiting or {}, self._process.collect()),
            with_help=False,
            taken_monotonic_seconds=time.monotonic(),
            shown_seconds=SHOWN_BEATS * self.report_seconds,
        )


def _revision() -> str:
    """Return the git revision that was installed: from the version's local part, or from pip's record of a git URL."""
    _, _, local = __version__.partition("+")
    if local:
        return local.removeprefix("g")
    # What importlib.metadata would find, without its memory.
    for record in Path(__file__).parents[1].glob("sonnen_agent-*.dist-info/direct_url.json"):
        origin = json.loads(record.read_text(encoding="utf-8"))
        return str(origin.get("vcs_info", {}).get("commit_id", "unknown"))
    return "unknown"
