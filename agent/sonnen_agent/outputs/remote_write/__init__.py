"""Remote write 1.0: every sample with its own time, to Prometheus, VictoriaMetrics, Mimir or Thanos.

README.md says what each receiver needs: of Prometheus an `out_of_order_time_window` as long as the outages that shall
leave no gap. Written to disk is only what could not be sent. Requests are compressed by python-snappy, which only who
writes remotely needs.

One beat's way: `output` takes the groups of the other threads, `wire` makes frames of them, `sender` decides whether
these go out now or into the `queue` of `queue_file`s, `batch` halves what is rejected, `wire` encodes it, and `client`
sends it. `clock_offset` knows when the machine's clock is to be believed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec

from sonnen_agent.config.secrets import Secrets
from sonnen_agent.config.section import Section
from sonnen_agent.destination import Destination
from sonnen_agent.metrics.agent import AGENT_LABELS
from sonnen_agent.metrics.battery import BATTERY_LABELS
from sonnen_agent.outputs import Output, Surroundings
from sonnen_agent.outputs.pace import read_interval

_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
_OUR_HEADERS = frozenset({"authorization", "content-encoding", "content-length", "content-type", "host", "user-agent"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the config says of remote write."""

    destination: Destination
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent along with every request, such as a tenant."""
    external_labels: Mapping[str, str] = field(default_factory=dict)
    """Added to every series that has no label of that name."""
    spool_max_bytes: int = 256 << 20
    """The most that waits on disk in an outage."""
    interval_seconds: float | None = None
    """Between two requests, None for every beat."""

    @classmethod
    def read(cls, section: Section, secrets: Secrets) -> "Options":
        """Return what a section says; what is wrong with it is noted there."""
        if find_spec("snappy") is None:
            fix = "run: apt install python3-snappy, or with pip: pip install 'sonnen-agent[remote-write]'"
            section.problems.append(f"{section.path}: needs python-snappy; {fix}")
        headers = section.texts("headers")
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name):
                section.problem(f"headers.{name}", "is no header name; use letters, digits and dashes")
            elif name.lower() in _OUR_HEADERS or name.lower().startswith("x-prometheus-remote-write-"):
                section.problem(f"headers.{name}", "is a header that the agent sets itself; leave it out")
            elif not value.isascii():
                section.problem(f"headers.{name}", "should have ASCII characters only")
        return cls(
            destination=secrets.destination(
                section, "https://prometheus.example/api/v1/write", "remote-write", query=True
            ),
            headers=headers,
            external_labels=section.labels("external_labels", BATTERY_LABELS | AGENT_LABELS),
            spool_max_bytes=int(section.number("spool_max_bytes", minimum=1 << 20, maximum=1 << 40, default=256 << 20)),
            interval_seconds=read_interval(section),
        )

    @property
    def summary(self) -> str:
        """What it does."""
        return f"writing to {self.destination.url}"

    def open(self, surroundings: Surroundings) -> Output:
        """Return the output; only who writes remotely has its modules in memory."""
        from sonnen_agent.outputs.remote_write.output import RemoteWriteOutput  # noqa: PLC0415

        return RemoteWriteOutput(self, surroundings)
