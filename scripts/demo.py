"""A reading's whole way on one machine: a simulated battery, the agent, a Pushgateway, and Prometheus."""

import argparse
import math
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import urllib.parse
from contextlib import ExitStack
from pathlib import Path

# The demo runs the very programs that the tests run: scripts/demo puts tests/system on the path.
from programs import HOST, Program, ServerError, free_port
from servers import Agent, Prometheus, Pushgateway, Server, Simulator

GRAFANA = Path(__file__).parents[1] / "grafana"
_CONFIG = """\
batteries:
  - name: home
    url: {battery}
    token_file: home.token
pushgateway:
  url: {pushgateway}
"""
_POWERS = "sonnen_(production|consumption|grid_feed_in|discharge)_watts"
_CHARGE = "sonnen_usable_state_of_charge_percent"
_PAUSE_SECONDS = 5
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run everything until Ctrl-C or for the time asked for; return 1 when no number came out of Prometheus."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--for", type=float, default=math.inf, metavar="SECONDS", dest="seconds", help="then end")
    parser.add_argument("--agent", type=Path, metavar="PROGRAM", help="run this as the agent")
    parser.add_argument("--grafana", action="store_true", help="show the dashboards with a Grafana that is on the PATH")
    options = parser.parse_args()
    for number in _SIGNALS:
        signal.signal(number, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="sonnen-demo-") as folder, ExitStack() as running:
            try:
                _demonstrate(
                    Path(folder), running, seconds=options.seconds, program=options.agent, grafana=options.grafana
                )
            finally:
                # A second Ctrl-C must not leave half of it running.
                for number in _SIGNALS:
                    signal.signal(number, signal.SIG_IGN)
                print("\nStopping everything.", flush=True)
    except KeyboardInterrupt:
        return 0
    except ServerError as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    return 0


class _Grafana(Server):
    """A Grafana with the repository's dashboards, whose data source is a Prometheus of ours; nobody has to log in."""

    ready_path = "/api/health"

    def __init__(self, folder: Path, prometheus: str) -> None:
        found = next((path for name in ("grafana", "grafana-server") if (path := shutil.which(name))), None)
        if found is None:
            raise ServerError("there is no Grafana on the PATH; without --grafana the demo tells how to use Docker")
        # Distributions put a link into /usr/bin, and Grafana looks for its pages beside the program itself.
        home = Path(found).resolve().parents[1]
        if not (home / "public").exists():
            home = Path("/usr/share/grafana")
        port = free_port()
        settings = {
            "GF_SERVER_HTTP_ADDR": HOST,
            "GF_SERVER_HTTP_PORT": str(port),
            "GF_PATHS_DATA": str(folder / "grafana"),
            "GF_PATHS_PROVISIONING": str(_provisioning(folder, prometheus, GRAFANA / "dashboards")),
            "GF_AUTH_ANONYMOUS_ENABLED": "true",
            "GF_AUTH_DISABLE_LOGIN_FORM": "true",
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        }
        os.environ.update(settings)
        server = [found, "server"] if Path(found).name == "grafana" else [found]
        super().__init__(*server, "--homepath", home, port=port, log_file=folder / "grafana.log")


def _provisioning(folder: Path, prometheus: str, dashboards: Path) -> Path:
    """Return a copy of grafana/provisioning with another address of Prometheus, and another place of dashboards."""
    copied = folder / "provisioning"
    shutil.copytree(GRAFANA / "provisioning", copied)
    for name, pattern, value in (
        ("datasources/sonnen.yml", r"(?m)^(\s+url:).*$", prometheus),
        ("dashboards/sonnen.yml", r"(?m)^(\s+path:).*$", str(dashboards)),
    ):
        file = copied / name
        file.write_text(re.sub(pattern, rf"\1 {value}", file.read_text()))
    return copied


