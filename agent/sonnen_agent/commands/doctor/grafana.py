"""Grafana: whether it has a data source that works, and the dashboards."""

from sonnen_agent.clock import Deadline
from sonnen_agent.commands.doctor.finding import RELEASE, Findings, fail, ok, skipped, warn
from sonnen_agent.commands.peer import Peer, dig, items, text
from sonnen_agent.destination import Destination
from sonnen_agent.errors import ExchangeError

DASHBOARDS = ("battery", "energy", "grid", "money", "now", "phone", "system")
"""Those whose uid is `sonnen-` and this."""
_LOGIN = "it asks for a login: put a service account's token (role Viewer) into secrets/grafana-bearer-token"


def check_grafana(destination: Destination, deadline: Deadline) -> Findings:
    """Yield what there is to say of a Grafana."""
    check = "grafana"
    peer = Peer(destination, deadline, {"unauthorized": _LOGIN, "not_found": "no Grafana here; mend the URL's path"})
    try:
        version = text(dig(peer.json("/api/health"), "version"))
    except ExchangeError as error:
        yield fail(check, str(error), "is it on, and is the URL right?" if error.away else "")
        yield from (skipped(f"{check} {part}", "it cannot be asked") for part in ("data source", "dashboards"))
        return
    yield ok(check, version or "answers, and does not tell its version")
    try:
        yield from _data_source(f"{check} data source", peer)
    except ExchangeError as error:
        # Viewers may not list data sources.
        yield skipped(f"{check} data source", str(error))
    try:
        yield from _dashboards(f"{check} dashboards", peer)
    except ExchangeError as error:
        yield fail(f"{check} dashboards", str(error))


def _data_source(check: str, peer: Peer) -> Findings:
    sources = [one for one in items(peer.json("/api/datasources")) if dig(one, "type") == "prometheus"]
    if not sources:
        yield fail(check, "there is none of type Prometheus", "provision grafana/provisioning/datasources")
        return
    for source in sources:
        name = text(dig(source, "name"))
        try:
            health = peer.json(f"/api/datasources/uid/{text(dig(source, 'uid'))}/health")
        except ExchangeError as error:
            yield fail(f"{check} {name}", str(error), "is its URL right, as seen from Grafana?")
        else:
            yield ok(f"{check} {name}", text(dig(health, "message")) or "works")


def _dashboards(check: str, peer: Peer) -> Findings:
    found = {text(dig(one, "uid")): one for one in items(peer.json("/api/search", type="dash-db", limit=5000))}
    names = [f"sonnen-{name}" for name in DASHBOARDS]
    missing = [name for name in names if name not in found]
    old = [name for name in names if name in found and f"sonnen-{RELEASE}" not in items(dig(found[name], "tags"))]
    for what, which in (("not there", missing), ("of another release", old)):
        if which:
            yield warn(check, f"{what}: {', '.join(which)}", "provision grafana/dashboards of this release")
    if not missing and not old:
        yield ok(check, f"all {len(names)} of release {RELEASE} are there")
