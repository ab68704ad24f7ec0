"""What must hold for every fault, whatever it is: the one table of limits, and how they are measured."""

import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

OLDEST_BEATS = 2
"""Nothing older is shown."""
BACK_BEATS = 3
"""After the end of a fault all is as before."""
LOG_LINES = 5
"""That a fault may cost in the log, from its beginning until all is as before."""
LINE_CHARACTERS = 1000
KEPT_MIB = 8
"""That may stay in memory after a fault."""
PEAK_MIB = 32
"""That a fault may take for a moment."""
COUNTER_SHARE = 0.01
"""That a counter may be off the truth."""
LOOK_BEATS = 2
"""What measuring itself may add: one beat that was under way, and one for the push and the look."""

_TRACEBACK = re.compile(r"Traceback|crashed: please report|Fatal Python error")
_TELLING_CHARACTERS = 12
_MIB = 1024 * 1024


def log_problems(lines: list[str], secrets: Iterable[str], *, limit: int = LOG_LINES) -> list[str]:
    """Return what is wrong with the lines that a fault cost."""
    problems = [f"{len(lines)} lines: {[line[:200] for line in lines]}"] if len(lines) > limit else []
    spellings = [spelling for secret in secrets for spelling in spelled(secret)]
    for line in lines:
        shown = ascii(line[:200])
        if len(line) > LINE_CHARACTERS:
            problems.append(f"a line of {len(line)} characters: {shown}")
        if not line.isprintable():
            problems.append(f"a line that is not printable: {shown}")
        if _TRACEBACK.search(line):
            problems.append(f"a traceback: {shown}")
        if any(spelling in line for spelling in spellings):
            problems.append(f"a secret: {shown}")
    return problems


def spelled(secret: str) -> set[str]:
    """Return how a secret begins, as it is and as base64 and URL quoting have it: half a secret is one, too."""
    encoded = secret.encode()
    spellings = (
        secret,
        quote(secret),
        quote(secret, safe=""),
        b64encode(encoded).decode(),
        urlsafe_b64encode(encoded).decode(),
    )
    return {spelling[:_TELLING_CHARACTERS] for spelling in spellings}


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What a process has of its machine."""

    resident_mib: float
    peak_mib: float
    """The most since `forget_peak`."""
    threads: int
    files: int

    @classmethod
    def of(cls, pid: int) -> "Footprint":
        """Measure a process."""
        proc = Path(f"/proc/{pid}")
        fields = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())

        def mib(name: str) -> float:
            return int(fields[name].split()[0]) * 1024 / _MIB

        return cls(
            resident_mib=mib("VmRSS"),
            peak_mib=mib("VmHWM"),
            threads=int(fields["Threads"]),
            files=len(list((proc / "fd").iterdir())),
        )

    def problems(self, before: "Footprint") -> list[str]:
        """Return what is more than it was, and than it may be."""
        problems = []
        if self.resident_mib > before.resident_mib + KEPT_MIB:
            problems.append(f"{self.resident_mib - before.resident_mib:.1f} MiB of memory more than before")
        if self.peak_mib > before.resident_mib + PEAK_MIB:
            problems.append(f"{self.peak_mib - before.resident_mib:.1f} MiB of memory more for a moment")
        if self.threads > before.threads:
            problems.append(f"{self.threads} threads, {before.threads} before")
        if self.files > before.files:
            problems.append(f"{self.files} open files, {before.files} before")
        return problems


def forget_peak(pid: int) -> None:
    """Let the peak of a process begin anew at what it has now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
