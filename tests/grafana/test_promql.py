"""Prometheus can parse every query, once Grafana has put its own words in."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "grafana/dashboards"


def filled_in(expr: str) -> str:
    windows = re.sub(r"\$__(?:range|interval|rate_interval)\b", "1h", expr)
    return re.sub(r"\$(?:\{\w+\}|(?!\d)\w+)", "1", windows)


@pytest.mark.system
def test_prometheus_can_parse_every_query(tmp_path: Path) -> None:  # target-promql
    if shutil.which("promtool") is None:
        if "CI" in os.environ:
            pytest.fail("promtool is not there")
        pytest.skip("promtool is not there")
    rules = []
    for path in sorted(FOLDER.glob("*.json")):
        board = json.loads(path.read_text())
        asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
        asked += [note["expr"] for note in board["annotations"]["list"]]
        rules += [
            {"record": f"{path.stem.replace('-', '_')}:{number}", "expr": filled_in(expr)}
            for number, expr in enumerate(asked)
        ]
    assert len(rules) > 100
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    checked = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
