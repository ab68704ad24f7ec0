from typing import Any

import pytest

from sonnen_agent.config.section import Section
from sonnen_agent.relay import RelayOptions

NODE: dict[str, Any] = {"url": "http://127.0.0.1:9100/metrics", "job": "node"}


def read(
    relays: object, *, battery_job: str = "sonnen", has_gateway: bool = True
) -> tuple[tuple[RelayOptions, ...], list[str]]:
    """Return the relays, and what was found wrong with them."""
    root = Section({"relay": relays}, "", [])
    return RelayOptions.read_all(root, "relay", battery_job=battery_job, has_gateway=has_gateway), root.problems


def test_a_relay_is_read_every_fifteen_seconds_unless_it_says_otherwise() -> None:
    other = {"url": "https://[::1]/probe", "job": "Küche ☀", "interval_seconds": 2.5}
    assert read([NODE, other]) == (
        (
            RelayOptions(url="http://127.0.0.1:9100/metrics", job="node", interval_seconds=15),
            RelayOptions(url="https://[::1]/probe", job="Küche ☀", interval_seconds=2.5),
        ),
        [],
    )


@pytest.mark.parametrize("relays", [None, []])
@pytest.mark.parametrize("has_gateway", [True, False])
def test_a_config_without_relays_has_none(relays: object, has_gateway: bool) -> None:
    assert read(relays, has_gateway=has_gateway) == ((), [])


@pytest.mark.parametrize(
    ("relays", "expected"),
    [
        ("http://127.0.0.1:9100", ["relay: should be a list; start each entry with '- '"]),
        (NODE, ["relay: should be a list; start each entry with '- '"]),
        (["node"], ["relay[0]: should be a mapping of keys, got 'node'"]),
        (
            [{}],
            [
                "relay[0].url: is missing; write for example url: http://127.0.0.1:9100/metrics",
                "relay[0].job: is missing; write for example job: node",
            ],
        ),
        (
            [{"url": "127.0.0.1:9100", "job": 5, "interval_seconds": 0}],
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
            [{"url": "file:///etc/passwd", "job": "node", "interval_seconds": 3601}],
            [
                (
                    "relay[0].url: should be a URL with a host, such as http://127.0.0.1:9100/metrics, "
                    "got 'file:///etc/passwd'"
                ),
                "relay[0].interval_seconds: should be a number from 1 to 3600, got 3601",
            ],
        ),
        (
            [NODE | {"url": "http://pi:hunter2@127.0.0.1:9100/metrics"}],
            ["relay[0].url: holds a user name or password; write the URL without them and use a file of its own"],
        ),
        (
            [NODE | {"interval": 5}],
            [
                (
                    "relay[0].interval: unknown key; did you mean 'interval_seconds'? "
                    "known here are url, job, interval_seconds"
                )
            ],
        ),
        (
            [NODE, NODE | {"url": "http://127.0.0.1:9200/metrics"}],
            ["relay[1].job: 'node' is the job of another relay, too; choose another"],
        ),
        (
            [NODE | {"job": "sonnen"}, NODE | {"job": "sonnen_agent"}],
            [
                "relay[0].job: 'sonnen' is the job of the batteries, too; choose another",
                "relay[1].job: 'sonnen_agent' is the job of the agent, too; choose another",
            ],
        ),
    ],
)
def test_a_bad_relay_is_named_with_its_place_and_the_fix(relays: object, expected: list[str]) -> None:
    assert read(relays)[1] == expected


@pytest.mark.parametrize("job", ["node", "node_agent"])
def test_the_jobs_that_are_taken_follow_the_batteries(job: str) -> None:
    (problem,) = read([NODE | {"job": job}], battery_job="node")[1]

    assert problem.startswith(f"relay[0].job: '{job}' is the job of the")
    assert read([NODE | {"job": "sonnen"}], battery_job="node")[1] == []


def test_a_relay_without_a_gateway_is_refused_with_the_fix() -> None:
    assert read([NODE], has_gateway=False)[1] == [
        (
            "relay: needs pushgateway, which alone takes other exporters' pages: "
            "add pushgateway: {url: http://gateway.example:9091}, or remove relay"
        )
    ]
