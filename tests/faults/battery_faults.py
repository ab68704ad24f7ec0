"""The table of what a battery can do wrong. For each row, what limits.py has must hold."""

import json
from typing import Literal, NamedTuple

import behaviours as peer
from behaviours import (
    alters,
    answer,
    begins,
    drips,
    edits,
    holds_after,
    in_turn,
    late,
    never_ends,
    once,
    replies,
    says,
    wants,
)
from peers import Behaviour


class BatteryFault(NamedTuple):
    """A row."""

    name: str
    """What such a battery does."""
    behaviour: Behaviour
    shows: Literal["nothing", "all", "anything true"] = "nothing"
    """Of the readings, while the fault lasts."""
    lacks: tuple[str, ...] = ()
    """How the names of the readings begin that are missing, while all others are there."""
    differs: tuple[str, ...] = ()
    """How the names of the readings begin that may be others than usual."""
    from_the_start: bool = False
    """Whether the agent has never known it otherwise."""
    backs_off: bool = False
    """Whether who insists would only make it worse: it may be longer than three beats until it is asked again."""


POWERS = ("Production_W", "Consumption_W", "GridFeedIn_W", "Pac_total_W")
WRONG = json.dumps(dict.fromkeys(POWERS, 66666)).encode()
"""A good status which is not true."""
UNAUTHORIZED = replies('{"error": "Unauthorized"}', "401 Unauthorized")
WANTS_THE_TOKEN = wants("auth-token", answer('{"error": "Unauthorized"}', "401 Unauthorized"))
METERS = ("sonnen_meter_",)
SYSTEM = (
    "sonnen_component_state",
    "sonnen_eclipse_led",
    "sonnen_dc_shutdown_reason",
    "sonnen_battery_modules",
    "sonnen_seconds_since_full_charge",
)
INVERTER = (
    "sonnen_frequency_grid",
    "sonnen_temperature",
    "sonnen_pv_watts",
    "sonnen_microgrid_watts",
)
SLOW = (
    *METERS,
    *SYSTEM,
    *INVERTER,
    "sonnen_cell_",
    "sonnen_battery_c",
    "sonnen_battery_info",
    "sonnen_system_",
    "sonnen_full_charge",
    "sonnen_installed",
)
"""How the names of the readings begin that are asked for now and then; a busy machine does not always get to that."""


def path(end: str, behaviour: Behaviour) -> Behaviour:
    """Behave like this at one endpoint of the API v2."""
    return peer.only_at(f"/{end}", behaviour)


def status(**values: object) -> Behaviour:
    """Give the usual status with other values, or with those that a function makes of the usual ones."""
    return alters(lambda usual: usual | values, true=True)


def quoted(usual: dict[str, object]) -> object:
    """Write each number as a text."""
    return {name: value if isinstance(value, bool) else str(value) for name, value in usual.items()}


