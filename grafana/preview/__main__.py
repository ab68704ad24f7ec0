"""Draw dashboards into a folder."""

import argparse
import json
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from preview.asking import Prometheus
from preview.drawing import Canvas

DASHBOARDS = Path(__file__).parents[1] / "dashboards"


def main() -> None:
    """Draw what the command line asks for."""
    parser = argparse.ArgumentParser(prog="preview", description=__doc__)
    parser.add_argument("--prometheus", required=True, help="URL of a Prometheus with the rules and the data")
    parser.add_argument("--now", required=True, help="what to take for now, as 2026-03-01T12:00")
    parser.add_argument("--timezone", default="Europe/Berlin", help="the viewer's time zone")
    parser.add_argument("--into", type=Path, required=True, help="folder of the PNG files")
    parser.add_argument("uid", nargs="*", help="dashboards; all without one")
    chosen = parser.parse_args()
    now = datetime.fromisoformat(chosen.now).replace(tzinfo=ZoneInfo(chosen.timezone))
    chosen.into.mkdir(parents=True, exist_ok=True)
    for path in sorted(DASHBOARDS.glob("*.json")):
        if not chosen.uid or path.stem in chosen.uid:
            board = json.loads(path.read_text())
            typed = {one["name"]: str(one["query"]) for one in board["templating"]["list"] if one["type"] == "textbox"}
            choices = {"job": "sonnen", "instance": "home", "agent": "pi", **typed}
            Canvas(board=board, prometheus=Prometheus(url=chosen.prometheus, now=now, choices=choices)).draw(
                chosen.into / f"{path.stem}.png"
            )


main()
