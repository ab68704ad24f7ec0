"""The playbook where somebody has servers already: it comes as a guest, and leaves as one.

The tests of this file are one story, told in order: each begins where the one before it ended.
"""

import json
import shlex
from collections.abc import Mapping
from typing import Any

import images
import pytest
import yaml
from playbooks import Inventory
from sites import PASSWORD, Site

pytestmark = [
    pytest.mark.system,
    pytest.mark.parametrize("release", images.tried_on("bookworm"), indirect=True, scope="module"),
]

_OWN = {
    "/etc/default/prometheus": (
        "# Mine.\nARGS='--web.listen-address=127.0.0.1:9095 --web.external-url=http://example.org/prom"
        ' --web.page-title="My home" --storage.tsdb.retention.time=5y\'\n'
    ),
    "/etc/default/prometheus-pushgateway": (
        'ARGS="--web.listen-address=:9092 --web.route-prefix=/push \\\n  --web.config.file=/etc/prometheus/mine.yml"\n'
    ),
    "/etc/prometheus/prometheus.yml": (
        "scrape_configs:\n- job_name: mine # me\n  static_configs: [{targets: ['127.0.0.1:1']}]\n"
    ),
    "/etc/grafana/provisioning/datasources/mine.yaml": (
        "datasources: [{name: Mine, type: prometheus, isDefault: true, url: 'http://127.0.0.1:9095/prom'}]\n"
    ),
}
_OWN_JOB = """\
- job_name: gateways
  honor_labels: true
  scheme: https
  metrics_path: /push/metrics
  tls_config: {insecure_skip_verify: true}
  basic_auth: {username: pi, password_file: /etc/prometheus/mine.password}
  static_configs: [{targets: ['localhost:9092']}]
"""
_PI_OWN = 'ARGS="--web.listen-address=127.0.0.1:9101 --collector.disable-defaults --collector.meminfo"\n'
_NODE_EXPORTER = "/etc/default/prometheus-node-exporter"
_APT = "apt-get update && apt-get install --no-install-recommends -y"


def inventory(site: Site, central: Mapping[str, Any], **variables: object) -> Inventory:
    """Return an inventory whose variables of the central host are these alone."""
    found = site.inventory(**variables)
    return {**found, "central": {**found["central"], "vars": {"sonnen_central_timezone": "Europe/Vienna", **central}}}


def own_files(site: Site) -> dict[str, str]:
    return {file: site.central.run(f"cat {file}").stdout for file in _OWN}


def groups(site: Site) -> set[str]:
    """Return the jobs of all groups on the gateway."""
    login = f"pi:{PASSWORD}"
    ask = f"""
import base64, json, ssl, urllib.request as r
request = r.Request("https://127.0.0.1:9092/push/api/v1/metrics")
request.add_header("Authorization", "Basic " + base64.b64encode({login!r}.encode()).decode())
print(r.urlopen(request, context=ssl._create_unverified_context()).read().decode())
"""
    told = json.loads(site.central.run(f"python3 -c {shlex.quote(ask)}").stdout)
    return {group["labels"]["job"] for group in told["data"]}


def test_what_somebody_has_is_there(site: Site) -> None:
    site.central.run(f"{_APT} prometheus prometheus-pushgateway", seconds=600)
    for file, text in _OWN.items():
        site.central.write(file, text)
    site.central.copy(site.certificate, "/etc/prometheus/mine.crt")
    site.central.copy(site.certificate.with_suffix(".key"), "/etc/prometheus/mine.key")
    site.central.write("/etc/prometheus/mine.password", PASSWORD)
    hashed = site.central.run(
        "perl -e 'print crypt(<STDIN>, $ARGV[0])' '$2b$10$abcdefghijklmnopqrstue'", text=PASSWORD
    ).stdout
    guard = {"tls_server_config": {"cert_file": "mine.crt", "key_file": "mine.key"}, "basic_auth_users": {"pi": hashed}}
    site.central.write("/etc/prometheus/mine.yml", yaml.safe_dump(guard))
    site.central.run("chown prometheus /etc/prometheus/mine.*; systemctl restart prometheus prometheus-pushgateway")
    site.pi.run(f"{_APT} prometheus-node-exporter", seconds=600)
    site.pi.write(_NODE_EXPORTER, _PI_OWN)
    site.pi.run("systemctl restart prometheus-node-exporter")
    to_gateway = site.pi.reach(site.central.address, 9092)
    site.agent["sonnen_agent_pushgateway"]["url"] = f"https://{to_gateway.host}:{to_gateway.port}/push"
    site.prometheus_url = "http://127.0.0.1:9095/prom"

    assert site.wait_for_value('up{job="mine"}') == 0
    assert groups(site) == set()


def test_check_mode_fails_nowhere(site: Site) -> None:
    site.controller.play_well(inventory(site, {}), "--check", "--diff")

    assert own_files(site) == _OWN


