"""What a real Pushgateway makes of the agent's pushes, and the agent of a gateway that misbehaves."""

import os
import re
import signal
import ssl
import subprocess
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme
from programs import find_program, free_port, wait_until
from servers import LOGIN, PASSWORD, WEB_CONFIG, Agent, Pushgateway, RunAgent, Simulator

pytestmark = pytest.mark.system


def config(battery: Simulator, gateway: str, more: str = "", *, interval_seconds: int = 1, name: str = "home") -> str:
    return f"""\
interval_seconds: {interval_seconds}
batteries:
  - name: {name}
    url: {battery.url}
    token_file: home.token
pushgateway:
  url: {gateway}
{more}"""


def pushed(gateway: Pushgateway, job: str, metric: str) -> dict[tuple[str, ...], float]:
    """Return the values of a metric by its labels' values."""
    return {
        tuple(value for name, value in sorted(sample.labels.items()) if name != "job"): sample.value
        for group in gateway.groups()
        if group.labels["job"] == job
        for sample in group.samples.get(metric, [])
    }


def sends(gateway: Pushgateway, outcome: str) -> float:
    values = pushed(gateway, "sonnen_agent", "sonnen_agent_sends_total")
    return sum(value for labels, value in values.items() if outcome in labels)


def test_an_outage_of_the_gateway_is_counted_and_told_once_and_the_beat_goes_on(
    simulator: Simulator, pushgateway: Pushgateway, run_agent: RunAgent
) -> None:
    agent = run_agent(config(simulator, pushgateway.url))
    wait_until(lambda: bool(pushed(pushgateway, "sonnen", "sonnen_online")), "a first push")
    before = requests(simulator)

    pushgateway.stop()
    wait_until(lambda: requests(simulator) >= before + 5, "five more readings")
    pushgateway.start()

    agent.wait_for_log("pushing works again; ")
    wait_until(lambda: sends(pushgateway, "refused") >= 5, "the failures to be counted")
    assert agent.log.count("failed: ") == 1
    assert re.search(
        rf"^WARNING push of sonnen\S* failed: {pushgateway.url}: cannot connect: Connection refused$",
        agent.log,
        re.MULTILINE,
    )


def requests(simulator: Simulator) -> int:
    with urllib.request.urlopen(f"{simulator.url}/simulator/log", timeout=10) as response:
        return int(response.read().count(b'"/api/v2/status"'))


def test_a_gateway_that_hangs_delays_no_reading(
    simulator: Simulator, pushgateway: Pushgateway, run_agent: RunAgent
) -> None:
    agent = run_agent(config(simulator, pushgateway.url))
    wait_until(lambda: bool(pushed(pushgateway, "sonnen", "sonnen_online")), "a first push")

    pushgateway.pause()
    agent.wait_for_log("no answer in time")
    before = requests(simulator)
    wait_until(lambda: requests(simulator) >= before + 5, "five more readings")
    pushgateway.resume()

    agent.wait_for_log("pushing works again")
    assert_most_beats_were_kept(pushgateway, "home")


def assert_most_beats_were_kept(gateway: Pushgateway, battery: str) -> None:
    """Check that nothing held up the readings; a busy machine may miss some, a loop that waits misses every other."""
    # The agent tells of itself every 15 s.
    before = beats(gateway).get(battery, 0)
    wait_until(lambda: beats(gateway).get(battery, 0) > before, "what the agent says of itself")
    missed = pushed(gateway, "sonnen_agent", "sonnen_agent_missed_beats_total")[battery, os.uname().nodename]
    assert beats(gateway)[battery] > 3 * missed


def test_fifty_batteries_in_one_agent_are_all_read_beat_by_beat(
    simulator: Simulator, pushgateway: Pushgateway, run_agent: RunAgent
) -> None:
    entries = "".join(f"  - {{name: house-{n}, url: '{simulator.url}', token_file: home.token}}\n" for n in range(50))
    run_agent(f"batteries:\n{entries}pushgateway: {{url: '{pushgateway.url}'}}\n")

    wait_until(lambda: min(beats(pushgateway).values(), default=0) >= 4, "four beats of every battery", seconds=60)

    # A busy machine may miss a beat; then the agent says so, and no battery is left behind in silence.
    (agent,) = [group.samples for group in pushgateway.groups() if group.labels["job"] == "sonnen_agent"]
    read = [one for one in agent["sonnen_agent_reads_total"] if one.labels["endpoint"] == "status"]
    accounted: dict[str, float] = defaultdict(float)
    for one in [*read, *agent["sonnen_agent_missed_beats_total"]]:
        accounted[one.labels["battery"]] += one.value
    assert len(accounted) == 50
    assert max(accounted.values()) - min(accounted.values()) <= 1
    assert set(pushed(pushgateway, "sonnen", "sonnen_online").values()) == {1}


