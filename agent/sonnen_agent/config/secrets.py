"""Secrets from files of their own, or from systemd's credentials, and the destinations that they are for."""

import logging
import os
import re
import shlex
import ssl
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sonnen_agent.config.section import Section, redacted
from sonnen_agent.destination import Destination, Secret
from sonnen_agent.files import read_regular

_log = logging.getLogger(__name__)

_COULD_BE_A_SECRET = re.compile(r"[^/]{20,}")
_SECRET_BYTES, _CA_BYTES = 16 * 1024, 1 << 20
CONTAINER = Path("/run/systemd/container")
"""What systemd writes where it runs in a container: its kind, such as `lxc`."""
_FOLDER_CREDENTIAL = "secrets"
"""The unit loads a whole folder under this name; systemd then calls each of its files `secrets_<file>`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Finds secrets and certificates for a config file."""

    folder: Path
    """Where relative paths start: that of the config file."""
    credentials: Path | None = None
    """Where systemd puts the credentials of a unit."""
    beside: Path | None = None
    """Where a person who runs a command finds what the unit gets as credentials."""

    def read(self, section: Section, key: str, credential: str | None) -> Secret | None:
        """Return the secret from the file that `key` names, else from the credential of that name if it is there."""
        name = section.secret_path(key)
        if name is None:
            found = self._credential(credential) if section.values.get(key) is None else None
            renewal = (
                f"write the right one into the file of the systemd credential {credential} "
                "and run: systemctl restart sonnen-agent (a running unit keeps the copy of its start)"
            )
            return None if found is None else _read(section, key, found, renewal)
        path = self.folder / name
        try:
            mode = path.stat().st_mode
        except OSError as error:
            if _COULD_BE_A_SECRET.fullmatch(name):
                section.problem(
                    key,
                    f"is no file in {str(self.folder)!r} (not shown here, it may be the secret itself); "
                    "write the path of a file that holds the secret",
                )
            else:
                section.problem(key, f"cannot read {str(path)!r}: {error.strerror}; create it, or mend the path")
            return None
        if not stat.S_ISREG(mode):
            section.problem(key, f"{str(path)!r} is not a file; write the path of a file that holds the secret")
            return None
        if mode & stat.S_IROTH:
            section.problem(
                key, f"{str(path)!r} can be read by every user of this machine; run: chmod 600 {shlex.quote(str(path))}"
            )
        return _read(section, key, path, f"write the right one into {str(path)!r}: it is read again by itself")

    def destination(self, section: Section, example: str, credentials: str, *, query: bool = False) -> Destination:
        """Return where to send to: `url`, the ways to log in, and `ca_file`.

        `credentials` is what the names of systemd's credentials for it begin with, such as `pushgateway`; `query`
        says whether the URL may have one.
        """
        # Of systemd's credentials only that of the way to log in that the config takes: the other may be left over.
        by_name = section.values.get("username") is not None
        destination = Destination(
            url=section.url("url", example, query=query),
            username=section.text("username"),
            password=self.read(section, "password_file", f"{credentials}-password" if by_name else None),
            bearer_token=self.read(section, "bearer_token_file", None if by_name else f"{credentials}-bearer-token"),
            ca_file=self.ca_file(section),
        )
        destination = self._with_proxy(section, destination, credentials)
        if destination.username is not None and ":" in destination.username:
            section.problem("username", f"cannot hold a colon, got {destination.username!r}")
        if destination.username is not None and destination.bearer_token is not None:
            section.problem("bearer_token_file", "and username exclude each other; keep one way to log in")
        _expect_pair(section, "", destination.username, destination.password)
        return destination

    def _with_proxy(self, section: Section, destination: Destination, credentials: str) -> Destination:
        """Return the destination with the proxy of the config, else with that of the usual environment variables."""
        username, by_name = section.text("proxy_username"), section.values.get("proxy_username") is not None
        password = self.read(section, "proxy_password_file", f"{credentials}-proxy-password" if by_name else None)
        if section.value("proxy_url") is not None:
            url = section.url("proxy_url", "http://proxy.example:3128")
            if url and (urlsplit(url).scheme != "http" or urlsplit(url).path.strip("/")):
                section.problem("proxy_url", f"should be http:// with a host and a port, got {redacted(url)}")
            _expect_pair(section, "proxy_", username, password)
            return replace(destination, proxy_url=url or None, proxy_username=username, proxy_password=password)
        if by_name or section.values.get("proxy_password_file") is not None:
            section.problem("proxy_url", "is missing; proxy_username and proxy_password_file go with it")
        found = _proxy_of_environment(destination.url)
        if found is None:
            return destination
        variable, url = found
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port or 80
        except ValueError:
            parts, port = urlsplit(""), 0
        if parts.scheme != "http" or not parts.hostname:
            section.problem(
                "proxy_url",
                f"is not here, and the environment variable {variable} (not shown, it may hold a password) is no "
                "http:// with a host and a port; mend that, write proxy_url, or name the host in NO_PROXY",
            )
            return destination
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return replace(
            destination,
            proxy_url=f"http://{host}:{port}",
            proxy_username=unquote(parts.username) if parts.username else None,
            proxy_password=Secret(unquote(parts.password or "")) if parts.username else None,
        )

    def _credential(self, name: str | None) -> Path | None:
        # A credential's name is a file name; a battery called a/b has to name its file itself.
        if name is None or "/" in name:
            return None
        places = [folder / name for folder in (self.credentials, self.beside) if folder is not None]
        if self.credentials is not None:
            places.insert(0, self.credentials / f"{_FOLDER_CREDENTIAL}_{name}")
        return next(filter(_is_file, places), None)

    def tell_if_lost(self, folder: Path) -> None:
        """Say when none of the secrets in this folder came with the unit, as in a container that may not mount.

        The unit's user cannot look into the folder. Outside of containers none came because none is there.
        """
        came = self.credentials is not None and any(self.credentials.glob(f"{_FOLDER_CREDENTIAL}_*"))
        if not came and CONTAINER.exists() and folder.is_dir():
            _log.warning(
                "systemd handed over no secret of %s: unless there is none, this container keeps it from doing so; let "
                "it nest (Proxmox: pct set ID --features nesting=1), or name files as token_file and password_file "
                "(systemd/README.md, In a container)",
                folder,
            )

    def ca_file(self, section: Section) -> Path | None:
        """Return the file with the certificates to trust, in place of the system's."""
        name = section.text("ca_file")
        if name is None:
            return None
        path = self.folder / name
        try:
            read_regular(path, _CA_BYTES, follow=True)
            ssl.create_default_context(cafile=str(path))
        except (OSError, ssl.SSLError) as error:
            reason = "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
            section.problem("ca_file", f"cannot use {str(path)!r}: {reason}; name a file in PEM form")
        return path


