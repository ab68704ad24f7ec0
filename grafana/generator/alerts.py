"""The status page: a tile for each alert rule there is, green or red, with what to do."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from generator import colours
from generator.tiles import Query, Stat, Table, columns

_TEMPLATE = re.compile(r"\{\{.*\}\}")
"""What Prometheus fills in when an alert fires, from the first to the last."""
_COLOURS = {"critical": colours.BAD, "warning": colours.WARNING, "info": colours.HOUSE}
_NONE = "0 * max(sonnen:alerts:loaded{})"
"""Where the rules are not loaded nothing fires, and that is no good news: then there is no value."""
RULES = Path(__file__).parents[2] / "prometheus/rules/alerts.yml"


def tiles(rules: Path = RULES) -> Iterator[Stat]:
    """Yield a tile for each alert of the rules."""
    for group in yaml.safe_load(rules.read_text())["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                yield _tile(rule["alert"], rule["labels"]["severity"], rule["annotations"])


def firing(w: int, h: int) -> Stat:
    """Return how many alerts fire, but for those that only tell."""
    return Stat(
        title="Alerts",
        description=(
            "How many alerts fire now, of whatever battery and agent, but for those that only tell something; the "
            "System dashboard has a tile for each. Source: ALERTS of Prometheus, alert rules whose names begin with "
            "Sonnen."
        ),
        queries=[
            Query(
                expr=f'count(ALERTS{{alertname=~"Sonnen.+",alertstate="firing",severity!="info"}}) or {_NONE}',
                name="firing",
            )
        ],
        thresholds=[(0, colours.GOOD), (1, colours.BAD)],
        states={0: ("none", colours.GOOD)},
        nothing="no rules",
        w=w,
        h=h,
    )


def now_firing(w: int, h: int) -> Table:
    """Return a line for each alert that fires, and words where none does."""
    return Table(
        title="What fires now",
        description=(
            "Each alert that fires, how bad it is, and what it is about; the tiles below, folded away, tell what to "
            "do. Source: ALERTS of Prometheus, alert rules whose names begin with Sonnen."
        ),
        queries=[
            Query(
                expr='max by (alertname, severity, instance) (ALERTS{alertname=~"Sonnen.+",alertstate="firing"})',
                name="firing",
            )
        ],
        nothing="none, as far as the rules are loaded",
        transformations=[
            columns(
                ["severity", "alertname", "instance"],
                {"severity": "Severity", "alertname": "Alert", "instance": "About"},
                hidden=["Time", "Value"],
            )
        ],
        w=w,
        h=h,
    )


def _tile(name: str, severity: str, annotations: dict[str, str]) -> Stat:
    advice = re.sub(r"\s+", " ", f"{annotations['description']} To do: {annotations['runbook']}")
    return Stat(
        title=re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.removeprefix("Sonnen")).capitalize(),
        description=f"{severity.capitalize()}. {_TEMPLATE.sub('…', advice)} Source: alert rule {name}.",
        queries=[Query(expr=f'max(ALERTS{{alertname="{name}",alertstate="firing"}}) or {_NONE}', name=name)],
        states={0: ("fine", colours.GOOD), 1: ("firing", _COLOURS[severity])},
        nothing="no rules",
        filled=True,
        w=4,
        h=3,
    )
