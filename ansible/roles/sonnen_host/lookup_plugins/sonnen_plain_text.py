"""Finds secrets that stand unencrypted in the inventory."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase

DOCUMENTATION = """
name: sonnen_plain_text
short_description: Names the secrets that stand unencrypted in the inventory
description:
  - Looks for each secret in the files from which Ansible took its variables, as far as they are not encrypted.
  - Returns C(what (file)) for each that it finds, never the secret.
options:
  _terms:
    description: One mapping of what the secrets are called to the secrets.
    type: list
    elements: dict
    required: true
"""

_VARIABLE_FOLDERS = ("group_vars", "host_vars", "vars")
_VAULT = "$ANSIBLE_VAULT"
_LONGEST = 1_000_000
"""Bytes; nobody writes a longer file of variables."""


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible has no types
    """The lookup."""

    def run(self, terms: list[Any], variables: Mapping[str, Any] | None = None, **_options: object) -> list[str]:
        """Return `what (file)` for each secret that anybody can read who can read the inventory."""
        (secrets,) = terms
        texts = dict(_plain_texts(variables or {}))
        return [
            f"{what} ({file})"
            for what, secret in secrets.items()
            for file, text in texts.items()
            # As the value of a key, so that a short password is not found inside of other words.
            if re.search(rf"""[:=]\s*['"]?{re.escape(str(secret))}['"]?\s*($|[,}}#])""", text, re.MULTILINE)
        ]


def _plain_texts(variables: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for file in _files(variables):
        text = _text(file)
        if not text.startswith(_VAULT):
            yield file, text


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace") if file.is_file() and file.stat().st_size <= _LONGEST else ""
    except OSError:
        # Ansible took no variables from it either.
        return ""


def _files(variables: Mapping[str, Any]) -> Iterator[Path]:
    sources = [Path(source) for source in variables.get("ansible_inventory_sources") or () if "," not in source]
    folders = {source if source.is_dir() else source.parent for source in sources}
    if variables.get("playbook_dir"):
        folders.add(Path(variables["playbook_dir"]))
    found = set(sources)
    for source in sources:
        if source.is_dir():
            found.update(source.iterdir())
    for folder in folders:
        found.update(folder.glob("*.yml"))
        for name in _VARIABLE_FOLDERS:
            found.update((folder / name).rglob("*"))
    yield from sorted(found)