def beats(gateway: Pushgateway) -> dict[str, float]:
    reads = pushed(gateway, "sonnen_agent", "sonnen_agent_reads_total")
    # By label name: battery, endpoint, instance, outcome.
    return {labels[0]: value for labels, value in reads.items() if labels[1] == "status" and labels[3] == "ok"}


@pytest.mark.parametrize("name", ["Küche im Süden", "barn/left", "..", 'say "hi"', "50 %"])
def test_any_name_arrives_as_the_instance(
    simulator: Simulator, pushgateway: Pushgateway, run_agent: RunAgent, name: str
) -> None:
    agent = run_agent(config(simulator, pushgateway.url, name=f"'{name}'"))

    wait_until(lambda: pushed(pushgateway, "sonnen", "sonnen_online") == {(name,): 1}, "a push of that name")

    assert agent.stop() == 0
    # Its counters stay.
    assert [group.labels for group in pushgateway.groups()] == [{"job": "sonnen", "instance": name}]
    assert pushed(pushgateway, "sonnen", "sonnen_online") == {(name,): 0}


def test_a_group_can_outlive_the_agent_when_it_is_told_so(
    simulator: Simulator, pushgateway: Pushgateway, run_agent: RunAgent
) -> None:
    agent = run_agent(config(simulator, pushgateway.url, "  on_stop: keep\n  job: solar\n  compression: none\n"))
    wait_until(lambda: bool(pushed(pushgateway, "solar", "sonnen_online")), "a first push")

    assert agent.stop() == 0

    assert pushed(pushgateway, "solar", "sonnen_online") == {("home",): 1}
    assert pushed(pushgateway, "solar_agent", "sonnen_build_info") != {}


def test_a_rejected_push_is_told_in_the_gateways_own_words(
    simulator: Simulator, pushgateway: Pushgateway, run_agent: RunAgent
) -> None:
    # Somebody else uses the name for another kind of metric.
    body = b"# TYPE sonnen_online counter\nsonnen_online 1\n"
    request = urllib.request.Request(f"{pushgateway.url}/metrics/job/other", data=body, method="PUT")
    urllib.request.urlopen(request, timeout=10).close()

    agent = run_agent(config(simulator, pushgateway.url))

    wait_until(lambda: sends(pushgateway, "rejected") + sends(pushgateway, "closed") >= 3, "rejections to be counted")
    # Pushgateway 1.11.0 hangs up instead of answering.
    assert "sonnen_online" in agent.log or "see push_failure_time_seconds" in agent.log
    assert agent.log.count("push of sonnen/home failed") == 1


def test_basic_authentication_over_tls_with_a_private_authority(
    running: ExitStack, tmp_path: Path, simulator: Simulator, run_agent: RunAgent
) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    web_config = tmp_path / "web.yml"
    web_config.write_text(f"tls_server_config: {{cert_file: cert.pem, key_file: key.pem}}\n{WEB_CONFIG}")
    trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    gateway = running.enter_context(Pushgateway(tmp_path, web_config_file=web_config, headers=LOGIN, trust=trust))
    password = tmp_path / "gateway.password"
    password.touch(mode=0o600)
    password.write_text("a-wrong-one\n")
    access = "  username: pi\n  password_file: gateway.password\n  ca_file: ca.pem\n"

    wrong = run_agent(config(simulator, gateway.url, access), name="wrong")
    wrong.wait_for_log("answered 401: Unauthorized; the user name, password or token is wrong; mend the config")
    wrong.stop()
    password.write_text(f"{PASSWORD}\n")
    right = run_agent(config(simulator, gateway.url, access), name="right")
    wait_until(lambda: pushed(gateway, "sonnen", "sonnen_online") == {("home",): 1}, "a push")
    stranger = run_agent(config(simulator, gateway.url, access.replace("  ca_file: ca.pem\n", "")), name="stranger")
    stranger.wait_for_log("TLS failed: ")

    assert "failed" not in right.log
    stranger.stop()
    plain = run_agent(config(simulator, gateway.url.replace("https://", "http://")), name="plain")
    before = requests(simulator)
    wait_until(lambda: requests(simulator) >= before + 10, "ten beats")
    [told] = [line for line in plain.log.splitlines() if "failed: " in line]
    assert told.endswith("the port speaks TLS: write https:// instead of http://")
    for agent in (wrong, right, stranger, plain):
        assert PASSWORD not in agent.log
        assert "a-wrong-one" not in agent.log