def _how_to_look(folder: Path, prometheus: str) -> str:
    """Return the command that shows the dashboards where there is Docker."""
    provisioning = _provisioning(folder, prometheus, Path("/sonnen"))
    mounts = f"-v {provisioning}:/etc/grafana/provisioning:ro -v {GRAFANA / 'dashboards'}:/sonnen:ro"
    # As who owns the folder: nobody else can read it.
    who = f"--user {os.getuid()} -e GF_PATHS_DATA=/tmp/grafana -e GF_AUTH_ANONYMOUS_ENABLED=true"
    return f"docker run --rm --network host {who} {mounts} grafana/grafana"


def _demonstrate(folder: Path, running: ExitStack, *, seconds: float, program: Path | None, grafana: bool) -> None:
    # A summer morning, at a minute a second: there is something to see within the first minutes.
    house = ("--generation=sb10", "--seed=1", "--speed=60", "--start=2026-06-21T07:00:00")
    battery = running.enter_context(Simulator(folder, options=house))
    pushgateway = running.enter_context(Pushgateway(folder))
    rules = sorted((GRAFANA.parent / "prometheus/rules").glob("*.yml"))
    prometheus = running.enter_context(
        Prometheus(folder, scrape=[pushgateway.url], interval_seconds=5, rule_files=rules)
    )
    config = folder / "config.yml"
    config.write_text(_CONFIG.format(battery=battery.url, pushgateway=pushgateway.url))
    battery.write_token(folder / "home.token")
    agent = running.enter_context(Agent(config, program=program))

    if grafana:
        boards = f"{running.enter_context(_Grafana(folder, prometheus.url)).url}/d/sonnen-now?from=now-15m"
    else:
        boards = f"with Docker: {_how_to_look(folder, prometheus.url)}\n                then http://127.0.0.1:3000/d/sonnen-now"
    graph = urllib.parse.urlencode({"g0.expr": f'{{__name__=~"{_POWERS}"}}', "g0.tab": "0", "g0.range_input": "15m"})
    print(f"""
A sunny summer morning in a simulated house, where a minute passes every second.

  Prometheus    {prometheus.url}/classic/graph?{graph}
  dashboards    {boards}
  Pushgateway   {pushgateway.url}
  battery       {battery.url}
  agent's log   {agent.log_file}

The whole config of the agent, {config}:

{config.read_text()}
What Prometheus has of it, every {_PAUSE_SECONDS} seconds; end with Ctrl-C:
""")
    if not _show(prometheus, [battery, pushgateway, prometheus, agent], seconds=seconds):
        raise ServerError(f"no number arrived in {seconds:g} seconds; the agent's log:\n{agent.log_tail}")


def _show(prometheus: Prometheus, programs: list[Program], *, seconds: float) -> bool:
    """Print the numbers in Prometheus for so long, and return whether there were any."""
    shown = f'{{__name__=~"{_POWERS}|{_CHARGE}",instance="home"}}'
    end = time.monotonic() + seconds
    arrived = False
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, _PAUSE_SECONDS))
        for program in programs:
            program.check_running()
        numbers = {labels["__name__"]: value for labels, value in prometheus.query(shown)}
        arrived = arrived or bool(numbers)
        print(time.strftime("%H:%M:%S"), _line(numbers) if numbers else "nothing yet", flush=True)
    return arrived


def _line(numbers: dict[str, float]) -> str:
    discharge = numbers.get("sonnen_discharge_watts")
    feed_in = numbers.get("sonnen_grid_feed_in_watts")
    return "  ".join(
        [
            f"production {_number(numbers.get('sonnen_production_watts'))} W",
            f"consumption {_number(numbers.get('sonnen_consumption_watts'))} W",
            f"battery {_number(discharge)} W {_direction(discharge, up='(discharging)', down='(charging)'):13}",
            f"grid {_number(feed_in)} W {_direction(feed_in, up='(feed-in)', down='(import)'):9}",
            f"charge {_number(numbers.get(_CHARGE), width=3)} %",
        ]
    )


def _number(value: float | None, *, width: int = 6) -> str:
    return f"{'-' if value is None else format(value, '.0f'):>{width}}"


def _direction(watts: float | None, *, up: str, down: str) -> str:
    return "" if not watts else up if watts > 0 else down


if __name__ == "__main__":
    sys.exit(main())
