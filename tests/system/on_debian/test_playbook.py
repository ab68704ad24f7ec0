"""The real playbook against machines that boot: from bare hosts to numbers in Prometheus, and back.

The tests of this file are one story, told in order: each begins where the one before it ended.
"""

import json
import re
import shlex
from pathlib import Path

import images
import pytest
import yaml
from machines import Machine
from playbooks import REPOSITORY
from programs import ServerError, wait_until
from sites import NEW_PASSWORD, OLD_VERSION, PASSWORD, Site, left_of_ours

pytestmark = [
    pytest.mark.system,
    pytest.mark.parametrize("release", images.tried_on("bookworm"), indirect=True, scope="module"),
]

_GRAFANA = "/etc/grafana"
_BOT_TOKEN = "123456:a-made-up-bot"
_DROP_IN = "/run/systemd/system/sonnen-agent.service.d/test.conf"
_ASK_ALERTMANAGER = (
    "python3 -c 'import urllib.request as r;"
    'print(r.urlopen("http://127.0.0.1:9093/api/v2/status", timeout=5).read().decode())\''
)
_RECEIVER = {"telegram_configs": [{"bot_token": _BOT_TOKEN, "chat_id": 987654321, "parse_mode": ""}]}


def listening(machine: Machine, *ports: int) -> list[str]:
    """Return where on a machine somebody listens on one of these ports."""
    places = machine.run("ss --listening --tcp --numeric --no-header").stdout.split()
    return [place for place in places if place.endswith(tuple(f":{port}" for port in ports))]


def test_bare_hosts_become_numbers_in_prometheus_and_no_secret_is_shown(site: Site) -> None:
    site.central.run(f"mkdir -p {_GRAFANA}")
    site.central.write("/etc/systemd/system/grafana-server.service", "[Service]\nExecStart=/usr/bin/sleep infinity\n")

    played = site.controller.play_well(site.inventory(), "-vvv", "--diff", as_users_do=True)

    assert site.secrets_in(played.output) == []
    assert site.show("ActiveState") == "active"
    assert site.pi.run("systemctl is-enabled sonnen-agent").stdout == "enabled\n"
    assert "W solar" in site.show("StatusText")
    assert site.version() == OLD_VERSION
    # For receivers with a certificate of a public authority.
    assert "BEGIN CERTIFICATE" in site.pi.run("head -1 /etc/ssl/certs/ca-certificates.crt").stdout
    assert site.wait_for_value('sonnen_production_watts{job="sonnen",instance="home"}') > 0
    assert site.wait_for_value('sonnen_online{job="sonnen",instance="home"}') == 1


def test_rules_and_dashboards_of_this_repository_are_in_place(site: Site) -> None:
    for here, there in (
        ("prometheus/rules", "/etc/prometheus/sonnen/rules"),
        ("grafana/dashboards", "/var/lib/grafana/dashboards/sonnen"),
        ("grafana/provisioning/dashboards", f"{_GRAFANA}/provisioning/dashboards"),
        ("grafana/provisioning/datasources", f"{_GRAFANA}/provisioning/datasources"),
    ):
        files = [file for file in (REPOSITORY / here).glob("*.*") if file.suffix in {".yml", ".json"}]
        assert site.central.run(f"ls {there}").stdout.split() == sorted(file.name for file in files)
    zones = site.central.run("grep --no-filename '\"timezone\": ' /var/lib/grafana/dashboards/sonnen/*.json | sort -u")
    assert zones.stdout.split() == ['"timezone":', '"America/Los_Angeles",']
    assert site.prometheus("/api/v1/status/flags")["storage.tsdb.retention.time"] == "10y"
    groups = site.prometheus("/api/v1/rules")["groups"]
    assert {Path(group["file"]).name for group in groups} == {
        file.name for file in (REPOSITORY / "prometheus/rules").glob("*.yml")
    }


def test_the_central_host_cannot_reach_the_pi(site: Site) -> None:
    connect = f"import socket; socket.create_connection(('{site.pi.address}', 22), timeout=5)"
    tried = site.central.run(f'python3 -c "{connect}"', check=False)
    assert "Network is unreachable" in tried.stderr


def test_the_health_of_the_pi_comes_by_the_same_push(site: Site) -> None:
    assert listening(site.pi, 9100) == ["127.0.0.1:9100"]
    assert site.wait_for_value('node_memory_MemTotal_bytes{job="node"}') > 0