def test_a_path_prefix_is_kept(running: ExitStack, tmp_path: Path, simulator: Simulator, run_agent: RunAgent) -> None:
    gateway = Pushgateway(tmp_path)
    gateway.command.append("--web.route-prefix=/some/prefix")
    gateway.ready_path = "/some/prefix/-/ready"
    running.enter_context(gateway)

    run_agent(config(simulator, f"{gateway.url}/some/prefix/"))

    wait_until(lambda: b'sonnen_online{instance="home"' in gateway.request("/some/prefix/metrics"), "a push")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_ends_it_cleanly_also_while_the_gateway_hangs(
    simulator: Simulator, pushgateway: Pushgateway, run_agent: RunAgent, number: signal.Signals
) -> None:
    agent = run_agent(config(simulator, pushgateway.url))
    wait_until(lambda: bool(pushed(pushgateway, "sonnen", "sonnen_online")), "a first push")
    pushgateway.pause()

    code = agent.stop(number)
    pushgateway.resume()

    assert code == 0
    assert "the groups stay on the gateway" in agent.log
    assert "Traceback" not in agent.log


@pytest.mark.parametrize("before", [signal.default_int_handler, signal.SIG_IGN], ids=["terminal", "background"])
def test_a_second_interrupt_ends_it_at_once(
    simulator: Simulator, pushgateway: Pushgateway, run_agent: RunAgent, before: Callable[..., object] | signal.Handlers
) -> None:
    # A shell lets what it starts in the background ignore Ctrl-C, and that is inherited.
    own = signal.signal(signal.SIGINT, before)
    try:
        agent = run_agent(config(simulator, pushgateway.url, interval_seconds=10))
    finally:
        signal.signal(signal.SIGINT, own)
    wait_until(lambda: bool(pushed(pushgateway, "sonnen", "sonnen_online")), "a first push")
    pushgateway.pause()

    os.kill(agent.pid, signal.SIGINT)
    agent.wait_for_log("stopping")
    code = agent.stop(signal.SIGINT)
    pushgateway.resume()

    assert code == 130
    assert "Traceback" not in agent.log


def test_pull_serves_the_page_of_sonnen_exporter(running: ExitStack, tmp_path: Path, simulator: Simulator) -> None:
    port = free_port()
    file = tmp_path / "pull.yml"
    file.write_text(
        f"batteries:\n  - {{name: home, url: '{simulator.url}', labels: {{host: sonnen-a, sn: Psb12345}}}}\n"
        f"pull: {{listen: '127.0.0.1:{port}'}}\n"
    )
    running.enter_context(Agent(file))

    def page() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
            return str(response.read().decode())

    wait_until(lambda: port_answers(port) and "sonnen_online" in page(), "a first page")

    assert 'sonnen_online{host="sonnen-a",sn="Psb12345"} 1.0' in page()
    lint = subprocess.run(
        [find_program("promtool"), "check", "metrics"], input=page().encode(), capture_output=True, check=False
    )
    assert lint.stdout + lint.stderr in (b"", watt_hours_are_no_base_unit(lint.stderr))


def port_answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).close()
    except OSError:
        return False
    return True


def watt_hours_are_no_base_unit(output: bytes) -> bytes:
    """Return the lines that complain of the contract's unit, and of nothing else."""
    return b"".join(line for line in output.splitlines(keepends=True) if b"_watt_hours" in line and b'"hours"' in line)
