"""`dump`, and `simulate --replay`, as a user runs them."""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from sonnen_agent.simulator.battery import SimulatedBattery, simulated_clock
from sonnen_agent.simulator.generations import GENERATION_NAMES, GenerationName, generation_named
from sonnen_agent.simulator.server import Simulator

AGENT = Path(sys.executable).with_name("sonnen-agent")
TOKEN = "3f1c9a52-0b7e-4f43-9c11-5f7de7c0ffee"
NOON = datetime.fromisoformat("2026-06-21T12:00:00+02:00")


def agent(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [AGENT, *arguments], capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL
    )


@contextmanager
def simulated(generation: GenerationName) -> Iterator[str]:
    """Return the URL of a battery for which it is always noon."""
    clock = simulated_clock(NOON, 1, lambda: 0.0)
    battery = SimulatedBattery(generation=generation_named(generation), seed=1, clock=clock, token=TOKEN)
    with Simulator(battery) as simulator:
        yield simulator.url


@contextmanager
def replayed(file: Path) -> Iterator[list[str]]:
    """Return the URLs at which the batteries of a dump are."""
    count = len(json.loads(file.read_text())["batteries"])
    command: list[str | Path] = [AGENT, "simulate", "--port", "0", "--replay", file]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(count)]
            yield [line.split()[-1] for line in lines]
        finally:
            process.terminate()


def write_config(folder: Path, *urls: str, token: str = TOKEN) -> Path:
    file = folder / "config.yml"
    secret = folder / "home.token"
    secret.write_text(token)
    secret.chmod(0o600)
    batteries = ", ".join(
        f"{{name: home-{number}, url: '{url}', token_file: home.token, labels: {{host: cottage-7, sn: Psb100200}}}}"
        for number, url in enumerate(urls)
    )
    file.write_text(
        f"batteries: [{batteries}]\npushgateway: {{url: http://127.0.0.1:9}}\nstate_directory: {folder / 'state'}\n"
    )
    return file


def battery_group(page: str) -> list[str]:
    """Return the series of the first group of `once`, without what is of the moment."""
    (group, *_) = re.split(r"^# group .*\n", page, flags=re.MULTILINE)[1:]
    return [
        line for line in group.splitlines() if not re.match("#|sonnen_last_reading_timestamp|sonnen_clock_offset", line)
    ]


@pytest.mark.parametrize("generation", GENERATION_NAMES)
def test_a_dump_that_is_replayed_reads_the_same(tmp_path: Path, generation: GenerationName) -> None:
    dump = tmp_path / "dump.json"
    with simulated(generation) as url:
        config = write_config(tmp_path, url)
        dumped = agent("dump", "--config", config)
        before = agent("once", "--config", config)
    assert (dumped.returncode, dumped.stderr, before.returncode) == (0, "", 0)
    for private in (TOKEN, "100200", "cottage-7", "127.0.0.1", "home-0"):
        assert private not in dumped.stdout
    dump.write_text(dumped.stdout)
    with replayed(dump) as (url,):
        config = write_config(tmp_path, url)
        after = agent("once", "--config", config)
        again = agent("dump", "--config", config)
        (tmp_path / "without.yml").write_text(
            f"batteries: [{{name: a, url: '{url}'}}]\npull: {{listen: '127.0.0.1:9'}}"
        )
        without_token = agent("once", "--config", tmp_path / "without.yml")
    assert after.returncode == 0
    assert battery_group(after.stdout) == battery_group(before.stdout)
    assert len(battery_group(after.stdout)) >= 10
    assert 'endpoint="latestdata"' not in without_token.stdout

    def answers(document: str) -> list[Any]:
        return [(a["path"], a["status"], a.get("json")) for a in json.loads(document)["batteries"][0]["answers"]]

    if generation != "eco6":  # of which a stand-in gets a stand-in
        assert answers(again.stdout) == answers(dumped.stdout)


