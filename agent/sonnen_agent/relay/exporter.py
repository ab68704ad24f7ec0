"""One request to an exporter: its page, or an ExporterError with its outcome."""

from urllib.parse import urlsplit

from sonnen_agent.errors import ExchangeError, ExporterError
from sonnen_agent.relay.page import pushable
from sonnen_agent.transport import Answer, Connection
from sonnen_agent.version import agent_version

PAGE_LIMIT_BYTES = 4 * 1024 * 1024
"""A node_exporter's page is some 60 to 150 KB."""


class Exporter:
    """An exporter at one URL, over one kept-alive connection. Not for use by two threads at once."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._url = url
        self._path = parts.path or "/"
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._connection = Connection(parts.scheme, parts.hostname or "", port)

    def page(self, timeout_seconds: float) -> bytes:
        """Return the page of this moment as a gateway takes it, or raise ExporterError."""
        try:
            answer = self._connection.request(
                "GET",
                self._path,
                # Some exporters would rather speak OpenMetrics or protobuf.
                headers={"Accept": "text/plain;version=0.0.4", "User-Agent": f"sonnen-agent/{agent_version()}"},
                timeout_seconds=timeout_seconds,
                body_limit=PAGE_LIMIT_BYTES,
            )
            _check_status(answer)
        except ExchangeError as error:
            # An exporter that hangs up and one that does not listen are the same to its owner.
            outcome = "refused" if error.outcome == "closed" else error.outcome
            raise ExporterError(outcome, f"{self._url}: {error}") from error
        try:
            return pushable(answer.body)
        except ValueError as error:
            raise ExporterError("invalid", f"{self._url}: {error}") from error


def _check_status(answer: Answer) -> None:
    if answer.status == 200:
        return
    said = f"answered {answer.status}"
    if answer.status in (401, 403):
        raise ExporterError("unauthorized", f"{said}: it asks for a password, and the relay has none")
    if answer.status == 404:
        raise ExporterError("not_found", f"{said}: no page there; mend the URL's path, which most often is /metrics")
    if 300 <= answer.status < 400:
        to = answer.headers.get("Location", "elsewhere")
        raise ExporterError("http_error", f"{said}: a redirect to {to}, which is not followed; write the final URL")
    raise ExporterError("http_error", f"{said}: {answer.excerpt}")
