"""The status page: a tile for each alert rule there is, green or red, with what to do."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from generator import colours
from generator.tiles import Query, Stat

_TEMPLATE = re.compile(r"\{\{.*\}\}")
"""What Prometheus fills in when an alert fires, from the first to the last."""
_COLOURS = {"critical": colours.BAD, "warning": colours.WARNING, "info": colours.HOUSE}
RULES = Path(__file__).parents[2] / "prometheus/rules/alerts.yml"


def tiles(rules: Path = RULES) -> Iterator[Stat]:
    """Yield a tile for each alert of the rules."""
    for group in yaml.safe_load(rules.read_text())["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                yield _tile(rule["alert"], rule["labels"]["severity"], rule["annotations"])


def _tile(name: str, severity: str, annotations: dict[str, str]) -> Stat:
    # Where the rules are not loaded nothing fires, and that is no good news: then there is no value.
    loaded = "0 * max(sonnen_agent:fresh:bool{})"
    advice = re.sub(r"\s+", " ", f"{annotations['description']} To do: {annotations['runbook']}")
    return Stat(
        title=re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.removeprefix("Sonnen")).capitalize(),
        about=f"{severity.capitalize()}. {_TEMPLATE.sub('…', advice)} Source: alert rule {name}.",
        queries=[Query(expr=f'max(ALERTS{{alertname="{name}",alertstate="firing"}}) or {loaded}', name=name)],
        states={0: ("fine", colours.GOOD), 1: ("firing", _COLOURS[severity])},
        nothing="no rules",
        filled=True,
        w=4,
        h=3,
    )
