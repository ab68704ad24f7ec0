"""The table of what a receiver of remote write can do wrong, and what is between it and the agent."""

from typing import NamedTuple

import behaviours as peer
from behaviours import answer, drips, in_turn, late, never_ends, once, replies, says
from peers import Behaviour

_EMPTY_BYTES = 2
"""Of a request without samples, compressed."""


class ReceiverFault(NamedTuple):
    """A row."""

    name: str
    """What such a receiver does."""
    behaviour: Behaviour
    keeps: bool = True
    """Whether all that was read meanwhile has to be there in the end: the samples are not at fault."""
    backs_off: bool = False
    """Whether it has asked to be left alone for longer than three beats."""


def rejects(behaviour: Behaviour) -> Behaviour:
    """Behave like this towards requests with samples, and take those without."""
    return Behaviour(lambda call: behaviour.act(call) if len(call.request.body) > _EMPTY_BYTES else call.tell())


RECEIVER_FAULTS = (
    ReceiverFault("refuses connections", peer.REFUSED),
    ReceiverFault("accepts and is silent", peer.SILENT_ON_CONNECT),
    ReceiverFault("reads and hangs", peer.HANGS),
    ReceiverFault("reads and closes", peer.CLOSES),
    ReceiverFault("reads and resets", peer.RESETS),
    ReceiverFault("resets within the answer", peer.resets_after(answer(length=500), b"half")),
    ReceiverFault("takes it and resets", peer.takes_and(peer.RESETS)),
    ReceiverFault("takes it and hangs", peer.takes_and(peer.HANGS)),
    ReceiverFault("drips the answer", drips(lambda _: answer("ok"))),
    ReceiverFault("takes half a beat", late(0.3)),
    ReceiverFault("hangs every other time", in_turn(peer.HANGS, peer.USUAL)),
    ReceiverFault("speaks TLS", says(peer.TLS_ALERT)),
    ReceiverFault("speaks garbage", says(b"\x00\xff\x1b[2J garbage \r\n\r\n")),
    ReceiverFault("never ends the headers", never_ends(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")),
    ReceiverFault("has a chunk of minus one byte", says(peer.CHUNKED_HEAD + b"-1\r\n", b"x" * 40_000_000)),
    ReceiverFault("never ends a 400", never_ends(b"HTTP/1.1 400 No\r\n\r\n", b"<p>")),
    ReceiverFault("is a login page", replies("<!DOCTYPE html><form>" * 900)),
    ReceiverFault("redirects", replies("", "308 Go", f"Location: http://{peer.FORGED_LINE}{'x' * 60_000}")),
    ReceiverFault("answers 200", peer.takes_and(replies("fine"))),
    ReceiverFault("answers 202 in chunks", peer.takes_and(says(peer.in_chunks(b"accepted")))),
    ReceiverFault("answers 400 to everything", replies("out of order sample", "400 Bad Request")),
    ReceiverFault("answers 400 and 500 in turn", in_turn(replies("bad", "400 Bad"), replies("", "500 Worse"))),
    ReceiverFault("rejects all samples", rejects(replies("out of bounds", "400 Bad Request")), keeps=False),
    ReceiverFault("rejects with a forged log", rejects(replies(peer.FORGED_LINE * 999, "422 No")), keeps=False),
    ReceiverFault("says conflict every other time", in_turn(rejects(replies("", "409 No")), peer.USUAL), keeps=False),
    ReceiverFault("says that all is too old", rejects(replies("too old sample", "500 No")), keeps=False),
    ReceiverFault("answers once with 401", once(replies("", "401 Unauthorized"))),
    ReceiverFault("answers 403", replies("", "403 Forbidden")),
    ReceiverFault("answers 404", replies("404 page not found", "404 Not Found")),
    ReceiverFault("answers 429", replies("", "429 Too Many Requests", "Retry-After: 1")),
    ReceiverFault("answers 429 for ages", replies("", "429 Slow", "Retry-After: 99999999999999999"), backs_off=True),
    ReceiverFault("answers 503 from the past", replies("", "503 Busy", "Retry-After: -5", "Date: never")),
    ReceiverFault("lives in the year 9999", replies("", "500 No", "Date: Fri, 31 Dec 9999 23:59:59 GMT")),
    ReceiverFault("repeats the password", peer.repeats_the_request("500 Internal Server Error")),
    ReceiverFault("repeats half of the password", peer.repeats_the_request("500 No", behind="x" * 270)),
    ReceiverFault("rejects with the password", rejects(peer.repeats_the_request("400 Bad Request")), keeps=False),
)
