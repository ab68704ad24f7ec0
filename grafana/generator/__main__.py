"""Write the dashboards into a folder, by default the one that is committed."""

import sys
from pathlib import Path

from generator.boards import files

FOLDER = Path(__file__).parents[1] / "dashboards"


def main() -> None:
    """Write all dashboards, and remove those that are no more."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    wanted = files()
    for old in folder.glob("*.json"):
        if old.name not in wanted:
            old.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text)


main()
