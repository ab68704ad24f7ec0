"""Every way in which an answer can go wrong on its way over the network."""

import os
import select
import socket
import struct
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from simulator_faults import FaultName

_WIRE_FAULTS: tuple[FaultName, ...] = ("timeout", "reset", "garbage", "huge", "truncated", "drip")
_DRIP_MILLISECONDS = 300
_LOOK_MILLISECONDS = 50
_HUGE_CHUNK = b"x" * 65_536
_HUGE_CHUNKS = 256
_GARBAGE = b"\x16\x03\x01 this is no HTTP \xff\x00\r\n\r\n"
_HUGE_HEAD = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{"filler": "'


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A connection on which one answer is due."""

    connection: socket.socket
    is_on: Callable[[FaultName], bool]
    """Whether a fault is still switched on."""


def send_faulty(line: Line, fault: FaultName, whole: bytes, delivering: Callable[[], None]) -> None:
    """Do to a whole answer what a fault does; the connection is of no more use afterwards."""
    match fault:
        case "timeout":
            _hold(line)
        case "reset":
            _reset(line.connection)
        case "garbage":
            line.connection.sendall(_GARBAGE)
        case "huge":
            _send_huge(line.connection)
        case "truncated":
            head, _, body = whole.partition(b"\r\n\r\n")
            line.connection.sendall(head + b"\r\n\r\n" + body[: len(body) // 2])
        case _:
            _drip(line, whole, delivering)


def wire_fault(faults: AbstractSet[FaultName]) -> FaultName | None:
    """Return the fault that spoils the sending, the worst one first, or None."""
    return next((fault for fault in _WIRE_FAULTS if fault in faults), None)


def _hold(line: Line) -> None:
    """Say nothing until the fault is switched off or either side hangs up."""
    while line.is_on("timeout") and not _stirs(line.connection, _LOOK_MILLISECONDS):
        pass


def _stirs(connection: socket.socket, milliseconds: int) -> bool:
    """Wait, but no longer than until the connection is hung up, and return whether it was."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(milliseconds))


def _reset(connection: socket.socket) -> None:
    """Close so that the other side gets RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # The server would shut the socket down first, which sends FIN.
    os.close(connection.detach())


def _send_huge(connection: socket.socket) -> None:
    connection.sendall(_HUGE_HEAD)
    for _ in range(_HUGE_CHUNKS):
        connection.sendall(_HUGE_CHUNK)
    connection.sendall(b'"}')


def _drip(line: Line, whole: bytes, delivering: Callable[[], None]) -> None:
    sent = 0
    while sent < len(whole) - 1 and line.is_on("drip"):
        line.connection.sendall(whole[sent : sent + 1])
        sent += 1
        _stirs(line.connection, _DRIP_MILLISECONDS)
    delivering()
    line.connection.sendall(whole[sent:])
