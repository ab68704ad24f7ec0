import pytest

from sonnen_agent.battery.client import DEPTH_LIMIT, parse_json
from sonnen_agent.errors import BatteryError


def complaint(body: bytes) -> str:
    with pytest.raises(BatteryError) as caught:
        parse_json(body)
    assert caught.value.outcome == "invalid"
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b'{"RSOC": 5, "USOC": null}', {"RSOC": 5, "USOC": None}),
        (b"[]", []),
        (b"1234\n", 1234),
        (b"12.5\r\n", 12.5),
        (b"\xef\xbb\xbf{}", {}),
        ('"Küche"'.encode(), "Küche"),
    ],
)
def test_any_json_value_is_a_document(body: bytes, document: object) -> None:
    assert parse_json(body) == document


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><p>Page not found", b'\n <?xml version="1.0"?>'])
def test_a_web_page_is_called_by_its_name(page: bytes) -> None:
    assert complaint(page) == "answered a web page instead of JSON"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ok",
        b'{"RSOC": 5',
        b'{"RSOC": 5}}',
        b"\xff\xfe\xfd",
        b'{"name": "K\xfcche"}',
        b"[" + b"9" * 5000 + b"]",
    ],
)
def test_what_is_not_json_is_an_error_with_the_place(body: bytes) -> None:
    assert complaint(body).startswith("answered something that is not JSON: ")


def test_the_deepest_document_allowed_is_read() -> None:
    document = parse_json(b"[" * DEPTH_LIMIT + b"]" * DEPTH_LIMIT)

    for _ in range(DEPTH_LIMIT - 1):
        assert isinstance(document, list)
        (document,) = document
    assert document == []


@pytest.mark.parametrize(
    "body",
    [
        b"[" * (DEPTH_LIMIT + 1) + b"]" * (DEPTH_LIMIT + 1),
        b'{"a":' * (DEPTH_LIMIT + 1) + b"1" + b"}" * (DEPTH_LIMIT + 1),
        b"[" * 100_000,
        b'["\\"", ' + b"[" * 100_000 + b'"',
    ],
)
def test_a_document_nested_too_deep_is_an_error(body: bytes) -> None:
    assert complaint(body) == "answered JSON nested deeper than 32 levels"


def test_brackets_in_texts_are_no_depth() -> None:
    brackets = "[{" * 100
    assert parse_json(f'{{"a": "{brackets}", "b\\"{brackets}": "\\\\"}}'.encode()) == {
        "a": brackets,
        f'b"{brackets}': "\\",
    }


def test_many_neighbours_are_no_depth() -> None:
    assert parse_json(b"[" + b"[],{}," * 1000 + b"[]]") == [*[[], {}] * 1000, []]


def test_another_encoding_cannot_hide_depth_in_what_looks_like_a_text() -> None:
    # The bytes of U+2200 include a quotation mark, which is none.
    body = ('["\u2200", ' + "[" * 50_000 + '"').encode("utf-16-le")
    assert complaint(body)


def test_a_text_of_nothing_but_escaped_quotes_takes_no_longer_than_any_other() -> None:
    # Where each quotation mark is taken for a beginning, this takes minutes.
    assert complaint(b'"' + b'\\"' * 120_000).startswith("answered something that is not JSON: ")
