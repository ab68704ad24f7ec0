"""Labels that the config adds to series."""

import re
from collections.abc import Collection, Mapping

from sonnen_agent.config.section import Section

OUR_LABELS = frozenset(
    {"job", "instance", "phase", "meter", "direction", "from", "to", "probe", "stat", "led", "reason"}
    | {"component", "state", "endpoint", "firmware", "model", "generation", "tariff", "currency"}
)
"""Those of the metrics of a battery."""
AGENT_LABELS = frozenset({"battery", "outcome", "relay", "sink", "version", "revision", "pythonversion"})
"""Those of the agent's own metrics, beyond the former."""
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def read_labels(section: Section, key: str, taken: Collection[str]) -> Mapping[str, str]:
    """Return a mapping of label names to values; names that the agent sets itself are `taken`."""
    labels = section.texts(key)
    for name in labels:
        if not _NAME.fullmatch(name) or name.startswith("__"):
            section.problem(f"{key}.{name}", "is no label name; use letters, digits and underscores")
        elif name in taken:
            section.problem(f"{key}.{name}", "is a label that the agent sets itself; choose another name")
    return labels
