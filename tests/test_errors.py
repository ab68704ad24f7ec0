import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonnen_agent.errors import counted, quoted

SECRETS = [
    "6c1f0a52-the/token+==",
    'correct horse "$battery" & <staple>\'',
    "geheimnis-äöü-\N{SNOWMAN}",
    "a\\b\\\\c",
    "%41&amp;",
    "x",
]

SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "URL": lambda secret: quote(secret, safe=""),
    "URL in small letters": lambda secret: quote(secret, safe="").replace("%2F", "%2f").replace("%2B", "%2b"),
    "path": quote,
    "form": quote_plus,
    "JSON": lambda secret: json.dumps(secret)[1:-1],
    "JSON in UTF-8": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "JSON for a web page": lambda secret: json.dumps(secret)[1:-1].replace("&", r"\u0026").replace("<", r"\u003C"),
    "JSON of PHP": lambda secret: json.dumps(secret)[1:-1].replace("/", r"\/"),
    "HTML": html.escape,
    "HTML of Go": lambda secret: html.escape(secret).replace("+", "&#43;").replace("&quot;", "&#34;"),
    "Python": lambda secret: repr(secret)[1:-1],
}


def test_of_one_thing_a_message_says_no_plural() -> None:
    assert [counted(number, "push was", "pushes were") for number in (0, 1, 2)] == [
        "0 pushes were",
        "1 push was",
        "2 pushes were",
    ]


@given(st.text())
def test_what_a_peer_says_becomes_one_short_printable_line(said: str) -> None:
    shown = quoted(said + "\n" + said * 100)

    assert shown.isprintable()
    assert len(shown) <= 300


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("text format\n\tparsing error", "text format parsing error"),
        ("\x1b[31mred\x1b[0m\x00", r"\x1b[31mred\x1b[0m\x00"),
        ("one\r\nWARNING forged", "one WARNING forged"),
        ("next\x85line\u2028and\u2029and", "next line and and"),
        ("turned \u202eround", r"turned \u202eround"),
        ("Zürich ☃", "Zürich ☃"),
        ("  ", ""),
        ("x" * 301, "x" * 300),
    ],
)
def test_it_keeps_what_can_be_read(said: str, shown: str) -> None:
    assert quoted(said) == shown


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_not_shown_however_it_is_spelled(secret: str, spelling: str) -> None:
    repeated = SPELLINGS[spelling](secret)

    assert quoted(f"[{repeated}]", ["unused", secret]) == "[***]"


def test_a_secret_is_not_shown_in_part_where_the_words_end() -> None:
    secret = "6c1f0a52-the-token"

    assert "6c1f" not in quoted("." * 290 + secret, [secret])


@given(st.text(), st.lists(st.text(min_size=1), min_size=1))
def test_no_words_and_no_secrets_break_it(said: str, secrets: list[str]) -> None:
    assert quoted(said, secrets).isprintable()


def test_base64_is_a_spelling_like_any_other() -> None:
    pair = base64.b64encode(b"pi:secret?>").decode()

    assert quoted(f"Basic {quote_plus(pair)}", [pair.rstrip("=")]).startswith("Basic ***")
