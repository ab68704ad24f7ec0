"""A battery that answers, path by path, what a test has put down."""

import gc
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from sonnen_agent.errors import AgentError

HANG = -1
"""As an answer: none, until the test is over."""


class Box:
    """A battery that answers what a test has put down for a path, else 404: a status code, a text, or JSON.

    A pair of seconds and one of these comes that much later.
    """

    def __init__(self, server: HTTPServer) -> None:
        self.port = server.port
        self.answers: dict[str, object] = {}
        self.not_found = ""
        """What is on the page of a path that is not there."""
        self.guarded: dict[str, str] = {}
        """Paths that answer 401 without this token."""
        self.over = threading.Event()
        self._asked: list[tuple[str, str | None]] = []
        self._server = server
        server.expect_request(re.compile("")).respond_with_handler(self._answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.over.set()
        self._server.clear()

    def asked(self) -> list[str]:
        """Return the paths asked for since the last time."""
        return [path for path, _ in self.asked_with_tokens()]

    def asked_with_tokens(self) -> list[tuple[str, str | None]]:
        """Return the paths asked for since the last time, with the token that came along."""
        asked, self._asked = self._asked, []
        return asked

    def _answer(self, request: Request) -> Response:
        self._asked.append((request.path, request.headers.get("Auth-Token")))
        answer = self.answers.get(request.path, 404)
        if self.guarded.get(request.path) not in (None, request.headers.get("Auth-Token")):
            answer = 401
        if isinstance(answer, tuple):
            seconds, answer = answer
            self.over.wait(seconds)
        if answer == HANG:
            self.over.wait(20)
            return Response()
        if isinstance(answer, int):
            return Response(self.not_found if answer == 404 else "", status=answer)
        return Response(answer if isinstance(answer, str) else json.dumps(answer))


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return what the agent logged; the server logs, too."""
    return [(record.levelname, record.getMessage()) for record in caplog.records if "sonnen_agent" in record.name]


@contextmanager
def no_errors_left() -> Iterator[None]:
    """Fail if an error of ours outlives the block: it would keep its traceback, and with it the answer's body.

    Not even for the garbage collector, which may come late.
    """

    def alive() -> list[str]:
        return [str(thing) for thing in gc.get_objects() if isinstance(thing, AgentError)]

    gc.collect()
    gc.disable()
    try:
        before = alive()
        yield
        assert alive() == before
    finally:
        gc.enable()
