"""Brings the counters home from the gateway, before the first push would replace them there.

A new SD card, a lost file or a kill leaves the newest counters with the gateway: our own group as
we pushed it last.
"""

import logging
from collections.abc import Mapping

from sonnen_agent.shared_meter import SharedMeter
from sonnen_agent.errors import PushError
from sonnen_agent.metrics.energy import recovered_counters
from sonnen_agent.metrics.groups import GroupKey
from sonnen_agent.outputs.pushgateway import Pushgateway
from sonnen_agent.snapshot import Snapshot

_log = logging.getLogger(__name__)

_AWAY = ("timeout", "refused", "closed")
_AWAY_STATUSES = (502, 503, 504)
"""A proxy's words for a gateway that is still starting."""
_REFUSALS = 3


class Recovery:
    """Settles the accounts that do not know yet what was counted before."""

    def __init__(self, gateway: Pushgateway, accounts: Mapping[str, SharedMeter]) -> None:
        """`accounts` by battery."""
        self._gateway = gateway
        self._accounts = accounts
        self._refusals = dict.fromkeys(accounts, 0)
        """How often the gateway answered, but not the question, by battery."""

    def ready(self, snapshot: Snapshot, key: GroupKey) -> bool:
        """Return whether a snapshot may replace its group; PushError when the gateway cannot be asked.

        One without the counters may not: they would be lost there, for the next start and for Prometheus.
        """
        account = self._accounts.get(snapshot.battery)
        if account is not None and not account.settled:
            self._settle(account, snapshot.battery, key)
        return account is None or snapshot.energy is not None

    def unsettled(self) -> frozenset[str]:
        """Return the batteries whose newest counters may be nowhere but on the gateway."""
        return frozenset(battery for battery, account in self._accounts.items() if not account.settled)

    def _settle(self, account: SharedMeter, battery: str, key: GroupKey) -> None:
        try:
            held = self._gateway.fetch(key)
        except PushError as error:
            away = error.outcome in _AWAY or error.status in _AWAY_STATUSES
            self._refusals[battery] += not away
            if away or self._refusals[battery] < _REFUSALS:
                raise
            # A proxy may let only pushes through, and some receivers of pushes know no questions.
            _log.warning("%s: counting goes on from this machine's copy, the gateway does not tell: %s", battery, error)
            held = None
        recovered = recovered_counters(held.samples, held.pushed_unix_seconds) if held is not None else None
        account.settle(recovered)
        if recovered is not None:
            _log.info("%s: counting goes on from the counters on the gateway", battery)
