import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
MADE_BY_TOOLS = ("build", "dist", "__pycache__", "*.egg-info", ".git", ".venv*", ".cache", ".*_cache", ".coverage*")

# In two parts, so that this file does not name them either.
REGISTRIES = [
    f"{name}.{domain}".encode()
    for name, domain in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("rubygems", "org"),
        ("crates", "io"),
        ("proxy.golang", "org"),
        ("galaxy.ansible", "com"),
    )
]


def files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if any(path.match(pattern) for pattern in MADE_BY_TOOLS):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from files(path)
        elif path.is_file():
            yield path


@pytest.mark.parametrize("tool", ["mypy", "pytest", "coverage"])
def test_pyproject_does_not_switch_off_what_setup_cfg_says(tool: str) -> None:
    tools = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]
    assert tool not in tools


@pytest.mark.parametrize("name", ["pytest.ini", ".pytest.ini", "tox.ini", "mypy.ini", ".mypy.ini", ".coveragerc"])
def test_no_file_goes_before_setup_cfg(name: str) -> None:
    assert not (REPOSITORY / name).exists()


def test_setup_cfg_is_what_pytest_reads(pytestconfig: pytest.Config) -> None:
    if pytestconfig.rootpath != REPOSITORY:
        pytest.skip("pytest was started for another folder")
    assert pytestconfig.inipath == REPOSITORY / "setup.cfg"
    assert "error" in pytestconfig.getini("filterwarnings")


def test_no_file_names_a_package_registry() -> None:
    # Where packages come from is the business of the machine that installs them.
    looked_at = list(files(REPOSITORY))
    assert Path(__file__) in looked_at
    named = [
        f"{path.relative_to(REPOSITORY)} names {registry.decode()}"
        for path in looked_at
        for registry in REGISTRIES
        if registry in path.read_bytes()
    ]
    assert named == []


def test_every_test_file_stands_alone() -> None:
    # pytest imports by path: a package of tests would hide one file behind another of the same name.
    assert [path for path in files(REPOSITORY / "tests") if path.name == "__init__.py"] == []


def test_all_that_is_to_begin_first_is_there(pytestconfig: pytest.Config) -> None:
    # A file that was renamed would silently begin last.
    conftest = pytestconfig.pluginmanager.get_plugin(str(REPOSITORY / "tests/conftest.py"))
    assert conftest is not None
    assert [begin for begin in conftest.LONGEST if not any(REPOSITORY.glob(f"{begin}*"))] == []