def test_nobody_gets_into_the_gateway_without_the_password_and_into_prometheus_from_outside(site: Site) -> None:
    ask = (
        "import ssl, urllib.request as r;"
        "r.urlopen('https://127.0.0.1:9091/metrics', context=ssl._create_unverified_context())"
    )
    assert "401" in site.central.run(f'python3 -c "{ask}"', check=False).stderr
    assert listening(site.central, 9090) == ["127.0.0.1:9090"]


def test_a_second_run_changes_nothing(site: Site) -> None:
    played = site.controller.play_well(site.inventory())

    assert played.count("raspberry", "changed") == 0, played.output
    assert played.count("gateway", "changed") == 0, played.output


def test_what_a_run_has_written_before_it_broke_off_is_handed_over_by_the_next_one(site: Site) -> None:
    pid, cursor = site.show("MainPID"), site.cursor()
    site.pi.run("touch /etc/sonnen-agent/config.yml")

    site.change_pi("--tags=config")

    assert site.journal(cursor).count("Started sonnen-agent.service") == 1
    assert site.show("MainPID") != pid
    assert site.change_pi("--tags=config").count("raspberry", "changed") == 0


def test_secrets_are_nowhere_but_in_their_files(site: Site) -> None:
    for machine in (site.pi, site.central):
        for text in (
            machine.run("systemctl show '*'").stdout,
            machine.run("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null", check=False).stdout,
            machine.run("journalctl --output=export").stdout,
        ):
            assert text
            assert site.secrets_in(text) == []
        words = " ".join(f"-e {shlex.quote(secret)}" for secret in (site.battery.token, PASSWORD))
        places = "/etc /opt /var /run /tmp /root /home"
        found = machine.run(f"grep -rlsF {words} {places}", check=False).stdout.split()
        # What is in memory is what systemd hands to the agent.
        kept = {file for file in found if not file.startswith("/run/credentials/")}
        assert kept == (
            {"/etc/sonnen-agent/secrets/token-home", "/etc/sonnen-agent/secrets/pushgateway-password"}
            if machine is site.pi
            else {"/etc/prometheus/sonnen/password"}
        )
        for file in kept:
            assert machine.run(f"runuser -u nobody -- cat {file}", check=False).returncode != 0


def test_between_a_crash_and_the_next_start_it_takes_a_changed_config_over_at_once(site: Site) -> None:
    # Long enough for a playbook.
    site.pi.write(_DROP_IN, "[Service]\nRestartSec=1h\n")
    site.pi.run("systemctl daemon-reload; systemctl kill --signal=SIGKILL sonnen-agent")
    wait_until(lambda: site.show("SubState") == "auto-restart", "the time between two starts")
    assert site.show("ActiveState") == "activating"

    site.change_pi("--tags=config", sonnen_agent_timezone="Europe/Vienna")
    site.pi.run(f"rm -r {Path(_DROP_IN).parent}; systemctl daemon-reload")

    assert site.show("ActiveState") == "active"
    assert "W solar" in site.show("StatusText")


def test_a_changed_config_is_one_reload(site: Site) -> None:
    pid, cursor = site.show("MainPID"), site.cursor()

    site.change_pi("--tags=config", sonnen_agent_timezone="Europe/Berlin")

    assert site.journal(cursor).count("Reloaded sonnen-agent.service") == 1
    assert site.show("MainPID") == pid


def test_a_config_that_the_agent_refuses_replaces_nothing(site: Site) -> None:
    pid, cursor = site.show("MainPID"), site.cursor()

    played = site.play_pi("--tags=config", sonnen_agent_timezone="Europe/Nowhere")

    assert played.exit_code != 0
    assert "Europe/Nowhere" in played.output
    assert "timezone" in played.output
    assert 'timezone: "Europe/Berlin"' in site.pi.run("cat /etc/sonnen-agent/config.yml").stdout
    assert (site.show("MainPID"), "Reload" in site.journal(cursor)) == (pid, False)


def test_a_changed_secret_is_one_restart_and_an_unneeded_one_is_removed(site: Site) -> None:
    site.pi.write("/etc/sonnen-agent/secrets/token-gone", "an old one", mode="0600")
    site.controller.change_secrets({"vault_password": NEW_PASSWORD, "vault_token": site.battery.token})
    pid, cursor = site.show("MainPID"), site.cursor()

    played = site.controller.play_well(site.inventory(), "-vvv", "--diff", "--tags=secrets,access")

    assert site.secrets_in(played.output) == []
    said = site.journal(cursor)
    assert (said.count("Started sonnen-agent.service"), said.count("Reloaded sonnen-agent.service")) == (1, 0)
    assert site.show("MainPID") != pid
    assert "token-gone" not in site.pi.run("ls /etc/sonnen-agent/secrets").stdout
    pushed_at = site.wait_for_value('push_time_seconds{job="sonnen"}')
    wait_until(lambda: site.query('push_time_seconds{job="sonnen"}') > [pushed_at], "a push with it")


