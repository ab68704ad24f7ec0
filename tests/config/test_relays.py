from collections.abc import Callable
from pathlib import Path

import pytest

from sonnen_agent.config.load import load_config
from sonnen_agent.errors import ConfigError
from sonnen_agent.relay import RelayOptions

Load = Callable[[str], tuple[RelayOptions, ...]]

GATEWAY = "pushgateway: {url: http://gateway.example:9091}\n"
NODE = "{url: 'http://127.0.0.1:9100/metrics', job: node}"


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return what loads the relays of a config, of which the rest is good."""

    def load(text: str) -> tuple[RelayOptions, ...]:
        file = tmp_path / "config.yml"
        file.write_text(f"batteries: [{{name: home, url: http://192.168.1.20}}]\n{text}\n")
        return load_config(file, None).relays

    return load


def test_a_relay_is_read_every_fifteen_seconds_unless_it_says_otherwise(load: Load) -> None:
    assert load(f"{GATEWAY}relay: [{NODE}, {{url: 'https://[::1]/probe', job: Küche ☀, interval_seconds: 2.5}}]") == (
        RelayOptions(url="http://127.0.0.1:9100/metrics", job="node", interval_seconds=15),
        RelayOptions(url="https://[::1]/probe", job="Küche ☀", interval_seconds=2.5),
    )


@pytest.mark.parametrize("text", ["", "relay:", "relay: []"])
def test_a_config_without_relays_has_none(load: Load, text: str) -> None:
    assert load(GATEWAY + text) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("relay: http://127.0.0.1:9100", ["relay: should be a list; start each entry with '- '"]),
        (f"relay: {NODE}", ["relay: should be a list; start each entry with '- '"]),
        ("relay: [node]", ["relay[0]: should be a mapping of keys, got 'node'"]),
        (
            "relay: [{}]",
            [
                "relay[0].url: is missing; write for example url: http://127.0.0.1:9100/metrics",
                "relay[0].job: is missing; write for example job: node",
            ],
        ),
        (
            "relay: [{url: 127.0.0.1:9100, job: 5, interval_seconds: 0}]",
            [
                (
                    "relay[0].url: should be a URL with a host, such as http://127.0.0.1:9100/metrics, "
                    "got '127.0.0.1:9100'"
                ),
                "relay[0].job: should be text, got 5; put it into quotes",
                "relay[0].interval_seconds: should be a number from 1 to 3600, got 0",
            ],
        ),
        (
            "relay: [{url: 'file:///etc/passwd', job: node, interval_seconds: 3601}]",
            [
                (
                    "relay[0].url: should be a URL with a host, such as http://127.0.0.1:9100/metrics, "
                    "got 'file:///etc/passwd'"
                ),
                "relay[0].interval_seconds: should be a number from 1 to 3600, got 3601",
            ],
        ),
        (
            "relay: [{url: 'http://pi:hunter2@127.0.0.1:9100/metrics', job: node}]",
            ["relay[0].url: holds a user name or password; write the URL without them and use a file of its own"],
        ),
        (
            f"relay: [{NODE[:-1]}, interval: 5}}]",
            [
                (
                    "relay[0].interval: unknown key; did you mean 'interval_seconds'? "
                    "known here are url, job, interval_seconds"
                )
            ],
        ),
        (
            f"relay: [{NODE}, {{url: 'http://127.0.0.1:9200/metrics', job: node}}]",
            ["relay[1].job: 'node' is the job of another relay, too; choose another"],
        ),
        (
            f"relay: [{NODE.replace('node', 'sonnen')}, {NODE.replace('node', 'sonnen_agent')}]",
            [
                "relay[0].job: 'sonnen' is the job of the batteries, too; choose another",
                "relay[1].job: 'sonnen_agent' is the job of the agent, too; choose another",
            ],
        ),
    ],
)
def test_a_bad_relay_is_named_with_its_place_and_the_fix(load: Load, text: str, expected: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(GATEWAY + text)
    assert list(caught.value.problems) == expected


def test_the_jobs_that_are_taken_follow_the_gateways(load: Load) -> None:
    gateway = "pushgateway: {url: http://gateway.example:9091, job: node}\n"
    for job in ("node", "node_agent"):
        with pytest.raises(ConfigError, match=rf"relay\[0\]\.job: '{job}' is the job of the"):
            load(f"{gateway}relay: [{NODE.replace('job: node', f'job: {job}')}]")
    assert [relay.job for relay in load(f"{gateway}relay: [{NODE.replace('job: node', 'job: sonnen')}]")] == ["sonnen"]


@pytest.mark.parametrize(
    "sink", ["pull: {listen: '127.0.0.1:9422'}\n", "remote_write: {url: 'http://prometheus.example/api/v1/write'}\n"]
)
def test_a_relay_without_a_gateway_is_refused_with_the_fix(load: Load, sink: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"{sink}relay: [{NODE}]")
    assert list(caught.value.problems) == [
        (
            "relay: needs pushgateway, which alone takes other exporters' pages: "
            "add pushgateway: {url: http://gateway.example:9091}, or remove relay"
        )
    ]
