import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import pytest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from sonnen_agent.details import Configuration, Inverter, Meter, Pack, System
from sonnen_agent.group import Group, GroupKey
from sonnen_agent.metrics.battery import BATTERY_LABELS, battery_families, offline
from sonnen_agent.reading import Endpoint, Reading, Status

Series = dict[str, float]
Part = TypeVar("Part", Status, Inverter, Pack, System)

NOTHING_READ = Reading(status=Status(), unix_seconds=1700000000, monotonic_seconds=10, generation="v1")
ALWAYS = {"sonnen_online": 1.0, 'sonnen_battery_info{firmware="",generation="v1",model=""}': 1.0}
"""What a reading shows even if nothing in it could be believed."""


def series(
    reading: Reading | None,
    *,
    states: System | None = None,
    endpoints: Mapping[Endpoint, bool] = MappingProxyType({}),
    last_reading_unix_seconds: float | None = None,
    labels: Mapping[str, str] = MappingProxyType({}),
) -> Series:
    """Return every series by its name and labels; each of them once."""
    return shown_by(
        battery_families(
            reading=reading,
            states=states,
            endpoints=endpoints,
            last_reading_unix_seconds=last_reading_unix_seconds,
            labels=labels,
        )
    )


def shown_by(families: Iterable[Metric]) -> Series:
    found: Series = {}
    for family in families:
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            key = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert key not in found
            found[key] = sample.value
    return found


def test_a_failed_reading_shows_only_that_and_when_it_was_last_better() -> None:
    assert series(
        None,
        endpoints={"status": False, "powermeter": True},
        last_reading_unix_seconds=1700000000.5,
        labels={"host": "sonnen-a"},
    ) == {
        'sonnen_online{host="sonnen-a"}': 0,
        'sonnen_endpoint_up{endpoint="status",host="sonnen-a"}': 0,
        'sonnen_endpoint_up{endpoint="powermeter",host="sonnen-a"}': 1,
        'sonnen_last_reading_timestamp_seconds{host="sonnen-a"}': 1700000000.5,
    }


def test_a_battery_that_was_never_read_has_no_time_of_a_reading() -> None:
    assert series(None) == {"sonnen_online": 0}


def test_a_starting_battery_shows_its_states_and_none_of_its_numbers() -> None:
    starting = System(
        states={"bms": "not ready"},
        leds={"Blinking Red": False},
        shutdown_reasons={"Initialization": True},
        battery_modules=4,
        seconds_since_full_charge=1,
        full_charge_capacity_watt_hours=9000,
        utc_offset_hours=2,
    )
    assert series(None, states=starting) == {
        "sonnen_online": 0,
        'sonnen_component_state{component="bms",state="not ready"}': 1,
        'sonnen_eclipse_led{led="Blinking Red"}': 0,
        'sonnen_dc_shutdown_reason{reason="Initialization"}': 1,
    }


def test_a_reading_in_which_nothing_could_be_believed_shows_no_value() -> None:
    assert series(NOTHING_READ) == ALWAYS


def test_zero_is_a_value() -> None:
    idle = Status(production_watts=0, grid_feed_in_watts=0.0, on_grid=False, apparent_output_voltamperes=(0, None, 0))
    assert series(replace(NOTHING_READ, status=idle)) == {
        **ALWAYS,
        "sonnen_production_watts": 0,
        "sonnen_grid_feed_in_watts": 0,
        "sonnen_on_grid": 0,
        'sonnen_apparent_output_voltamperes{phase="1"}': 0,
        'sonnen_apparent_output_voltamperes{phase="3"}': 0,
    }


@pytest.mark.parametrize("flow", [True, False])
def test_a_flow_is_1_or_0(flow: bool) -> None:
    status = Status(flows={("grid", "battery"): flow})
    shown = series(replace(NOTHING_READ, status=status))
    assert shown == {**ALWAYS, 'sonnen_flow_active{from="grid",to="battery"}': float(flow)}


POWERS = Status(production_watts=2000, discharge_watts=-500, consumption_watts=900, grid_feed_in_watts=590)


def test_the_power_balance_is_what_the_four_powers_leave() -> None:
    assert series(replace(NOTHING_READ, status=POWERS))["sonnen_power_balance_watts"] == 10


