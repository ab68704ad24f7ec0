"""The agent as systemd sees it: what it says of itself, SIGHUP, and what a crash leaves."""

import json
import re
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from programs import free_port, wait_until
from pytest_httpserver import HTTPServer
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
        *_, message = self.hear_until(assignment)
        return message

    def hear_until(self, assignment: str) -> list[dict[str, str]]:
        """Return all messages up to the next with this in it."""
        heard = []
        while True:
            lines = self._socket.recv(65536).decode().splitlines()
            heard.append(dict(line.split("=", 1) for line in lines))
            if assignment in lines:
                return heard

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

    def reload(self, agent: Agent, config: str) -> None:
        """Write another config, and return when the agent has dealt with it."""
        self.config_file.write_text(config)
        agent.send(signal.SIGHUP)
        self._manager.hear("RELOADING=1")
        self._manager.hear("READY=1")
        agent.check_running()


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


def starts(agent: Agent) -> int:
    """Return how often the program has begun."""
    return agent.log.count(": every 1 s from ")


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


def test_a_reload_is_a_new_program_in_the_same_process_and_the_manager_hears_of_both_ends(
    unit: Unit, manager: Manager, simulator: Simulator, pushgateway: Pushgateway
) -> None:
    sink = f"pushgateway: {{url: {pushgateway.url}}}"
    agent = unit.start(config(simulator, sink))
    manager.hear("READY=1")
    before = time.monotonic_ns() // 1000
    assert starts(agent) == 1

    unit.config_file.write_text(config(simulator, sink, names=("garage",)))
    agent.send(signal.SIGHUP)

    reloading = manager.hear("RELOADING=1")
    # systemd takes a READY for the end of a reload only after this moment.
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    *between, ready = manager.hear_until("READY=1")
    assert ready["STATUS"].startswith("garage: ")
    assert [message for message in between if "STOPPING" in message] == []
    # Whoever started it still knows it by its process id.
    assert agent.exit_code is None
    assert starts(agent) == 2
    assert "taking over the config" in agent.log
    manager.hear("WATCHDOG=1")
    assert agent.stop() == 0
    assert instances(pushgateway) == [{"instance": "garage", "job": "sonnen"}]


