"""What a person reads on the dashboards, as Grafana's own packages make it from what Prometheus answers.

The texts are in the folder texts, to be read in a diff. Where a change is meant, write them anew with
`WRITE_TEXTS=1 scripts/test tests/grafana/test_texts.py`, and read what changed.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from golden_events import NOW, local
from golden_neighbour import AGENT, BATTERY
from golden_store import link_blocks, neighbour_blocks
from grafana_asking import MOST_POINTS, Json
from grafana_render import VERSIONS, skip_without_node, texts
from grafana_viewer import boards

from golden import Golden, GoldenPrometheus

pytestmark = pytest.mark.system

FOLDER: Final = Path(__file__).parent / "texts"
VIEWS: Final[dict[str, tuple[float, tuple[str, str] | None]]] = {
    "evening": (NOW, None),
    "picked": (NOW, ("2025-07-01 00:00:00", "2025-07-05 23:59:59")),
    "clocks-forward": (local("2025-03-31 10:00"), ("2025-03-28 00:00:00", "2025-03-31 23:59:59")),
    "year": (NOW, ("now/y", "now")),
}
"""When somebody looks, and at which time where that is not the dashboard's."""
ONLY: Final = {
    "picked": {"sonnen-energy", "sonnen-money", "sonnen-grid", "sonnen-battery"},
    "clocks-forward": {"sonnen-energy", "sonnen-money"},
    "year": {"sonnen-grid", "sonnen-energy"},
}
UNCOUNTED: Final = {
    "Numbers now", "Can these numbers be believed?", "On grid", "Alerts", "Nights of the last 30", "Cycles by day",
    "Use", "Load of the Pi", "Endpoints of the battery", "Firmware and states", "Health of the battery", "Agent",
    "How far back the numbers go", "Last outage", "Version", "Pushes arrive", "Spool",
    "Relayed exporters", "By tariff", "Outages",
}  # fmt: skip
"""Panels whose numbers have no unit: words, and things that are counted."""


@pytest.fixture(scope="module", params=VIEWS)
def view(
    request: pytest.FixtureRequest, golden_prometheus: GoldenPrometheus, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, list[Json]]]:
    """Return the name of a view, and what each version of Grafana's packages shows."""
    skip_without_node()
    name = str(request.param)
    now, time = VIEWS[name]
    shown = [board for board in boards() if board["uid"] in ONLY.get(name, {board["uid"]})]
    if time:
        shown = [{**board, "time": {"from": time[0], "to": time[1]}} for board in shown]
    folder = tmp_path_factory.mktemp("texts")
    return name, {version: texts(version, golden_prometheus.url, now, shown, folder) for version in VERSIONS}


def panels(shown: dict[str, list[Json]]) -> Iterator[tuple[str, Json]]:
    for told in shown.values():
        for board in told:
            for panel in board["panels"]:
                yield board["uid"], panel


def told(board: Json) -> str:
    """Return what a dashboard says, a line for each thing."""
    lines = []
    for panel in board["panels"]:
        course = f", {panel['from']} to {panel['to']} by {panel['step']} s" if panel["step"] else ""
        lines += ["", f"{panel['title']} ({panel['type']}{course})"]
        lines += [f"  {error}" for error in panel["errors"]]
        for row in panel["rows"]:
            when = f" ({row['when'][0]} to {row['when'][1]})" if "when" in row else ""
            lines.append(f"  {row['name']}: {row['text']}{when}" if row["name"] else f"  {row['text']}")
        if not panel["rows"]:
            lines.append(f"  {panel['nothing']}")
    for note in board["annotations"]:
        lines += ["", f"Marks: {note['name']}", *(f"  {mark}" for mark in note["marks"][:40])]
    return "\n".join(lines).lstrip() + "\n"


def test_a_person_reads_what_was_read_before(view: tuple[str, dict[str, list[Json]]]) -> None:
    name, shown = view
    FOLDER.mkdir(exist_ok=True)
    for board in shown[VERSIONS[-1]]:
        file = FOLDER / f"{board['uid']}-{name}.txt"
        if "WRITE_TEXTS" in os.environ:
            file.write_text(told(board))
        assert told(board) == file.read_text(), f"{file.name}: if that is meant, write it anew with WRITE_TEXTS=1"


def test_the_oldest_grafana_says_the_same_as_the_newest(view: tuple[str, dict[str, list[Json]]]) -> None:
    old, new = (view[1][version] for version in VERSIONS)
    assert [told(board) for board in old] == [told(board) for board in new]


def test_no_query_fails_or_asks_for_more_than_prometheus_gives(view: tuple[str, dict[str, list[Json]]]) -> None:
    assert [(uid, panel["title"], panel["errors"]) for uid, panel in panels(view[1]) if panel["errors"]] == []
    assert [panel["title"] for _, panel in panels(view[1]) if panel["step"] and panel["points"] > MOST_POINTS] == []


