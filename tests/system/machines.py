"""Debian machines that boot systemd: containers with a network of their own, which leads to this machine only."""

import ipaddress
import json
import os
import shlex
import shutil
import socket
import subprocess
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Self

import images
from port_forwards import PortForward, WebProxy
from programs import MissingProgramError, Program, ServerError, find_program, wait_until

_CGROUPS = tuple(Path("/sys/fs/cgroup", name) for name in ("systemd", "unified", "."))
_MEMORY = Path("/dev/shm")  # noqa: S108 # the folder that we make there has a name that nobody else has
_ROOM_BYTES = 6 << 30
_REBOOT = 133
"""The exit code by which systemd-nspawn asks to be started again."""

# Into control groups of its own, or the services of two machines would share theirs. In a process namespace of its own,
# and bound to the life of this process by the kernel: whatever ends the tests ends the machine, its network with it.
_BOOT = """
for group in {groups}; do
    mkdir -p "$group" && echo 0 > "$group/cgroup.procs"
done
exec setpriv --pdeathsig=KILL unshare --pid --fork --kill-child=KILL --mount-proc "$@"
"""
_NETWORK = """\
[Match]
Name=host0

[Network]
Address={address}/30
# Without it, the link counts as configured only after seconds of waiting for a router.
IPv6AcceptRA=no
"""
_APT = """\
Acquire::http::Proxy "{proxy}";
Acquire::https::Proxy "{proxy}";
Acquire::http::Pipeline-Depth "0";
"""
_SSH_OPTIONS = (
    "BatchMode=yes",
    "ConnectTimeout=10",
    "IdentitiesOnly=yes",
    "LogLevel=ERROR",
    # Made for one test, and another machine may have had its address.
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
)
_ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LANG=C.UTF-8",
    "DEBIAN_FRONTEND=noninteractive",
)


class _NotYetError(ServerError):
    """A machine is still on its way up."""


