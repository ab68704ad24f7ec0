import importlib.util
from types import ModuleType

import pytest
import yaml
from playbooks import ANSIBLE

pytestmark = pytest.mark.system

_JOB = {"job_name": "pushgateway", "honor_labels": True, "static_configs": [{"targets": ["127.0.0.1:9091"]}]}
_DEBIAN = """\
# Sample config for Prometheus.
global:
  scrape_interval: 15s

rule_files:
  # - "first_rules.yml"

scrape_configs:
  # The job name is added as a label.
  - job_name: 'prometheus'
    static_configs:
      - targets: ['localhost:9090']
"""


@pytest.fixture(scope="module")
def filters() -> ModuleType:
    file = ANSIBLE / "roles/sonnen_central/filter_plugins/sonnen_central.py"
    spec = importlib.util.spec_from_file_location("sonnen_central_filters", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "text",
    [
        _DEBIAN,
        # Without indentation, and with the end of the file in the middle of a line.
        "scrape_configs:\n- job_name: mine\nglobal: {scrape_interval: 15s}",
        "scrape_configs: # mine\n      - job_name: mine\n\nalerting: {}\n",
        "scrape_configs:\nrule_files:\n- mine.yml\n",
        "",
    ],
)
def test_our_entries_come_into_any_config_and_leave_it_as_it_was(filters: ModuleType, text: str) -> None:
    with_ours = filters.prometheus_config(text, [_JOB], ["sonnen/rules/*.yml"], "24h")

    was, now = yaml.safe_load(text) or {}, yaml.safe_load(with_ours)
    assert now["scrape_configs"] == [_JOB, *(was.get("scrape_configs") or [])]
    assert now["rule_files"] == ["sonnen/rules/*.yml", *(was.get("rule_files") or [])]
    assert now["storage"] == {"tsdb": {"out_of_order_time_window": "24h"}}
    assert {key: now[key] for key in was if key not in {"scrape_configs", "rule_files"}} == {
        key: was[key] for key in was if key not in {"scrape_configs", "rule_files"}
    }
    assert filters.prometheus_config(with_ours, [_JOB], ["sonnen/rules/*.yml"], "24h") == with_ours
    assert filters.prometheus_config(with_ours, [], []) == (text if text.endswith("\n") or not text else f"{text}\n")


def test_other_entries_of_ours_replace_those_from_before(filters: ModuleType) -> None:
    before = filters.prometheus_config(_DEBIAN, [_JOB], ["sonnen/rules/*.yml"], "24h")
    now = yaml.safe_load(filters.prometheus_config(before, [{**_JOB, "scheme": "https"}], []))
    assert [job.get("scheme") for job in now["scrape_configs"]] == ["https", None]
    assert now["rule_files"] is None
    assert "storage" not in now


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rule_files: [mine.yml]\n", "rule_files of prometheus.yml is written on one line: write each of its entries"),
        ("storage: {tsdb: {}}\n", "add tsdb: {out_of_order_time_window: 24h} to it"),
    ],
)
def test_what_cannot_be_changed_safely_is_told_with_the_fix(filters: ModuleType, text: str, message: str) -> None:
    with pytest.raises(filters.AnsibleFilterError, match=f".*{message.replace('{', '.').replace('}', '.')}"):
        filters.prometheus_config(text, [_JOB], ["sonnen/rules/*.yml"], "24h")


def test_a_window_of_the_user_stays(filters: ModuleType) -> None:
    text = "storage: {tsdb: {out_of_order_time_window: 7d}}\n"
    assert (
        yaml.safe_load(filters.prometheus_config(text, [_JOB], [], "24h"))["storage"] == yaml.safe_load(text)["storage"]
    )


@pytest.mark.parametrize(
    ("text", "flags", "expected"),
    [
        ('ARGS=""\n# more\n', {"a": "1"}, 'ARGS="--a=1"\n# more\n'),
        ("ARGS='--mine --a=0'\n", {"a": "1", "b": True}, 'ARGS="--mine --a=1 --b"\n'),
        ('ARGS="--a=1 -b --mine=x"\n', {"a": "", "b": False}, 'ARGS="--mine=x"\n'),
        ("# ARGS=\nARGS=--mine\n", {"a": "1"}, '# ARGS=\nARGS="--mine --a=1"\n'),
        ("ARGS=\n", {"a": "1"}, 'ARGS="--a=1"\n'),
        ("", {"a": "1"}, 'ARGS="--a=1"\n'),
        ("B=2", {"a": "1"}, 'B=2\nARGS="--a=1"\n'),
        # Without quotes it goes to the end of the line, and a backslash makes that later.
        ("ARGS=--mine=1 --yours=2\n", {"a": "1"}, 'ARGS="--mine=1 --yours=2 --a=1"\n'),
        (" ARGS=--mine=1 \\\n  --a=0\n# more\n", {"a": "1"}, 'ARGS="--mine=1 --a=1"\n# more\n'),
        ('ARGS="--mine=1 \\\n  --a=0"\n# more\n', {"a": "1"}, 'ARGS="--mine=1 --a=1"\n# more\n'),
        # A flag and its value are two words, one that needs none is one.
        ('ARGS="--a 0 --b --mine 2"\n', {"a": "1", "b": True}, 'ARGS="--mine 2 --a=1 --b"\n'),
        # Quotes inside of quotes are those by which systemd splits it.
        ("""ARGS='--mine="My home" --a=0'\n""", {"a": "1"}, r'ARGS="--mine=\"My home\" --a=1"' + "\n"),
        ("ARGS=\"--mine='My home' '--a=0 0'\"\n", {"a": "1"}, "ARGS=\"--mine='My home' --a=1\"\n"),
        (r"ARGS='--mine=^a\\.b$|`c`'" + "\n", {"a": "1"}, r'ARGS="--mine=^a\\\\.b\$|\`c\` --a=1"' + "\n"),
    ],
)
def test_flags_of_ours_are_set_and_all_others_stay(
    filters: ModuleType, text: str, flags: dict[str, str | bool], expected: str
) -> None:
    assert filters.arguments(text, flags, "/etc/default/x") == expected
    assert filters.arguments(expected, flags, "/etc/default/x") == expected


@pytest.mark.parametrize(
    ("text", "flags", "expected"),
    [
        ("", {}, 'ARGS="--keep=10y"\n'),
        ('ARGS="--keep=5y --mine"\n', {}, 'ARGS="--keep=5y --mine"\n'),
        ('ARGS="--keep 5y"\n', {}, 'ARGS="--keep 5y"\n'),
        ('ARGS="--keep=5y"\n', {"keep": "1y"}, 'ARGS="--keep=1y"\n'),
    ],
)
def test_a_flag_that_is_missing_is_added_and_one_that_is_there_stays(
    filters: ModuleType, text: str, flags: dict[str, str | bool], expected: str
) -> None:
    assert filters.arguments(text, flags, "/etc/default/x", {"keep": "10y"}) == expected
    assert filters.arguments(expected, flags, "/etc/default/x", {"keep": "10y"}) == expected


@pytest.mark.parametrize("text", ['ARGS="--mine\n', 'ARGS="--mine=\'My home"\n', 'ARGS="--mine" "--yours"\n'])
def test_flags_that_cannot_be_read_are_told_with_the_fix(filters: ModuleType, text: str) -> None:
    message = "^ARGS in /etc/default/x cannot be read: write all flags on one line, such as ARGS="
    with pytest.raises(filters.AnsibleFilterError, match=message):
        filters.arguments(text, {"a": "1"}, "/etc/default/x")
