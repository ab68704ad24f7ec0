"""A running agent: its threads, and the order in which they start and stop.

a thread per battery: beat ─▶ Poller (Battery, SharedMeter) ─▶ RuntimeCheckpoint ─▶ Group ─┐
a thread per relay: its own beat ─▶ Relay ─▶ Group ────────────────────────────────────────┤
a thread for all batteries: two beats without a Group ─▶ Group of one that is offline ─────┤
a thread for the agent: every 15 s ─▶ report ─▶ Group ─────────────────────────────────────┴─▶ outputs ─▶ own threads
a thread for the state: every minute SharedMeters ─▶ StateStore ─▶ disk
"""

import logging
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sonnen_agent import __version__
from sonnen_agent.clock import LONGEST_BEAT_SECONDS, Deadline
from sonnen_agent.components import Components
from sonnen_agent.config.load import Config
from sonnen_agent.group import LATE_BEATS, Group, GroupKey
from sonnen_agent.outputs import Output, Retain, Surroundings
from sonnen_agent.poller import Poller
from sonnen_agent.scheduler import ProgressWatch, Threads, Ticker, early_share
from sonnen_agent.shared_meter import SAVE_SECONDS
from sonnen_agent.state.runtime_checkpoint import RuntimeCheckpoint
from sonnen_agent.state.store import StateStore, peek
from sonnen_agent.systemd import reading_words, status_line

if TYPE_CHECKING:
    from sonnen_agent.relay import Relay

_log = logging.getLogger(__name__)

_STOP_SECONDS = 2 * LONGEST_BEAT_SECONDS + 1
_STALLED_SECONDS = 30.0
"""A card takes a save within a second or two, unless it stalls; other writes then began at most a minute sooner."""
_CARD_SECONDS = 5.0
"""At a stop, for a save under way."""