def test_each_answer_has_its_status_its_time_and_the_headers_that_matter(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    refused = Response('{"error": "Unauthorized"}', 401, {"X-Owner": "Anna", "Set-Cookie": "session=hunter2"})
    moved = Response("Anna", 302, {"Location": "http://192.168.1.20/anna", "Content-Type": "text/anna"})
    page = Response("<title>sonnenBatterie</title> Anna", 404, content_type="text/html; charset=utf-8; owner=Anna")
    httpserver.expect_request("/api/v2/status").respond_with_json({"Uac": 230, "Owner": "Anna"})
    httpserver.expect_request("/api/v1/status").respond_with_response(moved)
    httpserver.expect_request("/api/inverter").respond_with_response(page)
    httpserver.expect_request(re.compile("/.*")).respond_with_response(refused)
    ended = agent("dump", "--config", write_config(tmp_path, httpserver.url_for("")))
    assert ended.returncode == 0
    document = json.loads(ended.stdout)
    assert document["sonnen_agent_dump"] == 1
    assert not re.search("anna|hunter2|192|cottage|100200", ended.stdout.lower())
    by_path = {answer["path"]: answer for answer in document["batteries"][0]["answers"]}
    status = by_path["/api/v2/status"]
    assert (status["status"], status["with_token"], status["port"]) == (200, False, httpserver.port)
    assert status["json"] == {"Uac": 230, "redacted-1": "redacted-2"}
    assert status["headers"]["Content-Type"] == "application/json"
    assert set(status["headers"]) == {"Content-Type", "Date"}
    assert 0 <= status["seconds"] < 60
    assert by_path["/api/v1/status"]["headers"]["Location"].startswith("redacted-")
    assert by_path["/api/v1/status"]["text"] == "(4 bytes that are not JSON)"
    assert by_path["/api/inverter"]["text"] == "<!DOCTYPE html><html><title>sonnenBatterie</title></html>"
    # Some batteries lock out who goes on with a wrong token.
    with_token = [request for request, _ in httpserver.log if "Auth-Token" in request.headers]
    assert len(with_token) == 2


def test_a_status_that_wants_the_token_is_asked_with_it_and_replayed_so(tmp_path: Path, httpserver: HTTPServer) -> None:
    def answer(request: Request) -> Response:
        if request.headers.get("Auth-Token") != TOKEN:
            return Response('{"error": "Unauthorized"}', 401)
        status = {"Production_W": 1, "Consumption_W": 2, "GridFeedIn_W": -1, "Pac_total_W": 0, "Uac": float("nan")}
        return Response(json.dumps(status), content_type="application/json")

    httpserver.expect_request("/api/v2/status").respond_with_handler(answer)
    httpserver.expect_request(re.compile("/.*")).respond_with_data(status=404)
    dump = tmp_path / "dump.json"
    dump.write_text(agent("dump", "--config", write_config(tmp_path, httpserver.url_for(""))).stdout)
    with replayed(dump) as (url,):
        ended = agent("once", "--config", write_config(tmp_path, url))
    assert ended.returncode == 0
    assert re.search(r"^sonnen_consumption_watts\{.*\} 2\.0$", ended.stdout, re.MULTILINE)


def test_two_batteries_are_two_servers_and_one_that_is_away_is_told(tmp_path: Path) -> None:
    dump = tmp_path / "dump.json"
    with simulated("evo") as url:
        ended = agent("dump", "--config", write_config(tmp_path, "http://127.0.0.1:9", url))
    assert ended.returncode == 0
    assert ended.stderr == "WARNING home-0: nothing answers at http://127.0.0.1:9; the dump says so\n"
    assert json.loads(ended.stdout)["batteries"][0]["answers"][0]["outcome"] == "refused"
    dump.write_text(ended.stdout)
    with replayed(dump) as urls:
        once = agent("once", "--config", write_config(tmp_path, *urls))
    assert once.returncode == 1
    assert "sonnen_online" in once.stdout


def test_a_status_that_http_does_not_know_is_replayed(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request(re.compile("/.*")).respond_with_data("", status=499)
    dump = tmp_path / "dump.json"
    dump.write_text(agent("dump", "--config", write_config(tmp_path, httpserver.url_for(""))).stdout)
    with replayed(dump) as (url,), pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{url}/api/v2/status", timeout=10)
    with refused.value as answer:
        assert answer.code == 499


def test_an_answer_without_end_is_no_answer(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request(re.compile("/.*")).respond_with_data(b" " * 200_000 + b'{"Uac": 230}')
    ended = agent("dump", "--config", write_config(tmp_path, httpserver.url_for("")))
    assert ended.returncode == 0
    assert {answer["outcome"] for answer in json.loads(ended.stdout)["batteries"][0]["answers"]} == {"invalid"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is no document of sonnen-agent dump"),
        ("[]", "is no document of sonnen-agent dump"),
        ("{}", "is no document of sonnen-agent dump"),
        ("[" * 100_000, "is no document of sonnen-agent dump"),
        ('{"sonnen_agent_dump": 1, "batteries": 5}', "is no document of sonnen-agent dump"),
        (
            '{"sonnen_agent_dump": 1, "batteries": [{"answers": [{"path": "/"}]}]}',
            "is no document of sonnen-agent dump",
        ),
        (
            '{"sonnen_agent_dump": 1, "batteries": [{"answers": [{"path": "/", "with_token": false, "status": 7}]}]}',
            "is no document of sonnen-agent dump",
        ),
        ('{"sonnen_agent_dump": 2}', "was written by a newer sonnen-agent; update this one"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_what_is_no_dump_is_refused(tmp_path: Path, content: str | None, problem: str) -> None:
    file = tmp_path / "dump.json"
    if content is not None:
        file.write_text(content)
    ended = agent("simulate", "--port", "0", "--replay", file)
    assert ended.returncode == 1
    assert ended.stderr == f"sonnen-agent: {file}: {problem}\n"
