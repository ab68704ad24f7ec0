"""What is committed is what the generator makes, and what the SDK of Grafana understands."""

import json
from pathlib import Path

import pytest

pytest.importorskip("grafana_foundation_sdk", reason="grafana-foundation-sdk is not installed (extra: grafana)")

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from generator.boards import BOARDS, files

FOLDER = Path(__file__).parents[2] / "grafana/dashboards"
NAMES = [f"{board.uid}.json" for board in BOARDS]


def test_nothing_but_what_is_generated_is_committed() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(files())


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_dashboard_is_the_generated_one(name: str) -> None:
    assert (FOLDER / name).read_text() == files()[name], "run scripts/dashboards and commit what it writes"


@pytest.mark.parametrize("name", NAMES)
def test_the_sdk_knows_every_key_of_a_dashboard(name: str) -> None:
    # It drops what it does not know: a misspelt option of a panel would be ignored by Grafana in silence.
    text = (FOLDER / name).read_text()
    again = json.dumps(Dashboard.from_json(json.loads(text)), cls=JSONEncoder)
    assert json.loads(again) == json.loads(text)
