"""Tells systemd how the agent is: sd_notify(3), in one datagram per message.

Nothing here raises: an agent that cannot tell how it is goes on with its work.
"""

import logging
import socket
import time

_log = logging.getLogger(__name__)


class Notifier:
    """Speaks to the service manager; without one, to nobody."""

    def __init__(self, address: str | None) -> None:
        """`address` is `$NOTIFY_SOCKET`: a path, or an abstract name behind an @; None without systemd."""
        # Our name for an abstract socket begins with a zero byte.
        self._address = f"\0{address[1:]}" if address is not None and address.startswith("@") else address

    def ready(self, status: str) -> None:
        """Say that the agent does its work, after a start or a reload."""
        self._send("READY=1", _status(status))

    def alive(self, status: str) -> None:
        """Feed the watchdog, and show a line in `systemctl status`."""
        self._send("WATCHDOG=1", _status(status))

    def status(self, status: str) -> None:
        """Show a line in `systemctl status`, and nothing else: the watchdog goes hungry."""
        self._send(_status(status))

    def wait_for(self, status: str, seconds: float) -> None:
        """Say that the start takes so much longer."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}", _status(status))

    def reloading(self) -> None:
        """Say that another config is being taken over; `ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=Taking over the config")

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
