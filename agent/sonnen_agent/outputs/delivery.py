"""A gateway's own thread: takes what is new, pushes it, and says once when that fails or works again."""

import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from sonnen_agent.errors import PushError
from sonnen_agent.metrics.groups import Grouping, GroupKey
from sonnen_agent.scheduler import ProgressWatch
from sonnen_agent.outputs.mailbox import Mailbox
from sonnen_agent.outputs.pushgateway import Pushgateway, delete_groups
from sonnen_agent.outputs.recovery import Recovery
from sonnen_agent.snapshot import Outgoing, RelayedPage, Snapshot

_log = logging.getLogger(__name__)

_AWAY = ("timeout", "refused", "http_error")
_ABOUT_THE_PAGE = ("rejected", "closed")
"""Pushgateway 1.11.0 hangs up on what it rejects."""


class Delivery:
    """From a mailbox to a gateway, until the mailbox closes."""

    def __init__(  # noqa: PLR0913 - one wire per argument
        self,
        gateway: Pushgateway,
        mailbox: Mailbox[Outgoing],
        grouping: Grouping,
        recovery: Recovery,
        *,
        interval_seconds: float,
        delete_on_stop: tuple[GroupKey, ...],
    ) -> None:
        self._gateway = gateway
        self._mailbox = mailbox
        self._grouping = grouping
        self._recovery = recovery
        self._interval_seconds = interval_seconds
        self._delete_on_stop = delete_on_stop
        self._leave_counters = False
        self._spared: frozenset[GroupKey] = frozenset()
        self._latest: dict[GroupKey, Snapshot] = {}
        """What was last pushed of each battery."""
        self._failing: dict[str, str] = {}
        """Why, by group, as long as its pushes fail."""
        self._lost = 0
        """Pushes lost since all groups were well."""

    def run(self, pulse: ProgressWatch) -> None:
        """Deliver until the mailbox closes, then remove the groups that shall not outlive the agent."""
        while (item := self._take(pulse)) is not None:
            self._deliver(item)
        leave = self._latest if self._leave_counters else {}
        # Nobody has taken these counters home yet: the group is their only copy.
        only_copies = {self._grouping.battery_key(battery) for battery in self._recovery.unsettled()}
        stay = {*leave, *only_copies, *self._spared}
        delete_groups(self._gateway, (key for key in self._delete_on_stop if key not in stay))
        for snapshot in leave.values() if self._delete_on_stop else ():
            self._deliver(replace(snapshot, reading=None, states=None, endpoints={}))
        self._gateway.close()

    def spare(self, keys: Iterable[GroupKey]) -> None:
        """At the end, leave these groups alone: another delivery goes on with them."""
        self._spared = frozenset(keys)

    def leave_counters(self) -> None:
        """At the end, leave the counters with the gateway: nobody else has them."""
        self._leave_counters = True

    def _take(self, pulse: ProgressWatch) -> Outgoing | None:
        with pulse.rest():
            return self._mailbox.take()

    def _deliver(self, item: Outgoing) -> None:
        if isinstance(item, Snapshot) and not item.is_current(time.monotonic(), self._interval_seconds):
            return  # it waited for a gateway that was away, while its battery's loop hung
        if isinstance(item, RelayedPage) and not item.is_current(time.monotonic()):
            return  # it waited for that, too, and its next beat may be long in coming
        key, page = self._grouping.page(item)
        group = f"{key.job}/{key.instance}"
        try:
            if isinstance(item, Snapshot) and not self._recovery.ready(item, key):
                return  # the next one has the counters
            self._gateway.push(key, page)
        except PushError as error:
            if isinstance(item, RelayedPage) and error.outcome in _ABOUT_THE_PAGE:
                self._remove_older(key, group)
            self._tell_failure(group, error)
            return
        if isinstance(item, Snapshot):
            self._latest[key] = item
        self._tell_success(group)

    def _remove_older(self, key: GroupKey, group: str) -> None:
        """Delete the page that the gateway took before, once: what it rejects later leaves no values behind."""
        if self._failing.get(group) not in _ABOUT_THE_PAGE:
            with suppress(PushError):
                self._gateway.delete(key)

    def _tell_failure(self, group: str, error: PushError) -> None:
        state = "away" if error.outcome in _AWAY else error.outcome
        # A page may be wrong for one group; everything else is about the gateway, and said once for all.
        known = self._failing.get(group) == state if state in _ABOUT_THE_PAGE else state in self._failing.values()
        _log.log(logging.DEBUG if known else logging.WARNING, "push of %s failed: %s", group, error)
        self._failing[group] = state
        self._lost += 1

    def _tell_success(self, group: str) -> None:
        if self._failing.pop(group, None) is not None and not self._failing:
            _log.info("pushing works again; %d pushes were lost", self._lost)
            self._lost = 0
