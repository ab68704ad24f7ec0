"""A battery: which API answers, its token, each endpoint and how long it takes, and whether its numbers can be true."""

import time
from contextlib import closing, suppress
from dataclasses import dataclass, field

from sonnen_agent.battery import BatteryOptions
from sonnen_agent.battery.client import WEB_PAGE, Client
from sonnen_agent.battery.probe import Probe, StatusReader
from sonnen_agent.battery.variants import SLOW_ENDPOINTS, ApiVariant, Detail, locations
from sonnen_agent.clock import Deadline
from sonnen_agent.commands.doctor.finding import Finding, Findings, clock, fail, ok, skipped, warn
from sonnen_agent.details import NOT_CONNECTED, Meter, System
from sonnen_agent.errors import BatteryError, Outcome
from sonnen_agent.reading import Endpoint, Reading, Status

_BALANCE_WATTS, _TURNED_SHARE = 200, 0.15
_CLOCK_SECONDS = 120
"""Both as the alerts have them (prometheus/rules)."""
_SKIPPED = ("token", "balance", "meters", "faults", "clock")
"""What cannot be looked at where the battery cannot be read."""


@dataclass(slots=True)
class _Asked:
    """What the slow endpoints said."""

    details: dict[Endpoint, Detail] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    with_token: set[Outcome] = field(default_factory=set)
    """How requests that carried the token ended."""


def check_battery(options: BatteryOptions, interval_seconds: float, deadline: Deadline) -> Findings:
    """Yield what there is to say of one battery."""
    name = f"battery {options.name}"
    seconds: list[float] = []
    with closing(Client(options, lambda _endpoint, _outcome, taken: seconds.append(taken))) as client:
        try:
            variant, status = Probe(client).read_status(deadline.share(0.5))
        except BatteryError as error:
            yield fail(name, *_why_not(error))
            yield from (skipped(f"{name} {what}", "it cannot be read") for what in _SKIPPED)
            return
        unix_seconds = time.time()
        yield _timed(name, f"{variant.generation} on port {variant.port}", seconds[-1], interval_seconds)
        asked = _ask(client, variant, interval_seconds, deadline)
        yield _token(f"{name} token", options, variant, asked.with_token)
        yield from asked.findings
        if status.booting:
            yield warn(f"{name} balance", "it is starting, all that it measures is 0", "wait some minutes")
        else:
            yield _balance(f"{name} balance", _settled(client, variant, status, deadline))
        meters, system = asked.details.get("powermeter"), asked.details.get("latestdata")
        yield from _meters(f"{name} meters", meters if isinstance(meters, tuple) else None)
        reading = Reading(
            status=status,
            unix_seconds=unix_seconds,
            monotonic_seconds=0,
            generation=variant.generation,
            system=system if isinstance(system, System) else System(),
        )
        if not status.booting and not reading.system.booting:
            yield _faults(f"{name} faults", reading)
        offset = reading.clock_offset_seconds
        yield clock(f"{name} clock", offset, _CLOCK_SECONDS, "it does not tell its time zone")


def _why_not(error: BatteryError) -> tuple[str, str]:
    if error.outcome in ("not_found", "invalid"):
        return f"something answers, but it is no battery: {error}", "mend the battery's url; discover finds its address"
    if error.outcome in ("timeout", "refused"):
        return f"nothing answers: {error}", "is it on, and is its address right? discover looks for it"
    return str(error), ""


def _timed(check: str, what: str, seconds: float, interval_seconds: float) -> Finding:
    seen = f"{what} answers in {1000 * seconds:.0f} ms"
    if seconds > interval_seconds / 2:
        return warn(check, f"{seen}, of a beat of {interval_seconds:g} s", "raise interval_seconds, or mend the Wi-Fi")
    return ok(check, seen)


def _ask(client: Client, variant: ApiVariant, interval_seconds: float, deadline: Deadline) -> _Asked:
    """Ask each slow endpoint once, wherever it may be."""
    asked = _Asked()
    options = client.options
    for endpoint, slow in SLOW_ENDPOINTS.items():
        check = f"battery {options.name} {endpoint}"
        finding = skipped(check, "there is none without a token" if variant.generation == "v2" else "this API has none")
        for location in locations(endpoint, variant, options.destination, has_token=options.token is not None):
            begin = time.monotonic()
            try:
                asked.details[endpoint] = client.get(endpoint, location, slow.parse, deadline.at_most(3))
            except BatteryError as error:
                outcome = error.outcome
                refused = {"unauthorized": "the token is refused", "not_found": "this firmware does not have it"}
                if finding.status == "skipped":
                    finding = skipped(check, refused[outcome]) if outcome in refused else fail(check, str(error))
            else:
                outcome = "ok"
                finding = _timed(check, location.path, time.monotonic() - begin, interval_seconds)
            if location.with_token:
                asked.with_token.add(outcome)
            if outcome not in ("unauthorized", "not_found"):
                break
        asked.findings.append(finding)
    return asked


