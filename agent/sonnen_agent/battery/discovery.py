"""Finds batteries on the networks of this machine: each host is asked once at each port of a battery, and politely.

Nobody is asked but the hosts themselves: no cloud service, no broadcast, and it takes no privileges. What a battery
says to everybody is in docs/battery-api.md 1, 3 and 6.
"""

import re
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from pathlib import Path

from sonnen_agent import __version__
from sonnen_agent.battery.client import BODY_LIMIT_BYTES, parse_json
from sonnen_agent.battery.parsers import parse_eco6_status, parse_status
from sonnen_agent.battery.values import number, text
from sonnen_agent.battery.variants import Generation
from sonnen_agent.clock import Deadline
from sonnen_agent.errors import BatteryError, ExchangeError
from sonnen_agent.transport import Answer, Connection

LARGEST_PREFIX = 22
"""Of a network that is looked through without having been asked for: 1,022 hosts."""
_ROUTES = Path("/proc/net/route")
_AT_A_TIME = 64
"""Hosts; each gets one connection at a time, so that a home's router does not take it for an attack."""
_CONNECT_SECONDS = 0.9
"""Less than a second, after which the kernel would knock a second time."""
_ANSWER_SECONDS = 5.0
"""Some boxes need seconds (docs/battery-api.md 3)."""
_PLACES: tuple[tuple[int, Generation, str], ...] = (
    (80, "v2", "/api/v2/status"),
    (8080, "v1", "/api/v1/status"),
    (7979, "eco6", "/rest/devices/battery"),
)
_CHARGES = {"RSOC", "M05"}
"""Where a status tells the charge."""
_ABOUT = ("/api/system_data", "/api/battery_system")
"""Where old firmware tells its serial number to everybody."""
_SERIAL = re.compile("DE_Ticket_Number|serial(_?number)?", re.IGNORECASE)
_MODEL = re.compile("ERP_ArticleName|(model|article)(_?name)?", re.IGNORECASE)
_REFUSAL = re.compile(r"4\d\d \w[\w ]*|Unauthorized")
"""The `error` of a battery's 401, 403 or 404 (docs/battery-api.md 3); the words alone are any server's but for one."""
_PAGE_TITLE = b"<title>sonnenBatterie</title>"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundBattery:
    """A host that answers like a battery."""

    address: str
    port: int
    generation: Generation | None
    """The API whose status it told; None where it tells nothing without a token."""
    serial: str | None = None
    model: str | None = None

    @property
    def url(self) -> str:
        """What the config says of it; the agent finds the port by itself."""
        return f"http://{self.address}"


def local_networks(routes: Path = _ROUTES) -> Iterator[IPv4Network]:
    """Yield the IPv4 networks that this machine is in, without those of a single host."""
    try:
        lines = routes.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return
    seen = set[IPv4Network]()
    for line in lines:
        _, destination, gateway, *_, mask, _, _, _ = line.split()
        # The kernel prints the bytes of an address as a number of this machine's.
        address, bits = (struct.pack("=I", int(word, 16)) for word in (destination, mask))
        network = IPv4Network((address, int.from_bytes(bits).bit_count()), strict=False)
        if int(gateway, 16) == 0 and 0 < network.prefixlen < 31 and network not in seen:
            seen.add(network)
            yield network


def discover(networks: Iterable[IPv4Network]) -> Iterator[FoundBattery]:
    """Yield the batteries of some networks, each host asked once, in the order of their addresses."""
    hosts = dict.fromkeys(str(host) for network in networks for host in network.hosts())
    pool = ThreadPoolExecutor(_AT_A_TIME, "discovery")
    try:
        yield from filter(None, pool.map(ask_host, hosts))
    finally:
        pool.shutdown(cancel_futures=True)