def test_a_job_of_theirs_that_would_spoil_the_labels_stops_before_anything_is_touched(site: Site) -> None:
    own = f"{_OWN['/etc/prometheus/prometheus.yml']}- job_name: pushgateway\n"
    site.central.write("/etc/prometheus/prometheus.yml", own)

    played = site.controller.play(inventory(site, {}), "--limit=gateway")

    assert played.exit_code != 0
    assert "the job pushgateway of prometheus.yml has no honor_labels" in played.words
    assert own_files(site) == {**_OWN, "/etc/prometheus/prometheus.yml": own}
    site.central.write("/etc/prometheus/prometheus.yml", _OWN["/etc/prometheus/prometheus.yml"])


def test_where_prometheus_does_not_get_at_the_gateway_all_is_put_back(site: Site) -> None:
    # Without the login that their gateway asks for.
    played = site.controller.play(inventory(site, {"sonnen_central_remote_write": True}), "--limit=gateway")

    assert played.exit_code != 0
    assert "does not get at the gateway by its job pushgateway (server returned HTTP status 401" in played.words
    assert "are as they were before" in played.words
    assert own_files(site) == _OWN
    flags = site.prometheus("/api/v1/status/flags")
    assert (flags["web.enable-remote-write-receiver"], flags["web.page-title"]) == ("false", "My home")
    assert "pushgateway" not in site.prometheus("/api/v1/status/config")["yaml"]


def test_numbers_come_by_their_servers_which_stay_as_they_are(site: Site) -> None:
    site.central.run("mkdir /mnt/backup; mount -t tmpfs tmpfs /mnt/backup")
    central = {
        "sonnen_central_users": {"pi": "{{ vault_password }}"},
        "sonnen_central_backup": {"folder": "/mnt/backup/disk"},
    }

    played = site.controller.play_well(inventory(site, central), "-vvv", "--diff")

    assert site.secrets_in(played.output) == []
    now = own_files(site)
    assert now.pop("/etc/prometheus/prometheus.yml") != _OWN["/etc/prometheus/prometheus.yml"]
    assert now.items() <= _OWN.items()
    assert site.query('sonnen_production_watts{job="sonnen",instance="home"}')[0] > 0
    assert site.wait_for_value('node_memory_MemTotal_bytes{job="node"}') > 0
    assert site.wait_for_value("sonnen_backup_success") == 1
    assert site.pi.run(f"cat {_NODE_EXPORTER}").stdout == _PI_OWN
    assert "mine" in site.prometheus("/api/v1/status/config")["yaml"]
    ours = "/etc/grafana/provisioning/datasources/sonnen.yml"
    (source,) = yaml.safe_load(site.central.run(f"cat {ours}").stdout)["datasources"]
    assert (source["isDefault"], source["url"]) == (False, site.prometheus_url)
    asked = site.central.run('grep --no-filename \'"value": "sonnen-prom\' /var/lib/grafana/dashboards/sonnen/*.json')
    assert asked.stdout
    again = site.controller.play_well(inventory(site, central))
    assert (again.count("gateway", "changed"), again.count("raspberry", "changed")) == (0, 0), again.output


def test_it_leaves_and_everything_is_as_it_was(site: Site) -> None:
    absent = {"sonnen_central_state": "absent", "sonnen_central_purge": True}

    site.controller.play_well(inventory(site, absent, sonnen_agent_state="absent"))

    assert own_files(site) == _OWN
    assert site.central.run("find /etc /var/lib/grafana -name '*sonnen*'").stdout == ""
    assert "sonnen" in groups(site), "as it was not ours, the gateway still has what it was given"
    assert "sonnen" not in site.prometheus("/api/v1/status/config")["yaml"]
    assert site.pi.run(f"cat {_NODE_EXPORTER}").stdout == _PI_OWN
    assert site.pi.run("systemctl is-active prometheus-node-exporter").stdout == "active\n"


def test_rules_and_dashboards_alone_come_to_a_job_of_theirs(site: Site) -> None:
    own = _OWN["/etc/prometheus/prometheus.yml"] + _OWN_JOB
    site.central.write("/etc/prometheus/prometheus.yml", own)
    site.central.run("systemctl restart prometheus")
    started = site.central.run("systemctl show prometheus --property=InvocationID").stdout
    alone: dict[str, object] = {
        "sonnen_central_servers": False,
        "sonnen_central_pushgateway_listen": "127.0.0.1:9092",
    }

    site.controller.play_well(inventory(site, alone), "--limit=gateway")

    now = own_files(site)
    config = yaml.safe_load(now.pop("/etc/prometheus/prometheus.yml"))
    assert config == {**yaml.safe_load(own), "rule_files": ["/etc/prometheus/sonnen/rules/*.yml"]}
    assert now.items() <= _OWN.items()
    assert site.prometheus("/api/v1/rules")["groups"]
    assert site.central.run("systemctl show prometheus --property=InvocationID").stdout == started

    site.controller.play_well(inventory(site, {**alone, "sonnen_central_state": "absent"}), "--limit=gateway")
    assert own_files(site) == {**_OWN, "/etc/prometheus/prometheus.yml": own}
    assert site.central.run("find /etc /var/lib/grafana -name '*sonnen*'").stdout == ""
