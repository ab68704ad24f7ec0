"""An exporter's page in text format 0.0.4, made fit for a gateway: pure, and as near to the original as can be.

Names, types and help texts stay as they are. Reading the page with prometheus_client and writing it anew would not do
that: a counter `c` would come out as `c_total`.
"""

import re
from io import BytesIO

_EXCERPT_BYTES = 80
_OUR_PREFIX = b"sonnen_"
"""A gateway takes no two types of one name: a page that came first would lock the batteries out."""

# Possessive (`*+`): nothing here has to be read in another way, so a line without sense costs no more than its length.
_BLANKS = rb"[ \t]*+"
_LABELS = rb'\{(?:[^"}]|"(?:[^"\\]|\\.)*+")*+\}'
_NUMBER = rb"[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?"
_VALUE = _NUMBER + rb"|[+-]?(?i:infinity|inf|nan)"
_SAMPLE = re.compile(
    rb"(%(blanks)s([a-zA-Z_:][a-zA-Z0-9_:]*+)%(blanks)s(?:%(labels)s%(blanks)s)?+(?:%(value)s))"
    rb"(?:[ \t]++%(number)s)?%(blanks)s"
    % {b"blanks": _BLANKS, b"labels": _LABELS, b"value": _VALUE, b"number": _NUMBER}
)
_COMMENT_OR_NOTHING = re.compile(rb"[ \t]*+(?:#.*)?", re.DOTALL)


def pushable(page: bytes) -> bytes:
    """Return the page without timestamps, each line ended by a line feed; ValueError when it is no such page.

    A gateway refuses timestamps, and what stands between the value and the end of a line.
    """
    clean = bytearray()
    # Line by line, and not in one go: a large page keeps no other thread waiting.
    for number, line in enumerate(BytesIO(page), start=1):
        text = line.removesuffix(b"\n").removesuffix(b"\r")
        sample = _SAMPLE.fullmatch(text)
        if sample is None and not _COMMENT_OR_NOTHING.fullmatch(text):
            excerpt = text[:_EXCERPT_BYTES].decode("utf-8", "replace")
            raise ValueError(
                f"line {number} is not in Prometheus's text format: {excerpt!r}; "
                "the URL of an exporter's page most often ends in /metrics"
            )
        if sample is not None and sample[2].startswith(_OUR_PREFIX):
            raise ValueError(f"line {number}: {sample[2].decode()} is a name of the agent's own, and not pushed along")
        clean += sample[1] if sample is not None else text
        clean += b"\n"
    return bytes(clean)
