"""The playbook against bare machines: what stops it, and what it only looks at, leaves them bare."""

import images
import pytest
from sites import Site, left_of_ours

pytestmark = [
    pytest.mark.system,
    pytest.mark.parametrize("release", images.tried_on("bookworm"), indirect=True, scope="module"),
]

_APT_BROKEN = "/etc/apt/apt.conf.d/99broken"


def test_a_wrong_inventory_stops_before_anything_is_touched(site: Site) -> None:
    gateway = {**site.agent["sonnen_agent_pushgateway"], "ca_file": "/nowhere/ca.pem"}

    played = site.play_pi(sonnen_agent_pushgateway=gateway, sonnen_agent_timzone="Europe/Berlin")

    assert played.exit_code != 0
    assert "There is no variable called sonnen_agent_timzone" in played.words
    assert "These files are not on the controller: /nowhere/ca.pem" in played.words
    assert site.secrets_in(played.output) == []
    assert played.count("raspberry", "changed") == 0
    assert left_of_ours(site.pi) == ""


def test_an_open_gateway_stops_before_anything_is_touched(site: Site) -> None:
    inventory = site.inventory()
    inventory["central"]["vars"].update(sonnen_central_users={})

    played = site.controller.play(inventory, "--limit=gateway")

    assert played.exit_code != 0
    assert "sonnen_central_pushgateway_listen would let everybody on the network in" in played.words
    assert played.count("gateway", "changed") == 0
    assert left_of_ours(site.central) == ""


def test_an_agent_that_was_installed_by_hand_is_not_overwritten(site: Site) -> None:
    site.pi.run("mkdir /opt/sonnen-agent")

    played = site.play_pi()
    site.pi.run("rmdir /opt/sonnen-agent")

    assert played.exit_code != 0
    assert (
        "/opt/sonnen-agent was made neither by this role nor by systemd/install: move it away (mv /opt/sonnen-agent"
        in played.words
    )
    assert played.count("raspberry", "changed") == 0
    assert left_of_ours(site.pi) == ""


def test_an_unreachable_apt_is_told_and_leaves_nothing_half_installed(site: Site) -> None:
    site.pi.write(_APT_BROKEN, 'Acquire::http::Proxy "http://127.0.0.1:9";\n')

    played = site.play_pi()
    site.pi.run(f"rm {_APT_BROKEN}")

    assert played.exit_code != 0
    assert "apt could not install " in played.words
    assert "prometheus-node-exporter" in played.words
    assert "Nothing was changed. See that `apt-get update` works on" in played.words
    assert left_of_ours(site.pi) == ""


def test_a_part_alone_stops_on_bare_hosts_before_anything_is_touched(site: Site) -> None:
    agent, central = "--tags=config,service", "--tags=prometheus"

    for played in (site.play_pi(agent), site.controller.play(site.inventory(), "--limit=gateway", central)):
        assert played.exit_code != 0
        assert "is not installed on" in played.words
        assert "cannot work: run this once without --tags." in played.words

    assert left_of_ours(site.pi) == left_of_ours(site.central) == ""


def test_check_mode_on_bare_hosts_fails_nowhere_and_touches_nothing(site: Site) -> None:
    played = site.controller.play_well(site.inventory(), "--check", "--diff", as_users_do=True)

    assert '+  url: "https://' in played.output, "the config to come is shown"
    assert site.secrets_in(played.output) == []
    assert left_of_ours(site.pi) == left_of_ours(site.central) == ""


def test_one_pi_may_leave_while_another_is_set_up(site: Site) -> None:
    inventory = site.inventory()
    leaving = {**site.central.inventory_variables, "sonnen_agent_state": "absent"}
    inventory["pi"]["hosts"] = {"leaving": leaving, **inventory["pi"]["hosts"]}

    site.controller.play_well(inventory, "--limit=leaving,raspberry", "--check")


def test_a_prometheus_that_is_not_debians_is_left_alone(site: Site) -> None:
    unit = "/etc/systemd/system/prometheus.service"
    site.central.write(unit, "[Service]\nExecStart=/opt/prometheus/prometheus\n")

    played = site.controller.play(site.inventory(), "--limit=gateway")
    site.central.run(f"rm {unit}")

    assert played.exit_code != 0
    assert f"Prometheus on gateway was not installed by Debian's package ({unit})" in played.words
    assert "set sonnen_central_servers to false" in played.words
    assert played.count("gateway", "changed") == 0
    assert left_of_ours(site.central) == ""
