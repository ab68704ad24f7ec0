import pytest

from sonnen_agent.battery.client import parse_json
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
    ],
)
def test_what_is_not_json_is_an_error_with_the_place(body: bytes) -> None:
    assert complaint(body).startswith("answered something that is not JSON: ")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
        b"[" * 250_000,
        b'["\\"", ' + b"[" * 100_000 + b'"',
    ],
)
def test_a_document_nested_too_deep_is_an_error(body: bytes) -> None:
    assert complaint(body) == "answered JSON that nests too deeply"


def test_a_document_may_nest_32_deep() -> None:
    assert parse_json(b"[" * 32 + b"]" * 32)
    assert complaint(b"[" * 33 + b"]" * 33) == "answered JSON that nests too deeply"
    assert complaint(b'{"a":[],"b":' * 33 + b"0" + b"}" * 33) == "answered JSON that nests too deeply"


def test_closing_brackets_in_texts_do_not_hide_depth() -> None:
    assert complaint(b'["]",' * 33 + b"0" + b"]" * 33) == "answered JSON that nests too deeply"
    assert complaint(b'["\\\\",' * 33 + b"0" + b"]" * 33) == "answered JSON that nests too deeply"


@pytest.mark.parametrize("number", [b"9" * 65, b"1." + b"0" * 65, b"1e" + b"9" * 65, b"-" + b"9" * 100_000])
def test_a_number_of_many_digits_is_an_error(number: bytes) -> None:
    for document in (number, b'{"a": "' + number + b'"}'):
        assert complaint(document) == "answered a number of more than 64 digits"
    assert parse_json(b"9" * 64) == int("9" * 64)


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
