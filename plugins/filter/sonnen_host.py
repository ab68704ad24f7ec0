"""Reads and changes the flags of Debian's services, without changing those of somebody else."""

import json
import re
import shlex
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from ansible.errors import AnsibleFilterError

_ARGS = re.compile(
    r"""^[ \t]*ARGS=[ \t]*(?:
    "(?P<double>(?:[^"\\]|\\.)*)"[ \t]*
    | '(?P<single>[^']*)'[ \t]*
    | (?P<bare>(?:[^\\\n]|\\.)*)
    )\n""",
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_WORD = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\\.|[^\s"'\\])+""", re.DOTALL)
"""As systemd splits $ARGS: at white space, but for what is quoted or behind a backslash."""
_ALL_ADDRESSES = ("", "0.0.0.0", "[::]")  # noqa: S104 # nothing is bound to them here


class FilterModule:
    """The filters, by the names that tasks use."""

    def filters(self) -> Mapping[str, Callable[..., object]]:
        """Return them."""
        return {
            "sonnen_host_arguments": arguments,
            "sonnen_host_before": before,
            "sonnen_host_server": server,
            "sonnen_host_without_arguments": without_arguments,
        }


def before(found: Sequence[Mapping[str, Any]]) -> dict[str, str | None]:
    """Return the texts of files as they were before a role's first run, by their paths: None where there was no file.

    The first of what was found is the role's own record of them, the others are the files as they are now.
    """
    record, *files = (
        b64decode(file["content"]).decode(errors="surrogateescape") if "content" in file else None for file in found
    )
    known: dict[str, str | None] = json.loads(record) if record else {}
    return {str(file["item"]): text for file, text in zip(found[1:], files, strict=True)} | known


def arguments(
    text: str,
    flags: Mapping[str, str | bool],
    file: str,
    missing: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return the text of a /etc/default file with these flags in ARGS, and all others as they were.

    A flag that is True or False takes no value. One that is False or empty is taken out. Of `missing`, those are added
    that are not there.
    """
    text = _whole(text)
    now = _words(text, file)
    _, words = _parted(now, flags)
    there = {_split(word)[0] for word in words}
    words += [f"--{name}={flag}" for name, flag in missing.items() if name not in there | set(flags)]
    words += [f"--{name}" if flag is True else f"--{name}={flag}" for name, flag in flags.items() if flag]
    # Somebody has written it so.
    return text if sorted(words) == sorted(now) else _with_words(text, words)


def without_arguments(text: str, flags: Mapping[str, str | bool], file: str, was: str) -> str:
    """Return the text of a /etc/default file with these flags as they were in another, and all others as they are."""
    text, was = _whole(text), _whole(was)
    words_before = _words(was, file)
    before_us, _ = _parted(words_before, flags)
    _, words = _parted(_words(text, file), flags)
    words += [word for name in flags for word in before_us.get(name, [])]
    line = _assignment(was)
    if line is None or sorted(words) != sorted(words_before):
        return _with_words(text, words)
    start, end = _place(text)
    return text[:start] + line[0] + text[end:]


def server(flags: str, file: str, port: int) -> dict[str, str]:
    """Return how a server is reached on its own host: address, prefix, path of its metrics, files of guard and config.

    What it was started with is the text of its /etc/default file, or of its command line in /proc.
    """
    command_line = flags.split("\0")[1:]
    words = [shlex.quote(word) for word in command_line] or _words(_whole(flags), file)
    values: dict[str, str] = {}
    for word, next_word in zip(words, [*words[1:], "-"], strict=False):
        name, has_value = _split(word)
        if word.strip("\"'").startswith("-"):
            value = _plain(word).partition("=")[2] if has_value else "" if next_word[:1] == "-" else _plain(next_word)
            values.setdefault(name, value)
    host, _, own_port = values.get("web.listen-address", f":{port}").rpartition(":")
    prefix = values.get("web.route-prefix", urlsplit(values.get("web.external-url", "")).path).strip("/")
    prefix = f"/{prefix}" if prefix else ""
    return {
        "address": f"{'127.0.0.1' if host in _ALL_ADDRESSES else host}:{own_port}",
        "prefix": prefix,
        "metrics_path": prefix + values.get("web.telemetry-path", "/metrics"),
        "guard_file": values.get("web.config.file", ""),
        "config_file": values.get("config.file", ""),
    }


def _whole(text: str) -> str:
    text = str(text)
    return text if not text or text.endswith("\n") else f"{text}\n"


def _assignment(text: str) -> re.Match[str] | None:
    """Return where ARGS is given its value, for the last time."""
    found = [*_ARGS.finditer(text)]
    return found[-1] if found else None


def _place(text: str) -> tuple[int, int]:
    """Return where it is, or could be."""
    found = _assignment(text)
    return found.span() if found else (len(text), len(text))


def _words(text: str, file: str) -> list[str]:
    """Return the words of ARGS, quoted as they are there."""
    found = _assignment(text)
    value = _value(found) if found else ""
    if value is None or _WORD.sub("", value).strip():
        raise AnsibleFilterError(
            f'ARGS in {file} cannot be read: write all flags on one line, such as ARGS="--flag=value --other=value"'
        )
    return _WORD.findall(value)


def _with_words(text: str, words: Sequence[str]) -> str:
    quoted = re.sub(r'([\\"$`])', r"\\\1", " ".join(words))
    start, end = _place(text)
    return f'{text[:start]}ARGS="{quoted}"\n{text[end:]}'


def _value(found: re.Match[str]) -> str | None:
    """Return what systemd takes for the value of the variable; nothing where a quote is followed by something else."""
    if found["double"] is not None:
        return re.sub(r'\\(?:\n|(["\\$`]))', r"\1", found["double"])
    if found["single"] is not None:
        return found["single"]
    bare = found["bare"]
    return None if bare.startswith(("'", '"')) else re.sub(r"\\(?:\n|(.))", r"\1", bare)


def _parted(words: Sequence[str], flags: Mapping[str, str | bool]) -> tuple[dict[str, list[str]], list[str]]:
    """Return the words of each of these flags, and all other words."""
    theirs: dict[str, list[str]] = {}
    others: list[str] = []
    into = others
    value_follows = False
    for word in words:
        name, has_value = _split(word)
        if value_follows:
            value_follows = False
        elif name in flags:
            into = theirs.setdefault(name, [])
            value_follows = not has_value and not isinstance(flags[name], bool)
        else:
            into = others
        into.append(word)
    return theirs, others


def _split(word: str) -> tuple[str, str]:
    """Return the name of a flag, and "=" where its value follows in the same word."""
    name, has_value, _ = word.strip("\"'").lstrip("-").partition("=")
    return name, has_value


def _plain(word: str) -> str:
    return "".join(shlex.split(word))
