"""The Pushgateway: one PUT per group and beat, or less often, in a thread of its own.

put(group) ─▶ due? ─▶ ConflatingQueue ─▶ current? asked? ─▶ Gateway ──PUT──▶

PUT replaces the whole group, so what is not in a page is gone at once. A group is pushed only
while its values are young: a late delivery would show an old value as a new one. A slow gateway
never falls behind: of each group only the latest waits.
"""

import logging
import math
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, Self

from sonnen_agent.changes import ChangeLog
from sonnen_agent.clock import Deadline
from sonnen_agent.config.secrets import Secrets
from sonnen_agent.config.section import Section
from sonnen_agent.destination import Destination
from sonnen_agent.errors import ExchangeError, counted
from sonnen_agent.group import Group, GroupKey
from sonnen_agent.metrics.battery import offline
from sonnen_agent.metrics.energy import recovered_counters
from sonnen_agent.metrics.exposition import page_of
from sonnen_agent.outputs import Retain, Surroundings
from sonnen_agent.outputs.gateway import NAME, Gateway
from sonnen_agent.outputs.pace import Pace, read_interval
from sonnen_agent.scheduler import ProgressWatch, Threads
from sonnen_agent.telemetry import Waiting

DEFAULT_JOB = "sonnen"
_ABOUT_THE_PAGE = ("rejected", "closed")
"""Pushgateway 1.11.0 hangs up on what it rejects."""
_ALL_GROUPS_SECONDS = 15
"""More than a push gets: without this answer there is none. Less than an agent gets to stop."""
_REFUSALS = 3
"""Of the question for our own group, after which it goes without an answer."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The config's `pushgateway`."""

    destination: Destination
    job: str = DEFAULT_JOB
    """Of the battery groups; the agent's has `_agent` behind it."""
    on_stop: Literal["counters", "delete", "keep"] = "counters"
    compression: Literal["gzip", "none"] = "gzip"
    interval_seconds: float | None = None
    """Between two pushes of a group, None for every beat."""

    @classmethod
    def read(cls, section: Section, secrets: Secrets) -> Self:
        """Return what a section says; what is wrong with it is noted there."""
        return cls(
            destination=secrets.destination(section, "http://gateway.example:9091", "pushgateway"),
            job=section.text("job") or DEFAULT_JOB,
            on_stop=section.choice("on_stop", ("counters", "delete", "keep"), "counters"),
            compression=section.choice("compression", ("gzip", "none"), "gzip"),
            interval_seconds=read_interval(section),
        )

    @property
    def summary(self) -> str:
        """What it does, in words."""
        return f"pushing to {self.destination.url}"

    def open(self, surroundings: Surroundings) -> "PushgatewayOutput":
        """Return the output."""
        return PushgatewayOutput(self, surroundings)


