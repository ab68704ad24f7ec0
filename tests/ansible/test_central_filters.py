import json
from base64 import b64encode
from types import ModuleType

import pytest
import yaml
from playbooks import REPOSITORY, filter_plugin

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
    return filter_plugin("sonnen_central")


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
    "text",
    [
        "{scrape_configs: [{job_name: mine}]}\n",
        " global: {}\n scrape_configs:\n  - job_name: mine\n",
        "global: {}\n...\n",
        "scrape_configs:\n  - job_name: mine\nscrape_configs: # again\n  - job_name: other\n",
    ],
)
def test_a_config_in_which_nobody_would_read_our_entries_is_told_with_the_fix(filters: ModuleType, text: str) -> None:
    with pytest.raises(filters.AnsibleFilterError, match="write its sections one below the other"):
        filters.prometheus_config(text, [_JOB], ["sonnen/rules/*.yml"])


@pytest.mark.parametrize(
    ("job", "name"),
    [
        ("{job_name: gateways, honor_labels: true, static_configs: [{targets: ['localhost:9091']}]}", "gateways"),
        ("{job_name: pushgateway, honor_labels: true, file_sd_configs: []}", "pushgateway"),
        ("{job_name: gateways, static_configs: [{targets: ['localhost:9091']}]}", ""),
        ("{job_name: gateways, honor_labels: true, static_configs: [{targets: ['192.0.2.1:9091']}]}", ""),
    ],
)
def test_a_job_of_the_user_that_does_what_ours_would_is_used(filters: ModuleType, job: str, name: str) -> None:
    text = f"scrape_configs:\n  - {job}\n"
    with_ours = filters.prometheus_config(text, [_JOB], ["sonnen/rules/*.yml"])

    assert filters.own_job(text, _JOB) == filters.own_job(with_ours, _JOB) == name
    assert (_JOB in yaml.safe_load(with_ours)["scrape_configs"]) is not bool(name)
    assert yaml.safe_load(with_ours)["rule_files"] == ["sonnen/rules/*.yml"]


def test_a_job_of_the_user_that_has_our_name_and_does_something_else_is_told_with_the_fix(filters: ModuleType) -> None:
    text = "scrape_configs:\n  - job_name: pushgateway\n"
    with pytest.raises(filters.AnsibleFilterError, match="add honor_labels: true to it, or give it another name"):
        filters.prometheus_config(text, [_JOB], [])


@pytest.mark.parametrize(
    ("ours", "theirs", "was_used", "expected"),
    [
        (None, [], False, True),
        (None, [], True, False),
        (None, ["datasources: [{name: mine, isDefault: true}]"], False, False),
        (None, ["datasources: [{name: mine}]", "apiVersion: 1\ndatasources:\n", "{{"], False, True),
        # As it was in the first run, however long Grafana is used since.
        ("datasources: [{name: Sonnen, isDefault: true}]", [], True, True),
        ("datasources: [{name: Sonnen, isDefault: false}]", [], False, False),
        ("datasources: [{name: Sonnen, isDefault: true}]", ["datasources: [{isDefault: true}]"], True, False),
    ],
)
def test_our_data_source_is_the_default_where_there_is_no_other(
    filters: ModuleType, ours: str | None, theirs: list[str], was_used: bool, expected: bool
) -> None:
    texts = {f"{number}.yml": text for number, text in enumerate(theirs)} | ({"ours.yml": ours} if ours else {})
    found = [{"item": item, "content": b64encode(text.encode()).decode()} for item, text in texts.items()]
    assert filters.is_default(found, ["ours.yml"], was_used) is expected


@pytest.mark.parametrize("is_the_default", [True, False])
def test_a_dashboard_asks_our_data_source_also_where_another_is_the_default(
    filters: ModuleType, is_the_default: bool
) -> None:
    source = {"name": "Sonnen", "uid": "sonnen-prometheus", "isDefault": is_the_default}
    for file in (REPOSITORY / "grafana/dashboards").glob("*.json"):
        board = json.loads(filters.dashboard(file.read_text(), "America/Los_Angeles", source))
        assert board["timezone"] == "America/Los_Angeles"
        (current,) = (
            {key: variable["current"][key] for key in ("text", "value")}
            for variable in board["templating"]["list"]
            if variable["type"] == "datasource"
        )
        asked = ("default", "default") if is_the_default else ("Sonnen", "sonnen-prometheus")
        assert (current["text"], current["value"]) == asked


def test_numbers_are_looked_for_of_the_batteries_whose_agents_were_started(filters: ModuleType) -> None:
    batteries = [{"name": "home"}, {"name": 'a "b"'}]
    started = {"sonnen_agent_start": {"changed": False}, "sonnen_agent_batteries": batteries}
    agents = [
        {**started, "sonnen_agent_pushgateway": {"url": "http://192.0.2.1:9091", "job": "cottage"}},
        {**started, "sonnen_agent_pushgateway": {"interval_seconds": 300}, "sonnen_agent_batteries": [{"name": "far"}]},
        {
            **started,
            "sonnen_agent_start": {"failed": True},
            "sonnen_agent_pushgateway": {"url": "http://192.0.2.1:9091"},
        },
        {**started, "sonnen_agent_remote_write": {"url": "http://192.0.2.1"}},
        {"sonnen_agent_batteries": batteries, "sonnen_agent_pushgateway": {"url": "http://192.0.2.1:9091"}},
        {},
    ]
    assert filters.fresh(agents) == [
        {"name": "home", "query": 'time() - push_time_seconds{job="cottage",instance="home"} < 30'},
        {"name": 'a "b"', "query": 'time() - push_time_seconds{job="cottage",instance="a \\"b\\""} < 30'},
        {"name": "far", "query": 'time() - push_time_seconds{job="sonnen",instance="far"} < 1800'},
    ]
