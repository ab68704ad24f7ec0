"""The alert rules: what promtool says of them, that each is tested both ways, and that each has its paragraph."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from programs import MissingProgramError, find_program

FOLDER: Final = Path(__file__).parents[2] / "prometheus"
TESTS: Final = sorted((FOLDER / "tests").glob("*.yml"))
ALERTS: Final[dict[str, dict[str, Any]]] = {
    rule["alert"]: rule
    for group in yaml.safe_load((FOLDER / "rules/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}


def promtool(*arguments: str | Path) -> None:
    try:
        program = find_program("promtool")
    except MissingProgramError as error:
        # Where all of it should run, a test that does not is a failure.
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
    ended = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.system
@pytest.mark.parametrize("name", ["recording", "alerts"])
def test_promtool_finds_no_fault_in_the_rules(name: str) -> None:
    promtool("check", "rules", "--lint-fatal", FOLDER / f"rules/{name}.yml")


@pytest.mark.system
@pytest.mark.parametrize("name", ["recording", "alerts"])
def test_the_vmalert_of_debian_12_loads_the_rules(name: str) -> None:
    vmalert = shutil.which("vmalert")
    if vmalert is None:
        pytest.skip("vmalert is not installed")
    command = [vmalert, "-dryRun", f"-rule={FOLDER / f'rules/{name}.yml'}"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_no_rule_has_a_key_that_the_vmalert_of_debian_12_does_not_know() -> None:
    known = {"alert", "expr", "for", "labels", "annotations"}
    assert {key for rule in ALERTS.values() for key in rule} <= known


@pytest.mark.system
def test_the_scrape_jobs_are_configs() -> None:
    promtool("check", "config", "--syntax-only", FOLDER / "scrape.yml")
    promtool("check", "config", "--syntax-only", FOLDER / "scrape-pull.yml")
    (job,) = yaml.safe_load((FOLDER / "scrape.yml").read_text())["scrape_configs"]
    assert (job["honor_labels"], job["scrape_interval"]) == (True, "5s")


@pytest.mark.system
@pytest.mark.parametrize("file", TESTS, ids=[file.stem for file in TESTS])
def test_alerts_fire_when_they_should_and_only_then(file: Path) -> None:
    promtool("test", "rules", file)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_tested_firing_and_not_firing(alert: str) -> None:
    checks = [
        bool(check["exp_alerts"])
        for file in TESTS
        for test in yaml.safe_load(file.read_text())["tests"]
        for check in test.get("alert_rule_test", ())
        if check["alertname"] == alert
    ]
    assert set(checks) == {True, False}


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_what_is_the_case_and_what_to_do(alert: str) -> None:
    annotations = ALERTS[alert]["annotations"]
    assert set(annotations) == {"summary", "description", "runbook", "runbook_url"}
    assert all(text.strip() for text in annotations.values())
    assert ALERTS[alert]["labels"]["severity"] in {"critical", "warning", "info"}
    file, _, anchor = annotations["runbook_url"].partition("#")
    headings = re.findall(r"^### (\w+)$", (FOLDER.parent / file).read_text(), re.MULTILINE)
    assert anchor == alert.lower()
    assert alert in headings


def test_no_paragraph_is_about_an_alert_that_is_gone() -> None:
    headings = re.findall(r"^### (\w+)$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert headings == list(dict.fromkeys(headings))
    assert set(headings) == set(ALERTS)
