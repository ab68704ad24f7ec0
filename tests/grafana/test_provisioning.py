"""The files land where Grafana and Prometheus look for them."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
GRAFANA = REPOSITORY / "grafana"
README = (GRAFANA / "README.md").read_text()

# What matters here of dockprom: what its containers see of its folder, where its provider of dashboards looks, and how
# its Prometheus finds rules.
MOUNTS = {
    "/etc/grafana/provisioning/dashboards": "grafana/provisioning/dashboards",
    "/etc/grafana/provisioning/datasources": "grafana/provisioning/datasources",
    "/etc/prometheus": "prometheus",
}
PROVIDER_PATH = "/etc/grafana/provisioning/dashboards"
PROMETHEUS_YML = 'global:\n  scrape_interval: 15s\n\nrule_files:\n  - "alert.rules"\n\nscrape_configs: []\n'


def test_the_data_source_has_the_beat_of_the_agent() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/sonnen.yml").read_text())["datasources"]
    assert source["uid"] == "sonnen-prometheus"
    assert source["type"] == "prometheus"
    assert source["isDefault"] is True
    assert source["jsonData"]["timeInterval"] == "5s"


def test_the_folder_keeps_its_uid_and_its_dashboards() -> None:
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/sonnen.yml").read_text())["providers"]
    assert (provider["folder"], provider["folderUid"], provider["type"]) == ("Sonnen", "sonnen", "file")
    assert provider["allowUiUpdates"] is False
    # Grafana takes an error for one of the two settings that contradict each other.
    assert "foldersFromFilesStructure" not in provider["options"]
    # Among the provisioning files, as in dockprom, dashboards would be mixed up with what configures Grafana.
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards/sonnen"
    assert f"cp dashboards/*.json {provider['options']['path']}/" in README


@pytest.fixture
def dockprom(tmp_path: Path) -> Path:
    """Return a dockprom to which the README's three lines were added, with this repository beside it."""
    (tmp_path / "sonnen-agent").symlink_to(REPOSITORY)
    folder = tmp_path / "dockprom"
    for mounted in MOUNTS.values():
        (folder / mounted).mkdir(parents=True)
    (folder / "prometheus/prometheus.yml").write_text(PROMETHEUS_YML)
    (folder / "prometheus/alert.rules").write_text("groups: []\n")
    match = re.search(r"```bash\n(.*?)```", README, re.DOTALL)
    assert match is not None
    assert len(match[1].splitlines()) == 3
    subprocess.run(["bash", "-euc", match[1]], cwd=folder, check=True)
    return folder


def test_dockprom_s_grafana_finds_all_dashboards_once(dockprom: Path) -> None:
    below = dockprom / MOUNTS[PROVIDER_PATH]
    found = [path.name for path in below.rglob("*.json")]
    assert sorted(found) == sorted(path.name for path in (GRAFANA / "dashboards").glob("*.json"))
    # Two providers that read the same files fight over them: dockprom has one already.
    assert list(below.rglob("*.yml")) == []


def test_dockprom_s_prometheus_loads_the_rules_beside_its_own(dockprom: Path) -> None:
    folder = dockprom / MOUNTS["/etc/prometheus"]
    config = yaml.safe_load((folder / "prometheus.yml").read_text())
    found = [path.name for pattern in config["rule_files"] for path in folder.glob(pattern)]
    assert sorted(found) == sorted(
        ["alert.rules", *(path.name for path in (REPOSITORY / "prometheus/rules").glob("*"))]
    )
