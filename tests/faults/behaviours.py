"""The scripts of behaviour: what a peer can do wrong, whatever it is.

Each is a Behaviour or returns one. Sizes are such that an agent that reads all of it is found out, and a test is not
slowed down by one that does not.
"""

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from peers import Behaviour, Call

_ENDLESS_BYTES = 48 * 1024 * 1024
"""Whoever reads so much of what has no end would have read on."""
_PIECE_BYTES = 65_536

Change = Callable[[Any], object]
"""What a fault makes of a JSON value, whatever that is."""


def answer(body: bytes | str = b"", status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    """Return a whole answer as bytes of HTTP; `length` is the one that is promised."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def says(*pieces: bytes) -> Behaviour:
    """Send just these bytes in place of an answer, and close."""

    def act(call: Call) -> None:
        call.keep = False
        for piece in pieces:
            call.send(piece)

    return Behaviour(act)


def replies(body: bytes | str = b"", status: str = "200 OK", *headers: str) -> Behaviour:
    """Give a well-formed answer, and keep the connection."""
    return Behaviour(lambda call: call.send(answer(body, status, *headers)))


def holds_after(*pieces: bytes) -> Behaviour:
    """Send these bytes, and then nothing more until the fault is over."""

    def act(call: Call) -> None:
        call.keep = False
        for piece in pieces:
            call.send(piece)
        call.hold()

    return Behaviour(act)


def resets_after(*pieces: bytes) -> Behaviour:
    """Send these bytes, and reset the connection."""

    def act(call: Call) -> None:
        for piece in pieces:
            call.send(piece)
        call.reset()

    return Behaviour(act)


def never_ends(begin: bytes, again: bytes) -> Behaviour:
    """Send the beginning, and then the other piece for as long as somebody reads it."""
    piece = again * max(1, _PIECE_BYTES // len(again))

    def act(call: Call) -> None:
        call.keep = False
        call.send(begin)
        for _ in range(_ENDLESS_BYTES // len(piece)):
            call.send(piece)
        call.hold()

    return Behaviour(act)


def drips(piece: Callable[[Call], bytes], seconds: float = 0.25) -> Behaviour:
    """Send bytes one by one, with a pause after each."""

    def act(call: Call) -> None:
        call.keep = False
        for byte in piece(call):
            call.send(bytes([byte]))
            call.pause(seconds)

    return Behaviour(act)


def alters(change: Change, *, path: str = "/status", true: bool = False) -> Behaviour:
    """Change the JSON of the usual answer to requests whose path ends so; all others, and refusals, are as usual.

    `true` says that what is left is the truth.
    """

    def act(call: Call) -> None:
        if not call.request.path.endswith(path):
            call.tell()
            return
        usual = call.usual()
        head, _, body = usual.partition(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            call.send(usual)
            return
        call.send(answer(json.dumps(change(json.loads(body)))))
        if true:
            call.told()

    return Behaviour(act)


def edits(change: Callable[[bytes, bytes], bytes], *, close: bool = False) -> Behaviour:
    """Send what becomes of the head and the body of the usual answer; it is the truth all the same."""

    def act(call: Call) -> None:
        head, _, body = call.usual().partition(b"\r\n\r\n")
        call.keep = not close
        call.send(change(head, body))
        call.told()

    return Behaviour(act)


def begins(add: bytes, *, path: str = "/status") -> Behaviour:
    """Put other bytes in place of the first of the usual body, where the path ends so."""

    def act(call: Call) -> None:
        if not call.request.path.endswith(path):
            call.tell()
            return
        call.send(answer(add + call.usual().partition(b"\r\n\r\n")[2][1:]))
        call.told()

    return Behaviour(act)


def takes_and(then: Behaviour) -> Behaviour:
    """Do what is asked, and then something else instead of the answer to it."""

    def act(call: Call) -> None:
        call.usual()
        then.act(call)

    return Behaviour(act)


def only_at(path: str, behaviour: Behaviour) -> Behaviour:
    """Behave like this towards requests whose path ends so, and as usual towards all others."""
    return Behaviour(lambda call: behaviour.act(call) if call.request.path.endswith(path) else call.tell())


def talks_first(data: bytes) -> Behaviour:
    """Send an answer to whoever connects, before anything is asked."""

    def act(call: Call) -> None:
        call.send(data)
        call.hold()

    return Behaviour(act, at="connection")


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """Behave once like the first, then once like the second, and so on, again and again."""
    return Behaviour(lambda call: behaviours[(call.number - 1) % len(behaviours)].act(call))


def once(behaviour: Behaviour) -> Behaviour:
    """Behave like this for one request, and as usual from then on."""
    return Behaviour(lambda call: behaviour.act(call) if call.number == 1 else call.tell())


def late(seconds: float) -> Behaviour:
    """Give the usual answer after so many seconds."""

    def act(call: Call) -> None:
        call.pause(seconds)
        call.tell()

    return Behaviour(act)


def wants(header: str, refusal: bytes) -> Behaviour:
    """Give the usual answer to requests with this header (in lower case), and the refusal to all others."""

    def act(call: Call) -> None:
        if header in call.request.headers:
            call.tell()
        else:
            call.send(refusal)

    return Behaviour(act)


def repeats_the_request(status: str, *, behind: str = "") -> Behaviour:
    """Answer with a page that repeats the request's headers, the secrets in all the ways they may be written."""

    def act(call: Call) -> None:
        head = call.request.head.decode("latin-1")
        values = [value for name, value in call.request.headers.items() if name in ("auth-token", "authorization")]
        words = [word for value in values for word in value.split()]
        spellings = [spelling for word in words for spelling in spelled(word)]
        call.send(answer(f"{behind}You sent {' '.join(spellings)} in {head}", status))

    return Behaviour(act)


def spelled(secret: str) -> Iterable[str]:
    """Return a secret in the ways in which a peer may write it."""
    yield secret
    yield quote(secret, safe="")
    yield base64.b64encode(secret.encode()).decode()
    try:
        decoded = base64.b64decode(secret, validate=True).decode()
    except ValueError:
        return
    yield decoded
    yield decoded.partition(":")[2]


def chunked(*chunks: tuple[str, bytes], trailers: bytes = b"", end: bytes = b"0\r\n") -> bytes:
    """Return an answer in chunks, each with the size that it says it has."""
    body = b"".join(size.encode() + b"\r\n" + data + b"\r\n" for size, data in chunks)
    return CHUNKED_HEAD + body + end + trailers + b"\r\n"


def in_chunks(body: bytes, size: int = 7) -> bytes:
    """Return a good answer in small chunks."""
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    return chunked(*[(f"{len(piece):x}", piece) for piece in pieces])


def _nothing(call: Call) -> None:
    call.keep = False


def _reset(call: Call) -> None:
    call.reset()


def _hold(call: Call) -> None:
    call.hold()


CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
TLS_ALERT = b"\x15\x03\x03\x00\x02\x02\x46"
TLS_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(32)) * 4
FORGED_LINE = "OK\x1b[2J\x1b[31m\x00\x08\x7f\u200b"
"""A reason phrase that would clear a terminal."""

USUAL = Behaviour(Call.tell)
REFUSED = Behaviour(_nothing, at="port")
"""Nobody listens."""
RESET_ON_CONNECT = Behaviour(_reset, at="connection")
CLOSES_ON_CONNECT = Behaviour(_nothing, at="connection")
SILENT_ON_CONNECT = Behaviour(_hold, at="connection")
CLOSES = Behaviour(_nothing)
"""The request is read, the connection closed."""
RESETS = Behaviour(_reset)
HANGS = Behaviour(_hold)
"""The request is read, and never answered."""