def _expect_pair(section: Section, prefix: str, username: str | None, password: Secret | None) -> None:
    """Note which of a user name and a password is missing where the other is given."""
    missing = f"{prefix}username" if username is None else f"{prefix}password_file"
    if (username is None) != (password is None) and section.values.get(missing) is None:
        section.problem(missing, "is missing; a user name and a password file go together")


def _proxy_of_environment(url: str) -> tuple[str, str] | None:
    """Return the variable and the proxy for a URL, None where it needs none."""
    parts, environment = urlsplit(url), os.environ
    direct = (name.strip() for name in environment.get("no_proxy", environment.get("NO_PROXY", "")).lower().split(","))
    host = (parts.hostname or "").lower()
    if any(name in ("*", parts.netloc) or f".{host}".endswith("." + name.lstrip(".")) for name in direct if name):
        return None
    names = (f"{parts.scheme}_proxy", f"{parts.scheme}_PROXY".upper(), "all_proxy", "ALL_PROXY")
    return next(((name, environment[name]) for name in names if environment.get(name)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


@dataclass(slots=True)
class _SecretFile:
    """Looks at the file of a secret again whenever that is used, without reading what has not changed."""

    path: Path
    where: str
    key: str
    seen: tuple[int, ...]

    def __call__(self, before: str) -> str:
        """Return the secret of now; that of before while there is none, as in the midst of writing it."""
        seen = _state_of(self.path)
        if seen in (self.seen, ()):
            return before
        self.seen = seen
        problems: list[str] = []
        text = _text(Section({}, self.where, problems), self.key, self.path)
        if text is None and seen[-1]:
            _log.warning("%s; the one of before is still in use", problems[0])
        elif text not in (None, before):
            _log.info("%s.%s: %s has changed and was read again", self.where, self.key, self.path)
        return text or before


def _state_of(path: Path) -> tuple[int, ...]:
    """Return what changes when a file is written, its size last; nothing where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(section: Section, key: str, path: Path, renewal: str) -> Secret | None:
    seen = _state_of(path)
    text = _text(section, key, path)
    return None if text is None else Secret(text, renewal, _SecretFile(path, section.path, key, seen))


def _text(section: Section, key: str, path: Path) -> str | None:
    try:
        secret = read_regular(path, _SECRET_BYTES, follow=True).decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        section.problem(key, f"{str(path)!r} is not a text file; it should hold the secret and nothing else")
        return None
    except OSError as error:
        section.problem(
            key, f"cannot read {str(path)!r}: {error.strerror}; the user that runs the agent has to be able to read it"
        )
        return None
    if wrong := wrong_with(secret, is_password=key.endswith("password_file")):
        section.problem(key, f"{str(path)!r} {wrong}")
        return None
    return secret


def wrong_with(secret: str, *, is_password: bool = False) -> str:
    """Return why this cannot be a secret, nothing where it can."""
    if not secret:
        return "is empty; it should hold the secret and nothing else"
    # A password is encoded on its way; a token is not.
    plain = is_password or (secret.isascii() and " " not in secret)
    return "" if secret.isprintable() and plain else "should hold the secret and nothing else, on one line"
