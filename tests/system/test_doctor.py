"""What doctor, a process of its own, says of a real Pushgateway and a real Prometheus."""

import json
import subprocess
import threading
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from programs import find_program, wait_until
from servers import LOGIN, WEB_CONFIG, Prometheus, Pushgateway, RunAgent, Simulator

pytestmark = pytest.mark.system

Found = dict[str, tuple[str, str, str]]
RULES = Path(__file__).parents[2] / "prometheus/rules"


@pytest.fixture
def doctor(tmp_path: Path) -> Callable[..., Found]:
    def run(*options: str, name: str = "config") -> Found:
        state = {"STATE_DIRECTORY": str(tmp_path / f"state-{name}")}
        ended = subprocess.run(
            [find_program("sonnen-agent"), "doctor", f"--config={tmp_path / name}.yml", "--json", *options],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", **state},
        )
        assert ended.stderr == ""
        found = {one["check"]: (one["status"], one["seen"], one["fix"]) for one in json.loads(ended.stdout)}
        assert ended.returncode == any(status == "fail" for status, _, _ in found.values())
        return found

    return run


def config(simulator: Simulator, gateway: str, more: str = "") -> str:
    return (
        f"interval_seconds: 2\nbatteries: [{{name: home, url: '{simulator.url}', token_file: home.token}}]\n"
        f"pushgateway: {{url: '{gateway}'{more}}}\n"
    )


def push(gateway: Pushgateway, path: str, page: str) -> None:
    request = urllib.request.Request(f"{gateway.url}/metrics/{path}", data=page.encode(), method="PUT")
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5).close()


def test_of_a_healthy_way_nothing_fails_and_nothing_is_left_behind(
    pushgateway: Pushgateway, simulator: Simulator, run_agent: RunAgent, doctor: Callable[..., Found]
) -> None:
    run_agent(config(simulator, pushgateway.url))
    wait_until(lambda: "sonnen_agent_reads_total" in pushgateway.metrics(), "a push of the agent's own group")
    found = doctor()

    assert {check: one for check, one in found.items() if one[0] not in ("ok", "skipped")} == {}
    assert found["pushgateway"][1].startswith("Pushgateway ")
    assert found["pushgateway push"][1].startswith("taken in ")
    assert found["pushgateway group home"][0] == "ok"
    assert found["pushgateway agents"] == ("ok", "nobody else pushes our groups", "")
    assert found["card"][1].startswith("the agent wrote ")
    assert {group.labels["job"] for group in pushgateway.groups()} == {"sonnen", "sonnen_agent"}


def test_a_gateway_that_is_away_is_one_failure(
    tmp_path: Path, simulator: Simulator, doctor: Callable[..., Found]
) -> None:
    (tmp_path / "config.yml").write_text(config(simulator, "http://127.0.0.1:9"))
    found = doctor()

    assert found["pushgateway"][0] == "fail"
    assert [found[f"pushgateway {part}"][0] for part in ("clock", "push", "groups")] == ["skipped"] * 3


def test_a_gateway_that_wants_a_password_is_told_from_one_that_is_away(
    tmp_path: Path, running: ExitStack, simulator: Simulator, doctor: Callable[..., Found]
) -> None:
    web = tmp_path / "web.yml"
    web.write_text(WEB_CONFIG)
    gateway = running.enter_context(Pushgateway(tmp_path, web_config_file=web, headers=LOGIN))
    (tmp_path / "config.yml").write_text(config(simulator, gateway.url))
    found = doctor()

    assert found["pushgateway"][0] == "fail"
    assert "answered 401" in found["pushgateway"][1]


def test_groups_that_are_missing_stale_or_rejected_are_told_apart(
    tmp_path: Path, pushgateway: Pushgateway, simulator: Simulator, doctor: Callable[..., Found]
) -> None:
    (tmp_path / "config.yml").write_text(config(simulator, pushgateway.url))
    assert doctor()["pushgateway group home"][1] == "the gateway has none"
    assert doctor()["pushgateway agents"][0] == "skipped"
    push(pushgateway, "job/other", "# TYPE sonnen_online counter\nsonnen_online 1\n")
    with pytest.raises(OSError, match=r"400|closed"):
        push(pushgateway, "job/sonnen/instance/home", "# TYPE sonnen_online gauge\nsonnen_online 1\n")
    assert doctor()["pushgateway group home"][1] == "the last push was rejected by the gateway"


def test_two_agents_with_a_battery_of_the_same_name_are_found(
    pushgateway: Pushgateway, simulator: Simulator, run_agent: RunAgent, doctor: Callable[..., Found]
) -> None:
    run_agent(config(simulator, pushgateway.url))
    wait_until(lambda: "sonnen_agent_reads_total" in pushgateway.metrics(), "a push of the agent's own group")
    push(
        pushgateway,
        "job/sonnen_agent/instance/another-house",
        '# TYPE sonnen_agent_reads_total counter\nsonnen_agent_reads_total{battery="home",outcome="ok"} 1\n',
    )
    assert doctor()["pushgateway agents"][1] == "two agents push home"


