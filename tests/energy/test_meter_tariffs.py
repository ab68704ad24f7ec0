from dataclasses import replace
from datetime import date, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from sonnen_agent.energy.days import Calendar
from sonnen_agent.energy.meter import EnergyMeter
from sonnen_agent.energy.tariffs import TariffPeriod, Tariffs
from sonnen_agent.reading import Status

HOUR = 3600.0
BERLIN = ZoneInfo("Europe/Berlin")
CALENDAR = Calendar(BERLIN)
NIGHT = TariffPeriod(name="night", price_per_kilowatt_hour=0.22, start=time(22), end=time(6))
DAY = TariffPeriod(name="day", price_per_kilowatt_hour=0.31)
FEED_IN = TariffPeriod(name="feed_in", price_per_kilowatt_hour=0.08)
USUAL = Tariffs(currency="EUR", import_periods=(NIGHT, DAY), export_periods=(FEED_IN,))
BUYING = Status(production_watts=0, consumption_watts=1000, grid_feed_in_watts=-1000, discharge_watts=0)
SELLING = Status(production_watts=3000, consumption_watts=1000, grid_feed_in_watts=2000, discharge_watts=0)


def run(meter: EnergyMeter, status: Status, start: float, hours: float, *, clock_known: bool = True) -> float:
    """Read every 50 minutes, and return when it ends."""
    end = start + hours * HOUR
    wall = start
    while wall < end:
        meter.add(status, monotonic_seconds=wall - 1e9, wall_seconds=wall if clock_known else None)
        wall += 50 * 60
    meter.add(status, monotonic_seconds=end - 1e9, wall_seconds=end if clock_known else None)
    return end


def usual_meter(tariffs: Tariffs | None = USUAL) -> EnergyMeter:
    return EnergyMeter(zone=BERLIN, tariffs=tariffs, max_gap_seconds=HOUR)


@pytest.mark.parametrize(
    ("day", "night_hours", "day_hours"),
    [(date(2024, 6, 1), 8, 16), (date(2024, 3, 31), 7, 16), (date(2024, 10, 27), 9, 16)],
    ids=["usual", "clocks forward", "clocks back"],
)
def test_energy_and_money_go_by_local_time(day: date, night_hours: float, day_hours: float) -> None:
    meter = usual_meter()
    start = CALENDAR.start_of(day)
    end = run(meter, BUYING, start, CALENDAR.length_of(day) / HOUR)
    totals = meter.totals(wall_seconds=end)
    assert totals.tariff_import_watt_hours == pytest.approx({"night": night_hours * 1000, "day": day_hours * 1000})
    assert totals.tariff_export_watt_hours == {"feed_in": 0}
    assert totals.cost == pytest.approx({"EUR": night_hours * 0.22 + day_hours * 0.31})
    assert totals.revenue == {"EUR": 0}
    (finished,) = meter.take_finished_days()
    assert finished.tariffs.import_watt_hours == pytest.approx(totals.tariff_import_watt_hours)
    assert finished.tariffs.cost == pytest.approx(totals.cost)


def test_what_is_sold_earns_money() -> None:
    meter = usual_meter()
    end = run(meter, SELLING, CALENDAR.start_of(date(2024, 6, 1)), 10)
    totals = meter.totals(wall_seconds=end)
    assert totals.tariff_export_watt_hours == pytest.approx({"feed_in": 20_000})
    assert totals.revenue == pytest.approx({"EUR": 1.6})
    assert totals.cost == {"EUR": 0}


def test_the_prices_in_force_are_shown_once_each() -> None:
    peak = TariffPeriod(name="peak", price_per_kilowatt_hour=0.4, start=time(7), end=time(9))
    evening = replace(peak, start=time(17), end=time(20))
    meter = usual_meter(replace(USUAL, import_periods=(peak, evening, DAY)))
    assert meter.totals(wall_seconds=None).prices == {
        ("peak", "import", "EUR"): 0.4,
        ("day", "import", "EUR"): 0.31,
        ("feed_in", "export", "EUR"): 0.08,
    }


def test_counters_of_configured_tariffs_start_at_zero() -> None:
    totals = usual_meter().totals(wall_seconds=None)
    assert totals.tariff_import_watt_hours == {"night": 0, "day": 0}
    assert totals.tariff_export_watt_hours == {"feed_in": 0}
    assert (totals.cost, totals.revenue) == ({"EUR": 0}, {"EUR": 0})


