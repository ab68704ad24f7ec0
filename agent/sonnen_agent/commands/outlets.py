"""The sinks of a config, each with its threads and its way to stop."""

import logging
from collections.abc import Mapping
from typing import Protocol

from sonnen_agent.shared_meter import SharedMeter
from sonnen_agent.clock import WallClock
from sonnen_agent.commands.wiring import Parts
from sonnen_agent.config.model import Config, PullConfig, PushgatewayConfig, ReceiverConfig, RemoteWriteConfig
from sonnen_agent.metrics.groups import Grouping, GroupKey
from sonnen_agent.scheduler import Threads
from sonnen_agent.outputs.access import Access
from sonnen_agent.outputs.delivery import Delivery
from sonnen_agent.outputs.mailbox import Mailbox
from sonnen_agent.outputs.pushgateway import Pushgateway
from sonnen_agent.outputs.recovery import Recovery
from sonnen_agent.snapshot import Outgoing, RelayedPage, Snapshot, SpoolState

_log = logging.getLogger(__name__)


class Outlet(Protocol):
    """A way out for what the agent knows; nothing here ever waits for a network."""

    name: str
    """The `sink` label."""

    def start(self, threads: Threads) -> None:
        """Begin to deliver."""

    def put(self, item: Outgoing) -> None:
        """Hand over what a beat has brought."""

    def spool(self) -> SpoolState | None:
        """Return what waits for the link to come back, None where nothing ever waits."""

    def close(self, *, counters_saved: bool, successor: Config | None) -> None:
        """Begin to stop; the counters are to be left with the receiver where they could not be saved here.

        So is what an agent with the successor's config will go on with.
        """


def outlets(parts: Parts, accounts: Mapping[str, SharedMeter], *, timeout_seconds: float) -> tuple[Outlet, ...]:
    """Return the outlets that the config asks for, or raise StartError."""
    config = parts.config
    found: list[Outlet] = []
    if config.pull is not None:
        found.append(PullOutlet(config.pull, parts))
    if config.pushgateway is not None:
        found.append(GatewayOutlet(config.pushgateway, parts, accounts, timeout_seconds=timeout_seconds))
    if config.remote_write is not None:
        found.append(RemoteWriteOutlet(config.remote_write, parts, timeout_seconds=timeout_seconds))
    return tuple(found)


def _access(config: ReceiverConfig) -> Access:
    return Access(
        url=config.url,
        username=config.username,
        password=config.password.reveal() if config.password is not None else None,
        bearer_token=config.bearer_token.reveal() if config.bearer_token is not None else None,
        ca_file=str(config.ca_file) if config.ca_file is not None else None,
    )


def _group_keys(config: Config, host: str) -> tuple[GroupKey, ...]:
    """Return the keys of all groups that an agent with this config pushes."""
    grouping = Grouping(job=config.job)
    return (
        *(grouping.battery_key(battery.name) for battery in config.batteries),
        grouping.agent_key(host),
        *(grouping.relay_key(relay.job, host) for relay in config.relays),
    )


class GatewayOutlet:
    """The Pushgateway: a mailbox, and a thread that empties it."""

    name = "pushgateway"

    def __init__(
        self,
        config: PushgatewayConfig,
        parts: Parts,
        accounts: Mapping[str, SharedMeter],
        *,
        timeout_seconds: float,
    ) -> None:
        self._mailbox: Mailbox[Outgoing] = Mailbox()
        gateway = Pushgateway(
            _access(config),
            timeout_seconds=timeout_seconds,
            record=parts.telemetry.record_send,
            compress=config.compression == "gzip",
        )
        self._url = config.url
        self._grouping = parts.grouping
        self._host = parts.host
        keys = _group_keys(parts.config, self._host)
        self._delivery = Delivery(
            gateway,
            self._mailbox,
            parts.grouping,
            Recovery(gateway, accounts),
            interval_seconds=parts.config.interval_seconds,
            delete_on_stop=keys if config.on_stop == "delete" else (),
        )

    def start(self, threads: Threads) -> None:
        """Start the thread."""
        threads.start("pushgateway", self._delivery.run)

    def put(self, item: Outgoing) -> None:
        """Leave it in the mailbox, in the place of an older one."""
        self._mailbox.put(self._grouping.key(item), item)

    def spool(self) -> None:
        """Return nothing: a gateway takes no timestamps, so what is late is worth nothing there."""

    def close(self, *, counters_saved: bool, successor: Config | None) -> None:
        """Let the thread delete the groups and end."""
        if successor is not None and successor.pushgateway is not None and successor.pushgateway.url == self._url:
            self._delivery.spare(_group_keys(successor, self._host))
        if not counters_saved:
            self._delivery.leave_counters()
        self._mailbox.close()


class RemoteWriteOutlet:
    """Remote write: a queue, and a thread that sends it, with a spool on disk for an outage."""

    name = "remote_write"

    def __init__(self, config: RemoteWriteConfig, parts: Parts, *, timeout_seconds: float) -> None:
        # Only who writes remotely needs its modules in memory.
        from sonnen_agent.outputs.remote_write.remote_write import RemoteWrite  # noqa: PLC0415

        self._remote_write = RemoteWrite(
            _access(config),
            headers=config.headers,
            spool_directory=parts.config.state_directory / "spool",
            spool_max_bytes=config.spool_max_bytes,
            grouping=parts.grouping,
            external_labels=config.external_labels,
            interval_seconds=parts.config.interval_seconds,
            timeout_seconds=timeout_seconds,
            record=parts.telemetry.record_send,
            clock=WallClock().now,
        )

    def start(self, threads: Threads) -> None:
        """Start the thread."""
        threads.start(self.name, self._remote_write.run)

    def put(self, item: Outgoing) -> None:
        """Put it at the end of the queue: every sample counts. The pages of others go to a gateway alone."""
        if not isinstance(item, RelayedPage):
            self._remote_write.put(item.for_the_unasked() if isinstance(item, Snapshot) else item)

    def spool(self) -> SpoolState:
        """Return what waits for the link to come back."""
        return self._remote_write.spool_state()

    def close(self, *, counters_saved: bool, successor: Config | None) -> None:  # noqa: ARG002 - it forgets nothing
        """Let the thread end the series, keep what could not be sent, and end."""
        self._remote_write.close()


class PullOutlet:
    """The pull page, which listens from the start, so that a port in use is known at once."""

    name = "pull"

    def __init__(self, config: PullConfig, parts: Parts) -> None:
        # Only who serves a page needs the server's modules in memory.
        from sonnen_agent.outputs.pull import PullPage, PullServer  # noqa: PLC0415

        self._page = PullPage(parts.names, parts.report, parts.grouping, parts.config.interval_seconds)
        self._server = PullServer(self._page, config.host, config.port)

    def start(self, threads: Threads) -> None:
        """Do nothing: the server has threads of its own."""

    def put(self, item: Outgoing) -> None:
        """Replace what is shown of a battery; the agent's own numbers are taken when they are asked for."""
        if isinstance(item, Snapshot):
            self._page.put(item.for_the_unasked())

    def spool(self) -> None:
        """Return nothing: a page is always of now."""

    def close(self, *, counters_saved: bool, successor: Config | None) -> None:  # noqa: ARG002 - it leaves nothing
        """Stop listening."""
        self._server.close()
