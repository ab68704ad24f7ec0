"""The command line: which command, with which options, and how its errors look to a person."""

import errno
import logging
import os
import select
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sonnen_agent import __version__
from sonnen_agent.config.load import Config, load_config
from sonnen_agent.errors import AgentError, ConfigError, counted, one_line

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

_log = logging.getLogger(__name__)

DEFAULT_CONFIG = Path("/etc/sonnen-agent/config.yml")
_EX_CONFIG = 78
"""sysexits.h; systemd does not restart a unit that ends with it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        try:
            return _run_command(sys.argv[1:] if arguments is None else list(arguments))
        finally:
            # What is still in the buffer would otherwise fail at exit, where nobody can catch it.
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:
        # Whoever read our output has enough, or the disk that it goes to is full.
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        if error.errno == errno.ENOSPC:
            print(f"sonnen-agent: the output cannot be written: {error.strerror}", file=sys.stderr)
        # Do not complain about it at exit once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run_command(arguments: Sequence[str]) -> int:
    command: Callable[[], int]
    if arguments == ["run"]:
        # As the unit starts us, or with a --config: half a megabyte of memory for years is a high price for reading
        # three words.
        command, level = partial(_run, None), logging.INFO
    elif len(arguments) == 3 and arguments[:2] == ["run", "--config"] and not arguments[2].startswith("-"):
        command, level = partial(_run, Path(arguments[2])), logging.INFO
    else:
        options = _parser().parse_args(arguments)
        command, level = partial(options.command, options), logging.DEBUG if options.verbose else options.level
    # No timestamps: journald has them.
    logging.basicConfig(handlers=[_LogHandler()], level=level)
    try:
        return command()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return _EX_CONFIG
    except AgentError as error:
        print(f"sonnen-agent: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


class _LogHandler(logging.Handler):
    """Writes lines of at most 1,000 printable characters to stderr; what nobody reads there is dropped and counted."""

    _dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        lines = [f"{record.levelname} {record.getMessage()}"]
        if record.exc_info:
            lines += logging.Formatter().formatException(record.exc_info).splitlines()
        for line in lines:
            lost = counted(self._dropped, "line before this one was", "lines before this one were")
            told = f"{line} ({lost} dropped: nobody read them)" if self._dropped else line
            self._dropped += 1
            # A pipe that is ready takes 4,096 bytes without making anybody wait.
            with suppress(OSError):
                if select.select([], [2], [], 0)[1]:
                    os.write(2, f"{one_line(told)}\n".encode())
                    self._dropped = 0


def _parser() -> "ArgumentParser":
    import argparse  # noqa: PLC0415 - see _run_command

    from sonnen_agent import arguments  # noqa: PLC0415

    parser = argparse.ArgumentParser(
        prog="sonnen-agent", description="Pushes a Sonnen home battery's readings to a Prometheus Pushgateway."
    )
    parser.add_argument("--version", action="version", version=f"sonnen-agent {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, command: "Callable[[Namespace], int]", text: str, *, with_config: bool = True
    ) -> "ArgumentParser":
        added = commands.add_parser(name, help=text, description=text)
        # What the parts log, doctor and setup say themselves.
        added.set_defaults(command=command, level=logging.CRITICAL if name in ("doctor", "setup") else logging.INFO)
        added.add_argument("--verbose", action="store_true", help="log what is done, not only what changes")
        if with_config:
            where = f"the config file (default: $SONNEN_AGENT_CONFIG, else {DEFAULT_CONFIG})"
            added.add_argument("--config", type=Path, metavar="FILE", help=where)
        return added

    add("run", lambda options: _run(options.config), "read and deliver until stopped")
    add("once", _once, "read every battery once and print what would be pushed")
    add("watch", _watch, "show every battery on one screen, redrawn at every beat, until Ctrl-C")
    add("check", _check, "validate the config and name every problem")
    ledger = add("ledger", _ledger, "print the energy of finished days, months or years")
    ledger.add_argument("--by", choices=("day", "month", "year"), default="day")
    ledger.add_argument("--format", choices=("table", "csv", "openmetrics"), default="table")
    doctor = add("doctor", _doctor, "look at the whole way and name what is wrong, with its fix")
    doctor.add_argument("--prometheus", metavar="URL", help="look at this Prometheus, too")
    doctor.add_argument("--grafana", metavar="URL", help="look at this Grafana, too")
    doctor.add_argument("--json", action="store_true", help="print JSON, for programs")
    setup = add("setup", _setup, "ask for battery, token and gateway, try them, and write config and secrets")
    setup.add_argument("--yes", action="store_true", help="ask nothing; for scripts")
    setup.add_argument("--battery", metavar="URL", help="where the battery's web page is")
    setup.add_argument("--token-file", type=Path, metavar="F", help="the file that holds its API token")
    setup.add_argument("--gateway", metavar="URL", help="where the Pushgateway is")
    discover = add("discover", _discover, "find batteries on the networks of this machine")
    network_help = "where to look (default: the networks of this machine up to a /22); may be given several times"
    discover.add_argument("--network", type=arguments.network, action="append", metavar="CIDR", help=network_help)
    verify = add("verify", _verify, "compare the energy that Prometheus, the agent and the battery tell of a time")
    where = "where Prometheus is; http://NAME@host where it asks for a login"
    verify.add_argument("--prometheus", required=True, metavar="URL", help=where)
    verify.add_argument(
        "--range", type=arguments.span, default="24h", metavar="TIME", help="10m to 31d until now (default: 24h)"
    )
    verify.add_argument("--password-file", type=Path, metavar="FILE", help="default: prometheus-password in secrets/")
    verify.add_argument("--bearer-token-file", type=Path, metavar="FILE", help="instead of a name and a password")
    verify.add_argument("--ca-file", type=Path, metavar="FILE", help="a private certificate authority's")
    add("dump", _dump, "print the raw answers of the batteries, redacted, for a bug report")
    simulate = add("simulate", _simulate, "serve a simulated house with a battery", with_config=False)
    simulate.add_argument(
        "--port", type=arguments.port, default=8080, metavar="N", help="0 takes a free one (default: 8080)"
    )
    simulate.add_argument("--generation", choices=("eco8", "sb10", "evo", "eco6"), default="sb10")
    simulate.add_argument(
        "--grid", choices=("eu", "us", "au"), default="eu", help="volts, hertz, sun and clock of there"
    )
    simulate.add_argument("--seed", type=int, default=1, metavar="N", help="another seed is another weather")
    simulate.add_argument(
        "--speed", type=arguments.speed, default=1.0, metavar="X", help="simulated seconds per second"
    )
    simulate.add_argument("--start", type=arguments.moment, metavar="ISO8601", help="the simulated time at the start")
    simulate.add_argument("--token", metavar="T", help="the API token to ask for (default: any)")
    simulate.add_argument("--replay", type=Path, metavar="FILE", help="serve the answers of this dump instead")
    return parser


def _config_file(given: Path | None) -> Path:
    """Return the config of --config, else that of the environment, else that of the unit."""
    return given or Path(os.environ.get("SONNEN_AGENT_CONFIG") or DEFAULT_CONFIG)


def _config(given: Path | None) -> Config:
    """Return the config as a person's commands see it: with the secrets that the unit would get."""
    file, credentials, state = _config_file(given), _folder("CREDENTIALS_DIRECTORY"), _folder("STATE_DIRECTORY")
    return load_config(file, credentials, state, secrets_beside=True)


