"""A lost disk, restored by the commands of prometheus/README.md, with real Prometheus servers."""

import os
import pwd
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from backup import back_up, begun, blocks, copies, parse
from golden_events import NOW, local
from grafana_viewer import Viewer, key_of, targets
from programs import wait_until
from servers import Prometheus, Pushgateway

from golden import Golden, GoldenPrometheus

pytestmark = pytest.mark.system

README = Path(__file__).parents[2] / "prometheus/README.md"
MOMENTS = (NOW, local("2025-01-15 18:20"))


def data_of(prometheus: Prometheus) -> Path:
    return prometheus.config_file.with_suffix("")


def save(prometheus: Prometheus, folder: Path, at: float) -> None:
    """Back a Prometheus up while it runs."""
    given = [f"--folder={folder}", f"--data={data_of(prometheus)}", "--ledger=/nowhere", "--allow-same-disk"]
    back_up(parse(given), at, {})


def restore(prometheus: Prometheus, folder: Path) -> None:
    """Do what README says, with other folders and another user."""
    found = re.search(
        r"^\*\*After a lost disk\*\*.*?^```console\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL
    )
    assert found is not None
    stop, bring, start = (line.removeprefix("$ sudo ") for line in found[1].splitlines())
    assert (stop, start) == ("systemctl stop prometheus", "systemctl start prometheus")
    data = data_of(prometheus)
    for here, there in (
        ("/var/lib/prometheus", str(data.parent)),
        ("metrics2", data.name),
        ("/mnt/backup/sonnen", str(folder)),
        ("prometheus: ", f"{pwd.getpwuid(os.getuid()).pw_name}: "),
    ):
        assert here in bring
        bring = bring.replace(here, there)
    prometheus.stop()
    subprocess.run(["sh", "-c", bring], check=True)
    prometheus.start()


def panels(prometheus: GoldenPrometheus, house: Golden) -> dict[tuple[float, Any], Any]:
    """Return what each query of each panel is answered at some moments."""
    viewers = [Viewer(prometheus.url, moment, house.truth) for moment in MOMENTS]
    return {
        (viewer.now, key_of(*target)): sorted(viewer[key_of(*target)], key=repr)
        for viewer in viewers
        for target in targets()
    }


def test_a_lost_disk_restored_shows_the_same_numbers_on_every_panel(golden_house: Golden, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    folder.mkdir()
    with GoldenPrometheus(tmp_path, golden_house) as prometheus:
        before = panels(prometheus, golden_house)
        save(prometheus, folder, NOW)
        prometheus.kill()
        shutil.rmtree(data_of(prometheus))
        prometheus.start()
        assert not any(panels(prometheus, golden_house).values()), "nothing is left"

        restore(prometheus, folder)

        assert panels(prometheus, golden_house) == before
    assert sum(map(bool, before.values())) > 200


BUSY = ["--storage.tsdb.min-block-duration=3s", "--storage.tsdb.max-block-duration=27s"]
"""In life it is two hours: here a block is cut off the log every few seconds, and soon one made of several."""


def samples(prometheus: Prometheus, until: float) -> dict[str, list[tuple[float, float]]]:
    """Return the samples of each series up to a moment."""
    found = prometheus.query_range_samples('{__name__=~".+"}[1h]')
    return {str(labels): early for labels, all_ in found if (early := [one for one in all_ if one[0] <= until])}


def test_copies_of_a_prometheus_that_goes_on_have_every_sample(tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    folder.mkdir()
    with Pushgateway(tmp_path) as gateway, Prometheus(tmp_path, scrape=[gateway.url], flags=BUSY) as live:
        wait_until(lambda: len(blocks(data_of(live))) > 1, "some blocks")
        for _ in range(6):
            # A name has whole seconds.
            time.sleep(1.7)
            save(live, folder, time.time())
        # What was scraped is written a moment later.
        wanted = {copy: samples(live, begun(copy) - 1) for copy in copies(folder, time.time())}

    assert len(wanted) == 6
    assert len({tuple(block.name for block in blocks(copy / "prometheus")) for copy in wanted}) > 1
    for copy, had in wanted.items():
        with Prometheus(tmp_path, scrape=[], flags=BUSY) as lost:
            lost.stop()
            shutil.rmtree(data_of(lost))
            shutil.copytree(copy / "prometheus", data_of(lost))
            lost.start()
            assert len(had) > 30
            assert samples(lost, begun(copy) - 1) == had
