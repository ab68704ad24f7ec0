"""Secrets from files of their own, or from systemd's credentials."""

import re
import stat
from pathlib import Path

from sonnen_agent.config.model import Secret
from sonnen_agent.config.section import Section

_LOOKS_LIKE_A_SECRET = re.compile(r"[0-9A-Za-z_-]{20,}")


def read_secret(section: Section, key: str, folder: Path, credential: Path | None) -> Secret | None:
    """Return the secret from the file that `key` names, else from the credential if that is there."""
    name = section.text(key)
    if name is None:
        if credential is not None and credential.is_file():
            return _read(section, key, credential)
        return None
    if _LOOKS_LIKE_A_SECRET.fullmatch(name) and not (folder / name).exists():
        section.problem(key, "looks like the secret itself (not shown here); put it into a file and write its path")
        return None
    path = folder / name
    try:
        mode = path.stat().st_mode
    except OSError as error:
        section.problem(key, f"cannot read {str(path)!r}: {error.strerror}; create it, or mend the path")
        return None
    if mode & stat.S_IROTH:
        section.problem(key, f"{str(path)!r} can be read by every user of this machine; run: chmod 600 {path}")
    return _read(section, key, path)


def _read(section: Section, key: str, path: Path) -> Secret | None:
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        section.problem(key, f"{str(path)!r} is not a text file; it should hold the secret and nothing else")
        return None
    except OSError as error:
        section.problem(
            key, f"cannot read {str(path)!r}: {error.strerror}; the user that runs the agent has to be able to read it"
        )
        return None
    if not secret:
        section.problem(key, f"{str(path)!r} is empty; it should hold the secret and nothing else")
        return None
    if not secret.isprintable() or not secret.isascii() or " " in secret:
        section.problem(key, f"{str(path)!r} should hold the secret and nothing else, on one line")
        return None
    return Secret(secret)
