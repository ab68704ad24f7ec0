from datetime import UTC, datetime

import pytest
from prometheus_client.core import Metric

from sonnen_agent import __version__
from sonnen_agent.battery import BatteryOptions
from sonnen_agent.battery.battery import Battery
from sonnen_agent.clock import Deadline
from sonnen_agent.components import Components
from sonnen_agent.config.load import Config
from sonnen_agent.destination import Destination
from sonnen_agent.energy.counters import Counters, EnergyCounters
from sonnen_agent.energy.state import MeterState
from sonnen_agent.group import GroupKey
from sonnen_agent.outputs.pushgateway import Options
from sonnen_agent.reading import Reading, Status
from sonnen_agent.relay import RelayOptions
from sonnen_agent.shared_meter import SharedMeter
from sonnen_agent.state.store import StoredState
from sonnen_agent.telemetry import Waiting

NAMES = ("home", "barn")


def components(interval_seconds: float = 5, *relays: RelayOptions, asks: bool = False, zone: str = "UTC") -> Components:
    """Return the parts of an agent that has a gateway to ask, or none."""
    gateway = Options(destination=Destination(url="http://127.0.0.1:9"))
    return Components(
        Config(
            batteries=tuple(BatteryOptions(name=name, destination=gateway.destination) for name in NAMES),
            interval_seconds=interval_seconds,
            timezone=zone,
            relays=relays,
            outputs={"pushgateway": gateway} if asks else {},
        )
    )


class OneAfterAnother(Battery):
    """A battery on a grid of 230 V and 50 Hz, read every minute of a time of its own."""

    minutes = 0

    def read(self, deadline: Deadline) -> Reading:
        del deadline
        self.minutes += 1
        status = Status(inverter_ac_volts=231, inverter_hertz=50)
        return Reading(status=status, generation="v2", unix_seconds=0, monotonic_seconds=60 * self.minutes)


@pytest.mark.parametrize(("zone", "least"), [("Europe/Berlin", 207), ("Australia/Sydney", 216)])
def test_after_minutes_a_battery_s_group_tells_the_grid_and_what_is_healthy_in_its_time_zone(
    monkeypatch: pytest.MonkeyPatch, zone: str, least: float
) -> None:
    monkeypatch.setattr("sonnen_agent.components.Battery", OneAfterAnother)
    parts = components(zone=zone)
    poller, _ = parts.pollers(parts.meters(None, {}))

    groups = [poller.poll(Deadline.of_beat(5)) for _ in range(4)]

    assert "sonnen_nominal_volts" not in values(groups[2].families)
    assert values(groups[3].families)["sonnen_nominal_volts"] == 230
    assert values(groups[3].families)["sonnen_nominal_hertz"] == 50
    limits = {
        sample.labels["limit"]: sample.value
        for family in groups[3].families
        for sample in family.samples
        if sample.name == "sonnen_allowed_volts"
    }
    assert limits == {"min": least, "max": 253}


def values(families: tuple[Metric, ...]) -> dict[str, float]:
    return {sample.name: sample.value for family in families for sample in family.samples}


@pytest.mark.parametrize(("interval", "report"), [(1, 15), (5, 15), (15, 15), (60, 60), (3600, 3600)])
def test_the_agent_tells_of_itself_every_fifteen_seconds_or_at_the_beat_where_that_is_longer(
    interval: float, report: float
) -> None:
    parts = components(interval)

    assert parts.report_seconds == report
    # Three times, like every other group.
    assert parts.report().shown_seconds == 3 * report


def test_the_report_says_which_agent_runs_on_which_host_and_what_waits() -> None:
    parts = components()
    before = datetime.now(UTC).timestamp()
    group = parts.report({"remote_write": Waiting(samples=7)})

    assert group.key == GroupKey(job="sonnen_agent", instance=parts.config.name)
    assert (group.page, group.counters) == (None, ())
    [build] = [sample for family in group.families for sample in family.samples if sample.name == "sonnen_build_info"]
    assert build.labels["version"] == __version__
    [zone] = [sample for family in group.families for sample in family.samples if "timezone" in sample.name]
    assert (zone.name, zone.labels, zone.value) == ("sonnen_agent_timezone_info", {"timezone": "UTC"}, 1)
    shown = values(group.families)
    assert shown["sonnen_agent_start_time_seconds"] == pytest.approx(before, abs=60)
    assert shown["sonnen_agent_spool_samples"] == 7
    assert shown["process_resident_memory_bytes"] > 1_000_000
    assert shown["process_cpu_seconds_total"] > 0