def _folder(variable: str) -> Path | None:
    """Return the folder that systemd names in a variable, the first if there are several."""
    first, _, _ = os.environ.get(variable, "").partition(":")
    return Path(first) if first else None


# Each command imports what it needs and no more: `run` on a small Pi has no simulator in memory.


def _run(config: Path | None) -> int:
    from sonnen_agent.commands import run  # noqa: PLC0415
    from sonnen_agent.systemd import Notifier  # noqa: PLC0415

    notifier = Notifier(os.environ.get("NOTIFY_SOCKET"))
    file, credentials, state = _config_file(config), _folder("CREDENTIALS_DIRECTORY"), _folder("STATE_DIRECTORY")
    return run.run(partial(load_config, file, credentials, state), notifier, _folder("RUNTIME_DIRECTORY"))


def _once(options: "Namespace") -> int:
    from sonnen_agent.commands import once  # noqa: PLC0415

    return once.run(_config(options.config))


def _watch(options: "Namespace") -> int:
    from sonnen_agent.commands import watch  # noqa: PLC0415

    return watch.run(_config(options.config))


def _check(options: "Namespace") -> int:
    from sonnen_agent.commands import check  # noqa: PLC0415

    return check.run(_config(options.config), _config_file(options.config))


def _ledger(options: "Namespace") -> int:
    from sonnen_agent.commands import ledger  # noqa: PLC0415

    return ledger.run(_config(options.config), by=options.by, output_format=options.format)


def _doctor(options: "Namespace") -> int:
    from sonnen_agent.commands import doctor  # noqa: PLC0415

    return doctor.run(
        _config_file(options.config),
        _folder("CREDENTIALS_DIRECTORY"),
        _folder("STATE_DIRECTORY"),
        prometheus_url=options.prometheus,
        grafana_url=options.grafana,
        as_json=options.json,
    )


def _setup(options: "Namespace") -> int:
    from sonnen_agent.commands import setup  # noqa: PLC0415

    return setup.run(
        _config_file(options.config),
        unit_config=DEFAULT_CONFIG,
        yes=options.yes,
        battery=options.battery,
        token_file=options.token_file,
        gateway=options.gateway,
    )


def _discover(options: "Namespace") -> int:
    from sonnen_agent.commands import discover  # noqa: PLC0415

    try:
        config = _config(options.config)
    except ConfigError as error:
        config = None
        if options.config or os.access(DEFAULT_CONFIG, os.F_OK):
            _log.warning("the config is not looked at: %s", "; ".join(error.problems))
    return discover.run(options.network, config)


def _verify(options: "Namespace") -> int:
    from sonnen_agent.commands import verify  # noqa: PLC0415
    from sonnen_agent.commands.peer import server  # noqa: PLC0415
    from sonnen_agent.config.secrets import Secrets  # noqa: PLC0415

    folder = _config_file(options.config).resolve().parent
    secrets = Secrets(folder=folder, credentials=_folder("CREDENTIALS_DIRECTORY"), beside=folder / "secrets")
    files = {key: getattr(options, key) for key in ("password_file", "bearer_token_file", "ca_file")}
    destination, problems = server("prometheus", options.prometheus, secrets, files)
    if problems:
        print(ConfigError("--prometheus", tuple(problems)), file=sys.stderr)
        return 2
    return verify.run(_config(options.config), destination, range_seconds=options.range)


def _dump(options: "Namespace") -> int:
    from sonnen_agent.commands import dump  # noqa: PLC0415

    return dump.run(_config(options.config))


def _simulate(options: "Namespace") -> int:
    from sonnen_agent.commands import simulate  # noqa: PLC0415

    return simulate.run(
        port=options.port,
        generation=options.generation,
        grid=options.grid,
        seed=options.seed,
        speed=options.speed,
        start=options.start,
        token=options.token,
        replay=options.replay,
    )