class Machine(Program):
    """A booted machine, gone without a trace at the end of the `with` block.

    Its network is a link to this machine with one address on each side, and nothing is routed any further. So no other
    machine reaches it, and it reaches what a PortForward was opened to, and the mirrors of apt by a proxy.
    """

    start_seconds = 90.0

    def __init__(self, release: str, name: str, folder: Path) -> None:
        """Prepare one of the given Debian release and with the given host name; the folder is for its files."""
        self._nspawn = find_program("systemd-nspawn")
        self.release = release
        self.host_name = name
        self.folder = folder
        self._number, self._reservation = _reserve_network()
        self.near_address = f"10.213.{self._number}.1"
        """This machine's address on the link."""
        self.address = f"10.213.{self._number}.2"
        """The machine's own address."""
        self.root = _quick_folder(folder) / f"sonnen-{self._number}-{name}"
        """Its files, seen from this machine."""
        self.key_file = folder / f"{name}.key"
        self._open = ExitStack()
        self._plugged = True
        self.apt_proxy = WebProxy(self.near_address)
        """By which its apt gets to the mirrors, until it is closed."""
        self._identity = f"sonnen-{self._number}"
        self._link = f"ve-{self._identity}"
        self._groups = [group / self._identity for group in _CGROUPS if (group / "cgroup.procs").is_file()]
        super().__init__(*self._boot("--network-veth"), log_file=folder / f"{name}.console")

    def __enter__(self) -> Self:
        try:
            self._open.enter_context(self.apt_proxy)
            self._install()
            return super().__enter__()
        except BaseException:
            self._clear()
            raise

    def __exit__(self, *exception: object) -> None:
        # Nobody will see its disk again: no need to shut down in order.
        self.kill()
        self._clear()

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"the machine {self.host_name} ({self.release})"

    def start(self, *, plugged: bool = True) -> None:
        """Boot, and return when it has started its services; without its cable if it should not be plugged in."""
        self._plugged = plugged
        self.command = self._boot("--network-veth" if plugged else "--private-network")
        super().start()

    def stop(self, *_: object, seconds: float = 60) -> int:
        """Shut it down in order; `start` boots it again."""
        self.run("systemctl poweroff", check=False)
        return self._wait_for_end(seconds)

    def reboot(self, *, plugged: bool = True, seconds: float = 60) -> None:
        """Shut it down in order and return when it is up again, as `start` does."""
        self.run("systemctl reboot", check=False)
        if (code := self._wait_for_end(seconds)) != _REBOOT:
            raise ServerError(
                f"{self.name} ended with exit code {code} instead of a reboot; its console:\n{self.log_tail}"
            )
        self.start(plugged=plugged)

    def run(
        self, command: str, *, check: bool = True, text: str | None = None, seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Return what the shell command says, run by root and given the text; an exit code that is not 0 is an error.

        It does not need the network.
        """
        done = subprocess.run(
            ["nsenter", f"--target={self._leader}", "--all", "env", "-i", *_ENVIRONMENT, "sh", "-c", command],
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check and done.returncode != 0:
            raise ServerError(
                f"{command!r} on {self.host_name} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done

    def copy(self, file: Path, to: str) -> None:
        """Copy a file or a folder with all in it."""
        _run("scp", *self.ssh_options, "-q", "-r", file, f"root@{self.address}:{to}")

    def write(self, path: str, text: str, *, mode: str = "0644") -> None:
        """Write a file of root's, with the folders above it."""
        self.run(f"install -D -m {mode} /dev/stdin {shlex.quote(path)}", text=text)

    def reach(self, host: str, port: int, *, at: int = 0) -> PortForward:
        """Let it get to an address that this machine can get to, by the passage returned, while that is open."""
        return self._open.enter_context(PortForward(self.near_address, to=(host, port), port=at))

    @property
    def ssh_options(self) -> list[str]:
        """The options that let ssh, scp and sftp in as root."""
        return [f"-i{self.key_file}", *(f"-o{option}" for option in _SSH_OPTIONS)]

    @property
    def inventory_variables(self) -> dict[str, str | int]:
        """The variables by which Ansible reaches it."""
        return {
            "ansible_host": self.address,
            "ansible_port": 22,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.key_file),
            "ansible_ssh_common_args": " ".join(f"-o {option}" for option in _SSH_OPTIONS),
            "ansible_python_interpreter": "/usr/bin/python3",
        }

    @property
    def _leader(self) -> int:
        """The process id, on this machine, of the other one's process 1."""
        machine = [child for nspawn in _children(self.pid) for child in _children(nspawn)]
        if not machine:
            raise _NotYetError(f"{self.name} has not started systemd yet")
        return machine[-1]

    def _boot(self, network: str) -> list[str]:
        return [
            "sh",
            "-c",
            _BOOT.format(groups=shlex.join(map(str, self._groups))),
            "sh",
            str(self._nspawn),
            f"--directory={self.root}",
            f"--machine={self._identity}",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--resolv-conf=off",
            # Half of the time that dpkg takes is waiting for the disk, to survive power cuts that no test makes.
            "--suppress-sync=yes",
            network,
        ]

    def _answers(self) -> bool:
        try:
            if self._plugged and not self._plug_in():
                return False
            # What of its services has failed is for the tests to say.
            return self.run("systemctl is-system-running", check=False).stdout.strip() in {"running", "degraded"}
        except _NotYetError:
            return False

    def _plug_in(self) -> bool:
        """Give this side of the link its address, and return whether SSH answers on the other."""
        if not Path("/sys/class/net", self._link).exists():
            return False
        _run("ip", "address", "replace", f"{self.near_address}/30", "dev", self._link)
        _run("ip", "link", "set", self._link, "up")
        try:
            with socket.create_connection((self.address, 22), timeout=1):
                return True
        except OSError:
            return False

    def _install(self) -> None:
        # What a test run left that was killed.
        shutil.rmtree(self.root, ignore_errors=True)
        images.unpack(self.release, self.root)
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tests", "-f", self.key_file)
        files = {
            "etc/hostname": f"{self.host_name}\n",
            "etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {self.host_name}\n::1 localhost\n",
            "etc/systemd/network/10-host0.network": _NETWORK.format(address=self.address),
            "etc/apt/apt.conf.d/90tests": _APT.format(proxy=self.apt_proxy.url),
            "root/.ssh/authorized_keys": self.key_file.with_suffix(".key.pub").read_text(),
        }
        for name, text in files.items():
            file = self.root / name
            file.parent.mkdir(mode=0o700 if file.parent.name == ".ssh" else 0o755, exist_ok=True)
            file.write_text(text)

    def _wait_for_end(self, seconds: float) -> int:
        wait_until(lambda: self.exit_code is not None, f"the end of {self.name}", seconds=seconds)
        code = self.exit_code
        assert code is not None
        return code

    def _clear(self) -> None:
        self._open.close()
        for group in self._groups:
            wait_until(partial(_remove_group, group), f"the end of all processes in {group}")
        shutil.rmtree(self.root, ignore_errors=True)
        self._reservation.close()


def _quick_folder(folder: Path) -> Path:
    """Return a folder in memory where that has room for several machines, and lets sudo work, else the given one."""
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _ROOM_BYTES:
        return folder
    return folder if os.statvfs(_MEMORY).f_flag & os.ST_NOSUID else _MEMORY


def _reserve_network() -> tuple[int, socket.socket]:
    """Return the N of a network 10.213.N.0/30 that nobody here uses, and what keeps other test runs from taking it."""
    routes = json.loads(_run("ip", "-json", "-4", "route", "show", "table", "all"))
    taken = [ipaddress.ip_network(route["dst"], strict=False) for route in routes if route["dst"] != "default"]
    for number in range(256):
        network = ipaddress.ip_network(f"10.213.{number}.0/30")
        if any(network.overlaps(other) for other in taken):
            continue
        reservation = socket.socket(socket.AF_UNIX)
        try:
            # An abstract name, which the kernel forgets with the process that holds it.
            reservation.bind(f"\0sonnen-machine-{number}")
        except OSError:
            reservation.close()
            continue
        return number, reservation
    raise ServerError("all networks of 10.213.0.0/16 are in use on this machine")


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _remove_group(group: Path) -> bool:
    """Return whether the control group is gone; it goes only when all of its processes have."""
    try:
        for folder, _, _ in os.walk(group, topdown=False):
            Path(folder).rmdir()
    except OSError:
        return False
    return True


def _run(*command: str | Path) -> str:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise MissingProgramError(f"{command[0]} is not on this machine: run scripts/test, which gets it") from error
    if done.returncode != 0:
        raise ServerError(f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stderr}")
    return done.stdout
