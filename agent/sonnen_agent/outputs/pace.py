"""How often an output sends what it is given at each beat: a metered link counts bytes, and every packet has some."""

import math
from dataclasses import dataclass, replace

from prometheus_client.samples import Sample

from sonnen_agent.config.section import Section
from sonnen_agent.group import SHOWN_BEATS, Group
from sonnen_agent.metrics.agent import PUSH_INTERVAL as AGENT_ROW
from sonnen_agent.metrics.battery import HEALTH, PUSH_INTERVAL
from sonnen_agent.metrics.exposition import Family

_USUAL_SECONDS = 15.0
"""Up to that the rules know by themselves when a value is old: after 30 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """A whole number of beats."""

    seconds: float
    pause_seconds: float
    """What has to lie between two readings that are sent: half a beat less, for no beat is quite on time."""

    @classmethod
    def of(cls, beat_seconds: float, interval_seconds: float | None) -> "Pace":
        """Return the pace of an interval, which without one, and at the least, is the beat."""
        beats = math.ceil((interval_seconds or 0) / beat_seconds)
        if beats <= 1:
            return cls(seconds=beat_seconds, pause_seconds=0)
        return cls(seconds=beats * beat_seconds, pause_seconds=(beats - 0.5) * beat_seconds)

    def told(self, group: Group) -> Group:
        """Return the group with how often it is sent, where that is so seldom that others have to know."""
        seconds = max(self.seconds, group.shown_seconds / SHOWN_BEATS)
        if seconds <= _USUAL_SECONDS or group.page is not None or not group.families:
            return group
        # The labels that the config adds to all series of a battery are those of its first family.
        first, (_, online) = group.families[0], HEALTH[0]
        row, labels = (PUSH_INTERVAL, first.samples[0].labels) if first.name == online.name else (AGENT_ROW, {})
        return replace(group, families=(*group.families, Family(row, [Sample(row.name, labels, seconds)])))


def read_interval(section: Section) -> float | None:
    """Return the interval that an output's section names, None where it is the beat."""
    return section.number("interval_seconds", minimum=1, maximum=3600, default=0) or None
