"""`sonnen-agent watch`: the batteries for a person, on one screen that is redrawn at every beat.

A screen needs five escape sequences: to its top, to the end of a line, to the end of all, and no cursor and no wrapping
meanwhile. Each line is written over the one before, so that nothing flickers. A library for that, such as rich, would
be larger than the agent.
"""

import logging
import os
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue

from sonnen_agent.battery import BatteryOptions
from sonnen_agent.battery.battery import Battery
from sonnen_agent.clock import Deadline
from sonnen_agent.config.load import Config
from sonnen_agent.energy.counters import FLOWS, QUANTITIES
from sonnen_agent.energy.days import Calendar
from sonnen_agent.energy.integral import Sample, flow_watts
from sonnen_agent.energy.judge import Judge, Verdict
from sonnen_agent.errors import BatteryError, Outcome, one_line
from sonnen_agent.reading import Endpoint, Reading
from sonnen_agent.state.store import StoredState, peek

_WORDS = {"production": "made", "consumption": "used", "grid_import": "bought", "grid_export": "sold"}
_WORDS |= {"battery_charge": "charged", "battery_discharge": "discharged"}
_PLACES = {"solar": "solar", "battery": "battery", "grid": "grid", "home": "house"}
_PLAIN, _BOLD, _BAD, _GOOD = "", "\x1b[1m", "\x1b[31m", "\x1b[32m"
_BEGIN, _END = "\x1b[?25l\x1b[?7l\x1b[2J", "\x1b[?7h\x1b[?25h\n"
_SMALLEST_FULL_WATTS = 1000.0
"""What a bar is full at, until something larger was seen."""
_WIDE, _LONGEST_BAR = 40, 40
_SILENT_SECONDS = 300.0
"""After so long without a checkpoint, which is written once a minute, no agent is running on this machine."""