def test_what_the_parts_do_is_counted_by_name() -> None:
    parts = components(5, RelayOptions(url="http://127.0.0.1:9/metrics", job="node"))
    parts.telemetry.record_missed_beats("barn", 2)
    [relay] = parts.relays()
    relay.read()

    counts = parts.telemetry.counts()
    assert counts.missed_beats == {"home": 0, "barn": 2}
    assert counts.relay_reads == {("node", "refused"): 1}


def test_each_battery_has_a_poller_with_the_key_of_its_group() -> None:
    parts = components()
    pollers = parts.pollers(parts.meters(None, {}))

    assert [(poller.name, str(poller.key)) for poller in pollers] == [("home", "sonnen/home"), ("barn", "sonnen/barn")]


def state(watt_hours: float) -> MeterState:
    return MeterState(
        tally=Counters(energies=EnergyCounters(totals_watt_hours={"production": watt_hours}, observed_seconds=1))
    )


def stored(*, clean: bool) -> StoredState:
    return StoredState(meters={"home": state(1_000)}, clean=clean, same_boot=False, saved_unix_seconds=0)


def counted(meter: SharedMeter) -> tuple[float | None, float | None]:
    """Return the watt-hours that are shown, and those that are certain."""
    shown, certain = meter.totals()
    assert shown is not None
    return shown.watt_hours.get("production"), certain.watt_hours.get("production")


def test_a_meter_goes_on_from_what_was_stored_and_a_new_one_from_nothing() -> None:
    meters = components().meters(stored(clean=True), {})

    assert list(meters) == ["home", "barn"]
    assert counted(meters["home"]) == (1_000, 1_000)
    assert counted(meters["barn"]) == (None, None)


def test_what_may_have_been_seen_higher_waits_to_be_settled() -> None:
    meters = components(asks=True).meters(stored(clean=False), {})

    assert not any(meter.settled for meter in meters.values())


def test_after_a_crash_nothing_is_certain_but_what_an_image_of_the_latest_beat_says() -> None:
    meters = components().meters(stored(clean=False), {})
    assert counted(meters["home"]) == (None, None)

    meters = components(asks=True).meters(stored(clean=False), {"home": state(2_000)})
    assert (meters["home"].settled, meters["barn"].settled) == (True, False)
    assert counted(meters["home"]) == (2_000, 2_000)


def producing(monotonic_seconds: float) -> Reading:
    status = Status(production_watts=3_600, consumption_watts=0, grid_feed_in_watts=3_600, discharge_watts=0)
    return Reading(status=status, generation="v2", unix_seconds=0, monotonic_seconds=monotonic_seconds)


def test_a_gap_of_three_beats_is_still_counted_across() -> None:
    meter = components(interval_seconds=60).meters(None, {})["home"]
    for moment in (0.0, 180.0):
        meter.count(producing(moment), moment)

    assert counted(meter) == pytest.approx((180, 180))


def test_the_time_over_a_restart_is_not_counted_before_it_is_known_whether_the_gateway_has_it_already() -> None:
    before = components().meters(None, {})["home"]
    for moment in (0.0, 10.0):
        before.count(producing(moment), moment)
    crashed = StoredState(meters={"home": before.state()}, clean=False, same_boot=True, saved_unix_seconds=0)

    meter = components(asks=True).meters(crashed, {})["home"]
    meter.count(producing(15.0), 15.0)
    assert meter.state().tally.energies.totals_watt_hours["production"] == pytest.approx(10)

    meter.recover(None)
    assert meter.state().tally.energies.totals_watt_hours["production"] == pytest.approx(15)
