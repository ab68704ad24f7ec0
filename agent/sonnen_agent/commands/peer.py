"""A server that is asked for JSON: a gateway, a Prometheus, a Grafana."""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlencode

from sonnen_agent.clock import Deadline
from sonnen_agent.config.secrets import Secrets
from sonnen_agent.config.section import Section
from sonnen_agent.destination import Destination, expect_success
from sonnen_agent.errors import ExchangeError, Outcome
from sonnen_agent.transport import Answer

_LIMIT_BYTES = 16 << 20
_SECONDS = 8
_EXAMPLES = {
    "grafana": "http://grafana.example:3000",
    "prometheus": "http://prometheus.example:9090",
    "pushgateway": "http://gateway.example:9091",
}


def server(
    name: str, url: str, folder: Path, credentials: Path | None = None, files: Mapping[str, Path | None] | None = None
) -> tuple[Destination, list[str]]:
    """Return where a server is, a user name before its host taken off, and what is wrong with that.

    `folder` is the config's, with the secrets in it, and `credentials` systemd's. `files` are the ways to log in of the
    config's receivers, by key; without any, the secrets named after it count.
    """
    scheme, _, rest = url.partition("://")
    user, at, host = rest.partition("@")
    values: dict[object, object] = {"url": url}
    if at and user and ":" not in user:  # with a password in it, it stays as it is, and is refused
        values = {"url": f"{scheme}://{host}", "username": user}
    values |= {key: str(file.absolute()) for key, file in (files or {}).items() if file is not None}
    problems: list[str] = []
    secrets = Secrets(folder=folder, credentials=credentials, beside=folder / "secrets")
    return secrets.destination(Section(values, "", problems), _EXAMPLES[name], name), problems


class Peer:
    """Asks by GET, one request at a time, until a deadline."""

    def __init__(self, destination: Destination, deadline: Deadline, hints: Mapping[Outcome, str]) -> None:
        self._destination, self._deadline, self._hints = destination, deadline, hints
        self._connection = destination.connect()
        self.clock_offset_seconds: float | None = None
        """How far its clock was ahead of ours at the latest answer; None where it does not tell."""

    def get(self, path: str, **query: str | float) -> Answer:
        """Return a success, or raise ExchangeError with the URL in front."""
        destination = self._destination
        target = f"{destination.path}{path}{'?' + urlencode(query) if query else ''}"
        try:
            answer = self._connection.request(
                "GET",
                target,
                headers={"Accept": "*/*", **destination.headers()},
                deadline=self._deadline.at_most(_SECONDS),
                body_limit=_LIMIT_BYTES,
            )
            self.clock_offset_seconds = seconds_ahead(answer.headers.get("Date"))
            expect_success(answer, self._hints)
        except ExchangeError as error:
            raise ExchangeError(error.outcome, f"{destination.url}{path}: {error}", status=error.status) from None
        return answer

    def json(self, path: str, **query: str | float) -> object:
        """Return the JSON value of an answer, or raise ExchangeError."""
        answer = self.get(path, **query)
        try:
            value: object = json.loads(answer.body)
        except (ValueError, RecursionError):
            words = f"{self._destination.url}{path}: answered something that is not JSON: {answer.excerpt[:80]}"
            raise ExchangeError("invalid", words) from None
        return value


def seconds_ahead(date: str | None) -> float | None:
    """Return how far a clock is ahead of ours by the Date of an answer that has just come, good to a second."""
    with suppress(ValueError, TypeError, IndexError):
        return parsedate_to_datetime(date or "").timestamp() + 0.5 - time.time()
    return None


def dig(document: object, *keys: str) -> object:
    """Return what lies below keys of nested mappings; None where it is not there."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def items(value: object) -> list[object]:
    """Return a list, an empty one where it is none."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """Return a text, an empty one where it is none."""
    return value if isinstance(value, str) else ""
