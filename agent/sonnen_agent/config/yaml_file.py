"""The config file as YAML: without objects, without double keys, and without showing what may be a secret."""

import re
from collections.abc import Hashable, Mapping
from pathlib import Path

import yaml

from sonnen_agent.errors import ConfigError

_NAMES_THE_VALUE = re.compile("found undefined|found duplicate anchor|could not determine a constructor")
"""Messages of YAML with a piece of a value that stands there without quotes, such as a password."""


def read_yaml(file: Path, *, smallest: str) -> Mapping[object, object]:
    """Return the keys of a YAML file, or raise ConfigError; `smallest` is the config to begin with."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a UTF-8 text file"
        raise ConfigError(str(file), (f"cannot be read: {reason}; name the config with --config FILE",)) from error
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader that refuses double keys
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        fix = "; indent with spaces, not with tabs" if r"\t" in str(error.problem) else ""
        problem = error.problem
        if _NAMES_THE_VALUE.match(str(problem)):
            problem = "a value that begins with *, & or ! has to be in quotes"
        raise ConfigError(str(file), (f"{where}{problem}{fix}",)) from error
    except RecursionError as error:
        raise ConfigError(str(file), ("nests too deeply; is it the config?",)) from error
    except yaml.YAMLError as error:
        raise ConfigError(str(file), (f"is not YAML: {error}",)) from error
    if document is None:
        raise ConfigError(str(file), (f"is empty; the smallest config is {smallest}",))
    if not isinstance(document, dict):
        # Not shown: the file may be a token's, named by mistake.
        kind = "a list" if isinstance(document, list) else "a single value"
        raise ConfigError(str(file), (f"should be a mapping of keys, got {kind}; write {smallest}",))
    return document


class _Loader(yaml.SafeLoader):
    """YAML without objects, where a key that stands twice is an error instead of the last one winning."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError) as error:  # 2023-02-30, !!bool maybe, !!timestamp soon
            problem = "this value is none to YAML; put it into quotes"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                problem = f"the key {key.value!r} stands twice; keep one of the two"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)
