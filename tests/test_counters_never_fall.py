"""Random histories of an agent, its card, its gateway and its receivers: whoever looks sees no counter fall or leap.

The agent's parts are the real ones, from the meter to the requests; card, clock, gateway and link are played.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC
from typing import Literal

from by_hand import deliver
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client.core import Metric
from sample_groups import HOME, battery_group, surroundings

from sonnen_agent.destination import Destination
from sonnen_agent.energy.meter import EnergyMeter
from sonnen_agent.energy.state import compact, state_from_json, state_to_json
from sonnen_agent.energy.tariffs import TariffPeriod, Tariffs
from sonnen_agent.errors import ExchangeError
from sonnen_agent.group import Group
from sonnen_agent.metrics.battery import energy_families
from sonnen_agent.outputs import Retain
from sonnen_agent.outputs.pushgateway import Options, PushgatewayOutput
from sonnen_agent.reading import Reading, Status
from sonnen_agent.shared_meter import NOBODY_SAW_MORE, NOTHING_KEPT, SAVE_SECONDS, SharedMeter, Start
from sonnen_agent.transport import Answer, Connection

FLAT = Tariffs(
    currency="EUR",
    import_periods=(TariffPeriod(name="use", price_per_kilowatt_hour=-0.31),),
    export_periods=(TariffPeriod(name="flat", price_per_kilowatt_hour=0.08),),
    standing_price_per_day=4.5,
)
BEAT_SECONDS = 15.0
START = 1_795_500_000.0
ROUNDING = 2e-4

OnStop = Literal["counters", "delete", "keep"]
Counted = Mapping[str, float]
"""By series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What is on the card."""

    meter: str
    saved: float
    boot: int
    clean: bool


@dataclass(slots=True, kw_only=True)
class Seen:
    """What a receiver has been shown, at the highest."""

    name: str
    highest: dict[str, float] = field(default_factory=dict)

    def look(self, shown: Counted, *, most: float) -> None:
        for series, value in shown.items():
            before = self.highest.get(series, 0.0)
            assert value >= before, f"{self.name}: {series} fell from {before} to {value}"
            if "watt_hours" in series:
                assert value <= most + ROUNDING, (
                    f"{self.name}: {series} leapt to {value}, more than the {most} there were"
                )
            self.highest[series] = value


class Gateway:
    """A Pushgateway with one group, and the Prometheus that scrapes it after every push."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.started = START - 1000.0
        self.group: Counted | None = None
        self.pushed = 0.0
        self.file: tuple[Counted | None, float] = None, 0.0
        self.link = "up"
        self.tells = True
        self.prometheus = Seen(name="Prometheus")

    def restart(self, how: str) -> None:
        """Forget all, or all but what the file has."""
        self.started = self.world.now
        self.group, self.pushed = self.file if how == "old" else (None, 0.0)

    def save(self) -> None:
        self.file = self.group, self.pushed

    def request(self, method: str, path: str, *, body: bytes | None = None, **_: object) -> Answer:
        if self.link == "cut":
            raise ExchangeError("timeout", "no answer in time")
        answer = self._answer(method, path, body)
        if self.link == "deaf":
            raise ExchangeError("timeout", "no answer in time")
        return answer

    def close(self) -> None:
        pass

    def _answer(self, method: str, path: str, body: bytes | None) -> Answer:
        status, text = 200, ""
        if path == "/api/v1/metrics":
            status, text = (200, json.dumps({"data": self._groups()})) if self.tells else (500, "<html>")
        elif path == "/metrics":
            text = f"x 1\nprocess_start_time_seconds {self.started!r}\n"
        elif method == "DELETE":
            self.group = None
        elif method == "PUT":
            lines = (line.rpartition(" ") for line in (body or b"").decode().splitlines() if "_total" in line)
            self.group = {series: float(value) for series, _, value in lines if not series.startswith("#")}
            self.pushed = self.world.now
            self.prometheus.look(self.group, most=self.world.most)
        return Answer(status=status, headers={}, body=text.encode())

    def _groups(self) -> list[object]:
        if self.group is None:
            return []
        families: dict[str, object] = {
            "labels": {"job": HOME.job, "instance": HOME.instance},
            "push_time_seconds": {"metrics": [{"labels": {}, "value": repr(self.pushed)}]},
        }
        for series, value in self.group.items():
            name, _, rest = series.partition("{")
            pairs = (pair.partition("=") for pair in rest.rstrip("}").split(",") if pair)
            labels = {label: text.strip('"') for label, _, text in pairs}
            family = families.setdefault(name, {"metrics": []})
            assert isinstance(family, dict)
            family["metrics"].append({"labels": labels, "value": repr(value)})
        return [families]


