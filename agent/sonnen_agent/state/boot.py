"""Which boot of the machine this is: within one, monotonic times can be compared."""

from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str | None:
    """Return the kernel's name for this boot; None where it is hidden: then every start is taken for a new boot."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return None
