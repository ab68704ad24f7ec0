"""`verify` against a real Prometheus whose stored points are made from a house that is known to the watt-hour."""

import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from programs import find_program
from pytest_httpserver import HTTPServer
from servers import LOGIN, PASSWORD, WEB_CONFIG, Prometheus

from sonnen_agent.energy.counters import QUANTITIES, EnergyCounters
from sonnen_agent.energy.days import FinishedDay
from sonnen_agent.state.ledger import Ledger, LedgerDay

pytestmark = pytest.mark.system

AGENT = Path(sys.executable).with_name("sonnen-agent")
_DAY = timedelta(days=1)


@dataclass
class House:
    """A house with constant powers, but for a grid that gives 500 W and takes 1,100 W in turns of 30 minutes."""

    begin: int
    end: int
    step: int = 30
    skip: tuple[int, int] = (0, 0)
    """Between these nothing is stored, and nothing counted."""
    held_back_until: int = 0
    """Before that no counter is shown."""
    labels_from: int = 0
    """From then on the series have a label more."""
    factors: dict[str, float] = field(default_factory=dict)
    """By what a counter grows wrongly."""
    dense: bool = False
    """Whether the half hours in which the grid takes have three times as many points."""

    @staticmethod
    def powers(moment: int) -> dict[str, float]:
        takes = moment % 3600 < 1800
        return {
            "production_watts": 2000.0,
            "consumption_watts": 900.0,
            "grid_feed_in_watts": 1100.0 if takes else -500.0,
            "discharge_watts": 0.0 if takes else -1600.0,
        }

    def page(self) -> str:  # noqa: C901 - all that is stored, row by row
        """Return all of it in the OpenMetrics format."""
        rows: dict[str, list[str]] = {}
        counted = dict.fromkeys(QUANTITIES, 0.0)
        observed, last = 0.0, None

        def write(name: str, value: float, at: int, more: str = "") -> None:
            if 0 < self.labels_from <= at:
                more += ',host="new"'
            rows.setdefault(name, []).append(f'{name}{{job="sonnen",instance="home"{more}}} {value!r} {at}')

        for moment in self.moments():
            powers = self.powers(moment)
            if last is not None and moment - last <= 60:
                for quantity, (power, sign, *_) in QUANTITIES.items():
                    watts = max(0.0, sign * self.powers(last)[power])
                    counted[quantity] += watts * (moment - last) / 3600 * self.factors.get(quantity, 1.0)
                observed += moment - last
            last = moment
            for name, watts in powers.items():
                write(f"sonnen_{name}", watts, moment)
            if moment < self.held_back_until:
                continue
            for quantity, watt_hours in counted.items():
                write(f"sonnen_{quantity}_watt_hours_total", watt_hours + 1000, moment)
            write("sonnen_observed_seconds_total", observed, moment)
            for direction, watts in (("production", 2000.0), ("consumption", 900.0)):
                register = watts * (moment - self.begin) / 3600 * self.factors.get(f"meter_{direction}", 1.0)
                more = f',direction="{direction}",meter="4_1"'
                write("sonnen_meter_imported_watt_hours_total", 500_000 + register // 100 * 100, moment, more)
        pages = []
        for name, lines in rows.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            lines.sort(key=lambda line: line.partition("}")[0])
            pages += [f"# TYPE {name.removesuffix('_total')} {kind}", *lines]
        return "\n".join([*pages, "# EOF\n"])

    def moments(self) -> Iterable[int]:
        moment = self.begin
        while moment <= self.end:
            if not self.skip[0] < moment < self.skip[1]:
                yield moment
            moment += self.step // 3 if self.dense and moment % 3600 < 1800 else self.step


Verify = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    file = tmp_path / "config.yml"
    file.write_text(
        "timezone: UTC\nbatteries: [{name: home, url: 'http://192.168.1.20'}]\n"
        "pushgateway: {url: 'http://gateway.example:9091'}\n"
    )
    return file


@pytest.fixture
def verify(config_file: Path) -> Verify:
    def run(url: str, *more: str | Path) -> subprocess.CompletedProcess[str]:
        command: list[str | Path] = [AGENT, "verify", "--config", config_file, "--prometheus", url, *more]
        return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)

    return run


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., Prometheus]:
    """Return what starts a Prometheus with a house's points in it."""

    def store(house: House, *flags: str) -> Prometheus:
        prometheus = Prometheus(tmp_path, scrape=[], flags=flags)
        (tmp_path / "house.om").write_text(house.page())
        blocks = tmp_path / f"prometheus-{prometheus.port}"
        command: list[str | Path]
        command = [find_program("promtool"), "tsdb", "create-blocks-from", "openmetrics", tmp_path / "house.om", blocks]
        made = subprocess.run(command, capture_output=True, check=False)
        assert made.returncode == 0, made.stderr
        return prometheus

    return store


def now() -> int:
    return int(time.time()) // 30 * 30


def rows(output: str) -> dict[str, list[str]]:
    """Return the figures of each line of the first table."""
    table = output.partition("coverage:")[0]
    return {line.split()[0]: line.split()[1:] for line in table.splitlines()[2:]}


