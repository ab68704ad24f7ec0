"""`sonnen-agent run`: the daemon, as systemd sees it.

SIGTERM, SIGINT ─▶ stop                       every ten seconds: did a thread crash, does a loop hang?
SIGHUP ─▶ check, stop, and the program anew   if not: STATUS and WATCHDOG, to systemd
"""

import faulthandler
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from sonnen_agent.agent import Agent
from sonnen_agent.config.load import Config
from sonnen_agent.errors import ConfigError, StartError
from sonnen_agent.systemd import Notifier

_log = logging.getLogger(__name__)

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SIGNALS = (*_STOP_SIGNALS, signal.SIGHUP, signal.SIGALRM)
_START_SECONDS = 0.05
"""Between two looks whether every battery has been asked, so that READY comes at once."""
_RELOADED = "SONNEN_AGENT_RELOADED"
"""Set in the environment of a program that goes on after a reload."""
_TELL_SECONDS = 10
"""Between two looks at the threads; a sixth of the unit's WatchdogSec."""


def run(load: Callable[[], Config], notifier: Notifier, runtime_directory: Path | None) -> int:
    """Read and deliver until SIGTERM or SIGINT, then return 0; or 1 when a thread crashed.

    `load` returns the config as it is on disk now, or raises ConfigError. Raises StartError, as when a port is in use.
    """
    # Blocked before any thread exists, so that only the main thread ever sees them.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    # A watchdog ends us by SIGABRT: then the journal shows where every thread was.
    if sys.stderr is not None:
        faulthandler.enable()
    reloaded = os.environ.pop(_RELOADED, None) is not None
    try:
        config = load()
    except ConfigError as error:
        if not reloaded:
            raise
        # It was good when it was checked, and somebody may be writing it: the service manager tries again.
        raise StartError(str(error)) from error
    agent = Agent(config, runtime_directory)
    daemon = _Daemon(agent, load, notifier)
    successor = daemon.run()
    if successor is None:
        # From here on a second Ctrl-C ends the process at once, also when a script has started it in the background.
        # Other signals come twice without anybody's impatience, as when a window is closed.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    daemon.stop(successor)
    if successor is not None:
        # A new program with the same process id, credentials and log. A signal that came meanwhile waits for it.
        os.environ[_RELOADED] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this very program
    return 1 if agent.crashed else 0


class _Daemon:
    """An agent, watched by signals and a service manager."""

    def __init__(self, agent: Agent, load: Callable[[], Config], notifier: Notifier) -> None:
        self._agent = agent
        self._load = load
        self._notifier = notifier
        self._announced = False
        self._hung: tuple[str, ...] = ()
        self._stalled = False
        # Asked now: of a window that was closed nobody can tell any more that it was one.
        self._in_a_terminal = sys.stdin is not None and not sys.stdin.closed and os.isatty(sys.stdin.fileno())
        """Whether SIGHUP will mean that somebody has closed the window we were started in."""

    def run(self) -> Config | None:
        """Work until told to stop, or until a thread crashes; return the config to begin anew with after a SIGHUP."""
        self._agent.start()
        while not self._agent.crashed:
            # The time-out is a signal, too: sigtimedwait may return one that nobody sent (docs/facts.md 9).
            signal.setitimer(signal.ITIMER_REAL, _TELL_SECONDS if self._announced else _START_SECONDS)
            received = signal.sigwait(_SIGNALS)
            if received in _STOP_SIGNALS or (received == signal.SIGHUP and self._in_a_terminal):
                return None
            if received == signal.SIGHUP and (successor := self._checked()) is not None:
                return successor
            self._tell()
        return None

    def stop(self, successor: Config | None) -> None:
        """Stop, with all that this saves and cleans up; what a successor goes on with is left as it is."""
        if successor is None:
            _log.info("stopping")
            self._notifier.stopping()
        else:
            _log.info("taking over the config")
        self._agent.stop(successor)

    def _checked(self) -> Config | None:
        """Return the config as it is on disk now; when it is not good, nothing, and go on with the one that runs."""
        self._notifier.reloading()
        try:
            return self._load()
        except ConfigError as error:
            _log.error("the config stays as it was: %s", "; ".join(error.problems))
        self._notifier.ready(self._agent.status())
        return None

    def _tell(self) -> None:
        """Say how it is; the watchdog is fed only while every loop makes progress."""
        hung = self._agent.hung()
        if hung and hung != self._hung:
            _log.error("makes no progress any more: %s", ", ".join(hung))
        self._hung = hung
        stalled = self._agent.stalled_seconds() > 0
        if stalled and not self._stalled:
            _log.error("the card stalls: a save of the counters does not come to its end; reading and pushing go on")
        elif self._stalled and not stalled:
            _log.info("the card works again: the counters are saved")
        self._stalled = stalled
        if hung:
            self._notifier.status(f"Hangs: {', '.join(hung)}")
        elif self._announced:
            self._notifier.alive(self._agent.status())
        elif self._agent.has_read:
            self._notifier.ready(self._agent.status())
            self._announced = True
        else:
            self._notifier.starting()