def test_a_changed_secret_is_handed_over_although_the_config_is_refused(site: Site) -> None:
    pid = site.show("MainPID")
    site.pi.run("echo old > /etc/sonnen-agent/secrets/token-home")

    played = site.play_pi("--tags=secrets,config", sonnen_agent_timezone="Europe/Nowhere")

    assert "The config was left as it was; " in played.words
    assert "timezone: no such time zone" in played.words
    assert site.show("MainPID") != pid
    assert site.pi.run("cat /run/credentials/sonnen-agent.service/secrets_token-home").stdout == site.battery.token
    assert site.controller.play_well(site.inventory(), "--tags=secrets,config").count("raspberry", "changed") == 0


def test_prometheus_takes_remote_write_from_the_pi_and_what_is_the_users_in_it_stays(site: Site) -> None:
    own = "  # mine\n  - job_name: mine\n    static_configs: [{targets: ['127.0.0.1:1']}]\n"
    config = site.central.run("cat /etc/prometheus/prometheus.yml").stdout
    site.central.write("/etc/prometheus/prometheus.yml", config + own)
    own_flags = "--web.page-title='My home' --storage.tsdb.retention.time=5y"
    change_flags = f"s/--storage.tsdb.retention.time=10y/{own_flags}/"
    site.central.run(f"sed -i {shlex.quote(change_flags)} /etc/default/prometheus")
    inventory = site.inventory()
    inventory["central"]["vars"].update(
        sonnen_central_remote_write=True,
        sonnen_central_prometheus_listen="0.0.0.0:9090",
        sonnen_central_alert_receiver=_RECEIVER,
    )
    to_prometheus = site.pi.reach(site.central.address, 9090)
    inventory["pi"]["vars"].update(
        sonnen_agent_remote_write={
            **site.agent["sonnen_agent_pushgateway"],
            "url": f"https://{to_prometheus.host}:{to_prometheus.port}/api/v1/write",
            "external_labels": {"way": "remote"},
        }
    )

    played = site.controller.play_well(inventory, "-vvv", "--diff")
    site.prometheus_url = "https://127.0.0.1:9090"

    assert _BOT_TOKEN not in played.output

    changed = site.central.run("cat /etc/prometheus/prometheus.yml").stdout
    assert own in changed
    assert "out_of_order_time_window: 24h" in changed
    (line,) = re.findall("^ARGS=.*$", site.central.run("cat /etc/default/prometheus").stdout, re.MULTILINE)
    assert line == (
        f'ARGS="{own_flags} --web.listen-address=0.0.0.0:9090'
        ' --web.config.file=/etc/prometheus/sonnen/web.yml --web.enable-remote-write-receiver"'
    )
    assert site.prometheus("/api/v1/status/flags")["web.page-title"] == "My home"
    (source,) = yaml.safe_load(site.central.run(f"cat {_GRAFANA}/provisioning/datasources/*.yml").stdout)["datasources"]
    assert source["url"] == site.prometheus_url
    assert (source["basicAuthUser"], source["secureJsonData"]) == ("pi", {"basicAuthPassword": NEW_PASSWORD})
    assert site.wait_for_value('sonnen_online{job="sonnen",instance="home",way="remote"}') == 1
    assert site.wait_for_value('up{job="mine"}') == 0
    assert site.wait_for_value('up{job="pushgateway"}') == 1


def test_alertmanager_runs_with_the_receiver_and_is_told_by_prometheus_alone(site: Site) -> None:
    asked = site.central.run(_ASK_ALERTMANAGER).stdout
    config = yaml.safe_load(json.loads(asked)["config"]["original"])

    assert [receiver["name"] for receiver in config["receivers"]] == ["nobody", "phone"]
    assert config["receivers"][1]["telegram_configs"][0]["chat_id"] == 987654321
    assert site.central.run("stat --format=%U:%G:%a /etc/prometheus/alertmanager.yml").stdout == "root:prometheus:640\n"
    assert site.central.run(f"grep -c {_BOT_TOKEN} /etc/prometheus/alertmanager.yml").stdout == "1\n"
    assert sorted(listening(site.central, 9093, 9094)) == ["127.0.0.1:9093", "127.0.0.1:9094"]
    wait_until(lambda: bool(site.prometheus("/api/v1/alertmanagers")["activeAlertmanagers"]), "a way to it")


