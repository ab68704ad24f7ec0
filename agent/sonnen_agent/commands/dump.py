"""`sonnen-agent dump`: what every endpoint of the batteries answers, redacted, as one document for a bug report."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from sonnen_agent import __version__
from sonnen_agent.battery import BatteryOptions
from sonnen_agent.battery.client import Client, parse_json
from sonnen_agent.battery.parsers import CONFIGURATION_KEYS, ECO6_CODES
from sonnen_agent.battery.variants import Location
from sonnen_agent.clock import Deadline
from sonnen_agent.config.load import Config
from sonnen_agent.errors import BatteryError, ExchangeError
from sonnen_agent.redaction import Redaction
from sonnen_agent.simulator.replay import FORMAT, PAGE_TITLE
from sonnen_agent.transport import Answer

_log = logging.getLogger(__name__)

_ANSWER_SECONDS = 10.0
_V2 = "/api/v2/"
_STATUS = f"{_V2}status"
_CONFIGURATIONS = f"{_V2}configurations"
_PROTECTED = (*(f"{_V2}{name}" for name in ("latestdata", "powermeter", "battery", "inverter", "io")), _CONFIGURATIONS)
_BY_KEY = [f"{_CONFIGURATIONS}/{key}" for key in CONFIGURATION_KEYS]
"""What firmware tells one by one where it does not tell all configurations together."""
_OPEN = ("/api/v1/status", "/api/powermeter", "/api/inverter", "/api/battery", "/api/system_data")
_ECO6 = "/rest/devices/battery"
_MOST_REFUSALS = 2
"""Of a wrong token: some batteries lock out who goes on (docs/battery-api.md 2.2)."""
_TYPES = ("application/json", "text/html", "text/plain", "application/xhtml+xml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request, and what came of it."""

    location: Location
    seconds: float
    result: Answer | ExchangeError

    @property
    def status(self) -> int:
        """The HTTP status; 0 where nobody answered."""
        return self.result.status if isinstance(self.result, Answer) else 0


def run(config: Config) -> int:
    """Print the document, and return 0, whatever the batteries say."""
    redaction = Redaction()
    batteries = []
    for battery in config.batteries:
        exchanges = list(_ask_all(battery))
        if not any(exchange.status for exchange in exchanges):
            _log.warning("%s: nothing answers at %s; the dump says so", battery.name, battery.destination.url)
        batteries.append((battery, exchanges))
    # First all that is private, since it may also stand where it looks harmless.
    for battery, exchanges in batteries:
        redaction.learn(_private(battery))
        for exchange in exchanges:
            redaction.learn_from(_named(exchange))
    document = {
        FORMAT: 1,
        "version": __version__.partition("+")[0],
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "batteries": [
            {
                "token": battery.token is not None,
                "port": battery.destination.parts.port,
                "answers": [_entry(exchange, redaction) for exchange in exchanges],
            }
            for battery, exchanges in batteries
        ],
    }
    print(json.dumps(document, indent=1, allow_nan=False))
    return 0


def _private(battery: BatteryOptions) -> Iterator[str]:
    destination = battery.destination
    for secret in (battery.token, destination.password, destination.bearer_token):
        if secret is not None:
            yield secret.reveal()
    yield from filter(None, (destination.username, destination.parts.hostname, *battery.labels.values()))


def _ask_all(battery: BatteryOptions) -> Iterator[Exchange]:
    """Yield what each endpoint of each generation says, one request at a time."""
    destination = battery.destination
    paths = {destination.port: (_STATUS, *_PROTECTED, *_OPEN), 8080: _OPEN, 7979: (_ECO6,)}
    if destination.parts.port is not None:
        paths = {destination.port: (_STATUS, *_PROTECTED, *_OPEN, _ECO6)}
    for port, here in paths.items():
        with closing(Client(battery, lambda *_: None)) as client:
            yield from _ask_port(client, port, list(here))


def _ask_port(client: Client, port: int, paths: list[str]) -> Iterator[Exchange]:
    has_token = client.options.token is not None
    refusals, answers, is_known = 0, 0, False
    for path in paths:
        with_token = path.startswith(_V2) and path != _STATUS
        if with_token and (not has_token or refusals >= _MOST_REFUSALS):
            continue
        exchange = _ask(client, Location(port=port, path=path, with_token=with_token))
        yield exchange
        answers += exchange.status > 0
        if not answers:
            return
        refused = exchange.status in (401, 403)
        refusals += with_token and refused
        is_known = is_known or (path.endswith("/status") and exchange.status == 200)
        if path == _STATUS and refused and has_token:
            yield _ask(client, replace(exchange.location, with_token=True))
        elif path == _CONFIGURATIONS and exchange.status == 404:
            paths += _BY_KEY
        elif path == _ECO6 and exchange.status != 200 and not is_known:
            paths += (f"{_ECO6}/{code}" for code in ECO6_CODES)


def _ask(client: Client, location: Location) -> Exchange:
    begin = time.monotonic()
    result: Answer | ExchangeError
    try:
        result = client.ask(location, Deadline(_ANSWER_SECONDS))
    except ExchangeError as error:
        result = error
    return Exchange(location=location, seconds=time.monotonic() - begin, result=result)


def _named(exchange: Exchange) -> object:
    """Return what was said, under the name that the path has for it."""
    try:
        return {_name(exchange): parse_json(exchange.result.body)} if isinstance(exchange.result, Answer) else None
    except BatteryError:
        return None


def _name(exchange: Exchange) -> str:
    """Return the code of an eco 6 that the path ends in; elsewhere the answer has names of its own."""
    path = exchange.location.path
    return path.rpartition("/")[2] if path.startswith(f"{_ECO6}/") else ""


def _entry(exchange: Exchange, redaction: Redaction) -> dict[str, object]:
    location, result = exchange.location, exchange.result
    entry: dict[str, object] = {
        "port": location.port,
        "path": location.path,
        "with_token": location.with_token,
        "seconds": round(exchange.seconds, 3),
    }
    if isinstance(result, ExchangeError):
        # Not its words: they may quote what the other side said.
        return entry | {"outcome": result.outcome}
    entry |= {"status": result.status, "headers": dict(_headers(result, redaction))}
    try:
        document = parse_json(result.body)
    except BatteryError:
        return entry | {"text": _text(result.body)}
    redacted = redaction.json(document, _name(exchange))
    try:
        json.dumps(redacted, allow_nan=False)
    except ValueError:
        return entry | {"text": json.dumps(redacted)}
    return entry | {"json": redacted}


def _headers(answer: Answer, redaction: Redaction) -> Iterator[tuple[str, str]]:
    kind = answer.headers.get("Content-Type")
    if kind is not None:
        plain = kind.partition(";")[0].strip().lower()
        yield "Content-Type", plain if plain in _TYPES else redaction.stand_in(kind)
    with suppress(ValueError, OverflowError):
        # Written anew: only a time can come out.
        yield "Date", format_datetime(parsedate_to_datetime(answer.headers.get("Date", "")))
    if (location := answer.headers.get("Location")) is not None:
        yield "Location", redaction.stand_in(location)


def _text(body: bytes) -> str:
    """Return what stands for a body that is no JSON; only that it was a page of the battery's is told."""
    if not body.lstrip().startswith(b"<"):
        return f"({len(body)} bytes that are not JSON)"
    return f"<!DOCTYPE html><html>{PAGE_TITLE if PAGE_TITLE.encode() in body else ''}</html>"
