"""Everything on the dashboards can be read: on a laptop, on a large screen and on a phone, as @grafana/ui draws it."""

import os
from pathlib import Path
from typing import Final

import pytest
from golden_events import NOW
from grafana_asking import Json
from grafana_render import chromium, pictures, skip_without_node
from grafana_viewer import boards

from golden import GoldenPrometheus

pytestmark = pytest.mark.system

WIDTHS: Final = (1344, 1880, 412)
SMALLEST_PIXELS: Final = 11


@pytest.fixture(scope="module")
def measured(golden_prometheus: GoldenPrometheus, tmp_path_factory: pytest.TempPathFactory) -> list[Json]:
    skip_without_node()
    if chromium() is None:
        assert "CI" not in os.environ, "chromium is missing: apt install chromium fonts-inter"
        pytest.skip("chromium is missing: it draws what is measured here")
    return pictures(golden_prometheus.url, NOW, list(boards()), tmp_path_factory.mktemp("pictures"), widths=WIDTHS)


def test_every_dashboard_is_drawn_at_every_width(measured: list[Json]) -> None:
    assert {(page["uid"], page["width"]) for page in measured} == {
        (board["uid"], width) for board in boards() for width in WIDTHS
    }
    titles = {
        board["uid"]: {panel["title"] for panel in board["panels"] if panel["type"] != "row"} for board in boards()
    }
    for page in measured:
        assert {letter["panel"] for letter in page["letters"]} == titles[page["uid"]], (page["uid"], page["width"])


def test_no_letter_is_too_small_to_be_read(measured: list[Json]) -> None:
    small = [
        (page["uid"], page["width"], letter["panel"], letter["text"], letter["pixels"])
        for page in measured
        for letter in page["letters"]
        if letter["pixels"] < SMALLEST_PIXELS
    ]
    assert small == []


def test_no_text_leaves_its_panel_or_is_cut_off(measured: list[Json]) -> None:
    lost = [
        (page["uid"], page["width"], letter["panel"], letter["text"])
        for page in measured
        for letter in page["letters"]
        if max(letter["outside"], letter["cut"]) > 1.5
    ]
    assert lost == []


def test_a_preview_of_each_dashboard_is_committed_and_small() -> None:
    folder = Path(__file__).parents[2] / "grafana/previews"
    assert {path.stem for path in folder.iterdir()} == {board["uid"] for board in boards()}
    for path in folder.iterdir():
        assert path.stat().st_size < 300_000, path.name
