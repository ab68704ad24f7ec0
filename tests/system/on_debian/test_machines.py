"""The machines that the other tests here boot."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import machines
import pytest
from machines import Machine
from programs import wait_until

pytestmark = pytest.mark.system

_NETWORK_UNREACHABLE = 101

_CONNECT = """\
python3 -c '
import socket, sys
try:
    with socket.create_connection(("{host}", {port}), timeout=5) as connection:
        print(connection.recv(100).decode())
except OSError as error:
    print(error)
    sys.exit(error.errno or 1)
'"""


def test_it_boots_the_release_with_all_services(pi: Machine, release: str) -> None:
    assert f"VERSION_CODENAME={release}\n" in pi.run("cat /etc/os-release").stdout
    assert pi.run("hostname").stdout == "pi\n"
    assert pi.run("systemctl list-units --failed --plain --no-legend").stdout == ""


def test_it_lets_ssh_in_with_its_key(pi: Machine) -> None:
    command = ["ssh", *pi.ssh_options, f"root@{pi.address}", "hostname"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "pi\n"


def test_it_is_the_same_after_a_reboot(pi: Machine) -> None:
    pi.write("/var/lib/written", "before")
    boot = pi.run("cat /proc/1/stat").stdout.split()[21]
    pi.reboot()
    assert pi.run("cat /var/lib/written").stdout == "before"
    assert pi.run("cat /proc/1/stat").stdout.split()[21] != boot


def test_apt_reaches_the_mirrors(pi: Machine) -> None:
    pi.run("apt-get update --error-on=any && apt-get install --no-install-recommends -y hostname", seconds=300)


def test_the_pi_reaches_what_it_was_let_to(pi: Machine, central: Machine) -> None:
    passage = pi.reach(central.address, 22)
    assert "SSH-2.0" in pi.run(_CONNECT.format(host=passage.host, port=passage.port)).stdout
    passage.close()
    assert "refused" in pi.run(_CONNECT.format(host=passage.host, port=passage.port), check=False).stdout


@pytest.mark.parametrize("port", [22, 9100, 9422])
def test_central_cannot_reach_the_pi(pi: Machine, central: Machine, port: int) -> None:
    assert central.run(_CONNECT.format(host=pi.address, port=port), check=False).returncode == _NETWORK_UNREACHABLE


def test_the_pi_has_no_other_way_to_central(pi: Machine, central: Machine) -> None:
    assert pi.run(_CONNECT.format(host=central.address, port=22), check=False).returncode == _NETWORK_UNREACHABLE


def test_it_boots_without_its_cable(pi: Machine) -> None:
    pi.reboot(plugged=False)
    assert pi.run("ls /sys/class/net").stdout.split() == ["lo"]
    pi.reboot()
    assert pi.run("ls /sys/class/net").stdout.split() == ["host0", "lo"]


def test_it_ends_with_a_test_run_that_is_killed(tmp_path: Path, release: str) -> None:
    script = f"""
from pathlib import Path
from machines import Machine
with Machine({release!r}, "orphan", Path({str(tmp_path)!r})) as machine:
    print(machine.near_address, machine.pid, flush=True)
    machine.run("sleep infinity", seconds=600)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(machines.__file__).parent)}
    with subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        address, pid = run.stdout.readline().split()
        assert address in addresses()
        run.kill()
    wait_until(lambda: not Path("/proc", pid).exists() and address not in addresses(), "the end of the machine")
    # Too much to leave to pytest, which keeps the folders of three runs.
    shutil.rmtree(tmp_path / "orphan-root")


def addresses() -> set[str]:
    links = json.loads(subprocess.run(["ip", "-json", "address"], capture_output=True, check=True).stdout)
    return {address["local"] for link in links for address in link["addr_info"]}
