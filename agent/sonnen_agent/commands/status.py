"""What `systemctl status` shows, in one line: home: 3 214 W solar, 41 %; pushed 2 s ago."""

from collections.abc import Mapping

from sonnen_agent.snapshot import Snapshot

_VERBS = {"pushgateway": "pushed", "remote_write": "written"}


def status_line(
    latest: Mapping[str, Snapshot | None], sent_seconds_ago: Mapping[str, float | None], *, clock_is_set: bool = True
) -> str:
    """Return the line for the latest snapshot of each battery, and when each sink that sends last did."""
    batteries = (f"{battery}: {_words(snapshot)}" for battery, snapshot in latest.items())
    sinks = (
        f"{_VERBS[sink]} {_duration(seconds)} ago" if seconds is not None else f"nothing {_VERBS[sink]} yet"
        for sink, seconds in sent_seconds_ago.items()
    )
    clock = () if clock_is_set else ("the clock is not set yet",)
    return "; ".join([*batteries, *sinks, *clock])


def _words(snapshot: Snapshot | None) -> str:
    if snapshot is None:
        return "not read yet"
    if snapshot.reading is None:
        return "not readable"
    status = snapshot.reading.status
    words = []
    if status.production_watts is not None:
        words.append(f"{status.production_watts:,.0f} W solar".replace(",", " "))
    # As the owner sees it, where the battery says so.
    for percent in (status.usable_state_of_charge_percent, status.state_of_charge_percent):
        if percent is not None:
            words.append(f"{percent:.0f} %")
            break
    return ", ".join(words) or "readable"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
