"""The agent of the golden house about itself, and its Pi, as node_exporter shows it and the agent relays it."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from golden_events import (
    DROPPING,
    FLAKY_LINK,
    FULL_DISK,
    GATEWAY_DOWN,
    HOT_PI,
    LINK_GAPS,
    READ_ONLY_DISK,
    REFUSED_TOKEN,
    RESTART,
    SILENCES,
    SPOOLING,
    START,
    STOPS,
    UNDER_VOLTAGE,
    Window,
)
from golden_gauges import Page, key, within
from golden_house import Flags, Floats

_STARTS: Final = (START, *(stop.end for stop in STOPS), RESTART.end)
_UNSENT: Final[Mapping[str, tuple[Window, ...]]] = MappingProxyType(
    {"pushgateway": (*LINK_GAPS, GATEWAY_DOWN), "remote_write": (*LINK_GAPS, SPOOLING)}
)
"""When a sink takes nothing."""
_PERIODS: Final = {
    "status": 5,
    "powermeter": 15,
    "inverter": 15,
    "battery": 60,
    "latestdata": 60,
    "configurations": 300,
}


def agent_page(pushed: Floats) -> Page:
    """Return what the agent said of itself at the given times."""
    started = np.array(_STARTS)[np.searchsorted(_STARTS, pushed, side="right") - 1]
    lived = np.maximum(pushed - started, 0.0)
    silent = _spent(pushed, started, *SILENCES)
    refused = _spent(pushed, started, REFUSED_TOKEN)
    lost = np.floor(_spent(pushed, started, FLAKY_LINK) / 3.0 / 5.0 * 2.0)
    page: Page = {
        key("sonnen_build_info", version="0.1.0", revision="golden", pythonversion="3.11.2"): np.ones_like(pushed),
        key("sonnen_agent_start_time_seconds"): started,
        key("sonnen_agent_missed_beats_total", battery="home"): np.floor(lived / 7200.0),
        key("sonnen_agent_relay_up", relay="node"): np.ones_like(pushed),
        key("sonnen_agent_relay_reads_total", relay="node", outcome="ok"): np.floor(lived / 15.0),
        key("process_start_time_seconds"): started,
        key("process_cpu_seconds_total"): np.round(0.006 * lived, 2),
        key("process_resident_memory_bytes"): 3.1e7 + 4096.0 * np.floor(lived % 7200.0 / 60.0),
        key("process_virtual_memory_bytes"): np.full_like(pushed, 1.2e8),
        key("process_open_fds"): np.full_like(pushed, 12.0),
        key("process_max_fds"): np.full_like(pushed, 1024.0),
    }
    for endpoint, period in _PERIODS.items():
        tried = lived - silent - (refused if endpoint != "status" else 0.0)
        page[key("sonnen_agent_reads_total", battery="home", endpoint=endpoint, outcome="ok")] = np.floor(
            tried / period
        )
        labels = {"battery": "home", "endpoint": endpoint}
        page[key("sonnen_agent_read_seconds_count", **labels)] = np.floor(lived / period)
        page[key("sonnen_agent_read_seconds_sum", **labels)] = np.round(0.042 * lived / period, 3)
    timeouts = key("sonnen_agent_reads_total", battery="home", endpoint="status", outcome="timeout")
    page[timeouts] = np.where(_known(pushed, started, SILENCES), np.floor(silent / 5.0), np.nan)
    unauthorized = np.where(pushed >= REFUSED_TOKEN.begin, np.ceil(refused / 300.0), np.nan)
    for endpoint in ("powermeter", "inverter", "battery", "latestdata"):
        page[key("sonnen_agent_reads_total", battery="home", endpoint=endpoint, outcome="unauthorized")] = unauthorized
    for sink, size in (("pushgateway", 3900.0), ("remote_write", 900.0)):
        tries = np.floor(lived / 5.0) * 2.0
        failed = np.floor(_spent(pushed, started, *_UNSENT[sink]) / 5.0) * 2.0
        # The network was not yet there at the first beat.
        failed += np.minimum(tries, 2.0) + (lost if sink == "pushgateway" else 0.0)
        page[key("sonnen_agent_sends_total", sink=sink, outcome="ok")] = tries - failed
        page[key("sonnen_agent_sends_total", sink=sink, outcome="timeout")] = failed
        page[key("sonnen_agent_send_seconds_count", sink=sink)] = tries
        page[key("sonnen_agent_send_seconds_sum", sink=sink)] = np.round(0.018 * tries, 3)
        page[key("sonnen_agent_sent_bytes_total", sink=sink)] = size * tries
    waiting: Floats = np.asarray(np.where(within(pushed, SPOOLING), 24.0 * (pushed - SPOOLING.begin), 0.0))
    page[key("sonnen_agent_spool_samples", sink="remote_write")] = np.round(waiting)
    page[key("sonnen_agent_spool_bytes", sink="remote_write")] = np.round(11.0 * waiting)
    oldest = np.where(within(pushed, SPOOLING), SPOOLING.begin, np.nan)
    page[key("sonnen_agent_spool_oldest_timestamp_seconds", sink="remote_write")] = oldest
    dropped = np.round(2.0 * _spent(pushed, started, DROPPING))
    page[key("sonnen_agent_spool_dropped_samples_total", sink="remote_write")] = dropped
    page[key("sonnen_agent_spool_rejected_samples_total", sink="remote_write")] = np.zeros_like(pushed)
    return page


def node_page(pushed: Floats) -> Page:
    """Return what node_exporter said of the Pi at the given times."""
    booted = START - 5 * 86_400.0
    lived = pushed - booted
    root = {"device": "/dev/mmcblk0p2", "fstype": "ext4", "mountpoint": "/"}
    page: Page = {
        key("node_hwmon_in_lcrit_alarm_volts", chip="soc:firmware_raspberrypi_hwmon", sensor="in0"): within(
            pushed, UNDER_VOLTAGE
        ).astype(float),
        key("node_thermal_zone_temp", type="cpu-thermal", zone="0"): np.where(
            within(pushed, HOT_PI), 82.0, np.round(51.0 + 4.0 * np.sin(2 * np.pi * pushed / 86_400.0 - 2.0), 1)
        ),
        key("node_filesystem_size_bytes", **root): np.full_like(pushed, 3.1e10),
        key("node_filesystem_avail_bytes", **root): np.where(within(pushed, FULL_DISK), 1.2e9, 2.2e10 - 50.0 * lived),
        key("node_filesystem_readonly", **root): within(pushed, READ_ONLY_DISK).astype(float),
        key("node_memory_MemTotal_bytes"): np.full_like(pushed, 9.3e8),
        key("node_memory_MemAvailable_bytes"): np.round(6.4e8 + 2e7 * np.sin(pushed / 3000.0)),
        key("node_load1"): np.round(0.12 + 0.08 * np.sin(pushed / 600.0), 2),
        key("node_load5"): np.round(0.12 + 0.05 * np.sin(pushed / 900.0), 2),
        key("node_load15"): np.round(0.12 + 0.03 * np.sin(pushed / 1800.0), 2),
        key("node_boot_time_seconds"): np.full_like(pushed, booted),
        key("node_time_seconds"): np.round(pushed, 1),
        key("node_network_receive_bytes_total", device="wlan0"): np.floor(2100.0 * lived),
        key("node_network_transmit_bytes_total", device="wlan0"): np.floor(1700.0 * lived),
        key("node_disk_read_bytes_total", device="mmcblk0"): np.floor(9.0 * lived),
        key("node_disk_written_bytes_total", device="mmcblk0"): np.floor(310.0 * lived),
        key(
            "node_uname_info", machine="aarch64", nodename="pi", release="6.12.20+rpt-rpi-v8", sysname="Linux"
        ): np.ones_like(pushed),
    }
    for cpu in range(4):
        for mode, share in (("idle", 0.95), ("user", 0.03), ("system", 0.02)):
            page[key("node_cpu_seconds_total", cpu=str(cpu), mode=mode)] = np.round(share * lived, 2)
    return page


def _spent(moments: Floats, started: Floats, *windows: Window) -> Floats:
    """Return how much of some windows an agent has lived through since it started."""
    spent = np.zeros_like(moments)
    for window in windows:
        spent += np.clip(np.minimum(moments, window.end) - np.maximum(started, window.begin), 0.0, None)
    return spent


def _known(moments: Floats, started: Floats, windows: Iterable[Window]) -> Flags:
    """Return when one of the windows has begun since the agent started: a counter begins with what it counts."""
    known = np.zeros(moments.size, dtype=np.bool_)
    for window in windows:
        known |= (moments >= window.begin) & (started < window.end)
    return known
