"""Debian 12's Ansible and the collection on a Pi that has an earlier version: upgrades, failing ones, and the way back.

The tests of this file are one story, told in order: each begins where the one before it ended.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import images
import pytest
from playbooks import other_version
from programs import wait_until
from sites import OLD_VERSION, Site

pytestmark = [
    pytest.mark.system,
    pytest.mark.parametrize("release", images.tried_on("trixie"), indirect=True, scope="module"),
]

_NEXT_VERSION = "98.0"
_BROKEN_VERSION = "99.0"
_CRASH = "this version is broken"


def test_an_earlier_version_is_there(site: Site) -> None:
    site.controller.use_oldest_ansible()
    site.controller.install_collection()

    site.controller.play_well(site.inventory(), as_users_do=True)

    assert site.version() == OLD_VERSION


def test_an_upgrade_keeps_state_and_config(site: Site) -> None:
    observed = site.wait_for_value("sonnen_observed_seconds_total")
    config = site.pi.run("cat /etc/sonnen-agent/config.yml").stdout

    # To what is in the collection.
    del site.agent["sonnen_agent_source"]
    site.change_pi()

    assert site.version() not in {OLD_VERSION, _BROKEN_VERSION}
    # By which a run sees that another release is still running than the one that it finds in place.
    running = site.pi.run(f"readlink /proc/{site.show('MainPID')}/cwd").stdout
    assert running == site.pi.run("readlink --canonicalize /opt/sonnen-agent").stdout
    assert site.pi.run("cat /etc/sonnen-agent/config.yml").stdout == config
    wait_until(lambda: site.query("sonnen_observed_seconds_total") > [observed], "the counters to go on")
    assert site.query("resets(sonnen_observed_seconds_total[5m])") == [0]
    assert site.pi.run("ls /opt/sonnen-agent-releases | wc -l").stdout == "2\n"


def test_a_broken_upgrade_goes_back_by_itself(site: Site, tmp_path: Path) -> None:
    version, config = site.version(), site.pi.run("cat /etc/sonnen-agent/config.yml").stdout
    without_token = [{"name": "home", "url": site.to_battery.url, "labels": {"floor": "0"}}]

    broken = other_version(tmp_path, version=_BROKEN_VERSION, crash=_CRASH)
    played = site.play_pi(sonnen_agent_source=str(broken), sonnen_agent_batteries=without_token)

    assert played.exit_code != 0
    assert f"sonnen-agent {_BROKEN_VERSION} did not get ready." in played.words
    assert f"Version {version} runs again" in played.words
    assert _CRASH in played.words
    assert site.version() == version
    assert site.show("ActiveState") == "active"
    assert site.pi.run("cat /etc/sonnen-agent/config.yml").stdout == config
    assert site.pi.run("cat /run/credentials/sonnen-agent.service/secrets_token-home").stdout == site.battery.token
    pushed_at = site.wait_for_value('push_time_seconds{job="sonnen"}')
    wait_until(lambda: site.query('push_time_seconds{job="sonnen"}') > [pushed_at], "another push")


def test_a_downgrade_says_so(site: Site, old_version: Path) -> None:
    version, pid = site.version(), site.show("MainPID")

    refused = site.play_pi(sonnen_agent_source=str(old_version))
    assert refused.exit_code != 0
    assert f"This would go back from sonnen-agent {version} to {OLD_VERSION}" in refused.words
    assert "set sonnen_agent_allow_downgrade to true" in refused.words
    assert refused.count("raspberry", "changed") == 0
    assert site.show("MainPID") == pid

    told = site.change_pi("--extra-vars=sonnen_agent_allow_downgrade=true", sonnen_agent_source=str(old_version))
    assert f"Going back from sonnen-agent {version} to {OLD_VERSION}." in told.words
    assert site.version() == OLD_VERSION


def test_a_power_cut_in_the_midst_of_an_upgrade_is_mended_by_the_next_run(site: Site, tmp_path: Path) -> None:
    site.agent["sonnen_agent_source"] = str(other_version(tmp_path, version=_NEXT_VERSION))
    new = f"/opt/sonnen-agent-releases/{_NEXT_VERSION}-*/bin/sonnen-agent"
    with ThreadPoolExecutor() as pool:
        playing = pool.submit(site.play_pi, as_users_do=True)
        wait_until(lambda: site.pi.run(f"test -e {new}", check=False).returncode == 0, "the new release", seconds=300)
        site.pi.kill()
        assert playing.result().exit_code != 0
    site.pi.start()
    assert site.version() == OLD_VERSION
    assert site.show("ActiveState") == "active"

    # As it was not on the disk yet.
    site.pi.run(f"truncate --size=0 {new}")
    site.controller.play_well(site.inventory(), "--limit=raspberry")

    assert site.version() == _NEXT_VERSION
    assert site.show("ActiveState") == "active"


def test_a_release_that_does_not_answer_is_made_anew_and_a_look_says_so(site: Site) -> None:
    site.pi.run("truncate -s 4096 /opt/sonnen-agent/bin/sonnen-agent && systemctl kill --signal=SIGKILL sonnen-agent")

    assert site.play_pi("--check").count("raspberry", "changed") > 0
    assert site.pi.run("sonnen-agent --version", check=False).returncode != 0
    site.controller.play_well(site.inventory(), "--limit=raspberry")

    assert site.version() == _NEXT_VERSION
    assert site.show("ActiveState") == "active"
    assert site.play_pi("--check").count("raspberry", "changed") == 0
