"""A battery that says again what `sonnen-agent dump` has written down."""

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

from sonnen_agent.errors import StartError
from sonnen_agent.files import read_regular
from sonnen_agent.simulator.battery import Answer, error_answer

FORMAT = "sonnen_agent_dump"
"""The key that says what a document is; its value is the version of the format."""
PAGE_TITLE = "<title>sonnenBatterie</title>"
_LARGEST_BYTES = 16 << 20


class ReplayedBattery:
    """Answers each path as it was answered, on whichever port that was."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        """Take the entries of one battery, or raise KeyError, TypeError or ValueError where they are none."""
        self._answers: dict[tuple[str, bool], Answer] = {}
        # Of the ports that answered, the one that was of use.
        for entry in sorted(entries, key=lambda entry: entry.get("status") != 200):
            self._answers.setdefault((str(entry["path"]), bool(entry["with_token"])), _answer(entry))

    def answer(self, path: str, token: str | None) -> Answer:
        """Return the answer to a GET, with or without a token."""
        found = self._answers.get((path, bool(token))) or self._answers.get((path, False))
        if found is not None:
            return found
        if (path, True) in self._answers:
            return error_answer(HTTPStatus.UNAUTHORIZED, "401 Unauthorized")
        return error_answer(HTTPStatus.NOT_FOUND, "404 Not Found")


def load_replay(file: Path) -> list[ReplayedBattery]:
    """Return the batteries of a dump, or raise StartError."""
    try:
        document = json.loads(read_regular(file, _LARGEST_BYTES, follow=True, pipe=True))
        if document[FORMAT] != 1:
            raise StartError(f"{file}: was written by a newer sonnen-agent; update this one")
        return [ReplayedBattery(battery["answers"]) for battery in document["batteries"]]
    except OSError as error:
        raise StartError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise StartError(f"{file}: is no document of sonnen-agent dump") from error


def _answer(entry: dict[str, Any]) -> Answer:
    if "status" not in entry:
        # Nobody can answer that nobody answered.
        return error_answer(HTTPStatus.GATEWAY_TIMEOUT, str(entry["outcome"]))
    body = json.dumps(entry["json"]) if "json" in entry else str(entry["text"])
    headers = entry["headers"]
    return Answer(
        status=int(entry["status"]),
        content_type=str(headers.get("Content-Type", "application/json")),
        payload=body.encode(),
        location="/" if "Location" in headers else None,
    )