BATTERY_FAULTS = (
    # The network.
    BatteryFault("refuses connections", peer.REFUSED),
    BatteryFault("is off when the agent starts", peer.REFUSED, from_the_start=True),
    BatteryFault("accepts and is silent", peer.SILENT_ON_CONNECT),
    BatteryFault("accepts and closes", peer.CLOSES_ON_CONNECT),
    BatteryFault("accepts and resets", peer.RESET_ON_CONNECT),
    BatteryFault("reads and hangs", peer.HANGS),
    BatteryFault("hangs when the agent starts", peer.HANGS, from_the_start=True),
    BatteryFault("reads and closes", peer.CLOSES),
    BatteryFault("reads and resets", peer.RESETS),
    BatteryFault("resets within the answer", peer.resets_after(answer(length=500), WRONG)),
    BatteryFault("closes after the head", says(answer(length=500))),
    BatteryFault("closes within the body", says(answer(WRONG[:40], length=len(WRONG)))),
    BatteryFault("drips the head", drips(lambda call: call.usual())),
    BatteryFault("drips the body", drips(lambda call: call.usual().partition(b"\r\n\r\n")[2])),
    BatteryFault("takes half a beat", late(0.4), shows="all"),
    BatteryFault("takes two beats", late(2)),
    BatteryFault("hangs every other time", in_turn(peer.HANGS, peer.USUAL), shows="anything true"),
    BatteryFault("closes every other time", in_turn(peer.CLOSES, peer.USUAL), shows="anything true"),
    BatteryFault(
        "fails two of three times", in_turn(peer.CLOSES, replies("", "500 No"), peer.USUAL), shows="anything true"
    ),
    BatteryFault(
        "goes through all troubles", in_turn(peer.CLOSES, says(b"?"), replies("[]"), replies("", "404 Not Found"))
    ),
    BatteryFault("talks before it is asked", peer.talks_first(answer("{}"))),
    BatteryFault("answers twice", edits(lambda head, body: head + b"\r\n\r\n" + body + answer(WRONG)), shows="all"),
    # HTTP.
    BatteryFault("speaks TLS", says(peer.TLS_ALERT)),
    BatteryFault("speaks SSH", says(b"SSH-2.0-OpenSSH_9.2\r\n")),
    BatteryFault("speaks HTTP 2", says(b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0d\0\4\0\1\0\0\0\2\0\0\0\0")),
    BatteryFault("speaks HTTP 0.9", says(WRONG)),
    BatteryFault("speaks HTTP 1.0", edits(lambda _, body: b"HTTP/1.0 200 OK\r\n\r\n" + body, close=True), shows="all"),
    BatteryFault("speaks garbage", says(b"\x00\xff\x1b[2J garbage \r\n\r\n")),
    BatteryFault("has a status of six digits", replies(WRONG, "200200 OK")),
    BatteryFault("never ends the status line", never_ends(b"HTTP/1.1 200 ", b"x")),
    BatteryFault("never ends a header", never_ends(b"HTTP/1.1 200 OK\r\nX: ", b"y")),
    BatteryFault("never ends the headers", never_ends(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")),
    BatteryFault("has 60,000 characters of reason", replies(WRONG, f"500 {'x' * 60_000}")),
    BatteryFault("has a thousand headers", replies(WRONG, "200 OK", *["X: y"] * 1000)),
    BatteryFault("continues for ever", never_ends(b"", b"HTTP/1.1 100 Continue\r\n\r\n")),
    BatteryFault(
        "continues once",
        edits(lambda head, body: b"HTTP/1.1 100 Continue\r\n\r\n" + head + b"\r\n\r\n" + body),
        shows="all",
    ),
    BatteryFault(
        "writes header names in its own way",
        edits(lambda head, body: head.swapcase().replace(b"http", b"HTTP") + b"\r\n\r\n" + body),
        shows="all",
    ),
    BatteryFault("has a chunk of minus one byte", says(peer.CHUNKED_HEAD + b"-1\r\n", b"x" * 40_000_000)),
    BatteryFault("has a chunk of minus a billion bytes", never_ends(peer.CHUNKED_HEAD + b"-3b9aca00\r\n", b"x")),
    BatteryFault("has a chunk of four gigabytes", never_ends(peer.CHUNKED_HEAD + b"ffffffff\r\n", b"x")),
    BatteryFault("has a chunk size of a million digits", never_ends(peer.CHUNKED_HEAD, b"f")),
    BatteryFault(
        "has a chunk size with an underscore",
        edits(lambda _, body: peer.chunked((f"0_{len(body):x}", body))),
        shows="anything true",
    ),
    BatteryFault("has a chunk size that is no number", says(peer.chunked(("\x1b[2Jzz", b"{}")))),
    BatteryFault("has an endless chunk extension", never_ends(peer.CHUNKED_HEAD + b"2;", b"x")),
    BatteryFault("never ends the chunks", never_ends(peer.CHUNKED_HEAD, b"1\r\n \r\n")),
    BatteryFault("never ends the trailers", never_ends(peer.CHUNKED_HEAD + b"2\r\n{}\r\n0\r\n", b"X: y\r\n")),
    BatteryFault("ends within a chunk", says(peer.CHUNKED_HEAD + b"ff\r\n" + WRONG)),
    BatteryFault("chunks the truth", edits(lambda _, body: peer.in_chunks(body)), shows="all"),
    BatteryFault("announces four gigabytes", never_ends(answer(length=4 << 30), b" ")),
    BatteryFault(
        "announces minus five bytes", edits(lambda _, body: answer(length=-5) + body, close=True), shows="anything true"
    ),
    BatteryFault("announces two lengths", says(answer(WRONG, "200 OK", "Content-Length: 4"))),
    BatteryFault("announces less than it sends", says(answer(WRONG, length=9))),
    BatteryFault("sends half of what it announces", says(answer(WRONG, length=4000))),
    BatteryFault("holds back the last byte", holds_after(answer(WRONG, length=len(WRONG) + 1))),
    BatteryFault("never ends a body without length", never_ends(b"HTTP/1.1 200 OK\r\n\r\n", b" ")),
    BatteryFault("redirects", replies("", "301 Moved Permanently", "Location: http://127.0.0.1:9/api/v2/status")),
    BatteryFault(
        "redirects to a terminal's end", replies("", "302 Found", f"Location: http://{peer.FORGED_LINE}{'x' * 9000}")
    ),
    BatteryFault("says no content", replies("", "204 No Content")),
    BatteryFault("says not modified", replies("", "304 Not Modified")),
    BatteryFault("answers once with 401", once(UNAUTHORIZED), shows="anything true"),
    BatteryFault("answers 401", UNAUTHORIZED, backs_off=True),
    BatteryFault("wants the token for all", WANTS_THE_TOKEN, shows="all"),
    BatteryFault("wants the token for all when the agent starts", WANTS_THE_TOKEN, shows="all", from_the_start=True),
    BatteryFault("answers 403", replies("", "403 Forbidden"), backs_off=True),
    BatteryFault("answers 404", replies(WRONG, "404 Not Found")),
    BatteryFault("answers 429", replies("", "429 Too Many Requests", "Retry-After: 86400")),
    BatteryFault("answers 500", replies("<html>" * 10_000, "500 Internal Server Error")),
    BatteryFault("answers 503", replies("", "503 Service Unavailable", "Retry-After: -1")),
    BatteryFault("clears the terminal in the reason", replies("", f"500 {peer.FORGED_LINE}")),
    BatteryFault("clears the terminal in the page", replies(peer.FORGED_LINE * 50, "500 Internal Server Error")),
    BatteryFault("forges a line of the log", replies("x\nWARNING home: forged\r\nINFO home: forged", "500 No")),
    BatteryFault("repeats the token", peer.repeats_the_request("500 Internal Server Error")),
    BatteryFault("repeats half of the token", peer.repeats_the_request("500 No", behind="x" * 270)),
    # JSON.
    BatteryFault("says nothing", replies("")),
    BatteryFault("says half of it", replies('{"Production_W": 66666, "Consumption_W": ')),
    BatteryFault("says it twice", replies(WRONG + WRONG)),
    BatteryFault("sends a web page", replies("<!DOCTYPE html><title>Welcome</title>")),
    BatteryFault("sends a null", replies("null")),
    BatteryFault("sends a number", replies("66666")),
    BatteryFault("sends a list", alters(lambda usual: [usual])),
    BatteryFault("nests a hundred thousand deep", replies(b"[" * 120_000 + b"]" * 120_000)),
    BatteryFault("nests objects deep", replies(b'{"a":' * 40_000 + b"1" + b"}" * 40_000)),
    BatteryFault(
        "nests deep in what nobody reads", begins(b'{"x": ' + b"[" * 900 + b"]" * 900 + b","), shows="anything true"
    ),
    BatteryFault("sends many small lists", replies(b"[" + b"[]," * 80_000 + b"[]]")),
    BatteryFault("sends more than it has", replies(b" " * 300_000 + b"{}")),
    BatteryFault("sends numbers of ten thousand digits", replies(b'{"Production_W": ' + b"9" * 10_000 + b"}")),
    BatteryFault("sends UTF 16", replies(WRONG.decode().encode("utf-16"))),
    BatteryFault("sends half a character", replies(b'{"Production_W": 66666, "x": "\xc3"}')),
    BatteryFault("begins with a byte order mark", begins(b"\xef\xbb\xbf{"), shows="all"),
    BatteryFault("says error with 200", replies('{"error": "Production_W 66666"}')),
    BatteryFault(
        "says a forged return code", replies(json.dumps({"ReturnCode": "66\x1b[2J\nINFO forged" + "x" * 9000}))
    ),
    BatteryFault("says a long return code", replies(json.dumps({"ReturnCode": int("6" * 4000)}))),
    # Values.
    BatteryFault("sends nulls", alters(dict.fromkeys)),
    BatteryFault("sends nothing but names", alters(lambda usual: dict.fromkeys(usual, ""))),
    BatteryFault("sends bools", alters(lambda usual: dict.fromkeys(usual, True))),
    BatteryFault("sends lists as values", alters(lambda usual: {name: [value] for name, value in usual.items()})),
    BatteryFault("sends NaN", alters(lambda usual: dict.fromkeys(usual, float("nan")))),
    BatteryFault("sends infinity", alters(lambda usual: dict.fromkeys(usual, float("-inf")))),
    BatteryFault("sends 1e999", alters(lambda usual: dict.fromkeys(usual, "1e999"))),
    BatteryFault("sends huge numbers", alters(lambda usual: dict.fromkeys(usual, 10**400))),
    BatteryFault("sends 65525 W", alters(lambda usual: usual | dict.fromkeys(POWERS, 65525))),
    BatteryFault(
        "sends the zeros of a start", alters(lambda usual: usual | dict.fromkeys([*POWERS, "Uac", "Fac", "Ubat"], 0))
    ),
    BatteryFault("quotes its numbers", alters(quoted, true=True), shows="all"),
    BatteryFault(
        "adds what nobody knows",
        alters(lambda usual: {"a\x1b" * 999: "b", **usual, "": {"c": []}}, true=True),
        shows="all",
    ),
    BatteryFault("does not know the frequency", status(Fac=None), shows="all", lacks=("sonnen_frequency_inverter",)),
    BatteryFault("has a frequency of 0 Hz", status(Fac=0), shows="all", lacks=("sonnen_frequency_inverter",)),
    BatteryFault(
        "is charged to 101 percent",
        status(USOC=101, RSOC=-1),
        shows="all",
        lacks=("sonnen_usable_state", "sonnen_state_of_charge"),
    ),
    BatteryFault(
        "does not know its consumption",
        status(Consumption_W="nan"),
        shows="all",
        lacks=("sonnen_consumption_watts", "sonnen_power_balance"),
        differs=("sonnen_consumption_watt_hours",),
    ),
    BatteryFault(
        "has lost its clock", status(Timestamp="0000-00-00 99:99:99"), shows="all", lacks=("sonnen_clock_offset",)
    ),
    BatteryFault(
        "has a clock of the year 9999",
        status(Timestamp="9999-12-31 23:59:59"),
        shows="all",
    ),
    # What is asked now and then. Each has its own clock, so it is wrong from the start, and longer than the stage.
    BatteryFault("hides its power meters", path("powermeter", peer.HANGS), "all", METERS, from_the_start=True),
    BatteryFault(
        "tells its power meters twice",
        path("powermeter", alters(lambda meters: meters * 2, path="")),
        "all",
        from_the_start=True,
    ),
    BatteryFault(
        "has ten thousand power meters",
        path("powermeter", alters(lambda meters: meters * 5000, path="")),
        "all",
        METERS,
        from_the_start=True,
    ),
    BatteryFault(
        "has power meters in error",
        path("powermeter", alters(lambda meters: [meter | {"error": 7} for meter in meters], path="")),
        "all",
        METERS,
        (*METERS, "sonnen_fault"),
        from_the_start=True,
    ),
    BatteryFault(
        "has states that forge labels",
        path(
            "latestdata", alters(lambda data: data | {"ic_status": {"statebms": '"\n} 66666\x1b[2J\\' * 999}}, path="")
        ),
        "all",
        SYSTEM,
        SYSTEM,
        from_the_start=True,
    ),
    BatteryFault(
        "has pages of the web interface for details",
        peer.only_at("/battery", replies("<h3>Page not found</h3>", "404 Not Found")),
        "all",
        ("sonnen_cell_", "sonnen_battery_c", "sonnen_system_"),
        ("sonnen_full_charge",),
        from_the_start=True,
    ),
    BatteryFault(
        "says error with 200 for its meters",
        path("powermeter", replies('{"error": "66666 no data"}')),
        "all",
        METERS,
        from_the_start=True,
    ),
    BatteryFault(
        "redirects for its inverter",
        path("inverter", replies("", "301 Moved", "Location: /elsewhere")),
        "all",
        INVERTER,
        from_the_start=True,
    ),
    BatteryFault(
        "repeats the token for its inverter",
        path("inverter", peer.repeats_the_request("500 No")),
        "all",
        INVERTER,
        from_the_start=True,
    ),
    BatteryFault(
        "nests its configuration",
        path("configurations", replies(b"[" * 99_000 + b"]" * 99_000)),
        "all",
        ("sonnen_installed_capacity", "sonnen_battery_info"),
        ("sonnen_battery_info",),
        from_the_start=True,
    ),
)
