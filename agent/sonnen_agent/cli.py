"""The command line: which command, with which options, and how its errors look to a person."""

import errno
import io
import logging
import os
import select
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sonnen_agent.config.load import Config, load_config
from sonnen_agent.errors import AgentError, ConfigError, counted, one_line

if TYPE_CHECKING:
    from argparse import Namespace

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
        _make_stdout_usable()
        from sonnen_agent.arguments import parser  # noqa: PLC0415

        options = parser(DEFAULT_CONFIG).parse_args(arguments)
        command, level = (
            partial(_COMMANDS[options.command], options),
            logging.DEBUG if options.verbose else options.level,
        )
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


def _make_stdout_usable() -> None:
    """See to it that all can be printed: also where the output is closed, or the locale lacks a letter."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open to the end
    elif isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


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


def _config_file(given: Path | None) -> Path:
    """Return the config of --config, else that of the environment, else that of the unit."""
    return given or Path(os.environ.get("SONNEN_AGENT_CONFIG") or DEFAULT_CONFIG)


def _places(given: Path | None) -> tuple[Path, Path | None, Path | None]:
    """Return the config file, and where systemd has put the credentials and the state."""
    return _config_file(given), _folder("CREDENTIALS_DIRECTORY"), _folder("STATE_DIRECTORY")


def _config(given: Path | None) -> Config:
    """Return the config as a person's commands see it: with the secrets that the unit would get."""
    return load_config(*_places(given), secrets_beside=True)


def _folder(variable: str) -> Path | None:
    """Return the folder that systemd names in a variable, the first if there are several."""
    first, _, _ = os.environ.get(variable, "").partition(":")
    return Path(first) if first else None


# Each command imports what it needs and no more: `run` on a small Pi has no simulator in memory.


def _run(config: Path | None) -> int:
    from sonnen_agent.commands import run  # noqa: PLC0415
    from sonnen_agent.systemd import Notifier  # noqa: PLC0415

    notifier = Notifier(os.environ.get("NOTIFY_SOCKET"))
    return run.run(partial(load_config, *_places(config)), notifier, _folder("RUNTIME_DIRECTORY"))


def _once(options: "Namespace") -> int:
    from sonnen_agent.commands import once  # noqa: PLC0415

    # Nothing has to be put back: Ctrl-C does not wait for a battery that hangs.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
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
        *_places(options.config),
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
        if _config_file(options.config) != DEFAULT_CONFIG or os.access(DEFAULT_CONFIG, os.F_OK):
            _log.warning("the config is not looked at: %s", "; ".join(error.problems))
    return discover.run(options.network, config)


def _verify(options: "Namespace") -> int:
    from sonnen_agent.commands import verify  # noqa: PLC0415
    from sonnen_agent.commands.peer import server  # noqa: PLC0415

    config = _config(options.config)
    folder, credentials = _config_file(options.config).resolve().parent, _folder("CREDENTIALS_DIRECTORY")
    files = {key: getattr(options, key) for key in ("password_file", "bearer_token_file", "ca_file")}
    destination, problems = server("prometheus", options.prometheus, folder, credentials, files)
    if problems:
        print(ConfigError("--prometheus", tuple(problems)), file=sys.stderr)
        return 2
    return verify.run(config, destination, range_seconds=options.range)


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


_COMMANDS: "Mapping[str, Callable[[Namespace], int]]" = {
    "run": lambda options: _run(options.config),
    "once": _once,
    "watch": _watch,
    "check": _check,
    "ledger": _ledger,
    "doctor": _doctor,
    "setup": _setup,
    "discover": _discover,
    "verify": _verify,
    "dump": _dump,
    "simulate": _simulate,
}
