"""Prometheus: whether our series arrive, with which labels and how often, the rules, and how long it remembers."""

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import pairwise

import yaml

from sonnen_agent.clock import Deadline
from sonnen_agent.commands.doctor.finding import RELEASE, Finding, Findings, fail, ok, skipped, warn
from sonnen_agent.commands.doctor.receivers import push_seconds
from sonnen_agent.commands.peer import Peer, dig, items, text
from sonnen_agent.commands.stored import StoredBattery, label, query
from sonnen_agent.config.load import Config
from sonnen_agent.destination import Destination
from sonnen_agent.errors import ExchangeError, Outcome, counted
from sonnen_agent.group import SHOWN_BEATS

_GUARD_SECONDS = 30
"""The rules take what is older for dead, where it is pushed as usual."""
_DETAIL_SECONDS = 15
_YEAR_SECONDS = 365 * 86_400
_UNITS = {"y": _YEAR_SECONDS, "w": 7 * 86_400, "d": 86_400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_HINTS: Mapping[Outcome, str] = {
    "unauthorized": "it asks for a login: write http://NAME@host, and the password into secrets/prometheus-password",
    "not_found": "it does not have that; if it is a Prometheus, mend the URL's path",
}
_RULES = {"recording.yml": "sonnen:rules:loaded", "alerts.yml": "sonnen:alerts:loaded"}


class _Prometheus:
    def __init__(self, destination: Destination, config: Config, deadline: Deadline) -> None:
        self.peer = Peer(destination, deadline, _HINTS)
        self.config = config

    def scrape(self, check: str) -> Findings:
        """Yield whether each battery's series are there, under their own labels, and how far apart samples are."""
        for name in (battery.name for battery in self.config.batteries):
            online = StoredBattery(self.peer, self.config.battery_key(name)).series("sonnen_online")
            found = query(self.peer, f"{online}[3m]")
            if not found:
                yield from self._missing(f"{check} {name}", name)
                continue
            times = [
                float(item[0]) for one in found[:1] for item in items(dig(one, "values")) if isinstance(item, list)
            ]
            yield from self._interval(f"{check} {name}", times)
            yield self._since(f"{check} {name} history", online)

    def _missing(self, check: str, name: str) -> Findings:
        if query(self.peer, f"sonnen_online{{{label('exported_instance', name)}}}"):
            fix = "write honor_labels: true into the job of the Pushgateway in prometheus.yml, and reload it"
            yield fail(check, "its series have the gateway's labels instead of their own", fix)
            return
        targets = items(dig(self.peer.json("/api/v1/targets", state="active"), "data", "activeTargets"))
        down = [
            f"{text(dig(one, 'scrapeUrl'))}: {text(dig(one, 'lastError'))}"
            for one in targets
            if dig(one, "health") == "down"
        ]
        if down:
            yield fail(check, f"none of its series is there, and a target is down: {down[0]}", "mend that target first")
        else:
            fix = "add the job of prometheus/scrape.yml, with the gateway's address; or does no agent run?"
            yield fail(check, f"none of its series is there, of {counted(len(targets), 'target', 'targets')}", fix)

    def _interval(self, check: str, times: list[float]) -> Findings:
        gaps = sorted(later - earlier for earlier, later in pairwise(times))
        if not gaps:
            yield warn(check, "a single sample in three minutes", "set scrape_interval to 5s, or wait some minutes")
            return
        interval, pace = gaps[len(gaps) // 2], push_seconds(self.config)
        guard = max(_GUARD_SECONDS, SHOWN_BEATS * pace)
        seen = f"a sample every {interval:.3g} s"
        if interval + pace > guard:
            words = f"{seen}, of a push every {pace:g} s: the rules take what is older than {guard:g} s for dead"
            yield fail(check, words, "set scrape_interval to 5s in the job of the Pushgateway")
        elif interval > _DETAIL_SECONDS:
            yield warn(check, f"{seen}: charts lack detail", "set scrape_interval to 5s in the job of the Pushgateway")
        else:
            yield ok(check, seen)

    def _since(self, check: str, online: str) -> Finding:
        now = int(time.time())
        begin, path = now - 2 * _YEAR_SECONDS, "/api/v1/query_range"
        found = self.peer.json(path, query=f"count({online})", start=begin, end=now, step=21_600)
        series = items(dig(found, "data", "result"))
        first = next((v[0] for one in series for v in items(dig(one, "values")) if isinstance(v, list)), now)
        day = datetime.fromtimestamp(float(first), UTC).date()
        return ok(check, f"since {day} or before" if first < now else "since less than six hours")

    def rules(self, check: str) -> Findings:
        """Yield whether the recording rules and alerts are loaded, and work."""
        groups = items(dig(self.peer.json("/api/v1/rules"), "data", "groups"))
        rules = {text(dig(rule, "name")): rule for group in groups for rule in items(dig(group, "rules"))}
        ours = {name: rule for name, rule in rules.items() if name.lower().startswith("sonnen")}
        missing = [file for file, name in _RULES.items() if name not in ours]
        old = [f for f, n in _RULES.items() if n in ours and dig(ours[n], "labels", "release") != RELEASE]
        for what, files in (("not loaded", missing), ("of another release", old)):
            if files:
                fix = "copy prometheus/rules of this release there, name it under rule_files, and reload Prometheus"
                yield warn(check, f"{what}: {', '.join(files)}", fix)
        broken = [
            f"{name}: {text(dig(rule, 'lastError'))}" for name, rule in ours.items() if dig(rule, "health") == "err"
        ]
        if broken:
            yield fail(check, broken[0], "take the rules of this release, all of them")
        if not missing and not old and not broken:
            yield ok(check, f"{len(ours)} of release {RELEASE} are loaded")

    def retention(self, check: str) -> Findings:
        """Yield how long it keeps data."""
        told = text(dig(self.peer.json("/api/v1/status/runtimeinfo"), "data", "storageRetention"))
        lengths = re.findall(r"(\d+)(ms|[ywdhms])", told.partition(" or ")[0])
        seconds = sum(int(number) * _UNITS[unit] for number, unit in lengths)
        if lengths and seconds < _YEAR_SECONDS:
            fix = "--storage.tsdb.retention.time=10y (Debian: in ARGS of /etc/default/prometheus)"
            yield warn(check, f"{told}: months and years will be wrong", fix)
        else:
            yield ok(check, told or "not told")

    def window(self, check: str) -> Findings:
        """Yield whether it takes the late samples of remote write."""
        if "remote_write" not in self.config.outputs:
            yield skipped(check, "only remote write needs one")
            return
        told = text(dig(self.peer.json("/api/v1/status/config"), "data", "yaml"))
        try:
            found = dig(yaml.safe_load(told), "storage", "tsdb", "out_of_order_time_window")
        except (yaml.YAMLError, RecursionError):
            found = None
        if found in (None, 0, "0s"):
            fix = "storage: {tsdb: {out_of_order_time_window: 24h}} in prometheus.yml"
            yield warn(check, "there is none: what is late after an outage is refused", fix)
        else:
            yield ok(check, str(found))


def check_prometheus(config: Config, destination: Destination, deadline: Deadline) -> Findings:
    """Yield what there is to say of a Prometheus."""
    check = "prometheus"
    prometheus = _Prometheus(destination, config, deadline)
    parts: Mapping[str, Callable[[str], Findings]] = {
        "scrape": prometheus.scrape,
        "rules": prometheus.rules,
        "retention": prometheus.retention,
        "out-of-order window": prometheus.window,
    }
    try:
        version = text(dig(prometheus.peer.json("/api/v1/status/buildinfo"), "data", "version"))
        trouble, fix = ("" if version else f"{destination.url} answers, but is no Prometheus"), "mend the URL"
    except ExchangeError as error:
        trouble, fix = str(error), "is it on, and is the URL right?" if error.away else ""
    if trouble:
        yield fail(check, trouble, fix)
        yield from (skipped(f"{check} {part}", "it cannot be asked") for part in parts)
        return
    yield ok(check, version)
    for name, part in parts.items():
        try:
            yield from part(f"{check} {name}")
        except ExchangeError as error:
            yield fail(f"{check} {name}", str(error))
