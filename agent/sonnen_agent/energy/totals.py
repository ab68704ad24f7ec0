"""What the meter shows, and what it takes back from a copy of that."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sonnen_agent.energy.amounts import Energies, Quantity, Tally
from sonnen_agent.energy.flows import Flow
from sonnen_agent.energy.tariffs import Direction, TariffPeriod, Tariffs
from sonnen_agent.reading import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A configured price."""

    tariff: str
    direction: Direction
    currency: str
    per_kilowatt_hour: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyTotals:
    """All that docs/metrics.md says of energy; None where nothing was counted so far."""

    production_watt_hours: float | None
    consumption_watt_hours: float | None
    grid_import_watt_hours: float | None
    grid_export_watt_hours: float | None
    battery_charge_watt_hours: float | None
    battery_discharge_watt_hours: float | None
    flows_watt_hours: Mapping[Flow, float]
    """All seven, or none."""
    observed_seconds: float | None
    """0 where totals were counted but no flows."""
    today_watt_hours: Mapping[Flow, float] | None
    """None while the clock is not known, or nothing is known of the day that it shows."""
    yesterday_watt_hours: Mapping[Flow, float] | None
    """None, too, when nothing was counted on the day before the one that the clock shows."""
    tariff_import_watt_hours: Mapping[str, float]
    """By tariff: those configured, and those of earlier configs."""
    tariff_export_watt_hours: Mapping[str, float]
    cost: Mapping[str, float]
    """By currency."""
    revenue: Mapping[str, float]
    prices: tuple[Price, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveredCounters:
    """What a copy of our own metrics said, such as the one that the Pushgateway keeps."""

    tally: Tally
    today_watt_hours: Mapping[Flow, float] = field(default_factory=dict)
    yesterday_watt_hours: Mapping[Flow, float] = field(default_factory=dict)
    unix_seconds: float | None = None
    """When the copy was true; None: it says nothing about days."""


def energy_totals(
    tally: Tally,
    tariffs: Tariffs | None,
    today: Mapping[Flow, float] | None,
    yesterday: Mapping[Flow, float] | None,
) -> EnergyTotals:
    """Return what is shown of the counters; of the tariffs nothing while none are configured."""
    totals, shown = tally.energies.totals_watt_hours, tariffs is not None
    prices = _prices(tariffs) if tariffs is not None else ()
    imports = {price.tariff: 0.0 for price in prices if price.direction == "import"}
    exports = {price.tariff: 0.0 for price in prices if price.direction == "export"}
    money = {price.direction: {price.currency: 0.0} for price in prices}
    return EnergyTotals(
        production_watt_hours=totals.get("production"),
        consumption_watt_hours=totals.get("consumption"),
        grid_import_watt_hours=totals.get("grid_import"),
        grid_export_watt_hours=totals.get("grid_export"),
        battery_charge_watt_hours=totals.get("battery_charge"),
        battery_discharge_watt_hours=totals.get("battery_discharge"),
        flows_watt_hours=tally.energies.flows_watt_hours,
        observed_seconds=tally.energies.observed_seconds if totals else None,
        today_watt_hours=today,
        yesterday_watt_hours=yesterday,
        tariff_import_watt_hours={**imports, **tally.tariffs.import_watt_hours} if shown else {},
        tariff_export_watt_hours={**exports, **tally.tariffs.export_watt_hours} if shown else {},
        cost={**money.get("import", {}), **tally.tariffs.cost} if shown else {},
        revenue={**money.get("export", {}), **tally.tariffs.revenue} if shown else {},
        prices=prices,
    )


def energies_of_flows(flows: Mapping[Flow, float]) -> Energies:
    """Return a day's energies when only its flows are known: the totals are their sums."""
    if not flows:
        return Energies()
    totals: dict[Quantity, float] = {
        "production": _leaving(flows, "solar"),
        "consumption": _reaching(flows, "home"),
        "grid_import": _leaving(flows, "grid"),
        "grid_export": _reaching(flows, "grid"),
        "battery_charge": _reaching(flows, "battery"),
        "battery_discharge": _leaving(flows, "battery"),
    }
    return Energies(totals_watt_hours=totals, flows_watt_hours=flows)


def _leaving(flows: Mapping[Flow, float], place: Place) -> float:
    return sum(watt_hours for (origin, _), watt_hours in flows.items() if origin == place)


def _reaching(flows: Mapping[Flow, float], place: Place) -> float:
    return sum(watt_hours for (_, target), watt_hours in flows.items() if target == place)


def _prices(tariffs: Tariffs) -> tuple[Price, ...]:
    directions: tuple[tuple[Direction, tuple[TariffPeriod, ...]], ...] = (
        ("import", tariffs.import_periods),
        ("export", tariffs.export_periods),
    )
    prices = (
        Price(
            tariff=period.name,
            direction=direction,
            currency=tariffs.currency,
            per_kilowatt_hour=period.price_per_kilowatt_hour,
        )
        for direction, periods in directions
        for period in periods
    )
    # Periods that share a name share the price: one series.
    return tuple(dict.fromkeys(prices))
