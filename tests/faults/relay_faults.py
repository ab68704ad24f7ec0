"""The table of what another exporter on the machine can do wrong, whose page is pushed along."""

from typing import NamedTuple

import behaviours as peer
from behaviours import answer, drips, in_turn, late, never_ends, replies, says
from peers import Behaviour

PAGE = "# TYPE exporter_number gauge\nexporter_number 4711\n"
"""What an exporter says that is well."""
WRONG = PAGE.replace("4711", "66666")
OF_THE_GATEWAY = "# TYPE pushgateway_build_info counter\npushgateway_build_info 1\n"


class RelayFault(NamedTuple):
    """A row."""

    name: str
    """What such an exporter does, and the job of its group."""
    behaviour: Behaviour
    outcome: str = "invalid"
    """As which the agent counts it; `ok` where the page is one, and all is shown."""
    rejected: bool = False
    """Whether it is the gateway that does not take the page."""


RELAY_FAULTS = (
    RelayFault("refuses connections", peer.REFUSED, "refused"),
    RelayFault("accepts and is silent", peer.SILENT_ON_CONNECT, "timeout"),
    RelayFault("reads and hangs", peer.HANGS, "timeout"),
    RelayFault("reads and closes", peer.CLOSES, "refused"),
    RelayFault("resets within the page", peer.resets_after(answer(length=5000), WRONG.encode()), "refused"),
    RelayFault("drips the page", drips(lambda call: call.usual().partition(b"\r\n\r\n")[2]), ""),
    RelayFault("takes two beats", late(2), "timeout"),
    RelayFault("speaks TLS", says(peer.TLS_ALERT), ""),
    RelayFault("never ends a header", never_ends(b"HTTP/1.1 200 OK\r\nX: ", b"y")),
    RelayFault("has a chunk of minus one byte", says(peer.CHUNKED_HEAD + b"-1\r\n", b"x" * 40_000_000)),
    RelayFault("never ends the page", never_ends(b"HTTP/1.1 200 OK\r\n\r\n", b"a 1\n")),
    RelayFault("never ends a line", never_ends(b"HTTP/1.1 200 OK\r\n\r\n", b"a")),
    RelayFault("announces four gigabytes", never_ends(answer(length=4 << 30), b"a 1\n")),
    RelayFault("has a line of three megabytes", replies("a{b=" + '"x' * 1_500_000)),
    RelayFault("has a label without end", replies('a{b="' + "\\" * 999_999)),
    RelayFault("has the agent's names", replies(f"{WRONG}sonnen_online 1\n")),
    RelayFault("has the agent's names late", replies(WRONG + "a 1\n" * 9999 + "sonnen_online 1\n")),
    RelayFault("has the gateway's names", replies(f"{WRONG}push_time_seconds 1e12\npush_failure_time_seconds 0\n")),
    RelayFault("has a name of another type", replies(WRONG + OF_THE_GATEWAY), "ok", rejected=True),
    RelayFault("tells of its own process", replies(f"{PAGE}# TYPE go_info counter\ngo_info 1\n"), "ok"),
    RelayFault("says a thing twice", replies(WRONG + WRONG.partition("\n")[2]), "ok", rejected=True),
    RelayFault("sends a web page", replies("<html><a href='/metrics'>Metrics</a></html>")),
    RelayFault("sends control characters", replies(f"{WRONG}{peer.FORGED_LINE} 1\n")),
    RelayFault("sends a forged log", replies(f"{WRONG}\x85\u2028WARNING forged\n" * 50)),
    RelayFault("sends null bytes", replies(WRONG + "\0" * 900_000)),
    RelayFault("sends what is not UTF 8", replies(b'exporter_number{a="\xff\xfe"} 66666\n'), "ok", rejected=True),
    RelayFault("redirects", replies("", "302 Found", "Location: http://127.0.0.1:9/metrics"), "http_error"),
    RelayFault("asks for a password", replies("", "401 Unauthorized"), "unauthorized"),
    RelayFault("answers 404", replies(WRONG, "404 Not Found"), "not_found"),
    RelayFault("answers 500", replies(f"{peer.FORGED_LINE * 99}\n{WRONG}", "500 No"), "http_error"),
    RelayFault("changes its trouble", in_turn(peer.CLOSES, replies("?"), replies("", "500 No")), ""),
    RelayFault("adds timestamps", replies(PAGE.replace("4711\n", "4711 1700000000000\n")), "ok"),
    RelayFault("ends lines as Windows does", replies(PAGE.replace("\n", "\r\n")), "ok"),
    RelayFault("ends without a line feed", replies(PAGE.rstrip()), "ok"),
    RelayFault("takes half a beat", late(0.4), "ok"),
)
