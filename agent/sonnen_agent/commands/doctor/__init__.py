"""`sonnen-agent doctor`: the whole way from the battery to Grafana, one line for each check.

The subjects are looked at side by side, and shown in the order in which a person would look. Nothing ends the walk:
what depends on what failed is skipped, and says so.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

from sonnen_agent.clock import Deadline, WallClock
from sonnen_agent.commands.doctor import battery, grafana, machine, prometheus, receivers
from sonnen_agent.commands.doctor.finding import Finding, Findings, Redaction, fail, ok, skipped, warn
from sonnen_agent.commands.peer import server
from sonnen_agent.config.load import DEFAULT_STATE_DIRECTORY, Config, read_config
from sonnen_agent.destination import Destination
from sonnen_agent.errors import ConfigError
from sonnen_agent.outputs import pull, pushgateway, remote_write

_SECONDS = 25
"""For all together; what a thread may take longer stays below half a minute."""
_AT_A_TIME = 32

_Subject = Callable[[], Findings]


def run(  # noqa: PLR0913 - the command's options, and what systemd would tell the unit
    file: Path,
    credentials: Path | None,
    state_directory: Path | None,
    *,
    prometheus_url: str | None,
    grafana_url: str | None,
    as_json: bool,
) -> int:
    """Print what was found; return 0 when nothing failed, else 1."""
    config, problems = Config(batteries=()), tuple[str, ...]()
    try:
        config, problems = read_config(file, credentials, state_directory, secrets_beside=True)
        state_directory = config.state_directory
    except ConfigError as error:
        problems = error.problems
    deadline = Deadline(_SECONDS)
    servers: list[tuple[str, Destination]] = []
    subjects: list[_Subject] = [
        partial(_config, file, config, problems),
        *_batteries(config, deadline),
        partial(machine.check_clock, WallClock()),
        partial(machine.check_state_directory, state_directory or DEFAULT_STATE_DIRECTORY),
        machine.check_unit,
        *_receivers(config, deadline),
    ]
    for name, url, check in (
        ("prometheus", prometheus_url, partial(prometheus.check_prometheus, config)),
        ("grafana", grafana_url, grafana.check_grafana),
    ):
        if url is not None:
            folder = Path(os.path.realpath(file)).parent  # also where links lead nowhere
            destination, wrong = server(name, url, folder, credentials)
            servers.append((f"<{name}>", destination))
            found = [fail(name, f"--{name}.{problem}") for problem in wrong]
            subjects.append(partial(iter, found) if found else partial(check, destination, deadline))
    return _print(subjects, _redaction(config, servers), as_json=as_json)


def _config(file: Path, config: Config, problems: Iterable[str]) -> Findings:
    for problem in problems:
        yield fail("config", f"{file}: {problem}")
    if not problems:
        ways = ", ".join(options.summary for options in config.outputs.values())
        yield ok("config", f"{file} is good: every {config.interval_seconds:g} s, {ways}")
    folder = file.parent / "secrets"
    if os.access(folder, os.F_OK) and not os.access(folder, os.R_OK | os.X_OK):
        yield warn("secrets", f"{folder} cannot be read by this user, so they count as missing", "run doctor with sudo")


def _batteries(config: Config, deadline: Deadline) -> Iterator[_Subject]:
    """Yield the checks of the batteries."""
    good = [options for options in config.batteries if options.destination.url]
    yield from (partial(battery.check_battery, options, config.interval_seconds, deadline) for options in good)
    if len(good) < max(len(config.batteries), 1):
        yield partial(iter, [skipped("batteries", "the config has to say where they are")])


def _receivers(config: Config, deadline: Deadline) -> Iterator[_Subject]:
    """Yield the checks of what the config sends to."""
    for name, options in config.outputs.items():
        destination = getattr(options, "destination", None)
        if destination is not None and not destination.url:
            yield partial(iter, [skipped(name.replace("_", " "), "the config has to say where it is")])
        elif isinstance(options, pushgateway.Options):
            yield partial(receivers.check_pushgateway, options, config, deadline)
        elif isinstance(options, remote_write.Options):
            yield partial(receivers.check_remote_write, options, config)
        elif isinstance(options, pull.Options) and options.port:
            yield partial(receivers.check_pull, options, config, deadline)
    if not config.outputs:
        yield partial(iter, [skipped("pushgateway", "the config names none")])
    for relay in config.relays:
        if relay.url:
            yield partial(receivers.check_relay, relay)


def _redaction(config: Config, servers: Iterable[tuple[str, Destination]]) -> Redaction:
    named = [("<relay>", Destination(url=relay.url)) for relay in config.relays]
    named += ((f"<battery {options.name}>", options.destination) for options in config.batteries)
    for name, options in config.outputs.items():
        if (destination := getattr(options, "destination", None)) is not None:
            named.append((f"<{name}>", destination))
    named += servers
    tokens = [options.token for options in config.batteries]
    given = [secret for _, destination in named for secret in (destination.password, destination.bearer_token)]
    words = [value for options in config.batteries for value in options.labels.values()]
    return Redaction(
        [*(secret.reveal() for secret in (*tokens, *given) if secret is not None), *words],
        {destination.parts.hostname or "": name for name, destination in named},
    )


def _print(subjects: Iterable[_Subject], redaction: Redaction, *, as_json: bool) -> int:
    found: list[Finding] = []
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        try:
            for findings in pool.map(lambda subject: list(subject()), subjects):
                for finding in map(redaction.finding, findings):
                    found.append(finding)
                    if not as_json:
                        print(finding, flush=True)
        except KeyboardInterrupt:
            # The gateway's trial group still has to be deleted.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            print("ending what is under way; Ctrl-C once more ends it at once", file=sys.stderr)
            raise
    if as_json:
        print(json.dumps([asdict(finding) for finding in found], ensure_ascii=False, indent=1))
    return 1 if any(finding.status == "fail" for finding in found) else 0
