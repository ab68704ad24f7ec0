"""What scripts/preview does."""

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import golden_events
from grafana_render import pictures

from golden import GoldenPrometheus, golden

GRAFANA = Path(__file__).parents[1] / "grafana"
LAPTOP, PHONE = 1344, 412


@contextmanager
def golden_server() -> Iterator[tuple[str, datetime]]:
    """Yield the URL of a Prometheus with the golden house's year, and the moment to take for now."""
    with tempfile.TemporaryDirectory() as folder, GoldenPrometheus(Path(folder), golden()) as server:
        yield server.url, datetime.fromtimestamp(golden_events.NOW, golden_events.ZONE)


def draw(url: str, now: datetime, chosen: list[str], into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    for path in sorted((GRAFANA / "dashboards").glob("*.json")):
        if chosen and path.stem not in chosen:
            continue
        board = json.loads(path.read_text())
        width = PHONE if path.stem == "sonnen-phone" else LAPTOP
        with tempfile.TemporaryDirectory() as scratch:
            pictures(url, now.timestamp(), [board], Path(scratch), widths=[width], into=into)
        print(into / f"{path.stem}.png")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/preview")
    parser.add_argument("--prometheus", help="URL of another one, with the rules, job sonnen and instance home")
    parser.add_argument("--now", type=datetime.fromisoformat, help="the moment, as 2026-03-01T12:00")
    parser.add_argument("--into", type=Path, default=GRAFANA / "previews", help="folder of the PNG files")
    parser.add_argument("uid", nargs="*", help="dashboards; all without one")
    chosen = parser.parse_args()
    if chosen.prometheus:
        now = (chosen.now or datetime.now(golden_events.ZONE)).replace(tzinfo=golden_events.ZONE)
        draw(chosen.prometheus, now, chosen.uid, chosen.into)
        return
    with golden_server() as (url, now):
        draw(url, now, chosen.uid, chosen.into)


main()