@pytest.mark.parametrize(
    "without",
    [
        replace(POWERS, production_watts=None),
        replace(POWERS, discharge_watts=None),
        replace(POWERS, consumption_watts=None),
        replace(POWERS, grid_feed_in_watts=None),
    ],
)
def test_there_is_no_power_balance_without_all_four_powers(without: Status) -> None:
    shown = series(replace(NOTHING_READ, status=without))
    assert "sonnen_power_balance_watts" not in shown
    assert len(shown) == len(ALWAYS) + 3


def test_a_meter_with_an_error_shows_nothing_else() -> None:
    meters = (Meter(direction="production", name="4_1", error=3),)
    assert series(replace(NOTHING_READ, meters=meters)) == {
        **ALWAYS,
        'sonnen_meter_error{direction="production",meter="4_1"}': 3,
    }


def test_two_meters_of_one_direction_are_told_apart() -> None:
    meters = (
        Meter(direction="consumption", name="4_2", total_watts=1),
        Meter(direction="consumption", name="5_2", total_watts=2),
    )
    assert series(replace(NOTHING_READ, meters=meters)) == {
        **ALWAYS,
        'sonnen_meter_total_watts{direction="consumption",meter="4_2"}': 1,
        'sonnen_meter_total_watts{direction="consumption",meter="5_2"}': 2,
    }


def test_a_phase_without_a_value_has_no_series() -> None:
    meter = Meter(direction="production", name="4_1", amperes=(None, 2, None), volts=(None, 230, None))
    assert series(replace(NOTHING_READ, meters=(meter,))) == {
        **ALWAYS,
        'sonnen_meter_current{direction="production",meter="4_1",phase="2"}': 2,
        'sonnen_meter_volts{direction="production",meter="4_1",phase="2"}': 230,
    }


@pytest.mark.parametrize(
    ("pack", "system", "shown"),
    [(9000, 10000, 9000), (None, 10000, 10000), (9000, None, 9000), (0, 10000, 0)],
)
def test_the_capacity_is_the_packs_own_and_else_the_systems(
    pack: float | None, system: float | None, shown: float
) -> None:
    reading = replace(
        NOTHING_READ,
        pack=Pack(full_charge_capacity_watt_hours=pack),
        system=System(full_charge_capacity_watt_hours=system),
    )
    assert series(reading) == {**ALWAYS, "sonnen_full_charge_capacity_watt_hours": shown}


@pytest.mark.parametrize(
    ("local_time", "offset_hours", "ahead"),
    [
        ("2023-11-14 23:13:20", 1, 0),
        ("2023-11-14 23:14:00", 1, 40),
        ("2023-11-14 17:13:15", -5, -5),
        ("2023-11-15 03:43:20", 5.5, 0),
    ],
)
def test_the_clock_offset_is_positive_when_the_batterys_clock_is_ahead(
    local_time: str, offset_hours: float, ahead: float
) -> None:
    reading = replace(NOTHING_READ, status=Status(local_time=local_time), system=System(utc_offset_hours=offset_hours))
    assert series(reading) == {**ALWAYS, "sonnen_clock_offset_seconds": ahead}


@pytest.mark.parametrize(
    ("local_time", "offset_hours"),
    [(None, 1), ("2023-11-14 23:13:20", None), ("soon", 1), ("2023-02-30 00:00:00", 1), ("2023-11-14", 1)],
)
def test_there_is_no_clock_offset_without_a_clock_and_its_zone(
    local_time: str | None, offset_hours: float | None
) -> None:
    reading = replace(NOTHING_READ, status=Status(local_time=local_time), system=System(utc_offset_hours=offset_hours))
    assert series(reading) == ALWAYS


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_not_shown(value: float) -> None:
    reading = replace(
        NOTHING_READ,
        status=Status(
            production_watts=value, apparent_output_voltamperes=(value, value, value), local_time="2023-11-14 23:13:20"
        ),
        inverter=Inverter(temperatures={"max": value}),
    )
    assert series(reading) == ALWAYS


@pytest.mark.parametrize("offset_hours", [1e308, 27, -27])
def test_an_offset_that_no_zone_has_is_not_believed(offset_hours: float) -> None:
    reading = replace(
        NOTHING_READ, status=Status(local_time="2023-11-14 23:13:20"), system=System(utc_offset_hours=offset_hours)
    )
    assert series(reading) == ALWAYS


