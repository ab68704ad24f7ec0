"""The real playbook against machines that boot: from bare hosts to numbers in Prometheus, and back.

The tests of this file are one story, told in order: each begins where the one before it ended.
"""

import json
import re
import shlex
import urllib.parse
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from machines import Machine
from passages import Passage
from playbooks import REPOSITORY, Controller, Inventory, Played, build_wheel
from programs import ServerError, wait_until
from servers import Simulator

pytestmark = pytest.mark.system

_PASSWORD = "correct horse $battery staple"
_NEW_PASSWORD = "another horse"
_OLD_VERSION, _BROKEN_VERSION = "0.0.1", "99.0"
_CRASH = "this version is broken"
_OURS = "/etc/sonnen-agent /opt/sonnen-agent /opt/sonnen-agent-releases /etc/systemd/system/sonnen-agent.service"
_APT_BROKEN = "/etc/apt/apt.conf.d/99broken"
_GRAFANA = "/etc/grafana"
_DROP_IN = "/run/systemd/system/sonnen-agent.service.d/test.conf"


@dataclass(kw_only=True)
class Site:
    """A Pi and a central host, what is between them, and who sets them up."""

    pi: Machine
    central: Machine
    controller: Controller
    battery: Simulator
    to_battery: Passage
    to_gateway: Passage
    certificate: Path
    agent: dict[str, Any]
    """The variables of the Pi, as they were last."""
    prometheus_url: str = "http://127.0.0.1:9090"
    """On the central host."""

    def inventory(self, **variables: object) -> Inventory:
        """Return the inventory, with these variables of the Pi besides."""
        return {
            "central": {
                "hosts": {"gateway": self.central.inventory_variables},
                "vars": {
                    "sonnen_central_pushgateway_listen": "0.0.0.0:9091",
                    "sonnen_central_certificate_file": str(self.certificate),
                    "sonnen_central_key_file": str(self.certificate.with_suffix(".key")),
                    "sonnen_central_users": {"pi": "{{ vault_password }}"},
                },
            },
            "pi": {"hosts": {"raspberry": self.pi.inventory_variables}, "vars": {**self.agent, **variables}},
        }

    def play_pi(self, *options: str, **variables: object) -> Played:
        return self.controller.play(self.inventory(**variables), "--limit=raspberry", *options)

    def change_pi(self, *options: str, **variables: object) -> Played:
        """Set these variables for good, and run the playbook."""
        self.agent.update(variables)
        return self.controller.play_well(self.inventory(), "--limit=raspberry", *options)

    def show(self, name: str) -> str:
        return self.pi.run(f"systemctl show sonnen-agent --property={name} --value").stdout.strip()

    def cursor(self) -> str:
        """Return where the agent's journal ends now."""
        shown = self.pi.run("journalctl --unit=sonnen-agent --lines=0 --show-cursor --quiet").stdout
        return shown.rpartition("-- cursor: ")[2].strip()

    def journal(self, cursor: str) -> str:
        return self.pi.run(
            f"journalctl --unit=sonnen-agent --after-cursor={shlex.quote(cursor)} --output=cat --quiet"
        ).stdout

    def version(self) -> str:
        return self.pi.run("/opt/sonnen-agent/bin/sonnen-agent --version").stdout.split()[-1]

    def prometheus(self, path: str, **query: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Return what Prometheus on the central host answers, None when it does not."""
        address = f"{self.prometheus_url}{path}?{urllib.parse.urlencode(query)}"
        credentials = b64encode(f"pi:{_NEW_PASSWORD}".encode()).decode()
        ask = f"""
import ssl, urllib.request as r
request = r.Request({address!r}, headers={{"Authorization": "Basic {credentials}"}})
print(r.urlopen(request, timeout=5, context=ssl._create_unverified_context()).read().decode())
"""
        answer = self.central.run(f"python3 -c {shlex.quote(ask)}", check=False)
        return json.loads(answer.stdout)["data"] if answer.returncode == 0 else None

    def query(self, expression: str) -> list[float]:
        """Return the values of an instant query."""
        answer = self.prometheus("/api/v1/query", query=expression) or {"result": []}
        return [float(series["value"][1]) for series in answer["result"]]

    def wait_for_value(self, expression: str) -> float:
        wait_until(lambda: bool(self.query(expression)), f"an answer to {expression!r}", pause_seconds=1)
        return self.query(expression)[0]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return wheels of a version before ours and of a broken one to come, by version."""
    folder = tmp_path_factory.mktemp("wheels")
    return {
        _OLD_VERSION: str(build_wheel(folder, version=_OLD_VERSION)),
        _BROKEN_VERSION: str(build_wheel(folder, version=_BROKEN_VERSION, crash=_CRASH)),
    }


@pytest.fixture(scope="module")
def site(pi: Machine, central: Machine, machine_folder: Path, wheels: dict[str, str]) -> Iterator[Site]:
    folder = machine_folder / "controller"
    folder.mkdir()
    with ExitStack() as running:
        battery = running.enter_context(Simulator(machine_folder, options=["--start=2026-06-21T11:00:00"]))
        controller = Controller(folder, {"vault_password": _PASSWORD, "vault_token": battery.token})
        to_battery, to_gateway = pi.reach("127.0.0.1", battery.port), pi.reach(central.address, 9091)
        authority = trustme.CA()
        issued = authority.issue_cert(to_gateway.host)
        certificate = machine_folder / "gateway.crt"
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(certificate.with_suffix(".key"))
        authority.cert_pem.write_to_path(machine_folder / "ca.crt")
        yield Site(
            pi=pi,
            central=central,
            controller=controller,
            battery=battery,
            to_battery=to_battery,
            to_gateway=to_gateway,
            certificate=certificate,
            agent={
                "sonnen_agent_interval_seconds": 1,
                "sonnen_agent_wheel": wheels[_OLD_VERSION],
                "sonnen_agent_node_exporter": True,
                "sonnen_agent_batteries": [{"name": "home", "url": to_battery.url, "token": "{{ vault_token }}"}],
                "sonnen_agent_pushgateway": {
                    "url": f"https://{to_gateway.host}:{to_gateway.port}",
                    "username": "pi",
                    "password": "{{ vault_password }}",
                    "ca_file": str(machine_folder / "ca.crt"),
                },
            },
        )


def left_of_ours(machine: Machine) -> str:
    prometheus = "/etc/prometheus /etc/default/prometheus* /var/lib/prometheus"
    return machine.run(f"ls -d {_OURS} {prometheus} 2>/dev/null", check=False).stdout


def listening(machine: Machine, *ports: int) -> list[str]:
    """Return where on a machine somebody listens on one of these ports."""
    places = machine.run("ss --listening --tcp --numeric --no-header").stdout.split()
    return [place for place in places if place.endswith(tuple(f":{port}" for port in ports))]


def secrets_in(text: str, site: Site) -> list[str]:
    return [secret for secret in (site.battery.token, _PASSWORD, _NEW_PASSWORD) if secret in text]


def test_a_wrong_inventory_stops_before_anything_is_touched(site: Site) -> None:
    gateway = {**site.agent["sonnen_agent_pushgateway"], "ca_file": "/nowhere/ca.pem"}

    played = site.play_pi(sonnen_agent_pushgateway=gateway, sonnen_agent_timzone="Europe/Berlin")

    assert played.exit_code != 0
    assert "There is no variable called sonnen_agent_timzone" in played.words
    assert "These files are not on the controller: /nowhere/ca.pem" in played.words
    assert secrets_in(played.output, site) == []
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
    assert "/opt/sonnen-agent was not made by this role: move it away (mv /opt/sonnen-agent" in played.words
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
    played = site.controller.play_well(site.inventory(), "--check", "--diff")

    assert '+  url: "https://' in played.output, "the config to come is shown"
    assert secrets_in(played.output, site) == []
    assert left_of_ours(site.pi) == left_of_ours(site.central) == ""


def test_one_pi_may_leave_while_another_is_set_up(site: Site) -> None:
    inventory = site.inventory(sonnen_agent_wheel="")
    leaving = {**site.central.inventory_variables, "sonnen_agent_state": "absent"}
    inventory["pi"]["hosts"] = {"leaving": leaving, **inventory["pi"]["hosts"]}

    site.controller.play_well(inventory, "--limit=leaving,raspberry", "--check")


def test_check_mode_fails_nowhere_where_prometheus_was_there_before(site: Site) -> None:
    site.central.run("apt-get update && apt-get install --no-install-recommends -y prometheus", seconds=300)

    site.controller.play_well(site.inventory(), "--limit=gateway", "--check", "--diff")

    site.central.run("apt-get purge -y prometheus && rm -rf /etc/prometheus /var/lib/prometheus", seconds=300)
    assert left_of_ours(site.central) == ""


def test_bare_hosts_become_numbers_in_prometheus_and_no_secret_is_shown(site: Site) -> None:
    site.central.run(f"mkdir -p {_GRAFANA}")
    site.central.write("/etc/systemd/system/grafana-server.service", "[Service]\nExecStart=/usr/bin/sleep infinity\n")

    played = site.controller.play_well(site.inventory(), "-vvv", "--diff")

    assert secrets_in(played.output, site) == []
    assert site.show("ActiveState") == "active"
    assert site.pi.run("systemctl is-enabled sonnen-agent").stdout == "enabled\n"
    assert "W solar" in site.show("StatusText")
    assert site.version() == _OLD_VERSION
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


def test_secrets_are_nowhere_but_in_their_files(site: Site) -> None:
    for machine in (site.pi, site.central):
        for text in (
            machine.run("systemctl show '*'").stdout,
            machine.run("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null", check=False).stdout,
            machine.run("journalctl --output=export").stdout,
        ):
            assert text
            assert secrets_in(text, site) == []
        words = " ".join(f"-e {shlex.quote(secret)}" for secret in (site.battery.token, _PASSWORD))
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
    site.controller.change_secrets({"vault_password": _NEW_PASSWORD, "vault_token": site.battery.token})
    pid, cursor = site.show("MainPID"), site.cursor()

    played = site.controller.play_well(site.inventory(), "-vvv", "--diff", "--tags=secrets,access")

    assert secrets_in(played.output, site) == []
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


def test_an_upgrade_keeps_state_and_config(site: Site) -> None:
    observed = site.wait_for_value("sonnen_observed_seconds_total")
    config = site.pi.run("cat /etc/sonnen-agent/config.yml").stdout

    # Built by the role, of this repository.
    site.change_pi(sonnen_agent_wheel="")

    assert site.version() not in {_OLD_VERSION, _BROKEN_VERSION}
    assert site.pi.run("cat /etc/sonnen-agent/config.yml").stdout == config
    wait_until(lambda: site.query("sonnen_observed_seconds_total") > [observed], "the counters to go on")
    assert site.query("resets(sonnen_observed_seconds_total[5m])") == [0]
    assert site.pi.run("ls /opt/sonnen-agent-releases | wc -l").stdout == "2\n"


def test_a_broken_upgrade_goes_back_by_itself(site: Site, wheels: dict[str, str]) -> None:
    version, config = site.version(), site.pi.run("cat /etc/sonnen-agent/config.yml").stdout
    without_token = [{"name": "home", "url": site.to_battery.url, "labels": {"floor": "0"}}]

    played = site.play_pi(sonnen_agent_wheel=wheels[_BROKEN_VERSION], sonnen_agent_batteries=without_token)

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


def test_a_downgrade_says_so(site: Site, wheels: dict[str, str]) -> None:
    version, pid = site.version(), site.show("MainPID")

    refused = site.play_pi(sonnen_agent_wheel=wheels[_OLD_VERSION])
    assert refused.exit_code != 0
    assert f"This would go back from sonnen-agent {version} to {_OLD_VERSION}" in refused.words
    assert "set sonnen_agent_allow_downgrade to true" in refused.words
    assert refused.count("raspberry", "changed") == 0
    assert site.show("MainPID") == pid

    told = site.change_pi("--extra-vars=sonnen_agent_allow_downgrade=true", sonnen_agent_wheel=wheels[_OLD_VERSION])
    assert f"Going back from sonnen-agent {version} to {_OLD_VERSION}." in told.words
    assert site.version() == _OLD_VERSION


def test_prometheus_takes_remote_write_from_the_pi_and_what_is_the_users_in_it_stays(site: Site) -> None:
    own = "  # mine\n  - job_name: mine\n    static_configs: [{targets: ['127.0.0.1:1']}]\n"
    config = site.central.run("cat /etc/prometheus/prometheus.yml").stdout
    site.central.write("/etc/prometheus/prometheus.yml", config + own)
    own_flags = "--storage.tsdb.retention.time=5y --web.page-title='My home'"
    add_flags = f's/^ARGS="/&{own_flags} /'
    site.central.run(f"sed -i {shlex.quote(add_flags)} /etc/default/prometheus")
    inventory = site.inventory()
    inventory["central"]["vars"].update(
        sonnen_central_remote_write=True, sonnen_central_prometheus_listen="0.0.0.0:9090"
    )
    to_prometheus = site.pi.reach(site.central.address, 9090)
    inventory["pi"]["vars"].update(
        sonnen_agent_remote_write={
            **site.agent["sonnen_agent_pushgateway"],
            "url": f"https://{to_prometheus.host}:{to_prometheus.port}/api/v1/write",
            "external_labels": {"way": "remote"},
        }
    )

    site.controller.play_well(inventory)
    site.prometheus_url = "https://127.0.0.1:9090"

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
    assert (source["basicAuthUser"], source["secureJsonData"]) == ("pi", {"basicAuthPassword": _NEW_PASSWORD})
    assert site.wait_for_value('sonnen_online{job="sonnen",instance="home",way="remote"}') == 1
    assert site.wait_for_value('up{job="mine"}') == 0
    assert site.wait_for_value('up{job="pushgateway"}') == 1


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
    inventory["central"]["vars"].update(sonnen_central_state="absent")
    grafana = "systemctl show grafana-server --property=InvocationID"
    grafana_before = site.central.run(grafana).stdout

    site.controller.play_well(inventory, "--limit=gateway")

    assert site.central.run(grafana).stdout != grafana_before, "started anew, or it would keep what it has read"
    assert what_is_left(site.central) == []
    assert "sonnen" not in site.central.run("cat /etc/prometheus/prometheus.yml /etc/default/prometheus").stdout
    assert "mine" in site.central.run("cat /etc/prometheus/prometheus.yml").stdout
    assert listening(site.central, 9090, 9091) == ["127.0.0.1:9090"]
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
