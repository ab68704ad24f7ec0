"""The series ALERTS that Prometheus would have written for the staged troubles, for annotations and status pages."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import yaml
from golden_events import TROUBLES
from golden_gauges import Page, key, within
from golden_house import Floats

_RULES: Final = Path(__file__).parents[2] / "prometheus/rules/alerts.yml"
_OF_THE_AGENT: Final = frozenset(
    f"Sonnen{name}"
    for name in (
        "AgentSilent",
        "AgentMissing",
        "PushFailing",
        "DeliveryFlaky",
        "SpoolGrowing",
        "SpoolDropping",
        "TokenRefused",
    )
)
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}


def group_of(alert: str) -> Mapping[str, str]:
    """Return job and instance of what an alert is about."""
    if alert == "SonnenGatewayDown":
        return {"job": "pushgateway", "instance": "localhost:9091"}
    if alert.startswith("SonnenPi"):
        return {"job": "node", "instance": "pi"}
    if alert in _OF_THE_AGENT:
        return {"job": "sonnen_agent", "instance": "pi"}
    return {"job": "sonnen", "instance": "home"}


def alert_rules() -> dict[str, tuple[float, str]]:
    """Return for how many seconds each alert is pending, and its severity."""
    groups = yaml.safe_load(_RULES.read_text())["groups"]
    return {
        rule["alert"]: (_seconds(str(rule.get("for", "0s"))), str(rule["labels"]["severity"]))
        for group in groups
        for rule in group["rules"]
        if "alert" in rule
    }


def alert_series(minutes: Floats) -> Iterator[tuple[Mapping[str, str], tuple[Floats, Page]]]:
    """Yield the firing alerts, with those moments only at which one fires; labels beyond the group's are left out."""
    rules = alert_rules()
    for alert, windows in TROUBLES.items():
        pending, severity = rules[alert]
        firing = [within(minutes, window) & (minutes >= window.begin + pending) for window in windows]
        moments = minutes[np.logical_or.reduce(firing)]
        labels = {"alertname": alert, "alertstate": "firing", "severity": severity}
        yield group_of(alert), (moments, {key("ALERTS", **labels): np.ones_like(moments)})


def _seconds(duration: str) -> float:
    number, unit = re.findall(r"^(\d+)([smh])$", duration)[0]
    return float(number) * _SECONDS[unit]