def test_the_info_names_firmware_and_generation() -> None:
    reading = replace(NOTHING_READ, generation="v2", configuration=Configuration(firmware="1.18.5"))
    assert series(reading) == {
        "sonnen_online": 1,
        'sonnen_battery_info{firmware="1.18.5",generation="v2",model=""}': 1,
    }


def with_each_scalar(part: Part) -> Iterator[Part]:
    for field in fields(part):
        if getattr(part, field.name) is None and field.name not in {"local_time", "utc_offset_hours"}:
            value: dict[str, Any] = {field.name: 7}
            yield replace(part, **value)


SCALARS = [
    *(replace(NOTHING_READ, status=status) for status in with_each_scalar(Status())),
    *(replace(NOTHING_READ, inverter=inverter) for inverter in with_each_scalar(Inverter())),
    *(replace(NOTHING_READ, pack=pack) for pack in with_each_scalar(Pack())),
    *(replace(NOTHING_READ, system=system) for system in with_each_scalar(System())),
    replace(NOTHING_READ, configuration=Configuration(installed_capacity_watt_hours=7)),
]
"""Readings with a 7 as their only value, for each value that is a metric of its own."""


@pytest.mark.parametrize("reading", SCALARS)
def test_each_value_is_one_series_whether_or_not_there_are_others(reading: Reading) -> None:
    shown = series(reading)
    (own,) = shown.keys() - ALWAYS.keys()
    assert shown == {**ALWAYS, own: 7}


def test_no_two_values_share_a_series_but_the_two_sources_of_the_capacity() -> None:
    own = [name for reading in SCALARS for name in series(reading).keys() - ALWAYS.keys()]
    assert len(own) > 20
    assert sorted({name for name in own if own.count(name) > 1}) == ["sonnen_full_charge_capacity_watt_hours"]


def test_the_labels_of_the_config_are_on_every_series() -> None:
    reading = replace(NOTHING_READ, status=POWERS, meters=(Meter(direction="production", name="4_1", error=0),))
    shown = series(reading, labels={"host": "sonnen-a", "sn": "Psb12345"})
    assert len(shown) == len(ALWAYS) + 6
    assert [name for name in shown if 'host="sonnen-a"' not in name or 'sn="Psb12345"' not in name] == []


BUILT = Group(
    key=GroupKey(job="sonnen", instance="home"),
    families=battery_families(
        reading=replace(
            NOTHING_READ, status=POWERS, system=System(states={"core": "ongrid"}, leds={"Pulsing White": True})
        ),
        states=None,
        endpoints={"status": True, "battery": False},
        last_reading_unix_seconds=1700000000.5,
        labels={"host": "sonnen-a"},
    ),
    counters=(Metric("sonnen_observed_seconds", "Seconds.", "counter"),),
    taken_monotonic_seconds=10,
    shown_seconds=15,
)


def test_of_a_battery_whose_loop_is_late_nothing_measured_is_shown_any_more() -> None:
    late = offline(BUILT)
    assert shown_by(late.families) == {
        'sonnen_online{host="sonnen-a"}': 0,
        'sonnen_endpoint_up{endpoint="status",host="sonnen-a"}': 1,
        'sonnen_endpoint_up{endpoint="battery",host="sonnen-a"}': 0,
        'sonnen_last_reading_timestamp_seconds{host="sonnen-a"}': 1700000000.5,
    }
    assert replace(late, families=BUILT.families) == BUILT


def test_what_was_handed_out_before_does_not_change_when_a_battery_is_late() -> None:
    offline(BUILT)
    assert shown_by(BUILT.families)['sonnen_online{host="sonnen-a"}'] == 1


def test_the_labels_of_a_battery_are_all_that_its_series_and_its_group_have() -> None:
    shown = {
        label
        for family in text_string_to_metric_families(Path(__file__).with_name("golden.txt").read_text(encoding="utf-8"))
        if not family.name.startswith(("sonnen_agent_", "sonnen_build_"))
        for sample in family.samples
        for label in sample.labels
    }
    assert (shown - {"host", "sn"}) | {"job", "instance"} == BATTERY_LABELS
