"""Real servers for the tests and the demo, and the agent: on free loopback ports, their files in a given folder."""

import json
import re
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from programs import HOST, PATIENCE_SECONDS, Program, ServerError, find_program, free_port, wait_until

Labels = dict[str, str]
USERNAME, PASSWORD = "pi", "a-made-up-password"
LOGIN = {"Authorization": "Basic cGk6YS1tYWRlLXVwLXBhc3N3b3Jk"}
WEB_CONFIG = f"basic_auth_users: {{{USERNAME}: $2b$04$VLXbfKjsiB23wwVxR6wnfeODdqBminXfcch7hZ.Ito6S1nxKJ3UH6}}\n"
"""What lets in this user, as a server's web config file and as the header of a request."""
_FAULTY_SIMULATOR = Path(__file__).parents[1] / "simulator/faulty_simulator.py"


class Server(Program):
    """A program with an HTTP interface, ready when that answers."""

    ready_path = "/"

    def __init__(self, *command: str | Path, port: int, log_file: Path) -> None:
        super().__init__(*command, log_file=log_file)
        self.port = port
        self.url = f"http://{HOST}:{port}"
        self.headers: dict[str, str] = {}
        self.trust: ssl.SSLContext | None = None

    def request(self, path: str, **query: str) -> bytes:
        """Return the body of a GET, or raise ServerError with the answer."""
        address = f"{self.url}{path}{'?' + urllib.parse.urlencode(query) if query else ''}"
        # Loopback is never behind the proxy that an environment variable may name.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.trust)
        )
        try:
            request = urllib.request.Request(address, headers=self.headers)
            with opener.open(request, timeout=PATIENCE_SECONDS) as response:
                body: bytes = response.read()
        except urllib.error.HTTPError as error:
            raise ServerError(f"{address} answered {error.code}: {error.read().decode(errors='replace')}") from error
        except OSError as error:
            raise ServerError(f"{address} did not answer: {error}") from error
        return body

    def _answers(self) -> bool:
        try:
            self.request(self.ready_path)
        except ServerError:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One value of a metric."""

    labels: Labels
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What one client has pushed."""

    labels: Labels
    """The grouping key."""
    samples: dict[str, list[Sample]]
    """By metric name, push_time_seconds and push_failure_time_seconds among them."""


class Pushgateway(Server):
    """A Pushgateway, with a file or, as by default, without anything on disk."""

    ready_path = "/-/ready"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        persistence_file: Path | None = None,
        web_config_file: Path | None = None,
        headers: Mapping[str, str] | None = None,
        trust: ssl.SSLContext | None = None,
        flags: Iterable[str] = (),
    ) -> None:
        """Prepare one; `headers` and `trust` let the test pass what the `web_config_file` asks for."""
        port = port or free_port()
        program = find_program("prometheus-pushgateway")
        super().__init__(
            program,
            f"--web.listen-address={HOST}:{port}",
            # Debian's default would share a file under /var/lib with an installed Pushgateway.
            f"--persistence.file={persistence_file or ''}",
            *_assets(program, "pushgateway"),
            *([f"--web.config.file={web_config_file}"] if web_config_file else []),
            *flags,
            port=port,
            log_file=folder / f"pushgateway-{port}.log",
        )
        self.headers.update(headers or {})
        if trust is not None:
            self.trust = trust
            self.url = f"https://{HOST}:{port}"

    def metrics(self) -> str:
        """Return the page that Prometheus scrapes."""
        return self.request("/metrics").decode()

    def groups(self) -> list[Group]:
        """Return everything pushed, without histograms and summaries."""
        groups: list[dict[str, Any]] = json.loads(self.request("/api/v1/metrics"))["data"]
        return [
            Group(
                labels=group["labels"],
                samples={
                    name: [Sample(labels=one["labels"], value=float(one["value"])) for one in family["metrics"]]
                    for name, family in group.items()
                    if isinstance(family, dict) and family.get("type") in {"GAUGE", "COUNTER", "UNTYPED"}
                },
            )
            for group in groups
        ]