def test_a_reload_leaves_what_goes_on_alone_and_takes_the_rest_away(
    unit: Unit, simulator: Simulator, pushgateway: Pushgateway, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/metrics").respond_with_data("node_load1 0.5\n")
    sink = f"pushgateway: {{url: {pushgateway.url}}}"
    relays = [f"{{url: '{httpserver.url_for('/metrics')}', job: {job}, interval_seconds: 1}}" for job in ("a", "b")]
    agent = unit.start(config(simulator, f"{sink}\nrelay: [{', '.join(relays)}]", names=("home", "garage")))
    host = socket.gethostname()
    stay = [
        {"job": "a", "instance": host},
        {"job": "sonnen", "instance": "home"},
        {"job": "sonnen_agent", "instance": host},
    ]
    go = [{"job": "b", "instance": host}, {"job": "sonnen", "instance": "garage"}]
    wait_until(
        lambda: len(observed(pushgateway)) == 2 and all(group in instances(pushgateway) for group in (*stay, *go)),
        "counters of two batteries, and the pages of two others",
    )
    before = observed(pushgateway)["home"]

    with watched(pushgateway) as looks:
        unit.reload(agent, config(simulator, f"{sink}\nrelay: [{relays[0]}]", names=("home", "attic")))
        wait_until(lambda: "attic" in observed(pushgateway), "the new battery")

    # They were never away: the gateway would otherwise tell a later start of no counters, and Prometheus of a gap.
    assert len(looks) > 10
    assert [look for look in looks if not all(group in look for group in stay)] == []
    assert observed(pushgateway)["home"] >= before
    wait_until(lambda: observed(pushgateway)["home"] > before, "counting that goes on")
    assert [group for group in instances(pushgateway) if group in go] == []


@contextmanager
def watched(gateway: Pushgateway) -> Iterator[list[list[Labels]]]:
    """Give the list of groups on a gateway at many moments within the block."""
    looks: list[list[Labels]] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            looks.append(instances(gateway))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield looks
    finally:
        over.set()
        thread.join()


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


def deliveries(simulator: Simulator) -> list[dict[str, Any]]:
    """Return every status that the battery has told."""
    with urllib.request.urlopen(f"{simulator.url}/simulator/log", timeout=30) as response:
        entries: list[dict[str, Any]] = json.load(response)
    return [entry for entry in entries if entry["endpoint"] == "status"]


def test_reloads_count_every_second_once(unit: Unit, simulator: Simulator, pushgateway: Pushgateway) -> None:
    # Of a house that stands still every counter is a power times the time that was observed; four decimals are shown.
    freeze = urllib.request.Request(f"{simulator.url}/simulator/fault/frozen", method="PUT")
    urllib.request.urlopen(freeze, timeout=10).close()
    sink = f"pushgateway: {{url: {pushgateway.url}}}"
    agent = unit.start(config(simulator, sink))
    wait_until(lambda: observed(pushgateway).get("home", 0) > 1, "counters")
    # By the agent's own clock: between an answer and its time there is more on a busy machine than a beat may lose.
    begun = begun_at(pushgateway)

    for _ in range(3):
        unit.reload(agent, config(simulator, sink))
    silence = urllib.request.Request(f"{simulator.url}/simulator/fault/reset", method="PUT")
    urllib.request.urlopen(silence, timeout=10).close()
    wait_until(lambda: online(pushgateway) == 0, "the silence to be noticed")

    assert starts(agent) == 4
    told = deliveries(simulator)
    assert begun_at(pushgateway) == pytest.approx(begun, abs=0.01)
    # The first of them may have been asked for to find out which battery it is; each is asked for after the one before.
    assert told[0]["unix_time"] <= begun < told[2]["unix_time"]
    assert told[-1]["unix_time"] <= value_of(pushgateway, "sonnen_last_reading_timestamp_seconds")
    for metric, field, sign in (
        ("sonnen_production_watt_hours_total", "Production_W", 1),
        ("sonnen_consumption_watt_hours_total", "Consumption_W", 1),
        ("sonnen_grid_import_watt_hours_total", "GridFeedIn_W", -1),
        ("sonnen_battery_discharge_watt_hours_total", "Pac_total_W", 1),
    ):
        watts = max(0, sign * told[0]["body"][field])
        watt_hours = watts * observed(pushgateway)["home"] / 3600
        assert value_of(pushgateway, metric) == pytest.approx(watt_hours, rel=1e-6, abs=1e-4), metric
    # Counters that were saved at an orderly stop are whole: nobody had to be asked.
    assert "counting goes on from the counters on the gateway" not in agent.log


RELOADS = 10


def test_reloads_leave_no_file_open_no_thread_and_no_memory(
    unit: Unit, simulator: Simulator, pushgateway: Pushgateway
) -> None:
    text = config(simulator, f"pushgateway: {{url: {pushgateway.url}}}")
    agent = unit.start(text)

    def reload(times: int) -> tuple[int, int, int]:
        """Return the open files, the threads and the KiB of memory afterwards, when all is in use again."""
        for _ in range(times):
            unit.reload(agent, text)
            before = observed(pushgateway)["home"]
            wait_until(lambda before=before: observed(pushgateway).get("home", 0) > before, "counting that goes on")  # type: ignore[misc]
        process = Path(f"/proc/{agent.pid}")
        [memory] = re.findall(r"^VmRSS:\s+(\d+) kB$", (process / "status").read_text(), re.MULTILINE)
        return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir())), int(memory)

    wait_until(lambda: "home" in observed(pushgateway), "counters")
    before = reload(1)
    after = reload(RELOADS)

    # The memory is that of a program that was just started.
    assert after[:2] == before[:2]
    assert after[2] < before[2] + 2048


def value_of(gateway: Pushgateway, metric: str) -> float:
    """Return the one value of a metric of the battery."""
    (group,) = (group for group in gateway.groups() if group.labels == {"job": "sonnen", "instance": "home"})
    (sample,) = group.samples[metric]
    return sample.value


def begun_at(gateway: Pushgateway) -> float:
    """Return since when the battery has been observed, if that was all the time, in Unix seconds."""
    (group,) = (group for group in gateway.groups() if group.labels == {"job": "sonnen", "instance": "home"})
    names = ("sonnen_last_reading_timestamp_seconds", "sonnen_observed_seconds_total")
    last, seconds = (group.samples[name][0].value for name in names)
    return last - seconds


def online(gateway: Pushgateway) -> float:
    return value_of(gateway, "sonnen_online")


