"""Which counters are certainly above whatever was shown of them before a crash.

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


def certain(totals: EnergyTotals, kept: Tally) -> EnergyTotals:
    """Return the totals without the counters that a receiver may have seen higher than they are now."""
    energies, tariffs = kept.energies, kept.tariffs
    seen = energies.totals_watt_hours
    dearest = max((price.per_kilowatt_hour for price in totals.prices), default=0.0)
    money = dearest * _MARGIN_WATT_HOURS / 1000
    return replace(
        totals,
        production_watt_hours=_above(totals.production_watt_hours, seen.get("production")),
        consumption_watt_hours=_above(totals.consumption_watt_hours, seen.get("consumption")),
        grid_import_watt_hours=_above(totals.grid_import_watt_hours, seen.get("grid_import")),
        grid_export_watt_hours=_above(totals.grid_export_watt_hours, seen.get("grid_export")),
        battery_charge_watt_hours=_above(totals.battery_charge_watt_hours, seen.get("battery_charge")),
        battery_discharge_watt_hours=_above(totals.battery_discharge_watt_hours, seen.get("battery_discharge")),
        flows_watt_hours=_all_above(totals.flows_watt_hours, energies.flows_watt_hours),
        observed_seconds=_above(totals.observed_seconds, energies.observed_seconds, _MARGIN_SECONDS),
        tariff_import_watt_hours=_all_above(totals.tariff_import_watt_hours, tariffs.import_watt_hours),
        tariff_export_watt_hours=_all_above(totals.tariff_export_watt_hours, tariffs.export_watt_hours),
        cost=_all_above(totals.cost, tariffs.cost, money),
        revenue=_all_above(totals.revenue, tariffs.revenue, money),
    )


def _above(now: float | None, seen: float | None, margin: float = _MARGIN_WATT_HOURS) -> float | None:
    """Return the value if it is certain; one that was never counted before the crash is held back, too."""
    return now if now is not None and now >= (seen or 0.0) + margin else None


def _all_above(
    now: Mapping[_Key, float], seen: Mapping[_Key, float], margin: float = _MARGIN_WATT_HOURS
) -> Mapping[_Key, float]:
    return {key: value for key, value in now.items() if _above(value, seen.get(key), margin) is not None}