def test_a_lost_disk_of_the_central_host_is_restored_by_three_commands_from_a_backup(site: Site) -> None:
    site.central.run("mkdir /mnt/backup; mount -t tmpfs tmpfs /mnt/backup")
    inventory = site.inventory()
    inventory["central"]["vars"].update(
        sonnen_central_prometheus_listen="0.0.0.0:9090",
        sonnen_central_backup={"folder": "/mnt/backup/disk", "keep": 2},
    )
    site.controller.play_well(inventory, "--limit=gateway")
    assert site.wait_for_value("sonnen_backup_success") == 1
    assert site.central.run("systemctl is-active sonnen-backup.timer").stdout == "active\n"
    assert site.central.run("systemd-analyze verify sonnen-backup.service sonnen-backup.timer").stderr == ""
    assert site.controller.play_well(inventory, "--limit=gateway").count("gateway", "changed") == 0
    begun = site.wait_for_value("sonnen_backup_last_success_timestamp_seconds")
    counted = f"count(last_over_time({{job='sonnen'}}[1d] @ {begun - 10:.0f}))"
    before = site.query(counted)
    assert before > [30]

    site.central.run("systemctl kill --signal=SIGKILL prometheus; rm -r /var/lib/prometheus/metrics2")
    site.central.run("install -d -o prometheus /var/lib/prometheus/metrics2; systemctl restart prometheus")
    wait_until(lambda: site.query("up") != [], "a Prometheus without a past", pause_seconds=1)
    assert site.query(counted) == []
    section = (REPOSITORY / "prometheus/README.md").read_text().partition("**After a lost disk**")[2]
    for command in section.split("```")[1].splitlines()[1:]:
        site.central.run(command.removeprefix("$ ").replace("/mnt/backup/sonnen", "/mnt/backup/disk"))

    wait_until(lambda: site.query(counted) != [], "what was there", pause_seconds=1)
    assert site.query(counted) == before


def test_removed_from_the_pi_only_the_counters_stay_and_these_when_asked(site: Site) -> None:
    # Not even a failure that nobody looked at.
    site.pi.run("echo 'batteries: []' > /etc/sonnen-agent/config.yml; systemctl restart sonnen-agent", check=False)

    site.change_pi(sonnen_agent_state="absent")
    assert site.pi.run("systemctl list-units --all --no-legend 'sonnen*'").stdout == ""
    assert what_is_left(site.pi) == ["/var/lib/private/sonnen-agent", "/var/lib/sonnen-agent"]
    assert listening(site.pi, 9100) == []
    with pytest.raises(ServerError):
        site.pi.run("systemctl cat sonnen-agent")

    site.change_pi("--extra-vars=sonnen_agent_purge=true")
    assert what_is_left(site.pi) == []


def test_removed_from_the_central_host_it_is_as_it_was_and_closed(site: Site) -> None:
    inventory = site.inventory()
    inventory["central"]["vars"].update(sonnen_central_state="absent", sonnen_central_alert_receiver=_RECEIVER)
    grafana = "systemctl show grafana-server --property=InvocationID"
    grafana_before = site.central.run(grafana).stdout

    site.controller.play_well(inventory, "--limit=gateway")

    assert site.central.run(grafana).stdout != grafana_before, "started anew, or it would keep what it has read"
    # For a purge some other day.
    assert what_is_left(site.central) == ["/etc/prometheus/sonnen"]
    assert site.central.run("ls /etc/prometheus/sonnen").stdout == "before.json\n"
    assert "Z\n" in site.central.run("ls /mnt/backup/disk").stdout, "a copy is never removed"
    assert "sonnen" not in site.central.run("cat /etc/prometheus/prometheus.yml /etc/default/prometheus").stdout
    assert "mine" in site.central.run("cat /etc/prometheus/prometheus.yml").stdout
    assert listening(site.central, 9090, 9091, 9093, 9094) == ["127.0.0.1:9090"]
    assert _BOT_TOKEN not in site.central.run("grep -rsF 123456: /etc /var/lib /var/backups", check=False).stdout
    site.prometheus_url = "http://127.0.0.1:9090"
    assert site.wait_for_value("up{job='mine'}") == 0

    site.central.run("mkdir /var/lib/prometheus/alertmanager")
    inventory["central"]["vars"].update(sonnen_central_purge=True)
    site.controller.play_well(inventory, "--limit=gateway")
    assert left_of_ours(site.central) == "/var/lib/prometheus\n"
    assert site.central.run("ls /var/lib/prometheus").stdout == "alertmanager\n", "which is not ours"


def what_is_left(machine: Machine) -> list[str]:
    found = machine.run("find / /run -xdev -name '*sonnen*' -print -prune")
    # Ansible itself leaves an empty folder.
    return sorted(found.stdout.split())