@dataclass(frozen=True, slots=True, kw_only=True)
class Played(Destination):
    """A destination with a gateway that is played."""

    gateway: Gateway

    def connect(self, port: int | None = None, *, secrets: Iterable[str] = ()) -> Connection:
        del port, secrets
        return self.gateway  # type: ignore[return-value]  # what Gateway calls of it is there


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A run of the agent, and what happens before the next one."""

    beats: int
    at_beat: int = 0
    happens: str = ""
    """At that beat: `cut`, `deaf`, `up`, `file` (the gateway writes its file), `empty` or `old` (it starts anew)."""
    tells: bool = True
    end: str = "kill"
    """`kill`, `power`, `stop` or `reboot`."""
    image: bool = False
    down_seconds: float = 10.0
    gateway: str = ""
    """Meanwhile: nothing, or it starts `empty` or `old`, or its link is `up` again."""
    card: str = ""
    """Meanwhile: nothing, or the `first` or the one `before` is put back."""


class KilledError(Exception):
    """The agent is not there any more."""


class World:
    """A house with an agent."""

    def __init__(self, watts: float, on_stop: OnStop) -> None:
        self.watts = watts
        self.on_stop = on_stop
        self.now = START
        self.boot, self.booted = 1, START - 100.0
        self.gateway = Gateway(self)
        self.written = Seen(name="remote write")
        self.card: Checkpoint | None = None
        self.cards: list[Checkpoint] = []
        self.image: str | None = None
        self.counted = 0.0
        self.at_least_seconds = 0.0

    @property
    def most(self) -> float:
        """What there was of any kind of energy, in watt-hours."""
        return self.watts * (self.now - START) / 3600

    def live(self, life: Life) -> None:
        """Run the agent, end it, and let pass what happens until the next run."""
        meter = self._meter()
        known = self.card.saved if self.card is not None else self.now

        def save(*, clean: bool = False) -> None:
            nonlocal known
            known = self.now if meter.settled else known
            text = json.dumps(compact(state_to_json(meter.state())))
            self.card = Checkpoint(meter=text, saved=known, boot=self.boot, clean=clean and meter.settled)

        def groups() -> Iterator[Group]:
            saved = self.now
            for beat in range(life.beats):
                if beat == life.at_beat:
                    self._let(life.happens)
                self.now += BEAT_SECONDS
                monotonic = self.now - self.booted
                meter.count(
                    Reading(status=self.status, generation="v2", unix_seconds=self.now, monotonic_seconds=monotonic),
                    monotonic,
                )
                if meter.settled:
                    self.image = json.dumps(state_to_json(meter.state()))
                if self.now - saved >= SAVE_SECONDS:
                    save()
                    saved = self.now
                asked, unasked = meter.totals()
                certain = energy_families(unasked, {})
                self.written.look(series_of(certain), most=self.most)
                yield battery_group(
                    counters=None if asked is None else energy_families(asked, {}), certain_counters=certain
                )
            if life.end in ("kill", "power"):
                raise KilledError
            save(clean=True)
            self.image = None

        self.gateway.tells = life.tells
        save()
        options = Options(
            destination=Played(url="http://gateway", gateway=self.gateway), on_stop=self.on_stop, compression="none"
        )
        output = PushgatewayOutput(options, surroundings({HOME: meter}))
        with suppress(KilledError):
            deliver(output, groups(), Retain())
        self._pass(life)
        self.at_least_seconds += max(life.beats - 1, 0) * BEAT_SECONDS
        if life.end in ("kill", "power") and self.image is None:
            self.at_least_seconds -= SAVE_SECONDS + BEAT_SECONDS
        self.counted = meter.state().tally.energies.totals_watt_hours.get("production", 0.0)

    @property
    def status(self) -> Status:
        half = self.watts / 2
        # The battery draws a little for itself.
        return Status(production_watts=self.watts, consumption_watts=half, grid_feed_in_watts=half, discharge_watts=-10)

    def _meter(self) -> SharedMeter:
        """Return what Components.meters returns."""
        image, card = self.image, self.card
        start = NOBODY_SAW_MORE if image is not None else NOTHING_KEPT
        if image is None and card is not None:
            start = Start(clean=card.clean, same_boot=card.boot == self.boot, saved_unix_seconds=card.saved)
        text = image or (card.meter if card is not None else None)
        meter = EnergyMeter(
            zone=UTC,
            tariffs=FLAT,
            state=None if text is None else state_from_json(json.loads(text)),
            same_boot=start.same_boot,
            awaits_copy=start.unseen_seconds(self.now, asks=True) > 0,
        )
        return SharedMeter(meter, lambda: self.now, start, asks=True)

    def _pass(self, life: Life) -> None:
        assert self.card is not None
        self.cards.append(self.card)
        if not life.image or life.end == "power":
            self.image = None
        self.now += life.down_seconds
        self._let(life.gateway)
        if life.card:
            self.card = self.cards[0 if life.card == "first" else max(len(self.cards) - 2, 0)]
        if life.end in ("power", "reboot"):
            self.boot, self.booted = self.boot + 1, self.now - 20.0
            self.image = None

    def _let(self, happens: str) -> None:
        match happens:
            case "cut" | "deaf" | "up":
                self.gateway.link = happens
            case "file":
                self.gateway.save()
            case "empty" | "old":
                self.gateway.restart(happens)


def series_of(families: tuple[Metric, ...]) -> Counted:
    return {
        sample.name + str(sorted(sample.labels.items())): sample.value
        for family in families
        if family.type == "counter"
        for sample in family.samples
    }


LIVES = {
    "beats": st.integers(0, 10),
    "at_beat": st.integers(0, 10),
    "happens": st.sampled_from(("", "", "cut", "deaf", "up", "file", "empty", "old")),
    "tells": st.sampled_from((True, True, True, False)),
    "end": st.sampled_from(("kill", "power", "stop", "reboot")),
    "image": st.booleans(),
    "down_seconds": st.sampled_from((0.5, 10.0, 50.0, 200.0, 86_400.0)),
    "gateway": st.sampled_from(("", "", "up", "empty", "old")),
}
WATTS = st.sampled_from((100.0, 5_000.0, 40_000.0))
RANDOM = settings(max_examples=600)


@RANDOM
@given(
    watts=WATTS,
    on_stop=st.sampled_from(("counters", "delete", "keep")),
    lives=st.lists(st.builds(Life, **LIVES), min_size=1, max_size=5),
)
def test_no_counter_falls_or_leaps_and_a_kill_costs_a_minute_at_most(
    watts: float, on_stop: OnStop, lives: list[Life]
) -> None:
    world = World(watts, on_stop)
    for life in lives:
        world.live(life)
    world.live(Life(beats=1))

    assert world.counted >= watts * world.at_least_seconds / 3600 - ROUNDING * len(lives)


@RANDOM
@given(
    watts=WATTS,
    on_stop=st.sampled_from(("counters", "keep")),
    lives=st.lists(
        st.builds(
            Life,
            **LIVES
            | {
                "happens": st.sampled_from(("", "file")),
                "tells": st.just(True),
                "end": st.sampled_from(("power", "stop", "reboot")),
                "gateway": st.just(""),
                "card": st.sampled_from(("", "first", "before")),
            },
        ),
        min_size=2,
        max_size=5,
    ),
)
@example(
    # The first money is so little that a gateway has 0 of it.
    watts=100.0,
    on_stop="counters",
    lives=[
        Life(beats=2, end="stop", down_seconds=0.5),
        Life(beats=1, end="power", down_seconds=0.5, card="first"),
        Life(beats=1, end="power", down_seconds=0.5, card="before"),
        Life(beats=1, end="power", down_seconds=0.5),
    ],
)
def test_nor_where_an_older_card_is_put_back_while_the_gateway_knows_more(
    watts: float, on_stop: OnStop, lives: list[Life]
) -> None:
    world = World(watts, on_stop)
    for life in lives:
        world.live(life)


@RANDOM
@given(
    watts=WATTS,
    on_stop=st.sampled_from(("counters", "delete", "keep")),
    lives=st.lists(
        st.builds(
            Life,
            **LIVES
            | {
                "beats": st.integers(0, 5),
                # A gateway that is just as old as the card is believed: a reboot of both leaves the same.
                "happens": st.sampled_from(("", "empty")),
                "gateway": st.sampled_from(("", "empty")),
                "end": st.just("reboot"),
                "down_seconds": st.sampled_from((0.5, 10.0, 50.0)),
                "card": st.sampled_from(("", "first", "before")),
            },
        ),
        min_size=2,
        max_size=4,
    ),
)
def test_nor_where_a_card_of_some_minutes_ago_is_put_back_while_the_gateway_has_forgotten(
    watts: float, on_stop: OnStop, lives: list[Life]
) -> None:
    world = World(watts, on_stop)
    # A card that has counted nothing is as good as a new one: with an empty gateway all begins at zero.
    for life in (Life(beats=2, end="reboot"), *lives):
        world.live(life)
