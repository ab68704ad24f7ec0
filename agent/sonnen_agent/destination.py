"""Where a peer is, how to be let in, and what the status of its answers means: the same for every peer."""

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from sonnen_agent import __version__
from sonnen_agent.errors import ExchangeError, Outcome, quoted
from sonnen_agent.sockets import Proxy
from sonnen_agent.transport import Answer, Connection

_REJECTIONS = (400, 409, 413, 422)
"""What was sent is at fault: 409 is Thanos's word for it, 413 and 422 are Mimir's and its kin's."""


@dataclass(slots=True)
class Secret:
    """A token or password that does not show itself in logs or tracebacks."""

    _value: str = field(repr=False)
    renewal: str = field(default="", repr=False, compare=False)
    """What to do where it is refused."""
    _now: Callable[[str], str] | None = field(default=None, repr=False, compare=False)
    """Returns the secret as its file has it now, given that of before."""

    def reveal(self) -> str:
        """Return the secret itself, for the connection it was made for, and anew where its file has changed."""
        if self._now is not None:
            self._value = self._now(self._value)
        return self._value


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """The URL of a peer that the config has found good, with the credentials that travel there and nowhere else."""

    url: str
    username: str | None = None
    password: Secret | None = None
    bearer_token: Secret | None = None
    ca_file: Path | None = None
    """A private certificate authority, or the peer's own certificate, in place of the system's authorities."""
    proxy_url: str | None = None
    """`http://` with a host and mostly a port; what is in the way to a receiver, never to a battery."""
    proxy_username: str | None = None
    proxy_password: Secret | None = None

    @property
    def parts(self) -> SplitResult:
        """The parts of the URL."""
        return urlsplit(self.url)

    @property
    def path(self) -> str:
        """The path of the URL without a slash at its end; empty for a host alone."""
        return self.parts.path.rstrip("/")

    @property
    def port(self) -> int:
        """The port of the URL, or the usual one of its scheme."""
        return self.parts.port or (443 if self.parts.scheme == "https" else 80)

    def connect(self, port: int | None = None, *, secrets: Iterable[str] = ()) -> Connection:
        """Return a connection, opened with its first request; `secrets` are what requests carry besides its own."""
        proxy = self._proxy()
        passwords = (self.password, self.bearer_token, self.proxy_password)
        own = [secret.reveal() for secret in passwords if secret is not None and secret.reveal()]
        logins = (*self.credentials().values(), *(() if proxy is None else proxy.headers.values()))
        return Connection(
            self.parts.scheme,
            # A zone may stand in a URL as its standard has it, or as people and systems write it.
            (self.parts.hostname or "").replace("%25", "%"),
            port or self.port,
            ca_file=None if self.ca_file is None else str(self.ca_file),
            secrets=(*own, *(value.partition(" ")[2].rstrip("=") for value in logins), *secrets),
            proxy=proxy,
        )

    @property
    def refused_hint(self) -> str:
        """What to do where the peer does not let us in."""
        secret = self.password or self.bearer_token
        if secret is None:
            words = "the user name, password or token is missing; mend the config"
            return f"{words} (username and password_file, or bearer_token_file)"
        renewal = f", or {secret.renewal}" if secret.renewal else ""
        return f"the user name, password or token is wrong; mend the config{renewal}"

    def _proxy(self) -> Proxy | None:
        if self.proxy_url is None:
            return None
        parts = urlsplit(self.proxy_url)
        login = {} if self.proxy_username is None else _basic(self.proxy_username, self.proxy_password)
        headers = {f"Proxy-{name}": value for name, value in login.items()}
        return Proxy(host=parts.hostname or "", port=parts.port or 80, headers=headers)

    def headers(self) -> dict[str, str]:
        """Return the headers that every request carries."""
        return {"User-Agent": f"sonnen-agent/{__version__}", **self.credentials()}

    def credentials(self) -> dict[str, str]:
        """Return the header that lets us in, if there is one."""
        if self.bearer_token is not None:
            return {"Authorization": f"Bearer {self.bearer_token.reveal()}"}
        return {} if self.username is None else _basic(self.username, self.password)


def _basic(username: str, password: Secret | None) -> dict[str, str]:
    """Return the header of a user name and password, none where the password is missing."""
    if password is None:
        return {}
    pair = f"{username}:{password.reveal()}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def outcome_of(status: int, *, sent: bool = False) -> Outcome:
    """Return what an HTTP status means; `sent` says that the request carried data, which can be rejected."""
    if 200 <= status < 300:
        return "ok"
    if sent and status in _REJECTIONS:
        return "rejected"
    known: Mapping[int, Outcome] = {401: "unauthorized", 403: "unauthorized", 404: "not_found"}
    return known.get(status, "http_error")


def problem_of(answer: Answer, hints: Mapping[Outcome, str], *, sent: bool = False) -> ExchangeError | None:
    """Return the error that an answer's status is, None where it is a success.

    `hints` say what the operator can do, by outcome. To a request that only asks, a hint stands in place of what the
    peer says; who refuses data is quoted.
    """
    outcome = outcome_of(answer.status, sent=sent)
    if outcome == "ok":
        return None
    hint = hints.get(outcome, "")
    if 300 <= answer.status < 400:
        location = quoted(answer.headers.get("Location", "elsewhere"), answer.secrets)
        hint = f"a redirect to {location}, which is not followed; write the final URL"
    excerpt = answer.excerpt if sent or not hint else ""
    said = f"answered {answer.status}" + (f": {excerpt}" if excerpt else "")
    join = "; " if excerpt else ": "
    return ExchangeError(outcome, said + (join + hint if hint else ""), status=answer.status)


def expect_success(answer: Answer, hints: Mapping[Outcome, str], *, sent: bool = False) -> None:
    """Raise the error that an answer's status is, unless it is a success; `problem_of` has the words."""
    problem = problem_of(answer, hints, sent=sent)
    if problem is not None:
        # Another one: that in `problem` would keep this frame, and with it the answer, until the collector comes.
        raise ExchangeError(problem.outcome, str(problem), status=problem.status)
