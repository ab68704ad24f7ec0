import copy
import json
import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from sonnen_agent.redaction import Redaction
from sonnen_agent.simulator.generations import GENERATION_NAMES, generation_named

PLANTED = [
    "3f1c9a52-0b7e-4f43-9c11-5f7de7c0ffee",
    "3f1c9a520b7e4f439c115f7de7c0ffee",
    "a1w2l3n4v5",
    "Psb100200",
    "100200",
    "Familie Müller",
    "Max Mustermann",
    "Max",
    "White",
    "anna@example.org",
    "192.168.1.20",
    "10.77.0.12",
    "fd77::12",
    "fe80::dead:beef",
    "raspberrypi.fritz.box",
    "DC:AC:11:22:33:44",
    "dc-ac-1a-01-02-03",
    "dcac11223344",
    "52.520008, 13.404954",
    "52.520008",
    "+49 30 1234567",
    "Hauptstraße 12",
    "http://battery.example/secret",
    '{"serial": 100200}',
    "1980-05-12",
]
NUMBERS = [100200, 77123.0, 52.520008, 13.404954, 493012345678, 242_970_000_000_001]


FOLDER = Path(os.environ.get("SONNEN_RECORDED_ANSWERS", "/none"))
REAL = [
    pytest.param(json.loads(file.read_text()), id=file.stem)
    for file in sorted(FOLDER.glob("*.json"))
    if file.name != "EXPECTED.json"
]
SIMULATED = [
    pytest.param(template, id=f"{name}{path}")
    for name in GENERATION_NAMES
    for path, template in generation_named(name).routes.items()
]


def numbers_only(document: object) -> object:
    """Return the document of a simulated battery with a number wherever it would fill one in."""
    match document:
        case dict():
            return {name: numbers_only(part) for name, part in document.items()}
        case list():
            return [numbers_only(part) for part in document]
        case str() if document.startswith("$") or "{" in document:
            return 42.5
        case _:
            return document


def parts(document: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path to each mapping and list of a document."""
    if isinstance(document, dict | list):
        yield path
        for step, inner in document.items() if isinstance(document, dict) else enumerate(document):
            yield from parts(inner, (*path, step))


def planted(document: object, secret: str | float) -> Iterator[object]:
    """Yield the document again and again, each time with a secret in another part, at all odd places there.

    What stands under a name such as `serial_number` is looked for everywhere: so there is that, and all others.
    """
    hidden: dict[str, object] = {
        "owner": secret,
        "notes": {"deep": {"deviceid": secret}},
        "EM_ToU_Schedule": json.dumps([{"who": secret, f"{secret}": 1}]),
        "DE_Software": f"1.18.2 {secret}",
        f"{secret}": True,
    }
    named: dict[str, object] = {"serial_number": [secret], "SystemStatus": secret}
    for path, secrets in product(parts(document), (hidden, named)):
        changed: Any = copy.deepcopy(document)
        part = changed
        for step in path:
            part = part[step]
        if isinstance(part, dict):
            part.update(secrets)
        else:
            part.append(secrets)
        yield changed


def shown(redaction: Redaction, document: object) -> str:
    redaction.learn_from(document)
    return json.dumps(redaction.json(document), ensure_ascii=False)


@pytest.mark.parametrize("document", [*REAL, *SIMULATED])
def test_of_a_known_answer_all_that_counts_stays(document: object) -> None:
    document = numbers_only(document)
    redacted = Redaction().json(document)
    lost = json.dumps(redacted).count("redacted-")
    assert lost <= json.dumps(document).count('"DE"')  # what a digital input is used for, in one of them
    if not lost and "S15" not in json.dumps(document):
        # A schedule is JSON within a text: it may have other spaces.
        assert json.dumps(redacted).replace(" ", "") == json.dumps(document).replace(" ", "")


@pytest.mark.parametrize("document", [*REAL, *SIMULATED])
def test_nothing_planted_comes_out(document: object) -> None:
    document = numbers_only(document)
    before = shown(Redaction(), document)
    secrets: list[str | float] = [*PLANTED, *NUMBERS]
    for secret in secrets:
        written = json.dumps(f"{secret}".removesuffix(".0"), ensure_ascii=False)[1:-1]
        for changed in planted(document, secret):
            after = shown(Redaction(), changed)
            assert (secret, after.count(written)) == (secret, before.count(written))


def test_the_same_has_the_same_stand_in_and_another_another() -> None:
    redaction = Redaction()
    one = redaction.json({"serial": "Psb1", "owner": "Anna", "again": ["Anna", "Berta"]})
    assert one == {
        "redacted-1": "redacted-2",
        "redacted-3": "redacted-4",
        "redacted-5": ["redacted-4", "redacted-6"],
    }
    assert redaction.json({"owner": "Berta"}) == {"redacted-3": "redacted-6"}


def test_a_serial_number_that_is_told_is_found_as_number_and_as_text_wherever_it_stands() -> None:
    redaction = Redaction()
    redaction.learn_from({"S15": 100200})
    redacted = redaction.json({"S15": 100200, "M31": 100200.0, "M41": "100200", "M03": 1002})
    assert redacted == {"S15": 1000000001, "M31": 1000000001, "M41": "1000000001", "M03": 1002}


def test_a_secret_that_is_an_everyday_word_leaves_the_known_keys_and_texts_alone() -> None:
    redaction = Redaction()
    redaction.learn(["battery", "production", "2026-06-21", "microgrid"])
    document = {"FlowConsumptionBattery": True, "direction": "production", "Timestamp": "2026-06-21 12:00:00"}
    assert redaction.json(document) == document | {"Timestamp": "redacted-1"}
    assert redaction.json({"Microgrid Power Error": 1}) == {"redacted-2": 1}


def test_what_is_no_number_stays_what_it_is() -> None:
    document = {"Uac": float("inf"), "Fac": float("nan"), "Production_W": "nan", "Consumption_W": None, "USOC": True}
    assert repr(Redaction().json(document)) == repr(document | {"Uac": 1000000001})


@pytest.mark.parametrize("document", ["hunter2", 5, [], {}, None, [[[["Anna"]]]]], ids=repr)
def test_any_document_is_redacted(document: object) -> None:
    redacted = json.dumps(Redaction().json(document))
    assert "hunter2" not in redacted
    assert "Anna" not in redacted
