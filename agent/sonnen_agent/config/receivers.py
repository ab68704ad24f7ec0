"""The receivers of the config, and how to be let in."""

import re
import ssl
from dataclasses import dataclass
from pathlib import Path

from sonnen_agent.config.labels import AGENT_LABELS, OUR_LABELS, read_labels
from sonnen_agent.config.model import (
    DEFAULT_JOB,
    DEFAULT_SPOOL_MAX_BYTES,
    PushgatewayConfig,
    ReceiverConfig,
    RemoteWriteConfig,
)
from sonnen_agent.config.secrets import credential, read_secret
from sonnen_agent.config.section import Section

_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
_OUR_HEADERS = frozenset({"authorization", "content-encoding", "content-length", "content-type", "host", "user-agent"})
_SMALLEST_SPOOL_BYTES = 1024 * 1024
_LARGEST_SPOOL_BYTES = 1024**4


@dataclass(frozen=True, slots=True)
class ReceiverReader:
    """Reads where data goes; relative paths start at `folder`, systemd's secrets are in `credentials`."""

    folder: Path
    credentials: Path | None

    def pushgateway(self, section: Section) -> PushgatewayConfig:
        """Return the Pushgateway."""
        receiver = self._receiver(section, "http://gateway.example:9091", "pushgateway")
        return PushgatewayConfig(
            url=receiver.url,
            username=receiver.username,
            password=receiver.password,
            bearer_token=receiver.bearer_token,
            ca_file=receiver.ca_file,
            job=section.text("job") or DEFAULT_JOB,
            on_stop=section.choice("on_stop", ("delete", "keep"), "delete"),
            compression=section.choice("compression", ("gzip", "none"), "gzip"),
        )

    def remote_write(self, section: Section) -> RemoteWriteConfig:
        """Return the remote-write receiver."""
        receiver = self._receiver(section, "https://prometheus.example/api/v1/write", "remote-write")
        headers = section.texts("headers")
        for name in headers:
            if not _HEADER_NAME.fullmatch(name):
                section.problem(f"headers.{name}", "is no header name; use letters, digits and dashes")
            elif name.lower() in _OUR_HEADERS or name.lower().startswith("x-prometheus-remote-write-"):
                section.problem(f"headers.{name}", "is a header that the agent sets itself; leave it out")
        spool_max_bytes = section.number(
            "spool_max_bytes",
            minimum=_SMALLEST_SPOOL_BYTES,
            maximum=_LARGEST_SPOOL_BYTES,
            default=DEFAULT_SPOOL_MAX_BYTES,
        )
        return RemoteWriteConfig(
            url=receiver.url,
            username=receiver.username,
            password=receiver.password,
            bearer_token=receiver.bearer_token,
            ca_file=receiver.ca_file,
            headers=headers,
            external_labels=read_labels(section, "external_labels", OUR_LABELS | AGENT_LABELS),
            spool_max_bytes=int(spool_max_bytes),
        )

    def _receiver(self, section: Section, example: str, name: str) -> ReceiverConfig:
        # Of systemd's credentials only that of the way to log in that the config takes: the other may be left over.
        by_name = section.values.get("username") is not None
        password = credential(self.credentials, f"{name}-password") if by_name else None
        bearer_token = None if by_name else credential(self.credentials, f"{name}-bearer-token")
        receiver = ReceiverConfig(
            url=section.url("url", example),
            username=section.text("username"),
            password=read_secret(section, "password_file", self.folder, password),
            bearer_token=read_secret(section, "bearer_token_file", self.folder, bearer_token),
            ca_file=self._ca_file(section),
        )
        if receiver.username is not None and ":" in receiver.username:
            section.problem("username", f"cannot hold a colon, got {receiver.username!r}")
        if receiver.username is not None and receiver.bearer_token is not None:
            section.problem("bearer_token_file", "and username exclude each other; keep one way to log in")
        if (receiver.username is None) != (receiver.password is None):
            missing = "username" if receiver.username is None else "password_file"
            if section.values.get(missing) is None:
                section.problem(missing, "is missing; a user name and a password file go together")
        return receiver

    def _ca_file(self, section: Section) -> Path | None:
        name = section.text("ca_file")
        if name is None:
            return None
        path = self.folder / name
        try:
            ssl.create_default_context(cafile=str(path))
        except (OSError, ssl.SSLError) as error:
            reason = "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
            section.problem("ca_file", f"cannot use {str(path)!r}: {reason}; name a file in PEM form")
        return path
