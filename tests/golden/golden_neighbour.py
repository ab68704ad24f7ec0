"""A second battery in the same Prometheus: the golden house's without token and tariffs, for some weeks."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from golden_gauges import Key, Page
from golden_recorded import Batch

BATTERY: Final = {"job": "sonnen", "instance": "cottage"}
AGENT: Final = {"job": "sonnen_agent", "instance": "cabin"}
_NEEDS_A_TOKEN: Final = re.compile(
    r"meter|grid_volts|temperature|cell_|current_amperes|cycles|capacity|alarm|warning|modules|full_charge|eclipse"
    r"|shutdown|component_state|frequency_grid|pv_watts|microgrid|usable_watt_hours|backup_seconds"
)
_NEEDS_TARIFFS: Final = re.compile(r"tariff|_cost_|_revenue_")


def neighbour(batches: Iterable[tuple[Mapping[str, str], Batch]]) -> Iterator[tuple[Mapping[str, str], Batch]]:
    """Yield of the golden house's series those that the neighbour has, too."""
    groups = {"sonnen": BATTERY, "sonnen_agent": AGENT}
    for group, (moments, page) in batches:
        name = group.get("job", "")
        if name in groups:
            yield groups[name], (moments, _told(page))


def _told(page: Page) -> Page:
    return {_renamed(one): values for one, values in page.items() if _is_told(one)}


def _renamed(one: Key) -> Key:
    name, labels = one
    return name, tuple((label, BATTERY["instance"] if label == "battery" else value) for label, value in labels)


def _is_told(one: Key) -> bool:
    name, labels = one
    # What the inverter says of the first phase is in the open status.
    needs_meter = ("phase_volts" in name or "apparent" in name) and ("phase", "1") not in labels
    endpoint = dict(labels).get("endpoint", "status")
    alert = dict(labels).get("alertname", "")
    return not (
        _NEEDS_A_TOKEN.search(name) or _NEEDS_TARIFFS.search(name) or needs_meter or alert or endpoint != "status"
    )
