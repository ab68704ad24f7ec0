"""`sonnen-agent run`: the daemon, as systemd sees it.

SIGTERM, SIGINT ─▶ stop        every second: did a thread crash, does a loop hang?
SIGHUP ─▶ the config anew      every few: STATUS and WATCHDOG, to systemd
"""

import faulthandler
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sonnen_agent.commands.agent import Agent
from sonnen_agent.config.model import Config
from sonnen_agent.errors import ConfigError, StartError
from sonnen_agent.notify import Notifier
from sonnen_agent.state.starts import STEADY_SECONDS, Starts

_log = logging.getLogger(__name__)

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SIGNALS = (*_STOP_SIGNALS, signal.SIGHUP)
_LOOK_SECONDS = 1
_TELL_SECONDS = 5
"""A twelfth of the unit's WatchdogSec."""
_EXTRA_SECONDS = 90
"""Added to a pause that systemd is told of, for what comes after it: the unit's TimeoutStartSec."""


def run(load: Callable[[], Config], notifier: Notifier, runtime_directory: Path | None) -> int:
    """Read and deliver until SIGTERM or SIGINT, then return 0; or 1 when a thread crashed.

    `load` returns the config as it is on disk now, or raises ConfigError. Raises StartError, as when a port is in use.
    """
    config = load()
    # A watchdog ends us by SIGABRT: then the journal shows where every thread was.
    faulthandler.enable()
    # Blocked before any thread exists, so that only the main thread ever sees them.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    starts = Starts(runtime_directory)
    if pause_seconds := starts.begin():
        if not _wait_after_crashes(pause_seconds, notifier):
            starts.forget()
            return 0
        # Meanwhile somebody may have mended what crashes.
        config = _loaded(load) or config
    daemon = _Daemon(config, load, notifier, runtime_directory)
    daemon.run(starts)
    # From here on a second Ctrl-C ends the process at once, also when a script has started it in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    daemon.stop()
    if daemon.crashed:
        return 1
    starts.forget()
    return 0


def _wait_after_crashes(seconds: float, notifier: Notifier) -> bool:
    """Wait so long, and return whether to start then; false when told to stop meanwhile."""
    _log.warning("crashed several times in a row; waiting %g s before the next start", seconds)
    notifier.wait_for(f"Waiting {seconds:g} s after several crashes in a row", seconds + _EXTRA_SECONDS)
    received = signal.sigtimedwait(_SIGNALS, seconds)
    return received is None or received.si_signo == signal.SIGHUP


def _loaded(load: Callable[[], Config]) -> Config | None:
    """Return the config as it is on disk now; where it is not good, nothing, and say why."""
    try:
        return load()
    except ConfigError as error:
        _log.error("the config stays as it was: %s", error)
        return None


class _Daemon:
    """An agent that can be exchanged for one with another config."""

    def __init__(
        self, config: Config, load: Callable[[], Config], notifier: Notifier, runtime_directory: Path | None
    ) -> None:
        self._config = config
        self._load = load
        self._notifier = notifier
        self._runtime_directory = runtime_directory
        self._agent = Agent(config, runtime_directory)
        self._announced = False
        self._hung: tuple[str, ...] = ()

    @property
    def crashed(self) -> bool:
        return self._agent.crashed

    def run(self, starts: Starts) -> None:
        """Work until told to stop, or until a thread crashes."""
        self._agent.start()
        steady_at = time.monotonic() + STEADY_SECONDS
        tell_at = time.monotonic()
        while not self._agent.crashed:
            received = signal.sigtimedwait(_SIGNALS, _LOOK_SECONDS)
            if received is not None:
                if received.si_signo != signal.SIGHUP or _in_a_terminal():
                    return
                self._reload()
            now = time.monotonic()
            if not self._announced or now >= tell_at:
                self._tell()
                tell_at = now + _TELL_SECONDS
            if now >= steady_at:
                starts.forget()
                steady_at = float("inf")

    def stop(self) -> None:
        """Stop, with all that this saves and cleans up."""
        _log.info("stopping")
        self._notifier.stopping()
        self._agent.stop()

    def _tell(self) -> None:
        """Say how it is; the watchdog is fed only while every loop makes progress."""
        hung = self._agent.hung()
        if hung and hung != self._hung:
            _log.error("makes no progress any more: %s", ", ".join(hung))
        self._hung = hung
        if hung:
            self._notifier.status(f"Hangs: {', '.join(hung)}")
        elif not self._announced:
            if self._agent.has_read:
                self._notifier.ready(self._agent.status())
                self._announced = True
        else:
            self._notifier.alive(self._agent.status())

    def _reload(self) -> None:
        """Go on with the config as it is on disk now; when it is not good, with the one that runs.

        Raises StartError when only another process can take it over.
        """
        self._notifier.reloading()
        config = _loaded(self._load)
        if config is not None:
            _log.info("taking over the config")
            if not self._agent.stop(successor=config):
                raise StartError("what did not stop still holds what the new config needs; start the agent again")
            self._agent = self._started(config)
        self._notifier.ready(self._agent.status())

    def _started(self, config: Config) -> Agent:
        """Return a running agent with this config; when it cannot start, with the last that could."""
        try:
            agent = Agent(config, self._runtime_directory)
        except StartError as error:
            _log.error("the config stays as it was: %s", error)
            agent = Agent(self._config, self._runtime_directory)
        else:
            self._config = config
        agent.start()
        return agent


def _in_a_terminal() -> bool:
    """Whether SIGHUP means that somebody closed the window we were started in."""
    return sys.stdin is not None and not sys.stdin.closed and os.isatty(sys.stdin.fileno())
