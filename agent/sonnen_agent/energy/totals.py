"""What the meter shows, what of it after a crash, and what it takes back from a copy of that."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from sonnen_agent.energy.counters import QUANTITIES, Counters, EnergyCounters, Flow, Quantity, TariffCounts
from sonnen_agent.energy.standing import most_standing_charge
from sonnen_agent.energy.state import Ceiling
from sonnen_agent.rows import Counter, counter, gauge

if TYPE_CHECKING:
    from sonnen_agent.energy.tariffs import Direction

_MOST_WATT_HOURS_PER_SECOND = 12.5
"""Of 45 kW, more than a house is connected for."""
_MOST_STANDBY_PER_SECOND = 32.0 / 3600.0
_SELDOM_SECONDS = 3600.0
"""What had not risen in an hour of readings was hardly rising in the seconds before a crash, either."""
_MOST_OBSERVED_PER_SECOND = 2.0
"""Room for a save that is late, and for the interval over a restart."""

_Key = TypeVar("_Key")
_TOTALS = tuple(
    Counter(f"sonnen_{quantity}_watt_hours_total", f"{meaning}, in watt-hours, counted by the agent.", key=quantity)
    for quantity, (*_, meaning) in QUANTITIES.items()
)

_COST = "Cost of energy from the grid less its credit in the {}; below 0 was received."
_REVENUE = "Revenue of energy fed into the grid less its credit in the {}; below 0 was paid."
_WOULD_COST = "What consumption would have cost from the grid, less its credit, in the {}."


def _of_day(name: str, meaning: str) -> Any:  # noqa: ANN401 - as dataclasses.field
    """Return a field of the money of today or yesterday."""
    day = "present calendar day so far" if name.endswith("today") else "calendar day before"
    return gauge(name, meaning.format(day), "currency")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyTotals:
    """What the meter shows; what was never counted is absent, or None."""

    watt_hours: Mapping[Quantity, float] = field(default_factory=dict, metadata={"rows": _TOTALS})
    flows_watt_hours: Mapping[Flow, float] = counter(
        "sonnen_flow_watt_hours_total",
        "Energy that went from one place to another, in watt-hours, counted by the agent.",
        "from",
        "to",
    )
    """All seven, or none."""
    observed_seconds: float | None = counter(
        "sonnen_observed_seconds_total",
        "Seconds covered by the flow counters; their increase over a time is its coverage.",
    )
    """0 where totals were counted but no flows."""
    standby_watt_hours: float | None = counter(
        "sonnen_standby_watt_hours_total",
        "Energy that a full or idle battery drew for itself, which is no charge, in watt-hours.",
    )
    refused: Mapping[str, float] = counter(
        "sonnen_refused_readings_total",
        "Readings that were not counted as energy, or not all of them, since they cannot be true or are not measured.",
        "reason",
    )
    today_watt_hours: Mapping[Flow, float] | None = gauge(
        "sonnen_energy_today_watt_hours",
        "Energy of the present calendar day so far, in watt-hours, by flow.",
        "from",
        "to",
    )
    """None while the clock is not known, or nothing is known of the day that it shows."""
    yesterday_watt_hours: Mapping[Flow, float] | None = gauge(
        "sonnen_energy_yesterday_watt_hours", "Energy of the calendar day before, in watt-hours, by flow.", "from", "to"
    )
    """None, too, when nothing was counted on the day before the one that the clock shows."""
    tariff_import_watt_hours: Mapping[str, float] = counter(
        "sonnen_tariff_import_watt_hours_total",
        "Energy taken from the grid in a tariff's hours, in watt-hours.",
        "tariff",
    )
    """By tariff: those configured, and those of earlier configs."""
    tariff_export_watt_hours: Mapping[str, float] = counter(
        "sonnen_tariff_export_watt_hours_total",
        "Energy fed into the grid in a tariff's hours, in watt-hours.",
        "tariff",
    )
    prices: "Mapping[tuple[str, Direction, str], float]" = gauge(
        "sonnen_tariff_price_per_kilowatt_hour",
        "Configured price of a kilowatt-hour.",
        "tariff",
        "direction",
        "currency",
    )
    """As configured; periods that share a name share the price."""
    standing_prices: Mapping[str, float] = gauge(
        "sonnen_standing_charge_per_day", "Configured standing charge of a calendar day.", "currency"
    )
    cost: Mapping[str, float] = counter(
        "sonnen_grid_cost_total",
        "Money paid for energy from the grid, at the price of the time of use, without the standing charge.",
        "currency",
    )
    revenue: Mapping[str, float] = counter(
        "sonnen_grid_revenue_total",
        "Money earned with energy fed into the grid, at the price of the time of use.",
        "currency",
    )
    tariff_consumption_watt_hours: Mapping[str, float] = counter(
        "sonnen_tariff_consumption_watt_hours_total",
        "Energy consumed by the house in an import tariff's hours, wherever it came from, in watt-hours.",
        "tariff",
    )
    consumption_cost: Mapping[str, float] = counter(
        "sonnen_consumption_cost_total",
        "What the house's consumption would have cost from the grid, at the price of the time of use; "
        "saved is this less the cost plus the revenue.",
        "currency",
    )
    cost_credit: Mapping[str, float] = counter(
        "sonnen_grid_cost_credit_total",
        "Money received for energy from the grid at prices below 0; to be taken off the cost.",
        "currency",
    )
    """This credit and the others: only where a price is below 0, now or in an earlier config."""
    revenue_credit: Mapping[str, float] = counter(
        "sonnen_grid_revenue_credit_total",
        "Money paid for feeding energy into the grid at prices below 0; to be taken off the revenue.",
        "currency",
    )
    consumption_cost_credit: Mapping[str, float] = counter(
        "sonnen_consumption_cost_credit_total",
        "What consumption at import prices below 0 would have brought; to be taken off the consumption cost.",
        "currency",
    )
    standing_charge: Mapping[str, float] = counter(
        "sonnen_standing_charge_total", "Standing charge of the time that has passed, in no other money.", "currency"
    )
    """Owed with and without a battery, so that nothing saved is in it."""
    cost_today: Mapping[str, float] = _of_day("sonnen_grid_cost_today", _COST)
    """Of a day it is absent until something was counted, and while the clock is not known."""
    cost_yesterday: Mapping[str, float] = _of_day("sonnen_grid_cost_yesterday", _COST)
    revenue_today: Mapping[str, float] = _of_day("sonnen_grid_revenue_today", _REVENUE)
    revenue_yesterday: Mapping[str, float] = _of_day("sonnen_grid_revenue_yesterday", _REVENUE)
    consumption_cost_today: Mapping[str, float] = _of_day("sonnen_consumption_cost_today", _WOULD_COST)
    consumption_cost_yesterday: Mapping[str, float] = _of_day("sonnen_consumption_cost_yesterday", _WOULD_COST)


OF_TARIFFS: Mapping[str, str] = {
    f"tariff_{one.name}" if one.name.endswith("watt_hours") else one.name: one.name for one in fields(TariffCounts)
}
"""The fields with the energy and money of tariffs, and what each is among TariffCounts."""
MONEY_OF_DAY = ("cost", "revenue", "consumption_cost")
"""What is shown of a day, less its credit: as `cost_today` and `cost_yesterday`, say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveredCounters:
    """What a copy of our own metrics said, such as the one that the Pushgateway keeps."""

    tally: Counters
    today_watt_hours: Mapping[Flow, float] = field(default_factory=dict)
    yesterday_watt_hours: Mapping[Flow, float] = field(default_factory=dict)
    today_tariffs: TariffCounts = field(default_factory=TariffCounts)
    yesterday_tariffs: TariffCounts = field(default_factory=TariffCounts)
    """Of a day's tariffs the money."""
    unix_seconds: float | None = None
    """When the copy was true; None: it says nothing about days."""


