"""Other exporters' pages on their way through a real gateway into a real Prometheus, and exporters that misbehave."""

import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from programs import HOST, wait_until
from servers import Group, NodeExporter, Prometheus, Pushgateway, RunAgent, Simulator

pytestmark = pytest.mark.system

_HOST_NAME = socket.gethostname()
_PUSH_TIMES = {"push_time_seconds", "push_failure_time_seconds"}


@pytest.fixture
def node_exporter(running: ExitStack, tmp_path: Path) -> NodeExporter:
    return running.enter_context(NodeExporter(tmp_path))


class Exporter:
    """An exporter that shows the page of a test."""

    def __init__(self) -> None:
        self.page = ""
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(exporter.page.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{HOST}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    exporter = Exporter()
    yield exporter
    exporter.close()


def config(battery: Simulator, gateway: Pushgateway, more: str = "", **relays: str) -> str:
    """Return a config with a relay for each job and URL."""
    entries = ", ".join(f"{{url: {url}, job: {job}, interval_seconds: 1}}" for job, url in relays.items())
    return f"""\
interval_seconds: 1
batteries: [{{name: home, url: {battery.url}, token_file: home.token}}]
pushgateway: {{url: {gateway.url}{more}}}
relay: [{entries}]
"""


def group(gateway: Pushgateway, job: str) -> Group | None:
    (found,) = [one for one in gateway.groups() if one.labels["job"] == job] or (None,)
    return found


def holds(gateway: Pushgateway, job: str) -> set[str] | None:
    """Return the names in a group but for those of the gateway's own, None where there is no such group."""
    found = group(gateway, job)
    return set(found.samples) - _PUSH_TIMES if found is not None else None


def value(gateway: Pushgateway, job: str, name: str, **labels: str) -> float | None:
    """Return the one value with these labels, None where there is none."""
    found = group(gateway, job)
    samples = found.samples.get(name, ()) if found is not None else ()
    (only,) = [one.value for one in samples if labels.items() <= one.labels.items()] or (None,)
    return only


def wait_for_beats(gateway: Pushgateway, beats: int) -> None:
    """Return after so many more readings of the battery, of which hardly any came late: a busy machine may miss one."""

    def reads() -> float:
        labels = {"battery": "home", "endpoint": "status", "outcome": "ok"}
        return value(gateway, "sonnen_agent", "sonnen_agent_reads_total", **labels) or 0

    before = reads()
    wait_until(lambda: reads() >= before + beats, f"{beats} beats")
    missed = value(gateway, "sonnen_agent", "sonnen_agent_missed_beats_total", battery="home")
    assert missed is not None
    assert reads() > 3 * missed
    assert value(gateway, "sonnen", "sonnen_online") == 1


def memory_bytes() -> float:
    (kib,) = re.findall(r"^MemTotal: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(kib) * 1024


def test_the_health_of_this_machine_is_in_prometheus_under_its_name(
    simulator: Simulator,
    node_exporter: NodeExporter,
    pushgateway: Pushgateway,
    prometheus: Prometheus,
    run_agent: RunAgent,
) -> None:
    agent = run_agent(config(simulator, pushgateway, node=f"{node_exporter.url}/metrics"))
    own = {"job": "node", "instance": _HOST_NAME}

    assert prometheus.wait_for("node_memory_MemTotal_bytes") == [
        ({"__name__": "node_memory_MemTotal_bytes", **own}, memory_bytes())
    ]
    prometheus.wait_for(f'sum(rate(node_cpu_seconds_total{{job="node",instance="{_HOST_NAME}"}}[10s])) > 0')
    prometheus.wait_for('sonnen_agent_relay_up{relay="node"} == 1')
    prometheus.wait_for("sonnen_online == 1")
    pushed, original = types(pushgateway.metrics()), types(node_exporter.request("/metrics").decode())
    assert {"counter", "gauge", "untyped"} <= set(original.values())
    own_process = ("go_", "process_", "promhttp_")
    assert {name: kind for name, kind in original.items() if not name.startswith(own_process)}.items() <= pushed.items()
    assert not [name for name in holds(pushgateway, "node") or () if name.startswith(own_process)]

    assert agent.stop() == 0
    assert [group.labels["job"] for group in pushgateway.groups()] == ["sonnen"]
    assert "WARNING" not in agent.log


def types(page: str) -> dict[str, str]:
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE))