def test_no_text_is_a_number_that_is_none(view: tuple[str, dict[str, list[Json]]]) -> None:
    wrong = [
        (uid, panel["title"], row["text"])
        for uid, panel in panels(view[1])
        for row in panel["rows"]
        if re.search(r"NaN|∞|Infinity|undefined|\bnull\b|\{\{|\$\{", f"{row['name']} {row['text']}")
    ]
    assert wrong == []


def test_money_has_two_decimals_and_its_currency(view: tuple[str, dict[str, list[Json]]]) -> None:
    said = [
        (panel["title"], row["name"], row["text"])
        for _, panel in panels(view[1])
        for row in panel["rows"]
        if row["name"].endswith(" EUR")
    ]
    if "sonnen-money" in {uid for uid, _ in panels(view[1])}:
        assert len(said) >= 9 * len(VERSIONS)
    for title, name, text in said:
        assert re.search(r"€-?\d+\.\d\d(?!\d)", text), (title, name, text)
    bars = [
        cell
        for _, panel in panels(view[1])
        if panel["type"] == "barchart" and panel["unit"] == "suffix:"
        for row in panel["rows"][1:]
        for cell in row["cells"][1:]
    ]
    assert [cell for cell in bars if not re.fullmatch(r"€-?\d+\.\d\d", cell)] == []


def test_every_number_of_a_quantity_has_a_unit(view: tuple[str, dict[str, list[Json]]]) -> None:
    bare = {
        panel["title"].split(", since")[0] for _, panel in panels(view[1]) if panel["unit"] == "none" and panel["rows"]
    }
    words = {
        panel["title"]
        for _, panel in panels(view[1])
        if panel["rows"] and {row["text"] for row in panel["rows"]} <= {"fine", "firing", "no rules"}
    }
    assert bare - UNCOUNTED - words == set()


@pytest.fixture(scope="module")
def unknown(golden_prometheus: GoldenPrometheus, tmp_path_factory: pytest.TempPathFactory) -> list[Json]:
    """Return what is shown of a battery and an agent of which there is nothing, as on the first day."""
    skip_without_node()
    folder = tmp_path_factory.mktemp("unknown")
    nobody = {"job": "sonnen", "instance": "new", "agent": "new"}
    return texts(VERSIONS[0], golden_prometheus.url, NOW, list(boards()), folder, choices=nobody)


def test_where_there_is_nothing_yet_each_panel_says_so_in_words(unknown: list[Json]) -> None:
    said = {}
    for board in unknown:
        for panel in board["panels"]:
            values = {row["text"] for row in panel["rows"] if row["name"] != "columns"}
            assert not any(character.isdigit() for text in values for character in text), (board["uid"], panel["title"])
            said[board["uid"], panel["title"]] = values or {panel["nothing"]}
    assert all(words for words in said.values())
    assert said["sonnen-now", "Numbers now"] == {"nobody reports"}
    assert said["sonnen-now", "Grid costs"] == {"no tariffs in the agent's config"}
    assert said["sonnen-money", "By tariff"] == {"no tariffs in the agent's config"}
    assert said["sonnen-battery", "Capacity"] == {"no data, or no token"}


@pytest.fixture(scope="module")
def two_batteries(golden_house: Golden, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoldenPrometheus]:
    folder = tmp_path_factory.mktemp("two")
    prometheus = GoldenPrometheus(folder, golden_house)
    link_blocks(neighbour_blocks(golden_house.house), folder / f"prometheus-{prometheus.port}")
    with prometheus:
        yield prometheus


def test_a_second_battery_and_agent_change_nothing_of_what_is_read_about_the_first(
    two_batteries: GoldenPrometheus, tmp_path: Path
) -> None:
    skip_without_node()
    for board in texts(VERSIONS[-1], two_batteries.url, NOW, list(boards()), tmp_path):
        # The starts of every agent are marked.
        for note in board["annotations"]:
            note["marks"] = [mark for mark in note["marks"] if AGENT["instance"] not in mark]
        assert told(board) == (FOLDER / f"{board['uid']}-evening.txt").read_text()


def test_a_house_without_token_and_tariffs_reads_in_words_what_is_missing(
    two_batteries: GoldenPrometheus, tmp_path: Path
) -> None:
    skip_without_node()
    choices = {"job": "sonnen", "instance": BATTERY["instance"], "agent": AGENT["instance"]}
    for board in texts(VERSIONS[-1], two_batteries.url, NOW, list(boards()), tmp_path, choices=choices):
        file = FOLDER / f"{board['uid']}-without-token.txt"
        if "WRITE_TEXTS" in os.environ:
            file.write_text(told(board))
        assert told(board) == file.read_text(), f"{file.name}: if that is meant, write it anew with WRITE_TEXTS=1"
        assert not [panel["title"] for panel in board["panels"] if not panel["rows"] and not panel["nothing"]]
