"""Tells systemd how the agent is: sd_notify(3), in one datagram per message, and the words of its status line.

Nothing here raises: an agent that cannot tell how it is goes on with its work.
"""

import logging
import socket
import time
from collections.abc import Mapping

from sonnen_agent.reading import Reading

_log = logging.getLogger(__name__)


class Notifier:
    """Speaks to the service manager; without one, to nobody."""

    def __init__(self, address: str | None) -> None:
        """`address` is `$NOTIFY_SOCKET`: a path, or an abstract name behind an @; None without systemd."""
        # Our name for an abstract socket begins with a zero byte.
        self._address = f"\0{address[1:]}" if address is not None and address.startswith("@") else address

    def ready(self, status: str) -> None:
        """Say that the agent does its work, after a start or a reload."""
        self._send("READY=1", "WATCHDOG=1", _status(status))

    def alive(self, status: str) -> None:
        """Feed the watchdog, and show a line in `systemctl status`."""
        self._send("WATCHDOG=1", _status(status))

    def starting(self) -> None:
        """Feed the watchdog, and say nothing: after a reload it is wound up before the new program is ready."""
        self._send("WATCHDOG=1")

    def status(self, status: str) -> None:
        """Show a line in `systemctl status`, and nothing else: the watchdog is not fed."""
        self._send(_status(status))

    def reloading(self) -> None:
        """Say that another config is being taken over; `ready` ends it."""
        self._send(
            "RELOADING=1",
            "WATCHDOG=1",
            f"MONOTONIC_USEC={time.monotonic_ns() // 1000}",
            "STATUS=Taking over the config",
        )

    def stopping(self) -> None:
        """Say that the agent ends by its own will."""
        self._send("STOPPING=1", "WATCHDOG=1", "STATUS=Saving the counters")

    def _send(self, *assignments: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
                manager.connect(self._address)
                manager.sendall("\n".join(assignments).encode())
        except OSError as error:
            _log.debug("systemd does not hear us: %s", error)


def _status(text: str) -> str:
    """Return the assignment of one line, whatever a battery is called."""
    return "STATUS=" + " ".join(text.split())


def status_line(
    batteries: Mapping[str, str],
    sent_seconds_ago: Mapping[str, float | None],
    *,
    clock_is_set: bool = True,
    stalled_seconds: float = 0.0,
) -> str:
    """Return one line for a person: `home: 3 214 W solar, 41 %; pushed 2 s ago`.

    `batteries` are the words for each, `sent_seconds_ago` is by what was done (`pushed`), None where it never was;
    `stalled_seconds` is for how long the card has not taken the counters.
    """
    outputs = (
        f"{verb} {_duration(seconds)} ago" if seconds is not None else f"nothing {verb} yet"
        for verb, seconds in sent_seconds_ago.items()
    )
    clock = () if clock_is_set else ("the clock is not set yet",)
    card = (f"the card stalls, nothing saved for {_duration(stalled_seconds)}",) if stalled_seconds else ()
    return "; ".join([*(f"{battery}: {words}" for battery, words in batteries.items()), *outputs, *clock, *card])


def reading_words(reading: Reading | None, *, asked: bool) -> str:
    """Return how a battery is, in a few words."""
    if not asked:
        return "not read yet"
    if reading is None:
        return "not readable"
    status = reading.status
    words = []
    if status.production_watts is not None:
        words.append(f"{status.production_watts:,.0f} W solar".replace(",", " "))
    if status.charge_percent is not None:
        words.append(f"{status.charge_percent:.0f} %")
    if reading.faults:
        words.append(f"fault: {' and '.join(reading.faults)}")
    return ", ".join(words) or "readable"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
