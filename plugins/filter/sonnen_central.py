"""Changes files of Prometheus that belong to somebody else, without changing what is theirs."""

import json
import re
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError

_BEGIN = "# BEGIN sonnen-agent (made by Ansible; what is changed up to END is gone after its next run)"
_END = "# END sonnen-agent"
_BLOCK = re.compile(rf"^ *{re.escape(_BEGIN)}\n.*?^ *{re.escape(_END)}\n", re.MULTILINE | re.DOTALL)
_FIX = (
    "write its sections one below the other, each at the beginning of a line, and nothing behind a line of three dots"
)
_HERE = ("127.0.0.1", "localhost", "[::1]")


class FilterModule:
    """The filters, by the names that tasks use."""

    def filters(self) -> Mapping[str, Callable[..., object]]:
        """Return them."""
        return {
            "sonnen_central_config": prometheus_config,
            "sonnen_central_own_job": own_job,
            "sonnen_central_is_default": is_default,
            "sonnen_central_dashboard": dashboard,
            "sonnen_central_fresh": fresh,
        }


def prometheus_config(
    text: str,
    scrape_configs: Sequence[Mapping[str, Any]],
    rule_files: Sequence[str],
    out_of_order_time_window: str = "",
) -> str:
    """Return the text of a prometheus.yml with our entries in marked blocks, and everything else as it was.

    A job of ours is left out where the user has one that does the same.
    """
    scrape_configs = [job for job in scrape_configs if not own_job(text, job)]
    text = _BLOCK.sub("", str(text))
    if text and not text.endswith("\n"):
        text += "\n"
    text = _with_items(text, "rule_files", rule_files)
    text = _with_items(text, "scrape_configs", scrape_configs)
    if out_of_order_time_window:
        text = _with_window(text, out_of_order_time_window)
    # Behind "...", for instance, nobody would read them.
    config = _parsed(text) if scrape_configs or rule_files else {}
    for key, items in (("scrape_configs", scrape_configs), ("rule_files", rule_files)):
        if any(item not in (config.get(key) or []) for item in items):
            raise AnsibleFilterError(f"our entry in {key} of prometheus.yml would not be read: {_FIX}")
    return text


def own_job(text: str, job: Mapping[str, Any]) -> str:
    """Return the name of the user's own job in a prometheus.yml that does what ours would; nothing if there is none."""
    config = _parsed(_BLOCK.sub("", str(text)))
    for own in config.get("scrape_configs") or []:
        has_our_name = own.get("job_name") == job["job_name"]
        if own.get("honor_labels") is True and (has_our_name or _targets(own) & _targets(job)):
            return str(own["job_name"])
        if has_our_name:
            raise AnsibleFilterError(
                f"the job {job['job_name']} of prometheus.yml has no honor_labels, without which every series gets the"
                " labels of the gateway: add honor_labels: true to it, or give it another name"
            )
    return ""


def is_default(found: Sequence[Mapping[str, Any]], ours: Sequence[str], was_used: object) -> bool:
    """Return whether our data source is to be Grafana's default: never where somebody has one.

    What was found are all files of data sources, `ours` the paths of our own. In a Grafana that was used before we came
    the default may be one that was made in the browser.
    """
    is_ours = [_has_default(file["content"]) for file in found if file["item"] in ours]
    is_theirs = [_has_default(file["content"]) for file in found if file["item"] not in ours]
    return not any(is_theirs) and (any(is_ours) if is_ours else not was_used)


def dashboard(text: str, timezone: str, data_source: Mapping[str, Any]) -> str:
    """Return the text of a dashboard with this time zone; it asks our data source also where another is the default."""
    text = text.replace('"timezone": "Europe/Berlin"', f'"timezone": {json.dumps(timezone)}')
    if data_source["isDefault"]:
        return text
    name, uid = json.dumps(data_source["name"]), json.dumps(data_source["uid"])
    return re.sub(r'"text": "default",(\s*)"value": "default"', rf'"text": {name},\1"value": {uid}', text)


def fresh(agents: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return for each battery that is pushed what it is called, and a query with an answer if that was done lately.

    The agents are the variables of hosts: those count on which one was started in this run.
    """
    asked = []
    for agent in agents:
        gateway = agent.get("sonnen_agent_pushgateway") or {}
        start = agent.get("sonnen_agent_start") or {"failed": True}
        if not gateway or start.get("failed"):
            continue
        seconds = max(
            float(interval or 0)
            for interval in (5, agent.get("sonnen_agent_interval_seconds"), gateway.get("interval_seconds"))
        )
        for battery in agent.get("sonnen_agent_batteries") or []:
            labels = f"job={json.dumps(gateway.get('job', 'sonnen'))},instance={json.dumps(battery['name'])}"
            query = f"time() - push_time_seconds{{{labels}}} < {6 * seconds:g}"
            asked.append({"name": str(battery["name"]), "query": query})
    return asked


def _parsed(text: str) -> dict[str, Any]:
    try:
        config = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise AnsibleFilterError(f"prometheus.yml with our entries would not be YAML: {_FIX} ({error})") from error
    return config if isinstance(config, dict) else {}


def _targets(job: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return what a job scrapes: this host, by whatever name, is one."""
    targets = (target for static in job.get("static_configs") or [] for target in static.get("targets") or [])
    places = (str(target).rpartition(":") for target in targets)
    return {("here" if host in _HERE else host, port) for host, _, port in places}


def _has_default(content: str) -> bool:
    try:
        sources = (yaml.safe_load(b64decode(content)) or {}).get("datasources") or []
    except yaml.YAMLError:
        return False
    return any(source.get("isDefault") is True for source in sources)


def _with_items(text: str, key: str, items: Sequence[object]) -> str:
    if not items:
        return text
    line = re.search(rf"^{key}:(.*)\n", text, re.MULTILINE)
    if line is None:
        return text + _block(f"{key}:\n{_yaml(items, indent=2)}")
    if line[1].partition("#")[0].strip():
        raise AnsibleFilterError(
            f"{key} of prometheus.yml is written on one line: write each of its entries on a line of its own"
        )
    # The entries of a list have to stand in one column, whichever that is.
    first = re.match(r"(?:[ \t]*(?:#.*)?\n)*( *)- ", text[line.end() :])
    indent = len(first[1]) if first else 2
    block = _block(_yaml(items, indent=indent), indent=indent)
    return text[: line.end()] + block + text[line.end() :]


def _with_window(text: str, window: str) -> str:
    if re.search(r"^storage:", text, re.MULTILINE) is None:
        return text + _block(f"storage:\n  tsdb:\n    out_of_order_time_window: {window}\n")
    if "out_of_order_time_window" not in text:
        raise AnsibleFilterError(
            f"prometheus.yml has a storage section of its own: add tsdb: {{out_of_order_time_window: {window}}} to it"
        )
    return text


def _block(lines: str, *, indent: int = 0) -> str:
    margin = " " * indent
    return f"{margin}{_BEGIN}\n{lines}{margin}{_END}\n"


def _yaml(items: Sequence[object], *, indent: int) -> str:
    # By way of JSON, Ansible's own kinds of strings become strings.
    plain = json.loads(json.dumps(list(items)))
    dumped = yaml.safe_dump(plain, sort_keys=False, default_flow_style=False)
    return "".join(f"{' ' * indent}{line}\n" for line in dumped.splitlines())
