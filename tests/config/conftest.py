from collections.abc import Callable
from pathlib import Path

import pytest

from sonnen_agent.config.load import Config, load_config
from sonnen_agent.errors import ConfigError

Load = Callable[[str], Config]
Problems = Callable[[str], list[str]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return what loads a config of this text."""

    def load(text: str) -> Config:
        file = tmp_path / "config.yml"
        file.write_text(text)
        return load_config(file, tmp_path / "credentials")

    return load


@pytest.fixture
def problems(tmp_path: Path, load: Load) -> Problems:
    """Return what says which problems a config of this text has; each is a line that starts with the file."""

    def problems(text: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(text)
        file = f"{tmp_path / 'config.yml'}: "
        assert str(caught.value) == "\n".join(file + problem for problem in caught.value.problems)
        return list(caught.value.problems)

    return problems
