"""The agent as a service on a machine that boots Debian, installed as systemd/README.md says or by the role."""

import json
import math
import re
import shlex
import shutil
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from machines import Machine
from playbooks import REPOSITORY, Controller, Played, checkout
from port_forwards import PortForward
from programs import wait_until
from prometheus_client.parser import text_string_to_metric_families
from servers import PASSWORD, USERNAME, WEB_CONFIG, Simulator
from units import Unit

CONFIG = "/etc/sonnen-agent/config.yml"
CLONE = "/home/pi/clone"
DROP_IN = "/run/systemd/system/sonnen-agent.service.d/test.conf"


class Gateway:
    """Debian's Pushgateway on the central machine, which asks for a password."""

    def __init__(self, machine: Machine) -> None:
        machine.run("apt-get update && apt-get install --no-install-recommends -y prometheus-pushgateway", seconds=300)
        machine.write("/etc/prometheus/pushgateway-web.yml", WEB_CONFIG)
        flag = "--web.config.file=/etc/prometheus/pushgateway-web.yml"
        machine.write("/etc/default/prometheus-pushgateway", f'ARGS="{flag}"\n')
        machine.run("systemctl restart prometheus-pushgateway")
        self.address = machine.address
        self.port = 9091
        wait_until(lambda: self.values("go_info") != {}, "an answer of the Pushgateway")

    def values(self, pattern: str) -> dict[str, float]:
        """Return the series whose names match, as they would stand on the page."""
        credentials = b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"http://{self.address}:{self.port}/metrics", headers={"Authorization": f"Basic {credentials}"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=5) as response:
                page = response.read().decode()
        except OSError:
            return {}
        return {
            f"{sample.name}{json.dumps(sample.labels, sort_keys=True)}": sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if re.fullmatch(pattern, sample.name)
        }

    def value(self, name: str) -> float:
        """Return the value of the one series with this name; NaN when there is none."""
        return next(iter(self.values(name).values()), float("nan"))

    def pushed_at(self) -> float:
        return max(self.values("push_time_seconds").values(), default=0)


@dataclass(kw_only=True)
class Service:
    """The installed agent, and what is around it."""

    pi: Machine
    unit: Unit
    gateway: Gateway
    battery: Simulator
    to_battery: PortForward
    to_gateway: PortForward

    def config(self, more: str = "") -> str:
        return f"""\
interval_seconds: 1
batteries:
  - {{name: home, url: "{self.to_battery.url}"}}
pushgateway:
  url: {self.to_gateway.url}
  username: {USERNAME}
{more}"""

    def restore(self) -> None:
        """Make it again what it was when it was installed, and running."""
        changed = self.pi.run(f"cat {CONFIG}").stdout != self.config()
        if changed or self.pi.run(f"test -e {DROP_IN}", check=False).returncode == 0:
            self.pi.run(f"rm -rf {Path(DROP_IN).parent}; systemctl daemon-reload; systemctl stop sonnen-agent")
            self.pi.write(CONFIG, self.config())
        self.pi.run("systemctl start sonnen-agent")

    def counters(self) -> dict[str, float]:
        return self.gateway.values("sonnen_(?!agent_).*_total")

    def wait_for_push(self) -> None:
        """Return when the gateway has values that were read after this was called."""
        before = self.gateway.value("sonnen_observed_seconds_total")
        # A unit is ready before its first push has arrived.
        before = -1 if math.isnan(before) else before
        wait_until(lambda: self.gateway.value("sonnen_observed_seconds_total") > before + 1, "a push")

    def check_counters_go_on(self, before: dict[str, float]) -> None:
        """Watch the gateway for some pushes: no counter is ever below what it was."""
        seen = before
        # A stop leaves what the agent has counted; the battery's own counters come with its slower endpoints.
        wait_until(lambda: before.keys() <= self.counters().keys(), "a push with all counters")
        wait_until(lambda: self.gateway.pushed_at() > time.time() - 2, "a push")
        for _ in range(10):
            now = self.counters()
            assert [name for name, value in now.items() if value < seen.get(name, 0)] == []
            assert before.keys() <= now.keys()
            seen = now
            time.sleep(0.5)
        assert seen != before

    def check_it_was_denied_nothing(self) -> None:
        """Look for it in all that it has said so far."""
        journal = self.unit.journal()
        assert len(journal) > 20
        denied = re.compile("Permission denied|Operation not permitted|Read-only file system")
        assert [line for line in journal if denied.search(line)] == []
        # The only tracebacks are those of the tests that take a library away, and that plant a version that crashes.
        planted = sum(line in {"ModuleNotFoundError: No module named 'yaml'", "RuntimeError"} for line in journal)
        assert sum(line.startswith("Traceback") for line in journal) == planted


