"""The table of what a gateway can do wrong, and what is between it and the agent."""

from typing import NamedTuple

import behaviours as peer
from behaviours import answer, drips, edits, holds_after, in_turn, late, never_ends, once, replies, says
from peers import Behaviour


class GatewayFault(NamedTuple):
    """A row."""

    name: str
    """What such a gateway does."""
    behaviour: Behaviour
    arrives: bool = False
    """Whether all is shown there nevertheless."""


GATEWAY_FAULTS = (
    GatewayFault("refuses connections", peer.REFUSED),
    GatewayFault("accepts and is silent", peer.SILENT_ON_CONNECT),
    GatewayFault("accepts and resets", peer.RESET_ON_CONNECT),
    GatewayFault("reads and hangs", peer.HANGS),
    GatewayFault("reads and closes", peer.CLOSES),
    GatewayFault("reads and resets", peer.RESETS),
    GatewayFault("resets within the answer", peer.resets_after(answer(length=500), b"half")),
    GatewayFault("takes it and resets", peer.takes_and(peer.RESETS)),
    GatewayFault("takes it and hangs", peer.takes_and(peer.HANGS)),
    GatewayFault("drips the head", drips(lambda _: answer("ok"))),
    GatewayFault("drips the body", drips(lambda _: b"x" * 99)),
    GatewayFault("takes half a beat", late(0.3), arrives=True),
    GatewayFault("hangs every other time", in_turn(peer.HANGS, peer.USUAL)),
    GatewayFault("closes every other time", in_turn(peer.CLOSES, peer.USUAL)),
    GatewayFault("speaks TLS", says(peer.TLS_ALERT)),
    GatewayFault("speaks TLS and closes in turn", in_turn(says(peer.TLS_ALERT), peer.CLOSES)),
    GatewayFault("speaks garbage", says(b"\x00\xff\x1b[2J garbage \r\n\r\n")),
    GatewayFault("never ends the status line", never_ends(b"HTTP/1.1 200 ", b"x")),
    GatewayFault("never ends the headers", never_ends(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")),
    GatewayFault("continues for ever", never_ends(b"", b"HTTP/1.1 100 Continue\r\n\r\n")),
    GatewayFault("has a chunk of minus one byte", says(peer.CHUNKED_HEAD + b"-1\r\n", b"x" * 40_000_000)),
    GatewayFault("never ends the chunks", never_ends(peer.CHUNKED_HEAD, b"1\r\n \r\n")),
    GatewayFault("never ends the trailers", never_ends(peer.CHUNKED_HEAD + b"2\r\n{}\r\n0\r\n", b"X: y\r\n")),
    GatewayFault("announces four gigabytes", never_ends(answer(length=4 << 30), b" ")),
    GatewayFault("answers 400 with twenty megabytes", never_ends(b"HTTP/1.1 400 No\r\n\r\n", b"<p>")),
    GatewayFault("holds back the last byte", holds_after(answer(b"ok", length=3))),
    GatewayFault("redirects", replies("", "301 Moved Permanently", "Location: https://elsewhere.example/")),
    GatewayFault(
        "redirects to a terminal's end", replies("", "307 Go", f"Location: http://{peer.FORGED_LINE}{'x' * 60_000}")
    ),
    GatewayFault("answers 202", peer.takes_and(replies("", "202 Accepted")), arrives=True),
    GatewayFault("answers 204", peer.takes_and(replies("", "204 No Content")), arrives=True),
    GatewayFault("answers in chunks", edits(lambda _, body: peer.in_chunks(body + b"-")), arrives=True),
    GatewayFault("answers once with 401", once(replies("", "401 Unauthorized"))),
    GatewayFault("answers 401", replies("Unauthorized", "401 Unauthorized")),
    GatewayFault("answers 403 and 503 in turn", in_turn(replies("", "403 Forbidden"), replies("", "503 Busy"))),
    GatewayFault("answers 404", replies("404 page not found", "404 Not Found")),
    GatewayFault("answers 413", replies("<h1>too large</h1>", "413 Payload Too Large")),
    GatewayFault("answers 429", replies("", "429 Too Many Requests", "Retry-After: 99999999999999999999")),
    GatewayFault(
        "answers 400 with a forged log", replies(f"x\nWARNING forged\r\n{peer.FORGED_LINE * 400}", "400 Bad Request")
    ),
    GatewayFault("clears the terminal in the reason", replies("", f"500 {peer.FORGED_LINE * 99}")),
    GatewayFault("repeats the password", peer.repeats_the_request("500 Internal Server Error")),
    GatewayFault("repeats half of the password", peer.repeats_the_request("500 No", behind="x" * 270)),
    GatewayFault("repeats the password in a 400", peer.repeats_the_request("400 Bad Request")),
)
