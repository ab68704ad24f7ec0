"""The three kinds of group on a Pushgateway, with their grouping keys."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client.core import Metric

from sonnen_agent.metrics.agent import agent_families
from sonnen_agent.metrics.battery import battery_families
from sonnen_agent.metrics.exposition import render
from sonnen_agent.snapshot import Outgoing, RelayedPage, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupKey:
    """The grouping key: the labels that every series of a group has."""

    job: str
    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Says which group something belongs to, and what the group's page is."""

    job: str
    """Of the battery groups; the agent's has `_agent` behind it."""
    process_families: Callable[[], Iterable[Metric]] = tuple
    """What is known of the process, for the agent's group."""

    def battery_key(self, battery: str) -> GroupKey:
        """Return the key of a battery's group."""
        return GroupKey(job=self.job, instance=battery)

    def agent_key(self, host: str) -> GroupKey:
        """Return the key of the agent's group."""
        return GroupKey(job=f"{self.job}_agent", instance=host)

    def relay_key(self, relay: str, host: str) -> GroupKey:
        """Return the key of the group of another exporter's page."""
        return GroupKey(job=relay, instance=host)

    def key(self, item: Outgoing) -> GroupKey:
        """Return the key of the group that something belongs to."""
        if isinstance(item, RelayedPage):
            return self.relay_key(item.relay, item.host)
        return self.battery_key(item.battery) if isinstance(item, Snapshot) else self.agent_key(item.host)

    def page(self, item: Outgoing) -> tuple[GroupKey, bytes]:
        """Return the key and the whole page, in text format."""
        key = self.key(item)
        if isinstance(item, RelayedPage):
            return key, item.page or b""
        if isinstance(item, Snapshot):
            return key, render(battery_families([item]))
        return key, render(agent_families(item, self.process_families()))