def energies_of_flows(flows: Mapping[Flow, float]) -> EnergyCounters:
    """Return a day's energies when only its flows are known: the totals are their sums."""
    if not flows:
        return EnergyCounters()
    totals = {
        quantity: sum(watt_hours for flow, watt_hours in flows.items() if flow[one.end] == one.place)
        for quantity, one in QUANTITIES.items()
    }
    return EnergyCounters(totals_watt_hours=totals, flows_watt_hours=flows)


def without_possible_resets(totals: EnergyTotals, ceiling: Ceiling | None) -> EnergyTotals:
    """Return the totals without the counters that a receiver may have seen higher than they are now: the reset guard.

    They are the same object where nothing is held back.
    """
    if ceiling is None:
        return totals
    energies, tariffs = ceiling.counted.energies, ceiling.counted.tariffs
    margin = _MOST_WATT_HOURS_PER_SECOND * ceiling.seconds
    money = max(map(abs, totals.prices.values()), default=0.0) * margin / 1000
    standing = most_standing_charge(max(totals.standing_prices.values(), default=0.0), ceiling.seconds)
    seconds, seen_seconds = totals.observed_seconds, energies.observed_seconds
    certain_seconds = seen_seconds + _MOST_OBSERVED_PER_SECOND * ceiling.seconds
    certain = (seconds or 0.0) >= certain_seconds
    seldom = (seconds or 0.0) >= certain_seconds + _SELDOM_SECONDS
    standby, least_standby = totals.standby_watt_hours, _MOST_STANDBY_PER_SECOND * ceiling.seconds
    standby_is_certain = (standby or 0.0) >= energies.standby_watt_hours + least_standby
    margins = {field: margin if of.endswith("watt_hours") else money for field, of in OF_TARIFFS.items()}
    margins["standing_charge"] = standing
    certain_tariffs: dict[str, Any] = {
        field: _above(getattr(totals, field), getattr(tariffs, of), margins[field]) for field, of in OF_TARIFFS.items()
    }
    shown = replace(
        totals,
        watt_hours=_above(totals.watt_hours, energies.totals_watt_hours, margin),
        flows_watt_hours=_above(totals.flows_watt_hours, energies.flows_watt_hours, margin),
        observed_seconds=seconds if certain else None,
        standby_watt_hours=standby if standby_is_certain or seldom else None,
        refused={
            reason: value
            for reason, value in totals.refused.items()
            if seldom
            or value >= ceiling.counted.refused.get(reason, 0.0) + ceiling.seconds
            or value == 0.0 == ceiling.counted.refused.get(reason, 0.0)
        },
        **certain_tariffs,
    )
    return totals if shown == totals else shown


def _above(now: Mapping[_Key, float], seen: Mapping[_Key, float], margin: float) -> Mapping[_Key, float]:
    """Return the values that are certain, and zeros that were zeros: what resets to them adds nothing.

    One that was never counted before is held back, too.
    """
    return {
        key: value
        for key, value in now.items()
        if value >= seen.get(key, 0.0) + margin or value == 0.0 == seen.get(key)
    }
