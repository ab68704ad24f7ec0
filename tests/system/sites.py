"""What the playbook sets up: a Pi and a central host, on two machines, and who sets them up."""

import json
import shlex
import urllib.parse
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from machines import Machine
from playbooks import Controller, Inventory, Played
from port_forwards import PortForward
from programs import wait_until
from servers import Simulator

PASSWORD = "correct horse $battery staple"
NEW_PASSWORD = "another horse"
OLD_VERSION = "0.0.1"
_OURS = (
    "/etc/sonnen-agent /opt/sonnen-agent /opt/sonnen-agent-releases /etc/systemd/system/sonnen-agent.service"
    " /usr/local/bin/sonnen-agent"
)


@dataclass(kw_only=True)
class Site:
    """A Pi and a central host, what is between them, and who sets them up."""

    pi: Machine
    central: Machine
    controller: Controller
    battery: Simulator
    to_battery: PortForward
    to_gateway: PortForward
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
                    "sonnen_central_timezone": "America/Los_Angeles",
                },
            },
            "pi": {"hosts": {"raspberry": self.pi.inventory_variables}, "vars": {**self.agent, **variables}},
        }

    def play_pi(self, *options: str, as_users_do: bool = False, **variables: object) -> Played:
        return self.controller.play(self.inventory(**variables), "--limit=raspberry", *options, as_users_do=as_users_do)

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
        credentials = b64encode(f"pi:{NEW_PASSWORD}".encode()).decode()
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

    def secrets_in(self, text: str) -> list[str]:
        return [secret for secret in (self.battery.token, PASSWORD, NEW_PASSWORD) if secret in text]

    def wait_for_value(self, expression: str) -> float:
        wait_until(lambda: bool(self.query(expression)), f"an answer to {expression!r}", pause_seconds=1)
        return self.query(expression)[0]


@contextmanager
def bare_site(pi: Machine, central: Machine, folder: Path, sources: Path) -> Iterator[Site]:
    """Return two bare machines, with what is to make a site of them; the folder is for its files."""
    controller_folder = folder / "controller"
    controller_folder.mkdir()
    with ExitStack() as running:
        battery = running.enter_context(Simulator(folder, options=["--start=2026-06-21T11:00:00"]))
        controller = Controller(controller_folder, {"vault_password": PASSWORD, "vault_token": battery.token})
        to_battery, to_gateway = pi.reach("127.0.0.1", battery.port), pi.reach(central.address, 9091)
        authority = trustme.CA()
        issued = authority.issue_cert(to_gateway.host)
        certificate = folder / "gateway.crt"
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(certificate.with_suffix(".key"))
        authority.cert_pem.write_to_path(folder / "ca.crt")
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
                "sonnen_agent_source": str(sources),
                "sonnen_agent_node_exporter": True,
                "sonnen_agent_batteries": [{"name": "home", "url": to_battery.url, "token": "{{ vault_token }}"}],
                "sonnen_agent_pushgateway": {
                    "url": f"https://{to_gateway.host}:{to_gateway.port}",
                    "username": "pi",
                    "password": "{{ vault_password }}",
                    "ca_file": str(folder / "ca.crt"),
                },
            },
        )


def left_of_ours(machine: Machine) -> str:
    """Return what stands on a machine of all that the playbook makes."""
    prometheus = "/etc/prometheus /etc/default/prometheus* /var/lib/prometheus"
    return machine.run(f"ls -d {_OURS} {prometheus} 2>/dev/null", check=False).stdout
