"""Packs the agent into one program, as Python's zipapp does: package.py SOURCES FILE prints the agent's version.

The same sources make the same file, byte for byte, with any Python: by its checksum an installed agent is known.
There is no version of Python in it, so that it outlives an upgrade of Debian (docs/facts.md 9).
"""

import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

_FIRST_LINE = b"#!/usr/bin/python3\n"
_PACKED = (".py", ".yml")
_EARLIEST_IN_A_ZIP = (1980, 1, 1, 0, 0, 0)


def main() -> None:
    """Pack it, or end with a message that names the fix."""
    sources, program = map(Path, sys.argv[1:])
    package = sources / "agent/sonnen_agent"
    try:
        files = {"LICENSE": sources / "LICENSE", "__main__.py": package / "__main__.py", **dict(_files(package))}
        with program.open("wb") as file:
            file.write(_FIRST_LINE)
            # Stored as they are: how small they can be made depends on who does it, and what is read is read sooner.
            with zipfile.ZipFile(file, "w") as archive:
                for name, path in files.items():
                    archive.writestr(zipfile.ZipInfo(name, _EARLIEST_IN_A_ZIP), path.read_bytes())
    except FileNotFoundError as error:
        sys.exit(f"{sources} is no checkout of sonnen-agent, {error.filename} is missing: mend sonnen_agent_source")
    program.chmod(0o755)
    print(*re.findall('(?m)^__version__ = "(.+)"$', (package / "__init__.py").read_text()))


def _files(package: Path) -> Iterator[tuple[str, Path]]:
    """Return by its name in the archive each file that is part of the package."""
    for path in sorted(package.rglob("*")):
        if path.suffix in _PACKED:
            yield str(path.relative_to(package.parent)), path


if __name__ == "__main__":
    main()