def test_a_killed_exporter_leaves_an_empty_group_that_is_fresh_and_comes_back(
    simulator: Simulator,
    node_exporter: NodeExporter,
    pushgateway: Pushgateway,
    prometheus: Prometheus,
    run_agent: RunAgent,
) -> None:
    agent = run_agent(config(simulator, pushgateway, node=f"{node_exporter.url}/metrics"))
    prometheus.wait_for("node_load1")

    node_exporter.kill()
    wait_until(lambda: holds(pushgateway, "node") == set(), "the group to be emptied")
    wait_until(lambda: not prometheus.query("node_load1"), "Prometheus to see it")
    wait_for_beats(pushgateway, 3)
    prometheus.wait_for('sonnen_agent_relay_up{relay="node"} == 0')
    prometheus.wait_for('time() - push_time_seconds{job="node"} < 5')

    node_exporter.start()
    prometheus.wait_for("node_load1")
    assert [line for line in agent.log.splitlines() if "relay" in line] == [
        f"WARNING relay node: not readable (refused): {node_exporter.url}/metrics: cannot connect: Connection refused",
        "INFO relay node: readable again",
    ]


def test_timestamps_and_the_line_ends_of_windows_are_no_obstacle(
    simulator: Simulator, exporter: Exporter, pushgateway: Pushgateway, run_agent: RunAgent
) -> None:
    exporter.page = '# TYPE disk_reads counter\r\ndisk_reads{path="C:\\\\a b} 1 2",x="\\"{"} 7 1700000000000\r\nlast 1'
    run_agent(config(simulator, pushgateway, disks=f"{exporter.url}/metrics"))

    wait_until(lambda: holds(pushgateway, "disks") == {"disk_reads", "last"}, "the page")

    assert value(pushgateway, "disks", "disk_reads", path="C:\\a b} 1 2", x='"{') == 7
    assert types(pushgateway.metrics())["disk_reads"] == "counter"


def test_a_page_that_the_gateway_rejects_takes_its_old_values_away_and_harms_nobody(
    simulator: Simulator, exporter: Exporter, pushgateway: Pushgateway, run_agent: RunAgent
) -> None:
    exporter.page = "temperature 20\n"
    agent = run_agent(config(simulator, pushgateway, room=f"{exporter.url}/metrics"))
    wait_until(lambda: holds(pushgateway, "room") == {"temperature"}, "a first page")

    # The gateway itself, and the agent, have a gauge of that name.
    exporter.page = "temperature 20\n# TYPE pushgateway_build_info counter\npushgateway_build_info 1\n"
    wait_until(lambda: value(pushgateway, "room", "push_time_seconds") == 0, "a rejection that leaves nothing behind")
    wait_for_beats(pushgateway, 3)
    assert holds(pushgateway, "room") == set()
    # Pushgateway 1.11.0 hangs up instead of answering.
    assert "pushgateway_build_info" in agent.log or "see push_failure_time_seconds" in agent.log

    exporter.page = "temperature 21\n"
    wait_until(lambda: value(pushgateway, "room", "temperature") == 21, "the mended page")
    agent.wait_for_log("pushing works again; ")
    assert agent.log.count("push of room/") == 1


def test_a_relay_that_leaves_the_config_leaves_the_gateway(
    tmp_path: Path, simulator: Simulator, exporter: Exporter, pushgateway: Pushgateway, run_agent: RunAgent
) -> None:
    exporter.page = "temperature 20\n"
    url = f"{exporter.url}/metrics"
    agent = run_agent(config(simulator, pushgateway, room=url, hall=url))
    wait_until(lambda: bool(holds(pushgateway, "room") and holds(pushgateway, "hall")), "both pages")

    (tmp_path / "config.yml").write_text(config(simulator, pushgateway, hall=url))
    agent.send(signal.SIGHUP)

    wait_until(lambda: holds(pushgateway, "room") is None, "the group to vanish")
    wait_for_beats(pushgateway, 2)
    assert holds(pushgateway, "hall") == {"temperature"}


def test_relayed_groups_can_outlive_the_agent_when_it_is_told_so(
    simulator: Simulator, exporter: Exporter, pushgateway: Pushgateway, run_agent: RunAgent
) -> None:
    exporter.page = "temperature 20\n"
    agent = run_agent(config(simulator, pushgateway, ", on_stop: keep", room=f"{exporter.url}/metrics"))
    wait_until(lambda: bool(holds(pushgateway, "room")), "a first page")

    assert agent.stop() == 0

    assert holds(pushgateway, "room") == {"temperature"}