class Agent:
    """Reads and delivers as a config says, from `start` to `stop`."""

    def __init__(self, config: Config, runtime_directory: Path | None = None) -> None:
        """Prepare all, or raise StartError; `runtime_directory` is memory that outlives the process."""
        self._config = config
        self._components = components = Components(config)
        self._store = _store(config)
        # A card that is dying is often read-only: what it has can be read all the same.
        stored = self._store.load() if self._store is not None else peek(config.state_directory)
        self._runtime = RuntimeCheckpoint(runtime_directory) if runtime_directory is not None else None
        images = self._runtime.load(components.names) if self._runtime is not None else {}
        self._meters = components.meters(stored, images)
        try:
            if self._store is not None:
                self._store.keep(self._meters, stored)
            surroundings = Surroundings(
                interval_seconds=config.interval_seconds,
                state_directory=config.state_directory,
                runtime_directory=runtime_directory,
                meters={config.battery_key(name): meter for name, meter in self._meters.items()},
                record=components.telemetry.record_send,
                clock=components.clock.now,
            )
            self._outputs: dict[str, Output] = {
                name: options.open(surroundings) for name, options in config.outputs.items()
            }
        except BaseException:
            if self._store is not None:
                self._store.close()
            raise
        self._pollers = components.pollers(self._meters)
        self._taken: dict[GroupKey, float] = {}
        """When what was handed out last of each group was taken."""
        self._handing_out = threading.RLock()
        self._stop = threading.Event()
        self._readers, self._senders, self._keeper = Threads(), Threads(), Threads()

    @property
    def crashed(self) -> bool:
        """Whether a thread ended by an error in the program."""
        return self._readers.crashed or self._senders.crashed or self._keeper.crashed

    @property
    def has_read(self) -> bool:
        """Whether every battery has been asked once, whatever it said."""
        return all(poller.asked for poller in self._pollers)

    def hung(self) -> tuple[str, ...]:
        """Return the names of the loops that make no progress, but for those that wait for a card that stalls.

        To end the program for that would help nobody: it could not be loaded anew from that card.
        """
        return self._readers.hung() + self._senders.hung(card_stalls=self.stalled_seconds() > 0)

    def stalled_seconds(self) -> float:
        """Return for how long the card has not taken the counters; 0 when it works."""
        seconds = self._keeper.busy_seconds()
        return seconds if seconds > _STALLED_SECONDS else 0.0

    def status(self) -> str:
        """Return how all is, in one line for a person."""
        components = self._components
        return status_line(
            {poller.name: reading_words(poller.reading, asked=poller.asked) for poller in self._pollers},
            {
                output.verb: components.telemetry.seconds_since_sent(name)
                for name, output in self._outputs.items()
                if output.verb is not None
            },
            clock_is_set=components.clock.now() is not None,
            stalled_seconds=self.stalled_seconds(),
        )

    def start(self) -> None:
        """Start the threads."""
        config, components = self._config, self._components
        names = ", ".join(components.names)
        ways = " and ".join(options.summary for options in config.outputs.values())
        every = config.interval_seconds
        _log.info("sonnen-agent %s: every %g s from %s, %s; %s", __version__, every, names, ways, config.midnight)
        for output in self._outputs.values():
            output.start(self._senders)
        ticker = self._ticker(config.interval_seconds)
        self._taken = {poller.key: ticker.start for poller in self._pollers}
        self._readers.start("late batteries", self._replace_late)
        for poller in self._pollers:
            missed = partial(components.telemetry.record_missed_beats, poller.name)
            self._readers.start(poller.name, partial(ticker.run, partial(self._poll, poller), missed))
        for relay in components.relays():
            ticker = self._ticker(relay.options.interval_seconds)
            self._readers.start(f"relay {relay.options.job}", partial(ticker.run, partial(self._relay, relay), None))
        self._readers.start("agent", partial(self._ticker(components.report_seconds).run, self._report, None))
        if self._store is not None:
            self._keeper.start("state", partial(self._ticker(SAVE_SECONDS).run, self._store.save, None))

    def stop(self, successor: Config | None = None) -> None:
        """Stop in the order of the data: no more readings, then the counters on disk, then the outputs.

        What a process with the successor's config will go on with at once stays with the receivers as it is.
        """
        self._stop.set()
        self._readers.join(_STOP_SECONDS)
        # Behind a save that stalls, another one would stall, too: the next start has the image of the last beat.
        card_is_free = self._keeper.join(_CARD_SECONDS)
        saved = card_is_free and self._store is not None and self._store.save(clean=not self.crashed)
        if saved and not self.crashed and self._runtime is not None:
            self._runtime.remove(self._components.names)
        for name, output in self._outputs.items():
            retain = _retain(self._config, successor, name)
            output.stop(replace(retain, returns=successor is None, counters=not saved))
        self._senders.join(_STOP_SECONDS)
        for poller in self._pollers:
            poller.close()
        if self._store is not None:
            self._store.close()

    def _ticker(self, interval_seconds: float) -> Ticker:
        now, early_seconds = time.monotonic, early_share(self._config.name) * interval_seconds
        return Ticker(
            start=now(),
            interval_seconds=interval_seconds,
            early_seconds=early_seconds,
            clock=now,
            wait=self._stop.wait,
        )

    def _poll(self, poller: Poller) -> None:
        group = poller.poll(Deadline.of_beat(self._config.interval_seconds))
        meter = self._meters[poller.name]
        if self._runtime is not None and meter.settled:
            self._runtime.save(poller.name, meter.state())
        self._hand_out(group)

    def _replace_late(self, watch: ProgressWatch) -> None:
        """Hand out an offline battery for each that nothing was heard of, until the stop: its watts are not true."""
        interval_seconds = self._config.interval_seconds
        late_seconds = LATE_BEATS * interval_seconds
        while True:
            due = min(self._taken[poller.key] for poller in self._pollers) + late_seconds
            with watch.rest():
                if self._stop.wait(max(due - time.monotonic(), 0)):
                    return
                # Where the whole process stood still, its batteries are asked first.
                if time.monotonic() > due + interval_seconds and self._stop.wait(interval_seconds):
                    return
            for poller in self._pollers:
                with self._handing_out:
                    silent_seconds = time.monotonic() - self._taken[poller.key]
                    if silent_seconds >= late_seconds:
                        self._hand_out(poller.late(silent_seconds))

    def _relay(self, relay: "Relay") -> None:
        self._hand_out(relay.read())

    def _report(self) -> None:
        waiting = {name: waits for name, output in self._outputs.items() if (waits := output.waiting()) is not None}
        self._hand_out(self._components.report(waiting))

    def _hand_out(self, group: Group) -> None:
        with self._handing_out:
            # What was read before a battery was taken for offline has come too late.
            if group.taken_monotonic_seconds >= self._taken.get(group.key, 0):
                self._taken[group.key] = group.taken_monotonic_seconds
                for output in self._outputs.values():
                    output.put(group)


def _retain(config: Config, successor: Config | None, name: str) -> Retain:
    """Return what the output of that name leaves alone for a process with the successor's config."""
    options = config.outputs[name]
    if successor is None or name not in successor.outputs or successor.outputs[name].summary != options.summary:
        return Retain()
    groups = successor.group_keys()
    if (successor.outputs[name], successor.tariffs, successor.job) != (options, config.tariffs, config.job):
        return Retain(groups=groups)
    same = {config.battery_key(battery.name) for battery in config.batteries if battery in successor.batteries}
    return Retain(groups=groups, unchanged=groups & {*same, config.agent_key()})


def _store(config: Config) -> StateStore | None:
    """Return who keeps the counters; where the directory cannot be written, nobody does, and the agent goes on."""
    try:
        return StateStore(config.state_directory)
    except OSError as error:
        _log.warning(
            "the counters will not survive a restart by themselves: %s: %s; "
            "make that directory writable for this user, or set state_directory to another "
            "(another disk under systemd: systemd/README.md)",
            error.filename or config.state_directory,
            error.strerror,
        )
        return None
