"""What scripts/preview does."""

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import golden_events
from grafana_asking import Prometheus
from sketch.drawing import Canvas

from golden import GoldenPrometheus, golden

GRAFANA = Path(__file__).parents[1] / "grafana"
ZONE = ZoneInfo("Europe/Berlin")
CHOICES = {"job": "sonnen", "instance": "home", "agent": "pi"}


@contextmanager
def golden_server() -> Iterator[tuple[str, datetime]]:
    """Yield the URL of a Prometheus with the golden house's year, and the moment to take for now."""
    with tempfile.TemporaryDirectory() as folder, GoldenPrometheus(Path(folder), golden()) as server:
        yield server.url, datetime.fromtimestamp(golden_events.NOW, ZONE)


def draw(url: str, now: datetime, chosen: list[str], into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    for path in sorted((GRAFANA / "dashboards").glob("*.json")):
        if chosen and path.stem not in chosen:
            continue
        board = json.loads(path.read_text())
        typed = {one["name"]: str(one["query"]) for one in board["templating"]["list"] if one["type"] == "textbox"}
        prometheus = Prometheus(url=url, now=now, choices=CHOICES | typed)
        Canvas(board=board, prometheus=prometheus).draw(into / f"{path.stem}.png")
        print(into / f"{path.stem}.png")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/preview")
    parser.add_argument("--prometheus", help="URL of another one, with the rules, job sonnen and instance home")
    parser.add_argument("--now", type=datetime.fromisoformat, default=datetime.now(ZONE), help="as 2026-03-01T12:00")
    parser.add_argument("--into", type=Path, default=GRAFANA / "previews", help="folder of the PNG files")
    parser.add_argument("uid", nargs="*", help="dashboards; all without one")
    chosen = parser.parse_args()
    if chosen.prometheus:
        draw(chosen.prometheus, chosen.now.replace(tzinfo=ZONE), chosen.uid, chosen.into)
        return
    with golden_server() as (url, now):
        draw(url, now, chosen.uid, chosen.into)


main()
