"""Changes files of Prometheus that belong to somebody else, without changing what is theirs."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError

_BEGIN = "# BEGIN sonnen-agent (made by Ansible; what is changed up to END is gone after its next run)"
_END = "# END sonnen-agent"
_BLOCK = re.compile(rf"^ *{re.escape(_BEGIN)}\n.*?^ *{re.escape(_END)}\n", re.MULTILINE | re.DOTALL)
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


class FilterModule:
    """The filters, by the names that tasks use."""

    def filters(self) -> Mapping[str, Callable[..., str]]:
        """Return them."""
        return {
            "sonnen_central_config": prometheus_config,
            "sonnen_central_arguments": arguments,
        }


def prometheus_config(
    text: str,
    scrape_configs: Sequence[Mapping[str, Any]],
    rule_files: Sequence[str],
    out_of_order_time_window: str = "",
) -> str:
    """Return the text of a prometheus.yml with our entries in marked blocks, and everything else as it was."""
    text = _BLOCK.sub("", str(text))
    if text and not text.endswith("\n"):
        text += "\n"
    text = _with_items(text, "rule_files", rule_files)
    text = _with_items(text, "scrape_configs", scrape_configs)
    if out_of_order_time_window:
        text = _with_window(text, out_of_order_time_window)
    return text


def arguments(
    text: str, flags: Mapping[str, str | bool], file: str, missing: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Return the text of a /etc/default file with these flags in ARGS, and all others as they were.

    A flag that is True or False takes no value. One that is False or empty is taken out. Of `missing`, those are added
    that are not there.
    """
    text = str(text)
    if text and not text.endswith("\n"):
        text += "\n"
    found = [*_ARGS.finditer(text)]
    value = _value(found[-1]) if found else ""
    if value is None or _WORD.sub("", value).strip():
        raise AnsibleFilterError(
            f'ARGS in {file} cannot be read: write all flags on one line, such as ARGS="--flag=value --other=value"'
        )
    words = _without(_WORD.findall(value), flags)
    there = {_split(word)[0] for word in words}
    words += [f"--{name}={flag}" for name, flag in missing.items() if name not in there | set(flags)]
    words += [f"--{name}" if flag is True else f"--{name}={flag}" for name, flag in flags.items() if flag]
    quoted = re.sub(r'([\\"$`])', r"\\\1", " ".join(words))
    start, end = found[-1].span() if found else (len(text), len(text))
    return f'{text[:start]}ARGS="{quoted}"\n{text[end:]}'


def _value(found: re.Match[str]) -> str | None:
    """Return what systemd takes for the value of the variable; nothing where a quote is followed by something else."""
    if found["double"] is not None:
        return re.sub(r'\\(?:\n|(["\\$`]))', r"\1", found["double"])
    if found["single"] is not None:
        return found["single"]
    bare = found["bare"]
    return None if bare.startswith(("'", '"')) else re.sub(r"\\(?:\n|(.))", r"\1", bare)


def _without(words: Sequence[str], flags: Mapping[str, str | bool]) -> list[str]:
    kept = []
    value_follows = False
    for word in words:
        name, has_value = _split(word)
        if value_follows:
            value_follows = False
        elif name in flags:
            value_follows = not has_value and not isinstance(flags[name], bool)
        else:
            kept.append(word)
    return kept


def _split(word: str) -> tuple[str, str]:
    """Return the name of a flag, and "=" where its value follows in the same word."""
    name, has_value, _ = word.strip("\"'").lstrip("-").partition("=")
    return name, has_value


def _with_items(text: str, key: str, items: Sequence[object]) -> str:
    if not items:
        return text
    line = re.search(rf"^{key}:(.*)\n", text, re.MULTILINE)
    if line is None:
        return text + _block(f"{key}:\n{_yaml(items, indent=2)}")
    if line[1].partition("#")[0].strip():
        raise AnsibleFilterError(
            f"{key} of prometheus.yml is written on one line: write each of its entries on a line of its own"
        )
    # The entries of a list have to stand in one column, whichever that is.
    first = re.match(r"(?:[ \t]*(?:#.*)?\n)*( *)- ", text[line.end() :])
    indent = len(first[1]) if first else 2
    block = _block(_yaml(items, indent=indent), indent=indent)
    return text[: line.end()] + block + text[line.end() :]


def _with_window(text: str, window: str) -> str:
    if re.search(r"^storage:", text, re.MULTILINE) is None:
        return text + _block(f"storage:\n  tsdb:\n    out_of_order_time_window: {window}\n")
    if "out_of_order_time_window" not in text:
        raise AnsibleFilterError(
            f"prometheus.yml has a storage section of its own: add tsdb: {{out_of_order_time_window: {window}}} to it"
        )
    return text


def _block(lines: str, *, indent: int = 0) -> str:
    margin = " " * indent
    return f"{margin}{_BEGIN}\n{lines}{margin}{_END}\n"


def _yaml(items: Sequence[object], *, indent: int) -> str:
    # By way of JSON, Ansible's own kinds of strings become strings.
    plain = json.loads(json.dumps(list(items)))
    dumped = yaml.safe_dump(plain, sort_keys=False, default_flow_style=False)
    return "".join(f"{' ' * indent}{line}\n" for line in dumped.splitlines())
