"""From the golden house to the data directory of a Prometheus, by way of OpenMetrics and promtool."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from golden_agent import golden_counters
from golden_alerts import alert_rules, alert_series
from golden_events import GATEWAY_DOWN, NOW, PROMETHEUS_GAP, START
from golden_gauges import Key, Page, key, labels_of, within
from golden_house import Floats, House, golden_house
from golden_neighbour import neighbour
from golden_pushed import Pushed, scrapes
from golden_recorded import Batch, Recorded
from programs import find_program

REPOSITORY: Final = Path(__file__).parents[2]
_CACHE: Final = REPOSITORY / ".cache/golden"
_BLOCK_SECONDS: Final = 486 * 3600
"""What promtool makes of --max-block-duration=744h: the longest of its sizes below that. It reads its whole input
once for each block, so each block gets a file of its own."""
_BATTERY: Final = {"job": "sonnen", "instance": "home"}
_AGENT: Final = {"job": "sonnen_agent", "instance": "pi"}
_NODE: Final = {"job": "node", "instance": "pi"}
_GATEWAY: Final = {"job": "pushgateway", "instance": "localhost:9091"}


def golden_blocks(house: House) -> Path:
    """Return the folder with the blocks of the golden house."""
    return _made(house) / "home"


def neighbour_blocks(house: House) -> Path:
    """Return the folder with the blocks of the second battery's weeks."""
    return _made(house) / "neighbour"


def _made(house: House) -> Path:
    """Return the folder of both, made now if it was not made from these sources before."""
    folder = _CACHE / _fingerprint()
    _CACHE.mkdir(parents=True, exist_ok=True)
    # Two test runs at once make them once.
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=_CACHE) as scratch:
                made = Path(scratch) / "blocks"
                ready = list(batches(house))
                make_blocks(ready, made / "home", Path(scratch))
                make_blocks(list(neighbour(ready)), made / "neighbour", Path(scratch), since=NOW)
                made.rename(folder)
            _forget_others(folder)
    return folder


def link_blocks(blocks: Path, data: Path) -> None:
    """Fill a data directory with the blocks; they are never written to, so links will do."""
    for block in blocks.iterdir():
        shutil.copytree(block, data / block.name, copy_function=os.link)


def batches(house: House) -> Iterator[tuple[Mapping[str, str], Batch]]:
    """Yield everything that Prometheus holds, by group."""
    pushed = Pushed(house, golden_counters(house))
    recorded = Recorded(house, pushed)
    for batch in recorded.battery():
        yield _BATTERY, batch
    yield _AGENT, recorded.agent()
    yield {}, recorded.loaded()
    moments = scrapes()
    yield _NODE, (moments, pushed.node(moments))
    yield _GATEWAY, (moments, _gateway(moments))
    yield from alert_series(house.seconds)


def make_blocks(
    ready: list[tuple[Mapping[str, str], Batch]], folder: Path, scratch: Path, *, since: float = START
) -> None:
    """Write series, by group, into blocks: from the one on in which a moment is."""
    promtool = find_program("promtool")
    with ThreadPoolExecutor(max_workers=1) as reader:
        reading: Future[None] | None = None
        for number in range(int(since // _BLOCK_SECONDS), int(NOW // _BLOCK_SECONDS) + 1):
            page = scratch / f"{number}.om"
            # While promtool reads one file, the next one is written.
            _write(page, ready, number * _BLOCK_SECONDS, (number + 1) * _BLOCK_SECONDS)
            if reading is not None:
                reading.result()
            reading = reader.submit(_create_block, promtool, page, folder)
        if reading is not None:
            reading.result()


def _create_block(promtool: Path, page: Path, folder: Path) -> None:
    ended = subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=744h", "-q", page, folder],
        capture_output=True,
        check=False,
        # It lives for seconds: a fifth of its time would go into tidying up.
        env={**os.environ, "GOGC": "400"},
    )
    if ended.returncode:
        raise RuntimeError(f"promtool did not take the golden house: {ended.stderr.decode(errors='replace')}")
    page.unlink()


def _write(page: Path, ready: list[tuple[Mapping[str, str], Batch]], begin: float, end: float) -> None:
    with page.open("w") as file:
        for group, (moments, series) in ready:
            part = slice(*np.searchsorted(moments, [begin, end]))
            stamps = [f" {moment:.15g}\n" for moment in moments[part].tolist()]
            for one, values in series.items():
                file.write(_lines(_selector(one, group), stamps, values[part]))
        file.write("# EOF\n")


def _lines(selector: str, stamps: list[str], values: Floats) -> str:
    return "".join(
        [
            f"{selector}{value:.12g}{stamp}"
            for value, stamp in zip(values.tolist(), stamps, strict=True)
            # NaN is the only value that is not itself.
            if value == value  # noqa: PLR0124
        ]
    )


def _selector(one: Key, group: Mapping[str, str]) -> str:
    labels = ",".join(f'{name}="{value}"' for name, value in labels_of(one, group).items())
    return f"{one[0]}{{{labels}}} "


def _gateway(moments: Floats) -> Page:
    up = np.where(within(moments, GATEWAY_DOWN), 0.0, 1.0)
    return {key("up"): np.where(within(moments, PROMETHEUS_GAP), np.nan, up)}


def _fingerprint() -> str:
    """Return a name for what the sources of the golden house make."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("golden_*.py")):
        # The truth is what the blocks are compared with: it is no part of them.
        if source.stem != "golden_truth":
            digest.update(source.read_bytes())
    digest.update(repr(alert_rules()).encode())
    return digest.hexdigest()[:16]


def _forget_others(folder: Path) -> None:
    for other in _CACHE.iterdir():
        if other != folder and len(other.name) == len(folder.name):
            shutil.rmtree(other, ignore_errors=True)


if __name__ == "__main__":
    golden_blocks(golden_house())
