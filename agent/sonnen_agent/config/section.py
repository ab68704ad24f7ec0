"""A mapping of the config file that is read key by key, and what is wrong with it.

Reading never fails: each problem is noted with its path, the value and the fix, a stand-in is
returned, and reading goes on, so that a person sees all problems at once.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit

from sonnen_agent.errors import counted

_Choice = TypeVar("_Choice", bound=str)
_Item = TypeVar("_Item")

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_MOST_UNKNOWN = 20
_SECRET_KEYS = {"token", "auth_token", "api_token", "password", "bearer_token", "secret"}
_SECRET_IN_QUERY = re.compile(r"p|pw|pass|.*(token|password|passwd|secret|key|auth|jwt|sig|signature)", re.IGNORECASE)
"""`p` is InfluxDB's."""


@dataclass(slots=True)
class Section:
    """One mapping at one path; `close` when all its keys were asked for."""

    values: Mapping[object, object]
    path: str
    problems: list[str]
    """Shared by all sections of a file."""
    _known: list[str] = field(default_factory=list, init=False)

    def problem(self, key: str, message: str) -> None:
        """Note what is wrong with a key and how to mend it."""
        self.problems.append(f"{self._at(key)}: {message}")

    def text(self, key: str) -> str | None:
        """Return a text, or None where the key is absent."""
        value = self.value(key)
        if value is None or (isinstance(value, str) and value.strip() and value.isprintable()):
            return value
        wanted, fix = ("printable text", "") if isinstance(value, str) else ("text", "; put it into quotes")
        self.problem(key, f"should be {wanted}, got {redacted(value)}{fix}")
        return None

    def secret_path(self, key: str) -> str | None:
        """Return the path of a file with a secret; what stands there instead may be the secret, and is not shown."""
        value = self.value(key)
        if value is None or (isinstance(value, str) and value.strip() and value.isprintable()):
            return value
        self.problem(key, "should be the path of a file that holds the secret; what it is instead is not shown here")
        return None

    def required_text(self, key: str, example: str) -> str:
        """Return a text that has to be there."""
        if self.value(key) is None:
            self.problem(key, f"is missing; write for example {key}: {example}")
            return ""
        return self.text(key) or ""

    def choice(self, key: str, choices: tuple[_Choice, ...], default: _Choice) -> _Choice:
        """Return one of a few words."""
        value = self.value(key)
        for choice in choices:
            if value == choice:
                return choice
        if value is not None:
            self.problem(key, f"should be {' or '.join(choices)}, got {redacted(value)}")
        return default

    def number(self, key: str, *, minimum: float, maximum: float, default: float) -> float:
        """Return a number in a range, both ends included."""
        value = self.value(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not minimum <= value <= maximum:
            self.problem(key, f"should be a number from {minimum} to {maximum}, got {redacted(value)}")
            return default
        return value

    def required_number(self, key: str, *, minimum: float, maximum: float, example: str) -> float:
        """Return a number in a range that has to be there."""
        if self.value(key) is None:
            self.problem(key, f"is missing; write for example {key}: {example}")
            return minimum
        return self.number(key, minimum=minimum, maximum=maximum, default=minimum)

    def url(self, key: str, example: str, *, query: bool = False) -> str:
        """Return an http or https URL with a host, and without anything secret in it; whether it may have a `query`."""
        value = self.required_text(key, example)
        if not value:
            return ""
        if "@" in value:
            # Whatever is wrong with the rest: what stands before the @ may be a password.
            self.problem(key, "holds a user name or password; write the URL without them and use a file of its own")
            return ""
        try:
            parts = urlsplit(value)
            port = parts.port
            (parts.hostname or "").encode("idna"), f"{parts.path}{parts.query}".encode("ascii")
        except ValueError as error:
            self.problem(key, f"is not a URL ({error}), got {redacted(value)}; write for example {example}")
            return ""
        host = parts.hostname or ""
        if value.count("://") > 1:
            self.problem(key, f"has a scheme twice, got {redacted(value)}; write for example {example}")
        elif host and not host.strip("0123456789.") and not _is_address(host):
            self.problem(
                key, f"has an address that no device can have, got {redacted(value)}; write for example {example}"
            )
        elif parts.scheme not in ("http", "https") or not parts.hostname or any(c.isspace() for c in value):
            self.problem(key, f"should be a URL with a host, such as {example}, got {redacted(value)}")
        elif query and any(_SECRET_IN_QUERY.fullmatch(name) for name, _ in parse_qsl(parts.query)):
            self.problem(
                key,
                "holds a secret behind the ? (not shown here); remove it, and log in with username and password_file, "
                "or with bearer_token_file",
            )
        elif parts.fragment or (parts.query and not query):
            self.problem(key, "should end after the host, the port or a path; remove the ? or # and what follows")
        elif port == 0:
            self.problem(key, f"should have a port from 1 to 65535 or none, got {redacted(value)}")
        else:
            return value
        return ""

    def section(self, key: str, example: str = "") -> "Section | None":
        """Return the mapping below a key, or None where the key is absent."""
        value = self.value(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            such = f", such as {example}" if example else ""
            self.problem(key, f"should be a mapping of keys{such}, got {redacted(value)}")
            return None
        return Section(value, self._at(key), self.problems)

    def sections(self, key: str) -> "Iterator[Section]":
        """Yield the mappings of a list; each is closed when the next one is asked for."""
        value = self.value(key)
        if value is None:
            return
        if not isinstance(value, list):
            self.problem(key, "should be a list; start each entry with '- '")
            return
        for position, item in enumerate(value):
            path = f"{key}[{position}]"
            if isinstance(item, dict):
                section = Section(item, self._at(path), self.problems)
                yield section
                section.close()
            else:
                self.problem(path, f"should be a mapping of keys, got {redacted(item)}")

    def texts(self, key: str) -> Mapping[str, str]:
        """Return a mapping of texts."""
        section = self.section(key)
        if section is None:
            return {}
        texts: dict[str, str] = {}
        for name, value in section.values.items():
            if not isinstance(name, str):
                section.problem(str(name), "the name should be text; put it into quotes")
            elif value is None:
                section.problem(name, "has no value; write one behind the colon and a space")
            elif (text := section.text(name)) is not None:
                texts[name] = text
        return texts

    def labels(self, key: str, taken: Collection[str]) -> Mapping[str, str]:
        """Return a mapping of label names to values; names that the agent sets itself are `taken`."""
        labels = self.texts(key)
        for name in labels:
            if not _LABEL_NAME.fullmatch(name) or name.startswith("__"):
                self.problem(f"{key}.{name}", "is no label name; use letters, digits and underscores")
            elif name in taken:
                self.problem(f"{key}.{name}", "is a label that the agent sets itself; choose another name")
        return labels

    def read(self, key: str, read: Callable[["Section"], _Item], example: str = "") -> _Item | None:
        """Return what `read` makes of the section below a key, or None where it is absent."""
        section = self.section(key, example)
        if section is None:
            return None
        item = read(section)
        section.close()
        return item

    def close(self) -> None:
        """Note the keys that nobody asked for; of many, how many more there are."""
        unknown = [key for key in self.values if key not in self._known]
        for key in unknown[:_MOST_UNKNOWN]:
            if key in _SECRET_KEYS and f"{key}_file" in self._known:
                fix = f"put it into a file of its own (chmod 600) and write {key}_file: with its path"
                self.problem(str(key), f"a secret does not belong into this file; {fix}")
            else:
                guess = did_you_mean(str(key), self._known)
                self.problem(str(key), f"unknown key; {guess}known here are {', '.join(self._known)}")
        if len(unknown) > _MOST_UNKNOWN:
            self.problem("…", counted(len(unknown) - _MOST_UNKNOWN, "more unknown key", "more unknown keys"))

    def value(self, key: str) -> object:
        """Return whatever stands under a key, and take note that it is known; None where it is absent."""
        if key not in self._known:
            self._known.append(key)
        return self.values.get(key)

    def _at(self, key: str) -> str:
        name = key if key.isprintable() else repr(key)
        return f"{self.path}.{name}" if self.path else name


def _is_address(host: str) -> bool:
    """Return whether digits and dots are the IPv4 address of one device."""
    numbers = [int(part) if part else 256 for part in host.split(".")]
    return len(numbers) == 4 and max(numbers) < 256 and 0 < numbers[0] < 224


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the question whether one of the known names was meant, empty where none is near."""
    import difflib  # noqa: PLC0415 - a config without a mistake does without it in memory

    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}? " if close else ""


def redacted(value: object) -> str:
    """Return a value as a message may show it; what is inside a list or mapping, or before an @, could be secret."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, str) and "@" in value:
        return "a text with an @ (not shown here)"
    if isinstance(value, list | set | tuple):
        return "a list"
    return repr(str(value) if isinstance(value, date) else value)
