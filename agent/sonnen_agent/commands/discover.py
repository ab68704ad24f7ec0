"""`sonnen-agent discover`: the batteries on the networks of this machine, and what to write into the config."""

import json
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from ipaddress import IPv4Network

from sonnen_agent.battery import BatteryOptions
from sonnen_agent.battery.discovery import LARGEST_PREFIX, FoundBattery, addresses_of, discover, local_networks
from sonnen_agent.config.load import Config

_KINDS = {
    "v2": "with API v2: a sonnenBatterie 10, EVO, hybrid, or an eco 8 with newer firmware",
    "v1": "with API v1: an eco 8 or hybrid with older firmware",
    "eco6": "with the API of eco 4 to 6",
    None: "that tells nothing without a token",
}


def run(networks: Sequence[IPv4Network] | None, config: Config | None) -> int:
    """Print what is found; return 0 when that is something, 1 when it is nothing."""
    if networks is None:
        networks = tuple(_usual_networks())
    if not networks:
        print("this machine is in no IPv4 network to look through; name one with --network CIDR", file=sys.stderr)
        return 1
    words = ", ".join(map(str, networks))
    print(f"looking for batteries in {words}", file=sys.stderr)
    batteries = () if config is None else config.batteries
    places = {address: battery for battery in batteries for address in addresses_of(_host(battery))}
    unknown: list[FoundBattery] = []
    missing = {battery.name: battery for battery in batteries}
    found_any = False
    for found in discover(networks):
        found_any = True
        print(_description(found))
        moved = _with_serial(found, batteries)
        if found.address in places:
            missing.pop(places[found.address].name, None)
            print(f"  It is {places[found.address].name!r} of the config.")
        elif moved is not None:
            missing.pop(moved.name, None)
            print(f"  It is {moved.name!r} of the config, at another address: change the line there to")
            print(f"    url: {_moved_url(moved, found)}")
        else:
            print("\n".join(_block(found, {battery.name for battery in batteries}, len(unknown))))
            unknown.append(found)
        sys.stdout.flush()
    if len(unknown) == len(missing) == 1:
        (lost,) = missing.values()
        print(f"{lost.name!r} of the config was not found at {_host(lost)}. If this is it, change its line to")
        print(f"    url: {_moved_url(lost, unknown[0])}")
    if not found_any:
        print(
            f"no battery answers in {words}; is it on, and in the same network? --network CIDR looks in another",
            file=sys.stderr,
        )
    return 0 if found_any else 1


def _usual_networks() -> Iterator[IPv4Network]:
    for network in local_networks():
        if network.prefixlen >= LARGEST_PREFIX:
            yield network
        else:
            print(f"{network} is left out, it is large; --network {network} looks there, too", file=sys.stderr)


def _description(found: FoundBattery) -> str:
    facts = [f"port {found.port}"]
    if found.model:
        facts.append(f"model {found.model}")
    if found.serial:
        facts.append(f"serial {found.serial}")
    return f"{found.address}: a battery {_KINDS[found.generation]} ({', '.join(facts)})"


def _block(found: FoundBattery, taken: Collection[str], before: int) -> Iterator[str]:
    """Yield the lines of the config for a battery; `before` is how many others have got some."""
    names = (f"home-{number}" if number > 1 else "home" for number in range(1, len(taken) + before + 2))
    name = [name for name in names if name not in taken][before]
    yield "  For the config, under batteries:"
    yield f"    - name: {name}"
    yield f"      url: {found.url}"
    if found.generation in ("v2", None):
        yield f"      #token_file: {name}.token   # the API token of its web page, menu Software-Integration"
    if found.serial:
        yield f"      labels: {{sn: {json.dumps(found.serial, ensure_ascii=False)}}}"


def _with_serial(found: FoundBattery, batteries: Sequence[BatteryOptions]) -> BatteryOptions | None:
    """Return the battery of the config that has the serial number of one that was found in a label, if there is one."""
    serial = _digits(found.serial or "")
    if len(serial) < 4:
        return None
    return next((b for b in batteries if serial in map(_digits, b.labels.values())), None)


def _digits(label: str) -> str:
    # Some write it with letters before it, as Psb12345.
    return re.sub(r"\D", "", label)


def _host(battery: BatteryOptions) -> str:
    return battery.destination.parts.hostname or ""


def _moved_url(battery: BatteryOptions, found: FoundBattery) -> str:
    """Return the URL of the config with another host in it."""
    parts = battery.destination.parts
    port = f":{parts.port}" if parts.port is not None else ""
    return parts._replace(netloc=f"{found.address}{port}").geturl()