def ask_host(address: str) -> FoundBattery | None:
    """Return what is known of a host that answers like a battery; at most one connection goes to each port."""
    found: FoundBattery | None = None
    for port, generation, path in _PLACES:
        if found is not None and (found.serial or generation == "eco6"):
            break
        with closing(Connection("http", address, port, only_connection_seconds=_CONNECT_SECONDS)) as connection:
            here = _ask_port(connection, generation, path)
            if here is None:
                continue
            told, serial = here
            # Whoever has been found is a battery: it may be asked for more, on the connection that is there.
            facts = _facts(connection) if serial is None and told != "eco6" else {}
        if found is None or found.generation is None:
            found = FoundBattery(address=address, port=port, generation=told)
        found = replace(found, serial=serial or facts.get("serial"), model=facts.get("model"))
    return found


def _ask_port(connection: Connection, generation: Generation, path: str) -> tuple[Generation | None, str | None] | None:
    """Return the API whose status a battery tells, and its serial number; None where no battery answers."""
    answer = _get(connection, path)
    if answer is None:
        return None
    if answer.status == 200:
        document = _document(answer)
        if not _is_status(document, generation):
            return None
        # Only an eco 6 says it within its status.
        serial = _plain(document.get("S15")) if isinstance(document, dict) and generation == "eco6" else None
        return generation, serial
    if not _refuses_like_a_battery(answer):
        return None
    # Firmware without this API, or one that wants the token for it.
    older = _get(connection, "/api/v1/status") if generation == "v2" else None
    if older is not None and older.status == 200 and _is_status(_document(older), "v1"):
        return "v1", None
    return None, None


def _get(connection: Connection, path: str) -> Answer | None:
    headers = {"User-Agent": f"sonnen-agent/{__version__}", "Accept": "application/json"}
    try:
        return connection.request(
            "GET", path, headers=headers, deadline=Deadline(_ANSWER_SECONDS), body_limit=BODY_LIMIT_BYTES
        )
    except ExchangeError:
        return None


def _document(answer: Answer) -> object:
    try:
        return parse_json(answer.body)
    except BatteryError:
        return None


def _is_status(document: object, generation: Generation) -> bool:
    try:
        status = parse_eco6_status(document) if generation == "eco6" else parse_status(document)
    except BatteryError:
        return False
    # Whatever the charge is: while a battery starts, or is at fault, nobody knows it.
    return status.has_power and isinstance(document, dict) and not _CHARGES.isdisjoint(document)


def _refuses_like_a_battery(answer: Answer) -> bool:
    if answer.status not in (401, 403, 404):
        return False
    match _document(answer):
        case {"error": str(words), **rest} if not rest:
            return _REFUSAL.fullmatch(words) is not None
    return _PAGE_TITLE in answer.body


def _facts(connection: Connection) -> Mapping[str, str]:
    """Return the serial number and the model, where they are told without a login."""
    facts: dict[str, str] = {}
    for path in _ABOUT:
        answer = _get(connection, path)
        if answer is None or answer.status != 200:
            continue
        for key, value in _pairs(_document(answer)):
            for name, pattern in (("serial", _SERIAL), ("model", _MODEL)):
                if pattern.fullmatch(key) and (told := _plain(value)):
                    facts.setdefault(name, told)
    return facts


def _pairs(document: object) -> Iterator[tuple[str, object]]:
    if isinstance(document, dict):
        for key, value in document.items():
            yield key, value
            yield from _pairs(value)


def _plain(value: object) -> str | None:
    """Return a text or number as a person may see it, if it is one."""
    told = text(value) if isinstance(value, str) else f"{found:.15g}" if (found := number(value)) is not None else None
    return told if told and len(told) <= 60 and told.isprintable() else None


def addresses_of(host: str) -> frozenset[str]:
    """Return the IPv4 addresses of a host of the config, none where nobody knows them."""
    try:
        return frozenset(str(address[0]) for *_, address in socket.getaddrinfo(host, None, socket.AF_INET))
    except (OSError, UnicodeError):
        return frozenset()