class Prometheus(Server):
    """A Prometheus that scrapes the given addresses as the README tells operators to."""

    ready_path = "/-/ready"

    def __init__(
        self,
        folder: Path,
        *,
        scrape: Sequence[str],
        interval_seconds: int = 1,
        rule_files: Iterable[Path] = (),
        out_of_order_time_window: str = "0s",
        flags: Iterable[str] = (),
        more_jobs: Iterable[Mapping[str, object]] = (),
    ) -> None:
        port = free_port()
        program = find_program("prometheus")
        self.config_file = folder / f"prometheus-{port}.json"
        # Prometheus reads YAML, and JSON is YAML.
        self.config_file.write_text(
            json.dumps(
                {
                    "global": {
                        "scrape_interval": f"{interval_seconds}s",
                        "scrape_timeout": f"{interval_seconds}s",
                        "evaluation_interval": f"{interval_seconds}s",
                    },
                    "rule_files": [str(file) for file in rule_files],
                    "storage": {"tsdb": {"out_of_order_time_window": out_of_order_time_window}},
                    "scrape_configs": [
                        {
                            "job_name": "pushgateway",
                            "honor_labels": True,
                            "static_configs": [{"targets": [url.removeprefix("http://") for url in scrape]}],
                        },
                        *more_jobs,
                    ],
                },
                indent=2,
            )
        )
        super().__init__(
            program,
            f"--config.file={self.config_file}",
            f"--storage.tsdb.path={folder / f'prometheus-{port}'}",
            f"--web.listen-address={HOST}:{port}",
            *_assets(program, "web"),
            *flags,
            port=port,
            log_file=folder / f"prometheus-{port}.log",
        )

    def query(self, expression: str) -> list[tuple[Labels, float]]:
        """Return the labels and the value of each series of an instant query."""
        return [(series["metric"], float(series["value"][1])) for series in self._vector(expression)]

    def query_range_samples(self, selector: str) -> list[tuple[Labels, list[tuple[float, float]]]]:
        """Return the raw (timestamp, value) samples of each series of a range, as in 'sonnen_online[5m]'."""
        return [
            (series["metric"], [(float(timestamp), float(value)) for timestamp, value in series["values"]])
            for series in self._vector(selector)
        ]

    def wait_for(self, expression: str, *, seconds: float = PATIENCE_SECONDS) -> list[tuple[Labels, float]]:
        """Return the first answer to an instant query that is not empty."""
        wait_until(lambda: bool(self.query(expression)), f"an answer to {expression!r}", seconds=seconds)
        return self.query(expression)

    def _vector(self, expression: str) -> list[dict[str, Any]]:
        vector: list[dict[str, Any]] = json.loads(self.request("/api/v1/query", query=expression))["data"]["result"]
        return vector


class VictoriaMetrics(Server):
    """Debian's VictoriaMetrics, which answers with what it has just got."""

    ready_path = "/-/ready"

    def __init__(self, folder: Path, port: int | None = None) -> None:
        port = port or free_port()
        super().__init__(
            find_program("victoria-metrics"),
            f"-httpListenAddr={HOST}:{port}",
            f"-storageDataPath={folder / f'victoria-{port}'}",
            "-search.latencyOffset=0s",
            port=port,
            log_file=folder / f"victoria-{port}.log",
        )


class NodeExporter(Server):
    """A node_exporter of this machine."""

    ready_path = "/metrics"

    def __init__(self, folder: Path) -> None:
        port = free_port()
        super().__init__(
            find_program("prometheus-node-exporter"),
            f"--web.listen-address={HOST}:{port}",
            port=port,
            log_file=folder / f"node-exporter-{port}.log",
        )


class Simulator(Server):
    """A simulated house, with the HTTP interface of its battery."""

    def __init__(self, folder: Path, *, options: Iterable[str] = ()) -> None:
        port = free_port()
        self.token = "a-made-up-token"
        super().__init__(
            *self._program(),
            f"--port={port}",
            f"--token={self.token}",
            *options,
            port=port,
            log_file=folder / f"simulator-{port}.log",
        )

    def write_token(self, file: Path) -> Path:
        """Write the token as the config's `token_file`, readable to its owner only."""
        file.touch(mode=0o600)
        file.write_text(self.token)
        return file

    def _program(self) -> Sequence[str | Path]:
        return find_program("sonnen-agent"), "simulate"

    def _answers(self) -> bool:
        return f"at {self.url}" in self.log


class FaultySimulator(Simulator):
    """One that logs what it was asked and has faults to switch on, by its interface under `/simulator/`."""

    def _program(self) -> Sequence[str | Path]:
        return sys.executable, _FAULTY_SIMULATOR


_UNIT = Path(__file__).parents[2] / "systemd/sonnen-agent.service"


def unit_environment() -> dict[str, str]:
    """Return the environment that the unit sets, such as what the C library does with memory."""
    lines = re.findall(r"^Environment=(.+)", _UNIT.read_text(), re.MULTILINE)
    return dict(assignment.split("=", 1) for line in lines for assignment in line.split())


class Agent(Program):
    """A running agent with the given config, in the unit's environment."""

    def __init__(
        self, config_file: Path, *, program: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        state = config_file.parent / f"state-{config_file.stem}"
        state.mkdir(exist_ok=True)
        super().__init__(
            program or find_program("sonnen-agent"),
            "run",
            f"--config={config_file}",
            log_file=config_file.with_name(f"agent-{config_file.stem}.log"),
            environment={**unit_environment(), "STATE_DIRECTORY": str(state), **(environment or {})},
        )


class RunAgent(Protocol):
    """Starts an agent with this config; several of them, if need be, by different names."""

    def __call__(self, config: str, *, name: str = "config") -> Agent: ...


def _assets(program: Path, name: str) -> list[str]:
    """Return the flag that tells a Debian build which is not installed, only unpacked, where its web pages are."""
    assets = program.parents[1] / "share/prometheus" / name
    return [f"--web.local-assets={assets}"] if assets.is_dir() else []
