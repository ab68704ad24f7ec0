"""Bare Debian systems for the tests' machines: built once, then kept as tarballs."""

import fcntl
import hashlib
import os
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from programs import MissingProgramError, ServerError, find_program

RELEASES = ("bookworm", "trixie")
"""Debian 12 and 13, which Raspberry Pi OS is made of."""
SLOW = "SONNEN_SLOW_TESTS"
"""Set in the environment by scripts/test --slow: what is usually tried on one of the releases is tried on each."""

_PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "sudo",
    "iproute2",
    "python3",
    # Ansible's apt module asks for it; it comes with Debian's standard system and with Raspberry Pi OS.
    "python3-apt",
    # In place of usrmerge, which needs Perl.
    "usr-is-merged",
)
_FINISH = """
set -e
systemctl enable systemd-networkd
# They would take the lock of apt while a test installs something.
systemctl disable apt-daily.timer apt-daily-upgrade.timer
apt-get clean
rm -rf /var/lib/apt/lists/* /var/lib/dbus/machine-id /etc/resolv.conf /root/.bash_history
: > /etc/machine-id
"""
_CACHE = Path(__file__).parents[2] / ".cache/machines"


def tried_on(release: str) -> tuple[str, ...]:
    """Return the releases of the Pi with which a story of the roles is told: one for each change, before a release all.

    The central host has the other release. Together the stories set each role up on each of them all the same.
    """
    return RELEASES if SLOW in os.environ else (release,)


def unpack(release: str, folder: Path) -> None:
    """Put a bare system of the release into the folder, which is made; the first time takes half a minute."""
    if os.geteuid() != 0:
        raise MissingProgramError("machines are booted as root: run the tests as root")
    tarball = _tarball(release)
    folder.mkdir()
    _run("tar", "--extract", f"--file={tarball}", f"--directory={folder}", "--numeric-owner", "--preserve-permissions")


def _tarball(release: str) -> Path:
    """Return where the system of the release lies, built now if it was not built before."""
    cache = Path(os.environ.get("SONNEN_TEST_CACHE", _CACHE))
    cache.mkdir(parents=True, exist_ok=True)
    recipe = hashlib.sha256(repr(("mmdebstrap", _PACKAGES, _FINISH)).encode()).hexdigest()[:12]
    tarball = cache / f"{release}-{recipe}.tar"
    # Two test runs at once build it once.
    with (cache / f"{release}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tarball.exists():
            _build(release, tarball)
    return tarball


def _build(release: str, tarball: Path) -> None:
    mmdebstrap = find_program("mmdebstrap")
    for old in tarball.parent.glob(f"{release}-*"):
        old.unlink()
    part = tarball.with_suffix(".part")
    finish = f'--customize-hook=chroot "$1" sh -c {shlex.quote(_FINISH)}'
    packages = f"--include={','.join(_PACKAGES)}"
    merged = "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"
    _run(mmdebstrap, "--quiet", "--variant=minbase", "--format=tar", packages, merged, finish, release, part)
    part.rename(tarball)


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise ServerError(f"{command[0]} failed with exit code {done.returncode}:\n{done.stdout[-3000:]}")


if __name__ == "__main__":
    with ThreadPoolExecutor() as pool:
        list(pool.map(_tarball, RELEASES))
