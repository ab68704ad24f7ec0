"""A receiver for the tests: it takes requests apart as a real one would, and says what the test wants it to say."""

from collections.abc import Callable
from dataclasses import dataclass, field

from decoding import Decoded, Labels, decode, decompress, double
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

PATH = "/api/v1/write"

Reply = Callable[[Decoded], Response | None]
"""Returns what to answer instead of 204; None stores the samples."""


@dataclass
class FakeReceiver:
    """Stores what it takes."""

    server: HTTPServer
    reply: Reply = lambda _: None
    requests: list[Request] = field(default_factory=list)
    bodies: list[Decoded] = field(default_factory=list)
    """Of every request, in order, taken or not."""
    stored: dict[Labels, dict[int, float]] = field(default_factory=dict)
    """By series and time."""
    order: list[tuple[int, Labels]] = field(default_factory=list)
    """Every sample that was stored, in order."""

    def __post_init__(self) -> None:
        self.server.expect_request(PATH).respond_with_handler(self._answer)

    @property
    def url(self) -> str:
        return self.server.url_for(PATH)

    def of(self, name: str) -> dict[int, float]:
        """Return all samples of the series with this name, whatever its other labels."""
        return {
            unix_ms: value
            for labels, samples in self.stored.items()
            if dict(labels)["__name__"] == name
            for unix_ms, value in samples.items()
        }

    def _answer(self, request: Request) -> Response:
        body = decode(decompress(request.get_data()))
        self.requests.append(request)
        self.bodies.append(body)
        answer = self.reply(body)
        if answer is not None:
            return answer
        for labels, samples in body.items():
            for unix_ms, value in samples:
                self.stored.setdefault(labels, {})[unix_ms] = double(value)
                self.order.append((unix_ms, labels))
        return Response(status=204)


def always(status: int, text: str = "", **headers: str) -> Reply:
    """Return a reply that is the same to everything."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Response(text, status=status, headers=named)
