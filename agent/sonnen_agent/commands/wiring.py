"""What `run` and `once` build alike from a config."""

import platform
import socket
import time
from functools import partial

from prometheus_client import CollectorRegistry, ProcessCollector

from sonnen_agent.battery.battery import Battery
from sonnen_agent.config.model import BatteryConfig, Config
from sonnen_agent.metrics.groups import Grouping
from sonnen_agent.observer import Observer
from sonnen_agent.snapshot import AgentReport
from sonnen_agent.telemetry import Telemetry
from sonnen_agent.version import agent_revision, agent_version


class Parts:
    """The parts of the agent that know nothing of threads or sinks."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.names = tuple(battery.name for battery in config.batteries)
        self.telemetry = Telemetry(self.names)
        process = ProcessCollector(registry=CollectorRegistry())
        self.grouping = Grouping(job=config.job, process_families=process.collect)
        self._start_unix_seconds = time.time()

    def observer(self, battery: BatteryConfig, *, timeout_seconds: float) -> Observer:
        """Return who reads a battery."""
        box = Battery(
            battery.name,
            battery.url,
            battery.token.reveal() if battery.token is not None else None,
            interval_seconds=self.config.interval_seconds,
            record=partial(self.telemetry.record_read, battery.name),
        )
        return Observer(battery.name, box, battery.labels, timeout_seconds=timeout_seconds)

    def report(self) -> AgentReport:
        """Return what the agent says of itself now."""
        return AgentReport(
            host=socket.gethostname(),
            version=agent_version(),
            revision=agent_revision(),
            python_version=platform.python_version(),
            start_unix_seconds=self._start_unix_seconds,
            counts=self.telemetry.counts(),
        )
