"""Takes out of a battery's answers whatever could tell whose it is: what is not known to be harmless goes.

Firmware puts serial numbers, addresses and names into places that nobody has listed. So nothing is looked for;
instead a key stays when all its words are those of a battery, a text when it is one of a battery's states, a time or
a version, and a number when its key stays and says nothing of identity. All else gets a stand-in, the same one
wherever the same thing stands.
"""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache

from sonnen_agent.simulator.generations import GENERATION_NAMES, generation_named

_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_LETTERS = re.compile(r"[A-Za-z]+")
_UNIT = re.compile(r"_(W|Wh|kWh|A|V|VA|Hz|w|l[123])$")
_KEY_CHARACTERS = re.compile(r"[A-Za-z0-9 _()-]{1,60}")
_LIKE_A_CODE = re.compile(r"\d{3}|(\d+\D+){3}|([0-9a-f]{2}[ _-]){3}", re.IGNORECASE)
"""Long numbers, many of them, and what may be a MAC address: a key that nobody knows has none."""
_IDENTITY = re.compile(r"S(?!65)\d\d|.*(serial|ticket|token).*", re.IGNORECASE | re.DOTALL)
"""Keys whose values name this battery; S15 is the serial number of an eco 6, S65 a power (docs/battery-api.md 7)."""
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
_GREATEST = 1e9
"""No quantity of a battery is larger; an identifier may be."""
_SHORTEST_SECRET, _LONG_SECRET = 4, 6
"""Characters; a long one is found within other texts, too."""
_HARMLESS = re.compile(
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?"  # the time of an answer
    r"|(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d \d{4}"
    r"|\d\d:\d\d"
    r"|\d\.\d{1,2}\.\d{1,3}"  # software
    r"|0x[0-9a-fA-F]{1,4}( - [A-Z]+_[A-Z]+)?"
    r"|X\d\d_\d\d?"  # the connector of a digital input
    r"|[+-]?(nan|inf|infinity)",
    re.IGNORECASE,
)
_TEXTS = """
    true|false|null|none|on|off|ok|error|critical error|warning|init|config|ready|not ready|running|standby|idle|
    ongrid|offgrid|off-grid|connected|not connected|disconnected|automatic|manual|charging|discharging|waiting|sleep|
    production|consumption|primary|secondary|single|unknown|fault|boot|starting|stopped|open|closed|
    self consumption relay|dc-contactor|dc-fan|chp soc (min/max)|uv|ov|ce|pv reduction 1|pv reduction 2|chp|micro chp|
    401 unauthorized|unauthorized|403 forbidden|forbidden|404 not found|not found|500 internal server error|
    internal server error|502 bad gateway|bad gateway|no data|invalid parameters|validation failed|vpp has priority
"""
_KEYS = """
    DI_1 DO_1 DI_10 DO_10 1_10 10_1 connector usage channel deviceid direction error details kwh_imported kwh_exported
    a_l1 v_l1_n v_l1_l2 w_l1 w_total va_total var_total a_total ipv2 ppv2 upv2 ReturnCode UTC_Offset measurements
    battery_status alarms warnings system_status module_log Module_Status stateofhealth grid start stop charge
    OpenCollectorOutput1 gridgensetactivepower batterypower inverteralarms grid_information Charger Spare Timeout Flat
    Auto Mode Unknown Connected Voltage Current Power Frequency Temperature Energy Cell Sensor Fan Relay Fuse Ground
    Isolation Overload Short Circuit Phase Loss Sync GridFeed Export Import Solar Autarky Backup Buffer Island Genset
"""
_KEYS_OF_WORDS = ("Active P(f) Active", "Active Pu Active")
_SMALL_WORDS = frozenset(("of", "no", "by", "is", "to", "or", "on", "too", "was", "not", "and"))
_PRIVATE_WORDS = """
    max min green white red blue orange one two rot serial ticket user number country code point role manager installed
    usage received phi type for
"""
"""Words of known keys that in an unknown one may be a name, or may say where or whose something is."""


