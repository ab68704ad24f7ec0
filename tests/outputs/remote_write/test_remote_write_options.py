import subprocess
import sys
from pathlib import Path

import pytest

from sonnen_agent.config.secrets import Secrets
from sonnen_agent.config.section import Section
from sonnen_agent.destination import Destination, Secret
from sonnen_agent.outputs.remote_write import Options

URL = "https://prometheus.example/api/v1/write"


def read(folder: Path, **values: object) -> tuple[Options, list[str]]:
    content: dict[object, object] = dict(values.items())
    section = Section(content, "remote_write", [])
    options = Options.read(section, Secrets(folder=folder))
    section.close()
    return options, section.problems


def test_a_url_is_enough(tmp_path: Path) -> None:
    options, problems = read(tmp_path, url=URL)
    assert problems == []
    assert options == Options(
        destination=Destination(url=URL), headers={}, external_labels={}, spool_max_bytes=256 * 1024 * 1024
    )
    assert options.summary == f"writing to {URL}"


def test_everything_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("geheim")
    (tmp_path / "password").chmod(0o600)
    options, problems = read(
        tmp_path,
        url=URL,
        username="pi",
        password_file="password",
        headers={"X-Scope-OrgID": "home"},
        external_labels={"site": "attic"},
        spool_max_bytes=1024 * 1024,
    )
    assert problems == []
    assert options == Options(
        destination=Destination(url=URL, username="pi", password=Secret("geheim")),
        headers={"X-Scope-OrgID": "home"},
        external_labels={"site": "attic"},
        spool_max_bytes=1024 * 1024,
    )


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"headers": {"X Y": "1"}}, "headers.X Y: is no header name; use letters, digits and dashes"),
        ({"headers": {"Host": "a"}}, "headers.Host: is a header that the agent sets itself; leave it out"),
        (
            {"headers": {"x-prometheus-remote-write-version": "2"}},
            "headers.x-prometheus-remote-write-version: is a header that the agent sets itself; leave it out",
        ),
        ({"external_labels": {"instance": "a"}}, "external_labels.instance: is a label that the agent sets itself"),
        ({"external_labels": {"outcome": "a"}}, "external_labels.outcome: is a label that the agent sets itself"),
        ({"external_labels": {"a-b": "a"}}, "external_labels.a-b: is no label name; use letters, digits and"),
        ({"spool_max_bytes": 1000}, "spool_max_bytes: should be a number from 1048576 to 1099511627776, got 1000"),
        ({"job": "x"}, "job: unknown key; "),
    ],
)
def test_what_is_wrong_is_said_with_the_fix(tmp_path: Path, values: dict[str, object], problem: str) -> None:
    _, problems = read(tmp_path, url=URL, **values)
    assert len(problems) == 1
    assert problems[0].startswith(f"remote_write.{problem}")


def test_without_snappy_the_fix_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a machine where it is not installed: nothing is found where modules are looked for.
    monkeypatch.delitem(sys.modules, "snappy", raising=False)
    monkeypatch.setattr(sys, "path", [])
    _, problems = read(tmp_path, url=URL)
    fix = "run: apt install python3-snappy, or with pip: pip install 'sonnen-agent[remote-write]'"
    assert problems == [f"remote_write: needs python-snappy; {fix}"]


def test_reading_the_options_loads_nothing_that_only_the_output_needs() -> None:
    name = Options.__module__
    program = f"import sys; import {name}; print([module for module in sys.modules if '{name}' in module])"
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert printed == f"['{name}']\n"


def test_a_header_that_http_cannot_send_is_a_problem_that_does_not_show_it(tmp_path: Path) -> None:
    _, problems = read(tmp_path, url=URL, headers={"X-Api-Key": "geheim€12"})

    assert problems == ["remote_write.headers.X-Api-Key: should have ASCII characters only"]
