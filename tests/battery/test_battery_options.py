from pathlib import Path

import pytest

from sonnen_agent.battery import BatteryOptions
from sonnen_agent.config.secrets import Secrets
from sonnen_agent.config.section import Section
from sonnen_agent.destination import Destination, Secret


def read(values: dict[object, object], folder: Path) -> tuple[BatteryOptions, list[str]]:
    """Return the battery, and what was found wrong with it."""
    root = Section({"batteries": [values]}, "", [])
    secrets = Secrets(folder=folder, credentials=folder)
    [options] = [BatteryOptions.read(section, secrets, ("instance",)) for section in root.sections("batteries")]
    return options, root.problems


def test_a_battery_needs_a_name_and_a_url(tmp_path: Path) -> None:
    assert read({"name": "home", "url": "http://192.168.1.20"}, tmp_path) == (
        BatteryOptions(name="home", destination=Destination(url="http://192.168.1.20")),
        [],
    )
    assert read({}, tmp_path)[1] == [
        "batteries[0].name: is missing; write for example name: home",
        "batteries[0].url: is missing; write for example url: http://192.168.1.20",
    ]


def test_a_battery_may_have_a_token_and_labels(tmp_path: Path) -> None:
    file = tmp_path / "home.token"
    file.write_text("t0ken\n")
    file.chmod(0o600)
    labels = {"host": "sonnen-a", "sn": "Psb12345"}

    options, problems = read(
        {"name": "home", "url": "https://[fd00::20]/proxied", "token_file": "home.token", "labels": labels}, tmp_path
    )

    assert problems == []
    assert (options.token, options.labels) == (Secret("t0ken"), labels)
    assert "t0ken" not in repr(options)


def test_a_token_is_found_among_the_credentials_by_the_batterys_name(tmp_path: Path) -> None:
    (tmp_path / "token-garage").write_text("t1ken")

    assert read({"name": "garage", "url": "http://192.168.1.21"}, tmp_path)[0].token == Secret("t1ken")
    assert read({"name": "home", "url": "http://192.168.1.20"}, tmp_path)[0].token is None


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"url": 20}, "url: should be text, got 20; put it into quotes"),
        (
            {"url": "http://http://192.168.1.20"},
            "url: has a scheme twice, got 'http://http://192.168.1.20'; write for example http://192.168.1.20",
        ),
        (
            {"url": "http://999.168.1.20"},
            (
                "url: has an address that no device can have, got 'http://999.168.1.20'; "
                "write for example http://192.168.1.20"
            ),
        ),
        (
            {"url": "https://find-my.sonnen-batterie.com/find"},
            (
                "url: is the maker's page in the internet and not the battery, got "
                "'https://find-my.sonnen-batterie.com/find'; open it in a browser once, or run sonnen-agent discover, "
                "and write for example http://192.168.1.20"
            ),
        ),
        ({"timeout_seconds": 0}, "timeout_seconds: should be a number from 0.5 to 10.0, got 0"),
        (
            {"ulr": "a"},
            (
                "ulr: unknown key; did you mean 'url'? "
                "known here are name, url, ca_file, token_file, timeout_seconds, labels"
            ),
        ),
        ({"labels": {"instance": "x"}}, "labels.instance: is a label that the agent sets itself; choose another name"),
        ({"labels": {"größe": "x"}}, "labels.größe: is no label name; use letters, digits and underscores"),
        (
            {"token": "t0ken"},
            (
                "token: a secret does not belong into this file; put it into a file of its own (chmod 600) "
                "and write token_file: with its path"
            ),
        ),
    ],
)
def test_what_is_wrong_with_a_battery_is_named_with_its_place_and_the_fix(
    values: dict[object, object], problem: str, tmp_path: Path
) -> None:
    assert read({"name": "home", "url": "http://a", **values}, tmp_path)[1] == [f"batteries[0].{problem}"]
