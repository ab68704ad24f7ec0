"""`sonnen-agent run`: the daemon.

a thread per battery: beat ─▶ Observer (Battery, Account) ─▶ Snapshot ──┐
a thread for the agent: beat ─▶ AgentReport ────────────────────────────┴─▶ Outlets ─▶ their own threads
a thread for the state: every minute Accounts ─▶ Keeper ─▶ disk
"""

import logging
import signal
import threading
import time
from functools import partial

from sonnen_agent.commands.outlets import outlets
from sonnen_agent.commands.wiring import Parts
from sonnen_agent.config.model import Config
from sonnen_agent.observer import Observer
from sonnen_agent.scheduler import Beat, Threads
from sonnen_agent.snapshot import AgentReport, Snapshot
from sonnen_agent.state.keeper import SAVE_SECONDS, Keeper
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
    while not agent.crashed:
        if signal.sigtimedwait(_STOP_SIGNALS, _LOOK_SECONDS) is not None:
            break
    # From here on a second Ctrl-C ends the process at once.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
    agent.stop()
    return 1 if agent.crashed else 0


class _Agent:
    def __init__(self, config: Config) -> None:
        self._config = config
        self._parts = Parts(config)
        self._keeper = _keeper(config)
        kept = self._keeper.load() if self._keeper is not None else None
        # After a kill the gateway has seen more than the disk; without a gateway, the disk has to do.
        settled = config.pushgateway is None or (kept is not None and kept.clean)
        self._accounts = self._parts.accounts(kept, settled=settled)
        if self._keeper is not None:
            self._keeper.keep(self._accounts, kept)
        self._timeout_seconds = min(_BEAT_SHARE * config.interval_seconds, _LONGEST_SECONDS)
        self._outlets = outlets(self._parts, self._accounts, timeout_seconds=self._timeout_seconds)
        self._stop = threading.Event()
        self._beats, self._deliveries = Threads(), Threads()

    @property
    def crashed(self) -> bool:
        return self._beats.crashed or self._deliveries.crashed

    def start(self) -> None:
        config, parts = self._config, self._parts
        _log.info(
            "sonnen-agent %s: every %g s from %s%s",
            agent_version(),
            config.interval_seconds,
            ", ".join(parts.names),
            f" to {config.pushgateway.url}" if config.pushgateway is not None else "",
        )
        for outlet in self._outlets:
            outlet.start(self._deliveries)
        beat = self._beat(config.interval_seconds)
        for battery in config.batteries:
            account = self._accounts[battery.name]
            observer = parts.observer(battery, account, timeout_seconds=self._timeout_seconds)
            missed = partial(parts.telemetry.record_missed_beats, battery.name)
            self._beats.start(battery.name, partial(beat.run, partial(self._observe, observer), missed))
        self._beats.start("agent", partial(beat.run, self._report, _ignore))
        if self._keeper is not None:
            save = self._beat(SAVE_SECONDS)
            self._beats.start("state", partial(save.run, self._keeper.save, _ignore))

    def stop(self) -> None:
        """Stop in the order of the data: no more readings, then the counters on disk, then the sinks."""
        _log.info("stopping")
        self._stop.set()
        self._beats.join(_STOP_SECONDS, time.monotonic)
        saved = self._keeper is not None and self._keeper.save(clean=not self.crashed)
        for outlet in self._outlets:
            outlet.close(counters_saved=saved)
        self._deliveries.join(_STOP_SECONDS, time.monotonic)
        if self._keeper is not None:
            self._keeper.close()

    def _beat(self, interval_seconds: float) -> Beat:
        return Beat(
            start=time.monotonic(),
            interval_seconds=interval_seconds,
            clock=time.monotonic,
            wait=self._stop.wait,
        )

    def _observe(self, observer: Observer) -> None:
        self._hand_out(observer.observe())

    def _report(self) -> None:
        spools = {outlet.name: state for outlet in self._outlets if (state := outlet.spool()) is not None}
        self._hand_out(self._parts.report(spools))

    def _hand_out(self, item: Snapshot | AgentReport) -> None:
        for outlet in self._outlets:
            outlet.put(item)


def _keeper(config: Config) -> Keeper | None:
    """Return who keeps the counters; where the directory cannot be written, nobody does, and the agent goes on."""
    try:
        return Keeper(config.state_directory)
    except OSError as error:
        _log.warning(
            "the counters will not survive a restart by themselves: %s: %s; "
            "make that directory writable for this user, or set state_directory to another",
            config.state_directory,
            error.strerror,
        )
        return None


def _ignore(_: int) -> None:
    pass