class Redaction:
    """Redacts answers, and gives the same thing the same stand-in in all of them."""

    def __init__(self) -> None:
        self._stand_ins: dict[str, int] = {}
        self._secrets: set[str] = set()

    def learn(self, secrets: Iterable[str]) -> None:
        """Take note of what must not be shown anywhere, not even where it looks harmless."""
        self._secrets.update(secret for secret in secrets if len(secret) >= _SHORTEST_SECRET)

    def learn_from(self, document: object) -> None:
        """Take note of what a JSON value tells under a key that names this one battery."""
        self.learn(_identities(document, named=False))

    def json(self, value: object, key: str = "", *, keeps: bool = True) -> object:
        """Return a JSON value without what could be private; `keeps` says whether what it is part of stayed."""
        keeps = keeps and (not key or _key_stays(key)) and _IDENTITY.fullmatch(key) is None
        match value:
            case dict():
                return {self._key(name): self.json(part, name, keeps=keeps) for name, part in value.items()}
            case list():
                return [self.json(part, key, keeps=keeps) for part in value]
            case bool() | None:
                return value
            case int() | float():
                number = _plain(value)
                return value if self._number_stays(number, keeps=keeps) else self._number(number)
            case _:
                return self._text(str(value), key, keeps=keeps)

    def stand_in(self, private: str) -> str:
        """Return what stands for a text."""
        return f"redacted-{self._number_of(private)}"

    def _text(self, text: str, key: str, *, keeps: bool) -> str:
        if _NUMBER.fullmatch(text.strip()):
            return text if self._number_stays(text.strip(), keeps=keeps) else f"{self._number(text.strip())}"
        if text[:1] in ("{", "["):
            try:
                return json.dumps(self.json(json.loads(text), key, keeps=keeps))
            except (ValueError, RecursionError):
                return self.stand_in(text)
        stays = text.lower() in _texts() or (_HARMLESS.fullmatch(text) is not None and not self._holds_a_secret(text))
        return text if not text or (keeps and stays) else self.stand_in(text)

    def _key(self, key: str) -> str:
        known = _shape(key) in _vocabulary()[0]
        return key if known or (_key_stays(key) and not self._holds_a_secret(key)) else self.stand_in(key)

    def _number_stays(self, number: str, *, keeps: bool) -> bool:
        return keeps and number not in self._secrets and not abs(float(number)) >= _GREATEST

    def _number(self, number: str) -> int:
        # A number remains one, larger than any that stays.
        return int(_GREATEST) + self._number_of(number)

    def _holds_a_secret(self, text: str) -> bool:
        text = text.lower()
        return any(s.lower() in text if len(s) >= _LONG_SECRET else s.lower() == text for s in self._secrets)

    def _number_of(self, private: str) -> int:
        return self._stand_ins.setdefault(private, len(self._stand_ins) + 1)


def _identities(value: object, *, named: bool) -> Iterator[str]:
    match value:
        case dict():
            for key, part in value.items():
                yield from _identities(part, named=named or _IDENTITY.fullmatch(key) is not None)
        case list():
            for part in value:
                yield from _identities(part, named=named)
        case bool() | None:
            return
        case _ if named:
            yield _plain(value)


def _plain(value: object) -> str:
    """Return a number or text in one way of writing, so that 7, 7.0 and "7" are the same."""
    return f"{value:.15g}" if isinstance(value, float) else f"{value}".strip()


def _key_stays(key: str) -> bool:
    known, words = _vocabulary()
    if _shape(key) in known:
        return True
    found = _LETTERS.findall(_UNIT.sub("", key))
    regular = _KEY_CHARACTERS.fullmatch(key) and not _LIKE_A_CODE.search(key) and not _IDENTITY.fullmatch(key)
    return bool(regular and found) and all(word.lower() in words or _pieces(word) <= words for word in found)


def _shape(key: str) -> str:
    return re.sub(r"[0-9]", "#", key)


def _pieces(word: str) -> set[str]:
    return {piece.lower() for piece in _PIECE.findall(word)}


@cache
def _vocabulary() -> tuple[frozenset[str], frozenset[str]]:
    """Return the shapes of all keys that are known, and the words that a new one may be made of."""
    keys = [key for name in GENERATION_NAMES for key in _keys(list(generation_named(name).routes.values()))]
    keys += (*_KEYS.split(), *_KEYS_OF_WORDS)
    words = [word for key in keys for word in _LETTERS.findall(key)]
    parts = {word.lower() for word in words}.union(*map(_pieces, words))
    return frozenset(map(_shape, keys)), frozenset(w for w in parts if len(w) > 2) - {
        *_PRIVATE_WORDS.split()
    } | _SMALL_WORDS


def _keys(value: object) -> Iterator[str]:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    yield from value if isinstance(value, dict) else ()
    for part in parts:
        yield from _keys(part)


@cache
def _texts() -> frozenset[str]:
    return frozenset(text.strip() for text in _TEXTS.split("|"))
