"""Where values go to, and what is relayed: Pushgateway, receiver of remote write, pull page, other exporters."""

import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sonnen_agent.clock import Deadline
from sonnen_agent.commands.doctor.finding import Findings, clock, duration, fail, ok, skipped, warn
from sonnen_agent.commands.peer import Peer, dig, seconds_ahead, text
from sonnen_agent.config.load import Config
from sonnen_agent.destination import Destination
from sonnen_agent.errors import ExchangeError, counted
from sonnen_agent.group import GroupKey
from sonnen_agent.outputs import pull
from sonnen_agent.outputs.gateway import Gateway
from sonnen_agent.outputs.pace import Pace
from sonnen_agent.outputs.pushgateway import Options
from sonnen_agent.outputs.remote_write import Options as RemoteWriteOptions
from sonnen_agent.relay import Relay, RelayOptions

_SILENT = "1.11.0"
_PAGE = b"# TYPE sonnen_doctor_push gauge\nsonnen_doctor_push 1\n"
_FRESH_SECONDS = 60
_CLOCK_SECONDS = 60
_WATCHED_SECONDS, _WATCHED_BYTES, _POLL_SECONDS = 8, 256 * 1024, 0.3
"""How long a gateway is watched for the pushes of others, unless its page is large; and between two looks."""
_TIME = re.compile(r"^(push|push_failure)_time_seconds\{(.*)\} (\S+)$", re.MULTILINE)
_READS = re.compile(r"^sonnen_agent_reads_total\{(.*)\} \S+$", re.MULTILINE)
_ONLINE = re.compile(r"^sonnen_online(?:\{.*\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def check_pushgateway(options: Options, config: Config, deadline: Deadline) -> Findings:
    """Yield whether it is there, what is known of its version, whether it takes a push, and what it holds of ours."""
    check = "pushgateway"
    peer = Peer(options.destination, deadline, {"unauthorized": "the user name, password or token is wrong"})
    version, why = "", ""
    try:
        version = text(dig(peer.json("/api/v1/status"), "data", "build_information", "version"))
    except ExchangeError as error:
        if error.away or error.outcome == "unauthorized":
            yield fail(check, str(error), "is it on, and is pushgateway.url right?" if error.away else "")
            yield from (skipped(f"{check} {what}", "it cannot be asked") for what in ("clock", "push", "groups"))
            return
        why = f": {error}"
    if version == _SILENT:
        words = f"Pushgateway {version} hangs up on what it rejects instead of saying why"
        yield warn(check, words, "take 1.11.1 or later; until then look at push_failure_time_seconds on its page")
    elif version:
        yield ok(check, f"Pushgateway {version}")
    else:
        yield warn(check, f"it is no Pushgateway, or a proxy hides it{why}", "nothing, where the push below is taken")
    yield clock(f"{check} clock", peer.clock_offset_seconds, _CLOCK_SECONDS, "it does not tell its time")
    try:
        taken = push_and_delete(options, config, _PAGE, deadline)
    except ExchangeError as error:
        yield fail(f"{check} push", str(error))
    else:
        yield ok(f"{check} push", f"taken in {1000 * taken:.0f} ms, and deleted again")
    try:
        yield from _held(peer, config, deadline)
    except ExchangeError as error:
        yield skipped(f"{check} groups", f"it does not tell what it holds: {error}")


def push_and_delete(options: Options, config: Config, page: bytes, deadline: Deadline) -> float:
    """Push a page to a group of its own, delete that, and return how long the push took, or raise ExchangeError."""
    gateway = Gateway(options.destination, compress=options.compression == "gzip", record=lambda *_: None)
    key = GroupKey(job=f"{config.job}_doctor", instance=secrets.token_hex(4))
    begin = time.monotonic()
    try:
        gateway.push(key, page, deadline.at_most(5))
        return time.monotonic() - begin
    finally:
        # Whatever the answer was: it may have been taken.
        with suppress(ExchangeError):
            gateway.delete(key, deadline.at_most(5))
        gateway.close()


def push_seconds(config: Config) -> float:
    """Return how often the gateway gets a battery's group."""
    return Pace.of(
        config.interval_seconds, getattr(config.outputs.get("pushgateway"), "interval_seconds", None)
    ).seconds


@dataclass(frozen=True, slots=True)
class _Page:
    """What a gateway's page tells of groups."""

    pushed: Mapping[GroupKey, float]
    """When each was pushed."""
    refused: Mapping[GroupKey, float]
    """When a push of it was refused."""
    readers: frozenset[tuple[GroupKey, str]]
    """The groups of agents, each with a battery that it reads."""
    size_bytes: int


def _page(peer: Peer) -> _Page:
    body = peer.get("/metrics").body
    page = body.decode("utf-8", "replace")
    times: dict[str, dict[GroupKey, float]] = {"push": {}, "push_failure": {}}
    for name, labels, value in _TIME.findall(page):
        with suppress(ValueError):
            times[name][_key(labels)] = float(value)
    readers = {(_key(labels), dict(_LABEL.findall(labels)).get("battery", "")) for labels in _READS.findall(page)}
    return _Page(times["push"], times["push_failure"], frozenset(readers), len(body))


def _key(labels: str) -> GroupKey:
    found = dict(_LABEL.findall(labels))
    return GroupKey(job=found.get("job", ""), instance=found.get("instance", ""))


def _held(peer: Peer, config: Config, deadline: Deadline) -> Findings:
    page = _page(peer)
    now = time.time() + (peer.clock_offset_seconds or 0)
    stale = max(_FRESH_SECONDS, 3 * push_seconds(config))
    fresh = []
    for battery in config.batteries:
        key, check = config.battery_key(battery.name), f"pushgateway group {battery.name}"
        pushed = page.pushed.get(key, 0)
        if page.refused.get(key, 0) > pushed:
            fix = "the agent's log, or a push to another version, says why; most often a metric of another type"
            yield fail(check, "the last push was rejected by the gateway", fix)
        elif not pushed:
            yield fail(check, "the gateway has none", "start the agent: sudo systemctl start sonnen-agent")
        elif now - pushed > stale:
            yield fail(
                check, f"pushed {duration(now - pushed)} ago", "does the agent run? sudo systemctl status sonnen-agent"
            )
        else:
            yield ok(check, f"pushed {max(now - pushed, 0):.0f} s ago")
            fresh.append(key)
    yield from _pushed_by_others(peer, page, config, fresh, now, deadline)


def _pushed_by_others(  # noqa: PLR0913, PLR0917 - what is known by then
    peer: Peer, page: _Page, config: Config, fresh: list[GroupKey], now: float, deadline: Deadline
) -> Findings:
    """Two agents that push a group overwrite one another: two agents' groups tell of it, or pushes within a beat."""
    check, pace = "pushgateway agents", push_seconds(config)
    readers = {key.instance: 0 for key in fresh}
    for agent, battery in page.readers:
        is_fresh = now - page.pushed.get(agent, 0) < max(_FRESH_SECONDS, 3 * pace)
        if agent.job == f"{config.job}_agent" and battery in readers and is_fresh:
            readers[battery] += 1
    twice = {battery for battery, count in readers.items() if count > 1}
    watched = [key for key in fresh if key.instance not in twice]
    if watched and pace <= _WATCHED_SECONDS / 1.5 and page.size_bytes <= _WATCHED_BYTES:
        seen: dict[GroupKey, set[float]] = {key: set() for key in watched}
        watching = deadline.at_most(1.5 * pace)
        while not watching.expired:
            pushed = _page(peer).pushed
            for key in watched:
                seen[key].add(pushed.get(key, 0))
            time.sleep(_POLL_SECONDS)
        twice |= {key.instance for key, at in seen.items() if _of_two(at, pace)}
    if twice:
        fix = "give each battery of each house a name of its own, or stop the other agent"
        yield fail(check, f"two agents push {' and '.join(sorted(twice))}", fix)
    elif fresh:
        yield ok(check, "nobody else pushes our groups")
    else:
        yield skipped(check, "no group of ours is fresh")


def _of_two(times: Iterable[float], pace_seconds: float) -> bool:
    """Return whether three pushes came in the time of two; the second of an agent that has just started is early."""
    pushes = sorted(times)
    return any(third - first < 1.3 * pace_seconds for first, third in zip(pushes, pushes[2:], strict=False))


def check_remote_write(options: RemoteWriteOptions, config: Config) -> Findings:
    """Yield whether the receiver takes an empty request, its clock, and what waits on disk."""
    check = "remote write"
    try:
        from sonnen_agent.outputs.remote_write.client import RemoteWriteClient  # noqa: PLC0415
    except ImportError:
        yield skipped(check, "python-snappy is missing")
        return
    dates: list[str | None] = []
    client = RemoteWriteClient(options, interval_seconds=5, record=lambda *_: None, heard=dates.append)
    begin = time.monotonic()
    error = client.write([])
    taken = time.monotonic() - begin
    client.close()
    yield ok(check, f"takes writes, in {1000 * taken:.0f} ms") if error is None else fail(check, str(error))
    offset = seconds_ahead(dates[0]) if dates else None
    yield clock(f"{check} clock", offset, _CLOCK_SECONDS, "it does not tell its time")
    waiting = sum(_sizes(config.state_directory / "spool"))
    if waiting:
        seen = f"{waiting / (1 << 20):.1f} MiB wait on disk for the receiver"
        yield warn(f"{check} spool", seen, "they follow by themselves once it takes them")
    else:
        yield ok(f"{check} spool", "nothing waits")


def _sizes(folder: Path) -> Iterator[int]:
    with suppress(OSError):
        for file in folder.iterdir():
            yield file.stat().st_size


def check_pull(options: pull.Options, config: Config, deadline: Deadline) -> Findings:
    """Yield whether the page answers at its address, with numbers of now."""
    check = "pull"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)  # noqa: S104 - asked, not bound
    url = f"http://{f'[{host}]' if ':' in host else host}:{options.port}"
    other = f"stop what has the port, which sudo ss -ltnp 'sport = {options.port}' names, or choose another"
    try:
        page = Peer(Destination(url=url), deadline, {}).get("/metrics").body.decode("utf-8", "replace")
    except ExchangeError as error:
        yield fail(check, str(error), "sudo systemctl start sonnen-agent" if error.outcome == "refused" else other)
        return
    online = _ONLINE.findall(page)
    shown, wanted = online.count("1.0"), len(config.batteries)
    seen = f"{url}/metrics has numbers of {shown} of {counted(wanted, 'battery', 'batteries')}"
    if page and not online:
        yield fail(check, f"{url}/metrics is another program's page", other)
    elif shown < wanted:
        yield warn(check, seen, "sudo systemctl status sonnen-agent says how each is")
    else:
        yield ok(check, seen)


def check_relay(options: RelayOptions) -> Findings:
    """Yield whether another exporter's page can be pushed along."""
    check = f"relay {options.job}"
    relay = Relay(options, instance="", record=lambda _: None)
    try:
        page = relay.page(Deadline.of_beat(options.interval_seconds))
    except ExchangeError as error:
        yield fail(check, f"{options.url}: {error}", "does the exporter run, and on that port?" if error.away else "")
        return
    yield ok(check, f"a page of {len(page) / 1024:.0f} KiB")
