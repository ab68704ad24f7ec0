"""A unit of systemd on a machine of the tests."""

from machines import Machine
from programs import PATIENCE_SECONDS, ServerError, wait_until


class Unit:
    """What systemd and the journal know of it."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine = machine
        self.name = name

    def show(self, name: str) -> str:
        """Return the value of a property."""
        return self.machine.run(f"systemctl show --property={name} --value {self.name}").stdout.strip()

    @property
    def main_pid(self) -> int:
        """The process id on its machine, 0 when it does not run."""
        return int(self.show("MainPID"))

    @property
    def restarts(self) -> int:
        """How often it was started again by systemd itself."""
        return int(self.show("NRestarts"))

    def cursor(self) -> str:
        """Return where the journal ends now."""
        last = self.machine.run(f"journalctl --unit={self.name} --lines=0 --show-cursor").stdout
        return last.rpartition("-- cursor: ")[2].strip()

    def journal(self, *, after: str = "") -> list[str]:
        """Return what the unit, and systemd about it, said, after a `cursor` or ever."""
        since = f"--after-cursor='{after}'" if after else ""
        return self.machine.run(f"journalctl --unit={self.name} --output=cat {since}").stdout.splitlines()

    def wait_for(self, name: str, value: str, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Return when the property has the value."""
        try:
            wait_until(lambda: self.show(name) == value, f"{name}={value} of {self.name}", seconds=seconds)
        except ServerError as error:
            tail = "\n".join(self.journal()[-30:])
            raise ServerError(f"{error}; it is {self.show(name)!r}, and its journal ends with:\n{tail}") from error

    def wait_for_process(self, *, other_than: int, seconds: float = PATIENCE_SECONDS) -> None:
        """Return when it has another main process than that."""
        wait_until(lambda: self.main_pid not in {0, other_than}, f"another start of {self.name}", seconds=seconds)

    def wait_for_restart(self, of: int, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Return when another process than that is ready in its place."""
        self.wait_for_process(other_than=of, seconds=seconds)
        self.wait_for("ActiveState", "active", seconds=seconds)

    def wait_for_journal(self, text: str, *, after: str = "", seconds: float = PATIENCE_SECONDS) -> None:
        """Return when the journal has the text in it."""
        what = f"{text!r} in the journal of {self.name}"
        wait_until(lambda: any(text in line for line in self.journal(after=after)), what, seconds=seconds)
