"""Which build of the agent this is."""

import json
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution


@cache
def agent_version() -> str:
    """Return the installed version, or `unknown` in a bare source tree."""
    try:
        return distribution("sonnen-agent").version
    except PackageNotFoundError:
        return "unknown"


@cache
def agent_revision() -> str:
    """Return the git revision that was installed: from the version's local part, or from pip's record of a git URL."""
    _, _, local = agent_version().partition("+")
    if local:
        return local.removeprefix("g")
    try:
        origin = json.loads(distribution("sonnen-agent").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        return "unknown"
    return str(origin.get("vcs_info", {}).get("commit_id", "unknown"))
