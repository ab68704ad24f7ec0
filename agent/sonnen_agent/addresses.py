"""Where a host is: its addresses, asked for apart from any request's deadline, and the first that takes a connection.

`getaddrinfo` has no deadline (docs/facts.md 9), so a thread asks it, and while the name service is silent or says no,
the addresses of before are good. They are tried side by side, as RFC 8305 has it in more words.
"""

import os
import select
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from itertools import count

from sonnen_agent.clock import Deadline
from sonnen_agent.errors import ExchangeError

_Address = tuple[socket.AddressFamily, tuple[str | int, ...]]
"""Its family; its text and what IPv6 has more, without the port."""

_START_SECONDS = 0.25
"""What an address gets before the next one joins it; and the name service, where there are addresses of before."""
_ADDRESSES_LIMIT = 8


class Addresses:
    """Those of one host. Not for use by two threads at once."""

    def __init__(self, host: str) -> None:
        """`host` is a name, or an address without brackets."""
        self._host = host
        self._is_name = ":" not in host and not host.replace(".", "").isdigit()
        self._known: list[_Address] = []
        """The best one first."""
        self._asking = threading.Thread()
        self._trouble = ""
        """Why the addresses may not be those of now."""

    def connect(self, port: int, deadline: Deadline) -> socket.socket:
        """Return a connected socket, or raise ExchangeError."""
        addresses = self._current(deadline)
        try:
            sock, address = _first_connected(addresses, port, deadline)
        except OSError as error:
            late = isinstance(error, TimeoutError)
            words = "no answer in time" if late else f"cannot connect: {error.strerror or error}"
            words += f", at the address of before: {self._trouble}" if self._trouble else ""
            raise ExchangeError("timeout" if late else "refused", words) from error
        self._known = sorted(self._known, key=lambda known: known != address)
        return sock

    def doubt(self) -> None:
        """Take note that the best address is none: the others come first now."""
        self._known = self._known[1:] + self._known[:1]

    def _current(self, deadline: Deadline) -> Sequence[_Address]:
        """Return the addresses, those of before when the new ones are late, or raise ExchangeError."""
        if asks := not self._asking.is_alive():
            self._asking = threading.Thread(target=self._ask, name=f"addresses of {self._host}", daemon=True)
            # Nobody needs to be asked for an address.
            (self._asking.start if self._is_name else self._asking.run)()
        if self._asking.is_alive() and (asks or not self._known):
            patience = deadline.at_most(_START_SECONDS) if self._known else deadline
            self._asking.join(patience.remaining)
        if late := self._asking.is_alive():
            self._trouble = f"the name service does not answer for {self._host}"
        if not self._known:
            raise ExchangeError("timeout" if late else "refused", f"cannot connect: {self._trouble}")
        return self._known

    def _ask(self) -> None:
        try:
            flags = 0 if self._is_name else socket.AI_NUMERICHOST
            found = socket.getaddrinfo(self._host, None, type=socket.SOCK_STREAM, flags=flags)
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no host can be called so"
            self._trouble = f"the {'name service' if self._is_name else 'system'} says of {self._host}: {reason}"
            return
        best = {address: place for place, address in enumerate(self._known)}
        turn = defaultdict[int, "count[int]"](count)
        addresses: list[_Address] = [(family, (address[0], *address[2:])) for family, _, _, _, address in found]
        # What was good before comes first, then the families in turn.
        addresses.sort(key=lambda address: (best.get(address, len(best)), next(turn[address[0]])))
        self._known = addresses[:_ADDRESSES_LIMIT]
        self._trouble = ""


def _first_connected(addresses: Sequence[_Address], port: int, deadline: Deadline) -> tuple[socket.socket, _Address]:
    """Return a socket that has connected, and where to; TimeoutError or another OSError when there is none."""
    waiting, trying = list(addresses), dict[int, tuple[socket.socket, _Address]]()
    problem = OSError("the name has no address")
    poll = select.poll()
    with ExitStack() as others:
        while waiting or trying:
            if deadline.expired:
                raise TimeoutError
            if waiting:
                family, (host, *more) = address = waiting.pop(0)
                try:
                    sock = others.enter_context(socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
                    # It closes with a reset: what the peer has not got by then never reaches it (docs/facts.md 1.6).
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    with suppress(BlockingIOError):
                        sock.connect((host, port, *more))
                except OSError as error:  # as where a machine lacks a family of addresses
                    problem = error
                    continue
                trying[sock.fileno()] = sock, address
                poll.register(sock, select.POLLOUT)
            patience = deadline.at_most(_START_SECONDS) if waiting else deadline
            for number, _ in poll.poll(max(1000 * patience.remaining, 1)):
                sock, address = trying.pop(number)
                poll.unregister(number)
                if (code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)) == 0:
                    return socket.socket(fileno=sock.detach()), address
                problem = OSError(code, os.strerror(code))
    raise problem
