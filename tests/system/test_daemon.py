"""The agent as systemd sees it: what it says of itself, SIGHUP, and what a crash leaves."""

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from programs import free_port, wait_until
from servers import Agent, Labels, Pushgateway, Server, Simulator

pytestmark = pytest.mark.system


class Manager:
    """Stands in for systemd: a socket that hears what the agent says."""

    def __init__(self, address: Path) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(address))
        self._socket.settimeout(60)

    def hear(self, assignment: str) -> dict[str, str]:
        """Return the next message with this in it."""
        while True:
            lines = self._socket.recv(65536).decode().splitlines()
            if assignment in lines:
                return dict(line.split("=", 1) for line in lines)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


class Unit:
    """An agent with what a unit gives it."""

    def __init__(self, folder: Path, manager: Manager, running: ExitStack) -> None:
        self.config_file = folder / "config.yml"
        self._runtime = folder / "runtime"
        self._runtime.mkdir()
        self._manager = manager
        self._running = running

    def start(self, config: str, *, program: Path | None = None) -> Agent:
        self.config_file.write_text(config)
        environment = {"NOTIFY_SOCKET": str(self._manager.address), "RUNTIME_DIRECTORY": str(self._runtime)}
        return self._running.enter_context(Agent(self.config_file, program=program, environment=environment))

    def has_crashed(self, times: int) -> None:
        """Leave what that many crashes in a row leave to the next start."""
        (self._runtime / "starts").write_text(str(times))

    def reload(self, agent: Agent, config: str) -> None:
        """Write another config, and return when the agent has dealt with it."""
        self.config_file.write_text(config)
        agent.send(signal.SIGHUP)
        self._manager.hear("RELOADING=1")
        self._manager.hear("READY=1")


@pytest.fixture
def unit(tmp_path: Path, manager: Manager, running: ExitStack) -> Unit:
    return Unit(tmp_path, manager, running)


def config(simulator: Simulator, sink: str, *, names: tuple[str, ...] = ("home",)) -> str:
    batteries = ", ".join(f"{{name: {name}, url: {simulator.url}, token_file: home.token}}" for name in names)
    return f"interval_seconds: 1\nbatteries: [{batteries}]\n{sink}\n"


def observed(gateway: Pushgateway) -> dict[str, float]:
    """Return the seconds that each battery on the gateway was observed."""
    found: dict[str, float] = {}
    for group in gateway.groups():
        for sample in group.samples.get("sonnen_observed_seconds_total", ()):
            found[group.labels["instance"]] = sample.value
    return found


def instances(gateway: Pushgateway) -> list[Labels]:
    return sorted((group.labels for group in gateway.groups()), key=str)


def test_the_manager_hears_of_the_start_each_few_seconds_and_of_the_stop(
    unit: Unit, manager: Manager, simulator: Simulator, pushgateway: Pushgateway
) -> None:
    agent = unit.start(config(simulator, f"pushgateway: {{url: {pushgateway.url}}}"))

    assert "W solar" in manager.hear("READY=1")["STATUS"]
    status = manager.hear("WATCHDOG=1")["STATUS"]
    assert status.startswith("home: ")
    assert status.endswith("s ago")
    assert "; pushed " in status
    assert agent.stop() == 0
    manager.hear("STOPPING=1")


def test_it_is_ready_without_battery_and_gateway_and_says_so(
    unit: Unit, manager: Manager, simulator: Simulator
) -> None:
    simulator.stop()
    unit.start(config(simulator, f"pushgateway: {{url: 'http://127.0.0.1:{free_port()}'}}"))

    assert manager.hear("READY=1")["STATUS"] == "home: not readable; nothing pushed yet"
    manager.hear("WATCHDOG=1")


def test_a_reload_leaves_what_goes_on_alone_and_takes_the_rest_away(
    unit: Unit, simulator: Simulator, pushgateway: Pushgateway
) -> None:
    sink = f"pushgateway: {{url: {pushgateway.url}}}"
    agent = unit.start(config(simulator, sink, names=("home", "garage")))
    wait_until(lambda: len(observed(pushgateway)) == 2, "counters of two batteries")
    before = observed(pushgateway)["home"]

    unit.reload(agent, config(simulator, sink, names=("home", "attic")))

    # Its group was never away: the gateway would otherwise tell a later start of no counters.
    assert observed(pushgateway)["home"] >= before
    wait_until(lambda: observed(pushgateway)["home"] > before, "counting that goes on")
    wait_until(lambda: "attic" in observed(pushgateway), "the new battery")
    assert "garage" not in observed(pushgateway)
    assert "taking over the config" in agent.log


def test_a_reload_to_another_gateway_takes_all_away_from_the_first(
    unit: Unit, simulator: Simulator, pushgateway: Pushgateway, running: ExitStack, tmp_path: Path
) -> None:
    other = running.enter_context(Pushgateway(tmp_path))
    agent = unit.start(config(simulator, f"pushgateway: {{url: {pushgateway.url}}}"))
    wait_until(lambda: "home" in observed(pushgateway), "counters")
    before = observed(pushgateway)["home"]

    unit.reload(agent, config(simulator, f"pushgateway: {{url: {other.url}}}"))

    wait_until(lambda: observed(other).get("home", 0) >= before, "counters that go on elsewhere")
    assert instances(pushgateway) == []


