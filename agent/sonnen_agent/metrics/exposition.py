"""The text exposition format, written by prometheus_client."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(families: Iterable[Metric]) -> bytes:
    """Return the families as a page in text format 0.0.4, UTF-8."""
    return generate_latest(_registry(families))


def render_openmetrics(families: Iterable[Metric]) -> bytes:
    """Return the families in OpenMetrics, which knows timestamps: for backfilling."""
    page: bytes = openmetrics.generate_latest(_registry(families))  # type: ignore[no-untyped-call]  # in 0.26
    return page


def _registry(families: Iterable[Metric]) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Ready(tuple(families)))
    return registry


class _Ready(Collector):
    def __init__(self, families: tuple[Metric, ...]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