def install_by_hand(service: Service, folder: Path) -> None:
    """Follow systemd/README.md to the letter, as a user whose files are nobody else's business."""
    clone = folder / "clone"
    checkout(clone, "agent", "roles", "systemd", "LICENSE")
    service.pi.run("useradd --create-home pi && echo 'pi ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/pi")
    service.pi.copy(clone, CLONE)
    service.pi.run(f"chown -R pi: {CLONE} && chmod -R go= {CLONE}")
    install, setup = readme_commands()[:2]
    assert setup == "sudo sonnen-agent setup"
    run_as_pi(service.pi, install)
    # A gateway's password is asked for where somebody sits there, and found in its place where nobody does.
    service.pi.run("mkdir -p -m 755 /etc/sonnen-agent; mkdir -m 700 /etc/sonnen-agent/secrets")
    service.pi.write("/etc/sonnen-agent/secrets/pushgateway-password", f"{PASSWORD}\n", mode="0600")
    service.pi.write("/home/pi/token", f"{service.battery.token}\n", mode="0600")
    gateway = service.to_gateway.url.replace("//", f"//{USERNAME}@")
    given = f"--yes --battery {service.to_battery.url} --token-file /home/pi/token --gateway {gateway}"
    run_as_pi(service.pi, f"{setup} {given}")
    service.unit.wait_for("ActiveState", "active")
    service.pi.write(CONFIG, service.config())
    service.pi.run("systemctl restart sonnen-agent")


def install_by_role(service: Service, folder: Path) -> Played:
    """Play site.yml, for a gateway that somebody else has set up; it can be done again."""
    controller_folder = folder / "controller"
    shutil.rmtree(controller_folder, ignore_errors=True)
    controller_folder.mkdir()
    controller = Controller(controller_folder, {"vault_password": PASSWORD, "vault_token": service.battery.token})
    variables = {
        "sonnen_agent_interval_seconds": 1,
        "sonnen_agent_node_exporter": True,
        "sonnen_agent_batteries": [{"name": "home", "url": service.to_battery.url, "token": "{{ vault_token }}"}],
        "sonnen_agent_pushgateway": {
            "url": service.to_gateway.url,
            "username": USERNAME,
            "password": "{{ vault_password }}",
        },
    }
    return controller.play_well({"pi": {"hosts": {"raspberry": service.pi.inventory_variables}, "vars": variables}})


@contextmanager
def installed_service(
    pi: Machine, central: Machine, folder: Path, install: Callable[[Service, Path], object] = install_by_hand
) -> Iterator[Service]:
    """Return it on the one machine, with a gateway on the other; the folder is for files."""
    with ExitStack() as running:
        # What is read changes all the time, and the counters run fast enough to see each step back.
        battery = running.enter_context(Simulator(folder, options=["--start=2026-06-21T11:00:00"]))
        gateway = Gateway(central)
        service = Service(
            pi=pi,
            unit=Unit(pi, "sonnen-agent.service"),
            gateway=gateway,
            battery=battery,
            to_battery=pi.reach("127.0.0.1", battery.port),
            to_gateway=pi.reach(gateway.address, gateway.port),
        )
        install(service, folder)
        yield service


def run_as_pi(machine: Machine, command: str) -> None:
    """Run a command in the clone, as the user pi whose umask is the strictest."""
    as_pi = f"cd {CLONE} && umask 077 && {command}"
    machine.run(f"runuser -u pi -- sh -c {shlex.quote(as_pi)}", seconds=300)


def readme_commands() -> list[str]:
    readme = (REPOSITORY / "systemd/README.md").read_text()
    return re.findall(r"^\$ (sudo .*)$", readme, re.MULTILINE)


def readme_section(title: str) -> list[str]:
    """Return the commands of a section, whoever runs them."""
    readme = (REPOSITORY / "systemd/README.md").read_text()
    return re.findall(r"^\$ (.*)$", readme.partition(f"\n## {title}\n")[2].partition("\n## ")[0], re.MULTILINE)


def readme_row(what: str) -> str:
    """Return the command that the table has for it."""
    (command,) = re.findall(rf"^\| {what} \| `(.*?)`", (REPOSITORY / "systemd/README.md").read_text(), re.MULTILINE)
    assert isinstance(command, str)
    return command