def write_ledger(folder: Path, begin: datetime, *, factor: float = 1.0) -> None:
    day = EnergyCounters(
        totals_watt_hours={
            "production": 48_000.0 * factor,
            "consumption": 21_600.0 * factor,
            "grid_import": 6_000.0,
            "grid_export": 13_200.0,
        },
        observed_seconds=86_400,
    )
    folder.mkdir(exist_ok=True)
    finished = FinishedDay(day=begin.date(), length_seconds=86_400, energies=day)
    Ledger(folder).append((LedgerDay(battery="home", finished=finished),))


def test_what_agrees_exits_0_and_says_so(
    running: ExitStack, stored: Callable[..., Prometheus], verify: Verify, state_directory: Path
) -> None:
    yesterday = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - _DAY
    write_ledger(state_directory, yesterday)
    house = House(begin=int(yesterday.timestamp()) - 1800, end=now())
    prometheus = running.enter_context(stored(house))
    done = verify(prometheus.url)
    assert done.stderr == ""
    found = rows(done.stdout)
    assert len(set(found["production"][:3])) == 1
    assert float(found["production"][0]) == pytest.approx(48.0, abs=0.1)
    assert [float(one) for one in found["consumption"][:4]] == pytest.approx([21.6] * 4, abs=0.2)
    assert [float(one) for one in found["grid_export"][:3]] == pytest.approx([13.2] * 3, rel=0.01)
    assert [float(one) for one in found["grid_import"][:3]] == pytest.approx([6.0] * 3, rel=0.01)
    assert re.search(rf"ledger, {yesterday.date()} to {yesterday.date()}, in kWh, 100.0 % observed", done.stdout)
    assert re.search(r"^production +48\.000 +48\.000 +[+-]0\.0\d %$", done.stdout, re.MULTILINE)
    assert re.search(r"coverage: counters (100\.0|99\.9) %, 28[78]\d stored points (100\.0|99\.9) %", done.stdout)
    assert done.stdout.rstrip().endswith(
        "All agree to 1 %: believe the counters, which miss nothing between two points."
    )
    assert done.returncode == 0


def test_a_mean_of_uneven_points_is_told_from_the_average_over_time(
    running: ExitStack, stored: Callable[..., Prometheus], verify: Verify
) -> None:
    # Of an hour, 180 points at 1,100 W and 60 at -500 W: a mean of points knows nothing of the time between them.
    prometheus = running.enter_context(stored(House(begin=now() - 7200, end=now(), dense=True)))
    done = verify(prometheus.url, "--range", "1h")
    points, average, counters, *_ = (float(one.rstrip("%")) for one in rows(done.stdout)["grid_export"][:3])
    assert points == pytest.approx(1.1 * 180 / 240, rel=0.08)
    assert average == pytest.approx(0.55, rel=0.08)
    assert counters == pytest.approx(0.55, rel=0.08)
    assert "A mean of points differs in grid_import, grid_export" in done.stdout
    assert "believe the counters" in done.stdout
    assert done.returncode == 1


def test_after_a_gap_the_counters_are_a_lower_bound_and_the_meters_are_to_be_believed(
    running: ExitStack, stored: Callable[..., Prometheus], verify: Verify
) -> None:
    house = House(begin=now() - 90_000, end=now(), skip=(now() - 40_000, now() - 31_360))
    prometheus = running.enter_context(stored(house))
    done = verify(prometheus.url)
    assert re.search(r"coverage: counters (89|90)\.\d %, \d+ stored points (89|90)\.\d %", done.stdout)
    assert "The counters have seen " in done.stdout
    assert "differ" not in done.stdout
    assert "believe the meters, which went on counting" in done.stdout
    found = rows(done.stdout)["production"]
    assert [float(one) for one in found[:4]] == pytest.approx([48, 48, 43.2, 48], abs=0.2)
    assert done.returncode == 1


def test_where_only_the_counters_have_a_gap_the_average_is_to_be_believed(
    running: ExitStack, stored: Callable[..., Prometheus], verify: Verify
) -> None:
    prometheus = running.enter_context(stored(House(begin=now() - 7200, end=now(), held_back_until=now() - 1800)))
    done = verify(prometheus.url, "--range", "1h")
    assert re.search(r"coverage: counters [45]\d\.\d %, 1[12]\d stored points (99|100)\.\d %", done.stdout)
    assert "the points all of it: believe the average" in done.stdout
    assert done.returncode == 1


def test_meters_and_a_ledger_that_differ_are_named(
    running: ExitStack, stored: Callable[..., Prometheus], verify: Verify, state_directory: Path
) -> None:
    yesterday = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - _DAY
    write_ledger(state_directory, yesterday, factor=1.02)
    house = House(begin=int(yesterday.timestamp()) - 1800, end=now(), factors={"meter_consumption": 1.03})
    prometheus = running.enter_context(stored(house))
    done = verify(prometheus.url)
    assert "The battery's own meters differ in consumption, in a time without gaps" in done.stdout
    assert "The ledger differs in production, consumption: believe the ledger." in done.stdout
    assert "A mean of points" not in done.stdout
    assert done.returncode == 1


