"""Secrets from files of their own, or from systemd's credentials."""

import re
import shlex
import stat
from pathlib import Path

from sonnen_agent.config.model import Secret
from sonnen_agent.config.section import Section

_COULD_BE_A_SECRET = re.compile(r"[^/]{20,}")
_FOLDER_CREDENTIAL = "secrets"
"""The unit loads a whole folder under this name; systemd then calls each of its files `secrets_<file>`."""


def read_secret(section: Section, key: str, folder: Path, credential: Path | None) -> Secret | None:
    """Return the secret from the file that `key` names, else from the credential if that is there."""
    name = section.secret_path(key)
    if name is None:
        if section.values.get(key) is None and credential is not None and _is_file(credential):
            return _read(section, key, credential)
        return None
    path = folder / name
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if _COULD_BE_A_SECRET.fullmatch(name):
            section.problem(
                key,
                f"is no file in {str(folder)!r} (not shown here, it may be the secret itself); "
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
    return _read(section, key, path)


def credential(folder: Path | None, name: str) -> Path | None:
    """Return where systemd puts a credential of this name, None where it cannot."""
    # A credential's name is a file name; a battery called a/b has to name its file itself.
    if folder is None or "/" in name:
        return None
    of_folder = folder / f"{_FOLDER_CREDENTIAL}_{name}"
    return of_folder if _is_file(of_folder) else folder / name


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


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
    # A password is encoded on its way; a token is not.
    plain = key == "password_file" or (secret.isascii() and " " not in secret)
    if not secret.isprintable() or not plain:
        section.problem(key, f"{str(path)!r} should hold the secret and nothing else, on one line")
        return None
    return Secret(secret)