def test_a_wrong_config_is_told_and_the_one_before_stays(
    unit: Unit, simulator: Simulator, pushgateway: Pushgateway
) -> None:
    agent = unit.start(config(simulator, f"pushgateway: {{url: {pushgateway.url}}}"))
    wait_until(lambda: "home" in observed(pushgateway), "counters")

    unit.reload(agent, "intervall_seconds: 1\n")

    before = observed(pushgateway)["home"]
    wait_until(lambda: observed(pushgateway)["home"] > before, "counting that goes on")
    assert "the config stays as it was: " in agent.log
    assert "intervall_seconds" in agent.log
    assert agent.stop() == 0


def test_a_config_that_cannot_start_gives_way_to_the_one_before(
    unit: Unit, simulator: Simulator, pushgateway: Pushgateway
) -> None:
    sink = f"pushgateway: {{url: {pushgateway.url}}}"
    agent = unit.start(config(simulator, sink))
    wait_until(lambda: "home" in observed(pushgateway), "counters")
    before = observed(pushgateway)["home"]

    # The simulator has that port.
    unit.reload(agent, config(simulator, f"pull: {{listen: '127.0.0.1:{simulator.port}'}}"))

    wait_until(lambda: observed(pushgateway).get("home", 0) > before, "counting that goes on")
    assert "the config stays as it was: pull.listen: cannot listen" in agent.log


_WHOSE_NAME_SERVICE_HANGS = f"""\
#!{sys.executable}
import socket, sys, time
from sonnen_agent import cli
from sonnen_agent.commands import agent

def hanging(host, *more, **options):
    if host == "hangs.example":
        print("asking for", host, file=sys.stderr, flush=True)
        time.sleep(60)
    return asking(host, *more, **options)

agent._STOP_SECONDS = 1
asking, socket.getaddrinfo = socket.getaddrinfo, hanging
sys.exit(cli.main())
"""


def test_a_reload_while_the_name_service_hangs_takes_a_new_process(
    unit: Unit, simulator: Simulator, pushgateway: Pushgateway, tmp_path: Path
) -> None:
    # What hangs has the spool open: an agent beside it in the same process would do without.
    program = tmp_path / "agent"
    program.write_text(_WHOSE_NAME_SERVICE_HANGS)
    program.chmod(0o755)
    sink = f"pushgateway: {{url: {pushgateway.url}}}"
    away = "remote_write: {url: 'http://hangs.example/api/v1/write'}"
    agent = unit.start(config(simulator, f"{sink}\n{away}"), program=program)
    agent.wait_for_log("asking for hangs.example")
    wait_until(lambda: "home" in observed(pushgateway), "counters")
    before = observed(pushgateway)["home"]

    unit.config_file.write_text(config(simulator, f"{sink}\nremote_write: {{url: 'http://127.0.0.1:{free_port()}'}}"))
    agent.send(signal.SIGHUP)
    wait_until(lambda: agent.exit_code is not None, "the end of the process")
    assert agent.exit_code == 1
    assert "remote_write did not stop in time" in agent.log
    agent.start()

    wait_until(lambda: observed(pushgateway).get("home", 0) > before, "counting that goes on")
    assert "in use by another process" not in agent.log


class Page(Server):
    """The pull page of an agent."""

    def __init__(self, agent: Agent, port: int) -> None:
        super().__init__("page", port=port, log_file=agent.log_file)

    def observed(self) -> float | None:
        for line in self.request("/metrics").decode().splitlines():
            if line.startswith("sonnen_observed_seconds_total "):
                return float(line.split()[1])
        return None


def test_after_a_kill_the_counters_go_on_from_the_latest_beat_and_nothing_is_held_back(
    unit: Unit, manager: Manager, simulator: Simulator
) -> None:
    # A page cannot be asked what was seen of it: without the image in memory its counters would be missing for minutes.
    port = free_port()
    agent = unit.start(config(simulator, f"pull: {{listen: '127.0.0.1:{port}'}}"))
    manager.hear("READY=1")
    page = Page(agent, port)
    wait_until(lambda: (page.observed() or 0) > 3, "some seconds that were observed")
    before = page.observed()
    assert before is not None

    agent.kill()
    agent.start()
    manager.hear("READY=1")

    after = page.observed()
    assert after is not None
    # The beats that the restart took are a gap that was bridged, not counted twice.
    assert before <= after < before + 15


def test_a_hangup_ends_the_pause_after_crashes_with_the_config_of_then(
    unit: Unit, manager: Manager, simulator: Simulator, pushgateway: Pushgateway
) -> None:
    sink = f"pushgateway: {{url: {pushgateway.url}}}"
    unit.has_crashed(8)
    agent = unit.start(config(simulator, sink))
    manager.hear("STATUS=Waiting 300 s after several crashes in a row")

    unit.config_file.write_text(config(simulator, sink, names=("garage",)))
    agent.send(signal.SIGHUP)

    assert manager.hear("READY=1")["STATUS"].startswith("garage: ")


def test_a_hangup_ends_the_pause_after_crashes_with_the_config_of_before_where_that_of_then_is_wrong(
    unit: Unit, manager: Manager, simulator: Simulator, pushgateway: Pushgateway
) -> None:
    unit.has_crashed(8)
    agent = unit.start(config(simulator, f"pushgateway: {{url: {pushgateway.url}}}"))
    manager.hear("STATUS=Waiting 300 s after several crashes in a row")

    unit.config_file.write_text("batteries: []\n")
    agent.send(signal.SIGHUP)

    assert manager.hear("READY=1")["STATUS"].startswith("home: ")
    assert "the config stays as it was: " in agent.log
