"""A body from the network becomes a JSON document, or an error: bounded in depth, never a surprise."""

import json
import re

from sonnen_agent.errors import BatteryError

DEPTH_LIMIT = 32
"""Real answers nest four deep; a hundred thousand brackets are an attack on the parser."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
"""Also without its end: a search for one that begins at every quotation mark would take minutes."""
_BRACKET = re.compile(rb"[\[\]{}]")


def parse_document(body: bytes) -> object:
    """Return the JSON value, or raise BatteryError `invalid` saying what came instead."""
    _check_depth(body)
    try:
        # Bytes in other encodings, which json would take too, can hide brackets from the check above.
        document: object = json.loads(body.decode("utf-8-sig"))
    except ValueError as error:  # bad JSON, bad UTF-8, a number of thousands of digits
        if body.lstrip()[:1] == b"<":
            raise BatteryError("invalid", "answered a web page instead of JSON") from error
        raise BatteryError("invalid", f"answered something that is not JSON: {error}") from error
    return document


def _check_depth(body: bytes) -> None:
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEPTH_LIMIT:
            raise BatteryError("invalid", f"answered JSON nested deeper than {DEPTH_LIMIT} levels")
