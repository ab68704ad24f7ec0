"""The reset guard: which counters are certainly above whatever was shown of them before a crash.

The checkpoint of a process that was killed, or lost its power, is up to a minute old: a receiver
may have seen more. A counter that came back below what was seen would be taken for one that
began at zero again, and all of it for new energy. So it is held back until it has passed all that
can have been seen. Meanwhile nothing is lost: what was counted is in its first value.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from sonnen_agent.energy.amounts import Tally
from sonnen_agent.energy.totals import EnergyTotals

_MARGIN_WATT_HOURS = 750.0
"""What 45 kW, more than a house is connected for, make of the minute between two checkpoints."""
_MARGIN_SECONDS = 120.0

_Key = TypeVar("_Key")


def without_possible_resets(totals: EnergyTotals, kept: Tally) -> EnergyTotals:
    """Return the totals without the counters that a receiver may have seen higher than they are now."""
    energies, tariffs = kept.energies, kept.tariffs
    seconds = totals.observed_seconds
    money = max(totals.prices.values(), default=0.0) * _MARGIN_WATT_HOURS / 1000
    return replace(
        totals,
        watt_hours=_above(totals.watt_hours, energies.totals_watt_hours),
        flows_watt_hours=_above(totals.flows_watt_hours, energies.flows_watt_hours),
        observed_seconds=seconds if (seconds or 0.0) >= energies.observed_seconds + _MARGIN_SECONDS else None,
        tariff_import_watt_hours=_above(totals.tariff_import_watt_hours, tariffs.import_watt_hours),
        tariff_export_watt_hours=_above(totals.tariff_export_watt_hours, tariffs.export_watt_hours),
        cost=_above(totals.cost, tariffs.cost, money),
        revenue=_above(totals.revenue, tariffs.revenue, money),
    )


def _above(
    now: Mapping[_Key, float], seen: Mapping[_Key, float], margin: float = _MARGIN_WATT_HOURS
) -> Mapping[_Key, float]:
    """Return the values that are certain; one that was never counted before the crash is held back, too."""
    return {key: value for key, value in now.items() if value >= seen.get(key, 0.0) + margin}
