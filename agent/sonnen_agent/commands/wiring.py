"""What `run` and `once` build alike from a config."""

import platform
import socket
import time
from collections.abc import Mapping
from functools import partial

from prometheus_client import CollectorRegistry, ProcessCollector

from sonnen_agent.shared_meter import SharedMeter
from sonnen_agent.battery.battery import Battery
from sonnen_agent.clock import WallClock
from sonnen_agent.config.model import BatteryConfig, Config
from sonnen_agent.config.zone import zone_named
from sonnen_agent.energy import DEFAULT_MAX_GAP_SECONDS, EnergyMeter, MeterState
from sonnen_agent.metrics.groups import Grouping
from sonnen_agent.observer import Observer
from sonnen_agent.relay.relay import Relay
from sonnen_agent.snapshot import AgentReport, SpoolState
from sonnen_agent.state.keeper import Kept
from sonnen_agent.telemetry import Telemetry
from sonnen_agent.version import agent_revision, agent_version

_GAP_BEATS = 3
"""With a long interval, a gap is more than three beats."""


class Parts:
    """The parts of the agent that know nothing of threads or sinks."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.host = socket.gethostname()
        self.names = tuple(battery.name for battery in config.batteries)
        self.telemetry = Telemetry(self.names)
        process = ProcessCollector(registry=CollectorRegistry())
        self.grouping = Grouping(job=config.job, process_families=process.collect)
        self._start_unix_seconds = time.time()

    def accounts(
        self, kept: Kept | None, images: Mapping[str, MeterState], *, settled: bool
    ) -> Mapping[str, SharedMeter]:
        """Return an energy account per battery, going on from what was kept; `settled` where nobody has seen more.

        Nor has anybody of a battery of which there is an image of its latest beat.
        """
        config = self.config
        clock = WallClock()
        accounts: dict[str, SharedMeter] = {}
        for name in self.names:
            image = images.get(name)
            exact = image is not None
            meter = EnergyMeter(
                zone=zone_named(config.timezone),
                tariffs=config.tariffs,
                max_gap_seconds=max(DEFAULT_MAX_GAP_SECONDS, _GAP_BEATS * config.interval_seconds),
                state=image or (kept.meters.get(name) if kept is not None else None),
                same_boot=exact or (kept is not None and kept.same_boot),
                awaits_copy=not (settled or exact),
            )
            after_crash = kept is not None and not kept.clean and not exact
            accounts[name] = SharedMeter(meter, clock.now, settled=settled or exact, after_crash=after_crash)
        return accounts

    def observer(self, battery: BatteryConfig, account: SharedMeter, *, timeout_seconds: float) -> Observer:
        """Return who reads a battery, and counts its energy."""
        box = Battery(
            battery.name,
            battery.url,
            battery.token.reveal() if battery.token is not None else None,
            interval_seconds=self.config.interval_seconds,
            record=partial(self.telemetry.record_read, battery.name),
        )
        return Observer(battery.name, box, battery.labels, timeout_seconds=timeout_seconds, account=account)

    def relays(self) -> tuple[Relay, ...]:
        """Return who reads the other exporters."""
        return tuple(
            Relay(
                relay.job,
                relay.url,
                host=self.host,
                interval_seconds=relay.interval_seconds,
                record=partial(self.telemetry.record_relay, relay.job),
            )
            for relay in self.config.relays
        )

    def report(self, spools: Mapping[str, SpoolState] | None = None) -> AgentReport:
        """Return what the agent says of itself now."""
        return AgentReport(
            host=self.host,
            version=agent_version(),
            revision=agent_revision(),
            python_version=platform.python_version(),
            start_unix_seconds=self._start_unix_seconds,
            counts=self.telemetry.counts(),
            spools=spools or {},
        )