def test_a_label_that_changed_within_the_time_changes_nothing(
    running: ExitStack, stored: Callable[..., Prometheus], verify: Verify
) -> None:
    # It goes on while it is stored, which takes a moment.
    house = House(begin=now() - 7200, end=now() + 300, step=10, labels_from=now() - 1200)
    prometheus = running.enter_context(stored(house))
    done = verify(prometheus.url, "--range", "1h")
    found = rows(done.stdout)["production"]
    assert [float(one) for one in found[:3]] == pytest.approx([2.0] * 3, rel=0.01)
    assert len(set(found[:3])) == 1


def test_what_began_within_the_range_is_compared_from_its_beginning(
    running: ExitStack, stored: Callable[..., Prometheus], verify: Verify
) -> None:
    prometheus = running.enter_context(stored(House(begin=now() - 7200, end=now())))
    done = verify(prometheus.url, "--range", "31d")
    assert [float(one) for one in rows(done.stdout)["production"][:3]] == pytest.approx([4.0] * 3, rel=0.005)
    assert "ledger: it has no finished day that Prometheus has, too" in done.stdout
    assert done.returncode == 0


def test_behind_a_prefix_and_a_password(
    running: ExitStack, stored: Callable[..., Prometheus], verify: Verify, tmp_path: Path
) -> None:
    web_config = tmp_path / "web.yml"
    web_config.write_text(WEB_CONFIG)
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text(PASSWORD)
    prometheus = stored(
        House(begin=now() - 7200, end=now(), step=10),
        f"--web.config.file={web_config}",
        "--web.route-prefix=/some/prefix",
    )
    prometheus.ready_path = "/some/prefix/-/ready"
    prometheus.headers |= LOGIN
    running.enter_context(prometheus)
    url = f"{prometheus.url}/some/prefix"
    named = url.replace("://", "://pi@")
    assert verify(named, "--range", "1h", "--password-file", password).returncode == 0
    (tmp_path / "secrets").mkdir(mode=0o700)
    shutil.copy2(password, tmp_path / "secrets/prometheus-password")
    assert verify(named, "--range", "1h").returncode == 0
    refused = verify(url, "--range", "1h")
    assert refused.returncode == 1
    assert re.fullmatch(r"sonnen-agent: http://\S+: answered 401: it asks for a login: .*\n", refused.stderr)
    lost = verify(prometheus.url.replace("://", "://pi@"), "--range", "1h")
    assert "answered 404: no Prometheus here; is a prefix missing in the URL?" in lost.stderr


def test_a_prometheus_without_our_series_is_told(running: ExitStack, tmp_path: Path, verify: Verify) -> None:
    prometheus = running.enter_context(Prometheus(tmp_path, scrape=[]))
    done = verify(prometheus.url)
    assert done.stdout.startswith("home: nothing is stored of sonnen_production_watts{job=")
    assert "honor_labels" in done.stdout
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("body", "status", "complaint"),
    [
        ("<html>hello</html>", 200, "JSON"),
        ('{"status": "ok"}', 200, "no Prometheus"),
        ("[" * 100_000, 200, "JSON"),
        ('{"error": "query processing would load too many samples"}', 422, "too many samples"),
    ],
)
def test_who_answers_something_else_is_no_prometheus(
    httpserver: HTTPServer, verify: Verify, body: str, status: int, complaint: str
) -> None:
    httpserver.expect_request("/api/v1/query").respond_with_data(body, status=status)
    done = verify(httpserver.url_for("").rstrip("/"))
    assert done.returncode == 1
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


def test_one_that_hangs_or_is_not_there_is_given_up(verify: Verify) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        hanging = verify(f"http://{address}")
    assert "no answer in time" in hanging.stderr
    assert hanging.returncode == 1
    gone = verify(f"http://{address}")
    assert address in gone.stderr
    assert gone.returncode == 1


def test_an_endless_answer_is_cut(verify: Verify) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def pour() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\n")
                try:
                    while True:
                        peer.sendall(b" " * 65536)
                except OSError:
                    return

        threading.Thread(target=pour, daemon=True).start()
        done = verify(f"http://127.0.0.1:{server.getsockname()[1]}")
    assert "is larger than" in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--range", "9m"], "10m to 31d"),
        (["--range", "32d"], "10m to 31d"),
        (["--range", "soon"], "10m to 31d"),
        (["--prometheus", "prometheus.example"], "should be a URL with a host"),
        (["--prometheus", "http://pi:secret@prometheus.example"], "holds a user name or password"),
        (["--prometheus", "http://pi@prometheus.example", "--password-file", "/nowhere"], "cannot read '/nowhere'"),
    ],
)
def test_a_usage_error_exits_2_with_the_reason(verify: Verify, arguments: list[str], complaint: str) -> None:
    done = verify("http://127.0.0.1:9", *arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "secret@" not in done.stderr