def test_two_agents_on_machines_of_the_same_name_are_found_by_their_pushes(
    pushgateway: Pushgateway, simulator: Simulator, run_agent: RunAgent, doctor: Callable[..., Found]
) -> None:
    run_agent(config(simulator, pushgateway.url))
    wait_until(lambda: 'sonnen_online{instance="home"' in pushgateway.metrics(), "the first agent's push")
    over = threading.Event()

    def other() -> None:
        while not over.wait(0.5):
            push(pushgateway, "job/sonnen/instance/home", "# TYPE sonnen_online gauge\nsonnen_online 1\n")

    thread = threading.Thread(target=other)
    thread.start()
    try:
        assert doctor()["pushgateway agents"][1] == "two agents push home"
    finally:
        over.set()
        thread.join()


class _OldGateway(BaseHTTPRequestHandler):
    """A Pushgateway 1.11.0 whose clock is an hour late, and which hangs up on a push, as it does on what it rejects."""

    def do_GET(self) -> None:
        body = b'{"data": {"build_information": {"version": "1.11.0"}}}' if self.path == "/api/v1/status" else b""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nDate: Sun, 29 Nov 2020 10:00:00 GMT\r\nConnection: close\r\n\r\n" + body)

    def do_PUT(self) -> None:
        self.close_connection = True

    def do_DELETE(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


def test_the_gateway_that_hangs_up_in_silence_is_known_and_a_wrong_clock_told(
    tmp_path: Path, simulator: Simulator, doctor: Callable[..., Found]
) -> None:
    with HTTPServer(("127.0.0.1", 0), _OldGateway) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        (tmp_path / "config.yml").write_text(config(simulator, f"http://127.0.0.1:{server.server_port}"))
        found = doctor()
        server.shutdown()
        thread.join()

    assert found["pushgateway"][0] == "warn"
    assert "hangs up on what it rejects" in found["pushgateway"][1]
    assert found["pushgateway push"][0] == "fail"
    assert found["pushgateway clock"][0] == "warn"


def test_what_is_no_pushgateway_is_doubted(tmp_path: Path, simulator: Simulator, doctor: Callable[..., Found]) -> None:
    (tmp_path / "config.yml").write_text(config(simulator, simulator.url))
    found = doctor()

    assert found["pushgateway"][0] == "warn"
    assert found["pushgateway push"][0] == "fail"
    assert found["pushgateway groups"][0] == "skipped"


def test_a_relay_is_read_once(
    tmp_path: Path, pushgateway: Pushgateway, simulator: Simulator, doctor: Callable[..., Found]
) -> None:
    relays = f"relay: [{{url: '{pushgateway.url}/metrics', job: a}}, {{url: 'http://127.0.0.1:9/metrics', job: b}}]\n"
    (tmp_path / "config.yml").write_text(config(simulator, pushgateway.url) + relays)
    found = doctor()

    assert "the gateway's own" in found["relay a"][1] or found["relay a"][0] == "ok"
    assert found["relay b"][0] == "fail"


def remote(prometheus: Prometheus) -> str:
    return f"remote_write: {{url: '{prometheus.url}/api/v1/write'}}\n"


def test_a_prometheus_as_the_readme_has_it_is_ok(
    tmp_path: Path,
    running: ExitStack,
    pushgateway: Pushgateway,
    simulator: Simulator,
    run_agent: RunAgent,
    doctor: Callable[..., Found],
) -> None:
    pytest.importorskip("snappy")
    flags = ["--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=2y"]
    prometheus = running.enter_context(
        Prometheus(
            tmp_path,
            scrape=[pushgateway.url],
            rule_files=[RULES / "recording.yml", RULES / "alerts.yml"],
            out_of_order_time_window="24h",
            flags=flags,
        )
    )
    run_agent(config(simulator, pushgateway.url))
    prometheus.wait_for("count_over_time(sonnen_online[1m]) > 3")
    (tmp_path / "both.yml").write_text(config(simulator, pushgateway.url) + remote(prometheus))
    found = doctor("--prometheus", prometheus.url, name="both")

    about = {check: one for check, one in found.items() if check.startswith(("prometheus", "remote"))}
    assert {check: one for check, one in about.items() if one[0] != "ok"} == {}
    assert about["prometheus scrape home"][1] == "a sample every 1 s"
    assert about["prometheus scrape home history"][1] == "since less than six hours"
    assert about["prometheus out-of-order window"][1] in ("1d", "24h")
    assert about["remote write spool"][1] == "nothing waits"


def test_a_prometheus_as_it_comes_lacks_rules_retention_window_and_receiver(
    tmp_path: Path, prometheus: Prometheus, pushgateway: Pushgateway, simulator: Simulator, doctor: Callable[..., Found]
) -> None:
    pytest.importorskip("snappy")
    (tmp_path / "config.yml").write_text(config(simulator, pushgateway.url) + remote(prometheus))
    (tmp_path / "state-config/spool").mkdir(parents=True)
    (tmp_path / "state-config/spool/1").write_bytes(bytes(1 << 20))
    prometheus.wait_for("up")
    found = doctor("--prometheus", prometheus.url)

    assert found["prometheus scrape home"][1] == "none of its series is there, of 1 target"
    assert found["prometheus rules"][1] == "not loaded: recording.yml, alerts.yml"
    assert found["prometheus retention"][:2] == ("warn", "15d: months and years will be wrong")
    assert found["prometheus out-of-order window"][0] == "warn"
    assert found["remote write"][0] == "fail"
    assert found["remote write spool"][1] == "1.0 MiB wait on disk for the receiver"


def test_a_target_that_is_down_and_one_without_honor_labels_are_named(
    tmp_path: Path, running: ExitStack, pushgateway: Pushgateway, simulator: Simulator, doctor: Callable[..., Found]
) -> None:
    (tmp_path / "config.yml").write_text(config(simulator, pushgateway.url))
    target = [{"targets": [pushgateway.url.removeprefix("http://")]}]
    lost = {"job_name": "lost", "static_configs": target}
    prometheus = running.enter_context(Prometheus(tmp_path, scrape=["http://127.0.0.1:9"], more_jobs=[lost]))
    prometheus.wait_for('up{job="pushgateway"} == 0')
    found = doctor("--prometheus", prometheus.url)
    assert "a target is down: http://127.0.0.1:9/metrics: " in found["prometheus scrape home"][1]

    push(pushgateway, "job/sonnen/instance/home", "# TYPE sonnen_online gauge\nsonnen_online 1\n")
    prometheus.wait_for('sonnen_online{exported_instance="home"}')
    found = doctor("--prometheus", prometheus.url)
    assert found["prometheus scrape home"][0] == "fail"
    assert "honor_labels: true" in found["prometheus scrape home"][2]


def test_rules_of_another_release_and_rules_that_do_not_work_are_named(
    tmp_path: Path, running: ExitStack, pushgateway: Pushgateway, simulator: Simulator, doctor: Callable[..., Found]
) -> None:
    (tmp_path / "config.yml").write_text(config(simulator, pushgateway.url))
    old = tmp_path / "recording.yml"
    old.write_text(
        "groups: [{name: old, rules: [{record: 'sonnen:rules:loaded', expr: vector(1)},"
        "{record: 'sonnen:alerts:loaded', expr: vector(1)}]}]"
    )
    prometheus = running.enter_context(Prometheus(tmp_path, scrape=[pushgateway.url], rule_files=[old]))
    found = doctor("--prometheus", prometheus.url)
    assert found["prometheus rules"][:2] == ("warn", "of another release: recording.yml, alerts.yml")

    broken = tmp_path / "broken.yml"
    two = 'label_replace(vector(1), "a", "1", "", "") or label_replace(vector(1), "b", "1", "", "")'
    rule = {"record": "sonnen:x", "expr": f"vector(1) + on () ({two})"}
    broken.write_text(json.dumps({"groups": [{"name": "broken", "rules": [rule]}]}))
    prometheus = running.enter_context(Prometheus(tmp_path, scrape=[pushgateway.url], rule_files=[broken]))

    def rule_failed() -> bool:
        return doctor("--prometheus", prometheus.url)["prometheus rules"][0] == "fail"

    wait_until(rule_failed, "a failed evaluation")


def test_a_prometheus_behind_a_prefix_and_a_password_is_asked_with_both(
    tmp_path: Path, running: ExitStack, pushgateway: Pushgateway, simulator: Simulator, doctor: Callable[..., Found]
) -> None:
    (tmp_path / "config.yml").write_text(config(simulator, pushgateway.url))
    web = tmp_path / "web.yml"
    web.write_text(WEB_CONFIG)
    prometheus = Prometheus(
        tmp_path,
        scrape=[pushgateway.url],
        flags=[f"--web.config.file={web}", "--web.route-prefix=/prom", "--web.external-url=http://127.0.0.1/prom"],
    )
    prometheus.ready_path = "/prom/-/ready"
    prometheus.headers |= LOGIN
    running.enter_context(prometheus)
    assert "answered 401" in doctor("--prometheus", f"{prometheus.url}/prom")["prometheus"][1]

    (tmp_path / "secrets").mkdir(mode=0o700)
    password = tmp_path / "secrets/prometheus-password"
    password.touch(mode=0o600)
    password.write_text("a-made-up-password")
    found = doctor("--prometheus", f"{prometheus.url.replace('//', '//pi@')}/prom")
    assert found["prometheus"][0] == "ok"


@pytest.mark.parametrize("other", ["simulator", "pushgateway"])
def test_what_is_no_prometheus_is_called_that(
    tmp_path: Path, pushgateway: Pushgateway, simulator: Simulator, doctor: Callable[..., Found], other: str
) -> None:
    (tmp_path / "config.yml").write_text(config(simulator, pushgateway.url))
    found = doctor("--prometheus", pushgateway.url if other == "pushgateway" else simulator.url)

    assert found["prometheus"][0] == "fail"
    assert "mend the URL" in f"{found['prometheus']}"
    assert found["prometheus rules"][0] == "skipped"