def test_without_tariffs_there_are_no_such_counters() -> None:
    meter = usual_meter(None)
    end = run(meter, BUYING, CALENDAR.start_of(date(2024, 6, 1)), 3)
    totals = meter.totals(wall_seconds=end)
    assert (totals.tariff_import_watt_hours, totals.cost, totals.prices) == ({}, {}, {})


def test_new_prices_do_not_change_the_money_counted_so_far() -> None:
    meter = usual_meter()
    noon = CALENDAR.start_of(date(2024, 6, 1)) + 12 * HOUR
    end = run(meter, BUYING, noon, 2)
    dearer = replace(USUAL, import_periods=(NIGHT, replace(DAY, price_per_kilowatt_hour=1)))
    meter = EnergyMeter(zone=BERLIN, tariffs=dearer, max_gap_seconds=HOUR, state=meter.state, same_boot=True)
    assert meter.totals(wall_seconds=end).cost == pytest.approx({"EUR": 0.62})
    end = run(meter, BUYING, end, 2)
    assert meter.totals(wall_seconds=end).cost == pytest.approx({"EUR": 2.62})


def test_a_tariff_or_currency_of_an_earlier_config_keeps_its_counter() -> None:
    meter = usual_meter()
    end = run(meter, BUYING, CALENDAR.start_of(date(2024, 6, 1)) + 12 * HOUR, 2)
    single = TariffPeriod(name="single", price_per_kilowatt_hour=0.5)
    francs = Tariffs(currency="CHF", import_periods=(single,))
    meter = EnergyMeter(zone=BERLIN, tariffs=francs, max_gap_seconds=HOUR, state=meter.state, same_boot=True)
    end = run(meter, BUYING, end, 2)
    totals = meter.totals(wall_seconds=end)
    assert totals.tariff_import_watt_hours == pytest.approx({"day": 2000, "single": 2000})
    assert totals.cost == pytest.approx({"EUR": 0.62, "CHF": 1})


def test_counters_rest_while_tariffs_are_out_of_the_config() -> None:
    meter = usual_meter()
    end = run(meter, BUYING, CALENDAR.start_of(date(2024, 6, 1)) + 12 * HOUR, 2)
    meter = EnergyMeter(zone=BERLIN, max_gap_seconds=HOUR, state=meter.state, same_boot=True)
    end = run(meter, BUYING, end, 1)
    totals = meter.totals(wall_seconds=end)
    assert (totals.tariff_import_watt_hours, totals.tariff_export_watt_hours) == ({}, {})
    assert (totals.cost, totals.revenue) == ({}, {})
    meter = EnergyMeter(zone=BERLIN, tariffs=USUAL, max_gap_seconds=HOUR, state=meter.state, same_boot=True)
    assert meter.totals(wall_seconds=end).tariff_import_watt_hours == pytest.approx({"day": 2000, "night": 0})


def test_energy_whose_time_is_not_known_is_priced_when_it_is() -> None:
    meter = usual_meter()
    start = CALENDAR.start_of(date(2024, 6, 1)) + 20 * HOUR
    end = run(meter, BUYING, start, 4, clock_known=False)
    waiting = meter.totals(wall_seconds=None)
    assert waiting.watt_hours["grid_import"] == pytest.approx(4000)
    assert waiting.tariff_import_watt_hours == {"night": 0, "day": 0}
    meter.advance_clock(monotonic_seconds=end - 1e9, wall_seconds=end)
    totals = meter.totals(wall_seconds=end)
    assert totals.tariff_import_watt_hours == pytest.approx({"day": 2000, "night": 2000})
    assert totals.watt_hours["grid_import"] == pytest.approx(4000)


def test_wrong_tariffs_are_refused() -> None:
    endless = Tariffs(currency="EUR", import_periods=(replace(DAY, price_per_kilowatt_hour=float("inf")),))
    with pytest.raises(ValueError, match=r"import\[0\]\.price: should be a number per kilowatt-hour, got inf"):
        usual_meter(endless)


def test_each_day_has_its_own_money() -> None:
    meter = usual_meter()
    start = CALENDAR.start_of(date(2024, 6, 1))
    run(meter, BUYING, start, timedelta(days=2, hours=1).total_seconds() / HOUR)
    assert [finished.tariffs.cost["EUR"] for finished in meter.take_finished_days()] == pytest.approx([6.72, 6.72])
