"""A Pushgateway output that is run by hand: what a test puts is delivered one after the other, without a thread."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest
from pytest_httpserver import HTTPServer

from sonnen_agent.group import Group
from sonnen_agent.outputs import Retain
from sonnen_agent.outputs.pushgateway import PushgatewayOutput
from sonnen_agent.scheduler import ProgressWatch

NOTHING_RETAINED = Retain()


class _Feeder(ProgressWatch):
    """Puts the next group each time the output has nothing to do, and stops it after the last one."""

    def __init__(self, output: PushgatewayOutput, groups: Iterable[Group], retain: Retain) -> None:
        super().__init__()
        self._output = output
        self._groups = iter(groups)
        self._retain = retain

    @contextmanager
    def rest(self) -> Iterator[None]:
        for group in self._groups:
            self._output.put(group)
            # With an interval most groups are not due, and nothing comes of them.
            if self._output._queue._groups:  # noqa: SLF001 - nobody else needs to know
                break
        else:
            self._output.stop(self._retain)
        with super().rest():
            yield


def deliver(output: PushgatewayOutput, groups: Iterable[Group], retain: Retain = NOTHING_RETAINED) -> None:
    """Deliver one group after the other, each made when the one before is dealt with, and stop."""
    output.run(_Feeder(output, groups, retain))


def methods(httpserver: HTTPServer) -> list[str]:
    """Return how the gateway was asked, in order."""
    return [request.method for request, _ in httpserver.log]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the log says, but for what helps only to find bugs."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.INFO and record.name.startswith("sonnen_agent")
    ]