_Line = tuple[str, str]
"""How a line looks, and its text."""


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What is known of a battery at the latest beat."""

    name: str
    unix_seconds: float
    reading: Reading | None = None
    today: str = ""
    wrong: dict[str, str] = field(default_factory=dict)
    """Each trouble as words, and since when, in words too."""


_Events = SimpleQueue[_Seen | None]
"""What there is to draw; None: the terminal has another size."""


def run(config: Config) -> int:
    """Show the batteries until Ctrl-C and return 0; nothing is sent and no state is changed."""
    events: _Events = SimpleQueue()
    screen = None
    # By their handlers and not by waiting for them: a queue can be waited for as well as a signal then.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        if sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
            signal.signal(signal.SIGWINCH, lambda *_: events.put(None))
            screen = _Screen([battery.name for battery in config.batteries], config)
            if sys.stderr is None or sys.stderr.isatty():
                logging.disable()  # Its lines would tear the screen, which shows the same.
        for options in config.batteries:
            # Nobody waits at the end for one that hangs.
            threading.Thread(target=_watch, args=(options, config, events), daemon=True).start()
        while True:
            seen = events.get()
            if screen is not None:
                screen.draw(seen)
            elif seen is not None:
                _write(f"{_line(seen, config)}\n")
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if screen is not None:
            _write(_END)


def _watch(options: BatteryOptions, config: Config, events: _Events) -> None:
    """Read a battery at every beat, for ever."""
    outcomes: dict[Endpoint, Outcome] = {}

    def record(endpoint: Endpoint, outcome: Outcome, _seconds: float) -> None:
        outcomes[endpoint] = outcome

    battery = Battery(options, interval_seconds=config.interval_seconds, record=record)
    local, judge = Calendar(config.zone).local, Judge()
    since: dict[str, str] | None = None
    while True:
        due = time.monotonic() + config.interval_seconds
        seen = _Seen(name=options.name, unix_seconds=time.time())
        troubles: dict[str, str] = {}
        try:
            verdict = judge.judge(battery.read(Deadline.of_beat(config.interval_seconds)))
        except BatteryError as error:
            troubles["not readable"] = f"not readable ({error.outcome}): {error}"
        else:
            seen.reading = verdict.reading
            troubles.update(_troubles(verdict))
        for endpoint, up in battery.endpoints().items():
            outcome = outcomes.get(endpoint, "timeout")
            # Who has no token has chosen not to be let in there.
            if not up and endpoint != "status" and (outcome != "unauthorized" or options.token is not None):
                troubles[endpoint] = f"no {endpoint} ({outcome})"
        now = f"{'since before' if since is None else 'since'} {local(seen.unix_seconds):%a %H:%M}"
        since = {kind: (since or {}).get(kind, now) for kind in troubles}
        seen.wrong.update((words, since[kind]) for kind, words in troubles.items())
        _tell_today(seen, peek(config.state_directory), config)
        events.put(seen)
        time.sleep(max(0.0, due - time.monotonic()))


def _troubles(verdict: Verdict) -> Iterator[tuple[str, str]]:
    """Yield the kind of each trouble, which stays the same as long as it lasts, and its words."""
    reading = verdict.reading
    if reading.status.on_grid is False:
        yield "off grid", "off grid"
    if verdict.trouble:
        yield verdict.trouble, verdict.words
    yield from ((f"fault {part}", f"fault of the {part}: {said}") for part, said in reading.faults.items())
    for word, bits in (("alarm", reading.pack.alarm), ("warning", reading.pack.warning)):
        if bits:
            yield word, f"the battery reports {word} {bits:g}"


def _tell_today(seen: _Seen, stored: StoredState | None, config: Config) -> None:
    """Tell what the agent on this machine has counted today, from its checkpoint of the latest minute."""
    meter = stored.meters.get(seen.name) if stored is not None else None
    if stored is None or meter is None:
        seen.today = f"today: not known: no counters that can be read in {config.state_directory}"
        return
    calendar = Calendar(config.zone)
    if seen.unix_seconds - stored.saved_unix_seconds > _SILENT_SECONDS:
        silent_since = calendar.local(stored.saved_unix_seconds)
        seen.wrong["no agent has saved counters here"] = f"since {silent_since:%a %d %b %H:%M}"
    opened = meter.days.open_day
    if opened is None or opened.day != calendar.day_of(seen.unix_seconds):
        seen.today = "today: nothing is counted yet"
        return
    totals, tariffs = opened.tally.energies.totals_watt_hours, opened.tally.tariffs
    told = [f"{_WORDS[key]} {totals[key] / 1000:.1f} kWh" for key in QUANTITIES if key in totals]
    cost, revenue = tariffs.net("cost"), tariffs.net("revenue")
    saved = {
        currency: amount - cost.get(currency, 0.0) + revenue.get(currency, 0.0)
        for currency, amount in tariffs.net("consumption_cost").items()
    }
    money: dict[str, Mapping[str, float]] = {
        "paid": cost,
        "earned": revenue,
        "saved": saved,
        "standing charge": tariffs.standing_charge,
    }
    for word, amounts in money.items():
        told.extend(f"{word} {amount:.2f} {currency}" for currency, amount in amounts.items())
    seen.today = f"today: {', '.join(told)} (until {calendar.local(stored.saved_unix_seconds):%H:%M})"


def _powers(reading: Reading) -> Iterator[tuple[str, float]]:
    """Yield what each place gives or takes now, in watts, with the word for its direction."""
    status = reading.status
    for one, other, watts in (
        ("solar", "solar", status.production_watts),
        ("house", "house", status.consumption_watts),
        ("discharging", "charging", status.discharge_watts),
        ("selling", "buying", status.grid_feed_in_watts),
    ):
        if watts is not None:
            yield (one, watts) if watts >= 0 or one == other else (other, -watts)


def _line(seen: _Seen, config: Config) -> str:
    """Return a beat as one line, for a pipe."""
    told: list[str] = []
    if seen.reading is not None:
        told.extend(f"{word} {watts:.0f} W" for word, watts in _powers(seen.reading))
        charge = seen.reading.status.charge_percent
        told.extend([] if charge is None else [f"charge {charge:.0f} %"])
    told.extend(f"{words} {since}" for words, since in seen.wrong.items())
    when = Calendar(config.zone).local(seen.unix_seconds).isoformat(timespec="seconds")
    return one_line(f"{when} {seen.name}: {', '.join(told)}")


class _Screen:
    """All batteries on a terminal, the first of the config on top; what does not fit below is left out."""

    def __init__(self, names: Iterable[str], config: Config) -> None:
        self._seen: dict[str, _Seen | None] = dict.fromkeys(names)
        self._config = config
        self._colours = not os.environ.get("NO_COLOR")
        self._full_watts = _SMALLEST_FULL_WATTS
        _write(_BEGIN)

    def draw(self, seen: _Seen | None) -> None:
        """Draw what is known, with what is new of one battery."""
        if seen is not None:
            self._seen[seen.name] = seen
            if seen.reading is not None:
                self._full_watts = max(self._full_watts, *(watts for _, watts in _powers(seen.reading)), 0.0)
        size = os.get_terminal_size(sys.stdout.fileno())
        width, height = size.columns or 80, size.lines or 24
        lines = [line for one in self._seen.values() if one is not None for line in self._block(one, width)]
        rows = (f"{self._coloured(style, one_line(text)[:width])}\x1b[K" for style, text in lines[:-1][:height])
        _write("\x1b[H" + "\n".join(rows) + "\x1b[J")

    def _coloured(self, style: str, text: str) -> str:
        return f"{style}{text}\x1b[m" if style and self._colours else text

    def _block(self, seen: _Seen, width: int) -> Iterator[_Line]:
        """Yield the lines of a battery: what is wrong first, since that must not be cut away."""
        when = f"{Calendar(self._config.zone).local(seen.unix_seconds):%H:%M:%S}"
        yield _BOLD, f"{seen.name}  {when}  {seen.reading.generation if seen.reading is not None else ''}"
        for words, since in seen.wrong.items():
            yield from _wrapped(_BAD, f"! {words}, {since}", width)
        if not seen.wrong:
            yield _GOOD, "all is well"
        if seen.reading is not None:
            charge = seen.reading.status.charge_percent
            if charge is not None:
                yield _PLAIN, _row("charge", f"{charge:.0f} %", charge / 100, width)
            for word, watts in _powers(seen.reading):
                yield _PLAIN, _row(word, f"{watts:.0f} W", watts / self._full_watts, width)
            sample = Sample.of(seen.reading.status, 0)
            flows = zip(FLOWS, flow_watts(sample.powers), strict=True) if sample and sample.powers else ()
            arrow = " ──▶ " if width >= _WIDE else "→"
            for (begin, end), watts in flows:
                if watts >= 1:
                    word = f"{_PLACES[begin]}{arrow}{_PLACES[end]}"
                    yield _PLAIN, _row(word, f"{watts:.0f} W", watts / self._full_watts, width)
        yield from _wrapped(_PLAIN, seen.today, width)
        yield _PLAIN, ""


def _row(word: str, figure: str, share: float, width: int) -> str:
    """Return a word, a figure, and a bar of a share from 0 to 1 in what room is left."""
    figures_end = 28 if width >= _WIDE else 20
    room = min(width - figures_end - 1, _LONGEST_BAR)
    bar = "█" * round(room * min(max(share, 0.0), 1.0))
    return f"{word}{figure.rjust(figures_end - len(word))} {bar}"


def _wrapped(style: str, text: str, width: int) -> Iterator[_Line]:
    yield from ((style, line) for line in textwrap.wrap(one_line(text), width, subsequent_indent="  "))


def _write(text: str) -> None:
    if sys.stdout is not None:
        # A terminal that speaks another language than UTF-8 shows question marks in place of bars.
        sys.stdout.buffer.write(text.encode(sys.stdout.encoding, "replace"))
        sys.stdout.flush()