def _token(check: str, options: BatteryOptions, variant: ApiVariant, outcomes: set[Outcome]) -> Finding:
    switch_on = f"switch the read API on in {WEB_PAGE}"
    if options.token is None:
        words = "there is none, so that only the power values are read"
        return warn(check, words, f"{switch_on}, and put the token into secrets/token-{options.name} beside the config")
    if variant.generation != "v2":
        return ok(check, f"there is one; {variant.generation} asks for none")
    if "ok" in outcomes:
        return ok(check, "it is taken")
    if "unauthorized" in outcomes:
        return fail(check, "it is wrong, or the read API is off", f"{switch_on} and copy the token shown there")
    if outcomes == {"not_found"}:
        return fail(check, "nothing that needs it is there: the read API is off, or the firmware is old", switch_on)
    return skipped(check, "no endpoint that needs it has answered")


def _settled(client: Client, variant: ApiVariant, status: Status, deadline: Deadline) -> Status:
    """Return the status that adds up best of three, a second apart: meters of a jump in load are not read at once."""
    found, reader = [status], StatusReader(client)
    while abs(found[-1].power_balance_watts or 0) > _BALANCE_WATTS and len(found) < 3 and deadline.remaining > 3:
        time.sleep(1)
        with suppress(BatteryError):
            found.append(reader.read(variant, deadline.at_most(2)))
            continue
        break
    return min(found, key=lambda one: abs(one.power_balance_watts or 0))


def _balance(check: str, status: Status) -> Finding:
    """Say whether production + discharge - consumption - feed-in is near 0, and which clamp explains it if not."""
    terms = {
        "production": status.production_watts,
        "discharge": status.discharge_watts,
        "consumption": None if status.consumption_watts is None else -status.consumption_watts,
        "feed-in": None if status.grid_feed_in_watts is None else -status.grid_feed_in_watts,
    }
    balance = status.power_balance_watts
    if balance is None:
        missing = ", ".join(name for name, watts in terms.items() if watts is None)
        return warn(check, f"not reported: {missing}", "look at the battery's own page whether it measures them")
    if status.on_grid is False:
        return skipped(check, "off the grid some batteries report their output elsewhere")
    known = {name: watts for name, watts in terms.items() if watts is not None}
    if abs(balance) <= max(_BALANCE_WATTS, 0.05 * max(map(abs, known.values()))):
        return ok(check, f"the powers add up to {balance:+.0f} W")
    seen = f"{balance:+.0f} W are unaccounted for"
    name, watts = min(known.items(), key=lambda term: abs(balance - 2 * term[1]))
    if abs(balance - 2 * watts) <= _TURNED_SHARE * abs(balance):
        return fail(check, f"{seen}, twice the {name}", f"the current clamp of the {name} is turned: have it mended")
    zero = [name for name in ("production", "consumption", "feed-in") if known[name] == 0]
    which = f"is the clamp of the {' or '.join(zero)} missing?" if zero else "is a clamp missing, or on another phase?"
    return fail(check, seen, f"{which} See the runbook of the alert SonnenPowerBalance")


def _faults(check: str, reading: Reading) -> Finding:
    if not reading.faults:
        return ok(check, "no part is at fault")
    seen = "; ".join(f"{part}: {said}" for part, said in reading.faults.items())
    return fail(check, seen, "switch it off and on as its manual says, once, and else call the service")


def _meters(check: str, meters: tuple[Meter, ...] | None) -> Findings:
    if meters is None:
        yield skipped(check, "they are not told")
        return
    broken = [meter for meter in meters if meter.error]
    for meter in broken:
        seen, cable = f"{meter.direction} {meter.name} has error {meter.error:g}", "look at its cable; tell the service"
        if meter.error == NOT_CONNECTED:
            yield warn(check, f"{seen}, no clamps", f"nothing where a hybrid measures its PV inside, else {cable}")
        else:
            yield fail(check, seen, cable)
    missing = {"production", "consumption"} - {meter.direction for meter in meters}
    if missing:
        yield warn(check, f"none for the {' and the '.join(sorted(missing))}", "is one missing, or not configured?")
    turned = [m for m in meters if m.direction == "production" and (m.total_watts or 0) < -_BALANCE_WATTS]
    for meter in turned:
        seen = f"production {meter.name} shows {meter.total_watts:.0f} W"
        yield fail(check, seen, "its current clamp is turned: have it mended")
    if not broken and not missing and not turned:
        yield ok(check, ", ".join(f"{meter.direction} {meter.name}" for meter in meters))
