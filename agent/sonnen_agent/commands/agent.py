"""A config at work: the threads of `run`, and the order in which they start and stop.

a thread per battery: beat ─▶ Observer (Battery, SharedMeter) ─▶ Afterimage ─▶ Snapshot ──┐
a thread per relay: its own beat ─▶ Relay ─▶ RelayedPage ─────────────────────────────┤
a thread for the agent: beat ─▶ AgentReport ──────────────────────────────────────────┴─▶ Outlets ─▶ their own threads
a thread for the state: every minute Accounts ─▶ Keeper ─▶ disk
"""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sonnen_agent.clock import WallClock
from sonnen_agent.commands.outlets import outlets
from sonnen_agent.commands.status import status_line
from sonnen_agent.commands.wiring import Parts
from sonnen_agent.config.model import Config
from sonnen_agent.observer import Observer
from sonnen_agent.scheduler import ProgressWatch
from sonnen_agent.relay.relay import Relay
from sonnen_agent.scheduler import Beat, Threads
from sonnen_agent.snapshot import Outgoing, Snapshot
from sonnen_agent.state.afterimage import Afterimage
from sonnen_agent.state.keeper import SAVE_SECONDS, Keeper
from sonnen_agent.version import agent_version

_log = logging.getLogger(__name__)

_BEAT_SHARE = 0.9
"""Of an interval; the requests of a beat together never take longer."""
_LONGEST_SECONDS = 10
"""With a long interval nobody wants to wait longer for a battery or gateway."""
_STOP_SECONDS = 2 * _LONGEST_SECONDS + 1
_SENDERS = ("pushgateway", "remote_write")


def _ignore(_: int) -> None:
    pass


class Agent:
    """Reads and delivers as a config says, from `start` to `stop`."""

    def __init__(self, config: Config, runtime_directory: Path | None = None) -> None:
        """Prepare all, or raise StartError; `runtime_directory` is memory that outlives the process."""
        self._config = config
        self._parts = Parts(config)
        self._keeper = _keeper(config)
        kept = self._keeper.load() if self._keeper is not None else None
        self._afterimage = Afterimage(runtime_directory) if runtime_directory is not None else None
        images = self._afterimage.load(self._parts.names) if self._afterimage is not None else {}
        # After a kill the gateway has seen more than the disk; without a gateway, the disk has to do.
        settled = config.pushgateway is None or (kept is not None and kept.clean)
        self._accounts = self._parts.accounts(kept, images, settled=settled)
        try:
            if self._keeper is not None:
                self._keeper.keep(self._accounts, kept)
            self._timeout_seconds = min(_BEAT_SHARE * config.interval_seconds, _LONGEST_SECONDS)
            self._outlets = outlets(self._parts, self._accounts, timeout_seconds=self._timeout_seconds)
        except BaseException:
            self._release()
            raise
        self._clock = WallClock()
        self._stop = threading.Event()
        self._beats, self._deliveries = Threads(), Threads()
        self._latest: dict[str, Snapshot | None] = dict.fromkeys(self._parts.names)

    @property
    def crashed(self) -> bool:
        """Whether a thread ended by an error in the program."""
        return self._beats.crashed or self._deliveries.crashed

    @property
    def has_read(self) -> bool:
        """Whether every battery has been asked once, whatever it said."""
        return None not in self._latest.values()

    def hung(self) -> tuple[str, ...]:
        """Return the names of the loops that make no progress."""
        return self._beats.hung() + self._deliveries.hung()

    def status(self) -> str:
        """Return how all is, in one line for a person."""
        sinks = [outlet.name for outlet in self._outlets if outlet.name in _SENDERS]
        return status_line(
            self._latest,
            {sink: self._parts.telemetry.seconds_since_sent(sink) for sink in sinks},
            clock_is_set=self._clock.now() is not None,
        )

    def start(self) -> None:
        """Start the threads."""
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
            self._run_beat(battery.name, beat, partial(self._observe, observer), missed)
        for relay in parts.relays():
            self._run_beat(f"relay {relay.job}", self._beat(relay.interval_seconds), partial(self._relay, relay))
        self._run_beat("agent", beat, self._report)
        if self._keeper is not None:
            self._run_beat("state", self._beat(SAVE_SECONDS), self._keeper.save)

    def stop(self, successor: Config | None = None) -> bool:
        """Stop in the order of the data: no more readings, then the counters on disk, then the sinks.

        What a successor goes on with, it leaves where it is. Return whether all threads have ended: one that has not
        (the name service may hang) still holds what a successor needs.
        """
        self._stop.set()
        ended = self._beats.join(_STOP_SECONDS)
        saved = self._keeper is not None and self._keeper.save(clean=not self.crashed)
        if saved and not self.crashed and self._afterimage is not None:
            self._afterimage.remove(self._parts.names)
        for outlet in self._outlets:
            outlet.close(counters_saved=saved, successor=successor)
        ended &= self._deliveries.join(_STOP_SECONDS)
        self._release()
        return ended

    def _release(self) -> None:
        if self._keeper is not None:
            self._keeper.close()

    def _beat(self, interval_seconds: float) -> Beat:
        return Beat(
            start=time.monotonic(),
            interval_seconds=interval_seconds,
            clock=time.monotonic,
            wait=self._stop.wait,
        )

    def _run_beat(
        self, name: str, beat: Beat, act: Callable[[], object], missed: Callable[[int], None] = _ignore
    ) -> None:
        def body(pulse: ProgressWatch) -> None:
            beat.run(act, missed, pulse)

        self._beats.start(name, body)

    def _observe(self, observer: Observer) -> None:
        snapshot = observer.observe()
        account = self._accounts[snapshot.battery]
        if self._afterimage is not None and account.settled:
            self._afterimage.save(snapshot.battery, account.state())
        self._latest[snapshot.battery] = snapshot
        self._hand_out(snapshot)

    def _relay(self, relay: Relay) -> None:
        self._hand_out(relay.read())

    def _report(self) -> None:
        spools = {outlet.name: state for outlet in self._outlets if (state := outlet.spool()) is not None}
        self._hand_out(self._parts.report(spools))

    def _hand_out(self, item: Outgoing) -> None:
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
