"""What a Pushgateway says it holds (its `/api/v1/metrics`, JSON)."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sonnen_agent.metrics.energy import HeldSample
from sonnen_agent.metrics.groups import GroupKey

_LATEST_UNIX_SECONDS = 1e11
"""The year 5138; a calendar has no days for what is later, nor for NaN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldGroup:
    """One group as the gateway holds it."""

    samples: tuple[HeldSample, ...]
    pushed_unix_seconds: float | None
    """When it was pushed last, by the gateway's clock."""


def held_group(body: bytes, key: GroupKey) -> HeldGroup | None:
    """Return a group from the gateway's list of all, None when it is not there; ValueError when it is no such list."""
    try:
        document = json.loads(body)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    groups = _mapping(document).get("data")
    if not isinstance(groups, list):
        raise ValueError("it holds no list of groups")  # noqa: TRY004 - about the document, not about our types
    for group in map(_mapping, groups):
        if _mapping(group.get("labels")) == {"job": key.job, "instance": key.instance}:
            samples = tuple(sample for name, family in group.items() for sample in _samples(name, _mapping(family)))
            pushed = (
                sample.value
                for sample in samples
                if sample.name == "push_time_seconds" and 0 <= sample.value < _LATEST_UNIX_SECONDS
            )
            return HeldGroup(samples=samples, pushed_unix_seconds=next(pushed, None))
    return None


def _samples(name: str, family: Mapping[str, object]) -> Iterator[HeldSample]:
    metrics = family.get("metrics")
    for metric in map(_mapping, metrics if isinstance(metrics, list) else ()):
        labels = {key: value for key, value in _mapping(metric.get("labels")).items() if isinstance(value, str)}
        value = metric.get("value")
        if isinstance(value, str):  # histograms and summaries, which are not ours, have none
            yield HeldSample(name=name, labels=labels, value=float(value))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
