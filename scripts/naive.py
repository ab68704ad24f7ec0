"""The script that the agent is compared with: what anybody would write in an afternoon, in one loop.

It asks the battery's endpoints as often as the agent does, and pushes every number of the answers at every beat: as
prometheus_client's documentation shows it, with a registry, a gauge each, and `push_to_gateway`. A number that is not
answered any more is not pushed any more, either. No energy, no checks, nothing on disk.
usage: naive.py BATTERY_URL TOKEN GATEWAY_URL INTERVAL_SECONDS
"""

import json
import sys
import time
from collections.abc import Iterator

import urllib3
from prometheus_client import CollectorRegistry, Gauge, push_to_gateway

PERIOD_SECONDS = {"status": 0, "powermeter": 15, "latestdata": 60, "battery": 60, "inverter": 60, "configurations": 600}


def numbers(value: object, name: str) -> Iterator[tuple[str, float]]:
    """Yield every number of a JSON document with a name that says where it stands; a text is no number."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from numbers(item, f"{name}_{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from numbers(item, f"{name}_{index}")
    elif isinstance(value, int | float):
        yield "".join(c if c.isalnum() else "_" for c in name), float(value)


def main(battery: str, token: str, gateway: str, interval_seconds: float) -> None:
    http = urllib3.PoolManager()
    answers: dict[str, dict[str, float]] = {}
    due = dict.fromkeys(PERIOD_SECONDS, 0.0)
    begin, beats = time.monotonic(), 0
    while True:
        for endpoint, period_seconds in PERIOD_SECONDS.items():
            # A beat comes some milliseconds early or late.
            if time.monotonic() >= due[endpoint] - 0.5:
                due[endpoint] = time.monotonic() + period_seconds
                answer = http.request("GET", f"{battery}/api/v2/{endpoint}", headers={"Auth-Token": token}, timeout=4)
                answers[endpoint] = dict(numbers(json.loads(answer.data), f"naive_{endpoint}"))
        registry = CollectorRegistry()
        for values in answers.values():
            for name, value in values.items():
                Gauge(name, f"{name} of the battery.", registry=registry).set(value)
        push_to_gateway(gateway, job="naive", registry=registry, timeout=4)
        beats += 1
        time.sleep(max(0, begin + beats * interval_seconds - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
