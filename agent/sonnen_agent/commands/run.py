"""`sonnen-agent run`: the daemon.

a thread per battery: beat ─▶ Observer ─▶ Snapshot ─┬─▶ Mailbox ─▶ a thread for the gateway
a thread for the agent: beat ─▶ AgentReport ────────┤
└─▶ PullPage ─▶ threads of scrapers
"""

import logging
import signal
import threading
import time
from collections.abc import Callable
from functools import partial

from sonnen_agent.commands.wiring import Parts
from sonnen_agent.config.model import Config, PushgatewayConfig
from sonnen_agent.observer import Observer
from sonnen_agent.scheduler import Beat, Threads
from sonnen_agent.sinks.delivery import Delivery
from sonnen_agent.sinks.mailbox import Mailbox
from sonnen_agent.sinks.pushgateway import Access, Pushgateway
from sonnen_agent.snapshot import AgentReport, Snapshot
from sonnen_agent.version import agent_version

_log = logging.getLogger(__name__)

_BEAT_SHARE = 0.9
"""Of an interval; the requests of a beat together never take longer."""
_LONGEST_SECONDS = 10
"""With a long interval nobody wants to wait longer for a battery or gateway."""
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LOOK_SECONDS = 1
_STOP_SECONDS = 2 * _LONGEST_SECONDS + 1


def run(config: Config) -> int:
    """Read and deliver until SIGTERM or SIGINT, then return 0; or 1 when a thread crashed."""
    # Blocked before any thread exists, so that only the main thread ever sees them.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    agent = _Agent(config)
    agent.start()
    while not agent.threads.crashed:
        if signal.sigtimedwait(_STOP_SIGNALS, _LOOK_SECONDS) is not None:
            break
    # From here on a second Ctrl-C ends the process at once.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
    agent.stop()
    return 1 if agent.threads.crashed else 0


class _Agent:
    def __init__(self, config: Config) -> None:
        self.threads = Threads()
        self._config = config
        self._parts = Parts(config)
        self._stop = threading.Event()
        self._mailbox: Mailbox[Snapshot | AgentReport] = Mailbox()
        self._timeout_seconds = min(_BEAT_SHARE * config.interval_seconds, _LONGEST_SECONDS)
        self._beat = Beat(
            start=time.monotonic(),
            interval_seconds=config.interval_seconds,
            clock=time.monotonic,
            wait=self._stop.wait,
        )
        if config.pull is not None:
            # Only who serves a page needs the server's modules in memory.
            from sonnen_agent.sinks.pull import PullPage, PullServer  # noqa: PLC0415

            self._page: PullPage | None = PullPage(
                self._parts.names, self._parts.report, self._parts.grouping, config.interval_seconds
            )
            self._server: PullServer | None = PullServer(self._page, config.pull.host, config.pull.port)
        else:
            self._page = self._server = None

    def start(self) -> None:
        config, parts = self._config, self._parts
        _log.info(
            "sonnen-agent %s: every %g s from %s%s",
            agent_version(),
            config.interval_seconds,
            ", ".join(parts.names),
            f" to {config.pushgateway.url}" if config.pushgateway is not None else "",
        )
        if config.pushgateway is not None:
            self.threads.start("pushgateway", self._delivery(config.pushgateway).run)
            self._start_beat("agent", self._report, lambda _: None)
        for battery in config.batteries:
            observer = parts.observer(battery, timeout_seconds=self._timeout_seconds)
            missed = partial(parts.telemetry.record_missed_beats, battery.name)
            self._start_beat(battery.name, partial(self._observe, observer), missed)

    def stop(self) -> None:
        _log.info("stopping")
        self._stop.set()
        self._mailbox.close()
        if self._server is not None:
            self._server.close()
        self.threads.join(_STOP_SECONDS, time.monotonic)

    def _start_beat(self, name: str, act: Callable[[], None], missed: Callable[[int], None]) -> None:
        self.threads.start(name, partial(self._beat.run, act, missed))

    def _observe(self, observer: Observer) -> None:
        snapshot = observer.observe()
        self._mailbox.put(snapshot.battery, snapshot)
        if self._page is not None:
            self._page.put(snapshot)

    def _report(self) -> None:
        self._mailbox.put(None, self._parts.report())

    def _delivery(self, config: PushgatewayConfig) -> Delivery:
        parts = self._parts
        gateway = Pushgateway(
            Access(
                url=config.url,
                username=config.username,
                password=config.password.reveal() if config.password is not None else None,
                bearer_token=config.bearer_token.reveal() if config.bearer_token is not None else None,
                ca_file=str(config.ca_file) if config.ca_file is not None else None,
                compress=config.compression == "gzip",
            ),
            timeout_seconds=self._timeout_seconds,
            record=parts.telemetry.record_send,
        )
        keys = (*map(parts.grouping.battery_key, parts.names), parts.grouping.agent_key(parts.report().host))
        return Delivery(
            gateway,
            self._mailbox,
            parts.grouping,
            interval_seconds=self._config.interval_seconds,
            delete_on_stop=keys if config.on_stop == "delete" else (),
        )