class ConflatingQueue:
    """Holds at most one group per key, the latest; the key that waits longest is served first."""

    def __init__(self) -> None:
        self._groups: dict[GroupKey, Group] = {}
        self._changed = threading.Condition()
        self._closed = False

    def put(self, group: Group) -> None:
        """Leave a group in the place of an older one; never waits."""
        with self._changed:
            self._groups[group.key] = group
            self._changed.notify()

    def take(self) -> Group | None:
        """Wait for a group and return it, or None once the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._groups or self._closed)
            if self._closed:
                return None
            return self._groups.pop(next(iter(self._groups)))

    def close(self) -> None:
        """Let `take` return None from now on; what was not taken is out of date."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class PushgatewayOutput:
    """From `put` to a gateway, until `stop`."""

    name = NAME
    verb = "pushed"

    def __init__(self, options: Options, surroundings: Surroundings) -> None:
        self._pace = Pace.of(surroundings.interval_seconds, options.interval_seconds)
        self._meters = surroundings.meters
        self._on_stop = options.on_stop
        self._gateway = Gateway(options.destination, compress=options.compression == "gzip", record=surroundings.record)
        self._queue = ConflatingQueue()
        self._retain = Retain()
        self._latest: dict[GroupKey, Group | None] = dict.fromkeys(surroundings.meters)
        """What was put last, pushed or not; None of a battery that was never read."""
        self._pushed: dict[GroupKey, float] = {}
        """When what was pushed last of each group was taken, by the monotonic clock."""
        self._unasked = set(surroundings.meters)
        """The batteries whose counters on the gateway are not known yet."""
        self._raised: dict[GroupKey, float] = {}
        """When the gateway turned out to have higher counters, by the monotonic clock."""
        self._refusals = dict.fromkeys(surroundings.meters, 0)
        """How often the gateway answered, but not the question for a group."""
        self._changes = ChangeLog(_log)
        self._lost = 0
        """Pushes lost since all groups were well."""

    def start(self, threads: Threads) -> None:
        """Start the thread."""
        threads.start(self.name, self.run)

    def put(self, group: Group) -> None:
        """Leave it in the queue, in the place of an older one, if a push is due; a push that failed is due at once."""
        self._latest[group.key] = group
        if group.taken_monotonic_seconds - self._pushed.get(group.key, -math.inf) >= self._pace.pause_seconds:
            self._queue.put(group)

    def waiting(self) -> Waiting | None:
        """Return None: a gateway takes no timestamps, so what is late is worth nothing there."""
        return None

    def stop(self, retain: Retain) -> None:
        """Let the thread end, and remove the groups that shall not outlive the agent."""
        self._retain = retain
        self._queue.close()

    def run(self, watch: ProgressWatch) -> None:
        """Deliver until `stop`; the body of the thread."""
        with suppress(ExchangeError):  # the first groups will ask again
            self._recover()
        while True:
            with watch.rest():
                group = self._queue.take()
            if group is None:
                break
            self._deliver(group)
        if self._on_stop != "keep":
            self._clean_up()
        self._gateway.close()

    def _deliver(self, group: Group) -> None:
        if not group.is_current(time.monotonic()):
            return  # it waited for a gateway that was away, and its next beat is long in coming
        try:
            if group.key in self._unasked:
                self._recover(group.key)
            if group.counters is None or group.taken_monotonic_seconds < self._raised.get(group.key, 0.0):
                # The counters there would be lost, or fall. The next one has them.
                return
            self._push(self._pace.told(group))
        except ExchangeError as error:
            if group.page is not None and error.outcome in _ABOUT_THE_PAGE:
                self._remove_older(group.key)
            if not error.away:
                self._pushed[group.key] = group.taken_monotonic_seconds
            self._tell_failure(group.key, error)
            return
        lost = counted(self._lost, "push was", "pushes were")
        for subject in (NAME, group.key):
            if self._changes.over(subject, "pushing works again; %s lost", lost):
                self._lost = 0

    def _push(self, group: Group) -> None:
        self._gateway.push(group.key, page_of(group), Deadline.of_beat(self._pace.seconds))
        self._pushed[group.key] = group.taken_monotonic_seconds

    def _recover(self, key: GroupKey | None = None) -> None:
        """Bring the counters home from the gateway, at every start, before the first push replaces them there.

        Those of all batteries at once: the answer may have 30 MB. Raises ExchangeError where the one with the key has
        to wait: the gateway is away, or it answered, but not the question, less than three times.
        """
        deadline, keys = Deadline(_ALL_GROUPS_SECONDS), tuple(self._unasked)
        if not keys:
            return
        try:
            held, started = self._gateway.held(keys, deadline), self._gateway.started_unix_seconds(deadline)
        except ExchangeError as error:
            if error.away:
                raise
            self._unasked -= {one for one in keys if self._meters[one].settled}
            if key not in self._unasked:
                return
            self._refusals[key] += 1
            if self._refusals[key] < _REFUSALS:
                raise
            # A proxy may let only pushes through, and some receivers of pushes know no questions.
            words = "%s: counting goes on from this machine's copy, the gateway does not tell: %s"
            _log.warning(words, key.instance, error)
            held, started, keys = {}, math.inf, (key,)
        for one in keys:
            group = held.get(one)
            recovered = recovered_counters(group.samples, group.pushed_unix_seconds) if group is not None else None
            if self._meters[one].recover(recovered, started):
                self._raised[one] = time.monotonic()
                _log.info("%s: counting goes on from the counters on the gateway", one.instance)
            self._unasked.discard(one)

    def _clean_up(self) -> None:
        """Remove what was measured, and our groups, but for those that another process goes on with.

        Counters stay where the agent will come back, and those that nobody else has.
        """
        only_copy = self._retain.counters
        leave_counters = only_copy or (self._retain.returns and self._on_stop == "counters")
        going = {key: group for key, group in self._latest.items() if key not in self._retain.groups}
        batteries = {key for key in going if key in self._unasked or (leave_counters and key in self._meters)}
        try:
            for key in going:
                if key not in batteries:
                    self._gateway.delete(key, Deadline.of_beat(self._pace.seconds))
            for key, group in going.items():
                if key in batteries - self._unasked and group is not None and group.counters is not None:
                    counted = tuple(family for family in group.counters if only_copy or family.type == "counter")
                    self._push(replace(offline(group, stopped=True), counters=counted))
        except ExchangeError as error:
            # The rest would fail alike.
            _log.warning("the groups stay on the gateway: %s", error)

    def _remove_older(self, key: GroupKey) -> None:
        """Delete the page that the gateway took before, once: what it rejects later leaves no values behind."""
        if self._changes.kind(key) not in _ABOUT_THE_PAGE:
            with suppress(ExchangeError):
                self._gateway.delete(key, Deadline.of_beat(self._pace.seconds))

    def _tell_failure(self, key: GroupKey, error: ExchangeError) -> None:
        # A page may be wrong for one group, or for some; everything else is about the gateway, and said once for all.
        about_the_page = error.outcome in _ABOUT_THE_PAGE
        kind = "away" if error.away and not about_the_page else error.outcome
        known = about_the_page and self._changes.kinds().count(kind) >= 3  # what all have is told often enough
        self._changes.trouble(key if about_the_page else NAME, kind, "push of %s failed: %s", key, error, known=known)
        self._lost += 1