def test_a_wrong_config_is_told_and_the_one_before_stays(
    unit: Unit, manager: Manager, simulator: Simulator, pushgateway: Pushgateway
) -> None:
    agent = unit.start(config(simulator, f"pushgateway: {{url: {pushgateway.url}}}"))
    wait_until(lambda: "home" in observed(pushgateway), "counters")

    unit.reload(agent, "intervall_seconds: 1\n")

    before = observed(pushgateway)["home"]
    wait_until(lambda: observed(pushgateway)["home"] > before, "counting that goes on")
    assert "the config stays as it was: " in agent.log
    assert "intervall_seconds" in agent.log
    assert "taking over the config" not in agent.log
    assert starts(agent) == 1
    manager.hear("WATCHDOG=1")
    assert agent.stop() == 0


@pytest.mark.parametrize("last", [signal.SIGTERM, signal.SIGINT])
def test_who_is_told_to_end_in_the_middle_of_a_reload_ends(
    unit: Unit, manager: Manager, simulator: Simulator, pushgateway: Pushgateway, last: signal.Signals
) -> None:
    agent = unit.start(config(simulator, f"pushgateway: {{url: {pushgateway.url}}}"))
    wait_until(lambda: "home" in observed(pushgateway), "counters")

    agent.send(signal.SIGHUP)
    manager.hear("RELOADING=1")
    assert agent.stop(last) == 0

    manager.hear("STOPPING=1")
    assert instances(pushgateway) == [{"instance": "home", "job": "sonnen"}]
    assert "Traceback" not in agent.log


def test_a_hangup_in_the_middle_of_a_reload_is_another_reload(
    unit: Unit, manager: Manager, simulator: Simulator, pushgateway: Pushgateway
) -> None:
    agent = unit.start(config(simulator, f"pushgateway: {{url: {pushgateway.url}}}"))
    wait_until(lambda: "home" in observed(pushgateway), "counters")
    before = observed(pushgateway)["home"]

    agent.send(signal.SIGHUP)
    manager.hear("RELOADING=1")
    agent.send(signal.SIGHUP)

    manager.hear("RELOADING=1")
    manager.hear("READY=1")
    assert starts(agent) == 3
    wait_until(lambda: observed(pushgateway)["home"] > before, "counting that goes on")
    assert agent.stop() == 0


def test_a_config_that_cannot_start_ends_it_with_the_reason_and_a_later_start_loses_nothing(
    unit: Unit, simulator: Simulator, pushgateway: Pushgateway
) -> None:
    sink = f"pushgateway: {{url: {pushgateway.url}}}"
    agent = unit.start(config(simulator, sink))
    wait_until(lambda: "home" in observed(pushgateway), "counters")
    before = observed(pushgateway)["home"]

    # The simulator has that port. systemd starts the agent anew until it has not.
    unit.config_file.write_text(config(simulator, f"{sink}\npull: {{listen: '127.0.0.1:{simulator.port}'}}"))
    agent.send(signal.SIGHUP)
    wait_until(lambda: agent.exit_code is not None, "the end of the process")

    assert agent.exit_code == 1
    assert "sonnen-agent: pull.listen: cannot listen" in agent.log
    unit.config_file.write_text(config(simulator, sink))
    agent.start()
    wait_until(lambda: observed(pushgateway).get("home", 0) > before, "counting that goes on")


_WHOSE_NAME_SERVICE_HANGS = f"""\
#!{sys.executable}
import os, socket, sys, time
from sonnen_agent import cli

def hanging(host, *more, **options):
    if host == "hangs.example":
        os.write(2, b"asking for hangs.example" + bytes([10]))  # in one piece, the log is written to as well
        time.sleep(60)
    return asking(host, *more, **options)

asking, socket.getaddrinfo = socket.getaddrinfo, hanging
sys.exit(cli.main())
"""


