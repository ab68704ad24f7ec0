"""Writes the tables of variables in ansible/README.md, from what the roles say of them in meta/argument_specs.yml."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

_ROOT = Path(__file__).parents[1]
_README = _ROOT / "ansible/README.md"
_TABLE = re.compile(r"(<!-- table of (\w+), by \S+ -->\n).*?(<!-- end of table -->)", re.DOTALL)
_CODE = re.compile(r"C\((.*?)\)")


def with_tables(readme: str) -> str:
    """Return the README with its tables as they should be."""
    return _TABLE.sub(lambda found: f"{found[1]}{table(options(found[2]))}{found[3]}", readme)


def options(role: str) -> Mapping[str, Any]:
    """Return the options of a role, by name."""
    specs = yaml.safe_load((_ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())
    found: Mapping[str, Any] = specs["argument_specs"]["main"]["options"]
    return found


def table(described: Mapping[str, Any]) -> str:
    """Return the table of the options and of what is inside of them."""
    return "".join(["| variable | default | what it is |\n", "|---|---|---|\n", *_rows(described, "")])


def _rows(described: Mapping[str, Any], before: str) -> Iterator[str]:
    for name, option in described.items():
        yield f"| `{before}{name}` | {_default(option)} | {_text(option)} |\n"
        inside = "." if option["type"] == "dict" else "[]."
        yield from _rows(option.get("options", {}), f"{name}{inside}")


def _default(option: Mapping[str, Any]) -> str:
    if "default" not in option:
        return "*required*" if option.get("required") else ""
    default = option["default"]
    if isinstance(default, bool):
        return "`true`" if default else "`false`"
    return f"`{default}`" if default not in ("", [], {}) and "{{" not in str(default) else ""


def _text(option: Mapping[str, Any]) -> str:
    text = _CODE.sub(r"`\1`", option["description"])
    choices = " or ".join(f"`{choice}`" for choice in option.get("choices", ()))
    return f"{choices}. {text}" if choices else text


def main() -> None:
    """Bring the README up to date."""
    _README.write_text(with_tables(_README.read_text()))


if __name__ == "__main__":
    main()
