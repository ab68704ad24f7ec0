"""Groups for the tests of remote write: what a battery's thread would put, as small as can be."""

from collections.abc import Mapping

from prometheus_client.core import Metric

from sonnen_agent.group import Group, GroupKey

BEAT_SECONDS = 5.0


def family(name: str, value: float, labels: Mapping[str, str] | None = None) -> Metric:
    metric = Metric(name, "A value.", "gauge")
    metric.add_sample(name, dict(labels or {}), value)
    return metric


def battery_group(
    battery: str = "home",
    *,
    at: float,
    watts: Mapping[str, float] | None = None,
    labels: Mapping[str, str] | None = None,
    interval_seconds: float = BEAT_SECONDS,
) -> Group:
    """Return the group of a battery; without any watts it is silent."""
    watts = watts or {}
    families = [family("sonnen_online", float(bool(watts)), labels)]
    families += [family(f"sonnen_{name}_watts", value, labels) for name, value in watts.items()]
    return Group(
        key=GroupKey(job="sonnen", instance=battery),
        families=tuple(families),
        taken_monotonic_seconds=at,
        shown_seconds=3 * interval_seconds,
    )