def test_a_reload_while_the_name_service_hangs_does_not_wait_for_it(
    unit: Unit, simulator: Simulator, pushgateway: Pushgateway, tmp_path: Path
) -> None:
    program = tmp_path / "agent"
    program.write_text(_WHOSE_NAME_SERVICE_HANGS)
    program.chmod(0o755)
    sink = f"pushgateway: {{url: {pushgateway.url}}}"
    away = "remote_write: {url: 'http://hangs.example/api/v1/write'}"
    agent = unit.start(config(simulator, f"{sink}\n{away}"), program=program)
    agent.wait_for_log("asking for hangs.example")
    wait_until(lambda: "home" in observed(pushgateway), "counters")
    before = observed(pushgateway)["home"]

    unit.reload(
        agent, config(simulator, f"{sink}\nremote_write: {{url: 'http://127.0.0.1:{free_port()}/api/v1/write'}}")
    )

    assert "did not stop in time" not in agent.log
    wait_until(lambda: observed(pushgateway).get("home", 0) > before, "counting that goes on")
    assert starts(agent) == 2
    assert "in use by another" not in agent.log


_WHOSE_BATTERY_HANGS = f"""\
#!{sys.executable}
import os, sys, time
from sonnen_agent import cli
from sonnen_agent.battery.battery import Battery

def hanging(battery, deadline):
    while os.path.exists(os.environ["HANGS"]):
        time.sleep(0.05)
    return reading(battery, deadline)

reading, Battery.read = Battery.read, hanging
sys.exit(cli.main())
"""


@pytest.mark.parametrize("read_before", [True, False])
def test_a_battery_is_offline_on_the_gateway_while_its_reader_hangs(
    unit: Unit,
    manager: Manager,
    simulator: Simulator,
    pushgateway: Pushgateway,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    read_before: bool,
) -> None:
    program, hangs = tmp_path / "agent", tmp_path / "hangs"
    program.write_text(_WHOSE_BATTERY_HANGS)
    program.chmod(0o755)
    monkeypatch.setenv("HANGS", str(hangs))
    text = config(simulator, f"pushgateway: {{url: {pushgateway.url}}}")
    if read_before:
        agent = unit.start(text, program=program)
        wait_until(lambda: observed(pushgateway).get("home", 0) > 0, "counters")
        hangs.touch()
    else:
        hangs.touch()
        agent = unit.start(text, program=program)
    # Again and again: nobody must take it for an agent that died.
    for _ in range(2):
        wait_until(lambda: samples(pushgateway).get("sonnen_online") == 0, "an offline battery")
        pushed = samples(pushgateway)["push_time_seconds"]
        wait_until(lambda before=pushed: samples(pushgateway)["push_time_seconds"] > before, "another push")  # type: ignore[misc]

    manager.hear("READY=1")
    shown = samples(pushgateway)
    assert [name for name in shown if name.endswith(("_watts", "_percent"))] == []
    assert ("sonnen_observed_seconds_total" in shown) is read_before
    hangs.unlink()
    wait_until(lambda: samples(pushgateway).get("sonnen_online") == 1, "a battery that is back")
    assert agent.log.count("home: not readable (timeout): nothing came of the last request for ") == 1
    assert agent.log.count("home: readable again") == 1
    assert agent.stop() == 0


def test_a_process_that_stood_still_does_not_take_its_battery_for_silent(
    unit: Unit, simulator: Simulator, pushgateway: Pushgateway
) -> None:
    text = config(simulator, f"pushgateway: {{url: {pushgateway.url}}}")
    agent = unit.start(text.replace("interval_seconds: 1", "interval_seconds: 3"))
    wait_until(lambda: observed(pushgateway).get("home", 0) > 0, "counters")
    before = observed(pushgateway)["home"]

    agent.pause()
    time.sleep(12)
    agent.resume()

    wait_until(lambda: observed(pushgateway)["home"] > before + 12, "counting over the gap")
    assert "not readable" not in agent.log
    assert agent.stop() == 0


def samples(gateway: Pushgateway) -> dict[str, float]:
    """Return the last value of each metric of the battery."""
    battery = {"job": "sonnen", "instance": "home"}
    groups = [group.samples for group in gateway.groups() if group.labels == battery]
    return {name: found[-1].value for group in groups for name, found in group.items()}


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


def test_after_a_reload_the_page_shows_the_counters_at_once(unit: Unit, manager: Manager, simulator: Simulator) -> None:
    port = free_port()
    text = config(simulator, f"pull: {{listen: '127.0.0.1:{port}'}}")
    agent = unit.start(text)
    manager.hear("READY=1")
    page = Page(agent, port)
    wait_until(lambda: (page.observed() or 0) > 3, "some seconds that were observed")
    before = page.observed()
    assert before is not None

    unit.reload(agent, text)

    after = page.observed()
    assert after is not None
    assert before <= after < before + 15
